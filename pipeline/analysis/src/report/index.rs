//! The write-up `README.md`: one section for each study's question, with its answer and what that rests on.
//! Called by the report once all studies are known; it knows nothing of runs.

use std::fmt::Write as _;

use super::StudySummary;
use super::answer::Answer;
use crate::number::count;
use crate::plot::Plot;
use crate::table::{Table, escape, paragraph};

/// How a write-up begins, so that another file of its name is not taken for one.
pub(super) const HEADER: &str = "# Reports\n\nGenerated from the results database by `pipeline report`; changes made by hand are lost.\n";
/// Longer tables are folded away.
const OPEN: usize = 16;

pub(super) fn make(studies: &[StudySummary], across: &str) -> String {
    let mut text = format!("{HEADER}\n");
    if studies.is_empty() {
        text.push_str("The database has no study yet.\n");
        return text;
    }
    text.push_str(
        "Each section answers one question from the data, with the table and the figure that decide it. Intervals are of 95 % over seeds; \
         arms are compared by common seed, with p-values corrected over all comparisons of a study. \
         [index.html](index.html) has all curves to zoom into.\n\n| question | study | runs |\n| --- | --- | --- |\n",
    );
    for study in studies {
        let runs: Vec<String> = study.runs_by_outcome.iter().map(|(state, n)| format!("{n} {state}")).collect();
        let _ = writeln!(text, "| {} | [{}](#{}) | {} |", escape(&study.question), escape(&study.name), study.name, runs.join(", "));
    }
    for study in studies {
        text += &study.section;
    }
    text += across;
    text
}

/// A study's section.
pub(super) fn section(name: &str, question: &str, answer: &Answer, tables: &[Table], plots: &[Plot]) -> String {
    let mut text = format!("\n<a id=\"{name}\"></a>\n\n## {}\n\n**Answer.** {}\n", paragraph(question), answer.text);
    if let Some(plot) = answer.figure.and_then(|figure| plots.iter().find(|plot| plot.name == figure)) {
        let _ = writeln!(text, "\n![{}]({name}/{}.svg)\n\n{}", escape(&plot.alt).replace(['[', ']'], ""), plot.name, plot.caption);
    }
    for table in answer.tables.iter().filter_map(|wanted| tables.iter().find(|table| table.name == *wanted)) {
        let links = format!("([CSV]({name}/{}.csv), [LaTeX]({name}/{}.tex))", table.name, table.name);
        if table.rows.len() > OPEN {
            let summary = format!("Table `{}`, {}", table.name, count(table.rows.len(), "row"));
            let _ =
                write!(text, "\n<details><summary>{summary}</summary>\n\n{} {links}\n\n{}\n</details>\n", table.caption, table.markdown());
        } else {
            let _ = write!(text, "\n{} {links}\n\n{}", table.caption, table.markdown());
        }
    }
    let _ = writeln!(text, "\n[The full report]({name}/report.md)");
    text
}
