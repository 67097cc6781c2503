//! Figure `learning-curves`: training and validation loss against the epoch.
//! Listed in `PLOTS`.

use spec::{Metric, Quantity, Split};

use super::{Plot, look};
use crate::Analysis;
use crate::figure::{Axis, Dash, Figure, Panel, Series};

/// With more groups than this, both splits share a panel.
const SEPARATE: usize = 2;
const SPLITS: [Split; 2] = [Split::Train, Split::Validation];

/// Whether one of the two ranges is less than half as many decades as both together, so that a common axis would flatten its curves.
fn flat(first: Option<(f64, f64)>, second: Option<(f64, f64)>) -> bool {
    let (Some(a), Some(b)) = (first, second) else { return false };
    let decades = |(low, high): (f64, f64)| (high / low).log10();
    decades(a).min(decades(b)) < 0.5 * decades((a.0.min(b.0), a.1.max(b.1)))
}

pub(super) fn plot(a: &Analysis<'_>) -> Option<Plot> {
    // Heights of surfaces fall below zero, where a logarithmic axis has no place for them.
    if !a.has_accuracies() {
        return None;
    }
    let loss = |split| Metric { split, quantity: Quantity::Loss };
    let points = a.curves.epochs.iter().filter(|((_, metric), _)| SPLITS.map(loss).contains(metric)).flat_map(|(_, points)| points);
    points.clone().next()?;
    let series = |group: usize, split: Split| -> Vec<Series> {
        let of_arm = |arm: usize| Some(look::series(a, arm, a.curves.epochs.get(&(a.arms.get(arm)?.position, loss(split)))?));
        a.layout.members(group).into_iter().filter_map(of_arm).collect()
    };
    let groups = 0..a.layout.groups.len();
    let separate = groups.len() <= SEPARATE;
    let of_split = |split: Split| a.curves.epochs.iter().filter(move |((_, of), _)| *of == loss(split)).flat_map(|(_, points)| points);
    let axis = |split: Split| look::axis(a, loss(split), "loss", look::values(of_split(split)));
    let own = separate && flat(axis(Split::Train).clip, axis(Split::Validation).clip);
    let panels = if separate {
        let panel = |(group, split): (usize, Split)| Panel {
            title: Some(match look::panel_title(a, group) {
                Some(title) => format!("{title}: {}", split.name()),
                None => split.name().into(),
            }),
            series: series(group, split),
            rules: look::rules(a, loss(split)),
            y: own.then(|| axis(split)),
        };
        groups.flat_map(|group| SPLITS.map(|split| (group, split))).map(panel).collect()
    } else {
        let panel = |group: usize| {
            // Validation first: the legend shows the first line of a label.
            let mut both = series(group, Split::Validation);
            both.extend(series(group, Split::Train).into_iter().map(|line| Series { dash: Some(Dash::Dotted), band: vec![], ..line }));
            Panel { title: look::panel_title(a, group), series: both, rules: look::rules(a, loss(Split::Validation)), y: None }
        };
        groups.map(panel).collect()
    };
    let lines = if separate { "Line" } else { "Solid: validation, dotted: training" };
    let figure = Figure {
        title: "Loss by epoch".into(),
        subtitle: Some(format!(
            "{lines}: median over seeds; band: quartiles.{}",
            if own { " Each split has its own vertical axis." } else { "" }
        )),
        x: Axis::linear("epoch").integers(),
        y: look::axis(a, loss(Split::Validation), "loss", look::values(points)),
        panels,
        legend: look::legend(a),
    };
    Some(Plot {
        name: "learning-curves",
        alt: "Training and validation loss against the epoch, one curve for each arm".into(),
        caption: format!(
            "Loss on the training split (or the part of it that is evaluated) and on the validation split, after each epoch; epoch 0 is \
             before training. Median and quartiles over seeds; from its end on, a diverged run counts as worse than any other. From {}.",
            look::runs_behind(a)
        ),
        svg: figure.svg(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::troubled;

    #[test]
    fn ranges_that_differ_much_get_axes_of_their_own() {
        assert!(flat(Some((0.001, 3.0)), Some((0.5, 3.0))) && flat(Some((0.5, 3.0)), Some((0.001, 3.0))));
        assert!(!flat(Some((0.3, 3.0)), Some((0.5, 3.0))) && !flat(None, Some((0.5, 3.0))));
    }

    #[test]
    fn a_training_loss_that_vanishes_does_not_flatten_the_validation_loss() {
        let mut data = troubled();
        let shared = plot(&Analysis::of(&data).unwrap()).unwrap();
        assert!(!shared.svg.contains("own vertical axis"));
        let evals = &mut data.evals;
        for (i, loss) in evals.loss.iter_mut().enumerate() {
            if evals.split[i] == Split::Train && evals.epoch[i] > 0 {
                *loss /= 300.0;
            }
        }
        let apart = plot(&Analysis::of(&data).unwrap()).unwrap();
        assert!(apart.svg.contains("own vertical axis"));
    }
}
