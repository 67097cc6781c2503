//! The images of a series become the channels of one image: \[frames, height, width, channels\] to \[height, width, frames ·
//! channels\].

use candle_core::{Result, Tensor, Var};

use super::{Build, Draw, Forward, Kernel, Op, Pass};
use crate::kernel::{BackwardImage, Parameter, Real, Slopes, Target, concat, concat_backward};

#[derive(Clone, Copy)]
pub(super) struct StackFrames {
    frames: usize,
    height: usize,
    width: usize,
    channels: usize,
}

impl StackFrames {
    pub(super) fn new(input: &[usize]) -> std::result::Result<Self, String> {
        match *input {
            [frames, height, width, channels] => Ok(StackFrames { frames, height, width, channels }),
            _ => Err(format!("takes [frames, height, width, channels], not {input:?}")),
        }
    }

    /// Numbers in a frame.
    fn frame(&self) -> usize {
        self.height * self.width * self.channels
    }
}

impl Op for StackFrames {
    fn output(&self) -> Vec<usize> {
        vec![self.height, self.width, self.frames * self.channels]
    }

    fn composed(&self, x: &[Tensor], _: &[Var], _: &mut [Tensor], _: Option<Draw>) -> Result<Tensor> {
        let shape = [&[x[0].dim(0)?], &self.output()[..]].concat();
        x[0].permute((0, 2, 3, 1, 4))?.contiguous()?.reshape(shape)
    }
}

impl<T: Real> Build<T> for StackFrames {
    fn kernel(&self) -> Box<dyn Kernel<T>> {
        Box::new(*self)
    }
}

/// Frames that stand one after another are put side by side.
impl<T: Real> Kernel<T> for StackFrames {
    fn forward<'a>(&'a mut self, _: &Pass<'a>, _: &'a [&'a [T]]) -> Forward<'a, T> {
        let widths = vec![self.channels; self.frames];
        let frame = self.frame();
        Forward::Images(Box::new(move |_, x, y| concat(&x[0].chunks_exact(frame).collect::<Vec<_>>(), &widths, y)))
    }

    fn backward_images<'a>(&'a mut self, _: &Pass<'a>, _: &'a [&'a [T]], _: bool) -> Option<BackwardImage<'a, T>> {
        let widths = vec![self.channels; self.frames];
        let frame = self.frame();
        Some(Box::new(move |_, slopes| {
            for Target { to, add } in slopes.dx.into_iter().flatten() {
                let mut frames: Vec<_> = to.chunks_exact_mut(frame).map(|to| Some(Target { to, add })).collect();
                concat_backward(slopes.dy, &widths, &mut frames);
            }
        }))
    }

    fn backward(&mut self, _: &Pass<'_>, _: Slopes<'_, T>, _: &mut [Parameter<'_, T>]) -> f64 {
        0.0
    }
}
