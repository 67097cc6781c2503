//! Convolution over 1, 2 or 3 dimensions with bias. w \[window…, channels, filters\].

use candle_core::{Result, Tensor, Var};
use spec::model::Window;

use super::activation::relu_if;
use super::{Build, Forward, Init, Kernel, Op, ParameterSpec, Pass};
use crate::kernel::{self, BackwardImage, Geometry, Parameter, Real, Slopes};

pub(super) struct Conv {
    geometry: Geometry,
    /// How many dimensions the window has.
    rank: usize,
    filters: usize,
    relu: bool,
}

impl Conv {
    pub(super) fn new(input: &[usize], filters: usize, window: &Window, relu: bool) -> std::result::Result<Self, String> {
        Ok(Conv { geometry: Geometry::new(input, window)?, rank: window.size.len(), filters, relu })
    }
}

impl Op for Conv {
    fn output(&self) -> Vec<usize> {
        self.geometry.output_shape(self.rank, self.filters)
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        let (g, places) = (&self.geometry, self.geometry.kernel.iter().product::<usize>());
        let init = Init::for_activation(self.relu, g.channels * places, self.filters * places);
        let shape = g.kernel[3 - self.rank..].iter().copied().chain([g.channels, self.filters]).collect();
        vec![ParameterSpec { shape, init }, ParameterSpec { shape: vec![self.filters], init: Init::Zero }]
    }

    fn multiply_adds(&self) -> u64 {
        (self.filters * self.geometry.window_len() * self.geometry.output_pixels()) as u64
    }

    /// One matrix product per place of the window: candle's own convolutions are restricted, and slow to differentiate.
    fn composed(&self, x: &[Tensor], p: &[Var], _: &mut Vec<Tensor>, _: bool) -> Result<Tensor> {
        let g = &self.geometry;
        let batch = x[0].dim(0)?;
        let places: usize = g.kernel.iter().product();
        let w = p[0].reshape((places, g.channels, self.filters))?;
        let mut sum: Option<Tensor> = None;
        for (place, slice) in window_places(g, &x[0], None)?.into_iter().enumerate() {
            let slice = slice.contiguous()?.reshape((batch * g.output_pixels(), g.channels))?;
            let product = slice.matmul(&w.get(place)?.contiguous()?)?;
            sum = Some(match sum {
                None => product,
                Some(sum) => (sum + product)?,
            });
        }
        let z = sum.map_or_else(|| p[1].zeros_like(), Ok)?.broadcast_add(&p[1])?;
        relu_if(self.relu, z)?.reshape([&[batch], &self.output()[..]].concat())
    }
}

/// For every place of the window, what it sees from each output pixel: \[batch, depth, height, width, channels\]. Around the
/// image are zeros, or whatever `around` says.
pub(super) fn window_places(g: &Geometry, x: &Tensor, around: Option<f64>) -> Result<Vec<Tensor>> {
    let [d, h, w] = g.input;
    let mut padded = x.reshape((x.dim(0)?, d, h, w, g.channels))?;
    for dim in 0..3 {
        padded = match around {
            None => padded.pad_with_zeros(dim + 1, g.before[dim], g.after[dim])?,
            Some(value) => {
                let border = |size: usize| {
                    let mut shape = padded.dims().to_vec();
                    shape[dim + 1] = size;
                    Tensor::full(value, shape, x.device())?.to_dtype(x.dtype())
                };
                let parts = [border(g.before[dim])?, padded.clone(), border(g.after[dim])?];
                let parts: Vec<&Tensor> = parts.iter().filter(|part| part.elem_count() > 0).collect();
                Tensor::cat(&parts, dim + 1)?
            }
        };
    }
    let mut slices = vec![];
    for z in 0..g.kernel[0] {
        for y in 0..g.kernel[1] {
            for x in 0..g.kernel[2] {
                let mut slice = padded.clone();
                for (dim, first) in [z, y, x].into_iter().enumerate() {
                    let (stride, outputs) = (g.stride[dim], g.output[dim]);
                    slice = if stride == 1 {
                        slice.narrow(dim + 1, first, outputs)?
                    } else {
                        let places: Vec<u32> = (0..outputs).map(|o| u32::try_from(first + o * stride).unwrap_or(u32::MAX)).collect();
                        slice.contiguous()?.index_select(&Tensor::new(places, slice.device())?, dim + 1)?
                    };
                }
                slices.push(slice);
            }
        }
    }
    Ok(slices)
}

impl<T: Real> Build<T> for Conv {
    fn kernel(&self) -> Box<dyn Kernel<T>> {
        Box::new(kernel::Conv::new(&self.geometry, self.filters, self.relu))
    }
}

impl<T: Real> Kernel<T> for kernel::Conv<T> {
    fn memory(&self, batch: usize) -> usize {
        kernel::Conv::memory(self, batch)
    }

    fn forward<'a>(&'a mut self, pass: &Pass<'a>, p: &'a [&'a [T]]) -> Forward<'a, T> {
        let run = self.forward_images(pass.batch, p[0], p[1]);
        Forward::Images(Box::new(move |image, x, y| run(image.index, x[0], y)))
    }

    fn backward_images<'a>(&'a mut self, pass: &Pass<'a>, p: &'a [&'a [T]], is_inner: bool) -> Option<BackwardImage<'a, T>> {
        let run = kernel::Conv::backward_images(self, pass.team, pass.batch, p[0], is_inner);
        Some(Box::new(move |image, slopes| run(image, slopes.x[0], slopes.y, slopes.dy, slopes.dx.into_iter().flatten().next())))
    }

    fn keeps_slopes(&self) -> bool {
        !self.has_few_weights()
    }

    fn backward(&mut self, pass: &Pass<'_>, slopes: Slopes<'_, T>, parameters: &mut [Parameter<'_, T>]) -> f64 {
        let [w, b] = parameters else { unreachable!("weights and bias") };
        self.finish(pass.team, pass.batch, slopes.x[0], slopes.dy, w, b)
    }
}
