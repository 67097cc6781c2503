//! Functions of single numbers in single precision, without branches, so that loops over them are vectorized.

/// 2ⁿ and e^r − 1 with x = n · ln 2 + r and |r| ≤ ln 2 / 2, for x ≤ 0. Below −87, where eˣ is next to nothing, x counts as −87.
#[inline(always)]
fn split(x: f32) -> (f32, f32) {
    /// 1.5 · 2²³: what is added to it loses its fraction, and its lowest bits are then those of the integer.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, of which the first has so few bits that its product with n is exact (Cody & Waite 1980).
    const LN_2: (f32, f32) = (355.0 / 512.0, -2.121_944_4e-4);
    let x = if x < -87.0 { -87.0 } else { x };
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = (x - n * LN_2.0) - n * LN_2.1;
    // Taylor's series; the first term left out is below 2⁻²⁵ of the result.
    let series = 1.0 / 2.0 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0)))));
    (f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0f32.to_bits())), r + r * r * series)
}

/// eˣ for x ≤ 0
#[inline(always)]
pub(super) fn decay(x: f32) -> f32 {
    let (power, rest) = split(x);
    power + power * rest
}

/// eˣ − 1 for x ≤ 0
#[inline(always)]
pub(super) fn decay_less_one(x: f32) -> f32 {
    let (power, rest) = split(x);
    power * rest + (power - 1.0)
}

/// tanh x = (1 − e⁻²ˣ) / (1 + e⁻²ˣ)
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let less_one = decay_less_one(-2.0 * x.abs());
    (less_one / (-2.0 - less_one)).copysign(x)
}

/// The error function: an odd polynomial near 0, else 1 − e^p of a polynomial p. Minimax coefficients by Norbert Juffa
/// (<https://stackoverflow.com/a/35148199>).
#[inline(always)]
pub(super) fn erf(x: f32) -> f32 {
    let (t, s) = (x.abs(), x * x);
    let near = -5.967_617e-4;
    let near = near * s + 4.991_194e-3;
    let near = near * s - 2.676_813_5e-2;
    let near = near * s + 1.128_199_25e-1;
    let near = near * s - 3.761_253_4e-1;
    let near = near * s + 1.283_791_7e-1;
    let near = near * x + x;
    // Beyond 4 the function is 1 in single precision.
    let t = if t > 4.0 { 4.0 } else { t };
    let s = t * t;
    let low = -3.883_964_4e-3 * t + 2.425_462_2e-2;
    let far = -1.728_534_7e-5 * t + 3.831_971_3e-4;
    let far = far * s + low;
    let far = far * t - 1.067_778_8e-1;
    let far = far * t - 6.348_467e-1;
    let far = far * t - 1.287_175_1e-1;
    let far = far * t - t;
    let far = (0.0 - decay_less_one(far)).copysign(x);
    if t > 0.927_734_4 { far } else { near }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest difference, as a multiple of the last bit of the true value, over a grid of numbers.
    fn worst(from: f64, to: f64, got: impl Fn(f32) -> f32, expected: impl Fn(f64) -> f64) -> f64 {
        let difference = |i: u32| {
            #[expect(clippy::cast_possible_truncation, reason = "rounded to what the function is given")]
            let x = (from + (to - from) * f64::from(i) / 200_000.0) as f32;
            let (got, expected) = (f64::from(got(x)), expected(f64::from(x)));
            (got - expected).abs() / (expected.abs() * f64::from(f32::EPSILON)).max(f64::from(f32::MIN_POSITIVE))
        };
        (0..=200_000).map(difference).fold(0.0, f64::max)
    }

    #[test]
    fn last_bits_are_right() {
        assert!(worst(-87.0, 0.0, decay, f64::exp) < 1.5);
        assert!(worst(-20.0, 0.0, decay_less_one, f64::exp_m1) < 2.0);
        assert!(worst(-1e-3, 0.0, decay_less_one, f64::exp_m1) < 1.0);
        assert!(worst(-12.0, 12.0, tanh, f64::tanh) < 3.0);
        assert!(worst(-1e-3, 1e-3, tanh, f64::tanh) < 3.0);
        assert!(worst(-6.0, 6.0, erf, candle_core::cpu::erf::erf_f64) < 3.0);
    }

    #[test]
    fn ends_and_broken_numbers() {
        assert_eq!((decay(0.0), decay_less_one(0.0), tanh(0.0), erf(0.0)), (1.0, 0.0, 0.0, 0.0));
        assert_eq!((decay_less_one(f32::NEG_INFINITY), tanh(f32::NEG_INFINITY), erf(f32::NEG_INFINITY)), (-1.0, -1.0, -1.0));
        assert!(decay(f32::NEG_INFINITY) < 2e-38);
        assert!([decay, decay_less_one, tanh, erf].iter().all(|f| f(f32::NAN).is_nan()));
    }
}
