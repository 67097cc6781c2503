//! Table `measurements`: numbers that runs found out beyond their curves, such as deviations.
//! Listed in `TABLES`; only for studies whose runs measured something.

use std::collections::BTreeMap;

use super::{Cell, Column, Table};
use crate::Analysis;
use crate::error::Error;
use crate::number::Format;

#[expect(clippy::unnecessary_wraps, reason = "the type of all tables")]
pub(super) fn table(a: &Analysis<'_>) -> Result<Option<Table>, Error> {
    let mut found: BTreeMap<(usize, &str), Vec<f64>> = BTreeMap::new();
    for (run, measurement) in &a.data.measurements {
        // Entries of a matrix are shown as such, not one by one.
        if !measurement.name.ends_with(']') {
            found.entry((a.data.runs[*run].position, &measurement.name)).or_default().push(measurement.value);
        }
    }
    let label = |position: usize| a.arms.iter().find(|arm| arm.position == position).map_or("", |arm| arm.label);
    let rows: Vec<Vec<Cell>> = found
        .iter()
        .map(|((position, name), values)| {
            let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
            let cells = [Cell::Value(Some(smallest)), Cell::Value(Some(largest)), Cell::count(values.len())];
            [Cell::Text(label(*position).into()), Cell::Text((*name).into())].into_iter().chain(cells).collect()
        })
        .collect();
    let value = |name: &str| Column { format: Format::Significant(3), ..Column::new(name) };
    let columns = vec![Column::new("arm"), Column::new("measurement"), value("smallest"), value("largest"), Column::new("runs")];
    let caption = "What runs measured beyond their curves: the smallest and the largest value over the runs of each arm.".into();
    Ok((!rows.is_empty()).then_some(Table { name: "measurements", caption, in_page: true, columns, rows }))
}
