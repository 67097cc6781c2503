//! Channels of several inputs, one after another.

use candle_core::{D, Result, Tensor, Var};

use super::{Build, Draw, Forward, Kernel, Op, Pass, disagreement};
use crate::kernel::{BackwardImage, Parameter, Real, Slopes, concat, concat_backward};

pub(super) struct Concat {
    /// All dimensions but the channels.
    sizes: Vec<usize>,
    widths: Vec<usize>,
}

impl Concat {
    /// `sources`: what messages call the inputs.
    pub(super) fn new(inputs: &[&[usize]], sources: &[String]) -> std::result::Result<Self, String> {
        let Some((_, sizes)) = inputs.first().and_then(|shape| shape.split_last()) else { return Err("takes at least one input".into()) };
        let mut widths = vec![];
        for (shape, source) in inputs.iter().zip(sources) {
            match shape.split_last() {
                Some((width, others)) if others == sizes => widths.push(*width),
                _ => {
                    let both = disagreement([(inputs[0], &sources[0]), (shape, source)], false);
                    return Err(format!("takes inputs that differ in channels alone, not {both}"));
                }
            }
        }
        Ok(Concat { sizes: sizes.to_vec(), widths })
    }
}

impl Op for Concat {
    fn output(&self) -> Vec<usize> {
        self.sizes.iter().copied().chain([self.widths.iter().sum()]).collect()
    }

    fn composed(&self, x: &[Tensor], _: &[Var], _: &mut [Tensor], _: Option<Draw>) -> Result<Tensor> {
        Tensor::cat(x, D::Minus1)
    }
}

impl<T: Real> Build<T> for Concat {
    fn kernel(&self) -> Box<dyn Kernel<T>> {
        Box::new(Beside { widths: self.widths.clone() })
    }
}

struct Beside {
    widths: Vec<usize>,
}

impl<T: Real> Kernel<T> for Beside {
    fn forward<'a>(&'a mut self, _: &Pass<'a>, _: &'a [&'a [T]]) -> Forward<'a, T> {
        Forward::Images(Box::new(|_, x, y| concat(x, &self.widths, y)))
    }

    fn backward_images<'a>(&'a mut self, _: &Pass<'a>, _: &'a [&'a [T]], _: bool) -> Option<BackwardImage<'a, T>> {
        Some(Box::new(|_, mut slopes| concat_backward(slopes.dy, &self.widths, &mut slopes.dx)))
    }

    fn backward(&mut self, _: &Pass<'_>, _: Slopes<'_, T>, _: &mut [Parameter<'_, T>]) -> f64 {
        0.0
    }
}
