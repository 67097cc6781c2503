//! Tables as files: the same rows, whatever the format.

use tracker::Reader;
use tracker::dump::{Chosen, Datum, TABLES, Table};

use crate::error::Error;

/// A table's file in the making.
pub(crate) trait Sheet {
    /// # Errors
    /// When the disk refuses.
    fn row(&mut self, row: &[Datum<'_>]) -> Result<(), Error>;

    /// # Errors
    /// When the disk refuses.
    fn end(self: Box<Self>) -> Result<(), Error>;
}

/// Writes every table; returns the number of rows.
pub(crate) fn write(
    reader: &Reader,
    chosen: &Chosen,
    make: &dyn Fn(&'static Table) -> Result<Box<dyn Sheet>, Error>,
) -> Result<u64, Error> {
    let mut rows = 0;
    for table in TABLES {
        let mut sheet = make(table)?;
        reader.rows(table, chosen, |row| {
            rows += 1;
            sheet.row(row)
        })?;
        sheet.end()?;
    }
    Ok(rows)
}
