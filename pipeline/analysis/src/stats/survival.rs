//! Times to an event that not every run lives to see, such as reaching a target: Kaplan & Meier 1958, *Nonparametric estimation
//! from incomplete observations*.
//! Called by tables and figures of time to target.
//!
//! A run that ends without the event was watched until then, and no more is known of its time than that it is longer. Ending must
//! have nothing to do with how near the event was: a run that diverged won't reach its target later, so the caller has it watched
//! to the end of its budget (or to infinity), not to the step at which it diverged.

use super::distribution::two_sided;
use super::interval::{self, Interval};

/// From a curve's share to half of it, products of fractions round.
const ROUNDING: f64 = 1e-12;

/// The curve at a time with events, which it keeps until the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    pub time: f64,
    /// Watched until just before this time, and still without the event.
    pub at_risk: usize,
    pub events: usize,
    /// The share that is still without the event after this time.
    pub share: f64,
    /// Ends of the interval of the share.
    pub low: f64,
    pub high: f64,
}

/// A median time. Infinite times, here and in the interval, are beyond what was watched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Median {
    pub time: f64,
    /// `None` for fewer than [`interval::LEAST`] that were watched; weak for fewer than [`interval::ENOUGH`].
    pub interval: Option<Interval>,
}

/// A Kaplan–Meier curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Survival {
    /// All that were watched, and those of them with the event.
    pub watched: usize,
    pub events: usize,
    /// At each time with events, in order; before the first, the share is 1.
    pub steps: Vec<Step>,
    /// The longest time that anything was watched.
    pub end: f64,
}

impl Survival {
    /// From times and whether the event was seen then; without it, the time is how long it was waited for in vain. An event at the
    /// time at which another's watch ends comes before that. NaN is left out; an event at infinity is none. `None` if nothing was
    /// watched, or for a confidence that is not in (0, 1).
    ///
    /// The interval is that of log(-log S) with Greenwood's variance (Kalbfleisch & Prentice 1980, *The statistical analysis of
    /// failure time data*), which stays within 0 and 1. Where the share is 0 it has no variance; then the low end is 0, and the
    /// high end stays as it was before.
    #[must_use]
    pub fn new(observations: &[(f64, bool)], confidence: f64) -> Option<Self> {
        let mut sorted: Vec<(f64, bool)> = observations.iter().filter(|(time, _)| !time.is_nan()).copied().collect();
        sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let (end, _) = *sorted.last().filter(|_| confidence > 0.0 && confidence < 1.0)?;
        let z = two_sided(confidence);
        let mut curve = Survival { watched: sorted.len(), events: 0, steps: Vec::new(), end };
        let (mut share, mut greenwood, mut high, mut at_risk) = (1.0_f64, 0.0, 1.0, sorted.len());
        for same in sorted.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
            let (time, events) = (same[0].0, same.iter().filter(|(time, event)| *event && time.is_finite()).count());
            if events > 0 {
                let left = at_risk - events;
                share *= left as f64 / at_risk as f64;
                greenwood += events as f64 / (at_risk as f64 * left as f64);
                let spread = z * f64::sqrt(greenwood) / share.ln();
                let low = if left > 0 { share.powf((-spread).exp()) } else { 0.0 };
                high = if left > 0 { share.powf(spread.exp()) } else { high };
                curve.events += events;
                curve.steps.push(Step { time, at_risk, events, share, low, high });
            }
            at_risk -= same.len();
        }
        Some(curve)
    }

    /// The first time at which half or more have had the event, with the interval of Brookmeyer & Crowley 1982, *A confidence
    /// interval for the median survival time*: from where the interval's low end falls to a half to where its high end does.
    #[must_use]
    pub fn median(&self) -> Median {
        let first =
            |share: fn(&Step) -> f64| self.steps.iter().find(|step| share(step) <= 0.5 + ROUNDING).map_or(f64::INFINITY, |step| step.time);
        let weak = self.watched < interval::ENOUGH;
        let interval = Interval { low: first(|step| step.low), high: first(|step| step.high), weak };
        Median { time: first(|step| step.share), interval: (self.watched >= interval::LEAST).then_some(interval) }
    }

    /// The mean of the time to the event or to `limit`, whichever comes first: the area under the curve from 0 to there (Royston &
    /// Parmar 2013, *Restricted mean survival time*). `None` for a limit beyond what was watched, unless the curve has
    /// reached 0 by then, and for one that isn't positive.
    #[must_use]
    pub fn restricted_mean(&self, limit: f64) -> Option<f64> {
        let ended = self.steps.last().is_some_and(|step| step.share == 0.0);
        if !(limit > 0.0 && limit.is_finite() && (ended || limit <= self.end)) {
            return None;
        }
        let (mut area, mut from, mut share) = (0.0, 0.0, 1.0);
        for step in self.steps.iter().take_while(|step| step.time < limit) {
            area += share * (step.time - from);
            (from, share) = (step.time, step.share);
        }
        Some(area + share * (limit - from))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::reference::{self, near, number, numbers};
    use super::*;

    fn observations(case: &serde_json::Value) -> Vec<(f64, bool)> {
        numbers(&case["time"]).into_iter().zip(case["event"].as_array().unwrap().iter().map(|event| event.as_bool().unwrap())).collect()
    }

    /// lifelines' `KaplanMeierFitter`, `median_survival_times` and `restricted_mean_survival_time`.
    #[test]
    fn agree_with_lifelines() {
        for case in reference::cases("survival") {
            let found = Survival::new(&observations(&case), 0.95).unwrap();
            for (key, value) in [("time", 0), ("share", 1), ("low", 2), ("high", 3)] {
                let expected = numbers(&case["curve"][key]);
                assert_eq!(found.steps.len(), expected.len());
                for (step, expected) in found.steps.iter().zip(expected) {
                    // At a share of 0, lifelines has no interval.
                    if value < 2 || step.share > 0.0 {
                        near([step.time, step.share, step.low, step.high][value], expected, 1e-10);
                    }
                }
            }
            let (median, expected) = (found.median(), numbers(&case["median"]));
            near(median.time, expected[0], 1e-12);
            near(median.interval.unwrap().low, expected[1], 1e-12);
            near(median.interval.unwrap().high, expected[2], 1e-12);
            near(found.restricted_mean(number(&case["limit"])).unwrap(), number(&case["restricted_mean"]), 1e-12);
        }
    }

    #[test]
    fn nothing_reached_is_not_reached_at_the_end() {
        let found = Survival::new(&[(10.0, false), (20.0, false), (f64::INFINITY, false)], 0.95).unwrap();
        let never = f64::INFINITY;
        assert_eq!((found.watched, found.events, found.steps.len()), (3, 0, 0));
        assert_eq!(found.median(), Median { time: never, interval: Some(Interval { low: never, high: never, weak: true }) });
        assert_eq!((found.restricted_mean(15.0), found.restricted_mean(0.0), found.restricted_mean(never)), (Some(15.0), None, None));
        assert_eq!((Survival::new(&[], 0.95), Survival::new(&[(f64::NAN, true)], 0.95)), (None, None));
        assert_eq!(Survival::new(&[(never, true)], 0.95).map(|found| found.events), Some(0));
        assert_eq!(Survival::new(&[(2.0, true), (1.0, true)], 0.95).unwrap().median(), Median { time: 1.0, interval: None });
    }

    #[test]
    fn restricted_means_end_where_the_watch_does() {
        let found = Survival::new(&[(1.0, true), (2.0, true), (4.0, false)], 0.95).unwrap();
        assert_eq!((found.restricted_mean(4.0), found.restricted_mean(4.1)), (Some(1.0 + 2.0 / 3.0 + 2.0 / 3.0), None));
        // All have had the event, so later limits add nothing.
        let all = Survival::new(&[(1.0, true), (2.0, true)], 0.95).unwrap();
        assert_eq!((all.restricted_mean(2.0), all.restricted_mean(100.0)), (Some(1.5), Some(1.5)));
        assert_eq!((all.steps[1].low, all.steps[1].high), (0.0, all.steps[0].high));
    }

    proptest! {
        #[test]
        fn hold_for_any_observations(
            observations in prop::collection::vec(((0u8..20).prop_map(f64::from), any::<bool>()), 1..30),
            limits in (0.5..19.0f64, 0.5..19.0f64),
        ) {
            let found = Survival::new(&observations, 0.95).unwrap();
            let mut before = (1.0, 0.0);
            for step in &found.steps {
                prop_assert!(step.share < before.0 && step.time >= before.1 && step.events <= step.at_risk);
                prop_assert!(0.0 <= step.low && step.low <= step.share && step.share <= step.high && step.high <= 1.0);
                before = (step.share, step.time);
            }
            let median = found.median();
            prop_assert!(median.interval.is_none_or(|interval| interval.low <= median.time && median.time <= interval.high));
            let means = (found.restricted_mean(limits.0), found.restricted_mean(limits.1));
            if let (Some(a), Some(b)) = means {
                prop_assert!(a <= limits.0 + 1e-12 && (limits.0 <= limits.1) == (a <= b) || (a - b).abs() < 1e-12);
            }
            // Seen to the end, the curve is the share of later times, and the restricted mean the mean.
            let seen: Vec<(f64, bool)> = observations.iter().map(|(time, _)| (*time, true)).collect();
            let whole = Survival::new(&seen, 0.95).unwrap();
            for step in &whole.steps {
                let later = seen.iter().filter(|(time, _)| *time > step.time).count() as f64 / seen.len() as f64;
                prop_assert!((later - step.share).abs() < 1e-12);
            }
            let mean = seen.iter().map(|(time, _)| time).sum::<f64>() / seen.len() as f64;
            prop_assert!((whole.restricted_mean(20.0).unwrap() - mean).abs() < 1e-9);
        }
    }
}
