//! Pages as HTML, which work without scripts; scripts keep them up to date and draw curves.

pub(crate) mod index;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod study;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use tracker::Error as Trouble;

use crate::Error;
use crate::overview::Overview;
use crate::query::encoded;

/// A page with everything around it.
fn page(overview: Option<&Overview>, title: &str, here: &str, content: &Markup) -> Response {
    let link = |to: &str, text: &str| html! { a href=(to) aria-current=[(here == to).then_some("page")] { (text) } };
    let training = overview.map_or(0, |o| o.runs.values().filter(|run| run.in_training).count());
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                link rel="icon" href="data:,";
                link rel="stylesheet" href="/assets/uPlot.css";
                link rel="stylesheet" href="/assets/dashboard.css";
                script src="/assets/uPlot.js" defer {}
                script src="/assets/curves.js" defer {}
                script src="/assets/live.js" defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header {
                    nav aria-label="Pages" { (link("/", "Studies")) (link("/runs", "Runs")) }
                    p #now data-live role="status" {
                        @if training > 0 { span.dot aria-hidden="true" {} " " (count(training, "run")) " in training" }
                        @else { "nothing in training" }
                    }
                }
                main #main tabindex="-1" { h1 { (title) } (content) }
            }
        }
    };
    let text = markup.into_string();
    let tag = format!("\"{}\"", spec::fingerprint(text.as_bytes()));
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()), (header::ETAG, tag)], text).into_response()
}

/// A page that says what is wrong and what can be done.
pub(crate) fn problem(error: &Error) -> Response {
    let (status, title) = match error {
        Error::NotFound(_) => (StatusCode::NOT_FOUND, "Not found"),
        Error::Request(_) => (StatusCode::BAD_REQUEST, "This can't be asked"),
        Error::Tracker(Trouble::Missing(_)) => (StatusCode::SERVICE_UNAVAILABLE, "No results yet"),
        Error::Tracker(_) => (StatusCode::SERVICE_UNAVAILABLE, "The results can't be read"),
    };
    let waits = status == StatusCode::SERVICE_UNAVAILABLE;
    let content = html! {
        // Replaced by itself as long as it is true, and by the page when there is one.
        div #problem data-live=[waits.then_some("page")] {
            p { (error) }
            @if waits { p.note { "This page looks again by itself." } }
        }
    };
    let mut response = page(None, title, "", &content);
    *response.status_mut() = status;
    response
}

/// A refusal, in plain words.
pub(crate) fn plain(status: StatusCode, why: &str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{why}\n")).into_response()
}

fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

fn study_link(name: &str) -> Markup {
    html! { a href=(format!("/study/{}", encoded(name))) { (name) } }
}

fn run_link(id: &str) -> Markup {
    html! { a href=(format!("/run/{}", encoded(id))) { code { (id.chars().take(8).collect::<String>()) } } }
}

/// The name of a state, with a mark that is more than its colour.
fn state(name: &str) -> Markup {
    let mark = match name {
        "completed" => "✓",
        "stopped_early" => "◔",
        "diverged" => "✕",
        "failed" => "!",
        "training" => "▶",
        "pending" => "·",
        _ => "‖",
    };
    html! { span class=(format!("state {name}")) { span aria-hidden="true" { (mark) } " " (name) } }
}

/// Four significant digits.
fn number(x: Option<f64>) -> String {
    match x {
        None => "–".into(),
        Some(x) if x.is_nan() => "NaN".into(),
        Some(x) if x.is_infinite() => {
            if x > 0.0 {
                "∞".into()
            } else {
                "−∞".into()
            }
        }
        Some(x) if x != 0.0 && !(1e-3..1e5).contains(&x.abs()) => format!("{x:.3e}"),
        Some(x) => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 6")]
            let digits = (3.0 - x.abs().max(1e-3).log10().floor()).clamp(0.0, 6.0) as usize;
            format!("{x:.digits$}")
        }
    }
}

/// `12 s`, `3 min 20 s`, `2 h 05 min`.
fn duration(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds.filter(|s| s.is_finite() && *s >= 0.0) else { return "–".into() };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a duration")]
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_right() {
        let texts = [0.0, 0.12345, 1234.567, 1e-9, -2.5e7, f64::NAN, f64::INFINITY, 0.001].map(|x| number(Some(x)));
        assert_eq!(texts, ["0.000000", "0.1235", "1235", "1.000e-9", "-2.500e7", "NaN", "∞", "0.001000"]);
        assert_eq!(number(None), "–");
    }
}
