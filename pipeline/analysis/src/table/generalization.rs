//! Table `generalization`: how far training and validation are apart at the end, and how far past its best the validation loss is.
//! Listed in `TABLES`; on the page where an arm overfits, else a file.

use spec::{Metric, Quantity, Split};

use super::{Cell, Column, Table};
use crate::Analysis;
use crate::error::Error;
use crate::results::{ArmResult, RunResult};
use crate::stats::median;

/// A validation loss this many times its best is one that rose.
const ROSE: f64 = 1.1;

const fn metric(split: Split, quantity: Quantity) -> Metric {
    Metric { split, quantity }
}

#[expect(clippy::unnecessary_wraps, reason = "the type of all tables")]
pub(super) fn table(a: &Analysis<'_>) -> Result<Option<Table>, Error> {
    let [train, validation] = [Split::Train, Split::Validation].map(|split| metric(split, Quantity::Accuracy));
    let [train_loss, loss] = [Split::Train, Split::Validation].map(|split| metric(split, Quantity::Loss));
    if a.arms.iter().all(|arm| arm.last(validation).is_empty() || arm.last(train).is_empty()) {
        return Ok(None);
    }
    let middle = |arm: &ArmResult<'_>, of: &dyn Fn(&RunResult<'_>) -> Option<f64>| {
        median(&arm.runs.iter().filter_map(of).collect::<Vec<_>>()).filter(|value| value.is_finite())
    };
    let rise = |run: &RunResult<'_>| Some(run.last(loss)? / run.best(loss)?);
    let rows = a.arms.iter().map(|arm| {
        vec![
            Cell::Text(arm.label.into()),
            Cell::Value(median(&arm.last(train))),
            Cell::Value(median(&arm.last(validation))),
            Cell::Value(middle(arm, &|run| Some(run.last(train)? - run.last(validation)?))),
            Cell::Value(median(&arm.last(train_loss))),
            Cell::Value(median(&arm.last(loss))),
            Cell::Value(median(&arm.best(loss))),
            Cell::Value(middle(arm, &rise)),
            Cell::count(arm.last(validation).len()),
        ]
    });
    let gap = Column { higher_is_better: Some(false), ..Column::new("accuracy gap").parts("", &["accuracy_gap"]).metric(train) };
    let columns = vec![
        Column::new("arm"),
        Column::new("training accuracy").metric(train),
        Column::new("validation accuracy").metric(validation),
        Column { higher_is_better: Some(false), ..gap },
        Column::new("training loss").metric(train_loss),
        Column::new("validation loss").metric(loss),
        Column::new("its best").parts("", &["best_validation_loss"]).metric(loss),
        Column::new("end over best").cost("ratio"),
        Column::new("n"),
    ];
    let caption = format!(
        "Training and validation at the end of training: medians over the n finished runs, and medians of each run's gap (training \
         accuracy less validation accuracy) and of its validation loss at the end over its lowest one. Above {ROSE}, the \
         validation loss rose clearly; a run that stopped early is tested on the weights of its best epoch, not on its last ones."
    );
    let in_page = a.arms.iter().any(|arm| middle(arm, &rise).is_some_and(|rise| rise > ROSE));
    Ok(Some(Table { name: "generalization", caption, in_page, columns, rows: rows.collect() }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use spec::record::Outcome;

    use super::*;
    use crate::fixture::study;

    #[test]
    fn gaps_and_rises_are_those_of_each_run() {
        let mut data = study("gaps", &["dropout"]);
        for (position, rises) in [true, false].into_iter().enumerate() {
            for seed in 0..3u8 {
                let run = data.add(&position.to_string(), position, &[json!(position)], u64::from(seed));
                let end = if rises { 0.75 } else { 0.5 };
                for (epoch, loss) in [(0, 1.0), (1, 0.5), (2, end)] {
                    data.step(run, epoch + 1, epoch, 8, 1.0);
                    data.eval(run, Split::Train, epoch, epoch, loss / 2.0, 0.9);
                    data.eval(run, Split::Validation, epoch, epoch, loss, 0.6 + 0.1 * f64::from(seed));
                }
                data.end(run, Outcome::Completed, None);
            }
        }
        let analysis = Analysis::of(&data).unwrap();
        let made = table(&analysis).unwrap().unwrap();
        assert!(made.in_page);
        let value = |row: usize, column: usize| match made.rows[row][column] {
            Cell::Value(Some(value)) => value,
            _ => f64::NAN,
        };
        assert!((value(0, 3) - 0.2).abs() < 1e-12, "0.9 less the median of 0.6, 0.7 and 0.8");
        assert!((value(0, 7) - 1.5).abs() < 1e-12 && (value(1, 7) - 1.0).abs() < 1e-12);
        assert!((value(0, 6) - 0.5).abs() < 1e-12);
    }
}
