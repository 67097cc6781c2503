//! Table `convergence`: how the training loss of each arm went down.
//! Listed in `TABLES`; only for studies whose runs were trained on classes.

use super::{Cell, Column, Table};
use crate::Analysis;
use crate::error::Error;
use crate::number::Format;
use crate::stats::median;
use crate::stats::trend::{Shape, Trend, trend};
use crate::steps::RunSteps;

#[expect(clippy::unnecessary_wraps, reason = "the type of all tables")]
pub(super) fn table(a: &Analysis<'_>) -> Result<Option<Table>, Error> {
    if !a.has_accuracies() || a.data.steps.runs.is_empty() {
        return Ok(None);
    }
    let rows = a.arms.iter().map(|arm| {
        let finished = arm.finished();
        let of = |value: fn(&RunSteps) -> f64| -> Vec<f64> {
            finished.iter().filter_map(|run| a.data.steps.runs.get(run).map(value)).filter(|value| value.is_finite()).collect()
        };
        let fit = fitted(a, &finished);
        let better = fit.map(|fit| fit.better);
        vec![
            Cell::Text(arm.label.into()),
            Cell::Value(median(&of(|run| run.mean_loss))),
            Cell::Value(median(&of(|run| run.mean_accuracy))),
            Cell::mean_sd(&of(|run| run.last_epoch_loss)),
            Cell::Text(match better.map(|fit| fit.shape) {
                Some(Shape::Exponential) => "exponential".into(),
                Some(Shape::Power) => "power law".into(),
                None => "neither".into(),
            }),
            Cell::Value(better.map(|fit| fit.a)),
            Cell::Value(better.filter(|fit| fit.shape == Shape::Exponential).map(|fit| std::f64::consts::LN_2 / fit.c)),
            Cell::Value(better.filter(|fit| fit.shape == Shape::Power).map(|fit| fit.c)),
            Cell::Value(better.map(|fit| fit.r_squared)),
            Cell::count(finished.len()),
        ]
    });
    let value = |name: &str| Column { format: Format::Significant(3), ..Column::new(name) };
    let loss = |name: &str, csv: &'static str| Column {
        format: Format::Significant(4),
        higher_is_better: Some(false),
        ..Column::new(name).parts("", &[csv])
    };
    let columns = vec![
        Column::new("arm"),
        loss("mean loss of all steps", "mean_loss"),
        Column {
            format: Format::Decimals(4),
            higher_is_better: Some(true),
            ..Column::new("mean accuracy of all steps").parts("", &["mean_accuracy"])
        },
        Column { csv: vec!["last_epoch_loss_mean".into(), "last_epoch_loss_sd".into()], ..loss("loss of the last epoch: mean ± sd", "") },
        Column::new("falls like a").parts("", &["shape"]),
        Column { unit: Some("nats"), ..value("level").parts("", &["level"]) },
        Column { unit: Some("steps"), ..value("half-life").parts("", &["half_life_steps"]) },
        value("exponent"),
        Column { format: Format::Decimals(3), ..Column::new("R²").parts("", &["r_squared"]) },
        Column::new("n"),
    ];
    let caption = "The training loss of the optimizer steps, before each update: medians over the n finished runs. The mean of all steps is \
                   the area under the loss per step, a running mean at the end of training. Falls like: whichever of level + b·exp(−c·step) \
                   and level + b·step^(−exponent) leaves less of the arm's median curve unexplained; half-life: steps in which the distance \
                   to the level halves. –: neither shape fits, or the other does."
        .into();
    Ok(Some(Table { name: "convergence", caption, in_page: true, columns, rows: rows.collect() }))
}

/// The trend of the median over runs of each part of their steps.
fn fitted(a: &Analysis<'_>, runs: &[u32]) -> Option<Trend> {
    let parts: Vec<&Vec<(f64, f64)>> = runs.iter().filter_map(|run| a.data.steps.parts.get(run)).collect();
    // Runs that stopped at other steps have other parts.
    let length = parts.first().map(|parts| parts.len())?;
    if parts.iter().any(|other| other.len() != length) {
        return None;
    }
    let point = |i: usize| Some((parts[0][i].0, median(&parts.iter().map(|parts| parts[i].1).collect::<Vec<_>>())?));
    trend(&(0..length).filter_map(point).collect::<Vec<_>>())
}
