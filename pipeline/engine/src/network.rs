//! A network: layers in a row, with parameters drawn from a seed.

use candle_core::{DType, Device, Result, Tensor, Var};
use spec::model;

use crate::error::Error;
use crate::layer::{self, Layer, Path};
use crate::random::{Purpose, Stream};

/// A network that can be trained.
pub(crate) struct Network {
    layers: Vec<Layer>,
}

/// Sizes of a network, known without building it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Trainable numbers.
    pub parameters: u64,
    /// Floating-point operations of one training example: 2 per multiply-add; the backward pass costs twice the forward
    /// pass, less the input gradient of the first layer, which nobody needs.
    pub flops: u64,
}

impl Network {
    /// Builds a network for examples of shape `input`.
    ///
    /// # Errors
    /// When the layers don't fit together.
    pub(crate) fn new(
        layers: &[model::Layer],
        input: &[usize],
        classes: usize,
        seed: u64,
        dtype: DType,
        device: &Device,
        path: Path,
    ) -> std::result::Result<Self, Error> {
        let mut index = 0;
        let mut built = vec![];
        for op in layer::build(layers, input, classes).map_err(Error::Mismatch)? {
            let mut parameters = vec![];
            for p in op.parameters() {
                let bound = p.init.bound();
                let mut stream = Stream::new(Purpose::Init, seed, index);
                let values: Vec<f64> = (0..p.shape.iter().product()).map(|_| bound * (2.0 * stream.unit() - 1.0)).collect();
                let tensor = Tensor::from_vec(values, p.shape, &Device::Cpu)?.to_dtype(dtype)?.to_device(device)?;
                parameters.push(Var::from_tensor(&tensor)?);
                index += 1;
            }
            built.push(Layer::new(op, parameters, path));
        }
        Ok(Network { layers: built })
    }

    /// Sizes of a network for examples of shape `input`.
    ///
    /// # Errors
    /// When the layers don't fit together.
    pub(crate) fn size(layers: &[model::Layer], input: &[usize], classes: usize) -> std::result::Result<Size, Error> {
        let ops = layer::build(layers, input, classes).map_err(Error::Mismatch)?;
        let parameters = ops.iter().flat_map(|op| op.parameters()).map(|p| p.shape.iter().product::<usize>() as u64).sum();
        let forward: u64 = ops.iter().map(|op| op.multiply_adds()).sum();
        let first = ops.iter().map(|op| op.multiply_adds()).find(|m| *m > 0).unwrap_or(0);
        Ok(Size { parameters, flops: 2 * (3 * forward - first) })
    }

    /// The trainable tensors, in the order of the layers.
    pub(crate) fn parameters(&self) -> Vec<Var> {
        self.layers.iter().flat_map(|l| l.parameters().iter().cloned()).collect()
    }

    /// Logits \[batch, classes\]; `training` keeps what [`Network::backward`] needs.
    pub(crate) fn forward(&mut self, x: &Tensor, training: bool) -> Result<Tensor> {
        self.layers.iter_mut().try_fold(x.clone(), |x, layer| layer.forward(&x, training))
    }

    /// Gradients to the parameters, in the order of [`Network::parameters`], given the gradient to the logits.
    pub(crate) fn backward(&mut self, dlogits: Tensor) -> Result<Vec<Tensor>> {
        // Before the first layer with parameters nothing needs a gradient.
        let first = self.layers.iter().position(|l| !l.parameters().is_empty()).unwrap_or(0);
        let mut gradients = vec![];
        let mut dy = dlogits;
        for (i, layer) in self.layers.iter_mut().enumerate().skip(first).rev() {
            let mut g = layer.backward(&dy, i > first)?;
            g.parameters.reverse();
            gradients.append(&mut g.parameters);
            match g.input {
                Some(dx) => dy = dx,
                None => break,
            }
        }
        gradients.reverse();
        Ok(gradients)
    }
}
