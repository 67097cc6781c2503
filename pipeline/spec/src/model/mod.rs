//! Networks as data: a graph of layers that the engine builds and whose text is part of a run's identity.
//!
//! Images are stored channels last: one example is \[height, width, channels\], a series \[length, channels\], a volume
//! \[depth, height, width, channels\].

mod file;
mod library;
mod text;

pub use file::{Misfit, Model};
pub use library::Library;
pub use text::NoDefinition;

/// One layer of a network. The number of inputs follows from the layers before it.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// Everything but the batch dimension becomes one dimension.
    Flatten,
    /// `units` outputs, each connected to all inputs.
    Dense {
        units: Units,
        bias: bool,
        relu: bool,
    },
    /// Convolution over 1, 2 or 3 dimensions. Each of the `groups` has its share of the input channels and of the output channels.
    Conv {
        channels: usize,
        window: Window,
        groups: usize,
        bias: bool,
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
    /// Largest value of every channel.
    GlobalMaxPool,
    /// Every channel normalised over the batch, then scaled and shifted (Ioffe & Szegedy 2015).
    BatchNorm {
        relu: bool,
    },
    /// In training, every number is set to 0 with probability `rate`, and the others are divided by 1 − `rate`, so that the
    /// expectation stays (Srivastava et al. 2014).
    Dropout {
        rate: f64,
    },
    Activation(Activation),
    /// Channels of several inputs, one after another.
    Concat,
    /// Sum of several inputs of one shape.
    Add,
    /// The images of a series become the channels of one image: \[frames, height, width, channels\] to \[height, width,
    /// frames · channels\].
    StackFrames,
}

impl Layer {
    /// The name of this kind of layer in model files.
    pub fn kind(&self) -> &'static str {
        let rank = |window: &Window, names: [&'static str; 3]| names[window.size.len().clamp(1, 3) - 1];
        match self {
            Layer::Flatten => "flatten",
            Layer::Dense { .. } => "dense",
            Layer::Conv { window, .. } => rank(window, ["conv1d", "conv2d", "conv3d"]),
            Layer::MaxPool { window } => rank(window, ["max_pool1d", "max_pool2d", "max_pool3d"]),
            Layer::AvgPool { window } => rank(window, ["avg_pool1d", "avg_pool2d", "avg_pool3d"]),
            Layer::GlobalAvgPool => "global_avg_pool",
            Layer::GlobalMaxPool => "global_max_pool",
            Layer::BatchNorm { .. } => "batch_norm",
            Layer::Dropout { .. } => "dropout",
            Layer::Activation(activation) => activation.kind(),
            Layer::Concat => "concat",
            Layer::Add => "add",
            Layer::StackFrames => "stack_frames",
        }
    }
}

impl Activation {
    /// The name in model files.
    pub fn kind(self) -> &'static str {
        match self {
            Activation::Relu => "relu",
            Activation::LeakyRelu { .. } => "leaky_relu",
            Activation::Gelu => "gelu",
            Activation::Silu => "silu",
            Activation::Tanh => "tanh",
            Activation::Sigmoid => "sigmoid",
            Activation::Elu { .. } => "elu",
        }
    }
}

/// A function of every number. A ReLU right behind a layer is that layer's `relu`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    Relu,
    /// x for positive x, else `slope`·x.
    LeakyRelu {
        slope: f64,
    },
    /// x·Φ(x) with the normal distribution's Φ, exact (Hendrycks & Gimpel 2016).
    Gelu,
    /// x·σ(x), also called swish.
    Silu,
    Tanh,
    /// σ(x) = 1 / (1 + e⁻ˣ)
    Sigmoid,
    /// x for positive x, else `alpha`·(eˣ − 1) (Clevert et al. 2015).
    Elu {
        alpha: f64,
    },
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Nothing: windows lie inside.
    Valid,
    /// So much that a stride of 1 keeps the size, and a stride s gives ⌈size / s⌉; an odd rest goes to the end.
    Same,
    /// So many zeros on either side, one number per dimension.
    Each(Vec<usize>),
}

impl Window {
    /// Windows that do the same have one form: padding by zero is none, and a window of one number needs none to keep the size.
    pub fn new(size: Vec<usize>, stride: Vec<usize>, padding: Padding) -> Self {
        let padding = match padding {
            Padding::Each(each) if each.iter().all(|n| *n == 0) => Padding::Valid,
            Padding::Same if size.iter().all(|n| *n == 1) => Padding::Valid,
            other => other,
        };
        Window { size, stride, padding }
    }

    /// A square window over images.
    pub fn square(size: usize, stride: usize, padding: Padding) -> Self {
        Window::new(vec![size; 2], vec![stride; 2], padding)
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
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub layer: Layer,
    /// Numbers of outputs: 0 is the network's input, n the output of its n-th node, which stands before this one.
    pub inputs: Vec<usize>,
    /// What people call it: in tables and messages. Not part of the identity.
    pub name: String,
}

/// A network: nodes that take only from nodes before them. The last one's output is the network's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    pub nodes: Vec<Node>,
    /// The model file that it comes from, for messages. Not part of the identity.
    pub file: Option<String>,
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

    /// Adds a layer that takes from the outputs `inputs`, named by its kind and a number; returns the number of its own output.
    pub fn add(&mut self, layer: Layer, inputs: &[usize]) -> usize {
        let kind = layer.kind();
        let count = self.nodes.iter().filter(|node| node.layer.kind() == kind).count() + 1;
        self.nodes.push(Node { layer, inputs: inputs.to_vec(), name: format!("{kind}_{count}") });
        self.nodes.len()
    }

    /// Adds a layer that takes from the last one.
    pub fn then(&mut self, layer: Layer) -> usize {
        self.add(layer, &[self.nodes.len()])
    }
}

#[cfg(test)]
mod tests;
