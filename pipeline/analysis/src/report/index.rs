//! The index `README.md` over all studies.
//! Called by the report once all studies are known; it knows nothing of runs.

use std::fmt::Write as _;

use super::StudySummary;
use crate::number::{Format, count};
use crate::table::escape;

/// How an index begins, so that another file of its name is not taken for one.
pub(super) const HEADER: &str = "# Reports\n\nGenerated from the results database by `pipeline report`; changes made by hand are lost.\n";

pub(super) fn make(studies: &[StudySummary]) -> String {
    let mut text = format!("{HEADER}\n");
    if studies.is_empty() {
        text.push_str("The database has no study yet.\n");
        return text;
    }
    text.push_str("| study | question | runs | best arm |\n| --- | --- | --- | --- |\n");
    for study in studies {
        let runs: Vec<String> = study.runs_by_outcome.iter().map(|(state, n)| format!("{n} {state}")).collect();
        let best = match &study.best {
            Some(best) => {
                let value = Format::of(best.metric).text(best.median);
                format!("{}: median {} {value} over {}", escape(&best.arm), best.metric, count(best.n, "seed"))
            }
            None => "–".into(),
        };
        let (name, path) = (escape(&study.name), study.report_path.replace(' ', "%20"));
        let _ = writeln!(text, "| [{name}]({path}) | {} | {} | {best} |", escape(&study.question), runs.join(", "));
    }
    text.push_str("\nThe best arm is the one with the best median of the study's deciding metric, among arms whose runs all finished.\n");
    text
}
