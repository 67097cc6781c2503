//! Arms compared over several workloads, such as studies, by the time that each takes to a target.
//! Called by the page that compares studies.
//!
//! A time is positive; one that is infinite or NaN is a miss: the arm didn't get there, or wasn't tried. A miss is worse than any
//! time, and is never left out.

/// The performance profile of one arm: Dolan & Moré 2002, *Benchmarking optimization software with performance profiles*; Dahl et
/// al. 2023, *Benchmarking neural network training algorithms* (AlgoPerf).
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// For each workload the arm's time over the fastest arm's, smallest first; infinite for a miss.
    pub ratios: Vec<f64>,
}

/// The profiles of arms from the times of each over the same workloads. A workload that all miss counts against all. `None` if
/// there are no workloads, or the arms don't have the same number of them.
#[must_use]
pub fn profiles(times: &[Vec<f64>]) -> Option<Vec<Profile>> {
    let workloads = times.first().map(Vec::len).filter(|n| *n > 0 && times.iter().all(|arm| arm.len() == *n))?;
    // `f64::min` passes over NaN.
    let fastest: Vec<f64> = (0..workloads).map(|i| times.iter().map(|arm| arm[i]).fold(f64::INFINITY, f64::min)).collect();
    let profile = |arm: &Vec<f64>| {
        let mut ratios: Vec<f64> = arm.iter().zip(&fastest).map(|(time, fastest)| ratio(*time, *fastest)).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        Profile { ratios }
    };
    Some(times.iter().map(profile).collect())
}

/// A time over the fastest.
fn ratio(time: f64, fastest: f64) -> f64 {
    match time {
        _ if !time.is_finite() => f64::INFINITY,
        // Both may be 0, where the start is the target.
        _ if time.total_cmp(&fastest).is_eq() => 1.0,
        _ => time / fastest,
    }
}

impl Profile {
    /// The share of workloads in which the arm takes at most `factor` times as long as the fastest; any time at infinity.
    #[must_use]
    pub fn share(&self, factor: f64) -> f64 {
        let within = self.ratios.iter().filter(|ratio| ratio.is_finite() && **ratio <= factor).count();
        within as f64 / self.ratios.len().max(1) as f64
    }

    /// The area under the profile from 1 to `limit`, over `limit - 1`: 1 for an arm that is the fastest everywhere, 0 for one that
    /// takes `limit` times as long or misses everywhere. AlgoPerf's limit is 4. `None` unless the limit is above 1.
    #[must_use]
    pub fn area(&self, limit: f64) -> Option<f64> {
        // Each workload adds its share from its ratio on.
        let right_of = |ratio: &f64| (limit - ratio).max(0.0) / (limit - 1.0);
        let area = self.ratios.iter().map(right_of).sum::<f64>() / self.ratios.len().max(1) as f64;
        (limit > 1.0 && limit.is_finite()).then_some(area)
    }
}

/// How much faster one arm is than another, and over how many workloads that can be said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpeedUp {
    /// The geometric mean of the second's time over the first's where both got there: above 1, the first is faster. `None` if
    /// there is no such workload, or one took no time. It says nothing of the misses below, so they are to be stated with it.
    pub factor: Option<f64>,
    /// Workloads in which both got there.
    pub both: usize,
    /// In which the first alone did: its factor there is infinite.
    pub first_only: usize,
    /// In which the second alone did: the factor there is 0.
    pub second_only: usize,
    pub neither: usize,
}

/// The speed-up of the first arm over the second, from their times over the same workloads (a geometric mean, as only that gives
/// the inverse when the two are exchanged: Fleming & Wallace 1986, *How not to lie with statistics*). `None` if there are no
/// workloads or the arms don't have the same number of them.
#[must_use]
pub fn speed_up(first: &[f64], second: &[f64]) -> Option<SpeedUp> {
    if first.is_empty() || first.len() != second.len() {
        return None;
    }
    let count = |one: bool, two: bool| first.iter().zip(second).filter(|(a, b)| (a.is_finite(), b.is_finite()) == (one, two)).count();
    let both = count(true, true);
    let logarithms = first.iter().zip(second).filter(|(a, b)| a.is_finite() && b.is_finite()).map(|(a, b)| b.ln() - a.ln());
    let factor = Some((logarithms.sum::<f64>() / both as f64).exp()).filter(|factor| factor.is_finite() && *factor > 0.0);
    Some(SpeedUp { factor, both, first_only: count(true, false), second_only: count(false, true), neither: count(false, false) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::reference::{self, near, number, numbers};
    use super::*;

    const MISS: f64 = f64::INFINITY;

    /// numpy: shares at given factors, the area by summing up a fine grid, scipy's `gmean`.
    #[test]
    fn agree_with_numpy() {
        for case in reference::cases("profile") {
            let times: Vec<Vec<f64>> = case["times"].as_array().unwrap().iter().map(numbers).collect();
            let factors = numbers(&case["factors"]);
            for (arm, profile) in profiles(&times).unwrap().iter().enumerate() {
                for (factor, share) in factors.iter().zip(numbers(&case["shares"][arm])) {
                    near(profile.share(*factor), share, 1e-12);
                }
                near(profile.area(4.0).unwrap(), number(&case["areas"][arm]), 1e-5);
                let found = speed_up(&times[0], &times[arm]).unwrap();
                near(found.factor.unwrap(), number(&case["speed_ups"][arm]), 1e-12);
                near(found.both as f64, number(&case["both"][arm]), 0.0);
            }
        }
    }

    #[test]
    fn misses_are_counted() {
        let found = profiles(&[vec![1.0, MISS, MISS, 3.0], vec![2.0, f64::NAN, 5.0, MISS]]).unwrap();
        assert_eq!(found[0].ratios, [1.0, 1.0, MISS, MISS]);
        assert_eq!((found[1].share(1.0), found[1].share(2.0), found[1].share(MISS)), (0.25, 0.5, 0.5));
        let found = speed_up(&[1.0, MISS, MISS, 3.0], &[2.0, f64::NAN, 5.0, MISS]).unwrap();
        assert!((found.factor.unwrap() - 2.0).abs() < 1e-12);
        assert_eq!((found.both, found.first_only, found.second_only, found.neither), (1, 1, 1, 1));
        let missed = SpeedUp { factor: None, both: 0, first_only: 0, second_only: 0, neither: 1 };
        assert_eq!(speed_up(&[MISS], &[MISS]), Some(missed));
    }

    #[test]
    fn what_has_no_profile() {
        assert_eq!((profiles(&[]), profiles(&[vec![]]), profiles(&[vec![1.0], vec![]])), (None, None, None));
        assert_eq!((speed_up(&[], &[]), speed_up(&[1.0], &[])), (None, None));
        let profile = Profile { ratios: vec![1.0] };
        assert_eq!((profile.area(1.0), profile.area(MISS), profile.area(2.0)), (None, None, Some(1.0)));
        let start = profiles(&[vec![0.0], vec![0.0], vec![1.0]]).unwrap();
        assert_eq!((start[1].ratios[0], start[2].ratios[0]), (1.0, MISS));
        assert_eq!(speed_up(&[0.0], &[1.0]).unwrap().factor, None);
    }

    proptest! {
        #[test]
        fn hold_for_any_times(
            times in prop::collection::vec(prop::collection::vec(prop_oneof![3 => 0.1..100.0f64, 1 => Just(MISS)], 6), 1..5),
            factors in (1.0..10.0f64, 1.0..10.0f64),
        ) {
            let found = profiles(&times).unwrap();
            for profile in &found {
                let (low, high) = (factors.0.min(factors.1), factors.0.max(factors.1));
                prop_assert!(0.0 <= profile.share(low) && profile.share(low) <= profile.share(high) && profile.share(high) <= 1.0);
                prop_assert!((0.0..=1.0 + 1e-12).contains(&profile.area(4.0).unwrap()));
            }
            // In each workload that any arm reaches, some arm is the fastest.
            let reached = (0..6).filter(|i| times.iter().any(|arm| arm[*i].is_finite())).count() as f64;
            prop_assert!(found.iter().map(|profile| profile.share(1.0)).sum::<f64>() >= reached / 6.0 - 1e-12);
            let (first, last) = (&times[0], &times[times.len() - 1]);
            let (one, other) = (speed_up(first, last).unwrap(), speed_up(last, first).unwrap());
            prop_assert_eq!(one.both + one.first_only + one.second_only + one.neither, 6);
            prop_assert_eq!((one.both, one.first_only, one.factor.is_some()), (other.both, other.second_only, other.factor.is_some()));
            if let (Some(one), Some(other)) = (one.factor, other.factor) {
                prop_assert!((one * other - 1.0).abs() < 1e-9);
            }
        }
    }
}
