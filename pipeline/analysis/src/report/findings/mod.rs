//! What the data of a study say, in sentences that claim no more than the data support.
//! Called by the page; it knows nothing of tables and figures.

mod along_axis;
mod best_arm;
pub(super) mod checks;
mod collapsed;
mod gaps;
pub(super) mod identical;
mod targets;
#[cfg(test)]
mod tests;

use crate::Analysis;
use crate::number::count;
use crate::results::State;
use crate::table::escape;

/// One sentence or a few for each finding.
pub(super) fn of(a: &Analysis<'_>) -> Vec<String> {
    let mut findings = vec![];
    if a.is_check() {
        findings.extend(checks::finding(a));
        return findings;
    }
    findings.push(if a.mixes_surfaces() {
        "No arm is called best: heights of different surfaces say nothing about each other.".into()
    } else {
        best_arm::finding(a)
    });
    findings.extend(checks::finding(a));
    findings.extend(gaps::finding(a));
    findings.extend(identical::finding(a));
    findings.extend(diverged(a));
    findings.extend(collapsed::finding(a));
    if !a.mixes_surfaces() {
        findings.extend(targets::findings(a));
    }
    findings.extend(along_axis::findings(a));
    findings
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

/// An arm's name where it is the subject of a sentence.
pub(super) fn strong(a: &Analysis<'_>, arm: usize) -> String {
    a.arms.get(arm).map(|arm| format!("**{}**", escape(arm.label))).unwrap_or_default()
}
