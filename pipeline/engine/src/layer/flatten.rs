//! Everything but the batch dimension becomes one dimension.

use candle_core::{Result, Tensor, Var};

use super::{Build, Draw, Forward, Kernel, Op, Pass};
use crate::kernel::{BackwardImage, Parameter, Real, Slopes, concat_backward};

pub(super) struct Flatten {
    inputs: usize,
}

impl Flatten {
    pub(super) fn new(input: &[usize]) -> Self {
        Flatten { inputs: input.iter().product() }
    }
}

impl Op for Flatten {
    fn output(&self) -> Vec<usize> {
        vec![self.inputs]
    }

    fn composed(&self, x: &[Tensor], _: &[Var], _: &mut [Tensor], _: Option<Draw>) -> Result<Tensor> {
        x[0].reshape((x[0].dim(0)?, self.inputs))
    }
}

impl<T: Real> Build<T> for Flatten {
    fn kernel(&self) -> Box<dyn Kernel<T>> {
        Box::new(Same { len: self.inputs })
    }
}

struct Same {
    len: usize,
}

impl<T: Real> Kernel<T> for Same {
    fn is_identity(&self) -> bool {
        true
    }

    fn forward<'a>(&'a mut self, _: &Pass<'a>, _: &'a [&'a [T]]) -> Forward<'a, T> {
        Forward::Images(Box::new(|_, x, y| y.copy_from_slice(x[0])))
    }

    fn backward_images<'a>(&'a mut self, _: &Pass<'a>, _: &'a [&'a [T]], _: bool) -> Option<BackwardImage<'a, T>> {
        Some(Box::new(|_, mut slopes| concat_backward(slopes.dy, &[self.len], &mut slopes.dx)))
    }

    fn backward(&mut self, _: &Pass<'_>, _: Slopes<'_, T>, _: &mut [Parameter<'_, T>]) -> f64 {
        0.0
    }
}
