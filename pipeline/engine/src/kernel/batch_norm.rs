//! Batch normalisation (Ioffe & Szegedy 2015, algorithm 1), with the running statistics that evaluation uses as in PyTorch:
//! momentum 0.1, unbiased running variance, ε = 1e-5.
//!
//! y = act(γ · (x − mean) / √(variance + ε) + β), for each channel over all images and pixels of the batch. Mean and variance
//! take two passes: one pass over squares would cancel.

use super::Real;
use super::learn::{Parameter, Target};
use super::simd::{Program, Vector, run};
use super::team::{Parts, Team};

/// ε under the root.
pub(crate) const EPSILON: f64 = 1e-5;
/// Share of the running statistics that a batch replaces.
pub(crate) const MOMENTUM: f64 = 0.1;

/// Batch normalisation of \[batch, pixels, channels\] with optional ReLU.
pub(crate) struct BatchNorm<T> {
    pixels: usize,
    channels: usize,
    relu: bool,
    /// Of the last training batch.
    mean: Vec<T>,
    /// 1 / √(variance + ε) of the last training batch.
    inverse: Vec<T>,
    running_mean: Vec<T>,
    running_variance: Vec<T>,
    /// One sum per image and channel, twice.
    sums: Vec<T>,
}

impl<T: Real> BatchNorm<T> {
    pub(crate) fn new(pixels: usize, channels: usize, relu: bool) -> Self {
        let (zeros, ones) = (vec![T::zero(); channels], vec![T::one(); channels]);
        BatchNorm {
            pixels,
            channels,
            relu,
            mean: zeros.clone(),
            inverse: ones.clone(),
            running_mean: zeros,
            running_variance: ones,
            sums: vec![],
        }
    }

    /// The running mean and variance.
    pub(crate) fn running(&mut self) -> Vec<&mut [T]> {
        vec![&mut self.running_mean, &mut self.running_variance]
    }

    /// Numbers of memory for a batch in training.
    pub(crate) fn memory(&self, batch: usize) -> usize {
        (2 * batch + 10) * self.channels
    }

    #[expect(clippy::too_many_arguments, reason = "the operands of one operation")]
    pub(crate) fn forward(&mut self, team: &Team, batch: usize, x: &[T], gamma: &[T], beta: &[T], y: &mut [T], training: bool) {
        let (c, n) = (self.channels, (batch * self.pixels) as f64);
        let image = self.pixels * c;
        if training {
            let (sums, _) = self.totals(team, batch, |i, sums, _| run(Sums { channels: c, x: &x[i * image..(i + 1) * image], to: sums }));
            self.mean = sums.iter().map(|sum| T::of(sum / n)).collect();
            let from_mean: Vec<T> = self.mean.iter().map(|mean| T::zero() - *mean).collect();
            let (squares, _) = self.totals(team, batch, |i, sums, _| {
                run(Squares { channels: c, x: &x[i * image..(i + 1) * image], from_mean: &from_mean, to: sums });
            });
            self.inverse = squares.iter().map(|s| T::of(1.0 / (s / n + EPSILON).sqrt())).collect();
            for (k, square) in squares.iter().enumerate() {
                let unbiased = square / (n - 1.0).max(1.0);
                let mix = |old: T, new: f64| T::of((1.0 - MOMENTUM) * old.wide() + MOMENTUM * new);
                self.running_mean[k] = mix(self.running_mean[k], self.mean[k].wide());
                self.running_variance[k] = mix(self.running_variance[k], unbiased);
            }
        }
        // y = x · scale + shift
        let (scale, shift): (Vec<T>, Vec<T>) = (0..c)
            .map(|k| {
                let (mean, inverse) = if training {
                    (self.mean[k], self.inverse[k])
                } else {
                    (self.running_mean[k], T::of(1.0 / (self.running_variance[k].wide() + EPSILON).sqrt()))
                };
                let scale = gamma[k] * inverse;
                (scale, beta[k] - mean * scale)
            })
            .unzip();
        let relu = self.relu;
        each_image(team, batch, image, y, |i, y| {
            run(Normalise { x: &x[i * image..(i + 1) * image], scale: &scale, shift: &shift, relu, y });
        });
    }

    /// Gradients after a forward pass in training on the same `x`, which gave `y`; learns and returns the gradients' sum of
    /// squares.
    #[expect(clippy::too_many_arguments, reason = "the operands of one operation")]
    pub(crate) fn backward(
        &mut self,
        team: &Team,
        batch: usize,
        x: &[T],
        y: &[T],
        dy: &[T],
        dx: Option<Target<'_, T>>,
        gamma: &mut Parameter<'_, T>,
        beta: &mut Parameter<'_, T>,
    ) -> f64 {
        let (c, n, relu) = (self.channels, (batch * self.pixels) as f64, self.relu);
        let image = self.pixels * c;
        let inverse = self.inverse.clone();
        let from_mean: Vec<T> = self.mean.iter().map(|mean| T::zero() - *mean).collect();
        // Σ dz and Σ dz · (x − mean), where dz is the gradient behind the ReLU.
        let (plain, weighted) = self.totals(team, batch, |i, plain, weighted| {
            let range = i * image..(i + 1) * image;
            run(SlopeSums {
                x: &x[range.clone()],
                y: relu.then(|| &y[range.clone()]),
                dy: &dy[range],
                from_mean: &from_mean,
                plain,
                weighted,
            });
        });
        let dbeta: Vec<T> = plain.iter().map(|s| T::of(*s)).collect();
        let dgamma: Vec<T> = weighted.iter().zip(&inverse).map(|(s, inverse)| T::of(s * inverse.wide())).collect();
        if let Some(Target { to, add }) = dx {
            // dx = γ · inverse · (dz − Σdz/n − (x − mean) · inverse² · Σ(dz · (x − mean))/n)
            let scale: Vec<T> = gamma.weights().iter().zip(&inverse).map(|(g, inverse)| *g * *inverse).collect();
            let constant: Vec<T> = plain.iter().map(|s| T::of(-s / n)).collect();
            let slope: Vec<T> = weighted.iter().zip(&inverse).map(|(s, inv)| T::of(-s / n * inv.wide() * inv.wide())).collect();
            each_image(team, batch, image, to, |i, dx| {
                let range = i * image..(i + 1) * image;
                run(InputSlopes {
                    x: &x[range.clone()],
                    y: relu.then(|| &y[range.clone()]),
                    dy: &dy[range],
                    from_mean: &from_mean,
                    scale: &scale,
                    constant: &constant,
                    slope: &slope,
                    dx,
                    add,
                });
            });
        }
        gamma.learn(team, &dgamma) + beta.learn(team, &dbeta)
    }

    /// Two sums per channel: over the pixels of each image in the working precision, over the images in `f64`.
    fn totals(&mut self, team: &Team, batch: usize, body: impl Fn(usize, &mut [T], &mut [T]) + Sync) -> (Vec<f64>, Vec<f64>) {
        let c = self.channels;
        let sums = super::memory::room(&mut self.sums, 2 * batch * c);
        sums.fill(T::zero());
        let parts = Parts::new(&mut *sums);
        team.run(batch, 4 * batch * self.pixels * c, |i| {
            // SAFETY: every task has its own image.
            let (first, second) = unsafe { parts.range(2 * i * c, 2 * c) }.split_at_mut(c);
            body(i, first, second);
        });
        let total = |offset: usize| (0..c).map(|k| (0..batch).map(|i| sums[(2 * i + offset) * c + k].wide()).sum()).collect();
        (total(0), total(1))
    }
}

/// Calls `body` with every image of `to`.
fn each_image<T: Real>(team: &Team, batch: usize, image: usize, to: &mut [T], body: impl Fn(usize, &mut [T]) + Sync) {
    let parts = Parts::new(to);
    team.run(batch, 4 * batch * image, |i| {
        // SAFETY: every task has its own image.
        body(i, unsafe { parts.range(i * image, image) });
    });
}

/// Numbers of a group of channels, from the first of them on.
#[inline(always)]
unsafe fn load<T: Real, V: Vector<T>>(values: &[T], first: usize, lanes: usize) -> V {
    // SAFETY: the caller grants the instructions; slicing checks that the group lies inside.
    unsafe { V::load_first(values[first..first + lanes].as_ptr(), lanes) }
}

#[inline(always)]
unsafe fn store<T: Real, V: Vector<T>>(vector: V, values: &mut [T], first: usize, lanes: usize) {
    // SAFETY: the caller grants the instructions; slicing checks that the group lies inside.
    unsafe { vector.store_first(values[first..first + lanes].as_mut_ptr(), lanes) }
}

/// The gradient behind a ReLU with output `y`, if there is one.
#[inline(always)]
unsafe fn behind<T: Real, V: Vector<T>>(y: Option<&[T]>, dy: V, at: usize, lanes: usize) -> V {
    // SAFETY: passed on from the caller.
    unsafe {
        match y {
            Some(y) => load::<T, V>(y, at, lanes).if_exceeds(V::zero(), [(dy, V::zero()); 2])[0],
            None => dy,
        }
    }
}

/// Adds up each channel.
struct Sums<'a, T> {
    channels: usize,
    x: &'a [T],
    to: &'a mut [T],
}

impl<T: Real> Program<T> for Sums<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Vector<T>>(self) {
        let c = self.channels;
        for first in (0..c).step_by(V::LANES) {
            let lanes = V::LANES.min(c - first);
            // SAFETY: passed on from the caller.
            unsafe {
                let mut sum = V::zero();
                for at in (first..self.x.len()).step_by(c) {
                    sum = sum.add(load(self.x, at, lanes));
                }
                store(sum, self.to, first, lanes);
            }
        }
    }
}

/// Adds up the squares of each channel's differences from its mean.
struct Squares<'a, T> {
    channels: usize,
    x: &'a [T],
    /// Minus the mean.
    from_mean: &'a [T],
    to: &'a mut [T],
}

impl<T: Real> Program<T> for Squares<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Vector<T>>(self) {
        let c = self.channels;
        for first in (0..c).step_by(V::LANES) {
            let lanes = V::LANES.min(c - first);
            // SAFETY: passed on from the caller.
            unsafe {
                let (mut sum, from_mean) = (V::zero(), load::<T, V>(self.from_mean, first, lanes));
                for at in (first..self.x.len()).step_by(c) {
                    let centred = load::<T, V>(self.x, at, lanes).add(from_mean);
                    sum = centred.mul_add(centred, sum);
                }
                store(sum, self.to, first, lanes);
            }
        }
    }
}

/// y = act(x · scale + shift)
struct Normalise<'a, T> {
    x: &'a [T],
    scale: &'a [T],
    shift: &'a [T],
    relu: bool,
    y: &'a mut [T],
}

impl<T: Real> Program<T> for Normalise<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Vector<T>>(self) {
        let c = self.scale.len();
        for first in (0..c).step_by(V::LANES) {
            let lanes = V::LANES.min(c - first);
            // SAFETY: passed on from the caller.
            unsafe {
                let (scale, shift) = (load::<T, V>(self.scale, first, lanes), load(self.shift, first, lanes));
                for at in (first..self.x.len()).step_by(c) {
                    let z = load::<T, V>(self.x, at, lanes).mul_add(scale, shift);
                    store(if self.relu { z.rectify() } else { z }, self.y, at, lanes);
                }
            }
        }
    }
}

/// Adds up each channel's gradient, plain and weighted with the difference from the mean.
struct SlopeSums<'a, T> {
    x: &'a [T],
    y: Option<&'a [T]>,
    dy: &'a [T],
    from_mean: &'a [T],
    plain: &'a mut [T],
    weighted: &'a mut [T],
}

impl<T: Real> Program<T> for SlopeSums<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Vector<T>>(self) {
        let c = self.from_mean.len();
        for first in (0..c).step_by(V::LANES) {
            let lanes = V::LANES.min(c - first);
            // SAFETY: passed on from the caller.
            unsafe {
                let (mut plain, mut weighted, from_mean) = (V::zero(), V::zero(), load::<T, V>(self.from_mean, first, lanes));
                for at in (first..self.x.len()).step_by(c) {
                    let dz: V = behind(self.y, load(self.dy, at, lanes), at, lanes);
                    plain = plain.add(dz);
                    weighted = dz.mul_add(load::<T, V>(self.x, at, lanes).add(from_mean), weighted);
                }
                store(plain, self.plain, first, lanes);
                store(weighted, self.weighted, first, lanes);
            }
        }
    }
}

/// dx = scale · (dz + constant + (x − mean) · slope)
struct InputSlopes<'a, T> {
    x: &'a [T],
    y: Option<&'a [T]>,
    dy: &'a [T],
    from_mean: &'a [T],
    scale: &'a [T],
    constant: &'a [T],
    slope: &'a [T],
    dx: &'a mut [T],
    add: bool,
}

impl<T: Real> Program<T> for InputSlopes<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Vector<T>>(self) {
        let c = self.scale.len();
        for first in (0..c).step_by(V::LANES) {
            let lanes = V::LANES.min(c - first);
            // SAFETY: passed on from the caller.
            unsafe {
                let (scale, constant) = (load::<T, V>(self.scale, first, lanes), load::<T, V>(self.constant, first, lanes));
                let (slope, from_mean) = (load(self.slope, first, lanes), load(self.from_mean, first, lanes));
                for at in (first..self.x.len()).step_by(c) {
                    let dz: V = behind(self.y, load(self.dy, at, lanes), at, lanes);
                    let centred = load::<T, V>(self.x, at, lanes).add(from_mean);
                    let start = if self.add { load(self.dx, at, lanes) } else { V::zero() };
                    store(centred.mul_add(slope, dz.add(constant)).mul_add(scale, start), self.dx, at, lanes);
                }
            }
        }
    }
}
