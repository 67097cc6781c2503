//! From TOML text to a [`Model`]: every table, key and value is checked where it stands.

use std::cell::Cell;
use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::layers::{self, KINDS, Literal, joins};
use super::structure::{connect, nest};
use super::{Attribute, Block, Condition, Expression, Item, MAX_NAME, MAX_PARAMETERS, Model, Parameter, Span, Test, What, is_name};
use crate::diagnostic::{Diagnostic, Source};
use crate::document::{Entry, Result};
use crate::value::Value;
use crate::vocabulary::{Kind, suggest};

/// What an item says besides its attributes.
const ITEM: [&str; 6] = ["layer", "block", "from", "when", "unless", "repeat"];

type Key<'i> = Spanned<std::borrow::Cow<'i, str>>;

pub(super) struct Parser<'a> {
    pub(super) source: Source<'a>,
    /// Name and parameters of every block.
    blocks: Vec<(String, Vec<Parameter>)>,
    /// Their numbers.
    numbers: BTreeMap<String, usize>,
}

/// What `$name` can mean in one block, and what was meant.
struct Scope<'p> {
    parameters: &'p [Parameter],
    used: Vec<Cell<bool>>,
}

pub(super) fn parse(name: &str, source: Source<'_>) -> Result<Model> {
    let root = source.toml()?;
    let mut p = Parser { source, blocks: vec![], numbers: BTreeMap::new() };
    source.known(&root, &["about", "input", "classes", "parameters", "layers", "nodes", "output", "blocks"], "key in a model file:")?;
    let about = root.get("about").map(|v| p.line(v)).transpose()?.unwrap_or_default();
    let input = root.get("input").map(|v| p.shape(v)).transpose()?;
    let classes = root.get("classes").map(|v| p.count(v, "classes")).transpose()?;

    let mut tables = vec![];
    if let Some(blocks) = root.get("blocks") {
        for (key, value) in p.table(blocks, "blocks")? {
            p.name(key, "block")?;
            let table = p.table(value, &format!("blocks.{}", key.get_ref()))?;
            source.known(table, &["parameters", "layers", "nodes", "output"], "key in a block:")?;
            let parameters = p.parameters(table, &format!("model.blocks.{}.", key.get_ref()))?;
            p.numbers.insert(key.get_ref().to_string(), p.blocks.len());
            p.blocks.push((key.get_ref().to_string(), parameters));
            tables.push((key, value, table));
        }
    }
    let p = p;
    let mut parameters = p.parameters(&root, "model.")?;
    for parameter in &mut parameters {
        parameter.open = true;
    }
    let network = p.block(&root, String::new(), parameters, &(0..0))?;
    let mut blocks = vec![];
    for ((_, value, table), (name, parameters)) in tables.iter().zip(&p.blocks) {
        blocks.push(p.block(table, name.clone(), parameters.clone(), &value.span())?);
    }
    let spans: Vec<Span> = tables.iter().map(|(key, ..)| key.span()).collect();
    nest(&p, &network, &mut blocks, &spans)?;
    let (name, file, text) = (name.to_owned(), source.file.to_owned(), source.text.to_owned());
    Ok(Model { name, about, input, classes, file, text, network, blocks })
}

impl Parser<'_> {
    fn error(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        self.source.error(span, message)
    }

    fn table<'t, 'i>(&self, value: Entry<'t, 'i>, name: &str) -> Result<&'t DeTable<'i>> {
        match value.get_ref() {
            DeValue::Table(t) => Ok(t),
            _ => Err(self.error(value.span(), format!("`{name}` must be a table"))),
        }
    }

    fn line(&self, value: Entry<'_, '_>) -> Result<String> {
        match value.get_ref() {
            DeValue::String(s) if !s.contains('\n') => Ok(s.trim().to_owned()),
            _ => Err(self.error(value.span(), "`about` must be a text of one line")),
        }
    }

    /// `input = [28, 28, 1]`
    fn shape(&self, value: Entry<'_, '_>) -> Result<Vec<usize>> {
        match value.get_ref() {
            DeValue::Array(sizes) if (1..=4).contains(&sizes.len()) => sizes.iter().map(|v| self.count(v, "input")).collect(),
            _ => Err(self.error(value.span(), "`input` must be a list of one to four sizes").help("input = [28, 28, 1]")),
        }
    }

    fn count(&self, value: Entry<'_, '_>, name: &str) -> Result<usize> {
        let n = self.source.int(value, &format!("`{name}`"))?;
        match usize::try_from(n) {
            Ok(n @ 1..=1_000_000) => Ok(n),
            _ => Err(self.error(value.span(), format!("`{name}` must be from 1 to 1000000, not {n}"))),
        }
    }

    /// Refuses names that could not be written elsewhere.
    fn name(&self, key: &Key<'_>, what: &str) -> Result<()> {
        if is_name(key.get_ref()) {
            return Ok(());
        }
        let message = format!("the name of a {what} has letters, digits, `_` and `-`, at most {MAX_NAME} of them");
        Err(self.error(key.span(), message))
    }

    /// `[parameters]`: names with their defaults.
    fn parameters(&self, table: &DeTable<'_>, prefix: &str) -> Result<Vec<Parameter>> {
        let Some(value) = table.get("parameters") else { return Ok(vec![]) };
        let table = self.table(value, "parameters")?;
        if table.len() > MAX_PARAMETERS {
            return Err(self.error(value.span(), format!("{} parameters are too many; the limit is {MAX_PARAMETERS}", table.len())));
        }
        let mut parameters = vec![];
        for (key, value) in table {
            self.name(key, "parameter")?;
            let name = key.get_ref().to_string();
            if name == "layers" {
                let error = self.error(key.span(), "`layers` stands in [parameters]");
                return Err(error.help("move it above the first [table], where the model's own keys are"));
            }
            if ITEM.contains(&name.as_str()) || ["name", "blocks"].contains(&name.as_str()) {
                return Err(self.error(key.span(), format!("a parameter can't be called `{name}`, which has a meaning already")));
            }
            let (kind, default) = self.parameter(&name, value)?;
            parameters.push(Parameter { key: format!("{prefix}{name}"), name, kind, default, open: false });
        }
        Ok(parameters)
    }

    /// The kind of a parameter is that of its default; a list of texts is a choice, the first of which is the default.
    fn parameter(&self, name: &str, value: Entry<'_, '_>) -> Result<(Kind, Value)> {
        let wrong = || {
            let error =
                self.error(value.span(), format!("the default of `{name}` must be a number, a text, true or false, or a list of texts"));
            error.help("factor = [\"none\", \"cross\"] is a choice, its first the default")
        };
        let text = |v: Entry<'_, '_>| match v.get_ref() {
            DeValue::String(s) if s.starts_with('$') => Err(self.error(v.span(), "a default can't stand for another parameter")),
            DeValue::String(s) => Ok(s.to_string()),
            _ => Err(wrong()),
        };
        if let DeValue::Array(options) = value.get_ref() {
            let options: Vec<String> = options.iter().map(text).collect::<Result<_>>()?;
            let Some(first) = options.first() else { return Err(wrong()) };
            let mut distinct = options.clone();
            distinct.sort_unstable();
            distinct.dedup();
            if distinct.len() < options.len() {
                return Err(self.error(value.span(), format!("`{name}` has the same choice twice")));
            }
            let default = Value::Text(first.clone().into());
            return Ok((Kind::Text(options), default));
        }
        let default = self.source.scalar(value, &format!("`{name}`"))?.ok_or_else(wrong)?;
        let kind = match &default {
            Value::Bool(_) => Kind::Bool,
            Value::Int(_) => Kind::Int(i64::MIN..=i64::MAX),
            Value::Float(_) => Kind::Float(f64::MIN..=f64::MAX),
            Value::Text(_) => {
                text(value)?;
                Kind::Text(vec![])
            }
        };
        Ok((kind, default))
    }

    /// The network itself, or a block: `layers`, or `nodes` and perhaps `output`.
    fn block(&self, table: &DeTable<'_>, name: String, parameters: Vec<Parameter>, span: &Span) -> Result<Block> {
        let scope = Scope { used: parameters.iter().map(|_| Cell::new(false)).collect(), parameters: &parameters };
        let (items, order, output) = match (table.get_key_value("layers"), table.get_key_value("nodes")) {
            (Some((_, layers)), None) => {
                if let Some((key, _)) = table.get_key_value("output") {
                    return Err(self.error(key.span(), "`output` belongs to [nodes]; the output of `layers` is the last of them"));
                }
                let items = self.list(layers, &scope)?;
                let last = items.len() - 1;
                (items, (0..=last).collect(), last)
            }
            (None, Some((_, nodes))) => self.nodes(nodes, table.get("output"), &scope)?,
            (Some((layers, _)), Some((nodes, _))) => {
                let later = if layers.span().start > nodes.span().start { layers } else { nodes };
                let error = self.error(later.span(), "give either `layers` or `nodes`, not both");
                return Err(
                    error.help("`layers` is a list in which each takes from the one before, [nodes] say with `from` what they take from")
                );
            }
            (None, None) => {
                let what = if name.is_empty() { "the model".to_owned() } else { format!("the block `{name}`") };
                let error = self.error(span.clone(), format!("{what} has neither `layers` nor `nodes`"));
                return Err(error.help("layers = [{ layer = \"flatten\" }, { layer = \"dense\", units = \"classes\" }]"));
            }
        };
        let unused = scope.used.iter().position(|used| !used.get());
        if let (Some(unused), Some(DeValue::Table(declared))) = (unused, table.get("parameters").map(Spanned::get_ref)) {
            let name = &parameters[unused].name;
            let span = declared.get_key_value(name.as_str()).map_or(span.clone(), |(key, _)| key.span());
            return Err(self
                .error(span, format!("nothing uses the parameter `{name}`"))
                .help(format!("remove it, or write \"${name}\" where it belongs")));
        }
        Ok(Block { name, parameters, items, order, output })
    }

    fn list(&self, layers: Entry<'_, '_>, scope: &Scope<'_>) -> Result<Vec<Item>> {
        let help = "layers = [{ layer = \"flatten\" }, { layer = \"dense\", units = \"classes\" }]";
        let DeValue::Array(list) = layers.get_ref() else {
            return Err(self.error(layers.span(), "`layers` must be a list of tables").help(help));
        };
        if list.is_empty() {
            return Err(self.error(layers.span(), "`layers` is empty").help(help));
        }
        let item = |(i, value): (usize, Entry<'_, '_>)| {
            let table = self.table(value, "an item of layers")?;
            if let Some((key, _)) = table.get_key_value("from") {
                let error = self.error(key.span(), "layers in a list take from the one before, so they have no `from`");
                return Err(error.help("write [nodes] with names instead"));
            }
            self.item(table, &value.span(), None, vec![i.checked_sub(1)], scope)
        };
        list.iter().enumerate().map(item).collect()
    }

    fn nodes(&self, nodes: Entry<'_, '_>, output: Option<Entry<'_, '_>>, scope: &Scope<'_>) -> Result<(Vec<Item>, Vec<usize>, usize)> {
        let table = self.table(nodes, "nodes")?;
        let names: Vec<&str> = table.keys().map(|key| key.get_ref().as_ref()).collect();
        let numbers: BTreeMap<&str, usize> = names.iter().enumerate().map(|(i, name)| (*name, i)).collect();
        let find = |value: Entry<'_, '_>, what: &str| match value.get_ref() {
            DeValue::String(s) => numbers.get(s.as_ref()).copied().ok_or_else(|| {
                let error = self.error(value.span(), format!("there is no node `{s}`"));
                let known: Vec<&str> = if what == "from" { std::iter::once("input").chain(names.clone()).collect() } else { names.clone() };
                error.suggest(suggest(s, known.iter().copied()), &known)
            }),
            _ => Err(self.error(value.span(), format!("`{what}` takes the name of a node in quotes"))),
        };
        let from = |value: Entry<'_, '_>| match value.get_ref() {
            DeValue::String(s) if s == "input" => Ok(None),
            _ => find(value, "from").map(Some),
        };
        let mut items = vec![];
        let mut spans = vec![];
        for (key, value) in table {
            self.name(key, "node")?;
            if key.get_ref() == "input" {
                return Err(self.error(key.span(), "a node can't be called `input`: that is what the network takes"));
            }
            let fields = self.table(value, &format!("nodes.{}", key.get_ref()))?;
            let taken = match fields.get("from").map(|v| (v, v.get_ref())) {
                Some((_, DeValue::Array(list))) if !list.is_empty() => list.iter().map(from).collect::<Result<_>>()?,
                Some((one, _)) => vec![from(one)?],
                None => {
                    let error = self.error(key.span(), format!("the node `{}` does not say what it takes from", key.get_ref()));
                    return Err(error.help("from = \"input\", or the name of another node, or a list of names"));
                }
            };
            items.push(self.item(fields, &value.span(), Some(key.get_ref().to_string()), taken, scope)?);
            spans.push(key.span());
        }
        let output = output.map(|v| find(v, "output")).transpose()?;
        let (order, output) = connect(self, &items, &spans, output, &nodes.span())?;
        Ok((items, order, output))
    }

    fn item(&self, table: &DeTable<'_>, span: &Span, name: Option<String>, from: Vec<Option<usize>>, scope: &Scope<'_>) -> Result<Item> {
        let what = match (table.get_key_value("layer"), table.get_key_value("block")) {
            (Some((key, value)), None) => What::Layer(self.attribute(key, value, scope)?),
            (None, Some((_, value))) => What::Block(self.find_block(value)?),
            (Some(_), Some((key, _))) => return Err(self.error(key.span(), "give either `layer` or `block`, not both")),
            (None, None) => {
                let error = self.error(span.clone(), "this has neither `layer` nor `block`");
                return Err(error.help("{ layer = \"dense\", units = 10 }, or { block = \"…\" } with the name of one of [blocks]"));
            }
        };
        let own = table.iter().filter(|(key, _)| !ITEM.contains(&key.get_ref().as_ref()));
        let attributes = own.map(|(key, value)| self.attribute(key, value, scope)).collect::<Result<_>>()?;
        let mut conditions = vec![];
        for (key, negated) in [("when", false), ("unless", true)] {
            if let Some(value) = table.get(key) {
                conditions.push(Condition { test: self.test(value, key, scope)?, negated, span: value.span() });
            }
        }
        let repeat = table.get_key_value("repeat").map(|(key, value)| self.attribute(key, value, scope)).transpose()?;
        let item = Item { name, what, from, attributes, conditions, repeat, span: span.clone() };
        self.check(&item)?;
        Ok(item)
    }

    fn find_block(&self, value: Entry<'_, '_>) -> Result<usize> {
        let DeValue::String(name) = value.get_ref() else {
            return Err(self.error(value.span(), "`block` takes the name of a block in quotes"));
        };
        self.numbers.get(name.as_ref()).copied().ok_or_else(|| {
            let known: Vec<&str> = self.blocks.iter().map(|(n, _)| n.as_str()).collect();
            let error = self.error(value.span(), format!("unknown block `{name}`"));
            if known.is_empty() {
                error.help(format!("describe it: [blocks.{name}]"))
            } else {
                error.suggest(suggest(name, known.iter().copied()), &known)
            }
        })
    }

    fn attribute(&self, key: &Key<'_>, value: Entry<'_, '_>, scope: &Scope<'_>) -> Result<Attribute> {
        let name = key.get_ref().to_string();
        let expression = match value.get_ref() {
            DeValue::Array(list) => Expression::List(list.iter().map(|v| self.expression(&name, v, scope)).collect::<Result<_>>()?),
            _ => self.expression(&name, value, scope)?,
        };
        Ok(Attribute { name, expression, name_span: key.span(), span: value.span() })
    }

    fn expression(&self, name: &str, value: Entry<'_, '_>, scope: &Scope<'_>) -> Result<Expression> {
        match value.get_ref() {
            DeValue::String(s) if s.starts_with('$') => self.parameter_named(&s[1..], value.span(), scope).map(Expression::Parameter),
            _ => match self.source.scalar(value, &format!("`{name}`"))? {
                Some(value) => Ok(Expression::Value(value)),
                None => Err(self.error(value.span(), format!("`{name}` takes a value, or a list of values"))),
            },
        }
    }

    fn parameter_named(&self, name: &str, span: Span, scope: &Scope<'_>) -> Result<usize> {
        let Some(found) = scope.parameters.iter().position(|p| p.name == name) else {
            let known: Vec<&str> = scope.parameters.iter().map(|p| p.name.as_str()).collect();
            let error = self.error(span, format!("unknown parameter `{name}`"));
            return Err(if known.is_empty() {
                error.help("declare it with its default in `parameters`; a block sees its own only")
            } else {
                error.suggest(suggest(name, known.iter().copied()), &known)
            });
        };
        scope.used[found].set(true);
        Ok(found)
    }

    /// `"$batch_norm"`, or `{ factor = "cross" }`, or `{ factor = ["two3", "cross"] }`.
    fn test(&self, value: Entry<'_, '_>, place: &str, scope: &Scope<'_>) -> Result<Test> {
        let DeValue::Table(table) = value.get_ref() else {
            return match self.expression(place, value, scope)? {
                Expression::Value(v) if !matches!(v, Value::Bool(_)) => {
                    let error =
                        self.error(value.span(), format!("`{place}` takes a parameter, or a table of parameters with their values"));
                    Err(error.help(format!("{place} = \"$batch_norm\", or {place} = {{ factor = \"cross\" }}")))
                }
                expression => Ok(Test::Holds(expression)),
            };
        };
        if table.is_empty() {
            return Err(self.error(value.span(), format!("`{place}` names no parameter")));
        }
        let mut any_of = vec![];
        for (key, value) in table {
            let index = self.parameter_named(key.get_ref(), key.span(), scope)?;
            let parameter = &scope.parameters[index];
            let values = match value.get_ref() {
                DeValue::Array(list) if !list.is_empty() => list.iter().map(|v| self.fitting(parameter, v)).collect::<Result<_>>()?,
                _ => vec![self.fitting(parameter, value)?],
            };
            any_of.push((index, values));
        }
        Ok(Test::AnyOf(any_of))
    }

    /// A value that the parameter can have.
    fn fitting(&self, parameter: &Parameter, value: Entry<'_, '_>) -> Result<Value> {
        let scalar = self.source.scalar(value, &format!("`{}`", parameter.name))?;
        let wrong = |takes: &str| self.error(value.span(), format!("`{}` is {takes}", parameter.name));
        let scalar = scalar.ok_or_else(|| wrong("compared with a value, or with a list of values"))?;
        parameter.kind.fit(&scalar).map_err(|takes| match (&parameter.kind, &scalar) {
            (Kind::Text(options), Value::Text(text)) => {
                let known: Vec<&str> = options.iter().map(String::as_str).collect();
                wrong(&format!("never \"{text}\"")).suggest(suggest(text, known.iter().copied()), &known)
            }
            _ => wrong(&format!("{takes}, never {scalar}")),
        })
    }

    /// What can be said of an item before parameters have values.
    fn check(&self, item: &Item) -> Result<()> {
        match &item.what {
            What::Block(block) => {
                let (name, parameters) = &self.blocks[*block];
                if let Some(unknown) = item.attributes.iter().find(|a| parameters.iter().all(|p| p.name != a.name)) {
                    let known: Vec<&str> = parameters.iter().map(|p| p.name.as_str()).collect();
                    let error = self.error(unknown.name_span.clone(), format!("the block `{name}` has no parameter `{}`", unknown.name));
                    return Err(if known.is_empty() {
                        error
                    } else {
                        error.suggest(suggest(&unknown.name, known.iter().copied()), &known)
                    });
                }
                check_inputs(self.source, item, name, false)
            }
            What::Layer(kind) => match &kind.expression {
                Expression::Value(Value::Text(name)) => {
                    check_layer(self.source, item, kind, name)?;
                    for attribute in &item.attributes {
                        if let Some(literal) = attribute.expression.literal() {
                            understand(self.source, name, attribute, &literal)?;
                        }
                    }
                    Ok(())
                }
                Expression::Parameter(_) => Ok(()),
                _ => Err(self.error(kind.span.clone(), "`layer` takes the name of a layer in quotes")),
            },
        }
    }
}

/// Refuses layers that there are not, attributes that they don't have, and missing ones.
pub(super) fn check_layer(source: Source<'_>, item: &Item, kind: &Attribute, name: &str) -> Result<()> {
    if !KINDS.contains(&name) {
        let error = source.error(kind.span.clone(), format!("unknown layer `{name}`"));
        return Err(error.suggest(suggest(name, KINDS), &KINDS));
    }
    let declared = layers::attributes(name);
    let known: Vec<&str> = declared.iter().map(|d| d.name).collect();
    if let Some(unknown) = item.attributes.iter().find(|a| !known.contains(&a.name.as_str())) {
        let error = source.error(unknown.name_span.clone(), format!("{name} has no attribute `{}`", unknown.name));
        return Err(if known.is_empty() { error } else { error.suggest(suggest(&unknown.name, known.iter().copied()), &known) });
    }
    if let Some(missing) = declared.iter().find(|d| d.required && item.attributes.iter().all(|a| a.name != d.name)) {
        let error = source.error(item.span.clone(), format!("{name} needs `{}`", missing.name));
        return Err(error.help(format!("its attributes: {}", known.join(", "))));
    }
    check_inputs(source, item, name, joins(name))
}

/// Refuses a number of inputs that a layer or block can't have.
fn check_inputs(source: Source<'_>, item: &Item, name: &str, joins: bool) -> Result<()> {
    match (joins, item.from.len()) {
        (false, 1) | (true, 2..) => Ok(()),
        (false, n) => {
            Err(source.error(item.span.clone(), format!("{name} takes from one node, not {n}")).help("join them with concat or add"))
        }
        (true, _) => {
            let error = source.error(item.span.clone(), format!("{name} joins several nodes"));
            Err(error.help(format!("in [nodes]: {{ layer = \"{name}\", from = [\"…\", \"…\"] }}")))
        }
    }
}

/// The value of an attribute of a layer that has it.
pub(super) fn understand(
    source: Source<'_>,
    kind: &str,
    attribute: &Attribute,
    literal: &Literal,
) -> Result<(&'static str, layers::Given)> {
    let Some(declared) = layers::attributes(kind).iter().find(|d| d.name == attribute.name) else {
        return Err(source.error(attribute.name_span.clone(), format!("{kind} has no attribute `{}`", attribute.name)));
    };
    let given = layers::read(kind, declared, literal).map_err(|wrong| {
        let error = source.error(attribute.span.clone(), wrong.message);
        wrong.help.into_iter().fold(error, Diagnostic::help)
    })?;
    Ok((declared.name, given))
}

impl Expression {
    /// Its value, if no parameter stands in it.
    fn literal(&self) -> Option<Literal> {
        match self {
            Expression::Value(value) => Some(Literal::One(value.clone())),
            Expression::Parameter(_) => None,
            Expression::List(list) => {
                let value = |e: &Expression| if let Expression::Value(v) = e { Some(v.clone()) } else { None };
                list.iter().map(value).collect::<Option<_>>().map(Literal::List)
            }
        }
    }
}
