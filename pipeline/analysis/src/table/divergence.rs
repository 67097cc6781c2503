//! Table `divergence`: which arms diverged, when, and why.
//! Listed in `TABLES`; only for studies with a diverged run.

use std::collections::BTreeSet;

use super::{Cell, Column, Table};
use crate::Analysis;
use crate::error::Error;
use crate::number::{Format, real};
use crate::results::State;
use crate::stats::median;

#[expect(clippy::unnecessary_wraps, reason = "the type of all tables")]
pub(super) fn table(a: &Analysis<'_>) -> Result<Option<Table>, Error> {
    let mut rows = vec![];
    for arm in &a.arms {
        let diverged: Vec<_> = arm.runs.iter().filter(|run| run.state == State::Diverged).collect();
        if diverged.is_empty() {
            continue;
        }
        let steps: Vec<f64> = diverged.iter().map(|run| real(run.record.steps)).collect();
        let mut seen = BTreeSet::new();
        let reasons = diverged.iter().filter_map(|run| run.record.error.as_deref()).filter(|reason| seen.insert(kind(reason)));
        rows.push(vec![
            Cell::Text(arm.label.into()),
            Cell::Of(diverged.len() as u64, arm.with_result() as u64),
            Cell::Value(median(&steps)),
            Cell::Text(reasons.take(2).collect::<Vec<_>>().join("; ")),
        ]);
    }
    let columns = vec![
        Column::new("arm"),
        Column::new("diverged").parts("", &["diverged", "n"]),
        Column { format: Format::Plain, ..Column::new("at step").parts("", &["median_step"]) },
        Column::new("reason, by example").parts("", &["reason"]),
    ];
    let caption = "Arms with diverged runs; n counts the runs that finished or diverged. At step: median over the diverged runs of \
                   the step at which the run was ended."
        .into();
    Ok((!rows.is_empty()).then_some(Table { name: "divergence", caption, in_page: true, columns, rows }))
}

/// A reason without its numbers, so that one example stands for all of its kind.
fn kind(reason: &str) -> String {
    reason.chars().filter(|c| c.is_alphabetic() || c.is_whitespace()).collect()
}
