//! Convolution over 1, 2 or 3 dimensions, with or without bias. w \[window…, channels / groups, filters\]; each group has a
//! stretch of the channels and a stretch of the filters.

use candle_core::{Result, Tensor, Var};
use spec::model::Window;

use super::activation::relu_if;
use super::{Build, Draw, Forward, Init, Kernel, Op, ParameterSpec, Pass, Place};
use crate::kernel::{self, BackwardImage, Geometry, Parameter, Real, Slopes};

pub(super) struct Conv {
    geometry: Geometry,
    /// How many dimensions the images have, and the window.
    dimensions: usize,
    rank: usize,
    filters: usize,
    groups: usize,
    bias: bool,
    relu: bool,
    is_rectified: bool,
}

impl Conv {
    pub(super) fn new(
        input: &[usize],
        filters: usize,
        window: &Window,
        groups: usize,
        bias: bool,
        relu: bool,
        place: &Place<'_>,
    ) -> std::result::Result<Self, String> {
        let geometry = Geometry::new(input, window)?;
        if filters == 0 {
            return Err("has no filters".into());
        }
        for (what, count) in [("input channels", geometry.channels), ("filters", filters)] {
            if groups == 0 || !count.is_multiple_of(groups) {
                return Err(format!("has {groups} groups for {count} {what}; {} would fit", divisors(geometry.channels, filters)));
            }
        }
        let is_rectified = relu || place.is_rectified;
        Ok(Conv { geometry, dimensions: input.len() - 1, rank: window.size.len(), filters, groups, bias, relu, is_rectified })
    }

    /// Whether every group has one channel, of several.
    fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.geometry.channels
    }
}

/// The numbers of groups that two counts can be cut into.
fn divisors(a: usize, b: usize) -> String {
    let all: Vec<String> = (1..=a.min(b)).filter(|n| a.is_multiple_of(*n) && b.is_multiple_of(*n)).map(|n| n.to_string()).collect();
    match all.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => "1".into(),
    }
}

impl Op for Conv {
    fn output(&self) -> Vec<usize> {
        self.geometry.output_shape(self.dimensions, self.filters)
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        let (g, places) = (&self.geometry, self.geometry.kernel.iter().product::<usize>());
        let channels = g.channels / self.groups;
        let (fan_in, fan_out) = (channels * places, self.filters / self.groups * places);
        let init = Init::Weights { fan_in, fan_out, is_rectified: self.is_rectified };
        let shape = g.kernel[3 - self.rank..].iter().copied().chain([channels, self.filters]).collect();
        ParameterSpec::with_bias(shape, init, self.bias)
    }

    fn multiply_adds(&self) -> u64 {
        // The largest networks are refused for this number, so it must not wrap around.
        let weights = self.filters * (self.geometry.window_len() / self.groups);
        (weights as u64).saturating_mul(self.geometry.output_pixels() as u64)
    }

    /// One matrix product per group and place of the window: candle's own convolutions are restricted, and slow to differentiate.
    fn composed(&self, x: &[Tensor], p: &[Var], _: &mut [Tensor], _: Option<Draw>) -> Result<Tensor> {
        let g = &self.geometry;
        let batch = x[0].dim(0)?;
        let places: usize = g.kernel.iter().product();
        let (channels, filters) = (g.channels / self.groups, self.filters / self.groups);
        let w = p[0].reshape((places, channels, self.filters))?;
        let slices = window_places(g, &x[0], None)?;
        let mut sums = vec![];
        for group in 0..self.groups {
            let products = slices.iter().enumerate().map(|(place, slice)| {
                let slice = slice.contiguous()?.reshape((batch * g.output_pixels(), g.channels))?;
                let slice = slice.narrow(1, group * channels, channels)?.contiguous()?;
                slice.matmul(&w.get(place)?.narrow(1, group * filters, filters)?.contiguous()?)
            });
            let sum = products.reduce(|sum, product| sum? + product?);
            sums.push(sum.unwrap_or_else(|| candle_core::bail!("a window without places"))?);
        }
        let z = Tensor::cat(&sums, 1)?;
        let z = if self.bias { z.broadcast_add(&p[1])? } else { z };
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
        if self.is_depthwise() {
            return Box::new(kernel::Depthwise::new(&self.geometry, self.filters, self.relu));
        }
        Box::new(kernel::Conv::new(&self.geometry, self.filters, self.groups, self.relu))
    }
}

impl<T: Real> Kernel<T> for kernel::Conv<T> {
    fn memory(&self, batch: usize) -> usize {
        kernel::Conv::memory(self, batch)
    }

    fn forward<'a>(&'a mut self, pass: &Pass<'a>, p: &'a [&'a [T]]) -> Forward<'a, T> {
        let run = self.forward_images(pass.batch, p[0], p.get(1).copied());
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
        let [w, b @ ..] = parameters else { unreachable!("weights") };
        self.finish(pass.team, pass.batch, slopes.x[0], slopes.dy, w, b.first_mut())
    }
}

impl<T: Real> Kernel<T> for kernel::Depthwise<T> {
    fn memory(&self, batch: usize) -> usize {
        kernel::Depthwise::memory(self, batch)
    }

    fn forward<'a>(&'a mut self, _: &Pass<'a>, p: &'a [&'a [T]]) -> Forward<'a, T> {
        let run = self.forward_images(p[0], p.get(1).copied());
        Forward::Images(Box::new(move |_, x, y| run(x[0], y)))
    }

    fn backward_images<'a>(&'a mut self, pass: &Pass<'a>, p: &'a [&'a [T]], _: bool) -> Option<BackwardImage<'a, T>> {
        let run = kernel::Depthwise::backward_images(self, pass.batch, p[0]);
        Some(Box::new(move |image, slopes| run(image, slopes.x[0], slopes.y, slopes.dy, slopes.dx.into_iter().flatten().next())))
    }

    fn backward(&mut self, pass: &Pass<'_>, _: Slopes<'_, T>, parameters: &mut [Parameter<'_, T>]) -> f64 {
        let [w, b @ ..] = parameters else { unreachable!("weights") };
        self.finish(pass.team, pass.batch, w, b.first_mut())
    }
}
