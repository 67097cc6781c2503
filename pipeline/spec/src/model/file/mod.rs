//! Model files: TOML that describes a network, with parameters that a grid can vary.
//!
//! `parse` reads a file and checks everything that does not depend on the values of parameters; `expand` fills those in and
//! unfolds blocks and repetitions into a [`Graph`]. Errors carry the place in the file.

mod expand;
mod layers;
mod order;
mod parse;
mod structure;

use super::Graph;
use crate::diagnostic::{Diagnostic, Source};
use crate::document::MAX_BYTES;
use crate::value::Value;
use crate::vocabulary::{Absent, Choice, Key, Kind, intern};

/// Bounds that are checked before anything is allocated.
pub(super) const MAX_LAYERS: usize = 10_000;
/// Blocks within blocks.
const MAX_DEPTH: usize = 16;
/// Items, inputs and attributes that are looked at while a network is unfolded, those that come to nothing included.
const MAX_WORK: usize = 1_000_000;
/// Of one block.
const MAX_PARAMETERS: usize = 100;
/// Of a name; the names of nodes are put together from them.
const MAX_NAME: usize = 64;

type Span = std::ops::Range<usize>;

/// A model file, checked.
#[derive(Clone, Debug)]
pub struct Model {
    pub name: String,
    /// One line for people.
    pub about: String,
    /// The shape of an example and the number of classes that it was made for.
    pub input: Option<Vec<usize>>,
    pub classes: Option<usize>,
    /// The file, for messages.
    file: String,
    text: String,
    /// The network itself; its parameters are the model's.
    network: Block,
    blocks: Vec<Block>,
}

/// A network, or a part of one that can be used several times.
#[derive(Clone, Debug)]
struct Block {
    name: String,
    parameters: Vec<Parameter>,
    /// In the order of the file.
    items: Vec<Item>,
    /// The items such that each stands behind those it takes from; ties in the order of the file.
    order: Vec<usize>,
    /// The item whose output is the block's.
    output: usize,
}

/// A name for a value that a use, a grid or the default fills in.
#[derive(Clone, Debug)]
struct Parameter {
    name: String,
    /// The configuration key that sets it: `model.hidden`, `model.blocks.inception.reduce`.
    key: String,
    kind: Kind,
    default: Value,
    /// Whether that key has an effect: some use leaves the parameter to its default.
    open: bool,
}

/// A layer, or a use of a block.
#[derive(Clone, Debug)]
struct Item {
    /// Items in a list have none.
    name: Option<String>,
    what: What,
    /// Numbers of items; `None` is the input of the network or block.
    from: Vec<Option<usize>>,
    attributes: Vec<Attribute>,
    /// The item is left out unless all of them hold.
    conditions: Vec<Condition>,
    repeat: Option<Attribute>,
    span: Span,
}

#[derive(Clone, Debug)]
enum What {
    Layer(Attribute),
    Block(usize),
}

/// `name = expression`: of a layer an attribute, of a block an argument.
#[derive(Clone, Debug)]
struct Attribute {
    name: String,
    expression: Expression,
    name_span: Span,
    span: Span,
}

#[derive(Clone, Debug)]
enum Expression {
    Value(Value),
    /// A parameter of the enclosing block, by number.
    Parameter(usize),
    List(Vec<Expression>),
}

/// What `when` or `unless` says.
#[derive(Clone, Debug)]
struct Condition {
    test: Test,
    /// `unless`
    negated: bool,
    span: Span,
}

#[derive(Clone, Debug)]
enum Test {
    /// True, or not zero.
    Holds(Expression),
    /// Every parameter has one of its values.
    AnyOf(Vec<(usize, Vec<Value>)>),
}

/// Values for which a model is no network.
#[derive(Clone, Debug)]
pub struct Misfit {
    /// What is wrong, with its place in the model file.
    pub diagnostic: Box<Diagnostic>,
    /// The configuration key that brought the wrong value, if one did.
    pub key: Option<String>,
}

impl Model {
    /// Reads the text of a model file.
    ///
    /// `name` is the model's name (the file's stem), `file` is what messages call the file.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place in the file.
    pub fn parse(name: &str, file: &str, text: &str) -> Result<Model, Diagnostic> {
        if text.len() > MAX_BYTES {
            let message = format!("the model file is too large; the limit is {MAX_BYTES} bytes");
            return Err(Source { file, text: "" }.error(0..0, message));
        }
        let source = Source { file, text };
        if !is_name(name) {
            let message = format!("`{name}` can't be the name of a model: a model file is named with letters, digits, `_` and `-`");
            return Err(source.error(0..0, message));
        }
        let model = parse::parse(name, source)?;
        // What only shows when values meet layers should not wait for the first run.
        model.graph(|_| None).map_err(|misfit| *misfit.diagnostic)?;
        Ok(model)
    }

    /// The network for values of the configuration keys `model.…`; a key without a value has its default.
    ///
    /// # Errors
    /// When a layer does not take a value, or the network is too large.
    pub fn graph(&self, value_of: impl Fn(&str) -> Option<Value>) -> Result<Graph, Misfit> {
        expand::expand(self, &value_of)
    }

    /// The model as grid files see it: a name with the keys that set its parameters.
    pub fn choice(&self) -> Choice {
        let keys = self.parameters().filter(|p| p.open).map(|p| Key {
            name: intern(&p.key),
            kind: p.kind.clone(),
            default: Absent::Is(p.default.clone()),
            doc: "a parameter of the model",
        });
        Choice { name: intern(&self.name), doc: intern(&self.about), keys: keys.collect() }
    }

    /// Whether a configuration key would set a parameter that every use of its block sets itself.
    pub fn is_closed(&self, key: &str) -> bool {
        self.parameters().any(|p| !p.open && p.key == key)
    }

    fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        std::iter::once(&self.network).chain(&self.blocks).flat_map(|block| &block.parameters)
    }

    fn source(&self) -> Source<'_> {
        Source { file: &self.file, text: &self.text }
    }
}

/// What models, parameters, nodes and blocks may be called.
fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

#[cfg(test)]
mod tests;
