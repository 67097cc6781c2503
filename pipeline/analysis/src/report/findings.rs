//! What the data of a study say, in sentences that claim no more than the data support.
//! Called by the page; it knows nothing of tables and figures.

use spec::{Metric, Quantity, Split};

use crate::Analysis;
use crate::number::{Format, count};
use crate::results::State;
use crate::table::escape;
use crate::verdict::{Verdict, best, rule};

/// One sentence or a few for each finding.
pub(super) fn of(a: &Analysis<'_>) -> Vec<String> {
    let mut findings = vec![best_arm(a)];
    findings.extend(diverged(a));
    findings.extend(along_axis(a));
    findings
}

fn best_arm(a: &Analysis<'_>) -> String {
    let metric = a.metric();
    let rule = rule(metric);
    let Some(verdict) = &a.verdict else {
        return match a.count(State::Finished) {
            0 if a.count(State::Diverged) > 0 => "Every run with a result diverged, so no arm can be called best.".into(),
            0 => "No run has finished yet, so there is nothing to compare.".into(),
            _ => {
                format!("No arm can be called best: none has all its runs finished. Rule: {rule}.")
            }
        };
    };
    let number = |value: f64| Format::of(metric).text(value);
    let label = |i: usize| a.arms.get(i).map(|arm| format!("**{}**", escape(arm.label))).unwrap_or_default();
    let Verdict { median, range, n, .. } = verdict;
    let mut text = format!(
        "Best arm: {}, with median `{metric}` {} over {} (range {}–{}).",
        label(verdict.arm),
        number(*median),
        count(*n, "seed"),
        number(range.0),
        number(range.1)
    );
    if let Some(test) = on_test(a, verdict.arm) {
        text = format!("{text} On the test split, which had no part in the choice, it has {test}.");
    }
    match &verdict.runner_up {
        None => text += " No other arm has all its runs finished.",
        Some(second) => {
            let distance = (median - second.median).abs();
            let (name, away, value) = (label(second.arm), number(distance), number(second.median));
            text = format!("{text} The runner-up is {name}, whose median is {away} away ({value}).");
            text += if second.overlaps {
                " Their ranges over seeds overlap: the seeds do not separate the two."
            } else {
                " Their ranges over seeds do not overlap."
            };
        }
    }
    text + &format!(" Rule: {rule}.")
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

fn diverged(a: &Analysis<'_>) -> Option<String> {
    let (n, of) = (a.count(State::Diverged), a.count(State::Diverged) + a.count(State::Finished));
    if of == 0 {
        return None;
    }
    if n == 0 {
        return Some("No run diverged.".into());
    }
    let arms = a.arms.iter().filter(|arm| arm.count(State::Diverged) > 0);
    let names: Vec<String> =
        arms.map(|arm| format!("{} ({} of {})", escape(arm.label), arm.count(State::Diverged), arm.with_result())).collect();
    Some(format!("{n} of the {of} runs with a result diverged, in {}: {}.", count(names.len(), "arm"), names.join(", ")))
}

/// For each group: which values of the numeric axis diverged, which is best, and whether it lies at the edge of the grid.
fn along_axis(a: &Analysis<'_>) -> Vec<String> {
    let Some(axis) = &a.layout.axis else {
        return vec![];
    };
    let group = |group: usize| {
        let members = a.layout.members(group);
        let name = a.layout.groups.get(group).filter(|name| !name.is_empty());
        let subject = name.map_or_else(|| format!("Along `{axis}`: "), |name| format!("{}: ", escape(name)));
        if members.len() < 2 || members.iter().all(|i| a.arms.get(*i).is_none_or(|arm| arm.with_result() == 0)) {
            return None;
        }
        let value = |i: &usize| escape(a.layout.label(*i));
        let lost: Vec<String> =
            members.iter().filter(|i| a.arms.get(**i).is_some_and(|arm| arm.count(State::Diverged) > 0)).map(value).collect();
        let lost =
            if lost.is_empty() { "no value diverged".to_owned() } else { format!("runs diverged at `{axis}` = {}", lost.join(", ")) };
        let Some(verdict) = best(&a.arms, &members, a.metric()) else {
            return Some(format!("{subject}{lost}; no value has all its runs finished."));
        };
        let median = Format::of(a.metric()).text(verdict.median);
        let edge = match (members.first(), members.last()) {
            (Some(first), _) if *first == verdict.arm && axis == "batch_size" && a.layout.value(*first) == Some(1.0) => {
                "the smallest there is".into()
            }
            (_, Some(last)) if *last == verdict.arm && a.layout.label(*last) == "full" => "the largest there is".into(),
            (Some(first), _) if *first == verdict.arm => {
                format!("the smallest value tried, so a better `{axis}` may lie below the grid")
            }
            (_, Some(last)) if *last == verdict.arm => {
                format!("the largest value tried, so a better `{axis}` may lie above the grid")
            }
            _ => "inside the grid".into(),
        };
        Some(format!("{subject}{lost}; by the same rule the best `{axis}` is {} (median {median}), {edge}.", value(&verdict.arm)))
    };
    (0..a.layout.groups.len()).filter_map(group).collect()
}
