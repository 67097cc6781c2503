//! A network: a graph of layers with parameters drawn from a seed, on our CPU kernels or composed of candle operations.

mod composed;
mod kernels;

use candle_core::{DType, Device, Result, Tensor, Var};
use spec::model::Graph;

use crate::error::Error;
use crate::kernel::Loss;
use crate::layer::{self, Op, Path};
use crate::optim::Optimizer;
use crate::random::{Purpose, Stream};

pub(crate) use composed::Composed;
pub(crate) use kernels::Kernels;

/// A network that can be trained on single precision.
pub(crate) trait Network: Send {
    /// Where the next batch goes: `batch` examples, one after another.
    fn input(&mut self, batch: usize) -> &mut [f32];

    /// Runs the batch in [`Network::input`] forward; `training` keeps what [`Network::backward`] needs.
    fn forward(&mut self, labels: &[u32], training: bool) -> Result<Loss>;

    /// Runs the last batch backward and learns from it, if there is something to learn with. Returns the Euclidean norm of the
    /// gradient of the mean loss to all parameters.
    fn backward(&mut self, optimizer: Option<&dyn Optimizer>) -> Result<f64>;

    /// How many threads it may use from now on. The results don't depend on it.
    fn set_threads(&mut self, threads: usize);
}

/// The layers of a network, with every shape checked.
pub(crate) struct Structure {
    ops: Vec<Box<dyn Op>>,
    /// For each layer, the outputs that it takes from: 0 is the data, n the n-th layer.
    inputs: Vec<Vec<usize>>,
    /// Shape of the data and of every layer's output, for one example.
    shapes: Vec<Vec<usize>>,
}

impl Structure {
    /// Builds the layers of a graph for examples of shape `input`, channels last.
    ///
    /// # Errors
    /// When layers don't fit together: which layer, the shape that reaches it, and what would fit.
    pub(crate) fn new(graph: &Graph, input: &[usize], classes: usize) -> std::result::Result<Self, Error> {
        let structure = Structure::of(graph, input, classes)?;
        let last = &structure.shapes[structure.ops.len()];
        if *last != [classes] {
            return Err(Error::Mismatch(format!("the network ends with shape {last:?}, and {classes} classes need [{classes}]")));
        }
        Ok(structure)
    }

    /// As [`Structure::new`], with an output of any shape.
    fn of(graph: &Graph, input: &[usize], classes: usize) -> std::result::Result<Self, Error> {
        let mut shapes = vec![input.to_vec()];
        let mut ops: Vec<Box<dyn Op>> = vec![];
        for (i, node) in graph.nodes.iter().enumerate() {
            let at = |what: String| Error::Mismatch(format!("layer {} ({}): {what}", i + 1, node.layer));
            if let Some(later) = node.inputs.iter().find(|input| **input > i) {
                return Err(at(format!("takes from layer {later}, which does not stand before it")));
            }
            if (1..node.inputs.len()).any(|at| node.inputs[..at].contains(&node.inputs[at])) {
                return Err(at("takes twice from the same layer".into()));
            }
            let inputs: Vec<&[usize]> = node.inputs.iter().map(|input| &shapes[*input][..]).collect();
            let op = layer::new(&node.layer, &inputs, classes).map_err(at)?;
            shapes.push(op.output());
            ops.push(op);
        }
        let inputs: Vec<Vec<usize>> = graph.nodes.iter().map(|node| node.inputs.clone()).collect();
        if let Some(unused) = (1..ops.len()).find(|output| inputs.iter().all(|inputs| !inputs.contains(output))) {
            return Err(Error::Mismatch(format!("nothing takes from layer {unused} ({})", graph.nodes[unused - 1].layer)));
        }
        Ok(Structure { ops, inputs, shapes })
    }

    /// Trainable numbers.
    pub(crate) fn parameters(&self) -> u64 {
        self.ops.iter().flat_map(|op| op.parameters()).map(|p| p.shape.iter().product::<usize>() as u64).sum()
    }

    /// Floating-point operations of one training example: 2 per multiply-add; the backward pass costs twice the forward pass,
    /// less the gradients to the data, which nobody needs.
    pub(crate) fn flops(&self) -> u64 {
        let needs = self.needs_gradient();
        let passes = |i: usize| if self.inputs[i].iter().any(|input| needs[*input]) { 3 } else { 2 };
        self.ops.iter().enumerate().map(|(i, op)| 2 * passes(i) * op.multiply_adds()).sum()
    }

    /// Numbers of all outputs of one example.
    pub(crate) fn activations(&self) -> usize {
        self.shapes.iter().map(|shape| shape.iter().product::<usize>()).sum()
    }

    /// Bytes that training takes on our kernels: parameters with what the optimizer remembers of each, activations and their
    /// gradients, and the layers' own memory.
    pub(crate) fn training_bytes(&self, batch: usize, states: usize) -> u64 {
        let parameters = self.parameters() * (1 + states as u64);
        let activations = (2 * batch * self.activations()) as u64;
        let own: u64 = self.ops.iter().map(|op| layer::Build::<f32>::kernel(&**op).memory(batch) as u64).sum();
        4 * (parameters + activations + own)
    }

    /// For the data and every output: whether the gradient to it is needed, because it depends on a parameter.
    fn needs_gradient(&self) -> Vec<bool> {
        let mut needs = vec![false];
        for (op, inputs) in self.ops.iter().zip(&self.inputs) {
            needs.push(!op.parameters().is_empty() || inputs.iter().any(|input| needs[*input]));
        }
        needs
    }

    /// Initial parameters, layer by layer; each has its own random stream.
    fn initial(&self, seed: u64, dtype: DType, device: &Device) -> Result<Vec<Vec<Var>>> {
        let mut index = 0;
        let mut draw = |p: layer::ParameterSpec| {
            let (centre, width) = p.init.interval();
            let mut stream = Stream::new(Purpose::Init, seed, index);
            index += 1;
            let mut next = || if width > 0.0 { centre + width * (2.0 * stream.unit() - 1.0) } else { centre };
            let count = p.shape.iter().product();
            // Large layers have tens of millions of weights: they are not first kept in double precision.
            #[expect(clippy::cast_possible_truncation, reason = "rounding to the working precision is the point")]
            let tensor = if dtype == DType::F32 {
                Tensor::from_vec((0..count).map(|_| next() as f32).collect::<Vec<_>>(), p.shape, &Device::Cpu)?
            } else {
                Tensor::from_vec((0..count).map(|_| next()).collect::<Vec<_>>(), p.shape, &Device::Cpu)?.to_dtype(dtype)?
            };
            Var::from_tensor(&tensor.to_device(device)?)
        };
        self.ops.iter().map(|op| op.parameters().into_iter().map(&mut draw).collect()).collect()
    }
}

/// The network of a structure, with initial weights from a seed and room for what the optimizer remembers.
pub(crate) fn new(structure: Structure, seed: u64, device: &Device, path: Path, optimizer: &dyn Optimizer) -> Result<Box<dyn Network>> {
    Ok(match path {
        Path::Kernels => Box::new(Kernels::<f32>::new(&structure, seed, optimizer.states())?),
        Path::Composed => Box::new(Composed::new(structure, seed, DType::F32, device, optimizer.states())?),
    })
}

#[cfg(test)]
mod tests;
