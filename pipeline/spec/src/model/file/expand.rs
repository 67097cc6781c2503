//! From a [`Model`] and values of its parameters to a [`Graph`]: blocks and repetitions unfold, conditions decide.

use std::collections::BTreeMap;

use super::layers::{self, Built, Literal};
use super::parse::{check_layer, understand};
use super::{Attribute, Block, Condition, Expression, Item, MAX_LAYERS, MAX_WORK, Misfit, Model, Parameter, Span, Test, What};
use crate::diagnostic::Diagnostic;
use crate::model::{Activation, Graph, Layer, Node};
use crate::value::Value;

type Result<T> = std::result::Result<T, Misfit>;

/// The value of a parameter, and the configuration key that it comes from.
#[derive(Clone)]
struct Bound<'m> {
    value: Value,
    key: Option<&'m str>,
}

struct Expander<'m> {
    model: &'m Model,
    value_of: &'m dyn Fn(&str) -> Option<Value>,
    nodes: Vec<Node>,
    work: usize,
}

pub(super) fn expand(model: &Model, value_of: &dyn Fn(&str) -> Option<Value>) -> Result<Graph> {
    let mut x = Expander { model, value_of, nodes: vec![], work: 0 };
    let given = BTreeMap::new();
    let values = x.bind(&model.network, &given);
    let output = x.block(&model.network, &values, 0, "")?;
    if output == 0 {
        return Err(plain(model.source().error(0..0, "the network has no layer: every one is left out")));
    }
    Ok(Graph { file: Some(model.file.clone()), ..finish(x.nodes, output) })
}

fn plain(diagnostic: Diagnostic) -> Misfit {
    Misfit { diagnostic: diagnostic.into(), key: None }
}

impl<'m> Expander<'m> {
    /// The values of a block's parameters: an argument, else what the configuration says, else the default.
    fn bind(&self, block: &'m Block, given: &BTreeMap<&str, Bound<'m>>) -> Vec<Bound<'m>> {
        let value = |p: &'m Parameter| {
            let set = || (self.value_of)(&p.key).map(|v| p.kind.fit(&v).unwrap_or(v));
            let own = || Bound { value: set().unwrap_or_else(|| p.default.clone()), key: Some(&p.key) };
            given.get(p.name.as_str()).cloned().unwrap_or_else(own)
        };
        block.parameters.iter().map(value).collect()
    }

    /// Unfolds a block that takes from the output `input`; returns the number of its own output.
    fn block(&mut self, block: &'m Block, values: &[Bound<'m>], input: usize, path: &str) -> Result<usize> {
        let mut outputs = vec![input; block.items.len()];
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for &i in &block.order {
            let item = &block.items[i];
            let inputs: Vec<usize> = item.from.iter().map(|from| from.map_or(input, |j| outputs[j])).collect();
            outputs[i] = self.item(item, values, inputs, path, &mut counts)?;
        }
        Ok(outputs[block.output])
    }

    /// Refuses networks that are too large before they are built.
    fn charge(&mut self, item: &Item) -> Result<()> {
        let parameters = item.block().map_or(0, |b| self.model.blocks[b].parameters.len());
        self.work += 1 + item.from.len() + item.attributes.len() + parameters;
        if self.work > MAX_WORK {
            return Err(self.wrong(&item.span, "the network is too large: its blocks and repetitions come to too much"));
        }
        Ok(())
    }

    fn wrong(&self, span: &Span, message: impl Into<String>) -> Misfit {
        plain(self.model.source().error(span.clone(), message))
    }

    fn item(
        &mut self,
        item: &'m Item,
        values: &[Bound<'m>],
        mut inputs: Vec<usize>,
        path: &str,
        counts: &mut BTreeMap<String, usize>,
    ) -> Result<usize> {
        self.charge(item)?;
        for condition in &item.conditions {
            if self.holds(condition, values)? == condition.negated {
                return Ok(inputs[0]);
            }
        }
        let repeat = self.repeat(item, values)?;
        if repeat > 1 && inputs.len() > 1 {
            return Err(self.wrong(&item.span, "what takes from several nodes can't be repeated"));
        }
        for i in 1..=repeat {
            self.charge(item)?;
            let mut named = |kind: &str| match &item.name {
                Some(name) if repeat > 1 => format!("{path}{name}/{i}"),
                Some(name) => format!("{path}{name}"),
                None => {
                    let count = counts.entry(kind.to_owned()).and_modify(|n| *n += 1).or_insert(1);
                    format!("{path}{kind}_{count}")
                }
            };
            let output = match &item.what {
                What::Layer(kind) => {
                    let (kind, built) = self.layer(item, kind, values)?;
                    // What does nothing has no name either.
                    let name = if built.layer.is_some() { named(&kind) } else { String::new() };
                    self.push(item, built, &inputs, name)?
                }
                What::Block(number) => {
                    let block = &self.model.blocks[*number];
                    let name = named(&block.name);
                    let given = self.arguments(item, block, values)?;
                    let values = self.bind(block, &given);
                    self.block(block, &values, inputs[0], &format!("{name}/"))?
                }
            };
            inputs = vec![output];
        }
        Ok(inputs[0])
    }

    /// Adds a layer and the activation behind it; returns the number of the output.
    fn push(&mut self, item: &Item, built: Built, inputs: &[usize], name: String) -> Result<usize> {
        let Some(layer) = built.layer else { return Ok(inputs[0]) };
        if self.nodes.len() + 2 > MAX_LAYERS {
            return Err(self.wrong(&item.span, format!("the network is too large: the limit is {MAX_LAYERS} layers")));
        }
        let behind = built.then.map(|activation| (Layer::Activation(activation), format!("{name}/activation")));
        self.nodes.push(Node { layer, inputs: inputs.to_vec(), name });
        if let Some((layer, name)) = behind {
            self.nodes.push(Node { layer, inputs: vec![self.nodes.len()], name });
        }
        Ok(self.nodes.len())
    }

    /// The kind of a layer, and what it is made into.
    fn layer(&self, item: &Item, kind: &Attribute, values: &[Bound<'m>]) -> Result<(String, Built)> {
        let source = self.model.source();
        let (literal, key) = resolve(&kind.expression, values);
        let blame = |key: Option<&str>| {
            let key = key.map(str::to_owned);
            move |diagnostic: Diagnostic| Misfit { diagnostic: diagnostic.into(), key }
        };
        let Literal::One(Value::Text(name)) = literal else {
            let diagnostic = source.error(kind.span.clone(), "`layer` takes the name of a layer");
            return Err(blame(key)(diagnostic));
        };
        check_layer(source, item, kind, &name).map_err(blame(key))?;
        let mut given = vec![];
        let mut origin = None;
        for attribute in &item.attributes {
            let (literal, key) = resolve(&attribute.expression, values);
            given.push(understand(source, &name, attribute, &literal).map_err(blame(key))?);
            origin = origin.or(key);
        }
        let built = layers::build(&name, &given).map_err(|wrong| blame(origin)(source.error(item.span.clone(), wrong.message)))?;
        Ok((name.into_owned(), built))
    }

    /// What the use of a block says about its parameters.
    fn arguments(&self, item: &'m Item, block: &'m Block, values: &[Bound<'m>]) -> Result<BTreeMap<&'m str, Bound<'m>>> {
        let mut given = BTreeMap::new();
        for argument in &item.attributes {
            let (literal, key) = resolve(&argument.expression, values);
            let Some(parameter) = block.parameters.iter().find(|p| p.name == argument.name) else { continue };
            let fitted = match &literal {
                Literal::One(value) => parameter.kind.fit(value),
                Literal::List(_) => Err("a single value".to_owned()),
            };
            let value = fitted.map_err(|takes| {
                let found = layers::shown(&literal);
                let message = format!("`{}` of the block `{}` takes {takes}, not {found}", parameter.name, block.name);
                Misfit { diagnostic: self.model.source().error(argument.span.clone(), message).into(), key: key.map(str::to_owned) }
            })?;
            given.insert(parameter.name.as_str(), Bound { value, key });
        }
        Ok(given)
    }

    fn repeat(&self, item: &Item, values: &[Bound<'m>]) -> Result<usize> {
        let Some(repeat) = &item.repeat else { return Ok(1) };
        let (literal, key) = resolve(&repeat.expression, values);
        let count = match &literal {
            Literal::One(Value::Int(n)) => usize::try_from(*n).ok().filter(|n| *n <= MAX_LAYERS),
            _ => None,
        };
        count.ok_or_else(|| {
            let message = format!("`repeat` takes a whole number from 0 to {MAX_LAYERS}, not {}", layers::shown(&literal));
            Misfit { diagnostic: self.model.source().error(repeat.span.clone(), message).into(), key: key.map(str::to_owned) }
        })
    }

    fn holds(&self, condition: &Condition, values: &[Bound<'m>]) -> Result<bool> {
        match &condition.test {
            Test::AnyOf(any_of) => Ok(any_of.iter().all(|(parameter, any)| any.contains(&values[*parameter].value))),
            Test::Holds(expression) => match resolve(expression, values) {
                (Literal::One(Value::Bool(b)), _) => Ok(b),
                (Literal::One(Value::Int(n)), _) => Ok(n != 0),
                (Literal::One(Value::Float(x)), _) => Ok(x != 0.0),
                (literal, _) => {
                    let message = format!("{} neither holds nor does not: compare it", layers::shown(&literal));
                    let diagnostic = self.model.source().error(condition.span.clone(), message);
                    Err(plain(diagnostic.help("when = { factor = \"cross\" }")))
                }
            },
        }
    }
}

/// The value of an expression, and the configuration key that it (or the first such part of it) comes from.
fn resolve<'m>(expression: &Expression, values: &[Bound<'m>]) -> (Literal, Option<&'m str>) {
    match expression {
        Expression::Value(value) => (Literal::One(value.clone()), None),
        Expression::Parameter(p) => (Literal::One(values[*p].value.clone()), values[*p].key),
        Expression::List(list) => {
            let mut key = None;
            let mut all = vec![];
            for part in list {
                if let (Literal::One(value), from) = resolve(part, values) {
                    key = key.or(from);
                    all.push(value);
                }
            }
            (Literal::List(all), key)
        }
    }
}

/// Drops what the output does not depend on, makes a ReLU right behind a layer that layer's own, and numbers anew.
fn finish(nodes: Vec<Node>, output: usize) -> Graph {
    // How many take from each output; the network's own is taken from outside.
    let mut taken = vec![0usize; nodes.len() + 1];
    taken[output] = 1;
    for (i, node) in nodes.iter().enumerate().rev() {
        if taken[i + 1] > 0 {
            node.inputs.iter().for_each(|input| taken[*input] += 1);
        }
    }
    let mut graph = Graph::default();
    let mut numbers = vec![0; nodes.len() + 1];
    for (i, node) in nodes.into_iter().enumerate() {
        if taken[i + 1] == 0 {
            continue;
        }
        let inputs: Vec<usize> = node.inputs.iter().map(|input| numbers[*input]).collect();
        let alone = node.inputs.len() == 1 && taken[node.inputs[0]] == 1;
        if node.layer == Layer::Activation(Activation::Relu) && alone && inputs[0] > 0 && fuse(&mut graph.nodes[inputs[0] - 1].layer) {
            numbers[i + 1] = inputs[0];
            continue;
        }
        graph.nodes.push(Node { inputs, ..node });
        numbers[i + 1] = graph.nodes.len();
    }
    graph
}

/// Gives a layer its ReLU, if it can have one and has none.
fn fuse(layer: &mut Layer) -> bool {
    match layer {
        Layer::Dense { relu, .. } | Layer::Conv { relu, .. } | Layer::BatchNorm { relu } if !*relu => {
            *relu = true;
            true
        }
        _ => false,
    }
}
