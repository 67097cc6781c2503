//! Which arm is best, by one stated rule, and how far the data support it.
//! Called by `analysis`; the report puts it into words.

use std::collections::BTreeMap;

use spec::Metric;

use crate::results::ArmResult;
use crate::stats::{median, range};

/// The best arm by the [`rule`].
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Index into the arms compared.
    pub arm: usize,
    pub median: f64,
    /// Over seeds.
    pub range: (f64, f64),
    /// Seeds.
    pub n: usize,
    /// The other arms with exactly the same median, in the order of the arms compared.
    pub tied: Vec<usize>,
    /// The first arm with a worse median.
    pub runner_up: Option<RunnerUp>,
}

/// The second best, with what sets the best apart from it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunnerUp {
    /// Index into the arms compared.
    pub arm: usize,
    pub median: f64,
    pub range: (f64, f64),
    /// Whether the ranges over seeds overlap.
    pub overlaps: bool,
    /// The two seed by seed: arms share their seeds.
    pub pairs: Pairs,
}

/// Two arms compared seed by seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Seeds for which both have a value at the end of training.
    pub n: usize,
    /// Seeds for which the first is better.
    pub better: usize,
    /// Seeds for which both are the same.
    pub ties: usize,
}

impl Pairs {
    /// Compares a metric at the end of training.
    #[must_use]
    pub fn of(first: &ArmResult<'_>, second: &ArmResult<'_>, metric: Metric) -> Self {
        let by_seed = |arm: &ArmResult<'_>| -> BTreeMap<u64, f64> {
            arm.runs.iter().filter_map(|run| Some((run.record.seed, run.last(metric)?))).collect()
        };
        let (first, second) = (by_seed(first), by_seed(second));
        let mut pairs = Pairs::default();
        for (a, b) in first.iter().filter_map(|(seed, a)| Some((a, second.get(seed)?))) {
            pairs.n += 1;
            pairs.better += usize::from(if metric.higher_is_better() { a > b } else { a < b });
            pairs.ties += usize::from(a.total_cmp(b).is_eq());
        }
        pairs
    }
}

/// How the best arm is found, for readers.
#[must_use]
pub fn rule(metric: Metric) -> String {
    let side = if metric.higher_is_better() { "highest" } else { "lowest" };
    format!(
        "{side} median over seeds of `{metric}` at the end of training, among arms whose runs all finished, with none diverged, failed or missing"
    )
}

/// Applies the rule to the arms at `among`; `None` if no arm is whole. Of equal medians the first in the grid wins.
#[must_use]
pub fn best(arms: &[ArmResult<'_>], among: &[usize], metric: Metric) -> Option<Verdict> {
    let value = |i: usize| {
        let values = arms.get(i).filter(|arm| arm.is_whole(metric))?.last(metric);
        Some((i, median(&values)?, range(&values)?, values.len()))
    };
    let mut whole: Vec<_> = among.iter().filter_map(|i| value(*i)).collect();
    whole.sort_by(|a, b| {
        let order = a.1.total_cmp(&b.1);
        if metric.higher_is_better() { order.reverse() } else { order }.then(a.0.cmp(&b.0))
    });
    let (arm, median, range, n) = *whole.first()?;
    let same = whole.iter().skip(1).take_while(|other| other.1.total_cmp(&median).is_eq());
    let tied: Vec<usize> = same.map(|other| other.0).collect();
    let runner_up = whole.get(1 + tied.len()).and_then(|(second, median, other, _)| {
        let overlaps = other.0 <= range.1 && range.0 <= other.1;
        let pairs = Pairs::of(arms.get(arm)?, arms.get(*second)?, metric);
        Some(RunnerUp { arm: *second, median: *median, range: *other, overlaps, pairs })
    });
    Some(Verdict { arm, median, range, n, tied, runner_up })
}
