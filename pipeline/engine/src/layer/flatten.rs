//! Everything but the batch dimension becomes one dimension.

use candle_core::{Result, Tensor, Var};

use super::{Build, Kernel, Op, Pass, Slopes};
use crate::kernel::{Parameter, Real, concat_backward};

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

    fn composed(&self, x: &[Tensor], _: &[Var], _: &mut Vec<Tensor>, _: bool) -> Result<Tensor> {
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

    fn forward(&mut self, _: &Pass<'_>, x: &[&[T]], _: &[&[T]], y: &mut [T]) {
        y.copy_from_slice(x[0]);
    }

    fn backward(&mut self, pass: &Pass<'_>, slopes: Slopes<'_, T>, _: &mut [Parameter<'_, T>]) -> f64 {
        concat_backward(pass.team, pass.batch, slopes.dy, &[self.len], slopes.dx);
        0.0
    }
}
