//! Table `diagnosis`: what is the matter with the runs of each arm, what says so, and what helps.
//! Listed in `TABLES`; only for studies whose runs were evaluated on classes.

use super::{Cell, Column, Table};
use crate::Analysis;
use crate::diagnosis::Condition;
use crate::error::Error;

#[expect(clippy::unnecessary_wraps, reason = "the type of all tables")]
pub(super) fn table(a: &Analysis<'_>) -> Result<Option<Table>, Error> {
    let mut rows = vec![];
    for (arm, diagnosis) in a.arms.iter().zip(&a.judgement.arms) {
        let Some(diagnosis) = diagnosis else { continue };
        let counts: Vec<String> = diagnosis.counts.iter().map(|(condition, n)| format!("{n} {condition}")).collect();
        let remedy = if diagnosis.condition == Condition::Healthy { "–" } else { diagnosis.condition.remedy() };
        rows.push(vec![
            Cell::Text(arm.label.into()),
            Cell::Text(diagnosis.condition.name().into()),
            Cell::Text(counts.join(", ")),
            Cell::Text(format!("seed {}: {}", diagnosis.seed, diagnosis.evidence)),
            Cell::Text(remedy.into()),
        ]);
    }
    let columns = ["arm", "diagnosis", "runs", "evidence, by example", "remedy"].map(Column::new).to_vec();
    let caption = "What the curves of each arm's runs say: the diagnosis of most of its runs, and the rule that fired in one of them with \
                   its figures. The rules and their thresholds are in docs/statistics.md."
        .into();
    Ok((!rows.is_empty()).then_some(Table { name: "diagnosis", caption, in_page: true, columns, rows }))
}
