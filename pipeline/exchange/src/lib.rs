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

/// Writes the chosen runs as the reader sees them: as they stood when it was opened, also while a sweep writes.
///
/// A folder is there whole or not at all; one that is there already is replaced only with `replace`, and only if an export made it. An
/// MLflow store is made, or added to.
///
/// # Errors
/// When the database can't be read, or the target can't be written.
pub fn export(reader: &Reader, chosen: &Chosen, format: Format, target: &Path, replace: bool) -> Result<Exported, Error> {
    let runs = chosen.runs().count() as u64;
    if format == Format::Mlflow {
        return Ok(Exported { runs, rows: mlflow::export(reader, chosen, target)? });
    }
    let folder = NewFolder::for_target(target, replace)?;
    let rows = match format {
        Format::Parquet => sheet::write(reader, chosen, &|table| parquet::sheet(folder.path(), table)),
        Format::Csv => sheet::write(reader, chosen, &|table| csv::sheet(folder.path(), table)),
        Format::Json => sheet::write(reader, chosen, &|table| json::sheet(folder.path(), table)),
        Format::TensorBoard => tensorboard::export(reader, chosen, folder.path()),
        Format::Mlflow => unreachable!("a store is no folder"),
    }?;
    folder.publish(format, runs, rows)?;
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
