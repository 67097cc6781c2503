//! Shapes of series: swings, roughness, slopes.
//! Called by the rules and for what they look at; pure functions that know nothing of runs.

use crate::stats::{mean, median};

/// Points over the run from 0 to 1 with independent noise.
pub(super) struct Course {
    pub(super) points: Vec<(f64, f64)>,
    /// Deviation of each point.
    pub(super) noise: f64,
}

impl Course {
    /// Slope of the points from `from` on and the deviation that noise gives it: the median of the slopes of all pairs (Theil 1950,
    /// Sen 1968), which a single peak does not bend.
    pub(super) fn slope(&self, from: f64) -> Option<(f64, f64)> {
        let late: Vec<(f64, f64)> = self.points.iter().copied().filter(|(x, _)| *x >= from - 1e-9).collect();
        let pairs = late.iter().enumerate().flat_map(|(i, a)| late[i + 1..].iter().map(move |b| (b.1 - a.1) / (b.0 - a.0)));
        let slope = median(&pairs.collect::<Vec<_>>())?;
        let center = mean(&late.iter().map(|(x, _)| *x).collect::<Vec<_>>())?;
        let spread: f64 = late.iter().map(|(x, _)| (x - center).powi(2)).sum();
        Some((slope, self.noise / spread.sqrt()))
    }
}

/// Rises of a series from its troughs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Swings {
    pub(super) count: usize,
    /// Trough and peak of the largest.
    pub(super) largest: (f64, f64),
}

impl Swings {
    /// Of a series of values, each with the deviation of its noise: the rises by more than `least` of that deviation.
    pub(super) fn of(values: &[(f64, f64)], least: impl Fn(f64) -> f64) -> Self {
        let mut swings = Swings::default();
        let (mut trough, mut peak, mut rising) = (f64::INFINITY, f64::NEG_INFINITY, false);
        for (value, deviation) in values.iter().copied() {
            if rising {
                peak = peak.max(value);
                // Falling back as far ends the swing.
                if peak - value > least(deviation) {
                    (rising, trough) = (false, value);
                }
            } else {
                trough = trough.min(value);
                if value - trough > least(deviation) {
                    (rising, peak) = (true, value);
                    swings.count += 1;
                }
            }
            if rising && peak - trough > swings.largest.1 - swings.largest.0 {
                swings.largest = (trough, peak);
            }
        }
        swings
    }
}

/// Deviation of the independent noise that would turn a series as it turns: from the second differences at its peaks and troughs,
/// so that a steady fall, however bent, has none.
pub(super) fn roughness(values: &[f64]) -> Option<f64> {
    let second = |three: &[f64]| match three {
        [a, b, c] if (b - a) * (c - b) < 0.0 => (a - 2.0 * b + c).abs(),
        _ => 0.0,
    };
    // Two thirds of the places in normal noise are turns, and the mean over all places is 1.693 deviations.
    mean(&values.windows(3).map(second).collect::<Vec<_>>()).map(|mean| mean / 1.693)
}

/// Where a series is lowest, and how far it then ends above that.
pub(super) struct Rise {
    pub(super) epoch: u64,
    pub(super) best: f64,
    pub(super) end: f64,
}

impl Rise {
    /// `None` unless two values at least come after the lowest: one may be chance.
    pub(super) fn of(values: &[(u64, f64)]) -> Option<Self> {
        let (at, (epoch, best)) = values.iter().enumerate().min_by(|a, b| a.1.1.total_cmp(&b.1.1))?;
        let late = values.get(at..).filter(|late| late.len() > 2)?;
        Some(Rise { epoch: *epoch, best: *best, end: end(late)? })
    }
}

/// Where a series ends: its last value, or what a line through all of it says, if that is lower.
pub(super) fn end(values: &[(u64, f64)]) -> Option<f64> {
    let points: Vec<(f64, f64)> = values.iter().map(|(epoch, loss)| (*epoch as f64, *loss)).collect();
    let last = *points.last()?;
    let course = Course { points, noise: 0.0 };
    let Some((slope, _)) = course.slope(f64::NEG_INFINITY) else { return Some(last.1) };
    let line = median(&course.points.iter().map(|(x, y)| y + slope * (last.0 - x)).collect::<Vec<_>>())?;
    Some(line.min(last.1))
}
