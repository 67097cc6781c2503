//! Tables as JSON Lines: one object per row. JSON has no NaN and no infinity: they are the texts `NaN`, `inf` and `-inf`, which
//! Python's `float` and JavaScript's `Number` read, so that they differ from null.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tracker::dump::{Datum, Table};

use crate::error::Error;
use crate::sheet::Sheet;

struct Json {
    path: PathBuf,
    columns: Vec<String>,
    /// Columns that are JSON themselves.
    nested: Vec<bool>,
    file: BufWriter<File>,
}

pub(crate) fn sheet(folder: &Path, table: &Table) -> Result<Box<dyn Sheet>, Error> {
    let path = folder.join(format!("{}.jsonl", table.name));
    let file = BufWriter::new(File::create_new(&path).map_err(Error::file(&path))?);
    let columns = table.columns.iter().map(|column| column.name.to_owned()).collect();
    let nested = table.columns.iter().map(|column| matches!(column.name, "config" | "axes")).collect();
    Ok(Box::new(Json { path, columns, nested, file }))
}

/// A value as JSON, in which nothing is that a terminal obeys.
fn value(datum: &Datum<'_>, is_nested: bool) -> String {
    match datum {
        Datum::Null => "null".into(),
        Datum::Integer(x) => x.to_string(),
        Datum::Real(x) if x.is_finite() => Value::from(*x).to_string(),
        Datum::Real(x) => format!("\"{x}\""),
        Datum::Text(text) if is_nested && serde_json::from_str::<Value>(text).is_ok() => spec::inert(text),
        Datum::Text(text) => spec::inert(&Value::from(*text).to_string()),
    }
}

impl Sheet for Json {
    fn row(&mut self, row: &[Datum<'_>]) -> Result<(), Error> {
        let fields = self.columns.iter().zip(row).zip(&self.nested);
        let fields: Vec<String> = fields.map(|((name, datum), nested)| format!("\"{name}\":{}", value(datum, *nested))).collect();
        writeln!(self.file, "{{{}}}", fields.join(",")).map_err(Error::file(&self.path))
    }

    fn end(mut self: Box<Self>) -> Result<(), Error> {
        self.file.flush().map_err(Error::file(&self.path))
    }
}
