//! Figure `heat-map`: the deciding metric for each pair of values of two numeric axes.
//! Listed in `PLOTS`; only for studies that have exactly two.

use serde_json::Value;

use super::{Plot, look};
use crate::Analysis;
use crate::figure::{Cell, HeatMap, HeatPanel};
use crate::layout::{ordered, value_text, words};
use crate::number::Format;
use crate::results::{ArmResult, State};
use crate::stats::median;
use crate::table::code;

/// A table with fewer cells says no more than one with a row per arm.
const LEAST_CELLS: usize = 6;
const MOST_PANELS: usize = 6;

pub(super) fn plot(a: &Analysis<'_>) -> Option<Plot> {
    let metric = a.metric();
    if a.arms.iter().all(|arm| arm.with_result() == 0) || a.is_check() {
        return None;
    }
    let axes = &a.data.study.axes;
    let numeric: Vec<usize> = (0..axes.len()).filter(|i| ordered(axes, &a.arms, *i).is_some()).collect();
    let [first, second] = numeric[..] else { return None };
    // The longer axis lies across; of equal ones, the first.
    let (one, other) = (Values::of(&a.arms, first), Values::of(&a.arms, second));
    let (across, down) = if one.texts.len() >= other.texts.len() { (one, other) } else { (other, one) };
    let mut panels: Vec<(String, Vec<Vec<Cell>>)> = vec![];
    // The largest value of the vertical axis is on top.
    let empty = vec![vec![Cell::default(); across.texts.len()]; down.texts.len()];
    for arm in &a.arms {
        let title = words(axes, arm, |i| i != across.axis && i != down.axis);
        let at = panels.iter().position(|(known, _)| *known == title).unwrap_or_else(|| {
            panels.push((title, empty.clone()));
            panels.len() - 1
        });
        let (row, column) = (down.texts.len() - 1 - down.place(arm)?, across.place(arm)?);
        panels[at].1[row][column] = cell(arm, &arm.last(metric), a);
    }
    let cells = across.texts.len() * down.texts.len();
    if cells < LEAST_CELLS || panels.len() > MOST_PANELS || 4 * a.arms.len() < 3 * cells * panels.len() {
        return None;
    }
    let (x, y) = (&axes[across.axis], &axes[down.axis]);
    let medians = panels.iter().flat_map(|(_, cells)| cells.iter().flatten()).filter_map(|cell| cell.value);
    let value = look::axis(a, metric, metric.name(), medians.collect::<Vec<_>>().into_iter());
    let titled = panels.len() > 1;
    let figure = HeatMap {
        title: format!("{metric} for {x} and {y}"),
        subtitle: None,
        x: x.clone(),
        y: y.clone(),
        columns: across.texts,
        rows: down.texts.into_iter().rev().collect(),
        value,
        panels: panels.into_iter().map(|(title, cells)| HeatPanel { title: Some(title).filter(|_| titled), cells }).collect(),
    };
    let diverged = if a.count(State::Diverged) > 0 { " Diverged runs are left out of it and counted beside a ×." } else { "" };
    Some(Plot {
        name: "heat-map",
        alt: format!("{metric} at the end of training as a table of {x} against {y}, with a colour for each number"),
        caption: format!(
            "Median over the finished runs of `{metric}` at the end of training, for each {} (from left to right) and {} (from \
             bottom to top).{diverged} From {}.",
            code(x),
            code(y),
            look::runs_behind(a)
        ),
        svg: figure.svg(),
    })
}

fn cell(arm: &ArmResult<'_>, last: &[f64], a: &Analysis<'_>) -> Cell {
    let value = median(last);
    let format = match Format::of(a.metric()) {
        Format::Decimals(_) => Format::Decimals(3),
        _ => Format::Significant(3),
    };
    Cell { value, text: value.map_or_else(String::new, |value| format.text(value)), diverged: arm.count(State::Diverged) }
}

/// The values of an axis, ascending; a full batch comes last.
struct Values {
    axis: usize,
    texts: Vec<String>,
}

impl Values {
    fn of(arms: &[ArmResult<'_>], axis: usize) -> Self {
        let number = |value: &Value| value.as_f64().unwrap_or(f64::INFINITY);
        let mut values: Vec<&Value> = arms.iter().filter_map(|arm| arm.axes.get(axis)?.as_ref()).collect();
        values.sort_by(|a, b| number(a).total_cmp(&number(b)));
        let mut texts: Vec<String> = values.into_iter().map(|value| value_text(Some(value))).collect();
        texts.dedup();
        Values { axis, texts }
    }

    fn place(&self, arm: &ArmResult<'_>) -> Option<usize> {
        let text = value_text(arm.axes.get(self.axis)?.as_ref());
        self.texts.iter().position(|known| *known == text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use spec::record::Outcome;

    use super::*;
    use crate::fixture::{Fixture, study};

    /// Batch sizes and rates with an accuracy that names both; one run of the last arm diverged.
    fn grid(optimizers: &[&str], rates: &[f64]) -> Fixture {
        let mut data = study("grid", &["optimizer", "batch_size", "lr"]);
        let mut position = 0;
        for optimizer in optimizers {
            for (i, batch) in [json!("full"), json!(8), json!(32)].iter().enumerate() {
                for (j, lr) in rates.iter().enumerate() {
                    for seed in 0..3 {
                        let axes = [json!(optimizer), batch.clone(), json!(lr)];
                        let run = data.add(&format!("{optimizer} {batch} {lr}"), position, &axes, seed);
                        if (i, j, seed) == (2, 1, 2) {
                            data.end(run, Outcome::Diverged, None);
                        } else {
                            let (i, j, seed) = (i as f64, j as f64, seed as f64);
                            data.finish(run, &[0.1, 0.5 + 0.1 * i + 0.01 * j + 0.001 * seed]);
                        }
                    }
                    position += 1;
                }
            }
        }
        data
    }

    fn drawn(data: &Fixture) -> Option<Plot> {
        plot(&Analysis::of(data).unwrap())
    }

    #[test]
    fn cells_are_medians_in_the_order_of_the_axes() {
        let plot = drawn(&grid(&["sgd"], &[0.1, 0.01])).unwrap();
        let texts: Vec<&str> = plot.svg.split("</text>").filter_map(|part| part.rsplit('>').next()).collect();
        // Rates from the largest down, batches up to the full one; both axes ascend. The median of the last is of two runs.
        assert_eq!(texts[1..=2], ["0.1", "0.01"], "{texts:?}");
        let cells: Vec<&str> = texts.iter().copied().filter(|text| text.len() == 5 && text.starts_with("0.")).collect();
        assert_eq!(cells[..6], ["0.601", "0.701", "0.501", "0.611", "0.710", "0.511"], "{texts:?}");
        assert!(texts.windows(3).any(|labels| labels == ["8", "32", "full"]), "{texts:?}");
        assert_eq!(plot.svg.matches("m0 -6.4").count(), 1);
        assert!(plot.caption.ends_with("counted beside a ×. From 18 runs."), "{}", plot.caption);
    }

    #[test]
    fn other_axes_make_panels_up_to_a_number() {
        let plot = drawn(&grid(&["sgd", "adam"], &[0.1, 0.01])).unwrap();
        assert!(plot.svg.contains(">sgd<") && plot.svg.contains(">adam<"));
        assert_eq!(drawn(&grid(&["a", "b", "c", "d", "e", "f", "g"], &[0.1, 0.01])), None);
    }

    #[test]
    fn a_small_or_sparse_table_or_another_number_of_axes_has_none() {
        assert_eq!(drawn(&grid(&["sgd"], &[0.1])), None);
        let mut data = study("zip", &["batch_size", "lr"]);
        for position in 0..4 {
            let run = data.add(&format!("{position}"), position, &[json!(position + 1), json!(0.1 * (position + 1) as f64)], 0);
            data.finish(run, &[0.1, 0.5]);
        }
        assert_eq!(drawn(&data), None);
        assert_eq!(drawn(&study("none", &["batch_size", "lr"])), None);
    }
}
