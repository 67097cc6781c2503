//! Where a report's numbers come from, and how to check them.
//! Called by the page; it knows nothing of what was found.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use tracker::read::RunRecord;

use super::setup::is_imported;
use crate::Analysis;
use crate::number::{count, thousands};
use crate::results::State;
use crate::table::{code, escape};

pub(super) fn of(a: &Analysis<'_>) -> String {
    let (study, mut text) = (&a.data.study.name, String::new());
    let with_result: Vec<&RunRecord> = a
        .arms
        .iter()
        .flat_map(|arm| &arm.runs)
        .filter(|run| matches!(run.state, State::Finished | State::Diverged))
        .map(|run| run.record)
        .collect();
    let list = |of: &dyn Fn(&RunRecord) -> Option<String>| {
        let distinct: BTreeSet<String> = with_result.iter().map(|run| of(run).unwrap_or_else(|| "not recorded".into())).collect();
        if distinct.is_empty() { "none".to_owned() } else { distinct.into_iter().collect::<Vec<_>>().join(", ") }
    };
    let commit = |run: &RunRecord| {
        let commit = run.git_commit.as_ref()?;
        Some(if run.git_dirty == Some(true) { format!("{} with uncommitted changes", code(commit)) } else { code(commit) })
    };
    let _ = writeln!(text, "- Program version: {}.", list(&|run| run.version.as_deref().map(escape)));
    let _ = writeln!(text, "- Git commit: {}.", list(&commit));
    let _ = writeln!(text, "- Device: {}.", list(&|run| run.device.as_deref().map(escape)));
    let _ = writeln!(
        text,
        "- Read from the database: {} optimizer steps and {} evaluations.",
        thousands(a.data.steps.count),
        thousands(a.data.evals.run.len())
    );
    let _ = writeln!(
        text,
        "- Every table and figure is from all runs of the study `{study}` that have a result ({}); [runs.csv](runs.csv) lists every run \
         with its id, configuration axes, outcome and metrics.",
        count(with_result.len(), "run")
    );
    let again = if is_imported(a) {
        let source = a.data.study.source.trim().trim_start_matches("# ");
        let _ = writeln!(text, "- The runs were {}.", escape(source));
        String::new()
    } else {
        let grid = spec::fingerprint(a.data.study.source.as_bytes());
        let _ = writeln!(text, "- Grid file: `{study}.toml`, SHA-256 {grid}….");
        format!(
            "To train it again: `git checkout` the commit above, then `just sweep experiments/{study}.toml`; what has a result is not \
             trained again. "
        )
    };
    let _ = write!(
        text,
        "\n{again}For the query and the runs behind a table or figure: `pipeline report --trace {study}/arms`, and so on with their names.\n"
    );
    text
}
