//! Table `runs`: every run of the study with its outcome and metrics; a file only.
//! Listed in `TABLES`. Everything else in a report can be traced to rows of this table.

use serde_json::Value;
use spec::{Metric, Split};

use super::{Cell, Column, Table};
use crate::Analysis;
use crate::error::Error;
use crate::layout::value_text;

#[expect(clippy::unnecessary_wraps, reason = "the type of all tables")]
pub(super) fn table(a: &Analysis<'_>) -> Result<Option<Table>, Error> {
    let study = &a.data.study;
    let best = Metric::ALL.into_iter().filter(|metric| metric.split == Split::Validation);
    let mut columns = vec![Column::new("study"), Column::new("arm")];
    columns.extend(study.axes.iter().map(Column::new));
    columns.extend(["seed", "run_id", "outcome", "error", "steps", "planned_steps"].map(Column::new));
    columns.extend(Metric::ALL.map(|metric| Column::new(metric.name())));
    columns.extend(best.clone().map(|metric| Column::new(format!("best_{metric}"))));
    columns.extend(["train_ms", "diagnosis", "evidence"].map(Column::new));
    let mut rows = vec![];
    for arm in &a.arms {
        for run in &arm.runs {
            let record = run.record;
            let mut row = vec![Cell::Text(study.name.clone()), Cell::Text(arm.label.into())];
            row.extend(arm.axes.iter().map(|value| axis(value.as_ref())));
            row.extend([
                Cell::Count(record.seed),
                Cell::Text(record.id.clone()),
                Cell::Text(record.state().into()),
                Cell::Text(record.error.clone().unwrap_or_default()),
                Cell::Count(record.steps),
                record.planned_steps.map_or(Cell::Value(None), Cell::Count),
            ]);
            row.extend(Metric::ALL.map(|metric| Cell::Value(run.last(metric))));
            row.extend(best.clone().map(|metric| Cell::Value(run.best(metric))));
            row.push(Cell::Value(run.train_ms));
            let diagnosis = a.judgement.runs.get(&record.id);
            row.push(Cell::Text(diagnosis.map_or("", |diagnosis| diagnosis.condition.name()).into()));
            row.push(Cell::Text(diagnosis.map_or("", |diagnosis| &diagnosis.evidence).into()));
            rows.push(row);
        }
    }
    let caption = "One row per run: its place in the grid, how it ended, and its metrics at the end of training.".into();
    Ok(Some(Table { name: "runs", caption, in_page: false, columns, rows }))
}

/// Numbers stay numbers, so that a negative one is not guarded as text.
fn axis(value: Option<&Value>) -> Cell {
    match value {
        Some(Value::Number(number)) => number.as_u64().map_or(Cell::Value(number.as_f64()), Cell::Count),
        value => Cell::Text(value_text(value)),
    }
}
