//! Axis limits from data, and the order statistics that figures show.
//! Called by every kind of figure, and by report code that wants limits which a diverged run cannot
//! stretch; it knows nothing of pixels.

use super::axis::{Axis, Scale};
use super::svg::real;

/// Share of the range left free at either end, so that no mark sits on the frame.
pub(super) const MARGIN: f64 = 0.04;
/// Share of the range within which a linear limit is moved to zero.
const NEAR_ZERO: f64 = 0.03;

/// Limits for an axis whose data contain runs that exploded, to be used as [`Axis::clip`].
///
/// They span the ordinary values, with a small margin. On a linear axis a value is ordinary within five
/// (scaled) median absolute deviations of the median. On a logarithmic axis it may lie above the median
/// by as many decades as the 5th percentile lies below it, and by two in any case; downward it may be
/// a decade below the 0.5th percentile, since a loss may well approach zero but does not explode there.
/// So up to half of the values may be arbitrarily large. Where more than half of the values of a linear
/// axis are equal, their deviation is zero, and the 5th to 95th percentile counts as ordinary instead.
///
/// Values without a place on the scale are ignored; `None` if there is no other.
#[must_use]
pub fn robust_limits(values: impl IntoIterator<Item = f64>, scale: Scale) -> Option<(f64, f64)> {
    /// Makes the median absolute deviation of normal data equal to their standard deviation.
    const TO_SIGMA: f64 = 1.4826;
    let mut placed: Vec<f64> = values.into_iter().filter_map(|value| scale.forward(value)).collect();
    placed.sort_by(f64::total_cmp);
    let median = quantile(&placed, 0.5)?;
    let fence = match scale {
        Scale::Linear => {
            let mut deviations: Vec<f64> = placed.iter().map(|value| (value - median).abs()).collect();
            deviations.sort_by(f64::total_cmp);
            let reach = 5.0 * TO_SIGMA * quantile(&deviations, 0.5)?;
            let (low, high) = (quantile(&placed, 0.05)?, quantile(&placed, 0.95)?);
            if reach > 0.0 { (median - reach, median + reach) } else { (low, high) }
        }
        Scale::Log => {
            let below = median - quantile(&placed, 0.05)?;
            (quantile(&placed, 0.005)? - 1.0, median + below.max(2.0))
        }
    };
    let mut ordinary = placed.iter().copied().filter(|value| (fence.0..=fence.1).contains(value));
    let first = ordinary.next()?;
    Some(widen(scale, (first, ordinary.next_back().unwrap_or(first)), MARGIN))
}

/// The `q`-quantile of ascending values, interpolated linearly between neighbours.
pub(super) fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = q.clamp(0.0, 1.0) * real(last);
    let below = (0..=last).rev().find(|index| real(*index) <= place).unwrap_or(0);
    let above = (below + 1).min(last);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (place - real(below)))
}

/// Lower quartile, median and upper quartile of the finite values.
pub(super) fn quartiles(values: &[f64]) -> Option<[f64; 3]> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    Some([quantile(&sorted, 0.25)?, quantile(&sorted, 0.5)?, quantile(&sorted, 0.75)?])
}

/// The axis' fixed limits if they are usable, else those of the data, widened by `margin` of their
/// range; `None` if no value has a place on the axis.
pub(super) fn of_axis(axis: &Axis, values: impl IntoIterator<Item = f64>, margin: f64) -> Option<(f64, f64)> {
    let mut range: Option<(f64, f64)> = None;
    for value in values.into_iter().filter_map(|value| axis.scale.forward(value)) {
        range = Some(range.map_or((value, value), |(low, high)| (low.min(value), high.max(value))));
    }
    let range = range?;
    let fixed = axis.clip.filter(|(low, high)| {
        let placed = axis.scale.forward(*low).zip(axis.scale.forward(*high));
        placed.is_some_and(|(low, high)| high - low > 1e-9 * low.abs().max(high.abs()))
    });
    Some(fixed.unwrap_or_else(|| widen(axis.scale, range, margin)))
}

/// Widens limits given in units of the scale and returns them in data units. Limits that coincide are
/// set apart. A linear limit is not moved across zero, since losses and rates have no negative side, and
/// one close to zero is moved there, so that an axis of steps that starts at 1 shows its origin.
fn widen(scale: Scale, (low, high): (f64, f64), margin: f64) -> (f64, f64) {
    let size = low.abs().max(high.abs());
    let span = high - low;
    let room = match scale {
        Scale::Log if span < 1e-9 => 0.3,
        Scale::Linear if span <= 1e-9 * size => {
            if size > 0.0 {
                0.1 * size
            } else {
                1.0
            }
        }
        _ => margin * span,
    };
    let (mut wide_low, mut wide_high) = (low - room, high + room);
    if scale == Scale::Linear && size > 0.0 {
        if low >= 0.0 {
            wide_low = if low < NEAR_ZERO * high { 0.0 } else { wide_low.max(0.0) };
        }
        if high <= 0.0 {
            wide_high = if high > NEAR_ZERO * low { 0.0 } else { wide_high.min(0.0) };
        }
    }
    (scale.backward(wide_low), scale.backward(wide_high))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: (f64, f64), b: (f64, f64)) -> bool {
        (a.0 - b.0).abs() < 1e-9 && (a.1 - b.1).abs() < 1e-9
    }

    #[test]
    fn limits_span_the_data_with_a_margin_that_stops_at_zero() {
        let axis = Axis::linear("y");
        assert!(of_axis(&axis, [1.0, 2.0, f64::NAN, f64::INFINITY], 0.1).is_some_and(|l| near(l, (0.9, 2.1))));
        assert!(of_axis(&axis, [0.0, 2.0], 0.1).is_some_and(|l| near(l, (0.0, 2.2))));
        assert!(of_axis(&axis, [3.0], 0.1).is_some_and(|l| near(l, (2.7, 3.3))));
        assert!(of_axis(&axis, [0.0], 0.1).is_some_and(|l| near(l, (-1.0, 1.0))));
        assert_eq!(of_axis(&axis, [f64::NAN], 0.1), None);
        assert!(of_axis(&axis, [1.0, 100.0], 0.0).is_some_and(|l| near(l, (0.0, 100.0))));
        let log = of_axis(&Axis::log("y"), [0.0, -3.0, 0.01, 1.0], 0.0);
        assert!(log.is_some_and(|l| near(l, (0.01, 1.0))));
    }

    #[test]
    fn unusable_fixed_limits_are_ignored() {
        for clip in [(0.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (1.0, 1.0)] {
            let limits = of_axis(&Axis::log("y").clipped(clip), [0.1, 10.0], 0.0);
            assert!(limits.is_some_and(|l| near(l, (0.1, 10.0))), "{clip:?}");
        }
        assert_eq!(of_axis(&Axis::linear("y").clipped((0.0, 1.0)), [5.0], 0.0), Some((0.0, 1.0)));
    }

    #[test]
    fn robust_limits_ignore_explosions() {
        let ordinary = (1..=100).map(|i| f64::from(i) / 100.0);
        let exploded = [1e3, 1e9, 1e30, f64::INFINITY, f64::NAN];
        for scale in [Scale::Linear, Scale::Log] {
            let limits = robust_limits(ordinary.clone().chain(exploded), scale);
            assert!(limits.is_some_and(|(low, high)| low < 0.011 && (1.0..1.3).contains(&high)), "{limits:?}");
        }
        assert_eq!(robust_limits([f64::NAN], Scale::Linear), None);
        assert_eq!(robust_limits([0.0, -1.0], Scale::Log), None);
        assert!(robust_limits([0.1; 20], Scale::Linear).is_some_and(|(low, high)| low < 0.1 && high > 0.1));
    }

    #[test]
    fn quartiles_interpolate() {
        let sorted = [1.0, 2.0, 3.0, 4.0];
        assert!(quantile(&sorted, 0.5).is_some_and(|q| (q - 2.5).abs() < 1e-12));
        let [q1, q2, q3] = quartiles(&[5.0, 1.0, f64::NAN, 3.0, 2.0, 4.0]).unwrap();
        assert!((q1 - 2.0).abs() < 1e-12 && (q2 - 3.0).abs() < 1e-12 && (q3 - 4.0).abs() < 1e-12);
        assert_eq!(quantile(&[], 0.5), None);
    }
}
