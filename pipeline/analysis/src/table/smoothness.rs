//! Table `smoothness`: how the loss goes from step to step, and how noisy the gradients are.
//! Listed in `TABLES`; only for studies of batch sizes and those that measured the gradient noise scale.

use std::collections::BTreeMap;

use spec::Split;

use super::{Cell, Column, Table};
use crate::Analysis;
use crate::error::Error;
use crate::number::{Format, real};
use crate::results::State;
use crate::stats::median;
use crate::steps::RunSteps;

#[expect(clippy::unnecessary_wraps, reason = "the type of all tables")]
pub(super) fn table(a: &Analysis<'_>) -> Result<Option<Table>, Error> {
    let of_batches = a.data.study.axes.iter().any(|axis| axis == "batch_size");
    let scales = noise_scales(a);
    if !of_batches && scales.is_empty() {
        return Ok(None);
    }
    let rows: Vec<Vec<Cell>> = a
        .arms
        .iter()
        .map(|arm| {
            let finished: Vec<u32> = arm.finished();
            let over = |of: fn(&RunSteps) -> f64| {
                median(&finished.iter().filter_map(|run| a.data.steps.runs.get(run).map(of)).collect::<Vec<_>>()).filter(|x| x.is_finite())
            };
            let scale = |place: usize| median(&finished.iter().filter_map(|run| Some(scales.get(run)?[place])).collect::<Vec<_>>());
            let steps: Vec<f64> = arm.runs.iter().filter(|run| run.state == State::Finished).map(|run| real(run.record.steps)).collect();
            vec![
                Cell::Text(arm.label.into()),
                Cell::Value(median(&steps)),
                Cell::Value(over(|run| run.rises)),
                Cell::Value(over(|run| run.noise)),
                Cell::Value(scale(0)),
                Cell::Value(scale(1)),
                Cell::count(finished.len()),
            ]
        })
        .collect();
    let value = |name: &str| Column { format: Format::Significant(3), ..Column::new(name) };
    let columns = vec![
        Column::new("arm"),
        Column { format: Format::Plain, ..Column::new("steps") },
        value("share of rises"),
        value("noise of the loss"),
        Column { unit: Some("examples, first"), ..value("noise scale").parts("", &["noise_scale_first"]) },
        Column { unit: Some("examples, last"), ..value("noise scale").parts("", &["noise_scale_last"]) },
        Column::new("n"),
    ];
    let caption =
        "Smoothness of the training loss over the optimizer steps, medians over the n finished runs. Share of rises: steps whose \
                   loss is above the one before. Noise of the loss: root of half the mean squared difference of neighbouring steps (von \
                   Neumann 1941; a slow trend cancels out), over the mean loss. Noise scale: the batch size at which noise and signal of \
                   the gradient are even (McCandlish et al. 2018), measured before training and after the last epoch; –: not measured, or \
                   the gradient is lost in its noise."
            .into();
    Ok(Some(Table { name: "smoothness", caption, in_page: true, columns, rows }))
}

/// The first and the last noise scale of each run that has any; one that could not be told is NaN.
fn noise_scales(a: &Analysis<'_>) -> BTreeMap<u32, [f64; 2]> {
    let evals = &a.data.evals;
    let mut ends: BTreeMap<u32, [(u64, f64); 2]> = BTreeMap::new();
    for i in (0..evals.run.len()).filter(|i| evals.split[*i] == Split::Train) {
        let (step, scale) = (evals.step[i], evals.noise_scale[i]);
        let [first, last] = ends.entry(evals.run[i]).or_insert([(step, scale); 2]);
        if step < first.0 {
            *first = (step, scale);
        }
        if step > last.0 {
            *last = (step, scale);
        }
    }
    let scales = ends.into_iter().map(|(run, ends)| (run, ends.map(|(_, scale)| scale)));
    scales.filter(|(_, scales)| scales.iter().any(|scale| scale.is_finite())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use spec::record::Outcome;

    use super::*;
    use crate::fixture::study;

    #[test]
    fn a_zigzag_is_rough_and_a_line_is_smooth() {
        let mut data = study("batches", &["batch_size"]);
        for (position, losses) in [[2.0, 4.0, 2.0, 4.0, 2.0], [3.0, 3.0, 3.0, 3.0, 3.0]].into_iter().enumerate() {
            let run = data.add(&position.to_string(), position, &[json!(position + 1)], 0);
            for (step, loss) in (1..).zip(losses) {
                data.step(run, step, 1, step, loss);
            }
            data.eval(run, Split::Train, 0, 0, 3.0, 0.5);
            data.eval(run, Split::Train, 5, 1, 3.0, 0.5);
            data.end(run, Outcome::Completed, None);
        }
        let at = data.evals.noise_scale.len() - 1;
        data.evals.noise_scale[at] = 12.0;
        let analysis = Analysis::of(&data.shuffled()).map(|a| table(&a).unwrap().unwrap()).unwrap();
        let value = |row: usize, column: usize| match analysis.rows[row][column] {
            Cell::Value(value) => value,
            _ => None,
        };
        // Two of four differences are rises; the mean squared difference is 4, the mean loss 2.8.
        assert_eq!((value(0, 2), value(1, 2), value(1, 3)), (Some(0.5), Some(0.0), Some(0.0)));
        assert!((value(0, 3).unwrap() - 2f64.sqrt() / 2.8).abs() < 1e-12);
        assert_eq!((value(0, 4), value(1, 4), value(1, 5)), (None, None, Some(12.0)));
    }
}
