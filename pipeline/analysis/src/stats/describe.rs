//! Statistics of a handful of values, one per seed.
//! Called by whatever sums up over seeds; pure functions that know nothing of runs.
//!
//! NaN has no place in an order or a sum, so every function leaves NaN out; infinities are ordinary values: the median of
//! `[1, 2, inf]` is 2, which is how a run that never reached a target enters. `None`: no value was left.

use crate::number;

/// The `q`-quantile, interpolated linearly between neighbours (type 7 of Hyndman & Fan 1996, the default of numpy and R).
#[must_use]
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    let place = q.clamp(0.0, 1.0) * real(sorted.len().checked_sub(1)?);
    let below = (0..sorted.len()).rev().find(|index| real(*index) <= place)?;
    let (low, part) = (sorted[below], place - real(below));
    match sorted.get(below + 1) {
        Some(high) if part > 0.0 && *high > low => {
            // From -inf to a finite value there is no way but -inf.
            Some(if low == f64::NEG_INFINITY { low } else { low + (high - low) * part })
        }
        _ => Some(low),
    }
}

/// The middle value, or the mean of the two middle values.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The arithmetic mean.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    let kept: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    (!kept.is_empty()).then(|| kept.iter().sum::<f64>() / real(kept.len()))
}

/// The mean of the values between the quartiles: a quarter of them, rounded down, is left out at either end (the trimmed mean of
/// scipy's `trim_mean(x, 0.25)`; Agarwal et al. 2021, *Deep reinforcement learning at the edge of the statistical precipice*).
#[must_use]
pub fn interquartile_mean(values: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let cut = sorted.len() / 4;
    mean(&sorted[cut..sorted.len() - cut])
}

/// The standard deviation of a sample, with `n - 1` in the denominator; `None` for fewer than two values or infinite ones.
#[must_use]
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    let kept: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    let center = mean(&kept).filter(|center| center.is_finite() && kept.len() > 1)?;
    let squares: f64 = kept.iter().map(|value| (value - center).powi(2)).sum();
    Some((squares / real(kept.len() - 1)).sqrt())
}

/// The smallest and the largest value.
#[must_use]
pub fn range(values: &[f64]) -> Option<(f64, f64)> {
    Some((quantile(values, 0.0)?, quantile(values, 1.0)?))
}

fn real(n: usize) -> f64 {
    number::real(n as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::reference::{self, near, number, numbers};
    use super::*;

    #[test]
    fn interquartile_means_agree_with_scipy() {
        for case in reference::cases("interquartile_mean") {
            near(interquartile_mean(&numbers(&case["x"])).unwrap(), number(&case["mean"]), 1e-13);
        }
        assert_eq!((interquartile_mean(&[]), interquartile_mean(&[f64::NAN, 2.0])), (None, Some(2.0)));
        // One run in four that diverged is left out, two are not.
        let inf = f64::INFINITY;
        assert_eq!(interquartile_mean(&[1.0, 2.0, 4.0, inf]), Some(3.0));
        assert_eq!(interquartile_mean(&[1.0, 2.0, inf, inf]), Some(inf));
    }

    /// from statistics import *
    /// x = [0.3, 0.1, 4.0, 1.5, 0.7]
    /// print(quantiles(x, n=4, method='inclusive'), quantiles(x, n=10, method='inclusive')[0], mean(x), stdev(x))
    /// # [0.3, 0.7, 1.5] 0.18 1.32 1.5912259424732869     numpy.quantile(x, [.25, .5, .75, .1]) gives the same
    #[test]
    fn agree_with_python() {
        let x = [0.3, 0.1, 4.0, 1.5, 0.7];
        let near = |a: Option<f64>, b: f64| assert!((a.unwrap() - b).abs() < 1e-12, "{a:?} {b}");
        near(quantile(&x, 0.25), 0.3);
        near(median(&x), 0.7);
        near(quantile(&x, 0.75), 1.5);
        near(quantile(&x, 0.1), 0.18);
        near(mean(&x), 1.32);
        near(standard_deviation(&x), 1.591_225_942_473_286_6);
        assert_eq!(range(&x), Some((0.1, 4.0)));
    }

    /// 1..=n has median and mean (n + 1) / 2 and variance n (n + 1) / 12.
    #[test]
    fn agree_with_closed_forms() {
        for n in 2..40 {
            let (x, size): (Vec<f64>, _) = ((1..=n).map(f64::from).collect(), f64::from(n));
            assert_eq!((median(&x), mean(&x)), (Some(f64::midpoint(size, 1.0)), Some(f64::midpoint(size, 1.0))));
            let deviation = standard_deviation(&x).unwrap();
            assert!((deviation - (size * (size + 1.0) / 12.0).sqrt()).abs() < 1e-12);
        }
    }

    #[test]
    fn nan_is_left_out_and_infinity_ranks_last() {
        let inf = f64::INFINITY;
        assert_eq!(median(&[f64::NAN, 2.0, f64::NAN, 4.0]), Some(3.0));
        assert_eq!((median(&[1.0, inf, 2.0]), median(&[1.0, inf]), median(&[inf, inf])), (Some(2.0), Some(inf), Some(inf)));
        assert_eq!((median(&[-inf, 1.0]), quantile(&[-inf, 1.0, 2.0], 0.5)), (Some(-inf), Some(1.0)));
        assert_eq!((median(&[]), median(&[f64::NAN]), mean(&[]), standard_deviation(&[1.0])), (None, None, None, None));
    }

    proptest! {
        #[test]
        fn hold_for_any_values(mut x in proptest::collection::vec(-1e6..1e6f64, 1..30), p in 0.0..1.0f64, q in 0.0..1.0f64) {
            let (low, high) = range(&x).unwrap();
            let middle = median(&x).unwrap();
            prop_assert!(low <= middle && middle <= high);
            prop_assert!(interquartile_mean(&x).is_some_and(|mean| low - 1e-6 <= mean && mean <= high + 1e-6));
            prop_assert!(quantile(&x, p.min(q)) <= quantile(&x, p.max(q)));
            let before = (middle, quantile(&x, q), mean(&x).unwrap());
            x.reverse();
            prop_assert_eq!((Some(before.0), before.1), (median(&x), quantile(&x, q)));
            prop_assert!((before.2 - mean(&x).unwrap()).abs() < 1e-6);
        }
    }
}
