//! Bootstrap intervals for a statistic of a handful of values.
//! Called by tables and figures for any statistic of [`super::describe`].
//!
//! The method is BCa (bias-corrected and accelerated; Efron 1987, *Better bootstrap confidence intervals*). BCa is too narrow for
//! few values, because the standard error of resamples is too small by √((n − 1)/n) and normal quantiles take the place of
//! Student's. So its quantiles are widened as Hesterberg does (2015, *What teachers should know about the bootstrap*, and
//! `CI.bca(expand = TRUE)` of his R package `resample`): to those that make a normal-theory interval from the same resamples as
//! wide as Student's. docs/statistics.md tells how often the intervals held the truth.

use super::distribution::{normal_quantile, normal_share, two_sided_student};
use super::random::Generator;

/// Fewer values than this have no interval.
pub const LEAST: usize = 3;
/// Fewer values than this have a weak one.
pub const ENOUGH: usize = 5;

/// Up to here all resamples are weighed instead of drawn: 6435 different ones of 8 values.
const ALL: usize = 8;
/// Drawn beyond. The ends then vary by some 2 % of the half width from seed to seed.
const RESAMPLES: usize = 4_000;

/// Where the statistic of the population lies, with the confidence asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
    /// Made from so few values that it holds the truth less often than it says.
    pub weak: bool,
}

/// The interval of `statistic` over `values` at a `confidence` in (0, 1). NaN is left out. `None` for fewer than [`LEAST`]
/// values, infinite ones, or where the statistic gives none. Equal values have an interval without width: they hold no
/// evidence of any spread. Draws from the generator for more than 8 values.
pub fn bca(values: &[f64], statistic: impl Fn(&[f64]) -> Option<f64>, confidence: f64, generator: &mut Generator) -> Option<Interval> {
    let values: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    let n = values.len() as f64;
    if values.len() < LEAST || values.iter().any(|value| value.is_infinite()) || !(confidence > 0.0 && confidence < 1.0) {
        return None;
    }
    let distribution = if values.len() <= ALL { all(&values, &statistic) } else { drawn(&values, &statistic, generator) };
    let distribution = Distribution::new(distribution?)?;
    let bias = normal_quantile(distribution.share_below(statistic(&values)?));
    let acceleration = acceleration(&values, &statistic)?;
    let width = (n / (n - 1.0)).sqrt() * two_sided_student(confidence, n - 1.0);
    let end = |z: f64| distribution.quantile(adjusted(z, bias, acceleration));
    Some(Interval { low: end(-width), high: end(width), weak: values.len() < ENOUGH })
}

/// The share of resamples to cut off where a normal distribution would be cut at `z` (Efron & Tibshirani 1993, *An introduction to
/// the bootstrap*, equation 14.10).
fn adjusted(z: f64, bias: f64, acceleration: f64) -> f64 {
    let moved = bias + z;
    let slope = 1.0 - acceleration * moved;
    // Beyond its pole the transformation has no meaning: all or nothing is cut off there.
    let end = if slope > 0.0 { bias + moved / slope } else { moved * f64::INFINITY };
    normal_share(end)
}

/// The skewness of the jackknife's influences over 6 √n (equation 14.15 there); 0 where nothing has influence.
fn acceleration(values: &[f64], statistic: impl Fn(&[f64]) -> Option<f64>) -> Option<f64> {
    let mut without = values[1..].to_vec();
    let mut estimates = Vec::with_capacity(values.len());
    for (i, value) in values.iter().enumerate() {
        estimates.push(statistic(&without)?);
        // The gap moves on: `value` comes back for the one after it.
        if let Some(place) = without.get_mut(i) {
            *place = *value;
        }
    }
    let mean = estimates.iter().sum::<f64>() / values.len() as f64;
    let moment = |power| estimates.iter().map(|estimate| (mean - estimate).powi(power)).sum::<f64>();
    let squares = moment(2);
    Some(if squares > 0.0 { moment(3) / (6.0 * squares.powf(1.5)) } else { 0.0 })
}

/// The statistic of every resample that differs in more than its order, with how many orders it has.
fn all(values: &[f64], statistic: impl Fn(&[f64]) -> Option<f64>) -> Option<Vec<(f64, u64)>> {
    let n = values.len();
    let mut places = vec![0; n];
    let mut found = Vec::new();
    loop {
        let resample: Vec<f64> = places.iter().map(|place| values[*place]).collect();
        // n! over the factorial of each multiplicity, one factor for each element of a run.
        let mut run = 1;
        let orders = (1..n).fold((1..=n as u64).product(), |orders, i| {
            run = if places[i] == places[i - 1] { run + 1 } else { 1 };
            orders / run
        });
        found.push((statistic(&resample)?, orders));
        let Some(last) = places.iter().rposition(|place| place + 1 < n) else { return Some(found) };
        let next = places[last] + 1;
        places[last..].fill(next);
    }
}

/// The statistic of random resamples.
fn drawn(values: &[f64], statistic: impl Fn(&[f64]) -> Option<f64>, generator: &mut Generator) -> Option<Vec<(f64, u64)>> {
    let mut resample = vec![0.0; values.len()];
    let draw = |_| {
        resample.fill_with(|| values[generator.below(values.len())]);
        Some((statistic(&resample)?, 1))
    };
    (0..RESAMPLES).map(draw).collect()
}

/// The values of a statistic in their order, each with the number of resamples up to and with it.
struct Distribution(Vec<(f64, u64)>);

impl Distribution {
    /// From values with their numbers; `None` if there are none or not all are finite.
    fn new(mut values: Vec<(f64, u64)>) -> Option<Self> {
        values.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
        let mut total = 0;
        for (_, count) in &mut values {
            total += *count;
            *count = total;
        }
        (values.first()?.0.is_finite() && values.last()?.0.is_finite()).then_some(Distribution(values))
    }

    /// The share below `value`, to which half of those equal to it belong (as scipy does it).
    fn share_below(&self, value: f64) -> f64 {
        let Some((first, (last, total))) = self.0.first().zip(self.0.last()).map(|((first, _), last)| (first, *last)) else {
            return 0.5;
        };
        // Resamples of other values may give the same but for rounding.
        let rounding = 1e-12 * (last - first);
        let count = |up_to: &dyn Fn(f64) -> bool| match self.0.partition_point(|(value, _)| up_to(*value)) {
            0 => 0,
            place => self.0[place - 1].1,
        };
        let (below, with) = (count(&|other| other < value - rounding), count(&|other| other <= value + rounding));
        // At least half a resample on either side: nothing is infinitely sure.
        let half = 0.5 / total as f64;
        (f64::midpoint(below as f64, with as f64) / total as f64).clamp(half, 1.0 - half)
    }

    /// As [`super::quantile`], over resamples.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place is between 0 and the number of resamples")]
    fn quantile(&self, p: f64) -> f64 {
        let at = |index: u64| self.0.get(self.0.partition_point(|(_, count)| *count <= index)).or(self.0.last());
        let place = p * self.0.last().map_or(0.0, |(_, total)| (total - 1) as f64);
        let below = place.floor();
        match (at(below as u64), at(below as u64 + 1)) {
            (Some((low, _)), Some((high, _))) => low + (high - low) * (place - below),
            _ => f64::NAN,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::reference::{self, near, number, numbers};
    use super::super::{interquartile_mean, mean, median, range, standard_deviation};
    use super::*;

    fn of(values: &[f64], statistic: &str, confidence: f64, seed: u64) -> Option<Interval> {
        let generator = &mut Generator::new(seed);
        match statistic {
            "mean" => bca(values, mean, confidence, generator),
            "interquartile_mean" => bca(values, interquartile_mean, confidence, generator),
            "median" => bca(values, median, confidence, generator),
            other => panic!("{other}"),
        }
    }

    /// scipy's BCa, given all n^n resamples of few values and many of more, at the confidence whose normal quantile is widened.
    #[test]
    fn agree_with_scipy() {
        for case in reference::cases("bca") {
            let (x, statistic) = (numbers(&case["x"]), case["statistic"].as_str().unwrap());
            let found = of(&x, statistic, number(&case["confidence"]), 1).unwrap();
            let (low, high) = (number(&case["low"]), number(&case["high"]));
            // Drawn resamples differ: 4 standard errors of an end, which are some 2 % of half the width each.
            let tolerance = if x.len() <= ALL { 1e-9 } else { 0.04 * (high - low) };
            assert!((found.low - low).abs() < tolerance && (found.high - high).abs() < tolerance, "{found:?} for {case}");
            assert_eq!(found.weak, x.len() < 5);
        }
    }

    #[test]
    fn jackknife_agrees_with_scipy() {
        for case in reference::cases("acceleration") {
            near(acceleration(&numbers(&case["x"]), mean).unwrap(), number(&case["a"]), 1e-12);
        }
    }

    #[test]
    fn too_few_or_equal_or_infinite_values() {
        assert_eq!((of(&[1.0, 2.0], "mean", 0.95, 1), of(&[1.0, 2.0, f64::NAN], "mean", 0.95, 1)), (None, None));
        assert_eq!(of(&[1.0, 2.0, 3.0, f64::INFINITY], "mean", 0.95, 1), None);
        assert_eq!((of(&[1.0, 2.0, 3.0], "mean", 1.0, 1), of(&[1.0, 2.0, 3.0], "mean", f64::NAN, 1)), (None, None));
        for n in [3, 4, 5, 9, 30] {
            assert_eq!(of(&vec![0.1; n], "median", 0.95, 1), Some(Interval { low: 0.1, high: 0.1, weak: n < 5 }));
        }
        assert_eq!(bca(&[1.0, 2.0, 3.0], standard_deviation, 0.95, &mut Generator::new(1)).map(|i| i.low), Some(0.0));
        assert_eq!(bca(&[1.0, 2.0, 3.0], |x| (x[0] < x[2]).then_some(1.0), 0.95, &mut Generator::new(1)), None);
    }

    proptest! {
        #[test]
        fn hold_for_any_values(x in prop::collection::vec(-1e3..1e3f64, 3..14), seed in any::<u64>(), shift in -1e3..1e3f64) {
            let narrow = of(&x, "interquartile_mean", 0.8, seed).unwrap();
            let wide = of(&x, "interquartile_mean", 0.95, seed).unwrap();
            let (first, last) = range(&x).unwrap();
            let order = [first, wide.low, narrow.low, narrow.high, wide.high, last];
            prop_assert!(order.is_sorted_by(|a, b| *a <= b + 1e-9), "{order:?}");
            prop_assert_eq!(wide, of(&x, "interquartile_mean", 0.95, seed).unwrap());
            // Moves with the values, and turns with them where all resamples are weighed.
            let moved = of(&x.iter().map(|x| x + shift).collect::<Vec<_>>(), "interquartile_mean", 0.95, seed).unwrap();
            prop_assert!((moved.low - wide.low - shift).abs() < 1e-6 && (moved.high - wide.high - shift).abs() < 1e-6);
            if x.len() <= ALL {
                let turned = of(&x.iter().map(|x| -x).collect::<Vec<_>>(), "interquartile_mean", 0.95, seed).unwrap();
                prop_assert!((turned.low + wide.high).abs() < 1e-6 && (turned.high + wide.low).abs() < 1e-6);
            }
        }
    }
}
