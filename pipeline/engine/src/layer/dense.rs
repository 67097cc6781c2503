//! Fully connected layer with bias: `y = act(x · w + b)`, w \[inputs, units\].

use candle_core::{Result, Tensor, Var};

use super::activation::relu_if;
use super::{Gradients, Init, Op, ParameterSpec, Pass};
use crate::kernel::{dense_backward, dense_forward, slices, tensor, with_real};

pub(super) struct Dense {
    inputs: usize,
    units: usize,
    relu: bool,
}

impl Dense {
    pub(super) fn new(input: &[usize], units: usize, relu: bool) -> std::result::Result<Self, String> {
        match *input {
            [inputs] => Ok(Dense { inputs, units, relu }),
            _ => Err(format!("takes one dimension, not {input:?}; put a flatten before it")),
        }
    }
}

impl Op for Dense {
    fn output(&self) -> Vec<usize> {
        vec![self.units]
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        let init = Init::for_activation(self.relu, self.inputs, self.units);
        vec![ParameterSpec { shape: vec![self.inputs, self.units], init }, ParameterSpec { shape: vec![self.units], init: Init::Zero }]
    }

    fn multiply_adds(&self) -> u64 {
        (self.inputs * self.units) as u64
    }

    fn forward(&mut self, x: &Tensor, p: &[Var]) -> Result<Tensor> {
        let batch = x.dim(0)?;
        with_real!(x, T => {
            let y = slices::<T, _, 3>([x, &p[0], &p[1]], |[x, w, b]| dense_forward(x, w, b, batch, self.relu))?;
            tensor(y, (batch, self.units))
        })
    }

    fn backward(&mut self, pass: &Pass<'_>, p: &[Var]) -> Result<Gradients> {
        let batch = pass.x.dim(0)?;
        with_real!(pass.x, T => {
            let (dx, dw, db) = slices::<T, _, 4>([pass.x, &p[0], pass.y, pass.dy], |[x, w, y, dy]| {
                dense_backward(x, w, y, dy, batch, self.relu, pass.want_dx)
            })?;
            let input = dx.map(|dx| tensor(dx, (batch, self.inputs))).transpose()?;
            Ok(Gradients { input, parameters: vec![tensor(dw, (self.inputs, self.units))?, tensor(db, self.units)?] })
        })
    }

    fn composed(&self, x: &Tensor, p: &[Var]) -> Result<Tensor> {
        relu_if(self.relu, x.matmul(&p[0])?.broadcast_add(&p[1])?)
    }
}
