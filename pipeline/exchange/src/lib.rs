//! Results as files of others (Parquet, CSV, JSON, TensorBoard, MLflow), and theirs as results.
//!
//! An export reads plain rows from the tracker and hands them to one of the formats; nothing is sampled away. An import makes a study of
//! a CSV file or a folder of TensorBoard's and hands it to the tracker as a sweep would. It knows neither candle nor polars, nor the SQL
//! of results.

mod csv;
mod error;
mod folder;
pub mod import;
mod json;
mod mlflow;
mod parquet;
mod sheet;
mod tensorboard;

use std::path::Path;

use tracker::Reader;
use tracker::dump::Chosen;

pub use error::Error;
use folder::NewFolder;

/// A format with a folder, or a store, of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Parquet,
    Csv,
    /// One object per line.
    Json,
    TensorBoard,
    Mlflow,
}

/// What an export wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    pub runs: u64,
    /// Rows of tables, or values of curves.
    pub rows: u64,
}

/// Writes the chosen runs as they stand at one moment, also while a sweep writes.
///
/// A folder is there whole or not at all; one that is there already is replaced only with `replace`, and only if all in it is of an
/// export. An MLflow store is made, or added to.
///
/// # Errors
/// When the database can't be read, or the target can't be written.
pub fn export(reader: &Reader, chosen: &Chosen, format: Format, target: &Path, replace: bool) -> Result<Exported, Error> {
    let runs = chosen.count();
    let into_folder = |write: &dyn Fn(&Path) -> Result<u64, Error>| {
        let folder = NewFolder::for_target(target, replace)?;
        let rows = write(folder.path())?;
        folder.publish(format, runs, rows)?;
        Ok(rows)
    };
    // A reader sees the database as it was when it was opened, so all of this is of one moment.
    let rows = match format {
        Format::Parquet => into_folder(&|folder| sheet::write(reader, chosen, &|table| parquet::sheet(folder, table))),
        Format::Csv => into_folder(&|folder| sheet::write(reader, chosen, &|table| csv::sheet(folder, table))),
        Format::Json => into_folder(&|folder| sheet::write(reader, chosen, &|table| json::sheet(folder, table))),
        Format::TensorBoard => into_folder(&|folder| tensorboard::export(reader, chosen, folder)),
        Format::Mlflow => mlflow::export(reader, chosen, target),
    }?;
    Ok(Exported { runs, rows })
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Format::Parquet => "parquet",
            Format::Csv => "csv",
            Format::Json => "json",
            Format::TensorBoard => "tensorboard",
            Format::Mlflow => "mlflow",
        }
    }
}
