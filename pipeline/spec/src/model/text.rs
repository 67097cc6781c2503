//! The text of a network that goes into a run's identity, such as `flatten, dense 128 relu, dense classes`, and back.

use std::collections::BTreeMap;
use std::fmt;
use std::str::{FromStr, Split};

use super::file::MAX_LAYERS;
use super::{Activation, Graph, Layer, Node, Padding, Units, Window};
use crate::visible::brief;

/// A node that does not simply take from the one before it says where it takes from: `concat <- 4 6 8 10`.
impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, node) in self.nodes.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{}", node.layer)?;
            if node.inputs != [i] {
                write!(f, " <-")?;
                node.inputs.iter().try_for_each(|input| write!(f, " {input}"))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let act = |relu: bool| if relu { " relu" } else { "" };
        match self {
            Layer::Flatten => f.write_str("flatten"),
            Layer::Dense { units, bias, relu } => {
                match units {
                    Units::Fixed(n) => write!(f, "dense {n}")?,
                    Units::Classes => f.write_str("dense classes")?,
                }
                f.write_str(no_bias(*bias))?;
                f.write_str(act(*relu))
            }
            Layer::Conv { channels, window, groups, bias, relu } => {
                write!(f, "conv{} {channels}", sizes(&window.size))?;
                if window.stride.iter().any(|s| *s != 1) {
                    write!(f, " stride {}", sizes(&window.stride))?;
                }
                match &window.padding {
                    Padding::Valid if window.size.iter().any(|s| *s != 1) => f.write_str(" valid")?,
                    Padding::Each(each) => write!(f, " pad {}", sizes(each))?,
                    _ => {}
                }
                if *groups != 1 {
                    write!(f, " groups {groups}")?;
                }
                f.write_str(no_bias(*bias))?;
                f.write_str(act(*relu))
            }
            Layer::MaxPool { window } => write!(f, "maxpool {}", pooling(window)),
            Layer::AvgPool { window } => write!(f, "avgpool {}", pooling(window)),
            Layer::GlobalAvgPool => f.write_str("global-avgpool"),
            Layer::GlobalMaxPool => f.write_str("global-maxpool"),
            Layer::BatchNorm { relu } => write!(f, "batchnorm{}", act(*relu)),
            Layer::Dropout { rate } => write!(f, "dropout {rate}"),
            Layer::Activation(activation) => activation.fmt(f),
            Layer::Concat => f.write_str("concat"),
            Layer::Add => f.write_str("add"),
            Layer::StackFrames => f.write_str("stack-frames"),
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Activation::Relu => f.write_str("relu"),
            Activation::LeakyRelu { slope } => write!(f, "leaky-relu {slope}"),
            Activation::Gelu => f.write_str("gelu"),
            Activation::Silu => f.write_str("silu"),
            Activation::Tanh => f.write_str("tanh"),
            Activation::Sigmoid => f.write_str("sigmoid"),
            Activation::Elu { alpha } => write!(f, "elu {alpha}"),
        }
    }
}

fn no_bias(bias: bool) -> &'static str {
    if bias { "" } else { " no-bias" }
}

/// `3x3`
fn sizes(sizes: &[usize]) -> String {
    sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}

/// `2` for the common square window that moves by its own size, else all of it: `3x3 stride 1x1 same`.
fn pooling(window: &Window) -> String {
    if window.stride == window.size && window.padding == Padding::Valid && window.size.len() == 2 && window.size[0] == window.size[1] {
        return window.size[0].to_string();
    }
    let padding = match &window.padding {
        Padding::Valid => String::new(),
        Padding::Same => " same".into(),
        Padding::Each(each) => format!(" pad {}", sizes(each)),
    };
    format!("{} stride {}{padding}", sizes(&window.size), sizes(&window.stride))
}

/// A text that defines no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDefinition {
    #[error("`{0}` is no layer in the definition of a network")]
    Layer(String),
    #[error("the definition of a network has more than {MAX_LAYERS} layers")]
    TooLong,
}

/// Of what a layer says; model files allow no more. The text may come from a database that somebody sent.
const MAX_NUMBER: usize = 65_536;

/// Reads the text back, so that a run can be trained again from its configuration alone. Nodes get names by kind and number.
impl FromStr for Graph {
    type Err = NoDefinition;

    fn from_str(text: &str) -> Result<Self, NoDefinition> {
        if text.matches(", ").count() >= MAX_LAYERS {
            return Err(NoDefinition::TooLong);
        }
        let mut graph = Graph::default();
        let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
        for (i, part) in text.split(", ").enumerate() {
            let (layer, inputs) = node(part, i).ok_or_else(|| NoDefinition::Layer(brief(part, 60)))?;
            let count = counts.entry(layer.kind()).and_modify(|n| *n += 1).or_insert(1);
            let name = format!("{}_{count}", layer.kind());
            graph.nodes.push(Node { layer, inputs, name });
        }
        Ok(graph)
    }
}

/// The node with `before` nodes before it.
fn node(part: &str, before: usize) -> Option<(Layer, Vec<usize>)> {
    let (words, inputs) = match part.split_once(" <- ") {
        None => (part, vec![before]),
        Some((words, inputs)) => (words, inputs.split(' ').map(|n| n.parse().ok()).collect::<Option<_>>()?),
    };
    let mut words = Words(words.split(' '));
    let layer = words.layer()?;
    (words.0.next().is_none() && inputs.iter().all(|n| *n <= before)).then_some((layer, inputs))
}

/// What is left of a layer's text.
struct Words<'a>(Split<'a, char>);

impl Words<'_> {
    fn layer(&mut self) -> Option<Layer> {
        Some(match self.0.next()? {
            "flatten" => Layer::Flatten,
            "dense" => Layer::Dense {
                units: match self.0.next()? {
                    "classes" => Units::Classes,
                    n => Units::Fixed(positive(n)?),
                },
                bias: !self.has("no-bias"),
                relu: self.has("relu"),
            },
            "maxpool" => Layer::MaxPool { window: self.pooling()? },
            "avgpool" => Layer::AvgPool { window: self.pooling()? },
            "global-avgpool" => Layer::GlobalAvgPool,
            "global-maxpool" => Layer::GlobalMaxPool,
            "batchnorm" => Layer::BatchNorm { relu: self.has("relu") },
            "dropout" => Layer::Dropout { rate: self.number().filter(|rate| (0.0..1.0).contains(rate))? },
            "relu" => Layer::Activation(Activation::Relu),
            "leaky-relu" => Layer::Activation(Activation::LeakyRelu { slope: self.number()? }),
            "gelu" => Layer::Activation(Activation::Gelu),
            "silu" => Layer::Activation(Activation::Silu),
            "tanh" => Layer::Activation(Activation::Tanh),
            "sigmoid" => Layer::Activation(Activation::Sigmoid),
            "elu" => Layer::Activation(Activation::Elu { alpha: self.number()? }),
            "concat" => Layer::Concat,
            "add" => Layer::Add,
            "stack-frames" => Layer::StackFrames,
            conv => self.conv(list(conv.strip_prefix("conv")?, 1)?)?,
        })
    }

    fn conv(&mut self, size: Vec<usize>) -> Option<Layer> {
        let channels = positive(self.0.next()?)?;
        let stride = if self.has("stride") { self.list(&size, 1)? } else { vec![1; size.len()] };
        let padding = if self.has("valid") {
            Padding::Valid
        } else if self.has("pad") {
            Padding::Each(self.list(&size, 0)?)
        } else {
            Padding::Same
        };
        let groups = if self.has("groups") { positive(self.0.next()?)? } else { 1 };
        let (bias, relu) = (!self.has("no-bias"), self.has("relu"));
        Some(Layer::Conv { channels, window: Window::new(size, stride, padding), groups, bias, relu })
    }

    fn pooling(&mut self) -> Option<Window> {
        let size = list(self.0.next()?, 1)?;
        if !self.has("stride") {
            let [side] = size[..] else { return None };
            return Some(Window::square(side, side, Padding::Valid));
        }
        let stride = self.list(&size, 1)?;
        let padding = if self.has("same") {
            Padding::Same
        } else if self.has("pad") {
            Padding::Each(self.list(&size, 0)?)
        } else {
            Padding::Valid
        };
        Some(Window::new(size, stride, padding))
    }

    /// Takes the next word if it is this one.
    fn has(&mut self, word: &str) -> bool {
        let mut ahead = self.0.clone();
        let found = ahead.next() == Some(word);
        if found {
            self.0 = ahead;
        }
        found
    }

    /// As many numbers as `like` has, none below `least`.
    fn list(&mut self, like: &[usize], least: usize) -> Option<Vec<usize>> {
        list(self.0.next()?, least).filter(|numbers| numbers.len() == like.len())
    }

    fn number(&mut self) -> Option<f64> {
        self.0.next()?.parse().ok().filter(|x: &f64| x.is_finite())
    }
}

fn positive(word: &str) -> Option<usize> {
    word.parse().ok().filter(|n| (1..=MAX_NUMBER).contains(n))
}

/// `3x3`: one to three numbers, none below `least`.
fn list(word: &str, least: usize) -> Option<Vec<usize>> {
    let numbers: Vec<usize> = word.split('x').map(|n| n.parse().ok()).collect::<Option<_>>()?;
    (numbers.len() <= 3 && numbers.iter().all(|n| (least..=MAX_NUMBER).contains(n))).then_some(numbers)
}
