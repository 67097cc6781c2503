//! Batch normalisation with learned scale γ \[channels\] and shift β \[channels\].

use candle_core::{Result, Tensor, Var};

use super::activation::relu_if;
use super::{Build, Draw, Forward, Init, Kernel, Op, ParameterSpec, Pass};
use crate::kernel::{self, BackwardImage, EPSILON, MOMENTUM, Parameter, Real, Slopes};

pub(super) struct BatchNorm {
    shape: Vec<usize>,
    channels: usize,
    relu: bool,
}

impl BatchNorm {
    pub(super) fn new(input: &[usize], relu: bool) -> std::result::Result<Self, String> {
        let Some(&channels) = input.last() else { return Err("takes at least one dimension".into()) };
        Ok(BatchNorm { shape: input.to_vec(), channels, relu })
    }

    fn pixels(&self) -> usize {
        self.shape.iter().product::<usize>() / self.channels
    }
}

impl Op for BatchNorm {
    fn output(&self) -> Vec<usize> {
        self.shape.clone()
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        [Init::One, Init::Zero].map(|init| ParameterSpec { shape: vec![self.channels], init }).to_vec()
    }

    /// `memory` holds the running mean and the running variance.
    fn composed(&self, x: &[Tensor], p: &[Var], memory: &mut [Tensor], training: Option<Draw>) -> Result<Tensor> {
        let n = x[0].dim(0)? * self.pixels();
        let flat = x[0].reshape((n, self.channels))?;
        let (mean, variance) = if training.is_some() {
            let mean = flat.mean(0)?;
            let variance = flat.broadcast_sub(&mean)?.sqr()?.mean(0)?;
            let unbiased = variance.detach().affine(n as f64 / (n as f64 - 1.0).max(1.0), 0.0)?;
            for (running, new) in memory.iter_mut().zip([mean.detach(), unbiased]) {
                *running = (running.affine(1.0 - MOMENTUM, 0.0)? + new.affine(MOMENTUM, 0.0)?)?;
            }
            (mean, variance)
        } else {
            (memory[0].clone(), memory[1].clone())
        };
        let normalised = flat.broadcast_sub(&mean)?.broadcast_div(&variance.affine(1.0, EPSILON)?.sqrt()?)?;
        let z = normalised.broadcast_mul(&p[0])?.broadcast_add(&p[1])?;
        relu_if(self.relu, z)?.reshape(x[0].shape())
    }
}

impl<T: Real> Build<T> for BatchNorm {
    fn kernel(&self) -> Box<dyn Kernel<T>> {
        Box::new(kernel::BatchNorm::new(self.pixels(), self.channels, self.relu))
    }
}

impl<T: Real> Kernel<T> for kernel::BatchNorm<T> {
    fn remembered(&mut self) -> Vec<&mut [T]> {
        self.running()
    }

    fn memory(&self, batch: usize) -> usize {
        kernel::BatchNorm::memory(self, batch)
    }

    fn forward<'a>(&'a mut self, pass: &Pass<'a>, p: &'a [&'a [T]]) -> Forward<'a, T> {
        let Pass { team, batch, training } = *pass;
        Forward::Batch(Box::new(move |x, y| kernel::BatchNorm::forward(self, team, batch, x[0], p[0], p[1], y, training.is_some())))
    }

    fn backward_images<'a>(&'a mut self, _: &Pass<'a>, _: &'a [&'a [T]], _: bool) -> Option<BackwardImage<'a, T>> {
        None
    }

    fn backward(&mut self, pass: &Pass<'_>, slopes: Slopes<'_, T>, parameters: &mut [Parameter<'_, T>]) -> f64 {
        let ([gamma, beta], Some(dx)) = (parameters, slopes.dx.into_iter().next()) else { unreachable!("γ, β and one input") };
        kernel::BatchNorm::backward(self, pass.team, pass.batch, slopes.x[0], slopes.y, slopes.dy, dx, gamma, beta)
    }
}
