//! The finding on arms that are the same, bit for bit: one network written in two ways.
//! Called among the findings.

use std::collections::{BTreeMap, BTreeSet};

use crate::Analysis;
use crate::number::count;
use crate::table::escape;

/// Everything that a run logged but its times, by step.
type Logged = Vec<[u64; 4]>;

pub(super) fn finding(a: &Analysis<'_>) -> Option<String> {
    let (steps, evals) = (&a.data.twins, &a.data.evals);
    let mut logged: BTreeMap<u32, Logged> = BTreeMap::new();
    for i in 0..steps.run.len() {
        let bits = [steps.step[i], steps.loss[i].to_bits(), steps.accuracy[i].to_bits(), steps.grad_norm[i].to_bits()];
        logged.entry(steps.run[i]).or_default().push(bits);
    }
    if logged.is_empty() {
        return None;
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
    let name = |position: &usize| a.arms.iter().find(|arm| arm.position == *position).map_or(String::new(), |arm| escape(arm.label));
    let groups: Vec<String> = same
        .iter()
        .filter(|group| group.len() > 1)
        .map(|group| {
            let seeds = arms.get(&group[0]).map_or(0, BTreeMap::len);
            format!("{} (each with {})", group.iter().map(name).collect::<Vec<_>>().join(" and "), count(seeds, "seed"))
        })
        .collect();
    (!groups.is_empty()).then(|| {
        format!(
            "Identical, bit for bit, in the loss, accuracy and gradient norm of every step and in every evaluation: {}. Whatever margin one \
             asks for, these arms are equivalent at these seeds.",
            groups.join("; ")
        )
    })
}
