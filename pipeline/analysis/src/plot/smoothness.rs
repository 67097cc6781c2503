//! Figure `smoothness`: the training loss of every single step, batch size by batch size.
//! Listed in `PLOTS`; only for studies that compare batch sizes.

use spec::record::Outcome;
use spec::{Metric, Quantity, Split};

use super::{Plot, look};
use crate::Analysis;
use crate::figure::{Axis, Figure, Legend, Panel, Place, Series, categorical};
use crate::layout::{value_text, words};
use crate::number::real;
use crate::stats::{mean, quantile};

const AXIS: &str = "batch_size";
/// More panels than this would be too small to show single steps.
const MOST_PANELS: usize = 8;

/// A run's losses.
struct Line {
    /// Of its label.
    place: usize,
    points: Vec<(f64, f64)>,
    diverged: bool,
}

impl Line {
    /// How far neighbouring losses lie apart, as a factor; 0 if that can't be told.
    fn roughness(&self) -> f64 {
        let jumps: Vec<f64> =
            self.points.windows(2).map(|pair| (pair[1].1 / pair[0].1).ln().abs()).filter(|jump| jump.is_finite()).collect();
        mean(&jumps).unwrap_or(0.0)
    }
}

pub(super) fn plot(a: &Analysis<'_>) -> Option<Plot> {
    let (steps, axes) = (&a.data.samples, &a.data.study.axes);
    let axis = axes.iter().position(|axis| axis == AXIS)?;
    let seed = a.data.runs.get(*steps.run.first()? as usize)?.seed;
    // By batch size, then the other axes: what a panel shows, and the colours in it.
    let mut panels: Vec<(f64, String, Vec<Line>)> = vec![];
    let mut labels: Vec<String> = vec![];
    for (index, run) in (0u32..).zip(&a.data.runs) {
        let rows = || (0..steps.run.len()).filter(|i| steps.run[*i] == index);
        if rows().next().is_none() {
            continue;
        }
        let arm = a.arms.iter().find(|arm| arm.position == run.position)?;
        let value = arm.axes.get(axis)?.as_ref()?;
        let (number, text) = (value.as_f64().unwrap_or(f64::INFINITY), value_text(Some(value)));
        let label = words(axes, arm, |i| i != axis);
        let place = labels.iter().position(|known| *known == label).unwrap_or_else(|| {
            labels.push(label);
            labels.len() - 1
        });
        let mut line: Vec<(u64, f64)> = rows().map(|i| (steps.examples[i], steps.loss[i])).collect();
        line.sort_by_key(|point| point.0);
        // A loss that rounds to zero lies below a logarithmic axis and not nowhere.
        let shown = |loss: f64| if loss == 0.0 && a.has_accuracies() { f64::MIN_POSITIVE } else { loss };
        let points = line.into_iter().map(|(examples, loss)| (real(examples), shown(loss))).collect();
        let diverged = run.outcome == Some(Outcome::Diverged);
        match panels.iter_mut().find(|(_, known, _)| *known == text) {
            Some((_, _, lines)) => lines.push(Line { place, points, diverged }),
            None => panels.push((number, text, vec![Line { place, points, diverged }])),
        }
    }
    if !(2..=MOST_PANELS).contains(&panels.len()) {
        return None;
    }
    panels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let metric = Metric { split: Split::Train, quantity: Quantity::Loss };
    let panel = |(_, text, mut lines): (f64, String, Vec<Line>)| {
        // The roughest lies lowest, or it would hide the others.
        lines.sort_by(|a, b| b.roughness().total_cmp(&a.roughness()).then(a.place.cmp(&b.place)));
        let series = lines.into_iter().map(|Line { place, points, diverged }| {
            let (color, dash) = categorical(place);
            let end = points.iter().rev().find(|point| point.1.is_finite()).filter(|_| diverged).copied();
            Series { dash, marks: end.into_iter().collect(), ..Series::line(labels[place].clone(), color, points) }
        });
        // Lines of nothing put the legend into the order of the grid.
        let order = labels
            .iter()
            .enumerate()
            .map(|(place, label)| Series { dash: categorical(place).1, ..Series::line(label.clone(), categorical(place).0, vec![]) });
        Panel { title: Some(format!("{AXIS}={text}")), series: order.chain(series).collect(), ..Panel::default() }
    };
    let legend = if labels.len() > 1 { Legend::Categorical { place: Place::Below } } else { Legend::None };
    let n = panels.len();
    let ends = panels.iter().flat_map(|(_, _, lines)| lines).any(|line| line.diverged);
    let mut y = look::axis(a, metric, "training loss", steps.loss.iter().copied().filter(|loss| *loss > 0.0 || !a.has_accuracies()));
    y.clip = limits(panels.iter().map(|(_, _, lines)| lines.iter().flat_map(|line| line.points.iter().map(|point| point.1)))).or(y.clip);
    let figure = Figure {
        title: "Training loss of every step, by batch size".into(),
        subtitle: Some(format!("Runs with seed {seed}.{}", if ends { " Dot or triangle: end of a diverged run." } else { "" })),
        x: Axis::linear("examples seen"),
        y,
        panels: panels.into_iter().map(panel).collect(),
        legend,
    };
    Some(Plot {
        name: "smoothness",
        alt: format!("Training loss of every single step against examples seen, in {n} panels, one for each batch size"),
        caption: format!(
            "Training loss of every optimizer step, before its update, of one run per arm (seed {seed}): nothing is averaged, and where \
             steps lie closer than a pixel, the lowest and the highest are drawn. A small batch's loss is also that of few examples, \
             so its line is rougher even where the weights change as little. Values far outside the usual range are cut off."
        ),
        svg: figure.svg(),
    })
}

/// What most steps of every panel lie within, with room for spikes. The loss of a single example may come near zero, and what that
/// would take of a logarithmic axis is left to the others; `None` where a linear one is needed.
fn limits(panels: impl Iterator<Item = impl Iterator<Item = f64>>) -> Option<(f64, f64)> {
    let mut limits: Option<(f64, f64)> = None;
    for values in panels {
        let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        let (low, high) = (quantile(&values, 0.1)?, quantile(&values, 0.99)?);
        limits = Some(limits.map_or((low, high), |(least, most)| (least.min(low), most.max(high))));
    }
    limits.filter(|(low, _)| *low > 0.0).map(|(low, high)| (low / 1.5, high * 1.5))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::{Fixture, study};

    fn data(batches: &[serde_json::Value]) -> Fixture {
        let mut data = study("batches", &["batch_size", "lr"]);
        for (position, (batch, lr)) in batches.iter().flat_map(|batch| [0.01, 0.1].map(|lr| (batch, lr))).enumerate() {
            let run = data.add(&format!("{batch} {lr}"), position, &[batch.clone(), json!(lr)], 3);
            data.finish(run, &[0.1, 0.5]);
            let samples = &mut data.samples;
            for step in 1..=20u64 {
                samples.run.push(run);
                samples.examples.push(8 * step);
                samples.loss.push(if step == 9 { f64::NAN } else { 2.0 / step as f64 });
            }
        }
        data
    }

    fn drawn(data: &Fixture) -> Option<Plot> {
        plot(&Analysis::of(data).unwrap())
    }

    #[test]
    fn batch_sizes_are_panels_in_their_order_and_rates_are_colours() {
        let plot = drawn(&data(&[json!("full"), json!(32), json!(8)])).unwrap();
        let places: Vec<usize> = ["8", "32", "full"].iter().map(|batch| plot.svg.find(&format!(">batch_size={batch}<")).unwrap()).collect();
        assert!(places.is_sorted(), "{places:?}");
        assert_eq!((plot.svg.matches(">lr=0.01<").count(), plot.svg.matches(">lr=0.1<").count()), (1, 1));
        // A step without a finite loss breaks each of the six lines.
        assert_eq!(plot.svg.matches("stroke-width=\"1.7\"").count(), 12);
        assert!(plot.svg.contains("seed 3"));
    }

    #[test]
    fn zeros_lie_below_and_the_end_of_a_diverged_run_is_marked() {
        let mut data = data(&[json!(8), json!(32)]);
        data.samples.loss[4] = 0.0;
        data.end(1, Outcome::Diverged, None);
        let svg = drawn(&data).unwrap().svg;
        assert!(svg.contains("Dot or triangle") && svg.matches("<circle").count() == 2, "{svg}");
        // The axis stays that of the other losses.
        assert!(svg.contains(">0.1<") && !svg.contains("10⁻"), "{svg}");
        let limits = limits([vec![1.0, 2.0, 3.0], vec![2.0; 3]].into_iter().map(Vec::into_iter)).unwrap();
        assert!((limits.0 - 0.8).abs() < 1e-9 && (limits.1 - 4.47).abs() < 1e-9, "{limits:?}");
    }

    #[test]
    fn a_single_batch_size_or_no_samples_have_none() {
        assert_eq!(drawn(&data(&[json!(8)])), None);
        let mut data = data(&[json!(8), json!(16)]);
        data.samples = tracker::read::StepColumns::default();
        assert_eq!(drawn(&data), None);
    }
}
