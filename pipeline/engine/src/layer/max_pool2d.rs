//! Max pooling over square windows that move by their own size; rows and columns that don't fill a window are dropped.

use candle_core::{Result, Tensor, Var};

use super::{Gradients, Op, Pass};
use crate::kernel::{Geometry, max_pool2d_backward, max_pool2d_forward, slices, tensor, with_real};

pub(super) struct MaxPool2d {
    geometry: Geometry,
    output: [usize; 2],
    /// Where in its plane each maximum of the last forward pass was.
    places: Vec<u32>,
}

impl MaxPool2d {
    pub(super) fn new(input: &[usize], size: usize) -> std::result::Result<Self, String> {
        let [channels, h, w] = *input else { return Err(format!("takes [channels, height, width], not {input:?}")) };
        let geometry = Geometry { channels, input: [h, w], kernel: [size; 2], stride: [size; 2], padding: [0, 0] };
        let output = geometry.output().ok_or_else(|| format!("a window of {size}×{size} does not fit into {h}×{w}"))?;
        Ok(MaxPool2d { geometry, output, places: vec![] })
    }
}

impl Op for MaxPool2d {
    fn output(&self) -> Vec<usize> {
        vec![self.geometry.channels, self.output[0], self.output[1]]
    }

    fn forward(&mut self, x: &Tensor, _: &[Var]) -> Result<Tensor> {
        with_real!(x, T => {
            let (y, places) = slices::<T, _, 1>([x], |[x]| max_pool2d_forward(&self.geometry, self.output, x))?;
            self.places = places;
            tensor(y, (x.dim(0)?, self.geometry.channels, self.output[0], self.output[1]))
        })
    }

    fn backward(&mut self, pass: &Pass<'_>, _: &[Var]) -> Result<Gradients> {
        with_real!(pass.x, T => {
            let dx = slices::<T, _, 1>([pass.dy], |[dy]| max_pool2d_backward(&self.geometry, self.output, &self.places, dy))?;
            Ok(Gradients { input: Some(tensor(dx, pass.x.shape())?), parameters: vec![] })
        })
    }

    /// The maximum of shifted slices. In a tie they share the gradient, where the kernel gives it to the first.
    fn composed(&self, x: &Tensor, _: &[Var]) -> Result<Tensor> {
        let ([k, _], [oh, ow]) = (self.geometry.kernel, self.output);
        let (batch, channels) = (x.dim(0)?, self.geometry.channels);
        let windows = x.narrow(2, 0, oh * k)?.narrow(3, 0, ow * k)?.contiguous()?.reshape(&[batch, channels, oh, k, ow, k][..])?;
        let mut maximum: Option<Tensor> = None;
        for ky in 0..k {
            for kx in 0..k {
                let slice = windows.narrow(3, ky, 1)?.narrow(5, kx, 1)?.contiguous()?.reshape((batch, channels, oh, ow))?;
                maximum = Some(match maximum {
                    None => slice,
                    Some(m) => m.maximum(&slice)?,
                });
            }
        }
        maximum.map_or_else(|| x.zeros_like(), Ok)
    }
}
