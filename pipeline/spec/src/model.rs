//! The built-in networks as data: a list of layers that the engine builds and whose text is part of a run's identity.

use std::fmt;

use crate::config::{Config, Missing};
use crate::vocabulary::{Choice, Key};

/// One layer of a network. The number of inputs follows from the layer before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Everything but the batch dimension becomes one dimension.
    Flatten,
    /// `units` outputs, each connected to all inputs, with bias.
    Dense { units: Units, relu: bool },
    /// Square kernel, stride 1, zero padding that keeps the size, with bias.
    Conv2d { channels: usize, kernel: usize, relu: bool },
    /// Square window that moves by its own size; what does not fill a window is dropped.
    MaxPool2d { size: usize },
}

/// The width of a dense layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    Fixed(usize),
    /// One per class of the dataset.
    Classes,
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
    ]
}

/// The layers of the model that a configuration names.
///
/// # Errors
/// When the configuration lacks a key of the model; not for one that a grid file produced.
pub fn layers(config: &Config) -> Result<Vec<Layer>, Missing> {
    let output = Layer::Dense { units: Units::Classes, relu: false };
    match config.text("model")? {
        "mlp" => {
            let hidden = Units::Fixed(config.count("hidden")?);
            Ok(vec![Layer::Flatten, Layer::Dense { units: hidden, relu: true }, output])
        }
        "small-cnn" => Ok(vec![
            Layer::Conv2d { channels: 16, kernel: 3, relu: true },
            Layer::MaxPool2d { size: 2 },
            Layer::Conv2d { channels: 32, kernel: 3, relu: true },
            Layer::MaxPool2d { size: 2 },
            Layer::Flatten,
            Layer::Dense { units: Units::Fixed(64), relu: true },
            output,
        ]),
        _ => Err(Missing("model".into())),
    }
}

/// The text of a network that goes into a run's identity, such as `flatten, dense 128 relu, dense classes`.
pub fn definition(layers: &[Layer]) -> String {
    layers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let act = |relu: bool| if relu { " relu" } else { "" };
        match self {
            Layer::Flatten => f.write_str("flatten"),
            Layer::Dense { units: Units::Fixed(n), relu } => write!(f, "dense {n}{}", act(*relu)),
            Layer::Dense { units: Units::Classes, relu } => write!(f, "dense classes{}", act(*relu)),
            Layer::Conv2d { channels, kernel, relu } => write!(f, "conv{kernel}x{kernel} {channels}{}", act(*relu)),
            Layer::MaxPool2d { size } => write!(f, "maxpool {size}"),
        }
    }
}
