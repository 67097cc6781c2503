//! A study: its arms, their curves drawn together, and how its metric depends on an axis.

use std::collections::BTreeMap;

use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value, json};
use tracker::read::StudyRecord;

use super::{count, index::counts, number, page as whole};
use crate::cache::Metric;
use crate::overview::{Overview, Run};
use crate::query::Query;
use crate::{App, Error, Parts};

/// Arms that are drawn unless others are chosen.
const SHOWN: usize = 8;

/// An arm with the runs of its seeds.
struct Arm {
    label: String,
    position: usize,
    axes: Value,
    states: Vec<&'static str>,
    /// Of the deciding metric, sorted.
    finals: Vec<f64>,
}

pub(crate) fn page(app: &App, parts: &Parts, query: &Query) -> Result<Response, Error> {
    let overview = app.overview()?;
    let study = overview.study(parts.first().map_or("", String::as_str))?;
    let arms = arms(&overview, study);
    let metrics = metrics(&overview, study);
    let chosen: Vec<usize> = query.all("arm").filter_map(|arm| arm.parse().ok()).collect();
    let metric = query.get("metric").map_or_else(|| study.metric.name().to_owned(), str::to_owned);
    let usual = usual(&arms, study.metric.higher_is_better());
    let is_shown = |arm: &Arm| if chosen.is_empty() { &usual } else { &chosen }.contains(&arm.position);
    let choice = |name: &str, title: &str, options: &[(&str, String)], default: &str| {
        let value = query.get(name).unwrap_or(default);
        html! { label { (title) " " select name=(name) { @for (option, text) in options { option value=(option) selected[value == *option] { (text) } } } } }
    };
    let plain = |options: &[&'static str]| options.iter().map(|o| (*o, (*o).to_owned())).collect::<Vec<_>>();
    let of_metrics: Vec<(String, String)> = metrics.iter().map(|m| (m.name(), m.title())).collect();
    let of_metrics: Vec<(&str, String)> = of_metrics.iter().map(|(name, title)| (name.as_str(), title.clone())).collect();
    let content = html! {
        p.question { (study.question) }
        @if let Some(hypothesis) = &study.hypothesis { p.note { "Hypothesis: " (hypothesis) } }
        div #counts data-live { (counts(&overview, &study.name)) }
        section aria-labelledby="curves" {
            h2 #curves { "Curves" }
            form #choice data-study=(study.name) method="get" {
                div.tools {
                    label { "metric " select name="metric" { @for (name, title) in &of_metrics { option value=(name) selected[metric == *name] { (title) } } } }
                    (choice("x", "against", &[("step", "step".into()), ("epoch", "epoch".into()), ("examples", "examples seen".into()), ("time", "training time".into())], "step"))
                    (choice("show", "seeds", &[("band", "median and range".into()), ("seeds", "each by itself".into())], "band"))
                    (choice("y-scale", "y", &plain(&["linear", "log"]), "linear"))
                    (choice("x-scale", "x", &plain(&["linear", "log"]), "linear"))
                    label { "smoothing " input type="range" name="smooth" min="0" max="0.99" step="0.01" value=(query.get("smooth").unwrap_or("0")); output { (query.get("smooth").unwrap_or("0")) } }
                    noscript { button { "Show" } }
                }
                div #chart.chart role="img" aria-label="Curves of the chosen arms; the table below has the last values" {}
                p.note #chart-note { "Drawing takes a script." }
                fieldset {
                    legend { "Arms" }
                    div.tools { button type="button" data-arms="all" { "all" } button type="button" data-arms="none" { "none" } button type="button" data-arms="best" { "the best eight" } }
                    div.scroll tabindex="0" role="region" aria-label="Arms" { table #arms {
                        caption.unseen { "Arms with their " (study.metric.name()) " over seeds" }
                        thead { tr { th scope="col" { "draw" } th scope="col" { "arm" } th scope="col" { "seeds" } th scope="col" { (study.metric.name()) ", median" } th scope="col" { "lowest" } th scope="col" { "highest" } th scope="col" { "now" } } }
                        tbody #arms-body { @for arm in &arms {
                            tr data-position=(arm.position) data-final=[median(&arm.finals).map(|x| x.to_string())] {
                                td { label { input type="checkbox" name="arm" value=(arm.position) checked[is_shown(arm)]; span.swatch aria-hidden="true" {} span.unseen { "draw " (arm.label) } } }
                                th.text scope="row" { (arm.label) }
                                td #(format!("states-{}", arm.position)) data-live { (states(&arm.states)) }
                                @let [low, high] = [arm.finals.first(), arm.finals.last()].map(|x| number(x.copied()));
                                td.number #(format!("median-{}", arm.position)) data-live { (number(median(&arm.finals))) }
                                td.number #(format!("low-{}", arm.position)) data-live { (low) }
                                td.number #(format!("high-{}", arm.position)) data-live { (high) }
                                td.number data-now {}
                            }
                        } }
                    } }
                }
            }
            p.note { "Smoothing is an exponential moving average whose start is corrected, as in Adam: s ← βs + (1−β)y, drawn as s/(1−βᵗ). Long curves are drawn as the lowest and highest value of each stretch of steps (each seed by itself), or as its mean (median and range over seeds)." }
        }
        (sensitivity(study, &arms))
    };
    Ok(whole(Some(&overview), &study.name, "", &content))
}

fn arms(overview: &Overview, study: &StudyRecord) -> Vec<Arm> {
    let mut arms: BTreeMap<usize, Arm> = BTreeMap::new();
    for (member, run) in overview.members_of(&study.name) {
        let arm = arms.entry(member.position).or_insert_with(|| Arm {
            label: member.arm.clone(),
            position: member.position,
            axes: serde_json::from_str(&member.axes).unwrap_or_default(),
            states: vec![],
            finals: vec![],
        });
        arm.states.push(run.state());
        arm.finals.extend(run.last(study.metric.name()));
    }
    let mut arms: Vec<Arm> = arms.into_values().collect();
    for arm in &mut arms {
        arm.finals.sort_by(f64::total_cmp);
    }
    arms
}

/// What the study's runs can have logged: a descent has no accuracies and no splits to speak of.
fn metrics(overview: &Overview, study: &StudyRecord) -> Vec<Metric> {
    let is_descent = overview.members_of(&study.name).any(|(_, run): (_, &std::sync::Arc<Run>)| run.config.objective() == "surface");
    let fits = |metric: &Metric| {
        !is_descent
            || matches!(metric, Metric::Eval(spec::Split::Train, false))
            || matches!(metric, Metric::Step(of) if *of != tracker::live::StepMetric::Accuracy)
    };
    Metric::ALL.into_iter().filter(fits).collect()
}

/// The arms that are drawn unless others are chosen: those with the best medians, and while there are too few, the first.
fn usual(arms: &[Arm], higher_is_better: bool) -> Vec<usize> {
    let sign = if higher_is_better { -1.0 } else { 1.0 };
    let mut order: Vec<(f64, usize)> =
        arms.iter().map(|arm| (median(&arm.finals).map_or(f64::INFINITY, |m| sign * m), arm.position)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    order.into_iter().take(SHOWN).map(|(_, position)| position).collect()
}

fn median(sorted: &[f64]) -> Option<f64> {
    let n = sorted.len();
    (n > 0).then(|| f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]))
}

fn states(states: &[&'static str]) -> Markup {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for state in states {
        *counts.entry(state).or_default() += 1;
    }
    html! { @for (i, (name, n)) in counts.into_iter().enumerate() { @if i > 0 { ", " } (n) " " (super::state(name)) } }
}

/// The deciding metric against an axis of numbers, with a line for each combination of the others.
fn sensitivity(study: &StudyRecord, arms: &[Arm]) -> Markup {
    let numeric = |axis: &&String| {
        let values: Vec<f64> = arms.iter().filter_map(|arm| arm.axes.get(*axis)?.as_f64()).collect();
        values.iter().any(|x| x.to_bits() != values[0].to_bits())
    };
    let mut axes: Vec<&String> = study.axes.iter().filter(numeric).collect();
    // What is asked first of a rate.
    axes.sort_by_key(|axis| *axis != "lr");
    let points: Vec<Value> = arms
        .iter()
        .map(|arm| {
            let bad = arm.states.iter().filter(|state| **state == "diverged").count();
            json!({ "arm": arm.label, "axes": arm.axes, "low": arm.finals.first(), "y": median(&arm.finals), "high": arm.finals.last(), "diverged": bad, "seeds": arm.states.len() })
        })
        .collect();
    html! {
        @if !axes.is_empty() {
            section aria-labelledby="sensitivity" {
                h2 #sensitivity { "How " (study.metric.name()) " depends on an axis" }
                form.tools #axis-choice {
                    label { "axis " select name="axis" { @for axis in &axes { option { (axis) } } } }
                    label { "x " select name="scale" { option value="log" { "log" } option value="linear" { "linear" } } }
                }
                div #sensitivity-data data-live="data" data-points=(Value::from(points)) data-axes=(Value::from(study.axes.clone())) {}
                div #sensitivity-chart.chart role="img" aria-label="Final metric against the axis; the table of arms has the values" {}
                p.note { (count(arms.len(), "arm")) ". A point is the median over the seeds that finished, its band runs from the lowest to the highest. Diverged runs have no final metric: an arm of which all diverged has no point, and one of which some did is marked ✕." }
            }
        }
    }
}
