//! A network on our CPU kernels: one forward and one backward pass over buffers that are used again in every step.
//!
//! Neighbouring layers that take one image at a time run together, image by image; the others take the whole batch.

use candle_core::{Device, Result, Tensor, Var};

use super::{Network, Structure};
use crate::kernel::{
    Apply, BackwardStage, ForwardStage, Loss, Parameter, Slopes, Target, Team, backward_images, cross_entropy, edit_all, forward_images,
    room, slices,
};
use crate::layer::{Element, Forward, Kernel, Pass};
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
    /// Multiply-adds of one image's forward pass, or what moving its numbers costs.
    work: usize,
    /// Whether its last forward pass took one image at a time.
    by_image: bool,
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
            let work = usize::try_from(op.multiply_adds()).unwrap_or(usize::MAX).max(4 * len(i + 1));
            nodes.push(Node { kernel, inputs, output: lens.len(), parameters, states, work, by_image: false });
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
        let (batch, pass) = (*batch, Pass { team, batch: *batch, training });
        let (mut tensors, mut layers): (Vec<&Tensor>, Vec<_>) = (vec![], vec![]);
        for Node { kernel, inputs, output, parameters, work, by_image, .. } in nodes {
            room(&mut values[*output], batch * lens[*output]);
            tensors.extend(parameters.iter().map(Var::as_tensor));
            layers.push((kernel, &inputs[..], *output, parameters.len(), *work, by_image));
        }
        slices::<T, _>(&tensors, |mut parameters| {
            let (mut stages, mut cost) = (vec![], 0);
            for (kernel, inputs, output, count, work, by_image) in layers {
                let (own, others) = parameters.split_at(count);
                parameters = others;
                match kernel.forward(&pass, own) {
                    Forward::Images(run) => {
                        stages.push(ForwardStage { run, inputs, output });
                        cost += work * batch;
                        *by_image = true;
                    }
                    Forward::Batch(run) => {
                        forward_images(pass.team, batch, cost, values, lens, &stages);
                        (stages, cost) = (vec![], 0);
                        let (before, rest) = values.split_at_mut(output);
                        let x: Vec<&[T]> = inputs.iter().map(|i| &before[*i][..batch * lens[*i]]).collect();
                        run(&x, &mut rest[0][..batch * lens[output]]);
                        *by_image = false;
                    }
                }
            }
            forward_images(pass.team, batch, cost, values, lens, &stages);
        })
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
        let needed = |node: &usize| self.needs_gradient[self.nodes[*node].output];
        let order: Vec<usize> = (0..self.nodes.len()).rev().filter(needed).collect();
        // Whether a gradient has been written into a buffer; the next ones are added.
        let mut written = vec![false; self.lens.len()];
        let mut squares = 0.0;
        for run in order.chunk_by(|a, b| self.nodes[*a].by_image && self.nodes[*b].by_image).map(<[usize]>::to_vec).collect::<Vec<_>>() {
            let mut targets: Vec<Vec<(usize, Option<bool>)>> = vec![];
            for node in &run {
                let target = |i: &usize| (*i, self.needs_gradient[*i].then(|| std::mem::replace(&mut written[*i], true)));
                targets.push(self.nodes[*node].inputs.iter().map(target).collect());
            }
            // A gradient that is written and used within the run need not be kept.
            let first_written: Vec<usize> = targets.iter().flatten().filter(|(_, add)| *add == Some(false)).map(|(i, _)| *i).collect();
            let passes = |node: &&Node<T>| node.by_image && first_written.contains(&node.output) && !node.kernel.keeps_slopes();
            let passing: Vec<usize> = run.iter().map(|node| &self.nodes[*node]).filter(passes).map(|node| node.output).collect();
            for buffer in first_written.iter().filter(|buffer| !passing.contains(buffer)) {
                room(&mut self.gradients[*buffer], self.batch * self.lens[*buffer]);
            }
            if self.nodes[run[0]].by_image {
                self.backward_by_image(&run, targets, &passing)?;
                targets = run.iter().map(|node| self.nodes[*node].inputs.iter().map(|i| (*i, None)).collect()).collect();
            }
            for (node, targets) in run.into_iter().zip(targets) {
                squares += self.backward_batch(node, &targets, rule)?;
            }
        }
        Ok(squares.sqrt())
    }

    /// Gradients to the inputs of a run of layers (last layer first) that take one image at a time.
    fn backward_by_image(&mut self, run: &[usize], targets: Vec<Vec<(usize, Option<bool>)>>, passing: &[usize]) -> Result<()> {
        let Kernels { nodes, lens, values, gradients, batch, team, .. } = self;
        let (batch, pass) = (*batch, Pass { team, batch: *batch, training: true });
        let (mut tensors, mut layers): (Vec<&Tensor>, Vec<_>) = (vec![], vec![]);
        let chosen = nodes.iter_mut().enumerate().rev().filter(|(i, _)| run.contains(i));
        for ((_, Node { kernel, output, parameters, work, .. }), inputs) in chosen.zip(targets) {
            tensors.extend(parameters.iter().map(Var::as_tensor));
            layers.push((kernel, inputs, *output, parameters.len(), *work));
        }
        slices::<T, _>(&tensors, |mut parameters| {
            let (mut stages, mut cost) = (vec![], 0);
            for (kernel, inputs, output, count, work) in layers {
                let (own, others) = parameters.split_at(count);
                parameters = others;
                let is_inner = inputs.iter().any(|(_, add)| add.is_some());
                if let Some(run) = kernel.backward_images(&pass, own, is_inner) {
                    stages.push(BackwardStage { run, inputs, output });
                    cost += 2 * work * batch;
                }
            }
            backward_images(pass.team, batch, cost, values, gradients, passing, lens, &stages);
        })
    }

    /// The backward pass of one layer for the whole batch.
    fn backward_batch(&mut self, node: usize, targets: &[(usize, Option<bool>)], rule: Option<&dyn Apply<T>>) -> Result<f64> {
        let Kernels { nodes, lens, values, gradients, batch, team, .. } = self;
        let (batch, pass) = (*batch, Pass { team, batch: *batch, training: true });
        let Node { kernel, output, parameters, states, .. } = &mut nodes[node];
        let x: Vec<&[T]> = targets.iter().map(|(i, _)| &values[*i][..batch * lens[*i]]).collect();
        let y = &values[*output][..batch * lens[*output]];
        let (before, rest) = gradients.split_at_mut(*output);
        // Buffers are taken out for the call, so that several can be written at once.
        let mut taken: Vec<Vec<T>> = targets.iter().map(|(i, _)| std::mem::take(&mut before[*i])).collect();
        let dx =
            targets.iter().zip(&mut taken).map(|((i, add), buffer)| add.map(|add| Target { to: &mut buffer[..batch * lens[*i]], add }));
        let kept = batch * lens[*output];
        // Empty if it was not kept, because nobody needs it.
        let dy = if rest[0].len() < kept { &mut [] } else { &mut rest[0][..kept] };
        let slopes = Slopes { x: &x, y, dy, dx: dx.collect() };
        let tensors: Vec<&Tensor> =
            parameters.iter().zip(states.iter()).flat_map(|(p, states)| std::iter::once(p.as_tensor()).chain(states)).collect();
        let count = parameters.len();
        let squares = edit_all::<T, _>(&tensors, |open| {
            let each = open.len().checked_div(count).unwrap_or(0);
            let mut open = open.into_iter();
            let mut parameters: Vec<Parameter<'_, T>> = vec![];
            while let Some(weights) = open.next() {
                parameters.push(Parameter::new(weights, open.by_ref().take(each - 1).collect(), rule));
            }
            kernel.backward(&pass, slopes, &mut parameters)
        })?;
        for ((i, _), buffer) in targets.iter().zip(taken) {
            before[*i] = buffer;
        }
        Ok(squares)
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
