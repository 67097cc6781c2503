//! The two floating-point types.

use candle_core::{CpuStorage, WithDType};

use super::functions;
use super::memory::Scratch;
use super::simd::Lanes;

/// A floating-point type that tensors, kernels and the matrix product know.
pub(crate) trait Real: WithDType + Lanes + Scratch {
    /// From a configuration value or a constant; rounded.
    fn of(x: f64) -> Self;
    fn wide(self) -> f64;
    fn exp(self) -> Self;
    fn ln(self) -> Self;
    fn root(self) -> Self;
    /// eˣ for x ≤ 0
    fn decay(self) -> Self;
    /// eˣ − 1 for x ≤ 0
    fn decay_less_one(self) -> Self;
    fn tanh(self) -> Self;
    /// The error function.
    fn erf(self) -> Self;
    /// `self · b + c`, fused where the target's every processor can.
    fn mul_add_or_two(self, b: Self, c: Self) -> Self;
    /// The values of a CPU tensor of this type.
    fn slice_mut(storage: &mut CpuStorage) -> Option<&mut [Self]>;
}

impl Real for f32 {
    #[expect(clippy::cast_possible_truncation, reason = "rounding to the working precision is the point")]
    #[inline(always)]
    fn of(x: f64) -> Self {
        x as f32
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
    fn exp(self) -> Self {
        f32::exp(self)
    }
    fn ln(self) -> Self {
        f32::ln(self)
    }
    #[inline(always)]
    fn root(self) -> Self {
        f32::sqrt(self)
    }
    #[inline(always)]
    fn decay(self) -> Self {
        functions::decay(self)
    }
    #[inline(always)]
    fn decay_less_one(self) -> Self {
        functions::decay_less_one(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        functions::tanh(self)
    }
    #[inline(always)]
    fn erf(self) -> Self {
        functions::erf(self)
    }
    #[inline(always)]
    fn mul_add_or_two(self, b: f32, c: f32) -> f32 {
        if cfg!(any(target_arch = "aarch64", target_feature = "fma")) { self.mul_add(b, c) } else { self * b + c }
    }
    fn slice_mut(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        match storage {
            CpuStorage::F32(v) => Some(v),
            _ => None,
        }
    }
}

impl Real for f64 {
    #[inline(always)]
    fn of(x: f64) -> Self {
        x
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
    fn exp(self) -> Self {
        f64::exp(self)
    }
    fn ln(self) -> Self {
        f64::ln(self)
    }
    #[inline(always)]
    fn root(self) -> Self {
        f64::sqrt(self)
    }
    fn decay(self) -> Self {
        f64::exp(self)
    }
    fn decay_less_one(self) -> Self {
        f64::exp_m1(self)
    }
    fn tanh(self) -> Self {
        f64::tanh(self)
    }
    fn erf(self) -> Self {
        candle_core::cpu::erf::erf_f64(self)
    }
    #[inline(always)]
    fn mul_add_or_two(self, b: f64, c: f64) -> f64 {
        if cfg!(any(target_arch = "aarch64", target_feature = "fma")) { self.mul_add(b, c) } else { self * b + c }
    }
    fn slice_mut(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        match storage {
            CpuStorage::F64(v) => Some(v),
            _ => None,
        }
    }
}
