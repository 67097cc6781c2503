//! Figure `accuracy`: the validation accuracy against the epoch.
//! Listed in `PLOTS`; only for studies that have one, whatever decides them.

use spec::{Metric, Quantity, Split};

use super::{Plot, look};
use crate::Analysis;
use crate::figure::{Axis, Figure, Panel};

pub(super) fn plot(a: &Analysis<'_>) -> Option<Plot> {
    let metric = Metric { split: Split::Validation, quantity: Quantity::Accuracy };
    let points = a.curves.epochs.iter().filter(|((_, of), _)| *of == metric).flat_map(|(_, points)| points);
    // A descent has evaluations without an accuracy.
    points.clone().find(|point| point.n > 0)?;
    let panel = |group: usize| {
        let of_arm = |arm: usize| Some(look::series(a, arm, a.curves.epochs.get(&(a.arms.get(arm)?.position, metric))?));
        let series = a.layout.members(group).into_iter().filter_map(of_arm).collect();
        Panel { title: look::panel_title(a, group), series, rules: look::rules(a, metric), y: None }
    };
    let figure = Figure {
        title: "Validation accuracy by epoch".into(),
        subtitle: Some("Line: median over seeds; band: quartiles.".into()),
        x: Axis::linear("epoch").integers(),
        y: look::axis(a, metric, "validation accuracy", look::values(points)),
        panels: (0..a.layout.groups.len()).map(panel).collect(),
        legend: look::legend(a),
    };
    Some(Plot {
        name: "accuracy",
        alt: "Validation accuracy against the epoch, one curve for each arm".into(),
        caption: format!(
            "Share of the validation examples classified right, after each epoch; epoch 0 is before training. Median and quartiles over \
             seeds; from its end on, a diverged run counts as worse than any other. From {}.",
            look::runs_behind(a)
        ),
        svg: figure.svg(),
    })
}
