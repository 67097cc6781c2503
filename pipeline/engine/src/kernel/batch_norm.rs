//! Batch normalisation (Ioffe & Szegedy 2015, algorithm 1), with the running statistics that evaluation uses as in PyTorch:
//! momentum 0.1, unbiased running variance, ε = 1e-5.
//!
//! y = act(γ · (x − mean) / √(variance + ε) + β), for each channel over all images and pixels of the batch. Mean and variance
//! take two passes: one pass over squares would cancel.

use super::Real;
use super::learn::{Parameter, Target};
use super::simd::vectorized;
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

    /// Numbers of memory for a batch in training.
    pub(crate) fn memory(&self, batch: usize) -> usize {
        (2 * batch + 10) * self.channels
    }

    #[expect(clippy::too_many_arguments, reason = "the operands of one operation")]
    pub(crate) fn forward(&mut self, team: &Team, batch: usize, x: &[T], gamma: &[T], beta: &[T], y: &mut [T], training: bool) {
        let (c, n) = (self.channels, (batch * self.pixels) as f64);
        let image = self.pixels * c;
        if training {
            let mean = self.totals(team, batch, |i, sums, _| {
                for x in x[i * image..(i + 1) * image].chunks_exact(c) {
                    for (sum, x) in sums.iter_mut().zip(x) {
                        *sum += *x;
                    }
                }
            });
            self.mean = mean.0.iter().map(|sum| T::of(sum / n)).collect();
            let mean = self.mean.clone();
            let (squares, _) = self.totals(team, batch, |i, sums, _| {
                for x in x[i * image..(i + 1) * image].chunks_exact(c) {
                    for ((sum, x), mean) in sums.iter_mut().zip(x).zip(&mean) {
                        *sum += (*x - *mean) * (*x - *mean);
                    }
                }
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
            for (y, x) in y.chunks_exact_mut(c).zip(x[i * image..(i + 1) * image].chunks_exact(c)) {
                for (((y, x), scale), shift) in y.iter_mut().zip(x).zip(&scale).zip(&shift) {
                    let z = *x * *scale + *shift;
                    *y = if relu && z <= T::zero() { T::zero() } else { z };
                }
            }
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
        let (mean, inverse) = (self.mean.clone(), self.inverse.clone());
        // Σ dz and Σ dz · (x − mean), where dz is the gradient behind the ReLU.
        let (plain, weighted) = self.totals(team, batch, |i, plain, weighted| {
            let range = i * image..(i + 1) * image;
            for ((x, y), dy) in x[range.clone()].chunks_exact(c).zip(y[range.clone()].chunks_exact(c)).zip(dy[range].chunks_exact(c)) {
                for k in 0..c {
                    let dz = behind(relu, y[k], dy[k]);
                    plain[k] += dz;
                    weighted[k] += dz * (x[k] - mean[k]);
                }
            }
        });
        let dbeta: Vec<T> = plain.iter().map(|s| T::of(*s)).collect();
        let dgamma: Vec<T> = weighted.iter().zip(&inverse).map(|(s, inverse)| T::of(s * inverse.wide())).collect();
        if let Some(Target { to, add }) = dx {
            // dx = γ · inverse · (dz − Σdz/n − (x − mean) · inverse² · Σ(dz · (x − mean))/n)
            let scale: Vec<T> = gamma.weights().iter().zip(&inverse).map(|(g, inverse)| *g * *inverse).collect();
            let constant: Vec<T> = plain.iter().map(|s| T::of(s / n)).collect();
            let slope: Vec<T> = weighted.iter().zip(&inverse).map(|(s, inv)| T::of(s / n * inv.wide() * inv.wide())).collect();
            each_image(team, batch, image, to, |i, dx| {
                let start = i * image;
                for (p, dx) in dx.chunks_exact_mut(c).enumerate() {
                    let at = start + p * c;
                    let (x, y, dy) = (&x[at..at + c], &y[at..at + c], &dy[at..at + c]);
                    for k in 0..c {
                        let dz = behind(relu, y[k], dy[k]);
                        let gradient = scale[k] * (dz - constant[k] - (x[k] - mean[k]) * slope[k]);
                        dx[k] = if add { dx[k] + gradient } else { gradient };
                    }
                }
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
            vectorized(
                #[inline(always)]
                || body(i, first, second),
            );
        });
        let total = |offset: usize| (0..c).map(|k| (0..batch).map(|i| sums[(2 * i + offset) * c + k].wide()).sum()).collect();
        (total(0), total(1))
    }
}

/// The gradient behind a ReLU with output `y`.
#[inline(always)]
fn behind<T: Real>(relu: bool, y: T, dy: T) -> T {
    if relu && y <= T::zero() { T::zero() } else { dy }
}

/// Calls `body` with every image of `to`.
fn each_image<T: Real>(team: &Team, batch: usize, image: usize, to: &mut [T], body: impl Fn(usize, &mut [T]) + Sync) {
    let parts = Parts::new(to);
    team.run(batch, 4 * batch * image, |i| {
        // SAFETY: every task has its own image.
        let to = unsafe { parts.range(i * image, image) };
        vectorized(
            #[inline(always)]
            || body(i, to),
        );
    });
}
