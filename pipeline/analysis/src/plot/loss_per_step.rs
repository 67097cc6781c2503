//! Figure `loss-per-step`: the training loss of every step against examples seen.
//! Listed in `PLOTS`.

use spec::{Metric, Quantity, Split};

use super::{Plot, look};
use crate::Analysis;
use crate::figure::{Axis, Figure, Panel};
use crate::steps::BINS;

pub(super) fn plot(a: &Analysis<'_>) -> Option<Plot> {
    // Heights of surfaces fall below zero, where a logarithmic axis has no place for them.
    if !a.has_accuracies() {
        return None;
    }
    let curves = &a.curves.steps;
    if curves.is_empty() {
        return None;
    }
    let metric = Metric { split: Split::Train, quantity: Quantity::Loss };
    let panel = |group: usize| {
        let series = a.layout.members(group).into_iter().filter_map(|arm| {
            let position = a.arms.get(arm)?.position;
            let mut series = look::series(a, arm, curves.get(&position)?);
            let ends = a.curves.diverged.iter().filter(|end| end.arm == position);
            series.marks = ends.map(|end| (end.examples, end.loss)).collect();
            Some(series)
        });
        Panel { title: look::panel_title(a, group), series: series.collect(), ..Panel::default() }
    };
    let diverged = if a.curves.diverged.is_empty() { "" } else { " Dot or triangle: end of a diverged run." };
    let figure = Figure {
        title: "Training loss along training".into(),
        subtitle: Some(format!("Line: median over seeds; band: quartiles.{diverged}")),
        x: Axis::linear("examples seen"),
        y: look::axis(a, metric, "training loss", look::values(curves.values().flatten())),
        panels: (0..a.layout.groups.len()).map(panel).collect(),
        legend: look::legend(a),
    };
    Some(Plot {
        name: "loss-per-step",
        alt: format!("Training loss against examples seen, one curve for each of {} arms", curves.len()),
        caption: format!(
            "Training loss of the optimizer steps, before each update. The steps of each run are averaged within {BINS} equal bins \
             of examples seen; line and band are the median and the quartiles over seeds. From its end on, a diverged run counts as \
             worse than any other, so a band ends where a quarter of the seeds have diverged and a line \
             where half of them have. Values far outside the usual range are cut \
             off. From {}.",
            look::runs_behind(a)
        ),
        svg: figure.svg(),
    })
}
