//! `pipeline status`: how many runs of every study have come how far.

mod watch;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use comfy_table::presets;
use serde_json::json;
use spec::Filter;
use spec::record::Outcome;
use tracker::Reader;
use tracker::query::{Answer, Cell};
use tracker::read::RunRecord;

use crate::args::Status;
use crate::output::{self, inert};
use crate::runs::matching;

/// What a run can be, see [`RunRecord::state`]; `training` while a sweep is at it.
const STATES: [&str; 8] = ["completed", "diverged", "stopped_early", "failed", "interrupted", "unfinished", "training", "pending"];

/// The runs of a study by state.
#[derive(Clone, Debug, PartialEq)]
struct Counts {
    study: String,
    runs: usize,
    states: BTreeMap<&'static str, i64>,
    failed: Vec<serde_json::Value>,
}

impl Counts {
    fn of(&self, state: &str) -> i64 {
        self.states.get(state).copied().unwrap_or(0)
    }

    /// Runs that are not wanted any more.
    fn done(&self) -> i64 {
        ["completed", "diverged", "stopped_early", "failed"].into_iter().map(|state| self.of(state)).sum()
    }
}

pub fn status(db: &Path, args: &Status) -> Result<ExitCode> {
    if args.watch {
        return watch::watch(db, args);
    }
    let counts = counts(&Reader::open(db)?, args.filter.as_ref())?;
    let mut out = std::io::stdout().lock();
    if args.json {
        let objects: Vec<_> =
            counts.iter().map(|c| json!({ "study": c.study, "runs": c.runs, "states": c.states, "failed": c.failed })).collect();
        writeln!(out, "{}", inert(&format!("{:#}", json!(objects))))?;
    } else {
        writeln!(out, "{}", table(&counts))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn counts(reader: &Reader, filter: Option<&Filter>) -> Result<Vec<Counts>> {
    let in_training = reader.in_training()?;
    let count = |(study, runs): (tracker::read::StudyRecord, Vec<RunRecord>)| {
        let mut states = BTreeMap::new();
        for run in &runs {
            // A run that goes on is still what it was until its first record is written.
            let state = if in_training.contains(&run.id) { "training" } else { run.state() };
            *states.entry(state).or_insert(0) += 1;
        }
        let failed = runs
            .iter()
            .filter(|r| r.outcome == Some(Outcome::Failed))
            .map(|r| json!({ "run_id": r.id, "arm": r.arm, "seed": r.seed, "error": r.error }))
            .collect();
        Counts { study: study.name, runs: runs.len(), states, failed }
    };
    Ok(matching(reader, filter)?.into_iter().map(count).collect())
}

fn table(counts: &[Counts]) -> String {
    let columns = std::iter::once("study").chain(STATES).map(str::to_owned).collect();
    let rows = counts
        .iter()
        .map(|c| std::iter::once(Cell::Text(c.study.clone())).chain(STATES.iter().map(|s| Cell::Integer(c.of(s)))).collect())
        .collect();
    output::table(&Answer { columns, rows }, presets::NOTHING).to_string()
}
