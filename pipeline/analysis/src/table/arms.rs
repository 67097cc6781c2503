//! Table `arms`: how the runs of each arm ended, and with what metrics.
//! Listed in `TABLES`.

use spec::{Metric, Quantity, Split};

use super::{Cell, Column, Table};
use crate::Analysis;
use crate::error::Error;
use crate::results::State;

#[expect(clippy::unnecessary_wraps, reason = "the type of all tables")]
pub(super) fn table(a: &Analysis<'_>) -> Result<Option<Table>, Error> {
    if a.is_check() {
        return Ok(None);
    }
    let metric = a.metric();
    let tested = a.arms.iter().any(|arm| !arm.last(Metric { split: Split::Test, quantity: Quantity::Loss }).is_empty());
    let test = |quantity| Metric { split: Split::Test, quantity };
    let name = metric.name();
    let mut columns = vec![Column::new("arm"), Column::new("finished").parts("", &["finished", "runs"])];
    columns.extend(["diverged", "failed", "missing"].map(Column::new));
    columns.push(Column::new(format!("{name}: median [min–max]")).parts(name, &["median", "min", "max"]).metric(metric));
    columns.push(Column::new("IQM [95 %]").parts(name, &["iqm", "iqm_low", "iqm_high"]).metric(metric));
    columns.push(Column::new("mean ± sd").parts(name, &["mean", "sd"]).metric(metric));
    columns.push(Column::new("n"));
    columns.push(Column::new("best during training: IQM [95 %]").parts(name, &["best_iqm", "best_low", "best_high"]).metric(metric));
    for quantity in [Quantity::Loss, Quantity::Accuracy].into_iter().filter(|_| tested || a.has_accuracies()) {
        let metric = test(quantity);
        columns.push(Column::new(format!("{metric}: mean ± sd")).parts(metric.name(), &["mean", "sd"]).metric(metric));
    }
    let width = columns.len();
    let alarm = |n: usize| Cell::Alarm(n as u64);
    let rows = a.arms.iter().map(|arm| {
        let last = arm.last(metric);
        let mut row = vec![
            Cell::Text(arm.label.into()),
            Cell::Of(arm.count(State::Finished) as u64, arm.runs.len() as u64),
            alarm(arm.count(State::Diverged)),
            alarm(arm.count(State::Failed)),
            alarm(arm.count(State::Missing)),
            Cell::spread(&last),
            Cell::centre(&last),
            Cell::mean_sd(&last),
            Cell::count(last.len()),
            Cell::centre(&arm.best(metric)),
            Cell::mean_sd(&arm.last(test(Quantity::Loss))),
            Cell::mean_sd(&arm.last(test(Quantity::Accuracy))),
        ];
        row.truncate(width);
        row
    });
    let caption = format!(
        "Arms in the order of the grid. `{name}` is taken at the end of training, over the n seeds whose runs finished; an arm \
         with diverged, failed or missing runs is described by its other runs only. IQM: interquartile mean, with its 95 % bootstrap \
         interval (BCa; *: weak, fewer than five seeds; none for fewer than three). sd: standard deviation of the sample. Best during \
         training: each run's best evaluation; looking back for it flatters. {} ↑: higher is better, ↓: lower is better.",
        if a.has_accuracies() { "Losses are mean cross-entropies in nats." } else { "The loss is the height of the surface." }
    );
    Ok(Some(Table { name: "arms", caption, in_page: true, columns, rows: rows.collect() }))
}
