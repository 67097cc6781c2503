//! The finding on arms that are the same, bit for bit: one network written in two ways.
//! Called among the findings.

use std::collections::{BTreeMap, BTreeSet};

use crate::Analysis;
use crate::comparison::Conclusion;
use crate::number::{count, listed};
use crate::table::escape;

/// Everything that a run logged but its times, by step.
type Logged = Vec<[u64; 4]>;

/// More than one network that is said to be the same: whether it is.
pub(in crate::report) fn all(a: &Analysis<'_>) -> Option<String> {
    let [group] = groups(a).try_into().ok()?;
    let group: Vec<usize> = group;
    (group.len() == a.arms.len()).then(|| {
        let seeds = count(a.seeds(), "seed");
        format!(
            "Yes: {} are identical, bit for bit, in the loss, accuracy and gradient norm of every step and in every evaluation, with each of \
             {seeds}{}.",
            listed(&group.iter().map(|position| name(a, *position)).collect::<Vec<_>>()),
            match a.comparisons.pairs.first() {
                Some(pair) if pair.conclusion == Conclusion::Equivalent => {
                    format!(", and so equivalent within ±{} (p = {:.3})", a.comparisons.margin, pair.p_equivalent)
                }
                _ => String::new(),
            }
        )
    })
}

pub(super) fn finding(a: &Analysis<'_>) -> Option<String> {
    let groups: Vec<String> = groups(a)
        .iter()
        .map(|group| {
            let seeds = a.arms.iter().find(|arm| arm.position == group[0]).map_or(0, |arm| arm.runs.len());
            let names: Vec<String> = group.iter().map(|position| name(a, *position)).collect();
            format!("{} (each with {})", names.join(" and "), count(seeds, "seed"))
        })
        .collect();
    if groups.is_empty() {
        return should_be(a).then(|| {
            "**Not identical.** All arms have the same network by its definition, and yet not the same numbers: the program does not keep its \
             promise, or another version of it trained some of the runs."
                .into()
        });
    }
    Some(format!(
        "Identical, bit for bit, in the loss, accuracy and gradient norm of every step and in every evaluation: {}. Whatever margin one asks \
         for, these arms are equivalent at these seeds.",
        groups.join("; ")
    ))
}

/// Whether the arms have different names for one definition of a network, and finished all their runs.
fn should_be(a: &Analysis<'_>) -> bool {
    let axes = &a.data.study.axes;
    let definition = |run: &tracker::read::RunRecord| {
        serde_json::from_str::<serde_json::Value>(&run.config).ok().map(|config| config["model_definition"].to_string())
    };
    let definitions: BTreeSet<_> = a.data.runs.iter().map(definition).collect();
    axes.len() == 1 && axes[0] == "model" && a.arms.len() > 1 && definitions.len() == 1 && a.arms.iter().all(|arm| arm.is_whole(a.metric()))
}

fn name(a: &Analysis<'_>, position: usize) -> String {
    a.arms.iter().find(|arm| arm.position == position).map_or(String::new(), |arm| escape(arm.label))
}

/// Positions of arms that are the same for every seed; groups of two and more.
fn groups(a: &Analysis<'_>) -> Vec<Vec<usize>> {
    let (steps, evals) = (&a.data.twins, &a.data.evals);
    let mut logged: BTreeMap<u32, Logged> = BTreeMap::new();
    for i in 0..steps.run.len() {
        let bits = [steps.step[i], steps.loss[i].to_bits(), steps.accuracy[i].to_bits(), steps.grad_norm[i].to_bits()];
        logged.entry(steps.run[i]).or_default().push(bits);
    }
    let twins: BTreeSet<u32> = logged.keys().copied().collect();
    for i in (0..evals.run.len()).filter(|i| twins.contains(&evals.run[*i])) {
        let split = evals.split[i].name().len() as u64;
        logged.entry(evals.run[i]).or_default().push([evals.step[i], split, evals.loss[i].to_bits(), evals.accuracy[i].to_bits()]);
    }
    // Of each arm: what each seed logged.
    let mut arms: BTreeMap<usize, BTreeMap<u64, &Logged>> = BTreeMap::new();
    for (i, run) in (0..).zip(&a.data.runs) {
        if let Some(logged) = logged.get(&i) {
            arms.entry(run.position).or_default().insert(run.seed, logged);
        }
    }
    let mut same: Vec<Vec<usize>> = vec![];
    for (position, runs) in &arms {
        match same.iter_mut().find(|group| arms.get(&group[0]) == Some(runs)) {
            Some(group) => group.push(*position),
            None => same.push(vec![*position]),
        }
    }
    same.retain(|group| group.len() > 1);
    same
}
