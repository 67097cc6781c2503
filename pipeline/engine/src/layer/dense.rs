//! Fully connected layer: `y = act(x · w + b)`, with or without b, w \[inputs, units\].

use candle_core::{Result, Tensor, Var};

use super::activation::relu_if;
use super::{Build, Draw, Forward, Init, Kernel, Op, ParameterSpec, Pass, Place};
use crate::kernel::{self, BackwardImage, Parameter, Real, Slopes};

pub(super) struct Dense {
    inputs: usize,
    units: usize,
    bias: bool,
    relu: bool,
    init: Init,
}

impl Dense {
    pub(super) fn new(input: &[usize], units: usize, bias: bool, relu: bool, place: &Place<'_>) -> std::result::Result<Self, String> {
        match *input {
            _ if units == 0 => Err("has no units".into()),
            [inputs] => {
                let init = Init::Weights { fan_in: inputs, fan_out: units, is_rectified: relu || place.is_rectified };
                Ok(Dense { inputs, units, bias, relu, init })
            }
            _ => Err(format!("takes one dimension, not {input:?}; put {{ layer = \"flatten\" }} before it")),
        }
    }
}

impl Op for Dense {
    fn output(&self) -> Vec<usize> {
        vec![self.units]
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        ParameterSpec::with_bias(vec![self.inputs, self.units], self.init, self.bias)
    }

    fn multiply_adds(&self) -> u64 {
        (self.inputs * self.units) as u64
    }

    fn composed(&self, x: &[Tensor], p: &[Var], _: &mut [Tensor], _: Option<Draw>) -> Result<Tensor> {
        let z = x[0].matmul(&p[0])?;
        relu_if(self.relu, if self.bias { z.broadcast_add(&p[1])? } else { z })
    }
}

impl<T: Real> Build<T> for Dense {
    fn kernel(&self) -> Box<dyn Kernel<T>> {
        Box::new(kernel::Dense::new(self.inputs, self.units, self.relu))
    }
}

impl<T: Real> Kernel<T> for kernel::Dense<T> {
    fn memory(&self, batch: usize) -> usize {
        kernel::Dense::memory(self, batch)
    }

    fn forward<'a>(&'a mut self, pass: &Pass<'a>, p: &'a [&'a [T]]) -> Forward<'a, T> {
        let Pass { team, batch, .. } = *pass;
        Forward::Batch(Box::new(move |x, y| kernel::Dense::forward(self, team, batch, x[0], p[0], p.get(1).copied(), y)))
    }

    fn backward_images<'a>(&'a mut self, _: &Pass<'a>, _: &'a [&'a [T]], _: bool) -> Option<BackwardImage<'a, T>> {
        None
    }

    fn backward(&mut self, pass: &Pass<'_>, slopes: Slopes<'_, T>, parameters: &mut [Parameter<'_, T>]) -> f64 {
        let ([w, b @ ..], Some(dx)) = (parameters, slopes.dx.into_iter().next()) else { unreachable!("weights and one input") };
        kernel::Dense::backward(self, pass.team, pass.batch, slopes.x[0], slopes.y, slopes.dy, dx, w, b.first_mut())
    }
}
