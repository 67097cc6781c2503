//! The layers that model files can name, their attributes, and how a [`Layer`] is made of them.

use crate::model::{Activation, Layer, Padding, Units, Window};
use crate::value::Value;
use crate::vocabulary::suggest;

/// Every `layer = "…"`.
pub(super) const KINDS: [&str; 26] = [
    "dense",
    "conv1d",
    "conv2d",
    "conv3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "global_avg_pool",
    "global_max_pool",
    "batch_norm",
    "dropout",
    "flatten",
    "concat",
    "add",
    "stack_frames",
    "relu",
    "leaky_relu",
    "gelu",
    "silu",
    "tanh",
    "sigmoid",
    "elu",
    "none",
];

const ACTIVATIONS: [&str; 8] = ["none", "relu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid", "elu"];

/// Far beyond any network that could be trained here, and products of them still fit into 64 bits.
const MAX_UNITS: i64 = 65_536;
const MAX_SIZE: i64 = 1024;

/// An attribute of a layer.
#[derive(Debug)]
pub(super) struct Declared {
    pub name: &'static str,
    takes: Takes,
    pub required: bool,
}

#[derive(Clone, Copy, Debug)]
enum Takes {
    /// A number of outputs, or `"classes"`.
    Units,
    /// A number of channels or groups.
    Count,
    /// One number, or one per dimension.
    Sizes,
    Padding,
    Flag,
    /// From `.0` to `.1`; `.2`: the upper end itself is allowed.
    Number(f64, f64, bool),
    Activation,
}

const fn needs(name: &'static str, takes: Takes) -> Declared {
    Declared { name, takes, required: true }
}

const fn may(name: &'static str, takes: Takes) -> Declared {
    Declared { name, takes, required: false }
}

const DENSE: [Declared; 3] = [needs("units", Takes::Units), may("activation", Takes::Activation), may("bias", Takes::Flag)];
const CONV: [Declared; 7] = [
    needs("filters", Takes::Count),
    needs("kernel", Takes::Sizes),
    may("stride", Takes::Sizes),
    may("padding", Takes::Padding),
    may("groups", Takes::Count),
    may("bias", Takes::Flag),
    may("activation", Takes::Activation),
];
const POOL: [Declared; 3] = [needs("size", Takes::Sizes), may("stride", Takes::Sizes), may("padding", Takes::Padding)];
const BATCH_NORM: [Declared; 1] = [may("activation", Takes::Activation)];
const DROPOUT: [Declared; 1] = [needs("rate", Takes::Number(0.0, 1.0, false))];
const LEAKY_RELU: [Declared; 1] = [may("slope", Takes::Number(0.0, 1.0, true))];
const ELU: [Declared; 1] = [may("alpha", Takes::Number(0.0, 1000.0, true))];

/// The attributes of a kind of layer.
pub(super) fn attributes(kind: &str) -> &'static [Declared] {
    match family(kind).0 {
        "dense" => &DENSE,
        "conv" => &CONV,
        "max_pool" | "avg_pool" => &POOL,
        "batch_norm" => &BATCH_NORM,
        "dropout" => &DROPOUT,
        "leaky_relu" => &LEAKY_RELU,
        "elu" => &ELU,
        _ => &[],
    }
}

/// Layers that take from several others.
pub(super) fn joins(kind: &str) -> bool {
    matches!(kind, "concat" | "add")
}

/// `conv2d` is `conv` over 2 dimensions; other layers have none.
fn family(kind: &str) -> (&str, usize) {
    match kind.as_bytes() {
        [.., rank @ b'1'..=b'3', b'd'] => (&kind[..kind.len() - 2], usize::from(rank - b'0')),
        _ => (kind, 0),
    }
}

/// A value of an attribute, parameters filled in.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    One(Value),
    List(Vec<Value>),
}

/// What an attribute says, understood.
#[derive(Clone, Debug)]
pub(super) enum Given {
    Units(Units),
    Count(usize),
    Sizes(Vec<usize>),
    Padding(Padding),
    Flag(bool),
    Number(f64),
    Activation(Option<Activation>),
}

/// Why a value is refused.
#[derive(Debug)]
pub(super) struct Wrong {
    pub message: String,
    pub help: Option<String>,
}

/// Understands the value of an attribute of a layer.
pub(super) fn read(kind: &str, declared: &Declared, value: &Literal) -> Result<Given, Wrong> {
    let name = declared.name;
    let rank = family(kind).1;
    let sizes = |least: i64| match value {
        Literal::One(v) => whole(v, least, MAX_SIZE).map(|n| vec![n; rank]),
        Literal::List(list) if list.len() == rank => list.iter().map(|v| whole(v, least, MAX_SIZE)).collect(),
        Literal::List(_) => None,
    };
    let dimensions = match rank {
        1 => "a list of one".to_owned(),
        _ => format!("a list of {rank}"),
    };
    let understood = match (declared.takes, value) {
        (Takes::Units, Literal::One(Value::Text(text))) if text == "classes" => Some(Given::Units(Units::Classes)),
        (Takes::Units, Literal::One(v)) => whole(v, 1, MAX_UNITS).map(|n| Given::Units(Units::Fixed(n))),
        (Takes::Count, Literal::One(v)) => whole(v, 1, MAX_UNITS).map(Given::Count),
        (Takes::Sizes, _) => sizes(1).map(Given::Sizes),
        (Takes::Padding, Literal::One(Value::Text(text))) => match text.as_ref() {
            "valid" => Some(Given::Padding(Padding::Valid)),
            "same" => Some(Given::Padding(Padding::Same)),
            _ => None,
        },
        (Takes::Padding, _) => sizes(0).map(|each| Given::Padding(Padding::Each(each))),
        (Takes::Flag, Literal::One(Value::Bool(flag))) => Some(Given::Flag(*flag)),
        (Takes::Number(from, to, inclusive), Literal::One(v)) => {
            v.number().filter(|x| *x >= from && (*x < to || inclusive && *x <= to)).map(Given::Number)
        }
        (Takes::Activation, Literal::One(Value::Text(text))) => {
            if !ACTIVATIONS.contains(&text.as_ref()) {
                let error = Wrong { message: format!("unknown activation `{text}`"), help: None };
                return Err(error.suggest(text, &ACTIVATIONS));
            }
            Some(Given::Activation(activation(text, &[])))
        }
        _ => None,
    };
    understood.ok_or_else(|| {
        let takes = match declared.takes {
            Takes::Units => format!("a whole number from 1 to {MAX_UNITS} or \"classes\""),
            Takes::Count => format!("a whole number from 1 to {MAX_UNITS}"),
            Takes::Sizes => format!("a whole number from 1 to {MAX_SIZE}, or {dimensions}"),
            Takes::Padding => format!("\"valid\", \"same\", a whole number from 0 to {MAX_SIZE}, or {dimensions}"),
            Takes::Flag => "true or false".to_owned(),
            Takes::Number(from, to, true) => format!("a number from {from} to {to}"),
            Takes::Number(from, to, false) => format!("a number from {from} to below {to}"),
            Takes::Activation => "the name of an activation in quotes".to_owned(),
        };
        let error = Wrong { message: format!("`{name}` of {kind} takes {takes}, not {}", shown(value)), help: None };
        match (declared.takes, value) {
            (Takes::Units, Literal::One(Value::Text(text))) => error.suggest(text, &["classes"]),
            (Takes::Padding, Literal::One(Value::Text(text))) => error.suggest(text, &["valid", "same"]),
            _ => error,
        }
    })
}

impl Wrong {
    /// Adds `did you mean …?` when there is something to suggest, else lists what there is if that is more than the message says.
    fn suggest(self, word: &str, known: &[&str]) -> Self {
        let help = match suggest(word, known.iter().copied()) {
            Some(s) => Some(format!("did you mean `{s}`?")),
            None if known.len() > 2 => Some(format!("known: {}", known.join(", "))),
            None => None,
        };
        Wrong { help, ..self }
    }
}

fn whole(value: &Value, least: i64, most: i64) -> Option<usize> {
    match value {
        Value::Int(n) if (least..=most).contains(n) => usize::try_from(*n).ok(),
        _ => None,
    }
}

/// As a file would have it.
pub(super) fn shown(value: &Literal) -> String {
    match value {
        Literal::One(Value::Text(text)) => format!("\"{text}\""),
        Literal::One(v) => v.to_string(),
        Literal::List(list) => format!("[{}]", list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// The attributes of a layer that the file gives.
type All = [(&'static str, Given)];

/// A layer of the file as layers of a network: itself, unless it does nothing, and an activation behind it.
#[derive(Debug, Default)]
pub(super) struct Built {
    pub layer: Option<Layer>,
    pub then: Option<Activation>,
}

/// Makes the layer; its attributes are those of its kind, none that is needed is missing.
pub(super) fn build(kind: &str, given: &All) -> Result<Built, Wrong> {
    let mut built = Built { layer: None, then: None };
    let behind = given.iter().find_map(|(_, g)| if let Given::Activation(a) = g { *a } else { None });
    let relu = behind == Some(Activation::Relu);
    let bias = given.iter().all(|(_, g)| !matches!(g, Given::Flag(false)));
    built.layer = match family(kind).0 {
        "dense" => {
            let units = given.iter().find_map(|(_, g)| if let Given::Units(units) = g { Some(*units) } else { None });
            units.map(|units| Layer::Dense { units, bias, relu })
        }
        "conv" => {
            let (channels, groups) = (count(given, "filters"), count(given, "groups"));
            if channels % groups != 0 {
                let message =
                    format!("`filters` of {kind} must be a multiple of `groups`: {channels} filters don't fall into {groups} groups");
                return Err(Wrong { message, help: None });
            }
            Some(Layer::Conv { channels, window: window(given, "kernel"), groups, bias, relu })
        }
        "max_pool" => Some(Layer::MaxPool { window: window(given, "size") }),
        "avg_pool" => Some(Layer::AvgPool { window: window(given, "size") }),
        "global_avg_pool" => Some(Layer::GlobalAvgPool),
        "global_max_pool" => Some(Layer::GlobalMaxPool),
        "batch_norm" => Some(Layer::BatchNorm { relu }),
        "dropout" => number(given, "rate").filter(|rate| *rate > 0.0).map(|rate| Layer::Dropout { rate }),
        "flatten" => Some(Layer::Flatten),
        "concat" => Some(Layer::Concat),
        "add" => Some(Layer::Add),
        "stack_frames" => Some(Layer::StackFrames),
        name => activation(name, given).map(Layer::Activation),
    };
    built.then = behind.filter(|_| !relu);
    Ok(built)
}

/// `None` for `none`.
fn activation(name: &str, given: &All) -> Option<Activation> {
    Some(match name {
        "relu" => Activation::Relu,
        "leaky_relu" => Activation::LeakyRelu { slope: number(given, "slope").unwrap_or(0.01) },
        "gelu" => Activation::Gelu,
        "silu" => Activation::Silu,
        "tanh" => Activation::Tanh,
        "sigmoid" => Activation::Sigmoid,
        "elu" => Activation::Elu { alpha: number(given, "alpha").unwrap_or(1.0) },
        _ => return None,
    })
}

/// 1 when it is not given.
fn count(given: &All, name: &str) -> usize {
    given.iter().find_map(|(n, g)| if let Given::Count(count) = g { (*n == name).then_some(*count) } else { None }).unwrap_or(1)
}

fn number(given: &All, name: &str) -> Option<f64> {
    given.iter().find_map(|(n, g)| if let Given::Number(x) = g { (*n == name).then_some(*x) } else { None })
}

/// A convolution moves by 1 unless told otherwise, a pooling by its own size.
fn window(given: &All, size: &str) -> Window {
    let sizes = |name: &str| given.iter().find_map(|(n, g)| if let Given::Sizes(s) = g { (*n == name).then(|| s.clone()) } else { None });
    let extent = sizes(size).unwrap_or_default();
    let usual = if size == "kernel" { vec![1; extent.len()] } else { extent.clone() };
    let padding = given.iter().find_map(|(_, g)| if let Given::Padding(p) = g { Some(p.clone()) } else { None });
    Window::new(extent, sizes("stride").unwrap_or(usual), padding.unwrap_or(Padding::Valid))
}
