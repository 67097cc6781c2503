//! `pipeline import`: results from elsewhere.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::args::Import;
use crate::commands::count_of;
use crate::output::tell;

pub fn import(db: &Path, quiet: bool, args: &Import) -> Result<ExitCode> {
    let options = exchange::import::Options {
        study: args.study.clone(),
        question: args.question.clone(),
        metric: args.metric,
        axes: args.axes.clone(),
        names: args.names.clone(),
    };
    let imported = exchange::import::import(&args.source, &options, db)?;
    if !quiet {
        let known = if imported.known > 0 { format!(", {} there already", imported.known) } else { String::new() };
        tell(&format!("{}: study {}, {}{known}", db.display(), args.study, count_of(imported.new, "new run")));
    }
    Ok(ExitCode::SUCCESS)
}
