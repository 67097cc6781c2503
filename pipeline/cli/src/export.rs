//! `pipeline export`: the results as a file for others.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use crate::args::{Export, ExportFormat};
use crate::commands::count_of;
use crate::output::{self, bytes, tell};

pub fn export(db: &Path, quiet: bool, args: &Export) -> Result<ExitCode> {
    match args.to {
        ExportFormat::Sqlite => {
            let copied = tracker::copy(db, &args.target, args.force)?;
            if args.json {
                let file = args.target.display().to_string();
                output::json(&json!({ "file": file, "runs": copied.runs, "rows": copied.rows, "bytes": copied.bytes }))?;
            } else if !quiet {
                let (runs, rows) = (count_of(copied.runs, "run"), count_of(copied.rows, "row"));
                tell(&format!("{}: {runs}, {rows}, {}", args.target.display(), bytes(copied.bytes)));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
