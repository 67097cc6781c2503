//! `pipeline export`: the results as files of others.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use exchange::Format;
use serde_json::json;
use tracker::Reader;

use crate::args::{Export, ExportFormat};
use crate::commands::count_of;
use crate::error::Expected;
use crate::output::{self, bytes, tell};

pub fn export(db: &Path, quiet: bool, args: &Export) -> Result<ExitCode> {
    let format = match args.to {
        ExportFormat::Sqlite => return copy(db, quiet, args),
        ExportFormat::Parquet => Format::Parquet,
        ExportFormat::Csv => Format::Csv,
        ExportFormat::Json => Format::Json,
        ExportFormat::Tensorboard => Format::TensorBoard,
        ExportFormat::Mlflow => Format::Mlflow,
    };
    let reader = Reader::open(db)?;
    let known: Vec<String> = reader.studies()?.into_iter().map(|study| study.name).collect();
    if let Some(unknown) = args.studies.iter().find(|study| !known.contains(study)) {
        return Err(Expected::Usage(format!("there is no study `{unknown}` in {}; there are {}", db.display(), known.join(", "))).into());
    }
    let chosen = reader.choose(&args.studies, args.filter.as_ref())?;
    if chosen.studies.is_empty() {
        return Err(Expected::NothingSelected("no run in the database matches".into()).into());
    }
    let exported = exchange::export(&reader, &chosen, format, &args.target, args.force)?;
    if args.json {
        let target = args.target.display().to_string();
        output::json(&json!({ "target": target, "runs": exported.runs, "rows": exported.rows }))?;
    } else if !quiet {
        let what = if matches!(format, Format::TensorBoard | Format::Mlflow) { "value" } else { "row" };
        tell(&format!("{}: {}, {}", args.target.display(), count_of(exported.runs, "run"), count_of(exported.rows, what)));
    }
    Ok(ExitCode::SUCCESS)
}

fn copy(db: &Path, quiet: bool, args: &Export) -> Result<ExitCode> {
    if args.filter.is_some() || !args.studies.is_empty() {
        return Err(Expected::Usage("a copy has everything: --study and --filter go with the other formats".into()).into());
    }
    let copied = tracker::copy(db, &args.target, args.force)?;
    if args.json {
        let target = args.target.display().to_string();
        output::json(&json!({ "target": target, "runs": copied.runs, "rows": copied.rows, "bytes": copied.bytes }))?;
    } else if !quiet {
        let (runs, rows) = (count_of(copied.runs, "run"), count_of(copied.rows, "row"));
        tell(&format!("{}: {runs}, {rows}, {}", args.target.display(), bytes(copied.bytes)));
    }
    Ok(ExitCode::SUCCESS)
}
