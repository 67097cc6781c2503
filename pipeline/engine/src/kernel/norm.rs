//! Sums for gradient norms.

use super::Real;

/// Sum of squares with a fixed order: blocks of 1024 in 16 lanes of the working precision, blocks added up in `f64`.
///
/// A block whose squares overflow the working precision is added up in `f64` instead.
pub(crate) fn sum_of_squares<T: Real>(values: &[T]) -> f64 {
    const LANES: usize = 16;
    let block_sum = |block: &[T]| {
        let mut lanes = [T::zero(); LANES];
        let chunks = block.chunks_exact(LANES);
        let rest: T = chunks.remainder().iter().fold(T::zero(), |sum, x| sum + *x * *x);
        for chunk in chunks {
            for (lane, x) in lanes.iter_mut().zip(chunk) {
                *lane += *x * *x;
            }
        }
        let sum = lanes.iter().fold(rest, |sum, x| sum + *x).wide();
        if sum.is_finite() { sum } else { block.iter().map(|x| x.wide() * x.wide()).sum() }
    };
    values.chunks(1024).map(block_sum).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "sums that are exact in floating point")]
    fn small_large_and_broken_values() {
        let counting: Vec<f32> = (1..=100u8).map(f32::from).collect();
        assert_eq!(sum_of_squares(&counting), 338_350.0);
        assert_eq!(sum_of_squares(&[1e30f32; 4]), 4.0 * f64::from(1e30f32).powi(2));
        assert!(sum_of_squares(&[1.0, f32::NAN]).is_nan());
    }
}
