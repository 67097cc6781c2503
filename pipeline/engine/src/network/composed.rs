//! A network as a composition of candle operations, differentiated by candle's autograd: for CUDA and Metal, and to check the
//! kernels with.

use candle_core::{DType, Device, Result, Tensor, Var};

use super::{Network, Structure};
use crate::kernel::Loss;
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
    device: Device,
    dtype: DType,
    pixels: Vec<f32>,
    batch: usize,
    /// Mean loss of the last training batch, with the way to it.
    loss: Option<Tensor>,
}

impl Composed {
    pub(crate) fn new(structure: Structure, seed: u64, dtype: DType, device: &Device, states: usize) -> Result<Self> {
        let parameters = structure.initial(seed, dtype, device)?;
        let zeros = |p: &Var| (0..states).map(|_| p.as_detached_tensor().zeros_like()).collect::<Result<_>>();
        let states = parameters.iter().flatten().map(zeros).collect::<Result<_>>()?;
        let memories = vec![vec![]; structure.ops.len()];
        Ok(Composed { structure, parameters, memories, states, device: device.clone(), dtype, pixels: vec![], batch: 0, loss: None })
    }

    /// The trainable tensors, in the order of the layers.
    #[cfg(test)]
    pub(crate) fn parameters(&self) -> Vec<&Var> {
        self.parameters.iter().flatten().collect()
    }

    /// The output for a batch x \[batch, …\].
    pub(crate) fn run(&mut self, x: Tensor, training: bool) -> Result<Tensor> {
        let mut outputs = vec![x];
        for (i, op) in self.structure.ops.iter().enumerate() {
            let x: Vec<Tensor> = self.structure.inputs[i].iter().map(|output| outputs[*output].clone()).collect();
            outputs.push(op.composed(&x, &self.parameters[i], &mut self.memories[i], training)?);
        }
        outputs.pop().map_or_else(|| candle_core::bail!("a network without layers"), Ok)
    }

    /// Loss of a batch x \[batch, …\]; keeps the way to it if `training`.
    pub(crate) fn forward(&mut self, x: Tensor, labels: &[u32], training: bool) -> Result<Loss> {
        let logits = self.run(x, training)?;
        let (loss, mean) = softmax_cross_entropy(&logits, labels)?;
        self.loss = training.then_some(mean);
        Ok(loss)
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

    fn backward(&mut self, optimizer: Option<&dyn Optimizer>) -> Result<f64> {
        let Some(loss) = self.loss.take() else { candle_core::bail!("backward without a forward pass in training") };
        let mut gradients = loss.backward()?;
        let mut squares = 0.0;
        for (parameter, states) in self.parameters.iter().flatten().zip(&mut self.states) {
            let gradient = match gradients.remove(parameter) {
                Some(g) => g.contiguous()?,
                None => parameter.zeros_like()?,
            };
            squares += crate::loss::scalar(&gradient.sqr()?.sum_all()?)?;
            if let Some(optimizer) = optimizer {
                parameter.set(&optimizer.compose(&parameter.as_detached_tensor(), &gradient, states)?)?;
            }
        }
        Ok(squares.sqrt())
    }

    fn set_threads(&mut self, _: usize) {}
}
