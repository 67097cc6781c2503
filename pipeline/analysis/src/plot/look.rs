//! What the curve figures have in common: colours, panels, legends, limits.
//! Called by the plots; it knows which arm stands where, and nothing of metrics.

use spec::{Metric, Quantity};

use crate::Analysis;
use crate::curves::Point;
use crate::figure::{Axis, Color, Dash, Legend, Place, Rule, Scale, Series, categorical, robust_limits, sequential};

/// Colour and dash of an arm: along a ramp if the study has a numeric axis, else by its label.
pub(super) fn look(a: &Analysis<'_>, arm: usize) -> (Color, Option<Dash>) {
    let Some(place) = a.layout.places.get(arm) else {
        return categorical(0);
    };
    if a.layout.axis.is_some() {
        let n = a.layout.values.len();
        // An arm without a value is a full batch that was never trained: the largest.
        (sequential(place.value.unwrap_or(n), n), None)
    } else {
        categorical(place.label)
    }
}

pub(super) fn legend(a: &Analysis<'_>) -> Legend {
    // Many panels need the whole width.
    let place = if a.layout.groups.len() > 4 { Place::Below } else { Place::Right };
    match &a.layout.axis {
        Some(axis) => Legend::Ramp { title: axis.clone(), place },
        None => Legend::Categorical { place: Place::Below },
    }
}

/// An arm's median line and quartile band. The band ends where a quarter of the seeds have diverged, the line where half of
/// them have: from there on they are infinitely bad.
pub(super) fn series(a: &Analysis<'_>, arm: usize, points: &[Point]) -> Series {
    let (color, dash) = look(a, arm);
    Series {
        label: a.layout.label(arm).to_owned(),
        color,
        dash,
        line: points.iter().map(|point| (point.x, point.median)).filter(|(_, y)| y.is_finite()).collect(),
        band: points.iter().map(|p| (p.x, p.q25, p.q75)).filter(|(_, low, high)| low.is_finite() && high.is_finite()).collect(),
        marks: vec![],
    }
}

/// The axis of a metric. A loss is shown on a logarithmic scale with robust limits, so that one that exploded doesn't flatten
/// the others; an accuracy can't explode, and all of its values are shown.
pub(super) fn axis(metric: Metric, label: &str, values: impl Iterator<Item = f64> + Clone) -> Axis {
    match metric.quantity {
        Quantity::Accuracy => Axis::linear(label),
        Quantity::Loss if values.clone().any(|value| value <= 0.0) => Axis::linear(label),
        Quantity::Loss => match robust_limits(values, Scale::Log) {
            Some(limits) => Axis::log(format!("{label} (nats)")).clipped(limits),
            None => Axis::log(format!("{label} (nats)")),
        },
    }
}

/// What a curve shows, for [`axis`].
pub(super) fn values<'p>(points: impl IntoIterator<Item = &'p Point, IntoIter: Clone>) -> impl Iterator<Item = f64> + Clone {
    points.into_iter().flat_map(|point| [point.median, point.q25, point.q75])
}

/// The study's targets for a metric.
pub(super) fn rules(a: &Analysis<'_>, metric: Metric) -> Vec<Rule> {
    let of_metric = a.data.study.targets.iter().filter(|(target, _)| *target == metric);
    of_metric.map(|(_, value)| Rule { value: *value, label: format!("target {value}") }).collect()
}

/// Title of a group's panel; none where there is one group.
pub(super) fn panel_title(a: &Analysis<'_>, group: usize) -> Option<String> {
    a.layout.groups.get(group).filter(|name| a.layout.groups.len() > 1 && !name.is_empty()).cloned()
}

/// How many runs curves and dots are from.
pub(super) fn runs_behind(a: &Analysis<'_>) -> String {
    let n = a.arms.iter().map(crate::results::ArmResult::with_result).sum();
    crate::number::count(n, "run")
}
