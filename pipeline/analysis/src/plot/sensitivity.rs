//! Figure `sensitivity`: the deciding metric against the study's numeric axis.
//! Listed in `PLOTS`; only for studies that have one.

use super::{Plot, look};
use crate::Analysis;
use crate::figure::{Axis, Sensitivity, SensitivityPoint, SensitivitySeries, categorical};
use crate::results::State;
use crate::table::code;

/// From this ratio of the largest to the smallest value on, the axis is logarithmic.
const WIDE: f64 = 10.0;

pub(super) fn plot(a: &Analysis<'_>) -> Option<Plot> {
    let (layout, metric) = (&a.layout, a.metric());
    // Heights of different surfaces don't share an axis.
    let name = layout.axis.as_ref().filter(|_| !a.mixes_surfaces())?;
    let (low, high) = (layout.values.first()?, layout.values.last()?);
    if a.arms.iter().all(|arm| arm.with_result() == 0) || a.is_check() {
        return None;
    }
    let point = |i: usize| {
        let arm = a.arms.get(i)?;
        Some(SensitivityPoint { x: layout.value(i)?, values: arm.last(metric), diverged: arm.count(State::Diverged) })
    };
    let series = layout.groups.iter().enumerate().map(|(group, label)| {
        let (color, dash) = categorical(group);
        SensitivitySeries { label: label.clone(), color, dash, points: layout.members(group).into_iter().filter_map(point).collect() }
    });
    let full = (0..a.arms.len()).filter(|i| layout.label(*i) == "full").filter_map(|i| Some((layout.value(i)?, "full".to_owned())));
    let along = layout.along_text().map(|text| format!(" {text}.")).unwrap_or_default();
    let figure = Sensitivity {
        title: format!("{metric} against {name}"),
        subtitle: None,
        x: if *low > 0.0 && high / low >= WIDE { Axis::log(name) } else { Axis::linear(name) },
        y: look::axis(a, metric, metric.name(), a.arms.iter().flat_map(|arm| arm.last(metric))),
        series: series.collect(),
        rules: look::rules(a, metric),
        names: full.collect(),
    };
    Some(Plot {
        name: "sensitivity",
        alt: format!("{metric} at the end of training against {name}"),
        caption: format!(
            "`{metric}` at the end of training against {}. Line and band are the median and the quartiles of the finished runs; \
             diverged runs are left out of them and counted at the top.{along} From {}.",
            code(name),
            look::runs_behind(a)
        ),
        svg: figure.svg(),
    })
}
