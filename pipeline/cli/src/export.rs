//! `pipeline export`: the results as a file for others.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::args::{Export, ExportFormat};
use crate::commands::count_of;
use crate::output::{bytes, tell};

pub fn export(db: &Path, quiet: bool, args: &Export) -> Result<ExitCode> {
    match args.to {
        ExportFormat::Sqlite => {
            let copied = tracker::copy(db, &args.target, args.force)?;
            if !quiet {
                let (runs, rows) = (count_of(copied.runs, "run"), count_of(copied.rows, "row"));
                tell(&format!("{}: {runs}, {rows}, {}", args.target.display(), bytes(copied.bytes)));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
