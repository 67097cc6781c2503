//! A study's page `report.md`, with the tables and figures it refers to.
//! Called by the report, once per study; it puts the parts in their order and knows nothing of how they are made.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{findings, provenance, setup};
use crate::Analysis;
use crate::error::Error;
use crate::number::count;
use crate::plot::PLOTS;
use crate::results::State;
use crate::table::{TABLES, escape, paragraph};

/// The files of a study's folder, by name.
pub(super) fn make(a: &Analysis<'_>) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let mut files = BTreeMap::new();
    let mut text = String::new();
    let study = &a.data.study;
    let _ = writeln!(text, "# {}\n\n{}\n", escape(&study.name), paragraph(&study.question));
    if let Some(hypothesis) = &study.hypothesis {
        let _ = writeln!(text, "**Hypothesis.** {}\n", escape(hypothesis));
    }
    let _ = writeln!(text, "{}\n\n{}## What the data say\n", state(a), setup::of(a));
    for finding in findings::of(a)? {
        let _ = writeln!(text, "- {finding}");
    }

    text.push_str(&findings::checks::worked(a));

    let plots: Vec<_> = PLOTS.iter().filter_map(|plot| plot(a)).collect();
    if !plots.is_empty() {
        text.push_str("\n## Figures\n");
    }
    for (i, plot) in (1..).zip(plots) {
        let _ = writeln!(text, "\n![{}]({}.svg)\n\n**Figure {i}.** {}", plot.alt.replace(['[', ']'], ""), plot.name, plot.caption);
        files.insert(format!("{}.svg", plot.name), plot.svg.into_bytes());
    }

    text.push_str("\n## Tables\n");
    let mut shown = 0;
    for table in TABLES {
        let Some(table) = table(a)? else { continue };
        files.insert(format!("{}.csv", table.name), table.csv()?);
        if table.in_page {
            shown += 1;
            let _ = write!(text, "\n**Table {shown}.** {} ([CSV]({}.csv))\n\n{}", table.caption, table.name, table.markdown());
        }
    }
    let _ = write!(text, "\n## How this was made\n\n{}", provenance::of(a));
    files.insert("report.md".into(), text.into_bytes());
    Ok(files)
}

/// Arms, seeds and how the runs ended, in a line.
fn state(a: &Analysis<'_>) -> String {
    let all = a.data.runs.len();
    let mut text = format!("{} × {} = {}", count(a.arms.len(), "arm"), count(a.seeds(), "seed"), count(all, "run"));
    if a.arms.len() * a.seeds() != all {
        text = format!("{}, {}, {}", count(a.arms.len(), "arm"), count(a.seeds(), "seed"), count(all, "run"));
    }
    let states: Vec<String> =
        State::ALL.into_iter().filter(|state| a.count(*state) > 0).map(|state| format!("{} {}", a.count(state), state.name())).collect();
    if !states.is_empty() {
        let _ = write!(text, ": {}", states.join(", "));
    }
    text.push('.');
    let lacking = a.count(State::Failed) + a.count(State::Missing);
    if lacking > 0 {
        let _ = write!(text, " **{lacking} of {all} runs have no result yet**; what follows rests on the others.");
    }
    text
}
