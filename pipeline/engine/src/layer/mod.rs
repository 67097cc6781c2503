//! Layers: one file each. A layer has CPU kernels with an explicit backward pass, and a composition of candle operations
//! whose gradients are right, which serves CUDA and Metal and checks the kernels in the tests.
//!
//! To add one: a file here with a type that implements [`Op`], a variant in `spec::model::Layer`, an arm in [`build`].

mod activation;
mod conv2d;
mod dense;
mod flatten;
mod max_pool2d;

use candle_core::{Result, Tensor, Var, bail};
use spec::model;

/// What a layer computes. Shapes of single examples leave the batch dimension out.
pub(crate) trait Op: Send {
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

    /// The output, by CPU kernels. May keep in `self` what `backward` needs beyond input and output.
    fn forward(&mut self, x: &Tensor, parameters: &[Var]) -> Result<Tensor>;

    /// Gradients to the input (if wanted) and the parameters, by CPU kernels.
    fn backward(&mut self, pass: &Pass<'_>, parameters: &[Var]) -> Result<Gradients>;

    /// The output, as a composition of candle operations that its autograd differentiates rightly.
    fn composed(&self, x: &Tensor, parameters: &[Var]) -> Result<Tensor>;
}

/// What a backward pass starts from.
pub(crate) struct Pass<'a> {
    pub x: &'a Tensor,
    pub y: &'a Tensor,
    /// Gradient of the loss to `y`.
    pub dy: &'a Tensor,
    /// Whether the gradient to `x` is needed; not for the first layer.
    pub want_dx: bool,
}

/// Gradients of one layer.
pub(crate) struct Gradients {
    pub input: Option<Tensor>,
    pub parameters: Vec<Tensor>,
}

/// Shape and initial distribution of a trainable tensor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ParameterSpec {
    pub shape: Vec<usize>,
    pub init: Init,
}

/// Initial weights, uniform in ±bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Init {
    /// Bound √(6 / fan_in), for a layer before a ReLU (He et al. 2015, equation 10).
    He {
        fan_in: usize,
    },
    /// Bound √(6 / (fan_in + fan_out)), for a linear output (Glorot & Bengio 2010, equation 16).
    Glorot {
        fan_in: usize,
        fan_out: usize,
    },
    Zero,
}

impl Init {
    /// The initializer that suits a layer's activation.
    fn for_activation(relu: bool, fan_in: usize, fan_out: usize) -> Self {
        if relu { Init::He { fan_in } } else { Init::Glorot { fan_in, fan_out } }
    }

    pub(crate) fn bound(self) -> f64 {
        match self {
            Init::He { fan_in } => (6.0 / fan_in as f64).sqrt(),
            Init::Glorot { fan_in, fan_out } => (6.0 / (fan_in + fan_out) as f64).sqrt(),
            Init::Zero => 0.0,
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

/// The operations of a network, with every shape checked.
///
/// # Errors
/// One sentence that names the layer, the shape that reaches it, and what would fit.
pub(crate) fn build(layers: &[model::Layer], input: &[usize], classes: usize) -> std::result::Result<Vec<Box<dyn Op>>, String> {
    let mut shape = input.to_vec();
    let mut ops: Vec<Box<dyn Op>> = vec![];
    for (i, layer) in layers.iter().enumerate() {
        let at = |what: String| format!("layer {} ({layer}): {what}", i + 1);
        let op: Box<dyn Op> = match *layer {
            model::Layer::Flatten => Box::new(flatten::Flatten::new(&shape)),
            model::Layer::Dense { units, relu } => {
                let units = match units {
                    model::Units::Fixed(n) => n,
                    model::Units::Classes => classes,
                };
                Box::new(dense::Dense::new(&shape, units, relu).map_err(at)?)
            }
            model::Layer::Conv2d { channels, kernel, relu } => Box::new(conv2d::Conv2d::new(&shape, channels, kernel, relu).map_err(at)?),
            model::Layer::MaxPool2d { size } => Box::new(max_pool2d::MaxPool2d::new(&shape, size).map_err(at)?),
        };
        shape = op.output();
        ops.push(op);
    }
    if shape != [classes] {
        return Err(format!("the network ends with shape {shape:?}, and {classes} classes need [{classes}]"));
    }
    Ok(ops)
}

/// A layer in a network: an operation, its parameters, and what it remembers between forward and backward.
pub(crate) struct Layer {
    op: Box<dyn Op>,
    parameters: Vec<Var>,
    path: Path,
    saved: Option<Saved>,
}

/// What a forward pass leaves for the backward pass.
enum Saved {
    Kernels {
        x: Tensor,
        y: Tensor,
    },
    /// A small tape of candle's autograd: from a variable that holds the input to the output.
    Composed {
        x: Var,
        y: Tensor,
    },
}

impl Layer {
    pub(crate) fn new(op: Box<dyn Op>, parameters: Vec<Var>, path: Path) -> Self {
        Layer { op, parameters, path, saved: None }
    }

    pub(crate) fn parameters(&self) -> &[Var] {
        &self.parameters
    }

    /// The output for a batch; `training` keeps what [`Layer::backward`] needs.
    pub(crate) fn forward(&mut self, x: &Tensor, training: bool) -> Result<Tensor> {
        match self.path {
            Path::Kernels => {
                let y = self.op.forward(x, &self.parameters)?;
                self.saved = training.then(|| Saved::Kernels { x: x.clone(), y: y.clone() });
                Ok(y)
            }
            Path::Composed if training => {
                let x = Var::from_tensor(&x.detach())?;
                let y = self.op.composed(x.as_tensor(), &self.parameters)?;
                let out = y.detach();
                self.saved = Some(Saved::Composed { x, y });
                Ok(out)
            }
            Path::Composed => Ok(self.op.composed(x, &self.parameters)?.detach()),
        }
    }

    /// Gradients of the last training forward pass, given the gradient to its output.
    pub(crate) fn backward(&mut self, dy: &Tensor, want_dx: bool) -> Result<Gradients> {
        match self.saved.take() {
            None => bail!("backward without a forward pass in training"),
            Some(Saved::Kernels { x, y }) => self.op.backward(&Pass { x: &x, y: &y, dy, want_dx }, &self.parameters),
            Some(Saved::Composed { x, y }) => {
                let mut grads = (&y * dy)?.sum_all()?.backward()?;
                let mut take = |t: &Tensor| match grads.remove(t) {
                    Some(g) => g.contiguous(),
                    None => t.zeros_like(),
                };
                let parameters = self.parameters.iter().map(|p| take(p)).collect::<Result<_>>()?;
                let input = if want_dx { Some(take(&x)?) } else { None };
                Ok(Gradients { input, parameters })
            }
        }
    }
}

#[cfg(test)]
mod tests;
