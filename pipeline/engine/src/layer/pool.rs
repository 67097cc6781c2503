//! Max and average pooling over 1, 2 or 3 dimensions. Padding is not part of any window.

use candle_core::{Result, Tensor, Var};
use spec::model::{Padding, Window};

use super::conv::window_places;
use super::{Build, Draw, Forward, Kernel, Op, Pass};
use crate::kernel::{self, BackwardImage, Geometry, Parameter, Pooling, Real, Slopes};

pub(super) struct Pool {
    geometry: Geometry,
    pooling: Pooling,
    output: Vec<usize>,
}

impl Pool {
    pub(super) fn max(input: &[usize], window: &Window) -> std::result::Result<Self, String> {
        Pool::new(input, window, Pooling::Max)
    }

    pub(super) fn mean(input: &[usize], window: &Window) -> std::result::Result<Self, String> {
        Pool::new(input, window, Pooling::Mean)
    }

    /// The largest number of each channel: one dimension of output.
    pub(super) fn global_max(input: &[usize]) -> std::result::Result<Self, String> {
        Pool::global(input, Pooling::Max)
    }

    /// The mean of each channel: one dimension of output.
    pub(super) fn global_mean(input: &[usize]) -> std::result::Result<Self, String> {
        Pool::global(input, Pooling::Mean)
    }

    fn global(input: &[usize], pooling: Pooling) -> std::result::Result<Self, String> {
        let Some((&channels, sizes)) = input.split_last().filter(|(_, sizes)| (1..=3).contains(&sizes.len())) else {
            return Err(format!("takes 1 to 3 dimensions and channels, not {input:?}"));
        };
        let window = Window { size: sizes.to_vec(), stride: sizes.to_vec(), padding: Padding::Valid };
        Ok(Pool { output: vec![channels], ..Pool::new(input, &window, pooling)? })
    }

    fn new(input: &[usize], window: &Window, pooling: Pooling) -> std::result::Result<Self, String> {
        let geometry = Geometry::new(input, window)?;
        if let Padding::Each(each) = &window.padding
            && let Some((padding, size)) = each.iter().zip(&window.size).find(|(padding, size)| **padding > **size / 2)
        {
            return Err(format!("has padding {padding} around a window of {size}; at most half of it is possible, {}", size / 2));
        }
        let output = geometry.output_shape(input.len() - 1, geometry.channels);
        Ok(Pool { geometry, pooling, output })
    }
}

impl Op for Pool {
    fn output(&self) -> Vec<usize> {
        self.output.clone()
    }

    fn composed(&self, x: &[Tensor], _: &[Var], _: &mut [Tensor], _: Option<Draw>) -> Result<Tensor> {
        let g = &self.geometry;
        let shape = [&[x[0].dim(0)?], &self.output[..]].concat();
        let around = (self.pooling == Pooling::Max).then_some(f64::NEG_INFINITY);
        let mut places = window_places(g, &x[0], around)?.into_iter();
        let Some(mut result) = places.next() else { return x[0].zeros_like() };
        for place in places {
            result = match self.pooling {
                // The first maximum is kept, and NaN, as in the kernel; candle's own maximum shares the gradient in a tie.
                Pooling::Max => (place.le(&result)? + result.ne(&result)?)?.where_cond(&result, &place)?,
                Pooling::Mean => (result + place)?,
            };
        }
        if self.pooling == Pooling::Mean {
            let [d, h, w] = g.input;
            let ones = Tensor::ones((1, d, h, w, g.channels), x[0].dtype(), x[0].device())?;
            let counts = window_places(g, &ones, None)?.into_iter().reduce(|a, b| (&a + &b).unwrap_or(a));
            if let Some(counts) = counts {
                result = result.broadcast_div(&counts)?;
            }
        }
        result.reshape(shape)
    }
}

impl<T: Real> Build<T> for Pool {
    fn kernel(&self) -> Box<dyn Kernel<T>> {
        Box::new(kernel::Pool::<T>::new(&self.geometry, self.pooling))
    }
}

impl<T: Real> Kernel<T> for kernel::Pool<T> {
    fn memory(&self, batch: usize) -> usize {
        kernel::Pool::memory(self, batch)
    }

    fn forward<'a>(&'a mut self, pass: &Pass<'a>, _: &'a [&'a [T]]) -> Forward<'a, T> {
        let run = self.forward_images(pass.batch);
        Forward::Images(Box::new(move |image, x, y| run(image.index, x[0], y)))
    }

    fn backward_images<'a>(&'a mut self, _: &Pass<'a>, _: &'a [&'a [T]], _: bool) -> Option<BackwardImage<'a, T>> {
        let run = kernel::Pool::backward_images(self);
        Some(Box::new(move |image, slopes| {
            if let Some(dx) = slopes.dx.into_iter().flatten().next() {
                run(image.index, slopes.dy, dx);
            }
        }))
    }

    fn backward(&mut self, _: &Pass<'_>, _: Slopes<'_, T>, _: &mut [Parameter<'_, T>]) -> f64 {
        0.0
    }
}
