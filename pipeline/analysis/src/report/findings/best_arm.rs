//! The finding on the best arm: which, how far ahead, and whether the seeds tell it from the next.
//! Called first among the findings.

use std::fmt::Write as _;

use spec::{Metric, Quantity, Split};

use super::strong;
use crate::Analysis;
use crate::number::{Format, count, listed};
use crate::results::State;
use crate::verdict::{RunnerUp, Verdict, rule};

pub(super) fn finding(a: &Analysis<'_>) -> String {
    let metric = a.metric();
    let rule = rule(metric);
    let Some(verdict) = &a.verdict else {
        return match a.count(State::Finished) {
            0 if a.count(State::Diverged) > 0 => "Every run with a result diverged, so no arm can be called best.".into(),
            0 => "No run has finished yet, so there is nothing to compare.".into(),
            _ if a.arms.iter().all(|arm| arm.last(metric).is_empty()) => {
                format!("No arm can be called best: no run has a value of `{metric}`.")
            }
            _ => format!("No arm can be called best: none has all its runs finished with a value of `{metric}`. Rule: {rule}."),
        };
    };
    let number = |value: f64| Format::of(metric).text(value);
    let Verdict { median, range, n, .. } = verdict;
    let tied: Vec<String> = verdict.tied.iter().map(|arm| strong(a, *arm)).collect();
    let best = strong(a, verdict.arm);
    let mut text = format!(
        "Best arm: {best}, with median `{metric}` {} over {} (range {}–{})",
        number(*median),
        count(*n, "seed"),
        number(range.0),
        number(range.1)
    );
    if !tied.is_empty() {
        let _ = write!(text, ", tied with {} (same median)", listed(&tied));
    }
    text.push('.');
    if let Some(test) = on_test(a, verdict.arm) {
        let it = if tied.is_empty() { "it" } else { &best };
        let _ = write!(text, " On the test split, which had no part in the choice, {it} has {test}.");
    }
    match &verdict.runner_up {
        None if a.arms.len() == 1 => text += " It is the only arm.",
        None if tied.is_empty() => text += " No other arm has all its runs finished.",
        None => text += " No arm besides these has all its runs finished.",
        Some(second) => {
            let distance = number((median - second.median).abs());
            let (name, value) = (strong(a, second.arm), number(second.median));
            let _ = write!(text, " The runner-up is {name}, whose median is {distance} away ({value}).");
            text += &comparison(a, verdict, second);
        }
    }
    text + &format!(" Rule: {rule}.")
}

/// Whether the seeds tell the best arm from the runner-up.
fn comparison(a: &Analysis<'_>, best: &Verdict, second: &RunnerUp) -> String {
    let (pairs, first, other) = (second.pairs, strong(a, best.arm), strong(a, second.arm));
    let seeds = best.n.min(a.arms.get(second.arm).map_or(0, |arm| arm.last(a.metric()).len()));
    let whose = if best.tied.is_empty() { "Their ranges".to_owned() } else { format!("The ranges of {first} and {other}") };
    let ties = match pairs.ties {
        0 => String::new(),
        n => format!(" ({} the same)", count(n, "seed")),
    };
    let by_seed = format!("{first} is better than {other} in {} of {}{ties}", pairs.better, pairs.n);
    match seeds {
        0 | 1 => " One seed can't tell arms apart.".into(),
        2 if pairs.n == 2 => format!(" Seed by seed, {by_seed}; two seeds are too few to tell arms apart."),
        2 => " Two seeds are too few to tell arms apart.".into(),
        _ if second.overlaps && pairs.n > 2 && pairs.better == pairs.n => {
            format!(" {whose} over seeds overlap, but seed by seed {by_seed}.")
        }
        _ => {
            let overlap = if second.overlaps { "overlap" } else { "do not overlap" };
            let by_seed = if pairs.n > 0 { format!(" Seed by seed, {by_seed}.") } else { String::new() };
            format!(" {whose} over seeds {overlap}.{by_seed}")
        }
    }
}

/// The test metric of the same quantity, if it is not the deciding one.
fn on_test(a: &Analysis<'_>, arm: usize) -> Option<String> {
    let metric = Metric { split: Split::Test, ..a.metric() };
    let values = a.arms.get(arm)?.last(metric);
    let mean = crate::stats::mean(&values).filter(|_| a.metric().split != Split::Test)?;
    let format = Format::of(metric);
    let mean = match crate::stats::standard_deviation(&values) {
        Some(deviation) => format!("{} (sd)", format.with_deviation(mean, deviation)),
        None => format.text(mean),
    };
    let quantity = match metric.quantity {
        Quantity::Loss => "loss",
        Quantity::Accuracy => "accuracy",
    };
    Some(format!("mean {quantity} {mean}"))
}
