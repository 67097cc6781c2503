//! What a study's data do not support: too few seeds, unequal terms, edges of the grid, trainings that were not over.
//! Called by the page.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::findings::strong;
use crate::Analysis;
use crate::comparison::Conclusion;
use crate::diagnosis::Condition;
use crate::number::{count, listed, thousands};
use crate::results::{ArmResult, State};
use crate::stats::interval::ENOUGH;
use crate::table::{code, escape};
use crate::verdict::best;

/// More names than this are counted instead.
const NAMED: usize = 6;
/// Costs that differ by less are about the same.
const MUCH: f64 = 1.1;

/// One sentence or a few for each reservation.
pub(super) fn of(a: &Analysis<'_>) -> Vec<String> {
    let mut limits = vec![];
    if a.count(State::Finished) + a.count(State::Diverged) == 0 {
        return limits;
    }
    limits.extend(seeds(a));
    limits.extend(open(a));
    limits.extend(edges(a));
    limits.extend(unfinished(a));
    limits.extend(unequal(a));
    limits.push(scope(a));
    limits
}

fn names(a: &Analysis<'_>, arms: &[usize]) -> String {
    if arms.len() > NAMED { count(arms.len(), "arm") } else { listed(&arms.iter().map(|arm| strong(a, *arm)).collect::<Vec<_>>()) }
}

fn seeds(a: &Analysis<'_>) -> Option<String> {
    let pairs = &a.comparisons.pairs;
    let few = pairs.iter().find_map(|pair| match pair.conclusion {
        Conclusion::TooFew(needed) => Some((pair.seeds, needed)),
        _ => None,
    });
    match few {
        Some((seeds, needed)) => Some(format!(
            "With {} and {} to compare, the exact test can't tell every difference, however clear: {needed} seeds would be needed.",
            count(seeds, "seed"),
            count(pairs.len(), "pair")
        )),
        None if a.has_accuracies() && a.seeds() < ENOUGH => {
            Some(format!("With {}, intervals over seeds are weak or not given.", count(a.seeds(), "seed")))
        }
        None => None,
    }
}

fn open(a: &Analysis<'_>) -> Option<String> {
    let n = a.comparisons.pairs.iter().filter(|pair| pair.conclusion == Conclusion::Open).count();
    (n > 0).then(|| {
        format!(
            "For {n} of {}, the seeds show neither a difference nor that there is none beyond ±{}.",
            count(a.comparisons.pairs.len(), "pair"),
            a.comparisons.margin
        )
    })
}

/// Groups whose best value is the last one tried.
fn edges(a: &Analysis<'_>) -> Option<String> {
    let axis = a.layout.axis.as_ref().filter(|_| !a.mixes_surfaces())?;
    let at_edge = |group: &usize| {
        let members = a.layout.members(*group);
        let arm = best(&a.arms, &members, a.metric()).filter(|_| members.len() > 2)?.arm;
        // Beyond a single example and all of them there is nothing to try, nor below no stride or no reduction.
        let ends = a.layout.label(arm) == "full" || a.layout.value(arm).is_some_and(|value| value <= 1.0 && axis != "lr");
        (!ends && (members.first() == Some(&arm) || members.last() == Some(&arm))).then_some(arm)
    };
    let arms: Vec<usize> = (0..a.layout.groups.len()).collect::<Vec<_>>().iter().filter_map(at_edge).collect();
    (!arms.is_empty()).then(|| {
        format!("The best {} lies at the edge of what was tried for {}: a better one may lie beyond.", code(axis), names(a, &arms))
    })
}

fn unfinished(a: &Analysis<'_>) -> Option<String> {
    let arms: Vec<usize> = (0..a.arms.len()).filter(|arm| a.judgement.condition(*arm) == Some(Condition::TooSlow)).collect();
    (!arms.is_empty()).then(|| format!("Still improving at the end: {}. Longer training may change their places.", names(a, &arms)))
}

/// Terms on which arms differ without being asked to.
fn unequal(a: &Analysis<'_>) -> Vec<String> {
    let mut limits = vec![];
    let axes = &a.data.study.axes;
    let is_axis = |key: &str| axes.iter().any(|axis| axis == key);
    let range = |values: &BTreeSet<u64>| {
        let text = |n: Option<&u64>| n.map_or(String::new(), |n| thousands(usize::try_from(*n).unwrap_or(usize::MAX)));
        format!("{} to {}", text(values.first()), text(values.last()))
    };
    // Examples that were planned to be seen: what was seen less depends on divergence and early stopping.
    let planned = |arm: &ArmResult<'_>| {
        let run = arm.runs.first()?;
        let steps = a.data.steps.runs.get(&run.place)?;
        Some(run.record.planned_steps? * steps.examples / steps.steps.max(1))
    };
    let budgets: BTreeSet<u64> = a.arms.iter().filter_map(planned).collect();
    if let (Some(least), Some(most)) = (budgets.first(), budgets.last())
        && *most as f64 > MUCH * *least as f64
        && a.has_accuracies()
    {
        limits.push(format!("Unequal budgets: arms are to see {} examples.", range(&budgets)));
    }
    let key = |key: &str| -> BTreeSet<String> {
        let of = |record: &&tracker::read::RunRecord| {
            serde_json::from_str::<Value>(&record.config).ok().and_then(|config| config.get(key).map(ToString::to_string))
        };
        a.data.runs.iter().collect::<Vec<_>>().iter().filter_map(of).collect()
    };
    let epochs = key("epochs");
    if epochs.len() > 1 && !is_axis("epochs") {
        limits.push(format!("Unequal epochs: {}.", epochs.iter().map(|epochs| escape(epochs)).collect::<Vec<_>>().join(", ")));
    }
    let devices: BTreeSet<&str> = a.data.runs.iter().filter_map(|run| run.device.as_deref()).collect();
    if devices.len() > 1 {
        limits.push(format!(
            "Runs were trained on different devices ({}): times don't compare.",
            devices.into_iter().map(escape).collect::<Vec<_>>().join(", ")
        ));
    }
    let parameters: BTreeSet<u64> = a.data.runs.iter().filter_map(|run| run.parameters).collect();
    if let (Some(least), Some(most)) = (parameters.first(), parameters.last())
        && *most as f64 > MUCH * *least as f64
    {
        limits.push(format!("Unequal networks: {} parameters.", range(&parameters)));
    }
    let mut tried: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for candidate in &a.comparisons.candidates {
        tried.entry(candidate.arms.len()).or_default().push(escape(&candidate.label));
    }
    if tried.len() > 1 {
        let effort: Vec<String> = tried.iter().map(|(n, labels)| format!("{} for {}", count(*n, "arm"), listed(labels))).collect();
        limits.push(format!("Unequal tuning: {}.", effort.join("; ")));
    }
    let sizes: BTreeSet<usize> = a.arms.iter().map(ArmResult::with_result).collect();
    if sizes.len() > 1 {
        limits.push("Unequal numbers of runs: some arms lack seeds.".into());
    }
    limits
}

/// What intervals and tests are about.
fn scope(a: &Analysis<'_>) -> String {
    if !a.has_accuracies() {
        return "What holds from these starting points and at these rates need not hold from others.".into();
    }
    let datasets: BTreeSet<String> =
        a.data.runs.iter().filter_map(|run| serde_json::from_str::<Value>(&run.config).ok()?.get("dataset")?.as_str().map(code)).collect();
    let datasets: Vec<String> = datasets.into_iter().collect();
    format!(
        "Intervals and tests are about seeds (initial weights, order of the examples, and whatever else is drawn), on {} and one division \
         of it. They say nothing of other data, other networks or longer training.",
        if datasets.is_empty() { "this data".into() } else { listed(&datasets) }
    )
}
