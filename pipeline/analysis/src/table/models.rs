//! Table `models`: what the networks of the arms cost.
//! Listed in `TABLES`; only for studies whose arms differ in their number of parameters or operations.

use std::collections::BTreeSet;

use spec::record::LayerFacts;

use super::{Cell, Column, Table};
use crate::Analysis;
use crate::error::Error;
use crate::number::{Format, real};
use crate::stats::median;

#[expect(clippy::unnecessary_wraps, reason = "the type of all tables")]
pub(super) fn table(a: &Analysis<'_>) -> Result<Option<Table>, Error> {
    let metric = a.metric();
    let mut costs = BTreeSet::new();
    let mut rows = vec![];
    for arm in &a.arms {
        let Some(record) = arm.runs.iter().map(|run| run.record).find(|record| record.parameters.is_some()) else { continue };
        costs.insert((record.parameters, record.flops_per_step));
        let times: Vec<f64> =
            arm.runs.iter().filter_map(|run| Some(run.train_ms? / real(run.record.steps))).filter(|ms| ms.is_finite()).collect();
        rows.push(vec![
            Cell::Text(arm.label.into()),
            Cell::Count(record.parameters.unwrap_or(0)),
            Cell::Value(record.flops_per_step.map(|flops| real(flops) / 1e6)),
            Cell::Value(median(&times)),
            Cell::Text(sizes(&record.layers)),
            Cell::Value(median(&arm.last(metric))),
        ]);
    }
    // A batch of another size is no other network.
    let varied = costs.iter().map(|(parameters, _)| parameters).collect::<BTreeSet<_>>().len() > 1
        || (costs.len() > 1 && !a.data.study.axes.iter().any(|axis| axis == "batch_size"));
    let columns = vec![
        Column::new("arm"),
        Column::new("parameters"),
        Column::new("operations per step").parts("", &["mflop_per_step"]).cost("MFLOP"),
        Column::new("time per step (median)").parts("", &["ms_per_step"]).cost("ms"),
        Column::new("sizes"),
        Column { format: Format::of(metric), ..Column::new(format!("{metric} (median)")).parts(metric.name(), &["median"]).metric(metric) },
    ];
    let caption = "What the network of each arm costs. Operations: 2 per multiply-add, forward and backward, of a step on a whole batch. \
                   Time: training time over steps, evaluations not counted, median over seeds; runs that trained at the same time shared \
                   the machine. Sizes: what one example becomes, channels last, wherever that changes."
        .into();
    Ok((varied && a.has_evals()).then_some(Table { name: "models", caption, in_page: true, columns, rows }))
}

/// Shapes of the layers' outputs, each once where it stays the same; of many, the first and the last.
fn sizes(layers: &[LayerFacts]) -> String {
    const MOST: usize = 7;
    let text = |layer: &LayerFacts| layer.output.iter().map(ToString::to_string).collect::<Vec<_>>().join("×");
    let mut sizes: Vec<String> = layers.iter().map(text).collect();
    sizes.dedup();
    if sizes.len() > MOST {
        let last = sizes.split_off(sizes.len() - 2);
        sizes.truncate(MOST - 3);
        sizes.push("…".into());
        sizes.extend(last);
    }
    sizes.join(" → ")
}
