//! `pipeline import`: results from elsewhere.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use exchange::import::Done;
use serde_json::json;

use crate::args::Import;
use crate::commands::count_of;
use crate::output::{self, tell};

pub fn import(db: &Path, quiet: bool, args: &Import) -> Result<ExitCode> {
    let options = exchange::import::Options {
        study: args.study.clone(),
        question: args.question.clone(),
        metric: args.metric,
        axes: args.axes.clone(),
        names: args.names.iter().cloned().chain(args.seed.iter().map(|column| (column.clone(), "seed".to_owned()))).collect(),
        replace: args.force,
    };
    let Done { imported, left_out } = exchange::import::import(&args.source, &options, db)?;
    if args.json {
        let (new, replaced, known) = (imported.new, imported.replaced, imported.known);
        output::json(&json!({ "study": args.study, "new": new, "replaced": replaced, "known": known, "left_out": left_out }))?;
    } else if !quiet {
        let others = [(imported.replaced, "replaced"), (imported.known, "there already")].into_iter().filter(|(n, _)| *n > 0);
        let counts: Vec<String> =
            std::iter::once(count_of(imported.new, "new run")).chain(others.map(|(n, what)| format!("{n} {what}"))).collect();
        tell(&format!("{}: study {}, {}", db.display(), args.study, counts.join(", ")));
        if !left_out.is_empty() {
            tell(&format!(
                "left out, because no column here is for it: {} (--map NAME=validation_loss says what one means)",
                left_out.join(", ")
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}
