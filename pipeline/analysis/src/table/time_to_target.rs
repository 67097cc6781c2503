//! Table `time_to_target`: how many runs of each arm reached each target, and how long the median run took.
//! Listed in `TABLES`.

use super::{Cell, Column, Table};
use crate::Analysis;
use crate::error::Error;
use crate::number::Format;
use crate::stats::Interval;
use crate::targets::Time;

#[expect(clippy::unnecessary_wraps, reason = "the type of all tables")]
pub(super) fn table(a: &Analysis<'_>) -> Result<Option<Table>, Error> {
    let mut rows = vec![];
    let finite = |value: Option<f64>| Cell::Value(value.filter(|value| value.is_finite()));
    // A step on a surface is an epoch and an example, and its time is that of the log.
    let trained = a.has_accuracies();
    for target in &a.targets {
        for (arm, time) in a.arms.iter().zip(&target.times) {
            let mut row = vec![
                Cell::Text(format!("{} {}", target.metric, target.bound())),
                Cell::Text(arm.label.into()),
                Cell::Of(time.reached as u64, time.n as u64),
                steps(time),
                finite(time.restricted),
            ];
            row.extend(trained.then(|| [time.epochs, time.examples, time.train_s].map(finite)).into_iter().flatten());
            rows.push(row);
        }
    }
    let mut columns = vec![
        Column::new("target"),
        Column::new("arm"),
        Column::new("reached").parts("", &["reached", "n"]),
        Column { format: Format::Decimals(0), ..Column::new("steps").parts("steps", &["median", "low", "high"]).cost("median [95 %]") },
        Column { format: Format::Significant(3), ..Column::new("restricted mean").parts("", &["restricted_mean_steps"]).cost("steps") },
    ];
    if trained {
        columns.extend([
            Column { format: Format::Plain, ..Column::new("epochs").parts("", &["median_epochs"]).cost("median") },
            Column { format: Format::Plain, ..Column::new("examples").parts("", &["median_examples"]).cost("median") },
            Column::new("training time").parts("", &["median_training_s"]).cost("median, s"),
        ]);
    }
    let seconds = if trained { " Training time leaves evaluations out and depends on the machine." } else { "" };
    let caption = format!(
        "First evaluation at which a run reached the target. n counts the runs that finished or diverged. Medians are Kaplan–Meier's, with \
         the interval of Brookmeyer and Crowley (*: weak, fewer than five runs; ∞: beyond what was watched; at most the slowest run where all got there): a run that diverged never \
         reaches the target, one that ended without it is censored there. –: not reached by half of the runs. Restricted mean: steps up \
         to the length of the shortest finished run, runs that took longer counting as that.{seconds}"
    );
    Ok((!rows.is_empty()).then_some(Table { name: "time_to_target", caption, in_page: true, columns, rows }))
}

/// The median steps with their interval.
fn steps(time: &Time) -> Cell {
    let Some(median) = time.median().filter(|median| median.time.is_finite()) else { return Cell::Estimate(None, None) };
    // Where all runs got there, the slowest bounds the interval.
    let slowest = time.steps.as_ref().filter(|_| time.reached == time.n).and_then(|steps| steps.steps.last()).map(|step| step.time);
    let bounded = |interval: Interval| Interval { high: slowest.map_or(interval.high, |slowest| interval.high.min(slowest)), ..interval };
    // Without a spread there is nothing that an interval could say.
    let interval = median.interval.map(bounded).filter(|interval| interval.low < interval.high);
    Cell::Estimate(Some(median.time), interval)
}
