//! The findings along the numeric axis: for each group which values diverged, which is best, and whether it lies at the edge of
//! the grid.
//! Called last among the findings; only for studies that have such an axis.

use crate::Analysis;
use crate::number::{Format, listed};
use crate::results::{ArmResult, State};
use crate::table::{code, escape};
use crate::verdict::best;

pub(super) fn findings(a: &Analysis<'_>) -> Vec<String> {
    match &a.layout.axis {
        Some(axis) => (0..a.layout.groups.len()).filter_map(|group| finding(a, axis, group)).collect(),
        None => vec![],
    }
}

fn finding(a: &Analysis<'_>, axis: &str, group: usize) -> Option<String> {
    let members = a.layout.members(group);
    let arms: Vec<&ArmResult<'_>> = members.iter().filter_map(|i| a.arms.get(*i)).collect();
    if members.len() < 2 || arms.iter().all(|arm| arm.with_result() == 0) {
        return None;
    }
    let name_of_axis = code(axis);
    let along = a.layout.along_text().map(|text| format!(" ({text})")).unwrap_or_default();
    let name = a.layout.groups.get(group).filter(|name| !name.is_empty());
    let subject = name.map_or_else(|| format!("Along {name_of_axis}{along}: "), |name| format!("{}: ", escape(name)));
    let lost: Vec<String> =
        members.iter().zip(&arms).filter(|(_, arm)| arm.count(State::Diverged) > 0).map(|(i, _)| value(a, *i)).collect();
    let lost =
        if lost.is_empty() { "no value diverged".to_owned() } else { format!("runs diverged at {name_of_axis} = {}", lost.join(", ")) };
    let metric = a.metric();
    let Some(verdict) = best(&a.arms, &members, metric) else {
        let finished = arms.iter().any(|arm| arm.count(State::Finished) > 0);
        let nothing = finished && arms.iter().all(|arm| arm.last(metric).is_empty());
        let why = if nothing { format!("no run has a value of `{metric}`") } else { "no value has all its runs finished".into() };
        return Some(format!("{subject}{lost}; {why}."));
    };
    let median = Format::of(metric).text(verdict.median);
    // Ascending along the axis, as the members are.
    let winners: Vec<usize> = members.iter().copied().filter(|i| *i == verdict.arm || verdict.tied.contains(i)).collect();
    let values: Vec<String> = winners.iter().map(|i| value(a, *i)).collect();
    let edges: Vec<(usize, String)> = winners.iter().filter_map(|i| Some((*i, edge(a, axis, &members, *i)?))).collect();
    Some(if let [only] = values.as_slice() {
        let place = edges.into_iter().next().map_or_else(|| "inside the grid".to_owned(), |(_, edge)| edge);
        format!("{subject}{lost}; by the same rule the best {name_of_axis} is {only} (median {median}), {place}.")
    } else {
        let places: Vec<String> = edges.into_iter().map(|(i, edge)| format!("{} is {edge}", value(a, i))).collect();
        let places = if places.is_empty() { "all inside the grid".to_owned() } else { places.join("; ") };
        format!("{subject}{lost}; by the same rule {} are the best {name_of_axis}, tied (same median {median}); {places}.", listed(&values))
    })
}

fn value(a: &Analysis<'_>, arm: usize) -> String {
    escape(a.layout.label(arm))
}

/// What follows from an arm's place at an end of the values tried; `None` within them.
fn edge(a: &Analysis<'_>, axis: &str, members: &[usize], arm: usize) -> Option<String> {
    let (first, last) = (members.first() == Some(&arm), members.last() == Some(&arm));
    if first && axis == "batch_size" && a.layout.value(arm) == Some(1.0) {
        Some("the smallest there is".into())
    } else if last && a.layout.label(arm) == "full" {
        Some("the largest there is".into())
    } else if first {
        Some(format!("the smallest value tried, so a better {} may lie below the grid", code(axis)))
    } else {
        last.then(|| format!("the largest value tried, so a better {} may lie above the grid", code(axis)))
    }
}
