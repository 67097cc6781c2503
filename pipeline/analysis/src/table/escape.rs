//! Table `escape`: steps that every optimizer takes to leave each saddle.
//! Listed in `TABLES`; only for studies that descend on surfaces with one.

use super::{Cell, Column, Table};
use crate::Analysis;
use crate::error::Error;
use crate::escape::SHARE;
use crate::number::Format;

#[expect(clippy::unnecessary_wraps, reason = "the type of all tables")]
pub(super) fn table(a: &Analysis<'_>) -> Result<Option<Table>, Error> {
    let mut optimizers: Vec<&str> = vec![];
    for way in a.escapes.iter().flat_map(|escape| &escape.ways) {
        if !optimizers.contains(&way.optimizer.as_str()) {
            optimizers.push(&way.optimizer);
        }
    }
    let rows = a.escapes.iter().map(|escape| {
        let cell = |optimizer: &&str| {
            let Some(way) = escape.ways.iter().find(|way| way.optimizer == **optimizer) else { return Cell::Value(None) };
            match (way.escaped, way.steps.is_finite()) {
                (0, _) => Cell::Text(format!("none of {}", way.n)),
                (k, true) if k == way.n => Cell::Text(Format::Plain.text(way.steps)),
                (k, true) => Cell::Text(format!("{} ({k} of {})", Format::Plain.text(way.steps), way.n)),
                (k, false) => Cell::Text(format!("{k} of {}", way.n)),
            }
        };
        std::iter::once(Cell::Text(escape.place())).chain(optimizers.iter().map(cell)).collect()
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    let mut columns = vec![Column::new("start")];
    columns.extend(optimizers.iter().map(|optimizer| Column::new(*optimizer)));
    let caption = format!(
        "Steps to escape: median over the runs of the first step at which a run is {} % of the way down from the saddle, whose height is \
         0, to the surface's minimum; with the runs that escape, unless all do. Without noise nothing is drawn at random, and all seeds \
         are the same.",
        SHARE * 100.0
    );
    Ok((!rows.is_empty()).then_some(Table { name: "escape", caption, in_page: true, columns, rows }))
}
