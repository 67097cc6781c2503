//! The first page: studies, and what is in training now.

use axum::response::Response;
use maud::{Markup, html};

use super::{count, duration, number, page as whole, run_link, state, study_link};
use crate::overview::{Load, Overview};
use crate::query::Query;
use crate::{App, Error, Parts};

pub(crate) fn page(app: &App, _: &Parts, _: &Query) -> Result<Response, Error> {
    let overview = app.overview()?;
    let content = html! {
        (at_work(&overview, &app.load()))
        section aria-labelledby="studies" {
            h2 #studies { "Studies" }
            @if overview.studies.is_empty() { p.empty { "No study was swept yet." } }
            div.scroll { table #table-studies data-live {
                thead { tr { th scope="col" { "study" } th scope="col" { "question" } th scope="col" { "decided by" } th scope="col" { "runs" } } }
                tbody {
                    @for study in &overview.studies {
                        tr {
                            th scope="row" { (study_link(&study.name)) }
                            td.text { (study.question) }
                            td { code { (study.metric.name()) } }
                            td { (counts(&overview, &study.name)) }
                        }
                    }
                }
            } }
        }
    };
    Ok(whole(Some(&overview), "Studies", "/", &content))
}

/// A bar of states with their numbers.
pub(super) fn counts(overview: &Overview, study: &str) -> Markup {
    let counts = overview.counts(study);
    let total: usize = counts.iter().map(|(_, n)| n).sum();
    html! {
        svg.bar viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" {
            @for (i, (name, n)) in counts.iter().enumerate() {
                @let before: usize = counts[..i].iter().map(|(_, n)| n).sum();
                @let of = |n: usize| format!("{:.3}", 100.0 * n as f64 / total.max(1) as f64);
                rect class=(name) x=(of(before)) y="0" height="6" width=(of(*n)) {}
            }
        }
        ul.counts { @for (name, n) in counts { li { (n) " " (state(name)) } } }
    }
}

/// Runs in training, their speed, and the machine's load.
fn at_work(overview: &Overview, load: &Load) -> Markup {
    let mut runs: Vec<_> =
        overview.members.iter().filter_map(|m| Some((m, overview.runs.get(&m.run).filter(|run| run.in_training)?))).collect();
    runs.dedup_by(|a, b| a.1.live.id == b.1.live.id);
    let speed: f64 = runs.iter().filter_map(|(_, run)| run.progress?.ms_per_step).filter(|ms| *ms > 0.0).map(|ms| 1e3 / ms).sum();
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
    html! {
        section aria-labelledby="at-work" {
            h2 #at-work { "In training" }
            div #training data-live {
                @if runs.is_empty() { p.note { "Nothing is in training." } }
                @else {
                    dl.facts {
                        div { dt { "sweeps" } dd { (overview.sweeps.len()) } }
                        div { dt { "speed" } dd { (number(Some(speed))) " steps/s" } }
                        div { dt { "time left, about" } dd { (duration(overview.seconds_left())) } }
                        div { dt { "CPU of this machine" } dd { (format!("{:.0} %", 100.0 * load.cpu)) " of " (count(load.cores, "core")) } }
                        div { dt { "memory of this machine" } dd { (gib(load.memory_used)) " of " (gib(load.memory_total)) } }
                    }
                    div.scroll { table {
                        thead { tr { th scope="col" { "run" } th scope="col" { "study" } th scope="col" { "arm" } th scope="col" { "seed" } th scope="col" { "step" } th scope="col" { "loss" } th scope="col" { "steps/s" } th scope="col" { "time left" } } }
                        tbody { @for (member, run) in &runs {
                            tr {
                                th scope="row" { (run_link(&run.live.id)) }
                                td { (study_link(&member.study)) }
                                td.text { (member.arm) }
                                td.number { (run.live.seed) }
                                td.number {
                                    (run.progress.map_or(0, |p| p.step))
                                    @if let Some(planned) = run.live.planned_steps {
                                        " of " (planned) " "
                                        progress max=(planned) value=(run.progress.map_or(0, |p| p.step)) aria-label="steps" {}
                                    }
                                }
                                td.number { (number(run.progress.map(|p| p.loss))) }
                                td.number { (number(run.progress.and_then(|p| p.ms_per_step).map(|ms| 1e3 / ms))) }
                                td.number { (duration(run.seconds_left())) }
                            }
                        } }
                    } }
                }
                @for sweep in &overview.sweeps {
                    p.note { "Sweep on " (sweep.host.as_deref().unwrap_or("an unknown host")) ", process " (sweep.pid) ", since " (sweep.started_at) ", heard of " (duration(Some(sweep.silent_s))) " ago." }
                }
            }
        }
    }
}
