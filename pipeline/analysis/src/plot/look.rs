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

/// A metric's name for people, with its unit: `training loss (nats)`. The loss of a descent is a height, which has none.
pub(super) fn with_unit(a: &Analysis<'_>, metric: Metric, name: &str) -> String {
    if metric.quantity == Quantity::Loss && a.has_accuracies() { format!("{name} (nats)") } else { name.to_owned() }
}

/// The axis of a metric. A loss is shown on a logarithmic scale with robust limits, so that one that exploded doesn't flatten
/// the others; an accuracy can't explode, and all of its values are shown.
pub(super) fn axis(a: &Analysis<'_>, metric: Metric, label: &str, values: impl Iterator<Item = f64> + Clone) -> Axis {
    let label = with_unit(a, metric, label);
    match metric.quantity {
        Quantity::Accuracy => Axis::linear(label),
        Quantity::Loss if values.clone().any(|value| value <= 0.0) => Axis::linear(label),
        Quantity::Loss => match robust_limits(values, Scale::Log) {
            Some(limits) => Axis::log(label).clipped(limits),
            None => Axis::log(label),
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

/// Colours and dashes of some arms in one panel: their colours as elsewhere, with a dash for each of their groups, as long as this
/// tells them apart; otherwise those of categories.
pub(super) fn apart(a: &Analysis<'_>, arms: &[usize]) -> Vec<(Color, Option<Dash>)> {
    const DASHES: [Option<Dash>; 4] = [None, Some(Dash::Dashed), Some(Dash::Dotted), Some(Dash::DashDot)];
    let group = |arm: usize| a.layout.places.get(arm).map_or(0, |place| place.group);
    let mut groups: Vec<usize> = vec![];
    for arm in arms {
        if !groups.contains(&group(*arm)) {
            groups.push(group(*arm));
        }
    }
    groups.sort_unstable();
    let mixed = |arm: &usize| {
        let (color, dash) = look(a, *arm);
        let place = groups.iter().position(|known| *known == group(*arm)).unwrap_or(0);
        (color, if groups.len() > 1 { DASHES[place % DASHES.len()] } else { dash })
    };
    let looks: Vec<_> = arms.iter().map(mixed).collect();
    let distinct = (0..looks.len()).all(|i| !looks[..i].contains(&looks[i]));
    if distinct { looks } else { (0..arms.len()).map(categorical).collect() }
}

/// How many runs curves and dots are from.
pub(super) fn runs_behind(a: &Analysis<'_>) -> String {
    let n = a.arms.iter().map(crate::results::ArmResult::with_result).sum();
    crate::number::count(n, "run")
}
