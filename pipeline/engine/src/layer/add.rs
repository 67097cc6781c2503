//! Sum of several inputs of one shape.

use candle_core::{Result, Tensor, Var};

use super::{Build, Draw, Forward, Kernel, Op, Pass, disagreement};
use crate::kernel::{BackwardImage, Parameter, Real, Slopes, sum, sum_backward};

pub(super) struct Add {
    shape: Vec<usize>,
}

impl Add {
    /// `sources`: what messages call the inputs.
    pub(super) fn new(inputs: &[&[usize]], sources: &[String]) -> std::result::Result<Self, String> {
        let [first, _, ..] = *inputs else { return Err(format!("takes two or more inputs, not {}", inputs.len())) };
        match inputs.iter().zip(sources).find(|(shape, _)| **shape != first) {
            Some((other, source)) => {
                Err(format!("takes inputs of one shape, not {}", disagreement([(first, &sources[0]), (other, source)], true)))
            }
            None => Ok(Add { shape: first.to_vec() }),
        }
    }
}

impl Op for Add {
    fn output(&self) -> Vec<usize> {
        self.shape.clone()
    }

    fn composed(&self, x: &[Tensor], _: &[Var], _: &mut [Tensor], _: Option<Draw>) -> Result<Tensor> {
        x[1..].iter().try_fold(x[0].clone(), |sum, x| sum + x)
    }
}

impl<T: Real> Build<T> for Add {
    fn kernel(&self) -> Box<dyn Kernel<T>> {
        Box::new(Together)
    }
}

struct Together;

impl<T: Real> Kernel<T> for Together {
    fn forward<'a>(&'a mut self, _: &Pass<'a>, _: &'a [&'a [T]]) -> Forward<'a, T> {
        Forward::Images(Box::new(|_, x, y| sum(x, y)))
    }

    fn backward_images<'a>(&'a mut self, _: &Pass<'a>, _: &'a [&'a [T]], _: bool) -> Option<BackwardImage<'a, T>> {
        Some(Box::new(|_, mut slopes| sum_backward(slopes.dy, &mut slopes.dx)))
    }

    fn backward(&mut self, _: &Pass<'_>, _: Slopes<'_, T>, _: &mut [Parameter<'_, T>]) -> f64 {
        0.0
    }
}
