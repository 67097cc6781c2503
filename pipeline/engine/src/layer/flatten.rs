//! Everything but the batch dimension becomes one dimension.

use candle_core::{Result, Tensor, Var};

use super::{Gradients, Op, Pass};

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

    fn forward(&mut self, x: &Tensor, parameters: &[Var]) -> Result<Tensor> {
        self.composed(x, parameters)
    }

    fn backward(&mut self, pass: &Pass<'_>, _: &[Var]) -> Result<Gradients> {
        Ok(Gradients { input: Some(pass.dy.reshape(pass.x.shape())?), parameters: vec![] })
    }

    fn composed(&self, x: &Tensor, _: &[Var]) -> Result<Tensor> {
        x.reshape((x.dim(0)?, self.inputs))
    }
}
