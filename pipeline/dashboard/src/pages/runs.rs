//! The table of all runs: filtered, sorted, a page at a time.

use std::cmp::Ordering;
use std::sync::Arc;

use axum::response::Response;
use maud::{Markup, html};
use spec::Filter;
use tracker::live::Member;

use super::{count, duration, number, page as whole, run_link, state, study_link};
use crate::overview::Run;
use crate::query::Query;
use crate::{App, Error, Parts};

const ROWS: usize = 100;

/// Name, heading, and whether it is a number.
const COLUMNS: [(&str, &str, bool); 12] = [
    ("run", "run", false),
    ("study", "study", false),
    ("arm", "arm", false),
    ("seed", "seed", true),
    ("outcome", "outcome", false),
    ("steps", "steps", true),
    ("train_loss", "train loss", true),
    ("validation_loss", "validation loss", true),
    ("validation_accuracy", "validation accuracy", true),
    ("test_accuracy", "test accuracy", true),
    ("seconds", "took", true),
    ("started", "started", true),
];

pub(crate) fn page(app: &App, _: &Parts, query: &Query) -> Result<Response, Error> {
    let overview = app.overview()?;
    let (filter, wrong) = match query.get("filter").map(str::parse::<Filter>) {
        None => (None, None),
        Some(Ok(filter)) => (Some(filter), None),
        Some(Err(why)) => (None, Some(why)),
    };
    let mut rows = if wrong.is_some() { vec![] } else { overview.matching(filter.as_ref()) };
    let sort = query.get("sort").filter(|name| COLUMNS.iter().any(|(known, ..)| known == name));
    let descends = query.get("order") == Some("down");
    if let Some(column) = sort {
        rows.sort_by(|a, b| compare(*a, *b, column, descends));
    }
    let pages = rows.len().div_ceil(ROWS).max(1);
    let here = query.get("page").and_then(|n| n.parse().ok()).unwrap_or(1usize).clamp(1, pages);
    let found = rows.len();
    let content = html! {
        form.tools role="search" method="get" action="/runs" {
            label for="filter" { "Only runs that match" }
            input #filter type="search" name="filter" value=(query.get("filter").unwrap_or_default()) placeholder="optimizer=adam and (lr<0.1 or seed=0)" spellcheck="false" autocapitalize="off" aria-describedby="filter-help" aria-invalid=[wrong.as_ref().map(|_| "true")];
            @if let Some(sort) = sort { input type="hidden" name="sort" value=(sort); }
            @if descends { input type="hidden" name="order" value="down"; }
            button { "Filter" }
            @if query.get("filter").is_some() { a href="/runs" { "all" } }
        }
        p.note #filter-help {
            "Keys are study, arm, run, seed, outcome, host, device, steps, every key of a configuration, and final metrics such as validation_accuracy. "
            "= != < <= > >=, ~ (contains); and, or, not, parentheses."
        }
        @if let Some(why) = &wrong { p.warning role="alert" { (why) } }
        p #found role="status" data-live { (count(found, "run")) }
        div.scroll tabindex="0" role="region" aria-label="Runs" { table #runs data-live {
            thead { tr { @for (name, title, _) in COLUMNS { (heading(query, sort, descends, name, title)) } } }
            tbody { @for row in rows.iter().skip((here - 1) * ROWS).take(ROWS) { (line(*row)) } }
        } }
        @if pages > 1 { nav.pages aria-label="Pages of the table" {
            @if here > 1 { a rel="prev" href=(format!("/runs{}", query.with("page", &(here - 1).to_string()).link())) { "← earlier" } }
            span { "page " (here) " of " (pages) }
            @if here < pages { a rel="next" href=(format!("/runs{}", query.with("page", &(here + 1).to_string()).link())) { "later →" } }
        } }
    };
    Ok(whole(Some(&overview), "Runs", "/runs", &content))
}

/// A heading that sorts: up first, then down.
fn heading(query: &Query, sort: Option<&str>, descends: bool, name: &str, title: &str) -> Markup {
    let is_sorted = sort == Some(name);
    let order = if is_sorted && !descends { "down" } else { "" };
    let link = format!("/runs{}", query.without("page").with("sort", name).with("order", order).link());
    let (aria, mark) = match (is_sorted, descends) {
        (false, _) => (None, ""),
        (true, false) => (Some("ascending"), " ▲"),
        (true, true) => (Some("descending"), " ▼"),
    };
    html! { th scope="col" aria-sort=[aria] { a href=(link) { (title) span aria-hidden="true" { (mark) } } } }
}

fn line((member, run): (&Member, &Arc<Run>)) -> Markup {
    let steps = run.progress.map_or(run.live.steps, |p| p.step);
    html! {
        tr {
            th scope="row" { (run_link(&run.live.id)) }
            td { (study_link(&member.study)) }
            td.text { (member.arm) }
            td.number { (run.live.seed) }
            td.text { (state(run.state())) @if let Some(why) = &run.live.error { " " span.note { (why) } } }
            td.number { (steps) }
            @for metric in ["train_loss", "validation_loss", "validation_accuracy", "test_accuracy"] { td.number { (number(run.last(metric))) } }
            td.number { (duration(run.seconds())) }
            td.number { @if let Some(at) = run.live.started_at { time datetime=(utc(at)) { (utc(at)) } } @else { "–" } }
        }
    }
}

/// `2026-11-26 00:41`, UTC.
#[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
pub(super) fn utc(seconds: f64) -> String {
    let seconds = seconds as i64;
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", rest / 3600, rest % 3600 / 60)
}

/// Numbers as numbers; a run that has none comes last, whichever way.
fn compare(a: (&Member, &Arc<Run>), b: (&Member, &Arc<Run>), column: &str, descends: bool) -> Ordering {
    let turned = |order: Ordering| if descends { order.reverse() } else { order };
    let text = |(member, run): (&Member, &Arc<Run>)| match column {
        "run" => run.live.id.clone(),
        "study" => member.study.clone(),
        "arm" => format!("{}\u{0}{:09}", member.study, member.position),
        _ => run.state().to_owned(),
    };
    let value = |(_, run): (&Member, &Arc<Run>)| match column {
        "seed" => Some(run.live.seed as f64),
        "steps" => Some(run.progress.map_or(run.live.steps, |p| p.step) as f64),
        "seconds" => run.seconds(),
        "started" => run.live.started_at,
        metric => run.last(metric),
    };
    if COLUMNS.iter().any(|(name, _, is_number)| *name == column && *is_number) {
        return match (value(a), value(b)) {
            (Some(x), Some(y)) => turned(x.total_cmp(&y)),
            (x, y) => y.is_some().cmp(&x.is_some()),
        };
    }
    turned(text(a).cmp(&text(b)))
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // date -u -d @N
        let dates = [(0.0, "1970-01-01 00:00"), (951_782_400.0, "2000-02-29 00:00"), (1_795_652_412.9, "2026-11-26 00:20")];
        for (seconds, text) in dates {
            assert_eq!(utc(seconds), text);
        }
    }
}
