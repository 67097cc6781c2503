//! Layers: one file each. A layer has CPU kernels with an explicit backward pass, and a composition of candle operations
//! whose gradients are right, which serves CUDA and Metal and checks the kernels in the tests.
//!
//! To add one: a file here with a type that implements [`Op`] and [`Build`], a variant in `spec::model::Layer`, an arm in
//! [`new`].

mod activation;
mod add;
mod batch_norm;
mod concat;
mod conv;
mod dense;
mod dropout;
mod flatten;
mod pool;
mod stack_frames;

use candle_core::{Result, Tensor, Var};
use spec::{Config, model};

use crate::kernel::{BackwardImage, ForwardImage, Parameter, Real, Slopes, Team};

/// A layer whose shapes are known and fit. Shapes of single examples leave the batch dimension out; channels come last.
pub(crate) trait Op: Build<f32> + Build<f64> + Send {
    /// Shape of one output example.
    fn output(&self) -> Vec<usize>;

    /// The trainable tensors.
    fn parameters(&self) -> Vec<ParameterSpec> {
        vec![]
    }

    /// Multiply-adds of one example's forward pass; 0 where there are none worth counting.
    fn multiply_adds(&self) -> u64 {
        0
    }

    /// The output, as a composition of candle operations that its autograd differentiates rightly.
    ///
    /// `memory` is the layer's own, for what it carries from batch to batch; at first it is what [`Kernel::remembered`] is.
    /// `training`: see [`Pass`].
    fn composed(&self, x: &[Tensor], parameters: &[Var], memory: &mut [Tensor], training: Option<Draw>) -> Result<Tensor>;
}

/// Makes a layer's CPU kernels for an element type.
pub(crate) trait Build<T> {
    fn kernel(&self) -> Box<dyn Kernel<T>>;
}

/// A layer on the CPU, with the memory that it works in.
pub(crate) trait Kernel<T>: Send {
    /// Numbers of memory that it needs for a batch in training, besides inputs, outputs, their gradients and parameters.
    fn memory(&self, _batch: usize) -> usize {
        0
    }

    /// Whether the output is the input, number by number, so that nothing need be done.
    fn is_identity(&self) -> bool {
        false
    }

    /// The forward pass, of one image at a time or of the whole batch. In training, it keeps what the backward pass needs beyond
    /// inputs and output.
    fn forward<'a>(&'a mut self, pass: &Pass<'a>, parameters: &'a [&'a [T]]) -> Forward<'a, T>;

    /// For a layer that takes one image at a time: what computes its gradients to the inputs. `is_inner`: they are wanted.
    fn backward_images<'a>(&'a mut self, pass: &Pass<'a>, parameters: &'a [&'a [T]], is_inner: bool) -> Option<BackwardImage<'a, T>>;

    /// What it remembers of the batches that it saw, and evaluates with.
    fn remembered(&mut self) -> Vec<&mut [T]> {
        vec![]
    }

    /// For a layer that takes one image at a time: whether `backward` needs the gradients to all outputs of the batch.
    fn keeps_slopes(&self) -> bool {
        false
    }

    /// The backward pass of a batch: writes the gradients to the inputs that have a target, learns, and returns the sum of
    /// squares of the gradients to the parameters. If all images have been through [`Kernel::backward_images`], no input has a
    /// target any more, and only learning is left.
    fn backward(&mut self, pass: &Pass<'_>, slopes: Slopes<'_, T>, parameters: &mut [Parameter<'_, T>]) -> f64;
}

/// A forward pass.
pub(crate) enum Forward<'a, T> {
    Images(ForwardImage<'a, T>),
    /// From all inputs of the batch to all outputs.
    Batch(BatchForward<'a, T>),
}

pub(crate) type BatchForward<'a, T> = Box<dyn FnOnce(&[&[T]], &mut [T]) + 'a>;

/// What is the same for all layers of a pass.
pub(crate) struct Pass<'a> {
    pub team: &'a Team,
    pub batch: usize,
    /// In a forward pass in training, what random numbers are drawn from.
    pub training: Option<Draw>,
}

/// What random numbers of a forward pass depend on, so that no two passes draw the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    /// Of the run.
    pub seed: u64,
    /// Examples that were trained on before this batch. A step's numbers don't depend on how many passes it takes.
    pub seen: u64,
}

/// Where a layer stands.
pub(crate) struct Place<'a> {
    /// Its number in the network, from 0.
    pub index: usize,
    /// What messages call the nodes that it takes from.
    pub sources: &'a [String],
    pub classes: usize,
    /// Whether its output goes through functions like ReLU, and nowhere else.
    pub is_rectified: bool,
}

/// An element type that layers have kernels for.
pub(crate) trait Element: Real {
    fn kernel(op: &dyn Op) -> Box<dyn Kernel<Self>>;
}

impl Element for f32 {
    fn kernel(op: &dyn Op) -> Box<dyn Kernel<f32>> {
        op.kernel()
    }
}

impl Element for f64 {
    fn kernel(op: &dyn Op) -> Box<dyn Kernel<f64>> {
        op.kernel()
    }
}

/// Shape and initial distribution of a trainable tensor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ParameterSpec {
    pub shape: Vec<usize>,
    pub init: Init,
}

impl ParameterSpec {
    /// Weights, and one number for each of their last dimension if there is a bias.
    fn with_bias(shape: Vec<usize>, init: Init, bias: bool) -> Vec<Self> {
        let outputs = shape.last().copied().filter(|_| bias);
        let bias = outputs.map(|outputs| ParameterSpec { shape: vec![outputs], init: Init::Zero });
        std::iter::once(ParameterSpec { shape, init }).chain(bias).collect()
    }
}

/// Two inputs that differ where they must not, and what would make the second like the first. `with_channels`: these must agree, too.
fn disagreement(inputs: [(&[usize], &str); 2], with_channels: bool) -> String {
    let [(a, from_a), (b, from_b)] = inputs;
    let remedy = match (a.split_last(), b.split_last()) {
        _ if a.len() != b.len() => "let both have been through { layer = \"flatten\" }, or neither".to_owned(),
        (Some((channels, a)), Some((_, b))) if a == b && with_channels => {
            let (layer, what) = match a.len() {
                0 => (format!("{{ layer = \"dense\", units = {channels} }}"), "units"),
                rank => (format!("{{ layer = \"conv{rank}d\", filters = {channels}, kernel = 1 }}"), "filters"),
            };
            format!("put {layer} between {from_b} and this, or give both equal {what}")
        }
        _ => "on the way to both, take the same strides and poolings, and padding = \"same\" for whatever keeps the size".to_owned(),
    };
    format!("{a:?} from {from_a} and {b:?} from {from_b}; {remedy}")
}

/// Initial numbers of a trainable tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Init {
    Weights {
        fan_in: usize,
        fan_out: usize,
        /// What comes next is a function like ReLU.
        is_rectified: bool,
    },
    Zero,
    One,
}

/// How weights are drawn: uniform in ±√(6 / fan_in) (He et al. 2015, equation 10), or uniform in ±√(6 / (fan_in + fan_out)) (Glorot &
/// Bengio 2010, equation 16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// He before a function like ReLU, Glorot elsewhere.
    #[default]
    Suited,
    He,
    Glorot,
}

impl Scheme {
    /// A configuration's key `init`.
    pub(crate) fn of(config: &Config) -> Self {
        match config.text("init") {
            Ok("he") => Scheme::He,
            Ok("glorot") => Scheme::Glorot,
            _ => Scheme::Suited,
        }
    }
}

impl Init {
    /// Centre and half width of the interval to draw from.
    pub(crate) fn interval(self, scheme: Scheme) -> (f64, f64) {
        match self {
            Init::Weights { fan_in, fan_out, is_rectified } => {
                let is_he = scheme == Scheme::He || (scheme == Scheme::Suited && is_rectified);
                (0.0, (6.0 / if is_he { fan_in } else { fan_in + fan_out } as f64).sqrt())
            }
            Init::Zero => (0.0, 0.0),
            Init::One => (1.0, 0.0),
        }
    }
}

/// How layers compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Our kernels; on the CPU.
    Kernels,
    /// Compositions of candle operations; on any device.
    Composed,
}

/// The operation of a layer for inputs of given shapes.
///
/// # Errors
/// What the layer takes, and the shape that reaches it.
pub(crate) fn new(layer: &model::Layer, inputs: &[&[usize]], place: &Place<'_>) -> std::result::Result<Box<dyn Op>, String> {
    let one = || match *inputs {
        [input] => Ok(input),
        _ => Err(format!("takes one input, not {}", inputs.len())),
    };
    Ok(match layer {
        model::Layer::Concat => Box::new(concat::Concat::new(inputs, place.sources)?),
        model::Layer::Add => Box::new(add::Add::new(inputs, place.sources)?),
        model::Layer::Flatten => Box::new(flatten::Flatten::new(one()?)),
        model::Layer::Dense { units, bias, relu } => {
            let units = match units {
                model::Units::Fixed(n) => *n,
                model::Units::Classes => place.classes,
            };
            Box::new(dense::Dense::new(one()?, units, *bias, *relu, place)?)
        }
        model::Layer::Conv { channels, window, groups, bias, relu } => {
            Box::new(conv::Conv::new(one()?, *channels, window, *groups, *bias, *relu, place)?)
        }
        model::Layer::MaxPool { window } => Box::new(pool::Pool::max(one()?, window)?),
        model::Layer::AvgPool { window } => Box::new(pool::Pool::mean(one()?, window)?),
        model::Layer::GlobalAvgPool => Box::new(pool::Pool::global_mean(one()?)?),
        model::Layer::GlobalMaxPool => Box::new(pool::Pool::global_max(one()?)?),
        model::Layer::BatchNorm { relu } => Box::new(batch_norm::BatchNorm::new(one()?, *relu)?),
        model::Layer::Dropout { rate } => Box::new(dropout::Dropout::new(one()?, *rate, place.index)?),
        model::Layer::Activation(activation) => Box::new(activation::Activate::new(one()?, *activation)),
        model::Layer::StackFrames => Box::new(stack_frames::StackFrames::new(one()?)?),
    })
}
