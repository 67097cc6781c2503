//! A network on our CPU kernels: one forward and one backward pass over buffers that are used again in every step.
//!
//! Neighbouring layers that take one image at a time run together, image by image; the others take the whole batch.

use candle_core::{Device, Result, Tensor, Var};

use super::{Learn, Network, SLOTS, Slot, Structure, name_of_memory, name_of_state};
use crate::checkpoint::Visit;
use crate::kernel::{
    Apply, BackwardStage, ForwardStage, Gather, Loss, Parameter, Slopes, Target, Team, backward_images, cross_entropy, edit_all,
    forward_images, mix, room, slices,
};
use crate::layer::{Draw, Element, Forward, Kernel, Pass};
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
    /// For each parameter, the gradients that were gathered. Empty until some are.
    gathered: Vec<Tensor>,
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
    /// The buffer of the data and of each layer in the graph.
    buffers: Vec<usize>,
    /// Weights and memories that are kept aside, by slot.
    slots: [Vec<Vec<T>>; SLOTS],
    smoothing: f64,
    batch: usize,
    seed: u64,
    /// Examples of all batches in training.
    seen: u64,
    /// As it was when weights were set aside.
    seen_aside: u64,
    team: Team,
}

/// What is done with gradients in a backward pass.
enum With<'a, T> {
    Nothing,
    Rule(&'a dyn Apply<T>),
    Gather(Gather),
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
            nodes.push(Node { kernel, inputs, output: lens.len(), parameters, states, gathered: vec![], work, by_image: false });
            lens.push(len(i + 1));
            needs_gradient.push(needs[i + 1]);
        }
        let (values, gradients) = (vec![vec![]; lens.len()], vec![vec![]; lens.len()]);
        let slots = [const { vec![] }; SLOTS];
        Ok(Kernels {
            nodes,
            lens,
            needs_gradient,
            values,
            gradients,
            buffers,
            slots,
            smoothing: 0.0,
            batch: 0,
            seed,
            seen: 0,
            seen_aside: 0,
            team: Team::new(),
        })
    }

    /// The same network with label smoothing in training.
    pub(crate) fn smoothed(self, smoothing: f64) -> Self {
        Kernels { smoothing, ..self }
    }

    /// The trainable tensors, in the order of the layers.
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
    pub(crate) fn input_gradient(&self) -> &[T] {
        &self.gradients[0][..self.batch * self.lens[0]]
    }

    #[cfg(test)]
    pub(crate) fn resize_team(&mut self, threads: usize) {
        self.team.resize(threads);
    }

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
        let Kernels { nodes, lens, values, batch, seed, seen, team, .. } = self;
        let draw = training.then_some(Draw { seed: *seed, seen: *seen });
        let (batch, pass) = (*batch, Pass { team, batch: *batch, training: draw });
        if training {
            *seen += batch as u64;
        }
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
        let smoothing = if training { self.smoothing } else { 0.0 };
        Ok(cross_entropy(&self.values[last][..len], labels, smoothing, gradient))
    }

    /// Runs the layers backward from a gradient to the output.
    #[cfg(test)]
    pub(crate) fn backward_from(&mut self, gradient: &[T], rule: Option<&dyn Apply<T>>) -> Result<f64> {
        self.start_from(gradient);
        self.backward(rule)
    }

    /// Runs the layers backward from a gradient to the output; the gradients to the parameters, in the order of the layers.
    pub(crate) fn gradients_from(&mut self, gradient: &[T]) -> Result<Vec<Vec<T>>> {
        self.start_from(gradient);
        self.gather(1.0)?;
        let gathered: Vec<&Tensor> = self.nodes.iter().flat_map(|node| &node.gathered).collect();
        slices::<T, _>(&gathered, |all| all.iter().map(|g| g.to_vec()).collect())
    }

    fn start_from(&mut self, gradient: &[T]) {
        let last = self.lens.len() - 1;
        room(&mut self.gradients[last], gradient.len()).copy_from_slice(gradient);
    }

    /// Runs the layers backward and learns from each gradient at once, if there is a rule. Returns the gradient's norm.
    pub(crate) fn backward(&mut self, rule: Option<&dyn Apply<T>>) -> Result<f64> {
        self.run_backward(&rule.map_or(With::Nothing, With::Rule))
    }

    /// Runs the layers backward and adds `share` times each gradient to what was gathered before. Returns the gradient's norm.
    fn gather(&mut self, share: f64) -> Result<f64> {
        for node in &mut self.nodes {
            if node.gathered.is_empty() {
                node.gathered = node.parameters.iter().map(|p| p.as_detached_tensor().zeros_like()).collect::<Result<_>>()?;
            }
        }
        self.run_backward(&With::Gather(Gather { share }))
    }

    /// Visits what was gathered with its parameter, learning from it if there is a rule. Returns the sum of squares.
    fn visit_gathered(&mut self, scale: f64, rule: Option<&dyn Apply<T>>, forget: bool) -> Result<f64> {
        let mut squares = 0.0;
        for node in &mut self.nodes {
            for ((parameter, states), gathered) in node.parameters.iter().zip(&node.states).zip(&node.gathered) {
                let tensors: Vec<&Tensor> = [parameter.as_tensor(), gathered].into_iter().chain(states).collect();
                squares += edit_all::<T, _>(&tensors, |open| {
                    let mut open = open.into_iter();
                    let (Some(weights), Some(gathered)) = (open.next(), open.next()) else { return 0.0 };
                    if (scale - 1.0).abs() > 0.0 {
                        let scale = T::of(scale);
                        for g in &mut *gathered {
                            *g *= scale;
                        }
                    }
                    let squares = Parameter::new(weights, open.collect(), rule).learn(&self.team, gathered);
                    if forget {
                        gathered.fill(T::zero());
                    }
                    squares
                })?;
            }
        }
        Ok(squares)
    }

    /// Visits all weights, and what layers remember of the batches that they saw, in a fixed order.
    fn each_weight(&mut self, mut visit: impl FnMut(usize, &mut [T])) -> Result<()> {
        let mut index = 0;
        for node in &mut self.nodes {
            let tensors: Vec<&Tensor> = node.parameters.iter().map(Var::as_tensor).collect();
            let parameters = |open: Vec<&mut [T]>| {
                for weights in open {
                    visit(index, weights);
                    index += 1;
                }
            };
            edit_all::<T, _>(&tensors, parameters)?;
            for memory in node.kernel.remembered() {
                visit(index, memory);
                index += 1;
            }
        }
        Ok(())
    }

    fn run_backward(&mut self, with: &With<'_, T>) -> Result<f64> {
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
                squares += self.backward_batch(node, &targets, with)?;
            }
        }
        Ok(squares.sqrt())
    }

    /// Gradients to the inputs of a run of layers (last layer first) that take one image at a time.
    fn backward_by_image(&mut self, run: &[usize], targets: Vec<Vec<(usize, Option<bool>)>>, passing: &[usize]) -> Result<()> {
        let Kernels { nodes, lens, values, gradients, batch, team, .. } = self;
        let (batch, pass) = (*batch, Pass { team, batch: *batch, training: None });
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
    fn backward_batch(&mut self, node: usize, targets: &[(usize, Option<bool>)], with: &With<'_, T>) -> Result<f64> {
        let Kernels { nodes, lens, values, gradients, batch, team, .. } = self;
        let (batch, pass) = (*batch, Pass { team, batch: *batch, training: None });
        let Node { kernel, output, parameters, states, gathered, .. } = &mut nodes[node];
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
        let rule: Option<&dyn Apply<T>> = match with {
            With::Nothing => None,
            With::Rule(rule) => Some(*rule),
            With::Gather(gather) => Some(gather),
        };
        let beside = |i: usize| if matches!(with, With::Gather(_)) { &gathered[i..=i] } else { &states[i][..] };
        let tensors: Vec<&Tensor> =
            parameters.iter().enumerate().flat_map(|(i, p)| std::iter::once(p.as_tensor()).chain(beside(i))).collect();
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

    fn backward(&mut self, learn: Learn<'_>) -> Result<f64> {
        match learn {
            Learn::Nothing => Kernels::backward(self, None),
            Learn::Now(optimizer) => Kernels::backward(self, Some(optimizer as &dyn Apply<f32>)),
            Learn::Gather { share } => self.gather(share),
        }
    }

    fn gathered_norm(&mut self) -> Result<f64> {
        Ok(self.visit_gathered(1.0, None, false)?.sqrt())
    }

    fn learn_gathered(&mut self, scale: f64, optimizer: Option<&dyn Optimizer>) -> Result<()> {
        self.visit_gathered(scale, optimizer.map(|o| o as &dyn Apply<f32>), true).map(|_| ())
    }

    fn save(&mut self, slot: Slot) -> Result<()> {
        let mut copies = vec![];
        self.each_weight(|_, weights| copies.push(weights.to_vec()))?;
        self.slots[slot as usize] = copies;
        if slot == Slot::Aside {
            self.seen_aside = self.seen;
        }
        Ok(())
    }

    fn swap(&mut self, slot: Slot) -> Result<()> {
        if slot == Slot::Aside {
            self.seen = self.seen_aside;
        }
        let mut copies = std::mem::take(&mut self.slots[slot as usize]);
        self.each_weight(|i, weights| weights.swap_with_slice(&mut copies[i]))?;
        self.slots[slot as usize] = copies;
        Ok(())
    }

    fn average(&mut self, decay: f64) -> Result<()> {
        let mut copies = std::mem::take(&mut self.slots[Slot::Average as usize]);
        self.each_weight(|i, weights| mix(&mut copies[i], weights, decay))?;
        self.slots[Slot::Average as usize] = copies;
        Ok(())
    }

    fn output_of(&self, layer: usize) -> Result<Vec<f32>> {
        let buffer = self.buffers[layer];
        Ok(self.values[buffer][..self.lens[buffer]].to_vec())
    }

    fn logits(&self) -> Result<Vec<f32>> {
        let last = self.lens.len() - 1;
        Ok(self.values[last][..self.batch * self.lens[last]].to_vec())
    }

    fn weights_of(&self, layer: usize) -> Result<Vec<Vec<f32>>> {
        let node = self.nodes.iter().find(|node| node.output == self.buffers[layer]);
        node.into_iter().flat_map(|node| &node.parameters).map(|p| p.as_tensor().flatten_all()?.to_vec1()).collect()
    }

    fn each_number(&mut self, visit: &mut Visit<'_, f32>) -> Result<()> {
        for (i, node) in self.nodes.iter_mut().enumerate() {
            for (j, (parameter, states)) in node.parameters.iter().zip(&node.states).enumerate() {
                for (k, tensor) in std::iter::once(parameter.as_tensor()).chain(states).enumerate() {
                    let name = name_of_state(i, j, k);
                    edit_all::<f32, _>(&[tensor], |open| open.into_iter().try_for_each(|numbers| visit(&name, numbers).map(|_| ())))??;
                }
            }
            for (j, memory) in node.kernel.remembered().into_iter().enumerate() {
                visit(&name_of_memory(i, j), memory)?;
            }
        }
        for (slot, name) in Slot::LASTING {
            for (i, copy) in self.slots[slot as usize].iter_mut().enumerate() {
                visit(&format!("{name}.{i}"), copy)?;
            }
        }
        Ok(())
    }

    fn seen(&mut self) -> &mut u64 {
        &mut self.seen
    }

    fn set_threads(&mut self, threads: usize) {
        self.team.resize(threads);
    }
}
