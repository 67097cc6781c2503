//! Figure `survival`: the share of an arm's runs that have not yet reached a target, against the step.
//! Listed in `PLOTS`; only for studies with targets that a run reached.

use spec::Metric;
use spec::record::Outcome;

use super::{Plot, look};
use crate::Analysis;
use crate::figure::{Axis, Figure, Legend, Panel, Place, Series};
use crate::number::{Format, count, real};
use crate::results::{ArmResult, Reached, State, reached};
use crate::stats::survival::Survival;

const MOST_TARGETS: usize = 4;
/// Arms drawn in a panel.
const MOST_ARMS: usize = 12;
/// From this ratio of the last step to the first that reached a target on, the axis is logarithmic.
const WIDE: f64 = 30.0;
/// By how much curves are set apart, as a share of the width of a panel; and how much more of its height that is.
const ASIDE: f64 = 0.0022;
const TALL: f64 = 2.2;
/// Of the intervals, which are not drawn.
const CONFIDENCE: f64 = 0.95;

/// A target with the curves of the arms that any run of reached it, fastest first.
struct Target {
    name: String,
    arms: Vec<(usize, Survival)>,
    /// Arms with results none of which reached it.
    never: usize,
    /// Arms that did reach it, and are too slow to be drawn.
    slower: usize,
}

pub(super) fn plot(a: &Analysis<'_>) -> Option<Plot> {
    let targets: Vec<Target> =
        a.data.study.targets.iter().filter_map(|(metric, value)| target(a, *metric, *value)).take(MOST_TARGETS).collect();
    let mut arms: Vec<usize> = targets.iter().flat_map(|target| target.arms.iter().map(|(arm, _)| *arm)).collect();
    arms.sort_unstable();
    arms.dedup();
    let looks = look::apart(a, &arms);
    let curves = || targets.iter().flat_map(|target| &target.arms);
    let times = curves().flat_map(|(_, curve)| curve.steps.iter().map(|step| step.time)).filter(|time| *time > 0.0);
    let first = times.fold(f64::INFINITY, f64::min);
    let end = curves().map(|(arm, curve)| last(curve, budget(&a.arms[*arm]))).fold(0.0, f64::max);
    if !(first.is_finite() && end > 0.0) {
        return None;
    }
    // A logarithmic axis has no place for the beginning; there, all is as it was a while before the first event.
    let from = if end > WIDE * first { first / 1.6 } else { 0.0 };
    let panel = |target: &Target| {
        let mut drawn: Vec<&(usize, Survival)> = target.arms.iter().collect();
        drawn.sort_by_key(|(arm, _)| *arm);
        let middle = (real(drawn.len() as u64) - 1.0) / 2.0;
        let series = drawn.iter().zip(0u64..).map(|((arm, curve), i)| {
            let (color, dash) = looks[arms.iter().position(|known| known == arm).unwrap_or(0)];
            // Arms are evaluated at the same steps, so that curves lie on each other unless they are set apart.
            let aside = (real(i) - middle) * ASIDE;
            let set = |(x, y): (f64, f64)| {
                let x = if from > 0.0 { x * (1.02 * end / from).powf(aside) } else { x + aside * end };
                (x.max(from), y - aside * TALL)
            };
            let line = line(curve, from, budget(&a.arms[*arm]));
            let watched = curve.steps.last().is_some_and(|step| step.share > 0.0) && curve.end.is_finite();
            let marks = line.last().filter(|_| watched).map(|end| set(*end)).into_iter().collect();
            Series { dash, marks, ..Series::line(a.arms[*arm].label, color, line.into_iter().map(set).collect()) }
        });
        Panel { title: Some(target.name.clone()), series: series.collect(), ..Panel::default() }
    };
    let x = if from > 0.0 { Axis::log("step") } else { Axis::linear("step") };
    let figure = Figure {
        title: "Runs that have not reached the target yet".into(),
        subtitle: Some("Kaplan–Meier curve of each arm, set apart by a hair. Dot: its last runs end without the target.".into()),
        x: x.clipped((from, 1.03 * end)),
        y: Axis::linear("share of runs not there yet").clipped((-0.04, 1.04)),
        panels: targets.iter().map(panel).collect(),
        legend: Legend::Categorical { place: Place::Below },
    };
    let notes: Vec<String> = targets.iter().filter_map(left_out).collect();
    Some(Plot {
        name: "survival",
        alt: format!("Share of runs that have not yet reached {}, against the step", count(targets.len(), "target")),
        caption: format!(
            "Share of an arm's runs whose evaluations have not reached the target by a step (Kaplan–Meier). A diverged run never reaches \
             it; a run that ended or stopped early without it is watched until its last step. Only arms that reached it are drawn.{} From {}.",
            notes.concat(),
            look::runs_behind(a)
        ),
        svg: figure.svg(),
    })
}

/// `None` if no run reached it.
fn target(a: &Analysis<'_>, metric: Metric, value: f64) -> Option<Target> {
    let reached = reached(a.data, metric, value).ok()?;
    let mut arms: Vec<(usize, Survival)> = vec![];
    let mut never = 0;
    for (i, arm) in a.arms.iter().enumerate() {
        let with_result = arm.runs.iter().filter(|run| matches!(run.state, State::Finished | State::Diverged));
        let watched: Vec<(f64, bool)> = with_result
            .map(|run| match reached.get(run.record.id.as_str()) {
                Some(Reached { step, .. }) => (real(*step), true),
                None if run.record.outcome == Some(Outcome::Diverged) => (f64::INFINITY, false),
                None => (real(run.record.steps), false),
            })
            .collect();
        match Survival::new(&watched, CONFIDENCE) {
            Some(curve) if curve.events > 0 => arms.push((i, curve)),
            Some(_) => never += 1,
            None => {}
        }
    }
    // Of those that reached it with half of their runs at the same step, more runs and earlier ones count.
    let place = |curve: &Survival| {
        let share = curve.steps.last().map_or(1.0, |step| step.share);
        (curve.median().time, share, curve.steps.first().map_or(f64::INFINITY, |step| step.time))
    };
    arms.sort_by(|(_, a), (_, b)| {
        let (a, b) = (place(a), place(b));
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2))
    });
    let slower = arms.len().saturating_sub(MOST_ARMS);
    arms.truncate(MOST_ARMS);
    let sign = if metric.higher_is_better() { "≥" } else { "≤" };
    let name = format!("{metric} {sign} {}", Format::Plain.text(value));
    (!arms.is_empty()).then_some(Target { name, arms, never, slower })
}

/// The steps that an arm's runs were to take, or took.
fn budget(arm: &ArmResult<'_>) -> f64 {
    arm.runs.iter().map(|run| real(run.record.planned_steps.unwrap_or(0).max(run.record.steps))).fold(0.0, f64::max)
}

/// The curve as a staircase from a step until nothing is watched any more; what never gets there is watched to the end of the budget.
fn line(curve: &Survival, from: f64, budget: f64) -> Vec<(f64, f64)> {
    let mut points = vec![(from, 1.0)];
    let mut share = 1.0;
    for step in &curve.steps {
        let time = step.time.max(from);
        points.extend([(time, share), (time, step.share)]);
        share = step.share;
    }
    if share > 0.0 {
        points.push((last(curve, budget), share));
    }
    points
}

/// The last step at which a curve says anything.
fn last(curve: &Survival, budget: f64) -> f64 {
    match curve.steps.last() {
        Some(step) if step.share <= 0.0 => step.time,
        _ if curve.end.is_finite() => curve.end,
        _ => budget,
    }
}

/// What a panel does not show, as a sentence.
fn left_out(target: &Target) -> Option<String> {
    let never = (target.never > 0).then(|| format!("{} never did", count(target.never, "other arm")));
    let slower = (target.slower > 0).then(|| format!("{} did and are not drawn", count(target.slower, "slower arm")));
    let both: Vec<String> = never.into_iter().chain(slower).collect();
    (!both.is_empty()).then(|| format!(" `{}`: {}.", target.name, both.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::{ACCURACY, LOSS, study, troubled};

    #[test]
    fn curves_fall_where_runs_reach_the_target_and_only_there() {
        let data = troubled();
        let a = Analysis::of(&data).unwrap();
        let found = target(&a, ACCURACY, 0.8).unwrap();
        // Both runs of the first arm get there at step 4. Of the second, one did at step 2 and so did the other before it diverged.
        let steps = |i: usize| -> Vec<(f64, f64)> { found.arms[i].1.steps.iter().map(|step| (step.time, step.share)).collect() };
        assert_eq!((found.arms[0].0, steps(0), found.arms[1].0, steps(1)), (1, vec![(2.0, 0.0)], 0, vec![(4.0, 0.0)]));
        // `failing` and `waiting` have a finished run each or none: one arm never reached it.
        assert_eq!((found.arms.len(), found.never, found.slower), (2, 2, 0));
        let figure = plot(&a).unwrap();
        assert!(figure.svg.contains(">validation_accuracy ≥ 0.8<") && figure.svg.contains(">validation_loss ≤ 0.6<"));
        assert!(figure.caption.contains("`validation_accuracy ≥ 0.8`: 2 other arms never did."), "{}", figure.caption);
    }

    #[test]
    fn diverged_runs_never_get_there_and_early_stops_are_watched_until_then() {
        let mut data = study("ends", &["lr"]);
        for seed in 0..4 {
            data.add("a", 0, &[json!(0.1)], seed);
        }
        data.finish(0, &[0.1, 0.9, 0.9]);
        data.train(1, &[0.1, 0.2]);
        data.end(1, Outcome::StoppedEarly, None);
        data.train(2, &[0.1]);
        data.end(2, Outcome::Diverged, None);
        data.finish(3, &[0.1, 0.2, 0.9]);
        let a = Analysis::of(&data).unwrap();
        let found = target(&a, ACCURACY, 0.8).unwrap();
        let curve = &found.arms[0].1;
        // At step 2 one of four reaches it, then the one that stopped there is gone: at step 4 one of two.
        let steps: Vec<(f64, usize, f64)> = curve.steps.iter().map(|step| (step.time, step.at_risk, step.share)).collect();
        assert_eq!(steps, [(2.0, 4, 0.75), (4.0, 2, 0.375)]);
        assert_eq!(line(curve, 0.0, 6.0), [(0.0, 1.0), (2.0, 1.0), (2.0, 0.75), (4.0, 0.75), (4.0, 0.375), (6.0, 0.375)]);
        assert_eq!(line(curve, 3.0, 6.0)[..3], [(3.0, 1.0), (3.0, 1.0), (3.0, 0.75)]);
    }

    #[test]
    fn the_fastest_arms_are_drawn_and_the_others_counted() {
        let mut data = study("many", &["lr"]);
        data.study.targets = vec![(ACCURACY, 0.8), (LOSS, -1.0)];
        for position in 0..20u32 {
            let run = data.add(&format!("lr={position}"), position as usize, &[json!(position)], 0);
            let epochs = (0..=20).map(|epoch| if epoch > position && position < 15 { 0.9 } else { 0.1 });
            data.finish(run, &epochs.collect::<Vec<_>>());
        }
        let a = Analysis::of(&data).unwrap();
        let found = target(&a, ACCURACY, 0.8).unwrap();
        assert_eq!(found.arms.iter().map(|(arm, _)| *arm).collect::<Vec<_>>(), (0..12).collect::<Vec<_>>());
        assert_eq!((found.never, found.slower), (5, 3));
        let figure = plot(&a).unwrap();
        assert!(figure.caption.contains("`validation_accuracy ≥ 0.8`: 5 other arms never did, 3 slower arms did and are not drawn."));
        assert!(!figure.svg.contains("validation_loss"));
        data.study.targets.remove(0);
        assert_eq!(plot(&Analysis::of(&data).unwrap()), None);
    }
}
