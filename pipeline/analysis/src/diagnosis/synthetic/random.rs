//! Random numbers of the shapes that synthetic curves need.

use std::f64::consts::TAU;

use crate::stats::Generator;

/// Numbers between 0 and 1 are multiples of one over this.
const RESOLUTION: usize = 1 << 31;

pub(super) struct Random(Generator);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Random(Generator::new(seed))
    }

    /// Uniform in [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        self.0.below(RESOLUTION) as f64 / RESOLUTION as f64
    }

    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in the logarithm: as many between 1 and 10 as between 10 and 100.
    pub(super) fn log_between(&mut self, low: f64, high: f64) -> f64 {
        low * (high / low).powf(self.unit())
    }

    /// A whole number, both ends included.
    pub(super) fn whole(&mut self, low: usize, high: usize) -> usize {
        low + self.0.below(high - low + 1)
    }

    /// A whole number, uniform in the logarithm, below `end`.
    pub(super) fn log_whole(&mut self, low: usize, end: usize) -> usize {
        whole(self.log_between(low as f64, end as f64))
    }

    pub(super) fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }

    /// A factor of mean 1 with this standard deviation, log-normal: losses of batches are skewed.
    pub(super) fn factor(&mut self, deviation: f64) -> f64 {
        let variance = deviation.mul_add(deviation, 1.0).ln();
        self.normal().mul_add(variance.sqrt(), -variance / 2.0).exp()
    }
}

/// The whole part of a number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and not negative")]
pub(super) fn whole(x: f64) -> usize {
    x as usize
}
