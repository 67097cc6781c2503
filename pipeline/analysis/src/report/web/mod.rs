//! The page `index.html`: everything in one file that opens from disk and asks nobody for anything.
//! Called by the report once all studies are known. What the page does with its data stands in `page.js` and `chart.js`.

use serde_json::{Value, json};
use spec::{Metric, Quantity, Split};

use crate::Analysis;
use crate::curves::Point;
use crate::diagnosis::Condition;
use crate::plot::Plot;
use crate::report::answer::Answer;
use crate::results::State;
use crate::table::Table;

const PAGE: &str = include_str!("page.html");
/// What stands for each marker of the page; `{data}` comes last, because a name in it may look like a marker.
const PARTS: [(&str, &str); 5] = [
    ("/*{uplot.css}*/", include_str!("../../../../../vendor/uPlot.min.css")),
    ("/*{page.css}*/", include_str!("page.css")),
    ("/*{uplot.js}*/", include_str!("../../../../../vendor/uPlot.iife.min.js")),
    ("/*{chart.js}*/", include_str!("chart.js")),
    ("/*{page.js}*/", include_str!("page.js")),
];
/// Longer tables than this are for a program to read.
const MOST_ROWS: usize = 400;

/// The whole page.
pub(super) fn make(studies: &[&str]) -> String {
    let data = format!(r#"{{"title":"Reports","studies":[{}]}}"#, studies.join(","));
    // In a script element, only `<` could end it or start a comment.
    let data = data.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    let page = PARTS.iter().fold(PAGE.to_owned(), |page, (marker, part)| page.replacen(marker, part, 1));
    page.replacen("{data}", &data, 1)
}

/// What the page shows of a study, as JSON.
pub(super) fn study(a: &Analysis<'_>, answer: &Answer, tables: &[Table], plots: &[Plot]) -> String {
    let study = &a.data.study;
    let best = a.verdict.as_ref().map(|verdict| verdict.arm);
    let arms: Vec<Value> = a
        .arms
        .iter()
        .enumerate()
        .map(|(i, arm)| {
            json!({
                "label": arm.label,
                "values": arm.axes.iter().map(|value| value.as_ref().map(|v| crate::layout::value_text(Some(v)))).collect::<Vec<_>>(),
                "finished": arm.count(State::Finished), "runs": arm.runs.len(), "diverged": arm.count(State::Diverged),
                "best": best == Some(i), "condition": a.judgement.condition(i).map(Condition::name),
            })
        })
        .collect();
    let figures: Vec<Value> = plots
        .iter()
        .map(|plot| json!({ "src": format!("{}/{}.svg", study.name, plot.name), "alt": plot.alt, "caption": plot.caption }))
        .collect();
    let page = json!({
        "name": study.name, "question": study.question, "hypothesis": study.hypothesis, "answer": answer.text,
        "report": format!("{}/report.md", study.name), "metric": study.metric.name(), "higher_is_better": study.metric.higher_is_better(),
        "runs": {
            "finished": a.count(State::Finished), "diverged": a.count(State::Diverged), "failed": a.count(State::Failed), "missing": a.count(State::Missing)
        },
        "axes": study.axes, "arms": arms, "curves": curves(a),
        "tables": tables.iter().filter(|table| table.in_page && table.rows.len() <= MOST_ROWS).map(|t| table(a, t)).collect::<Vec<_>>(),
        "figures": figures,
    });
    shown(page).to_string()
}

/// With every text in it as it may be shown.
fn shown(json: Value) -> Value {
    match json {
        Value::String(text) => Value::String(spec::visible(&text).into_owned()),
        Value::Array(list) => Value::Array(list.into_iter().map(shown).collect()),
        Value::Object(fields) => Value::Object(fields.into_iter().map(|(key, value)| (key, shown(value))).collect()),
        other => other,
    }
}

fn curves(a: &Analysis<'_>) -> Vec<Value> {
    let arm_at = |position: usize| a.arms.iter().position(|arm| arm.position == position);
    let mut curves = vec![];
    if !a.curves.steps.is_empty() && a.has_accuracies() {
        let lines: Vec<Value> = a.curves.steps.iter().filter_map(|(position, points)| Some(line(arm_at(*position)?, points))).collect();
        curves.push(
            json!({ "name": "Training loss of the steps", "x": "examples seen", "y": "training loss (nats)", "log": true, "lines": lines }),
        );
    }
    for metric in Metric::ALL.into_iter().filter(|metric| metric.split != Split::Test) {
        let of = a.curves.epochs.iter().filter(|((_, of), points)| *of == metric && points.iter().any(|point| point.median.is_finite()));
        let lines: Vec<Value> = of.filter_map(|((position, _), points)| Some(line(arm_at(*position)?, points))).collect();
        if lines.is_empty() {
            continue;
        }
        let (quantity, log) = match metric.quantity {
            Quantity::Loss if a.has_accuracies() => ("loss (nats)", true),
            Quantity::Loss => ("height", false),
            Quantity::Accuracy => ("accuracy", false),
        };
        let (x, name) =
            if a.has_accuracies() { ("epoch", format!("{} {quantity}", metric.split.name())) } else { ("step", quantity.to_owned()) };
        curves.push(json!({ "name": capital(&name), "x": x, "y": quantity, "log": log, "lines": lines }));
    }
    curves
}

/// Curves of more points than this are thinned.
const MOST_POINTS: usize = 160;

/// Places that a curve is drawn from: of equal stretches, the lowest and the highest median, so that no spike is lost; and its ends.
fn thinned(points: &[Point]) -> Vec<usize> {
    if points.len() <= MOST_POINTS {
        return (0..points.len()).collect();
    }
    let stretch = points.len().div_ceil(MOST_POINTS / 2);
    let mut places = vec![0, points.len() - 1];
    for start in (0..points.len()).step_by(stretch) {
        let places_here = || start..(start + stretch).min(points.len());
        places.extend(places_here().min_by(|a, b| points[*a].median.total_cmp(&points[*b].median)));
        places.extend(places_here().max_by(|a, b| points[*a].median.total_cmp(&points[*b].median)));
    }
    places.sort_unstable();
    places.dedup();
    places
}

fn line(arm: usize, points: &[Point]) -> Value {
    // Numbers of few digits: the page draws them, and nobody computes with them.
    let short =
        |value: f64| if value.is_finite() { format!("{value:.5e}").parse::<f64>().map_or(Value::Null, Value::from) } else { Value::Null };
    let places = thinned(points);
    let column = |of: fn(&Point) -> f64| places.iter().map(|place| short(of(&points[*place]))).collect::<Vec<_>>();
    json!({ "arm": arm, "x": column(|p| p.x), "median": column(|p| p.median), "q25": column(|p| p.q25), "q75": column(|p| p.q75) })
}

fn table(a: &Analysis<'_>, table: &Table) -> Value {
    let is_arm = |column: usize| {
        let mut texts = table
            .rows
            .iter()
            .filter_map(|row| Some((row.get(column)?, table.columns.get(column)?)))
            .map(|(cell, column)| cell.text(column));
        !table.rows.is_empty() && texts.all(|text| a.arms.iter().any(|arm| arm.label == text))
    };
    let columns: Vec<Value> = table
        .columns
        .iter()
        .enumerate()
        .map(|(i, column)| json!({ "header": column.header_text(), "numeric": !table.is_text(i), "arm": is_arm(i) }))
        .collect();
    let rows: Vec<Vec<String>> =
        table.rows.iter().map(|row| row.iter().zip(&table.columns).map(|(cell, column)| cell.text(column)).collect()).collect();
    let sort: Vec<Vec<Option<f64>>> = table.rows.iter().map(|row| row.iter().map(super::super::table::Cell::sort_key).collect()).collect();
    json!({
        "name": capital(&table.name.replace('_', " ")), "caption": table.caption, "csv": format!("{}/{}.csv", a.data.study.name, table.name),
        "columns": columns, "rows": rows, "sort": sort,
    })
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_one_file_that_no_name_can_break() {
        let page = make(&[&json!({ "name": "</script><script>alert(1)</script>/*{page.js}*/{data}" }).to_string()]);
        assert!(!page.contains("<script>alert") && page.contains("\\u003c/script>"));
        assert_eq!(page.matches("</script>").count(), PAGE.matches("</script>").count());
        for (marker, part) in PARTS {
            assert!(PAGE.contains(marker) && page.contains(part), "{marker}");
        }
        for outside in ["src=\"http", "href=\"http", "url(http", "@import"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
