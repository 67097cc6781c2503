//! Table `time_to_target`: how many runs of each arm reached each target, and how long the median run took.
//! Listed in `TABLES`. A run that never reached a target needs infinitely long for it: neither left out nor counted at its end.

use super::{Cell, Column, Table};
use crate::Analysis;
use crate::error::Error;
use crate::number::{Format, real};
use crate::results::{Reached, State, reached};
use crate::stats::median;

pub(super) fn table(a: &Analysis<'_>) -> Result<Option<Table>, Error> {
    let mut rows = vec![];
    for (metric, target) in &a.data.study.targets {
        let reached = reached(a.data, *metric, *target)?;
        let sign = if metric.higher_is_better() { "≥" } else { "≤" };
        for arm in &a.arms {
            let with_result = arm.runs.iter().filter(|run| matches!(run.state, State::Finished | State::Diverged));
            let times: Vec<Option<&Reached>> = with_result.map(|run| reached.get(run.record.id.as_str())).collect();
            let k = times.iter().flatten().count();
            let middle = |of: fn(&Reached) -> f64| {
                let all: Vec<f64> = times.iter().map(|time| time.map_or(f64::INFINITY, of)).collect();
                match median(&all) {
                    Some(value) if value.is_finite() => Cell::Value(Some(value)),
                    Some(_) => Cell::Never,
                    None => Cell::Value(None),
                }
            };
            rows.push(vec![
                Cell::Text(format!("{metric} {sign} {}", Format::Plain.text(*target))),
                Cell::Text(arm.label.into()),
                Cell::Of(k as u64, times.len() as u64),
                middle(|r| real(r.epoch)),
                middle(|r| real(r.step)),
                middle(|r| r.elapsed_ms / 1e3),
            ]);
        }
    }
    let columns = vec![
        Column::new("target"),
        Column::new("arm"),
        Column::new("reached").parts("", &["reached", "n"]),
        Column { format: Format::Plain, ..Column::new("epochs").parts("", &["median_epochs"]).cost("median") },
        Column { format: Format::Plain, ..Column::new("steps").parts("", &["median_steps"]).cost("median") },
        Column::new("training time").parts("", &["median_training_s"]).cost("median, s"),
    ];
    let caption = "First evaluation at which a run reached the target. n counts the runs that finished or diverged; the median is \
                   over all n of them, and a run that never reached the target counts as infinitely slow, so there is a median \
                   only where more than half reached it. Training time leaves evaluations out and depends on the machine."
        .into();
    Ok((!rows.is_empty()).then_some(Table { name: "time_to_target", caption, in_page: true, columns, rows }))
}
