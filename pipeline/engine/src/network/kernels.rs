//! A network on our CPU kernels: one forward and one backward pass over buffers that are used again in every step.

use candle_core::{Device, Result, Tensor, Var};

use super::{Network, Structure};
use crate::kernel::{Apply, Loss, Parameter, Target, Team, cross_entropy, edit_all, room, slices};
use crate::layer::{Element, Kernel, Pass, Slopes};
use crate::optim::Optimizer;

/// A layer in a network.
struct Node<T> {
    kernel: Box<dyn Kernel<T>>,
    /// Buffers that it reads.
    inputs: Vec<usize>,
    /// The buffer that it writes; that of its input for a layer that changes nothing.
    output: usize,
    parameters: Vec<Var>,
    /// What the optimizer remembers of each parameter.
    states: Vec<Vec<Tensor>>,
}

/// A network in single or double precision on the CPU.
pub(crate) struct Kernels<T> {
    nodes: Vec<Node<T>>,
    /// Numbers per example in each buffer; the first is the data's, the last the logits'.
    lens: Vec<usize>,
    /// Whether the gradient to a buffer is needed.
    needs_gradient: Vec<bool>,
    values: Vec<Vec<T>>,
    gradients: Vec<Vec<T>>,
    batch: usize,
    team: Team,
}

impl<T: Element> Kernels<T> {
    pub(crate) fn new(structure: &Structure, seed: u64, states: usize) -> Result<Self> {
        let needs = structure.needs_gradient();
        let parameters = structure.initial(seed, T::DTYPE, &Device::Cpu)?;
        let len = |output: usize| structure.shapes[output].iter().product::<usize>();
        let mut lens = vec![len(0)];
        let mut needs_gradient = vec![false];
        // The buffer of each output.
        let mut buffers = vec![0];
        let mut nodes = vec![];
        for (i, (op, parameters)) in structure.ops.iter().zip(parameters).enumerate() {
            let kernel = T::kernel(&**op);
            let inputs: Vec<usize> = structure.inputs[i].iter().map(|output| buffers[*output]).collect();
            if kernel.is_identity() {
                buffers.push(inputs[0]);
                continue;
            }
            buffers.push(lens.len());
            let states =
                parameters.iter().map(|p| (0..states).map(|_| p.as_detached_tensor().zeros_like()).collect()).collect::<Result<_>>()?;
            nodes.push(Node { kernel, inputs, output: lens.len(), parameters, states });
            lens.push(len(i + 1));
            needs_gradient.push(needs[i + 1]);
        }
        let (values, gradients) = (vec![vec![]; lens.len()], vec![vec![]; lens.len()]);
        Ok(Kernels { nodes, lens, needs_gradient, values, gradients, batch: 0, team: Team::new() })
    }

    /// The trainable tensors, in the order of the layers.
    #[cfg(test)]
    pub(crate) fn parameters(&self) -> Vec<&Var> {
        self.nodes.iter().flat_map(|node| &node.parameters).collect()
    }

    /// What the optimizer remembers, in the order of the parameters.
    #[cfg(test)]
    pub(crate) fn states(&self) -> Vec<&Vec<Tensor>> {
        self.nodes.iter().flat_map(|node| &node.states).collect()
    }

    /// The output of the last forward pass.
    #[cfg(test)]
    pub(crate) fn output(&self) -> &[T] {
        let last = self.lens.len() - 1;
        &self.values[last][..self.batch * self.lens[last]]
    }

    /// The gradient to the data, if asked for with [`Kernels::want_input_gradient`].
    #[cfg(test)]
    pub(crate) fn input_gradient(&self) -> &[T] {
        &self.gradients[0][..self.batch * self.lens[0]]
    }

    #[cfg(test)]
    pub(crate) fn want_input_gradient(&mut self) {
        self.needs_gradient.fill(true);
    }

    /// See [`Network::input`].
    pub(crate) fn input(&mut self, batch: usize) -> &mut [T] {
        self.batch = batch;
        room(&mut self.values[0], batch * self.lens[0])
    }

    /// Runs the layers forward.
    pub(crate) fn run(&mut self, training: bool) -> Result<()> {
        let Kernels { nodes, lens, values, batch, team, .. } = self;
        let pass = Pass { team, batch: *batch, training };
        for node in nodes {
            let (before, rest) = values.split_at_mut(node.output);
            let x: Vec<&[T]> = node.inputs.iter().map(|i| &before[*i][..*batch * lens[*i]]).collect();
            let y = room(&mut rest[0], *batch * lens[node.output]);
            let parameters: Vec<&Tensor> = node.parameters.iter().map(Var::as_tensor).collect();
            slices::<T, _>(&parameters, |parameters| node.kernel.forward(&pass, &x, parameters, y))?;
        }
        Ok(())
    }

    /// See [`Network::forward`].
    pub(crate) fn forward(&mut self, labels: &[u32], training: bool) -> Result<Loss> {
        self.run(training)?;
        let (last, len) = (self.lens.len() - 1, self.batch * self.lens[self.lens.len() - 1]);
        let gradient = if training { Some(room(&mut self.gradients[last], len)) } else { None };
        Ok(cross_entropy(&self.values[last][..len], labels, gradient))
    }

    /// Runs the layers backward from a gradient to the output.
    #[cfg(test)]
    pub(crate) fn backward_from(&mut self, gradient: &[T], rule: Option<&dyn Apply<T>>) -> Result<f64> {
        let last = self.lens.len() - 1;
        room(&mut self.gradients[last], gradient.len()).copy_from_slice(gradient);
        self.backward(rule)
    }

    /// See [`Network::backward`].
    pub(crate) fn backward(&mut self, rule: Option<&dyn Apply<T>>) -> Result<f64> {
        let Kernels { nodes, lens, needs_gradient, values, gradients, batch, team } = self;
        let (batch, pass) = (*batch, Pass { team, batch: *batch, training: true });
        let mut squares = 0.0;
        // Whether a gradient has been written into a buffer; the next ones are added.
        let mut written = vec![false; lens.len()];
        for node in nodes.iter_mut().rev().filter(|node| needs_gradient[node.output]) {
            let x: Vec<&[T]> = node.inputs.iter().map(|i| &values[*i][..batch * lens[*i]]).collect();
            let y = &values[node.output][..batch * lens[node.output]];
            let (before, rest) = gradients.split_at_mut(node.output);
            // Buffers are taken out for the call, so that several can be written at once.
            let mut taken: Vec<Vec<T>> = node.inputs.iter().map(|i| std::mem::take(&mut before[*i])).collect();
            let dx = node.inputs.iter().zip(&mut taken).map(|(i, buffer)| {
                let add = std::mem::replace(&mut written[*i], true);
                needs_gradient[*i].then(|| Target { to: room(buffer, batch * lens[*i]), add })
            });
            let slopes = Slopes { x: &x, y, dy: &mut rest[0][..batch * lens[node.output]], dx: dx.collect() };
            let tensors: Vec<&Tensor> =
                node.parameters.iter().zip(&node.states).flat_map(|(p, states)| std::iter::once(p.as_tensor()).chain(states)).collect();
            let kernel = &mut node.kernel;
            let count = node.parameters.len();
            squares += edit_all::<T, _>(&tensors, |open| {
                let each = open.len().checked_div(count).unwrap_or(0);
                let mut open = open.into_iter();
                let mut parameters: Vec<Parameter<'_, T>> = vec![];
                while let Some(weights) = open.next() {
                    parameters.push(Parameter::new(weights, open.by_ref().take(each - 1).collect(), rule));
                }
                kernel.backward(&pass, slopes, &mut parameters)
            })?;
            for (i, buffer) in node.inputs.iter().zip(taken) {
                before[*i] = buffer;
            }
        }
        Ok(squares.sqrt())
    }
}

impl Network for Kernels<f32> {
    fn input(&mut self, batch: usize) -> &mut [f32] {
        Kernels::input(self, batch)
    }

    fn forward(&mut self, labels: &[u32], training: bool) -> Result<Loss> {
        Kernels::forward(self, labels, training)
    }

    fn backward(&mut self, optimizer: Option<&dyn Optimizer>) -> Result<f64> {
        Kernels::backward(self, optimizer.map(|o| o as &dyn Apply<f32>))
    }

    fn set_threads(&mut self, threads: usize) {
        self.team.resize(threads);
    }
}
