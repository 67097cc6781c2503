//! Functions of every number.

use candle_core::{Result, Tensor, Var};
use spec::model::Activation;

use super::{Build, Draw, Forward, Kernel, Op, Pass};
use crate::kernel::{BackwardImage, Parameter, Real, Slopes, activate, activate_backward};

/// ReLU with derivative 0 at 0 (candle's own has 1) that passes NaN on (candle's own makes it 0).
pub(super) fn relu_if(relu: bool, z: Tensor) -> Result<Tensor> {
    if relu { &z * z.detach().gt(0.0)?.to_dtype(z.dtype())? } else { Ok(z) }
}

pub(super) struct Activate {
    shape: Vec<usize>,
    activation: Activation,
}

impl Activate {
    pub(super) fn new(input: &[usize], activation: Activation) -> Self {
        Activate { shape: input.to_vec(), activation }
    }
}

impl Op for Activate {
    fn output(&self) -> Vec<usize> {
        self.shape.clone()
    }

    fn composed(&self, x: &[Tensor], _: &[Var], _: &mut [Tensor], _: Option<Draw>) -> Result<Tensor> {
        let x = &x[0];
        let sigmoid = || (x * 0.5)?.tanh()?.affine(0.5, 0.5);
        match self.activation {
            Activation::Relu => relu_if(true, x.clone()),
            Activation::LeakyRelu { slope } => {
                let above = x.detach().gt(0.0)?.to_dtype(x.dtype())?;
                x * above.affine(1.0 - slope, slope)?
            }
            Activation::Gelu => (x * std::f64::consts::FRAC_1_SQRT_2)?.erf()?.affine(0.5, 0.5)? * x,
            Activation::Silu => sigmoid()? * x,
            Activation::Tanh => x.tanh(),
            Activation::Sigmoid => sigmoid(),
            Activation::Elu { alpha } => {
                let (is_above, zeros) = (x.detach().gt(0.0)?, x.zeros_like()?);
                let below = is_above.where_cond(&zeros, x)?.exp()?.affine(alpha, -alpha)?;
                is_above.where_cond(x, &zeros)? + below
            }
        }
    }
}

impl<T: Real> Build<T> for Activate {
    fn kernel(&self) -> Box<dyn Kernel<T>> {
        Box::new(Each { activation: self.activation })
    }
}

struct Each {
    activation: Activation,
}

impl<T: Real> Kernel<T> for Each {
    fn forward<'a>(&'a mut self, _: &Pass<'a>, _: &'a [&'a [T]]) -> Forward<'a, T> {
        Forward::Images(Box::new(|_, x, y| activate(self.activation, x[0], y)))
    }

    fn backward_images<'a>(&'a mut self, _: &Pass<'a>, _: &'a [&'a [T]], _: bool) -> Option<BackwardImage<'a, T>> {
        Some(Box::new(|_, slopes| {
            if let Some(dx) = slopes.dx.into_iter().flatten().next() {
                activate_backward(self.activation, slopes.x[0], slopes.y, slopes.dy, dx);
            }
        }))
    }

    fn backward(&mut self, _: &Pass<'_>, _: Slopes<'_, T>, _: &mut [Parameter<'_, T>]) -> f64 {
        0.0
    }
}
