//! Tables as CSV: numbers have the digits that read back as the same bits, NULL is empty, NaN is `NaN`. Text that a spreadsheet would
//! take for a formula is guarded, as in reports.

use std::fs::File;
use std::path::{Path, PathBuf};

use tracker::dump::{Datum, Table};

use crate::error::Error;
use crate::sheet::Sheet;

struct Csv {
    path: PathBuf,
    writer: csv::Writer<File>,
}

pub(crate) fn sheet(folder: &Path, table: &Table) -> Result<Box<dyn Sheet>, Error> {
    let path = folder.join(format!("{}.csv", table.name));
    let writer = csv::Writer::from_writer(File::create_new(&path).map_err(Error::file(&path))?);
    let mut csv = Csv { path, writer };
    csv.record(table.columns.iter().map(|column| column.name.as_bytes().to_vec()))?;
    Ok(Box::new(csv))
}

impl Csv {
    fn record(&mut self, cells: impl Iterator<Item = Vec<u8>>) -> Result<(), Error> {
        let failed = |e: csv::Error| Error::File { path: self.path.clone(), source: e.into() };
        self.writer.write_record(cells).map_err(failed)
    }
}

impl Sheet for Csv {
    fn row(&mut self, row: &[Datum<'_>]) -> Result<(), Error> {
        self.record(row.iter().map(|datum| match datum {
            Datum::Null => vec![],
            Datum::Integer(x) => x.to_string().into_bytes(),
            Datum::Real(x) => x.to_string().into_bytes(),
            Datum::Text(text) => spec::guard(text).into_bytes(),
        }))
    }

    fn end(mut self: Box<Self>) -> Result<(), Error> {
        self.writer.flush().map_err(Error::file(&self.path))
    }
}
