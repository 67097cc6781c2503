//! Which arm is best, by one stated rule, and how far the data support it.
//! Called by `analysis`; the report puts it into words.

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
    pub runner_up: Option<RunnerUp>,
}

/// The second best.
#[derive(Clone, Debug, PartialEq)]
pub struct RunnerUp {
    /// Index into the arms compared.
    pub arm: usize,
    pub median: f64,
    pub range: (f64, f64),
    /// Whether the ranges over seeds overlap: then the seeds don't separate the two.
    pub overlaps: bool,
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
    let runner_up = whole.get(1).map(|(arm, median, other, _)| {
        let overlaps = other.0 <= range.1 && range.0 <= other.1;
        RunnerUp { arm: *arm, median: *median, range: *other, overlaps }
    });
    Some(Verdict { arm, median, range, n, runner_up })
}
