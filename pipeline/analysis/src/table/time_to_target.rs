//! Table `time_to_target`: how many runs of each arm reached each target, and how long the median run took.
//! Listed in `TABLES`.

use super::{Cell, Column, Table};
use crate::Analysis;
use crate::error::Error;
use crate::number::Format;
use crate::targets::Target;

pub(super) fn table(a: &Analysis<'_>) -> Result<Option<Table>, Error> {
    let mut rows = vec![];
    let middle = |median: Option<f64>| Cell::Value(median.filter(|value| value.is_finite()));
    for target in Target::all(a)? {
        for (arm, time) in a.arms.iter().zip(&target.times) {
            rows.push(vec![
                Cell::Text(format!("{} {}", target.metric, target.bound())),
                Cell::Text(arm.label.into()),
                Cell::Of(time.reached as u64, time.n as u64),
                middle(time.epochs),
                middle(time.steps),
                middle(time.train_s),
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
                   over all n of them, and a run that never reached the target counts as infinitely slow. –: not reached by more \
                   than half of the runs. Training time leaves evaluations out and depends on the machine."
        .into();
    Ok((!rows.is_empty()).then_some(Table { name: "time_to_target", caption, in_page: true, columns, rows }))
}
