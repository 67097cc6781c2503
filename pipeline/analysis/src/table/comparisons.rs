//! Tables `comparisons` and `pairs`: the best candidate against each other one, and all pairs.
//! Listed in `TABLES`; only for studies with something to compare.

use super::{Cell, Column, Table};
use crate::Analysis;
use crate::comparison::{Conclusion, LEVEL, Pair};
use crate::error::Error;
use crate::number::{Format, count};

/// The best candidate first, then the others in the order of the deciding metric.
#[expect(clippy::unnecessary_wraps, reason = "the type of all tables")]
pub(super) fn table(a: &Analysis<'_>) -> Result<Option<Table>, Error> {
    let comparisons = &a.comparisons;
    let Some(metric) = comparisons.metric.filter(|_| !comparisons.pairs.is_empty() && !a.mixes_surfaces()) else { return Ok(None) };
    let chosen = !a.data.study.analysis.compare.is_empty();
    let mut columns = vec![Column::new(if chosen { "compared" } else { "arm" })];
    columns.extend(chosen.then(|| Column::new("chosen arm")));
    columns.push(Column::new(format!("{metric}: IQM [95 %]")).parts(metric.name(), &["iqm", "low", "high"]).metric(metric));
    columns.push(Column::new("n"));
    columns
        .push(Column { higher_is_better: None, ..Column::new("best less this (median)").parts("", &["difference_median"]).metric(metric) });
    columns.push(Column {
        format: Format::Decimals(2),
        ..Column::new("P(best is better)").parts("superiority", &["probability", "low", "high"])
    });
    columns.push(Column::new("p (Holm)").parts("", &["p_holm"]));
    columns.push(Column::new("the data say").parts("", &["conclusion"]));
    let stands_out = comparisons.best_stands_out();
    let rows = comparisons.candidates.iter().enumerate().map(|(i, candidate)| {
        let strong = |cell: Cell| cell.strong_if(i == 0 && stands_out);
        let mut row = vec![strong(Cell::Text(candidate.label.clone()))];
        let arm = candidate.chosen.and_then(|arm| a.arms.get(arm));
        row.extend(chosen.then(|| Cell::Text(arm.map_or("–", |arm| arm.label).into())));
        row.push(strong(Cell::Estimate(candidate.centre, candidate.interval)));
        row.push(Cell::count(candidate.values.len()));
        let pair = comparisons.against_best(i);
        row.push(Cell::Value(pair.and_then(|pair| pair.difference)));
        row.push(Cell::Estimate(pair.and_then(|p| p.superiority).map(|s| s.probability), pair.and_then(interval)));
        row.push(Cell::P(pair.map(|pair| pair.p)));
        row.push(Cell::Text(match (i, arm, pair) {
            (0, Some(_), _) => "best by the deciding metric".into(),
            (_, Some(_), Some(pair)) => words(pair, comparisons.margin),
            _ => "no arm has all its runs finished".into(),
        }));
        row
    });
    let what = if chosen {
        format!("Each with the arm that `{}` chose for it", a.metric())
    } else {
        format!("Arms in the order of their median `{}`", a.metric())
    };
    let bold = if stands_out { " Bold: the best differs from every other one." } else { "" };
    let caption = format!(
        "{what}, compared on `{metric}` by common seed. IQM: interquartile mean, with its 95 % bootstrap interval (BCa; *: weak, fewer \
         than five seeds). P: share of seeds at which the best is better, ties counting half, with Wilson's interval. p: exact \
         signed-rank test, two-sided{}. They differ where p ≤ {LEVEL}; they are equivalent where two \
         one-sided tests find the difference within ±{}.{bold}",
        match comparisons.pairs.len() {
            1 => String::new(),
            n => format!(", corrected over all {} (Holm)", count(n, "pair")),
        },
        comparisons.margin
    );
    Ok(Some(Table { name: "comparisons", caption, in_page: true, columns, rows: rows.collect() }))
}

/// All pairs; a file only.
#[expect(clippy::unnecessary_wraps, reason = "the type of all tables")]
pub(super) fn pairs(a: &Analysis<'_>) -> Result<Option<Table>, Error> {
    let comparisons = &a.comparisons;
    let Some(metric) = comparisons.metric.filter(|_| comparisons.pairs.len() > 1 && !a.mixes_surfaces()) else { return Ok(None) };
    let mut columns = ["first", "second", "seeds"].map(Column::new).to_vec();
    columns.push(Column::new("difference (median)").parts("", &["difference_median"]).metric(metric));
    columns.push(Column::new("superiority").parts("superiority", &["probability", "low", "high"]));
    columns.extend(["p holm", "p equivalent holm", "conclusion"].map(Column::new));
    let label = |i: usize| Cell::Text(comparisons.candidates.get(i).map(|candidate| candidate.label.clone()).unwrap_or_default());
    let rows = comparisons.pairs.iter().map(|pair| {
        vec![
            label(pair.first),
            label(pair.second),
            Cell::count(pair.seeds),
            Cell::Value(pair.difference),
            Cell::Estimate(pair.superiority.map(|s| s.probability), interval(pair)),
            Cell::P(Some(pair.p)),
            Cell::P(Some(pair.p_equivalent)),
            Cell::Text(words(pair, comparisons.margin)),
        ]
    });
    let caption = "All pairs, first less second.".into();
    Ok(Some(Table { name: "pairs", caption, in_page: false, columns, rows: rows.collect() }))
}

fn interval(pair: &Pair) -> Option<crate::stats::Interval> {
    pair.superiority.map(|s| crate::stats::Interval { low: s.low, high: s.high, weak: false })
}

/// What follows for the second of a pair, seen from the first.
fn words(pair: &Pair, margin: f64) -> String {
    match pair.conclusion {
        Conclusion::Better => "differs: worse".into(),
        Conclusion::Worse => "differs: better".into(),
        Conclusion::Equivalent => format!("equivalent within ±{margin}"),
        Conclusion::TooFew(needed) => format!("too few seeds to tell: {needed} would be needed"),
        Conclusion::Open => "no difference shown".into(),
    }
}
