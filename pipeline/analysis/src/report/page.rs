//! A study's page `report.md`, with the tables and figures it refers to.
//! Called by the report, once per study; it puts the parts in their order and knows nothing of how they are made.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::answer::{self, Answer};
use super::{findings, index, limits, provenance, setup, web};
use crate::Analysis;
use crate::error::Error;
use crate::number::{count, listed};
use crate::plot::{PLOTS, Plot};
use crate::results::State;
use crate::table::{TABLES, Table, escape, paragraph};

/// A study's page with all that it is made of.
pub(super) struct Made {
    /// The files of the study's folder, by name.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// Its section in the write-up.
    pub(super) section: String,
    /// What the page of all studies shows of it.
    pub(super) web: String,
}

pub(super) fn make(a: &Analysis<'_>) -> Result<Made, Error> {
    let answer = answer::of(a);
    let tables: Vec<Table> = TABLES.iter().filter_map(|(_, table)| table(a).transpose()).collect::<Result<_, _>>()?;
    let plots: Vec<Plot> = PLOTS.iter().filter_map(|plot| plot(a)).collect();
    let study = &a.data.study;
    let mut files = BTreeMap::new();
    for table in &tables {
        files.insert(format!("{}.csv", table.name), table.csv()?);
        if table.in_page {
            files.insert(format!("{}.tex", table.name), table.latex(&study.name).into_bytes());
        }
    }
    for plot in &plots {
        files.insert(format!("{}.svg", plot.name), plot.svg.clone().into_bytes());
    }
    files.insert("report.md".into(), page(a, &answer, &tables, &plots).into_bytes());
    let section = index::section(&study.name, &study.question, &answer, &tables, &plots);
    Ok(Made { files, section, web: web::study(a, &answer, &tables, &plots) })
}

/// `report.md`.
fn page(a: &Analysis<'_>, answer: &Answer, tables: &[Table], plots: &[Plot]) -> String {
    let mut text = String::new();
    let study = &a.data.study;
    let _ = writeln!(text, "# {}\n\n{}\n", escape(&study.name), paragraph(&study.question));
    if let Some(hypothesis) = &study.hypothesis {
        let _ = writeln!(text, "**Hypothesis.** {}\n", escape(hypothesis));
    }
    let _ = writeln!(text, "**Answer.** {}\n", answer.text);
    let _ = writeln!(text, "{}\n\n{}## What the data say\n", state(a), setup::of(a));
    for finding in findings::of(a) {
        let _ = writeln!(text, "- {finding}");
    }
    text.push_str(&findings::checks::worked(a));

    let limits = limits::of(a);
    if !limits.is_empty() {
        text.push_str("\n## What can't be concluded\n\n");
        for limit in limits {
            let _ = writeln!(text, "- {limit}");
        }
    }
    if !plots.is_empty() {
        text.push_str("\n## Figures\n");
    }
    for (i, plot) in (1..).zip(plots) {
        let alt = escape(&plot.alt).replace(['[', ']'], "");
        let _ = writeln!(text, "\n![{alt}]({}.svg)\n\n**Figure {i}, {}.** {}", plot.name, plot.name, plot.caption);
    }
    text.push_str("\n## Tables\n");
    for (i, table) in (1..).zip(tables.iter().filter(|table| table.in_page)) {
        let links = format!("([CSV]({}.csv), [LaTeX]({}.tex))", table.name, table.name);
        let _ = write!(text, "\n**Table {i}, {}.** {} {links}\n\n{}", table.name, table.caption, table.markdown());
    }
    let others: Vec<String> =
        tables.iter().filter(|table| !table.in_page).map(|table| format!("[{}.csv]({}.csv)", table.name, table.name)).collect();
    let _ = writeln!(text, "\nFor programs to read: {}.", listed(&others));
    let _ = write!(text, "\n## How this was made\n\n{}", provenance::of(a));
    text
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
