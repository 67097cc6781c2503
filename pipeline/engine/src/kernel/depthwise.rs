//! Depthwise convolution: every filter sees one channel, and every channel has equally many filters.
//!
//! x is \[batch, pixels, channels\], the weights \[window places, filters\], y \[batch, pixels, filters\]; the filters of a channel
//! are neighbours. A panel product would have a column or two per channel, so the loops here run along the channels. Where a
//! channel has several filters, it is first repeated for each of them. Padding is left out of the sums.

use super::Real;
use super::elementwise::{mask_and_sum, sum_parts};
use super::geometry::Geometry;
use super::images::{Image, groups};
use super::learn::{Parameter, Target};
use super::memory::room;
use super::reach::Reach;
use super::simd::{Program, Vector, run};
use super::team::{Parts, Team};

/// A depthwise convolution with optional bias and ReLU, and the memory that it works in.
pub(crate) struct Depthwise<T> {
    g: Geometry,
    filters: usize,
    relu: bool,
    /// From outputs to the input pixels that their windows cover.
    windows: Reach,
    /// From input pixels to the outputs whose windows cover them.
    outputs: Reach,
    partial: Vec<T>,
    partial_bias: Vec<T>,
}

impl<T: Real> Depthwise<T> {
    /// The channels must divide `filters`.
    pub(crate) fn new(g: &Geometry, filters: usize, relu: bool) -> Self {
        let (windows, outputs) = (Reach::windows(g), Reach::outputs(g));
        Depthwise { g: g.clone(), filters, relu, windows, outputs, partial: vec![], partial_bias: vec![] }
    }

    fn weights(&self) -> usize {
        self.g.kernel.iter().product::<usize>() * self.filters
    }

    /// Numbers of memory for a batch in training.
    pub(crate) fn memory(&self, batch: usize) -> usize {
        groups(batch).0 * (self.weights() + self.filters)
    }

    /// What computes the output of one image.
    pub(crate) fn forward_images<'a>(&'a self, w: &'a [T], b: Option<&'a [T]>) -> impl Fn(&[T], &mut [T]) + Sync + 'a {
        let Depthwise { g, filters, relu, windows, .. } = self;
        move |x, y| {
            repeated(x, g.channels, *filters, |x| run(Filter { filters: *filters, windows, x, w, b, relu: *relu, y }));
        }
    }

    /// What computes the gradient to one image, and adds up the gradients to weights and bias. `dy` is overwritten by the
    /// gradient behind the ReLU. Images of a group have to come in order, on one thread.
    #[expect(clippy::type_complexity, reason = "a function that nobody names")]
    pub(crate) fn backward_images<'a>(
        &'a mut self,
        batch: usize,
        w: &'a [T],
    ) -> impl Fn(Image, &[T], &[T], &mut [T], Option<Target<'_, T>>) + Sync + 'a {
        let (groups, weights) = (groups(batch).0, self.weights());
        let Depthwise { g, filters, relu, windows, outputs, partial, partial_bias } = self;
        let (g, filters, relu, windows, outputs) = (&*g, *filters, *relu, &*windows, &*outputs);
        let partial = Parts::new(room(partial, groups * weights));
        let bias = Parts::new(room(partial_bias, groups * filters));
        move |image, x, y, dy, dx| {
            // SAFETY: every group has its own sums.
            let (dw, db) = unsafe { (partial.range(image.group * weights, weights), bias.range(image.group * filters, filters)) };
            if image.is_first {
                dw.fill(T::zero());
                db.fill(T::zero());
            }
            mask_and_sum(relu.then_some(y), dy, db);
            repeated(x, g.channels, filters, |x| run(WeightGradient { filters, windows, x, dz: dy, dw }));
            let Some(Target { to, add }) = dx else { return };
            if filters == g.channels {
                return run(InputGradient { filters, outputs, stride: g.stride[2], dz: dy, w, dx: to, add });
            }
            T::with(g.input_pixels() * filters, |wide| {
                run(InputGradient { filters, outputs, stride: g.stride[2], dz: dy, w, dx: wide, add: false });
                for (to, wide) in to.iter_mut().zip(wide.chunks_exact(filters / g.channels)) {
                    let sum = wide.iter().fold(T::zero(), |sum, x| sum + *x);
                    *to = if add { *to + sum } else { sum };
                }
            });
        }
    }

    /// Learns, when all images have been through [`Depthwise::backward_images`]; returns the gradients' sum of squares.
    pub(crate) fn finish(&mut self, team: &Team, batch: usize, w: &mut Parameter<'_, T>, b: Option<&mut Parameter<'_, T>>) -> f64 {
        let (groups, weights, filters) = (groups(batch).0, self.weights(), self.filters);
        let squares = w.learn(team, sum_parts(&mut self.partial[..groups * weights], weights));
        squares + b.map_or(0.0, |b| b.learn(team, sum_parts(&mut self.partial_bias[..groups * filters], filters)))
    }
}

/// Calls `body` with an image whose every channel stands there once for each of its filters.
fn repeated<T: Real>(x: &[T], channels: usize, filters: usize, body: impl FnOnce(&[T])) {
    if filters == channels {
        return body(x);
    }
    T::with(x.len() / channels * filters, |wide| {
        for (wide, x) in wide.chunks_exact_mut(filters / channels).zip(x) {
            wide.fill(*x);
        }
        body(wide);
    });
}

/// The output of one image.
struct Filter<'a, T> {
    filters: usize,
    windows: &'a Reach,
    x: &'a [T],
    w: &'a [T],
    b: Option<&'a [T]>,
    relu: bool,
    y: &'a mut [T],
}

impl<T: Real> Program<T> for Filter<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Vector<T>>(self) {
        let Filter { filters, windows, x, w, b, relu, y } = self;
        windows.each_group(
            filters,
            V::LANES,
            #[inline(always)]
            // SAFETY: the caller grants the instructions; slicing checks that each group of filters lies inside its slice.
            |first, lanes, rows, (columns, place), pixel| unsafe {
                let mut sum = b.map_or(V::zero(), |b| V::load_first(b[first..first + lanes].as_ptr(), lanes));
                for row in rows {
                    let (mut from, mut at) = ((row.start + columns.start) * filters + first, (row.place + place) * filters + first);
                    for _ in columns.clone() {
                        let x = V::load_first(x[from..from + lanes].as_ptr(), lanes);
                        sum = x.mul_add(V::load_first(w[at..at + lanes].as_ptr(), lanes), sum);
                        (from, at) = (from + filters, at + filters);
                    }
                }
                let sum = if relu { sum.rectify() } else { sum };
                let to = pixel * filters + first;
                sum.store_first(y[to..to + lanes].as_mut_ptr(), lanes);
            },
        );
    }
}

/// The gradient to one image.
struct InputGradient<'a, T> {
    filters: usize,
    outputs: &'a Reach,
    stride: usize,
    dz: &'a [T],
    w: &'a [T],
    dx: &'a mut [T],
    add: bool,
}

impl<T: Real> Program<T> for InputGradient<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Vector<T>>(self) {
        let InputGradient { filters, outputs, stride, dz, w, dx, add } = self;
        outputs.each_group(
            filters,
            V::LANES,
            #[inline(always)]
            // SAFETY: the caller grants the instructions; slicing checks that each group of filters lies inside its slice.
            |first, lanes, rows, (columns, place), pixel| unsafe {
                let to = &mut dx[pixel * filters + first..][..lanes];
                let mut sum = if add { V::load_first(to.as_ptr(), lanes) } else { V::zero() };
                for row in rows {
                    for (passed, output) in columns.clone().enumerate() {
                        let from = (row.start + output) * filters + first;
                        let at = (row.place + place - passed * stride) * filters + first;
                        let dz = V::load_first(dz[from..from + lanes].as_ptr(), lanes);
                        sum = dz.mul_add(V::load_first(w[at..at + lanes].as_ptr(), lanes), sum);
                    }
                }
                sum.store_first(to.as_mut_ptr(), lanes);
            },
        );
    }
}

/// The gradient to the weights from one image, added to what is there.
struct WeightGradient<'a, T> {
    filters: usize,
    windows: &'a Reach,
    x: &'a [T],
    dz: &'a [T],
    dw: &'a mut [T],
}

impl<T: Real> Program<T> for WeightGradient<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Vector<T>>(self) {
        let WeightGradient { filters, windows, x, dz, dw } = self;
        windows.each_group(
            filters,
            V::LANES,
            #[inline(always)]
            // SAFETY: the caller grants the instructions; slicing checks that each group of filters lies inside its slice.
            |first, lanes, rows, (columns, place), pixel| unsafe {
                let from = pixel * filters + first;
                let dz = V::load_first(dz[from..from + lanes].as_ptr(), lanes);
                for row in rows {
                    let (mut from, mut at) = ((row.start + columns.start) * filters + first, (row.place + place) * filters + first);
                    for _ in columns.clone() {
                        let x = V::load_first(x[from..from + lanes].as_ptr(), lanes);
                        let to = &mut dw[at..at + lanes];
                        x.mul_add(dz, V::load_first(to.as_ptr(), lanes)).store_first(to.as_mut_ptr(), lanes);
                        (from, at) = (from + filters, at + filters);
                    }
                }
            },
        );
    }
}
