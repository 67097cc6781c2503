//! Figure `final-metric`: the deciding metric of every run at the end of training, arm by arm.
//! Listed in `PLOTS`.

use super::{Plot, look};
use crate::Analysis;
use crate::figure::{Group, Scale, Strip, categorical};
use crate::results::State;

pub(super) fn plot(a: &Analysis<'_>) -> Option<Plot> {
    let metric = a.metric();
    if a.arms.iter().all(|arm| arm.with_result() == 0) || a.is_check() || a.mixes_surfaces() {
        return None;
    }
    let grouped = a.layout.groups.len() > 1;
    let groups = a.arms.iter().zip(&a.layout.places).map(|(arm, place)| Group {
        label: arm.label.to_owned(),
        color: categorical(if grouped { place.group } else { 0 }).0,
        values: arm.last(metric),
        failed: arm.count(State::Diverged),
    });
    let mut axis = look::axis(a, metric, metric.name(), a.arms.iter().flat_map(|arm| arm.last(metric)));
    if axis.scale == Scale::Log {
        let unit = if a.has_accuracies() { " in nats" } else { "" };
        axis.label = format!("{metric}{unit} (log scale)");
    }
    let strip = Strip { title: format!("{metric} at the end of training"), subtitle: None, metric: axis, groups: groups.collect() };
    Some(Plot {
        name: "final-metric",
        alt: format!("{metric} of every run at the end of training, one row for each arm"),
        caption: format!(
            "`{metric}` at the end of training, one dot for each finished run; diverged runs are marked at the right. From {}.",
            look::runs_behind(a)
        ),
        svg: strip.svg(),
    })
}
