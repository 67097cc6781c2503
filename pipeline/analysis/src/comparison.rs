//! What is compared, and what the seeds say about each pair.
//! Called by `analysis`; tables and sentences read it. It knows nothing of how a pair is put into words.
//!
//! The candidates are the arms, or, where a study says what to `compare`, the combinations of values of those axes, each with the
//! arm that the deciding metric chose for it. What was chosen on validation is compared on test. Pairs are compared by common seed
//! with the exact signed-rank test; p-values are corrected over all pairs of candidates (Holm 1979), because which pairs one looks at
//! depends on the same numbers.

use std::collections::BTreeMap;

use spec::{Metric, Quantity, Split};

use crate::layout::words;
use crate::number::{listed, real};
use crate::results::ArmResult;
use crate::stats::paired::{Superiority, equivalence, holm, least_pairs, signed_rank, superiority};
use crate::stats::{Generator, Interval, bca, interquartile_mean, median};
use crate::study_data::StudyData;
use crate::verdict::best;

/// Below this, what is seen would be a rare accident.
pub const LEVEL: f64 = 0.05;
/// Confidence of all intervals.
pub const CONFIDENCE: f64 = 0.95;
/// Differences up to this are of no consequence, unless the study says otherwise.
const ACCURACY_MARGIN: f64 = 0.01;
const LOSS_MARGIN: f64 = 0.05;

/// What stands for comparison: an arm, or the best of several.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub label: String,
    /// Indices of the arms that it was chosen from.
    pub arms: Vec<usize>,
    /// Index of the arm that stands for it; `None` if none has all its runs finished.
    pub chosen: Option<usize>,
    /// The metric that is compared, by seed.
    pub values: BTreeMap<u64, f64>,
    /// Interquartile mean of the values, with its interval.
    pub centre: Option<f64>,
    pub interval: Option<Interval>,
}

/// What the seeds say about two candidates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Conclusion {
    /// They differ, the first being better: Holm's p-value is at most [`LEVEL`].
    Better,
    /// They differ, the second being better.
    Worse,
    /// They differ by less than the margin, by two one-sided tests (Holm's p-value at most [`LEVEL`]).
    Equivalent,
    /// No number of wins among so few seeds could show a difference; so many could.
    TooFew(usize),
    /// There are seeds enough, and they show neither a difference nor equivalence.
    Open,
}

/// Two candidates compared by common seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Indices of candidates; the first has the better median of the deciding metric.
    pub first: usize,
    pub second: usize,
    pub seeds: usize,
    /// Median over seeds of first less second.
    pub difference: Option<f64>,
    /// That the first beats the second at the same seed.
    pub superiority: Option<Superiority>,
    /// Holm's p-value of the two-sided test.
    pub p: f64,
    /// Holm's p-value of equivalence within the margin.
    pub p_equivalent: f64,
    pub conclusion: Conclusion,
}

/// All candidates of a study with all their pairs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparisons {
    /// What is compared.
    pub metric: Option<Metric>,
    pub margin: f64,
    /// The best by the deciding metric first; those without a chosen arm last.
    pub candidates: Vec<Candidate>,
    /// Of the candidates that have a chosen arm.
    pub pairs: Vec<Pair>,
}

impl Comparisons {
    #[must_use]
    pub fn of(data: &StudyData, arms: &[ArmResult<'_>]) -> Self {
        let deciding = data.study.metric;
        let groups = groups(data, arms);
        let mut candidates: Vec<(Option<f64>, Candidate)> = groups
            .into_iter()
            .map(|(label, members)| {
                let verdict = best(arms, &members, deciding);
                let chosen = verdict.as_ref().map(|verdict| verdict.arm);
                let candidate = Candidate { label, arms: members, chosen, values: BTreeMap::new(), centre: None, interval: None };
                (verdict.map(|verdict| verdict.median), candidate)
            })
            .collect();
        candidates.sort_by(|(a, _), (b, _)| match (a, b) {
            (Some(a), Some(b)) if deciding.higher_is_better() => b.total_cmp(a),
            (Some(a), Some(b)) => a.total_cmp(b),
            _ => b.is_some().cmp(&a.is_some()),
        });
        let mut candidates: Vec<Candidate> = candidates.into_iter().map(|(_, candidate)| candidate).collect();
        let metric = compared(deciding, &candidates.iter().filter_map(|candidate| arms.get(candidate.chosen?)).collect::<Vec<_>>());
        for candidate in &mut candidates {
            let Some(arm) = candidate.chosen.and_then(|arm| arms.get(arm)) else { continue };
            candidate.values = arm.runs.iter().filter_map(|run| Some((run.record.seed, run.last(metric)?))).collect();
            let values: Vec<f64> = candidate.values.values().copied().collect();
            (candidate.centre, candidate.interval) = (interquartile_mean(&values), interval(&values));
        }
        let margin = data.study.analysis.margin.unwrap_or(match metric.quantity {
            Quantity::Accuracy => ACCURACY_MARGIN,
            Quantity::Loss => LOSS_MARGIN,
        });
        let pairs = pairs(&candidates, metric, margin);
        Comparisons { metric: Some(metric), margin, candidates, pairs }
    }

    /// The best candidate against another one.
    #[must_use]
    pub fn against_best(&self, other: usize) -> Option<&Pair> {
        self.pairs.iter().find(|pair| pair.first == 0 && pair.second == other)
    }

    /// Whether the best candidate differs from every other one.
    #[must_use]
    pub fn best_stands_out(&self) -> bool {
        let others = self.candidates.iter().filter(|candidate| candidate.chosen.is_some()).count().saturating_sub(1);
        let beaten = self.pairs.iter().filter(|pair| pair.first == 0 && pair.conclusion == Conclusion::Better).count();
        others > 0 && beaten == others
    }
}

/// Interval of the interquartile mean; always the same for the same values.
#[must_use]
pub fn interval(values: &[f64]) -> Option<Interval> {
    bca(values, interquartile_mean, CONFIDENCE, &mut Generator::new(0))
}

/// The arms of each candidate, in the order of the grid.
fn groups(data: &StudyData, arms: &[ArmResult<'_>]) -> Vec<(String, Vec<usize>)> {
    let (axes, compare) = (&data.study.axes, &data.study.analysis.compare);
    let compared = |axis: usize| compare.contains(&axes[axis]);
    if compare.is_empty() {
        return arms.iter().enumerate().map(|(i, arm)| (arm.label.to_owned(), vec![i])).collect();
    }
    let mut groups: Vec<(Vec<_>, String, Vec<usize>)> = vec![];
    for (i, arm) in arms.iter().enumerate() {
        let key: Vec<_> = (0..axes.len()).filter(|axis| compared(*axis)).map(|axis| arm.axes.get(axis).cloned().flatten()).collect();
        match groups.iter_mut().find(|(known, ..)| *known == key) {
            Some((.., members)) => members.push(i),
            None => groups.push((key, words(axes, arm, compared), vec![i])),
        }
    }
    // Arms for which none of these axes exists, or is off.
    let named = |label: String| if label.is_empty() { format!("without {}", listed(compare)) } else { label };
    groups.into_iter().map(|(_, label, members)| (named(label), members)).collect()
}

/// The test metric of the same quantity, if every chosen arm has it for all its runs; else the deciding one.
fn compared(deciding: Metric, chosen: &[&ArmResult<'_>]) -> Metric {
    let test = Metric { split: Split::Test, ..deciding };
    if !chosen.is_empty() && chosen.iter().all(|arm| arm.is_whole(test)) { test } else { deciding }
}

fn pairs(candidates: &[Candidate], metric: Metric, margin: f64) -> Vec<Pair> {
    let chosen: Vec<usize> = (0..candidates.len()).filter(|i| candidates[*i].chosen.is_some()).collect();
    let mut pairs = vec![];
    for (at, &first) in chosen.iter().enumerate() {
        for &second in &chosen[at + 1..] {
            let (a, b) = (&candidates[first].values, &candidates[second].values);
            // Positive where the first is better.
            let sign = if metric.higher_is_better() { 1.0 } else { -1.0 };
            let differences: Vec<f64> = a.iter().filter_map(|(seed, x)| Some(sign * (x - b.get(seed)?))).collect();
            pairs.push(Pair {
                first,
                second,
                seeds: differences.len(),
                difference: median(&differences).map(|difference| sign * difference),
                superiority: superiority(&differences, CONFIDENCE),
                p: signed_rank(&differences).two_sided,
                p_equivalent: equivalence(&differences, margin).unwrap_or(1.0),
                conclusion: if median(&differences).unwrap_or(0.0) < 0.0 { Conclusion::Worse } else { Conclusion::Better },
            });
        }
    }
    let (differ, equivalent) =
        (holm(&pairs.iter().map(|p| p.p).collect::<Vec<_>>()), holm(&pairs.iter().map(|p| p.p_equivalent).collect::<Vec<_>>()));
    // The smallest of all p-values must pass this; with fewer seeds than it takes, none can.
    let needed = least_pairs(LEVEL / real(pairs.len() as u64).max(1.0));
    for ((pair, p), p_equivalent) in pairs.iter_mut().zip(differ).zip(equivalent) {
        (pair.p, pair.p_equivalent) = (p, p_equivalent);
        pair.conclusion = match pair.conclusion {
            side if p <= LEVEL => side,
            _ if p_equivalent <= LEVEL => Conclusion::Equivalent,
            _ if pair.seeds < needed => Conclusion::TooFew(needed),
            _ => Conclusion::Open,
        };
    }
    pairs
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Analysis;
    use crate::fixture::{Fixture, study};

    /// Arms with these accuracies at the end, seed by seed.
    fn with(arms: &[(&str, &[f64])]) -> Fixture {
        let mut data = study("s", &["optimizer", "lr"]);
        for (position, (arm, accuracies)) in arms.iter().enumerate() {
            let (optimizer, lr) = arm.split_once(' ').unwrap_or((arm, "1"));
            for (seed, accuracy) in (0..).zip(*accuracies) {
                let run = data.add(arm, position, &[json!(optimizer), json!(lr.parse::<f64>().unwrap())], seed);
                data.finish(run, &[0.1, *accuracy]);
            }
        }
        data
    }

    fn steady(centre: f64, seeds: u32) -> Vec<f64> {
        (0..seeds).map(|seed| centre + 0.001 * f64::from(seed % 5)).collect()
    }

    /// With n pairs that all point one way, the two-sided p-value is 2 / 2^n.
    #[test]
    fn six_seeds_tell_two_arms_apart_and_five_do_not() {
        let of = |seeds: u32| {
            let data = with(&[("a", &steady(0.7, seeds)), ("b", &steady(0.8, seeds))]);
            Comparisons::of(&data, &Analysis::of(&data).unwrap().arms)
        };
        let six = of(6);
        assert_eq!((six.pairs[0].p, six.pairs[0].conclusion, six.best_stands_out()), (2.0 / 64.0, Conclusion::Better, true));
        assert_eq!((six.candidates[0].label.as_str(), six.metric.unwrap().name()), ("b", "test_accuracy"));
        assert!((six.pairs[0].difference.unwrap() - 0.1).abs() < 1e-9);
        let five = of(5);
        assert_eq!((five.pairs[0].conclusion, five.best_stands_out()), (Conclusion::TooFew(6), false));
    }

    #[test]
    fn the_same_values_are_equivalent_and_a_family_needs_more_seeds() {
        let data = with(&[("a", &steady(0.7, 6)), ("b", &steady(0.7005, 6))]);
        let analysis = Analysis::of(&data).unwrap();
        // Six differences of half a thousandth lie on one side: they differ, however little.
        assert_eq!(analysis.comparisons.pairs[0].conclusion, Conclusion::Better);
        let mut mixed = steady(0.7, 6);
        mixed[0] += 0.002;
        mixed[1] -= 0.002;
        let data = with(&[("a", &steady(0.7, 6)), ("b", &mixed)]);
        assert_eq!(Analysis::of(&data).unwrap().comparisons.pairs[0].conclusion, Conclusion::Equivalent);
        let data = with(&[("a", &steady(0.7, 6)), ("b", &steady(0.8, 6)), ("c", &steady(0.6, 6))]);
        // Three pairs: 0.05 / 3 needs 2 / 2^7.
        assert!(Analysis::of(&data).unwrap().comparisons.pairs.iter().all(|pair| pair.conclusion == Conclusion::TooFew(7)));
    }

    #[test]
    fn each_optimizer_stands_with_the_rate_that_validation_chose() {
        let rates = [("sgd 0.1", steady(0.7, 6)), ("sgd 1", steady(0.8, 6)), ("adam 0.1", steady(0.75, 6)), ("adam 1", steady(0.1, 6))];
        let mut data = with(&rates.iter().map(|(arm, values)| (*arm, &values[..])).collect::<Vec<_>>());
        data.study.analysis.compare = vec!["optimizer".into()];
        let comparisons = Analysis::of(&data).unwrap().comparisons;
        let found: Vec<_> = comparisons.candidates.iter().map(|c| (c.label.as_str(), c.arms.len(), c.chosen)).collect();
        assert_eq!(found, [("sgd", 2, Some(1)), ("adam", 2, Some(2))]);
        assert_eq!(comparisons.pairs.len(), 1);
    }
}
