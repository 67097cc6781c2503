//! Dropout. Masks are drawn on the CPU for every kind of computation, so that they are the same.

use candle_core::{Result, Tensor, Var};

use super::{Build, Draw, Forward, Kernel, Op, Pass};
use crate::kernel::{self, BackwardImage, Parameter, Real, Slopes};
use crate::random::{Purpose, Stream};

#[derive(Clone)]
pub(super) struct Dropout {
    shape: Vec<usize>,
    rate: f64,
    /// The layer's number in its network, which tells its masks from those of others.
    index: usize,
}

impl Dropout {
    pub(super) fn new(input: &[usize], rate: f64, index: usize) -> std::result::Result<Self, String> {
        if !(0.0..1.0).contains(&rate) {
            return Err(format!("has a rate of {rate}; it must be at least 0 and below 1"));
        }
        Ok(Dropout { shape: input.to_vec(), rate, index })
    }

    /// Writes the mask of one example of a batch: 0 or 1 / (1 − rate).
    fn draw<T: Real>(&self, draw: Draw, example: usize, mask: &mut [T]) {
        let mut stream = Stream::new(Purpose::Dropout(self.index as u64), draw.seed, draw.seen + example as u64);
        stream.drop_out(self.rate, T::zero(), T::of(1.0 / (1.0 - self.rate)), mask);
    }
}

impl Op for Dropout {
    fn output(&self) -> Vec<usize> {
        self.shape.clone()
    }

    fn composed(&self, x: &[Tensor], _: &[Var], _: &mut [Tensor], training: Option<Draw>) -> Result<Tensor> {
        let Some(draw) = training else { return Ok(x[0].clone()) };
        let mut masks = vec![0.0f64; x[0].elem_count()];
        for (example, mask) in masks.chunks_exact_mut(self.shape.iter().product()).enumerate() {
            self.draw(draw, example, mask);
        }
        &x[0] * Tensor::from_vec(masks, x[0].shape(), &candle_core::Device::Cpu)?.to_dtype(x[0].dtype())?.to_device(x[0].device())?
    }
}

impl<T: Real> Build<T> for Dropout {
    fn kernel(&self) -> Box<dyn Kernel<T>> {
        Box::new(Masked { dropout: self.clone(), kernel: kernel::Dropout::new(self.shape.iter().product()) })
    }
}

struct Masked<T> {
    dropout: Dropout,
    kernel: kernel::Dropout<T>,
}

impl<T: Real> Kernel<T> for Masked<T> {
    fn memory(&self, batch: usize) -> usize {
        self.kernel.memory(batch)
    }

    fn forward<'a>(&'a mut self, pass: &Pass<'a>, _: &'a [&'a [T]]) -> Forward<'a, T> {
        let Masked { dropout, kernel } = self;
        let Some(draw) = pass.training else { return Forward::Images(Box::new(|_, x, y| y.copy_from_slice(x[0]))) };
        let run = kernel.forward_images(pass.batch, move |example, mask| dropout.draw(draw, example, mask));
        Forward::Images(Box::new(move |image, x, y| run(image.index, x[0], y)))
    }

    fn backward_images<'a>(&'a mut self, _: &Pass<'a>, _: &'a [&'a [T]], _: bool) -> Option<BackwardImage<'a, T>> {
        Some(Box::new(|image, slopes| {
            if let Some(dx) = slopes.dx.into_iter().flatten().next() {
                self.kernel.backward_image(image.index, slopes.dy, dx);
            }
        }))
    }

    fn backward(&mut self, _: &Pass<'_>, _: Slopes<'_, T>, _: &mut [Parameter<'_, T>]) -> f64 {
        0.0
    }
}
