//! A network: a graph of layers with parameters drawn from a seed, on our CPU kernels or composed of candle operations.

mod composed;
mod kernels;

use candle_core::{DType, Device, Result, Tensor, Var};
use spec::model::{Activation, Graph, Layer, Node};

use crate::checkpoint::Visit;
use crate::error::Error;
use crate::kernel::Loss;
use crate::layer::{self, Op, Path, Place, Scheme};
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

    /// Runs the last batch backward. Returns the Euclidean norm of the gradient of the mean loss to all parameters.
    fn backward(&mut self, learn: Learn<'_>) -> Result<f64>;

    /// The Euclidean norm of what [`Learn::Gather`] has added up.
    fn gathered_norm(&mut self) -> Result<f64>;

    /// Learns from `scale` times what was gathered, if there is something to learn with, and forgets it.
    fn learn_gathered(&mut self, scale: f64, optimizer: Option<&dyn Optimizer>) -> Result<()>;

    /// Copies all weights, and what layers remember of the batches that they saw, into a slot.
    fn save(&mut self, slot: Slot) -> Result<()>;

    /// Exchanges weights and memories with those in a slot that was saved.
    fn swap(&mut self, slot: Slot) -> Result<()>;

    /// Moves the copy in [`Slot::Average`] towards the weights: it keeps the share `decay` of itself.
    fn average(&mut self, decay: f64) -> Result<()>;

    /// What a layer (by its number in the graph, from 1) last put out for the first example of the batch; 0 is the input.
    fn output_of(&self, layer: usize) -> Result<Vec<f32>>;

    /// What the last layer put out for the last batch, example by example.
    fn logits(&self) -> Result<Vec<f32>>;

    /// The weights of a layer (by its number in the graph, from 1), tensor by tensor.
    fn weights_of(&self, layer: usize) -> Result<Vec<Vec<f32>>>;

    /// Visits every number that a training goes on from: weights, what layers and the optimizer remember, and what is kept in
    /// [`Slot::Average`] and [`Slot::Best`]. What is gathered is forgotten by the end of a step, and what is set aside by that of a
    /// measurement.
    fn each_number(&mut self, visit: &mut Visit<'_, f32>) -> Result<()>;

    /// Examples of all batches in training, which random numbers depend on.
    fn seen(&mut self) -> &mut u64;

    /// How many threads it may use from now on. The results don't depend on it.
    fn set_threads(&mut self, threads: usize);
}

/// What a backward pass does with the gradients of the parameters.
#[derive(Clone, Copy)]
pub(crate) enum Learn<'a> {
    /// Only their norm is taken.
    Nothing,
    /// Each parameter is updated as soon as its gradient is known.
    Now(&'a dyn Optimizer),
    /// `share` times each is added to what was gathered before: for batches in parts, and where the norm decides how far to go.
    Gather { share: f64 },
}

/// Where weights are kept beside those in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The moving average.
    Average,
    /// Those of the best epoch.
    Best,
    /// Those before a measurement, which is as if it had not been: random numbers go on from there as well.
    Aside,
}

const SLOTS: usize = 3;

impl Slot {
    /// Those that a training goes on with, and what they are called in a checkpoint.
    const LASTING: [(Slot, &str); 2] = [(Slot::Average, "average"), (Slot::Best, "best")];
}

/// Bounds of a network, far beyond any that could be trained here, checked before anything is allocated. Sums and products of what is
/// within them fit into 64 bits: numbers in one output of one example and in all of them, trainable numbers, and multiply-adds.
const MAX_OUTPUT: u64 = 1 << 28;
const MAX_ACTIVATIONS: u64 = 1 << 32;
const MAX_PARAMETERS: u64 = 1 << 36;
const MAX_MULTIPLY_ADDS: u64 = 1 << 44;

/// The layers of a network, with every shape checked.
pub(crate) struct Structure {
    pub(crate) ops: Vec<Box<dyn Op>>,
    /// For each layer, the outputs that it takes from: 0 is the data, n the n-th layer.
    inputs: Vec<Vec<usize>>,
    /// Shape of the data and of every layer's output, for one example.
    pub(crate) shapes: Vec<Vec<usize>>,
    /// How initial weights are drawn.
    pub(crate) scheme: Scheme,
}

impl Structure {
    /// Builds the layers of a graph for examples of shape `input`, channels last.
    ///
    /// # Errors
    /// When layers don't fit together: which layer, the shape that reaches it, and what would fit.
    pub(crate) fn new(graph: &Graph, input: &[usize], classes: usize) -> std::result::Result<Self, Error> {
        let structure = Structure::of(graph, input, classes)?;
        let last = &structure.shapes[structure.ops.len()];
        if *last == [classes] { Ok(structure) } else { Err(mismatch(graph, wrong_end(graph, last, classes))) }
    }

    /// As [`Structure::new`], with an output of any shape.
    pub(crate) fn of(graph: &Graph, input: &[usize], classes: usize) -> std::result::Result<Self, Error> {
        Structure::build(graph, input, classes).map_err(|what| mismatch(graph, what))
    }

    fn build(graph: &Graph, input: &[usize], classes: usize) -> std::result::Result<Self, String> {
        let mut size = Totals::default();
        size.add_output(input).map_err(|what| format!("an example of shape {input:?} {what}"))?;
        let mut shapes = vec![input.to_vec()];
        // What takes from each output.
        let mut takers = vec![vec![]; graph.nodes.len() + 1];
        for node in &graph.nodes {
            for input in &node.inputs {
                // One that does not stand before is refused below.
                if let Some(takers) = takers.get_mut(*input) {
                    takers.push(&node.layer);
                }
            }
        }
        // The output that each output is, number by number: a flattened one is that before.
        let mut sources = vec![0];
        let mut ops: Vec<Box<dyn Op>> = vec![];
        for (i, node) in graph.nodes.iter().enumerate() {
            let at = |what: String| format!("{}: {what}", title(node));
            if let Some(later) = node.inputs.iter().find(|input| **input > i) {
                let name = graph.nodes.get(*later - 1).map_or_else(|| format!("number {later}"), |node| format!("`{}`", node.name));
                return Err(at(format!("takes from layer {name}, which does not stand before it")));
            }
            let taken: Vec<usize> = node.inputs.iter().map(|input| sources[*input]).collect();
            if (1..taken.len()).any(|at| taken[..at].contains(&taken[at])) {
                return Err(at("takes twice from the same layer".into()));
            }
            let inputs: Vec<&[usize]> = node.inputs.iter().map(|input| &shapes[*input][..]).collect();
            let called: Vec<String> = node.inputs.iter().map(|input| source(graph, *input)).collect();
            let place = Place { index: i, sources: &called, classes, is_rectified: is_rectified(&takers[i + 1]) };
            let op = layer::new(&node.layer, &inputs, &place).map_err(at)?;
            size.add_output(&op.output()).and_then(|()| size.add_layer(&*op)).map_err(at)?;
            shapes.push(op.output());
            sources.push(if node.layer == Layer::Flatten { taken[0] } else { i + 1 });
            ops.push(op);
        }
        let inputs: Vec<Vec<usize>> = graph.nodes.iter().map(|node| node.inputs.clone()).collect();
        if let Some(unused) = (1..ops.len()).find(|output| takers[*output].is_empty()) {
            return Err(format!("nothing takes from {}", title(&graph.nodes[unused - 1])));
        }
        Ok(Structure { ops, inputs, shapes, scheme: Scheme::default() })
    }

    /// Shape of the data and of every layer's output, for one example.
    pub(crate) fn into_shapes(self) -> Vec<Vec<usize>> {
        self.shapes
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
        let parameters = self.parameters().saturating_mul(1 + states as u64);
        let activations = (2 * batch as u64).saturating_mul(self.activations() as u64);
        let own = self.ops.iter().map(|op| layer::Build::<f32>::kernel(&**op).memory(batch) as u64).fold(0, u64::saturating_add);
        parameters.saturating_add(activations).saturating_add(own).saturating_mul(4)
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
            let (centre, width) = p.init.interval(self.scheme);
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

/// What a checkpoint calls a parameter of a layer (0), and what the optimizer remembers of it (from 1).
fn name_of_state(layer: usize, parameter: usize, state: usize) -> String {
    match state {
        0 => format!("layer.{layer}.parameter.{parameter}"),
        state => format!("layer.{layer}.parameter.{parameter}.state.{state}"),
    }
}

/// What a checkpoint calls what a layer remembers of the batches that it saw.
fn name_of_memory(layer: usize, memory: usize) -> String {
    format!("layer.{layer}.memory.{memory}")
}

/// A layer in messages.
fn title(node: &Node) -> String {
    format!("layer `{}` ({})", node.name, node.layer)
}

/// An output in messages: 0 is the data.
fn source(graph: &Graph, output: usize) -> String {
    output.checked_sub(1).and_then(|i| graph.nodes.get(i)).map_or_else(|| "the input".to_owned(), |node| format!("`{}`", node.name))
}

/// What is wrong with a network, with the file that it comes from if that is known.
fn mismatch(graph: &Graph, what: String) -> Error {
    Error::Mismatch(match &graph.file {
        Some(file) => format!("{file}: {what}"),
        None => what,
    })
}

/// Why a network that ends with a shape can't tell so many classes apart.
fn wrong_end(graph: &Graph, last: &[usize], classes: usize) -> String {
    let from = graph.nodes.last().map_or_else(|| "the input".to_owned(), title);
    let dense = "{ layer = \"dense\", units = \"classes\" }";
    let remedy = match (graph.nodes.last().map(|node| &node.layer), last) {
        (Some(Layer::Dense { .. }), [_]) => "give it units = \"classes\"".to_owned(),
        (_, [_]) => format!("put {dense} behind it"),
        _ => format!("put {{ layer = \"flatten\" }} and {dense} behind it"),
    };
    format!("the network ends with {from}, whose output is {last:?}, and {classes} classes need [{classes}]; {remedy}")
}

/// Whether an output is only taken by functions that are like ReLU (linear above, flat below).
fn is_rectified(takers: &[&Layer]) -> bool {
    let is_like_relu = |layer: &&Layer| match layer {
        Layer::Activation(activation) => !matches!(activation, Activation::Tanh | Activation::Sigmoid),
        _ => false,
    };
    !takers.is_empty() && takers.iter().all(is_like_relu)
}

/// How large a network is so far.
#[derive(Default)]
struct Totals {
    activations: u64,
    parameters: u64,
    multiply_adds: u64,
}

impl Totals {
    fn add_output(&mut self, shape: &[usize]) -> std::result::Result<(), String> {
        let size = numbers(shape);
        self.activations = self.activations.saturating_add(size);
        if size > MAX_OUTPUT {
            return Err(format!("comes to {} numbers for one example; the limit is {MAX_OUTPUT}", counted(size)));
        }
        if self.activations > MAX_ACTIVATIONS {
            return Err(format!(
                "with the layers before it, comes to {} numbers for one example; the limit is {MAX_ACTIVATIONS}",
                self.activations
            ));
        }
        Ok(())
    }

    fn add_layer(&mut self, op: &dyn Op) -> std::result::Result<(), String> {
        let parameters = op.parameters().iter().fold(0u64, |sum, p| sum.saturating_add(numbers(&p.shape)));
        self.parameters = self.parameters.saturating_add(parameters);
        if self.parameters > MAX_PARAMETERS {
            return Err(format!("with the layers before it, has {} parameters; the limit is {MAX_PARAMETERS}", counted(self.parameters)));
        }
        self.multiply_adds = self.multiply_adds.saturating_add(op.multiply_adds());
        if self.multiply_adds > MAX_MULTIPLY_ADDS {
            let all = counted(self.multiply_adds);
            return Err(format!("with the layers before it, takes {all} multiply-adds for one example; the limit is {MAX_MULTIPLY_ADDS}"));
        }
        Ok(())
    }
}

/// In a tensor.
fn numbers(shape: &[usize]) -> u64 {
    shape.iter().fold(1u64, |n, size| n.saturating_mul(*size as u64))
}

fn counted(n: u64) -> String {
    if n == u64::MAX { "more than 10^19".to_owned() } else { n.to_string() }
}

/// The network of a structure, with initial weights from a seed and room for what the optimizer remembers.
///
/// `smoothing` is the share of the target that training spreads evenly over all classes.
pub(crate) fn new(
    structure: Structure,
    seed: u64,
    device: &Device,
    path: Path,
    optimizer: &dyn Optimizer,
    smoothing: f64,
) -> Result<Box<dyn Network>> {
    Ok(match path {
        Path::Kernels => Box::new(Kernels::<f32>::new(&structure, seed, optimizer.states())?.smoothed(smoothing)),
        Path::Composed => Box::new(Composed::new(structure, seed, DType::F32, device, optimizer.states())?.smoothed(smoothing)),
    })
}

#[cfg(test)]
mod tests;
