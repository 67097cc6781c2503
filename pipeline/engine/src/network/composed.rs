//! A network as a composition of candle operations, differentiated by candle's autograd: for CUDA and Metal, and to check the
//! kernels with.

use candle_core::{DType, Device, Result, Tensor, Var};

use super::{Learn, Network, SLOTS, Slot, Structure, name_of_memory, name_of_state};
use crate::checkpoint::Visit;
use crate::kernel::Loss;
use crate::layer::{Build, Draw, Op};
use crate::loss::softmax_cross_entropy;
use crate::optim::Optimizer;

/// A network on any device.
pub(crate) struct Composed {
    structure: Structure,
    parameters: Vec<Vec<Var>>,
    /// What layers carry from batch to batch.
    memories: Vec<Vec<Tensor>>,
    /// What the optimizer remembers of each parameter.
    states: Vec<Vec<Tensor>>,
    /// For each parameter, the gradients that were gathered. Empty until some are.
    gathered: Vec<Tensor>,
    /// Weights and memories that are kept aside, by slot.
    slots: [Vec<Tensor>; SLOTS],
    smoothing: f64,
    device: Device,
    dtype: DType,
    pixels: Vec<f32>,
    /// Of the last evaluation: the data and every layer's output.
    outputs: Vec<Tensor>,
    batch: usize,
    seed: u64,
    /// Examples of all batches in training.
    seen: u64,
    /// As it was when weights were set aside.
    seen_aside: u64,
    /// Mean loss of the last training batch, with the way to it.
    loss: Option<Tensor>,
}

impl Composed {
    pub(crate) fn new(structure: Structure, seed: u64, dtype: DType, device: &Device, states: usize) -> Result<Self> {
        let parameters = structure.initial(seed, dtype, device)?;
        let zeros = |p: &Var| (0..states).map(|_| p.as_detached_tensor().zeros_like()).collect::<Result<_>>();
        let states = parameters.iter().flatten().map(zeros).collect::<Result<_>>()?;
        let memories = structure.ops.iter().map(|op| memories(&**op, dtype, device)).collect::<Result<_>>()?;
        Ok(Composed {
            structure,
            parameters,
            memories,
            states,
            gathered: vec![],
            slots: [const { vec![] }; SLOTS],
            smoothing: 0.0,
            device: device.clone(),
            dtype,
            pixels: vec![],
            outputs: vec![],
            batch: 0,
            seed,
            seen: 0,
            seen_aside: 0,
            loss: None,
        })
    }

    /// The same network with label smoothing in training.
    pub(crate) fn smoothed(self, smoothing: f64) -> Self {
        Composed { smoothing, ..self }
    }

    /// The trainable tensors, in the order of the layers.
    pub(crate) fn parameters(&self) -> Vec<&Var> {
        self.parameters.iter().flatten().collect()
    }

    /// The output for a batch x \[batch, …\].
    pub(crate) fn run(&mut self, x: Tensor, training: bool) -> Result<Tensor> {
        let draw = training.then_some(Draw { seed: self.seed, seen: self.seen });
        if training {
            self.seen += x.dim(0)? as u64;
        }
        let mut outputs = vec![x];
        for (i, op) in self.structure.ops.iter().enumerate() {
            let x: Vec<Tensor> = self.structure.inputs[i].iter().map(|output| outputs[*output].clone()).collect();
            outputs.push(op.composed(&x, &self.parameters[i], &mut self.memories[i], draw)?);
        }
        let Some(last) = outputs.last().cloned() else { candle_core::bail!("a network without layers") };
        // In training, autograd keeps what it needs itself.
        self.outputs = if training { vec![] } else { outputs };
        Ok(last)
    }

    /// Loss of a batch x \[batch, …\]; keeps the way to it if `training`.
    pub(crate) fn forward(&mut self, x: Tensor, labels: &[u32], training: bool) -> Result<Loss> {
        let logits = self.run(x, training)?;
        let (loss, mean) = softmax_cross_entropy(&logits, labels, if training { self.smoothing } else { 0.0 })?;
        self.loss = training.then_some(mean);
        Ok(loss)
    }
}

impl Composed {
    /// Copies of all weights and of what layers remember.
    fn weights(&self) -> Result<Vec<Tensor>> {
        let parameters = self.parameters.iter().flatten().map(|p| p.as_tensor().copy());
        parameters.chain(self.memories.iter().flatten().map(|m| Ok(m.clone()))).collect()
    }
}

impl Network for Composed {
    fn input(&mut self, batch: usize) -> &mut [f32] {
        self.batch = batch;
        self.pixels.resize(batch * self.structure.shapes[0].iter().product::<usize>(), 0.0);
        &mut self.pixels
    }

    fn forward(&mut self, labels: &[u32], training: bool) -> Result<Loss> {
        let shape = [&[self.batch], &self.structure.shapes[0][..]].concat();
        let x = Tensor::from_slice(&self.pixels, shape, &self.device)?.to_dtype(self.dtype)?;
        Composed::forward(self, x, labels, training)
    }

    fn backward(&mut self, learn: Learn<'_>) -> Result<f64> {
        let Some(loss) = self.loss.take() else { candle_core::bail!("backward without a forward pass in training") };
        let mut gradients = loss.backward()?;
        if self.gathered.is_empty() && matches!(learn, Learn::Gather { .. }) {
            self.gathered = self.parameters.iter().flatten().map(|p| p.as_detached_tensor().zeros_like()).collect::<Result<_>>()?;
        }
        let mut squares = 0.0;
        for (i, (parameter, states)) in self.parameters.iter().flatten().zip(&mut self.states).enumerate() {
            let gradient = match gradients.remove(parameter) {
                Some(g) => g.contiguous()?,
                None => parameter.zeros_like()?,
            };
            squares += crate::loss::scalar(&gradient.sqr()?.sum_all()?)?;
            match learn {
                Learn::Nothing => {}
                Learn::Now(optimizer) => parameter.set(&optimizer.compose(&parameter.as_detached_tensor(), &gradient, states)?)?,
                Learn::Gather { share } => self.gathered[i] = (&self.gathered[i] + (gradient * share)?)?,
            }
        }
        Ok(squares.sqrt())
    }

    fn gathered_norm(&mut self) -> Result<f64> {
        let squares: Result<f64> = self.gathered.iter().map(|g| crate::loss::scalar(&g.sqr()?.sum_all()?)).sum();
        Ok(squares?.sqrt())
    }

    fn learn_gathered(&mut self, scale: f64, optimizer: Option<&dyn Optimizer>) -> Result<()> {
        for ((parameter, states), gathered) in self.parameters.iter().flatten().zip(&mut self.states).zip(&mut self.gathered) {
            if let Some(optimizer) = optimizer {
                let gradient = (&*gathered * scale)?;
                parameter.set(&optimizer.compose(&parameter.as_detached_tensor(), &gradient, states)?)?;
            }
            *gathered = gathered.zeros_like()?;
        }
        Ok(())
    }

    fn save(&mut self, slot: Slot) -> Result<()> {
        self.slots[slot as usize] = self.weights()?;
        if slot == Slot::Aside {
            self.seen_aside = self.seen;
        }
        Ok(())
    }

    fn swap(&mut self, slot: Slot) -> Result<()> {
        if slot == Slot::Aside {
            self.seen = self.seen_aside;
        }
        let own = self.weights()?;
        let mut kept = std::mem::replace(&mut self.slots[slot as usize], own).into_iter();
        for parameter in self.parameters.iter().flatten() {
            if let Some(kept) = kept.next() {
                parameter.set(&kept)?;
            }
        }
        for (memory, kept) in self.memories.iter_mut().flatten().zip(kept) {
            *memory = kept;
        }
        Ok(())
    }

    fn average(&mut self, decay: f64) -> Result<()> {
        let own = self.weights()?;
        let average = &mut self.slots[Slot::Average as usize];
        for (average, own) in average.iter_mut().zip(own) {
            *average = ((&*average * decay)? + (own * (1.0 - decay))?)?;
        }
        Ok(())
    }

    fn output_of(&self, layer: usize) -> Result<Vec<f32>> {
        self.outputs[layer].get(0)?.flatten_all()?.to_dtype(DType::F32)?.to_vec1()
    }

    fn logits(&self) -> Result<Vec<f32>> {
        match self.outputs.last() {
            Some(last) => last.flatten_all()?.to_dtype(DType::F32)?.to_vec1(),
            None => candle_core::bail!("logits without a forward pass outside training"),
        }
    }

    fn weights_of(&self, layer: usize) -> Result<Vec<Vec<f32>>> {
        let Some(parameters) = layer.checked_sub(1).and_then(|layer| self.parameters.get(layer)) else { return Ok(vec![]) };
        parameters.iter().map(|p| p.as_tensor().flatten_all()?.to_dtype(DType::F32)?.to_vec1()).collect()
    }

    fn each_number(&mut self, visit: &mut Visit<'_, f32>) -> Result<()> {
        // Tensors of other devices can't be opened: each is copied, and a copy that was changed takes its place.
        let mut changed = |name: &str, tensor: &Tensor| -> Result<Option<Tensor>> {
            let mut numbers = tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?;
            let is_changed = visit(name, &mut numbers)?;
            let copy = || Tensor::from_vec(numbers, tensor.shape(), tensor.device())?.to_dtype(tensor.dtype());
            is_changed.then(copy).transpose()
        };
        let mut states = self.states.iter_mut();
        for (i, (parameters, memory)) in self.parameters.iter().zip(&mut self.memories).enumerate() {
            for (j, (parameter, states)) in parameters.iter().zip(&mut states).enumerate() {
                if let Some(new) = changed(&name_of_state(i, j, 0), parameter.as_tensor())? {
                    parameter.set(&new)?;
                }
                for (k, state) in states.iter_mut().enumerate() {
                    replace(state, changed(&name_of_state(i, j, k + 1), state)?);
                }
            }
            for (j, memory) in memory.iter_mut().enumerate() {
                replace(memory, changed(&name_of_memory(i, j), memory)?);
            }
        }
        for (slot, name) in Slot::LASTING {
            for (i, copy) in self.slots[slot as usize].iter_mut().enumerate() {
                replace(copy, changed(&format!("{name}.{i}"), copy)?);
            }
        }
        Ok(())
    }

    fn seen(&mut self) -> &mut u64 {
        &mut self.seen
    }

    fn set_threads(&mut self, _: usize) {}
}

/// What a layer remembers before its first batch: as its kernel does.
fn memories(op: &dyn Op, dtype: DType, device: &Device) -> Result<Vec<Tensor>> {
    let mut kernel = Build::<f32>::kernel(op);
    kernel.remembered().into_iter().map(|memory| Tensor::from_slice(memory, memory.len(), device)?.to_dtype(dtype)).collect()
}

fn replace(tensor: &mut Tensor, new: Option<Tensor>) {
    if let Some(new) = new {
        *tensor = new;
    }
}
