//! 2-D convolution with bias: odd square kernel, stride 1, zero padding that keeps the size. w \[filters, channels, k, k\].

use candle_core::{Result, Tensor, Var};

use super::activation::relu_if;
use super::{Gradients, Init, Op, ParameterSpec, Pass};
use crate::kernel::{Geometry, conv2d_backward, conv2d_forward, slices, tensor, with_real};

pub(super) struct Conv2d {
    geometry: Geometry,
    output: [usize; 2],
    filters: usize,
    relu: bool,
}

impl Conv2d {
    pub(super) fn new(input: &[usize], filters: usize, kernel: usize, relu: bool) -> std::result::Result<Self, String> {
        let [channels, h, w] = *input else { return Err(format!("takes [channels, height, width], not {input:?}")) };
        if kernel.is_multiple_of(2) {
            return Err(format!("a kernel of even size {kernel} can't keep the image's size; use an odd one"));
        }
        let padding = kernel / 2;
        let geometry = Geometry { channels, input: [h, w], kernel: [kernel; 2], stride: [1, 1], padding: [padding; 2] };
        Ok(Conv2d { geometry, output: [h, w], filters, relu })
    }

    fn shape(&self, batch: usize) -> (usize, usize, usize, usize) {
        (batch, self.filters, self.output[0], self.output[1])
    }
}

impl Op for Conv2d {
    fn output(&self) -> Vec<usize> {
        vec![self.filters, self.output[0], self.output[1]]
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        let (channels, [kh, kw]) = (self.geometry.channels, self.geometry.kernel);
        let init = Init::for_activation(self.relu, channels * kh * kw, self.filters * kh * kw);
        vec![
            ParameterSpec { shape: vec![self.filters, channels, kh, kw], init },
            ParameterSpec { shape: vec![self.filters], init: Init::Zero },
        ]
    }

    fn multiply_adds(&self) -> u64 {
        let g = &self.geometry;
        (self.filters * g.channels * g.kernel[0] * g.kernel[1] * self.output[0] * self.output[1]) as u64
    }

    fn forward(&mut self, x: &Tensor, p: &[Var]) -> Result<Tensor> {
        with_real!(x, T => {
            let y = slices::<T, _, 3>([x, &p[0], &p[1]], |[x, w, b]| conv2d_forward(&self.geometry, self.output, x, w, b, self.relu))?;
            tensor(y, self.shape(x.dim(0)?))
        })
    }

    fn backward(&mut self, pass: &Pass<'_>, p: &[Var]) -> Result<Gradients> {
        with_real!(pass.x, T => {
            let (dx, dw, db) = slices::<T, _, 4>([pass.x, &p[0], pass.y, pass.dy], |[x, w, y, dy]| {
                conv2d_backward(&self.geometry, self.output, x, w, y, dy, self.relu, pass.want_dx)
            })?;
            let input = dx.map(|dx| tensor(dx, pass.x.shape())).transpose()?;
            Ok(Gradients { input, parameters: vec![tensor(dw, p[0].shape())?, tensor(db, p[1].shape())?] })
        })
    }

    fn composed(&self, x: &Tensor, p: &[Var]) -> Result<Tensor> {
        let z = x.conv2d(&p[0], self.geometry.padding[0], 1, 1, 1)?;
        relu_if(self.relu, z.broadcast_add(&p[1].reshape((1, self.filters, 1, 1))?)?)
    }
}
