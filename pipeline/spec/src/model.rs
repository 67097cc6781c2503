//! Networks as data: a graph of layers that the engine builds and whose text is part of a run's identity.
//!
//! Images are stored channels last: one example is \[height, width, channels\], a series \[length, channels\], a volume
//! \[depth, height, width, channels\].

use std::fmt;

use crate::config::{Config, Missing};
use crate::vocabulary::{Choice, Key};

/// One layer of a network. The number of inputs follows from the layers before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Everything but the batch dimension becomes one dimension.
    Flatten,
    /// `units` outputs, each connected to all inputs, with bias.
    Dense {
        units: Units,
        relu: bool,
    },
    /// Convolution over 1, 2 or 3 dimensions, with bias.
    Conv {
        channels: usize,
        window: Window,
        relu: bool,
    },
    MaxPool {
        window: Window,
    },
    /// Mean of every window; padding is not counted.
    AvgPool {
        window: Window,
    },
    /// Mean of every channel.
    GlobalAvgPool,
    /// Every channel normalised over the batch, then scaled and shifted (Ioffe & Szegedy 2015).
    BatchNorm {
        relu: bool,
    },
    /// Channels of several inputs, one after another.
    Concat,
}

/// A window that moves over 1, 2 or 3 dimensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// One size per dimension.
    pub size: Vec<usize>,
    pub stride: Vec<usize>,
    pub padding: Padding,
}

/// What surrounds an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Nothing: windows lie inside.
    Valid,
    /// So much that a stride of 1 keeps the size, and a stride s gives ⌈size / s⌉; an odd rest goes to the end.
    Same,
}

impl Window {
    /// A square window over images.
    pub fn square(size: usize, stride: usize, padding: Padding) -> Self {
        Window { size: vec![size; 2], stride: vec![stride; 2], padding }
    }
}

/// The width of a dense layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    Fixed(usize),
    /// One per class of the dataset.
    Classes,
}

/// A layer and where its inputs come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub layer: Layer,
    /// Numbers of outputs: 0 is the network's input, n the output of its n-th node, which stands before this one.
    pub inputs: Vec<usize>,
}

/// A network: nodes that take only from nodes before them. The last one's output is the network's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    pub nodes: Vec<Node>,
}

impl Graph {
    /// Layers in a row.
    pub fn chain(layers: impl IntoIterator<Item = Layer>) -> Self {
        let mut graph = Graph::default();
        for layer in layers {
            graph.then(layer);
        }
        graph
    }

    /// Adds a layer that takes from the outputs `inputs`; returns the number of its own output.
    pub fn add(&mut self, layer: Layer, inputs: &[usize]) -> usize {
        self.nodes.push(Node { layer, inputs: inputs.to_vec() });
        self.nodes.len()
    }

    /// Adds a layer that takes from the last one.
    pub fn then(&mut self, layer: Layer) -> usize {
        self.add(layer, &[self.nodes.len()])
    }
}

/// The text of a network that goes into a run's identity, such as `flatten, dense 128 relu, dense classes`.
///
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
            Layer::Dense { units: Units::Fixed(n), relu } => write!(f, "dense {n}{}", act(*relu)),
            Layer::Dense { units: Units::Classes, relu } => write!(f, "dense classes{}", act(*relu)),
            Layer::Conv { channels, window, relu } => {
                write!(f, "conv{} {channels}", sizes(&window.size))?;
                if window.stride.iter().any(|s| *s != 1) {
                    write!(f, " stride {}", sizes(&window.stride))?;
                }
                if window.padding == Padding::Valid && window.size.iter().any(|s| *s != 1) {
                    f.write_str(" valid")?;
                }
                f.write_str(act(*relu))
            }
            Layer::MaxPool { window } => write!(f, "maxpool {}", pooling(window)),
            Layer::AvgPool { window } => write!(f, "avgpool {}", pooling(window)),
            Layer::GlobalAvgPool => f.write_str("global-avgpool"),
            Layer::BatchNorm { relu } => write!(f, "batchnorm{}", act(*relu)),
            Layer::Concat => f.write_str("concat"),
        }
    }
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
    let padding = if window.padding == Padding::Same { " same" } else { "" };
    format!("{} stride {}{padding}", sizes(&window.size), sizes(&window.stride))
}

/// The models that a grid file can name.
pub fn choices() -> Vec<Choice> {
    vec![
        Choice {
            name: "mlp",
            doc: "flatten, one hidden layer with ReLU, one output per class",
            keys: vec![Key::int("hidden", 1..=16_384, 128, "units of the hidden layer")],
        },
        Choice {
            name: "small-cnn",
            doc: "conv 3×3 16, pool 2, conv 3×3 32, pool 2, dense 64, one output per class (ReLU between)",
            keys: vec![],
        },
        Choice {
            name: "stacked-cnn",
            doc: "conv 1×1 64, 1×1 64, 3×3 128, 5×5 256, max-pool 3×3 that keeps the size, dense 512, one output per class",
            keys: vec![],
        },
        Choice {
            name: "inception",
            doc: "conv 3×3 32, two Inception modules with 1×1 reductions, pool 2 between, global average, one output per class",
            keys: vec![Key::switch("batch_norm", "normalise after every convolution, before its ReLU")],
        },
    ]
}

/// The network of the model that a configuration names.
///
/// # Errors
/// When the configuration lacks a key of the model; not for one that a grid file produced.
pub fn graph(config: &Config) -> Result<Graph, Missing> {
    let dense = |n| Layer::Dense { units: Units::Fixed(n), relu: true };
    let output = Layer::Dense { units: Units::Classes, relu: false };
    let conv = |channels, size, padding| Layer::Conv { channels, window: Window::square(size, 1, padding), relu: true };
    let halve = || Layer::MaxPool { window: Window::square(2, 2, Padding::Valid) };
    match config.text("model")? {
        "mlp" => Ok(Graph::chain([Layer::Flatten, dense(config.count("hidden")?), output])),
        "small-cnn" => {
            Ok(Graph::chain([conv(16, 3, Padding::Same), halve(), conv(32, 3, Padding::Same), halve(), Layer::Flatten, dense(64), output]))
        }
        "stacked-cnn" => Ok(Graph::chain([
            conv(64, 1, Padding::Valid),
            conv(64, 1, Padding::Valid),
            conv(128, 3, Padding::Valid),
            conv(256, 5, Padding::Valid),
            Layer::MaxPool { window: Window::square(3, 1, Padding::Same) },
            Layer::Flatten,
            dense(512),
            output,
        ])),
        "inception" => {
            let mut graph = Graph::default();
            let batch_norm = config.switch("batch_norm")?;
            let stem = convolution(&mut graph, 0, 32, 3, batch_norm);
            let module = inception_module(&mut graph, stem, batch_norm);
            let halved = graph.add(halve(), &[module]);
            inception_module(&mut graph, halved, batch_norm);
            graph.then(Layer::GlobalAvgPool);
            graph.then(output);
            Ok(graph)
        }
        _ => Err(Missing("model".into())),
    }
}

/// A convolution that keeps the size, and a ReLU, with batch normalisation between if wanted.
fn convolution(graph: &mut Graph, from: usize, channels: usize, size: usize, batch_norm: bool) -> usize {
    let conv = graph.add(Layer::Conv { channels, window: Window::square(size, 1, Padding::Same), relu: !batch_norm }, &[from]);
    if batch_norm { graph.add(Layer::BatchNorm { relu: true }, &[conv]) } else { conv }
}

/// 1×1, 1×1 then 3×3, 1×1 then 5×5, and pooling then 1×1, side by side: 96 channels (Szegedy et al. 2015, figure 2b).
fn inception_module(graph: &mut Graph, from: usize, batch_norm: bool) -> usize {
    let mut conv = |from, channels, size| convolution(graph, from, channels, size, batch_norm);
    let one = conv(from, 32, 1);
    let reduced = conv(from, 24, 1);
    let three = conv(reduced, 32, 3);
    let reduced = conv(from, 8, 1);
    let five = conv(reduced, 16, 5);
    let pooled = graph.add(Layer::MaxPool { window: Window::square(3, 1, Padding::Same) }, &[from]);
    let pool = convolution(graph, pooled, 16, 1, batch_norm);
    graph.add(Layer::Concat, &[one, three, five, pool])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    fn text(model: &'static str, keys: &[(&'static str, Value)]) -> String {
        let mut config = Config::default();
        config.insert("model", Value::Text(model.into()));
        for (key, value) in keys {
            config.insert(*key, value.clone());
        }
        graph(&config).unwrap().to_string()
    }

    #[test]
    fn networks_have_a_text() {
        assert_eq!(text("mlp", &[("hidden", Value::Int(8))]), "flatten, dense 8 relu, dense classes");
        assert_eq!(text("small-cnn", &[]), "conv3x3 16 relu, maxpool 2, conv3x3 32 relu, maxpool 2, flatten, dense 64 relu, dense classes");
        assert_eq!(
            text("stacked-cnn", &[]),
            "conv1x1 64 relu, conv1x1 64 relu, conv3x3 128 valid relu, conv5x5 256 valid relu, maxpool 3x3 stride 1x1 same, flatten, \
             dense 512 relu, dense classes"
        );
        let inception = text("inception", &[("batch_norm", Value::Bool(false))]);
        assert!(inception.starts_with(
            "conv3x3 32 relu, conv1x1 32 relu, conv1x1 24 relu <- 1, conv3x3 32 relu, conv1x1 8 relu <- 1, conv5x5 16 relu, \
             maxpool 3x3 stride 1x1 same <- 1, conv1x1 16 relu, concat <- 2 4 6 8, maxpool 2, conv1x1 32 relu,"
        ));
        assert!(text("inception", &[("batch_norm", Value::Bool(true))]).contains("conv3x3 32, batchnorm relu, conv1x1 32,"));
    }
}
