//! One run: configuration, environment, tries, diagnosis, network, curves, evaluations, pictures.

use std::sync::Arc;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use tracker::Reader;
use tracker::live::Member;
use tracker::read::RunRecord;

use super::runs::utc;
use super::{count, duration, number, page as whole, state, study_link};
use crate::cache::Metric;
use crate::overview::{Overview, Run};
use crate::query::{Query, encoded};
use crate::{App, Error, Parts};

/// Evaluations that are listed; a descent has one for every step.
const MOST_EVALS: usize = 200;
const MOST_PICTURES: usize = 64;

/// The run whose id begins so, with its places in studies.
fn find<'a>(overview: &'a Overview, parts: &Parts) -> Result<(Vec<&'a Member>, &'a Arc<Run>), Error> {
    let id = parts.first().map_or("", String::as_str);
    let mut runs = overview.runs.values().filter(|run| !id.is_empty() && run.live.id.starts_with(id));
    let run = runs.next().ok_or_else(|| Error::NotFound(format!("there is no run `{id}`")))?;
    if runs.next().is_some() {
        return Err(Error::NotFound(format!("`{id}` begins the ids of several runs")));
    }
    Ok((overview.members.iter().filter(|member| member.run == run.live.id).collect(), run))
}

/// All that is recorded of a run, as one of the studies that it is of has it.
fn record(reader: &Reader, overview: &Overview, member: &Member) -> Result<RunRecord, Error> {
    let runs = reader.runs(overview.study(&member.study)?)?;
    runs.into_iter().find(|run| run.id == member.run).ok_or_else(|| Error::NotFound("the run is gone".into()))
}

pub(crate) fn page(app: &App, parts: &Parts, _: &Query) -> Result<Response, Error> {
    let overview = app.overview()?;
    let (members, run) = find(&overview, parts)?;
    let reader = app.reader()?;
    let record = members.first().map(|member| record(&reader, &overview, member)).transpose()?;
    let diagnosis = match (&record, members.first()) {
        (Some(record), Some(member)) => (app.diagnose)(&reader, overview.study(&member.study)?, record),
        _ => None,
    };
    let metrics = [
        Metric::Step(tracker::live::StepMetric::Loss),
        Metric::Eval(spec::Split::Validation, false),
        Metric::Eval(spec::Split::Validation, true),
        Metric::Step(tracker::live::StepMetric::GradNorm),
        Metric::Step(tracker::live::StepMetric::Lr),
    ];
    let content = html! {
        div #state data-live {
            dl.facts {
                div { dt { "outcome" } dd { (state(run.state())) } }
                div { dt { "steps" } dd { (run.progress.map_or(run.live.steps, |p| p.step)) @if let Some(planned) = run.live.planned_steps { " of " (planned) } } }
                div { dt { "took" } dd { (duration(run.seconds())) } }
                @if let Some(left) = run.seconds_left() { div { dt { "time left" } dd { (duration(Some(left))) } } }
                @for metric in ["validation_loss", "validation_accuracy", "test_accuracy"] { div { dt { (metric) } dd { (number(run.last(metric))) } } }
            }
            @if let Some(why) = &run.live.error { p.warning { (why) } }
        }
        @for member in &members { p { "Study " (study_link(&member.study)) ", arm " (member.arm) ", seed " (run.live.seed) "." } }
        @if let Some((condition, evidence)) = &diagnosis {
            section aria-labelledby="diagnosis" { h2 #diagnosis { "Diagnosis" } p { strong { (condition) } ": " (evidence) "." } }
        }
        section aria-labelledby="curves" {
            h2 #curves { "Curves" }
            form #choice data-run=(run.live.id) {
                div.tools {
                    label { "metric " select name="metric" { @for metric in metrics { option value=(metric.name()) { (metric.title()) } } } }
                    label { "y " select name="y-scale" { option value="linear" { "linear" } option value="log" { "log" } } }
                    label { "smoothing " input type="range" name="smooth" min="0" max="0.99" step="0.01" value="0"; output { "0" } }
                }
            }
            div #chart.chart role="img" aria-label="Curve of the run" {}
            p.note #chart-note { "Drawing takes a script." }
        }
        (evaluations(&reader, record.as_ref())?)
        section aria-labelledby="configuration" {
            h2 #configuration { "Configuration" }
            div.scroll { table { tbody { @for (key, value) in run.config.iter() { tr { th scope="row" { code { (key) } } td.text { (value) } } } } } }
        }
        (environment(&reader, run, record.as_ref())?)
        @if let Some(record) = &record { (layers(record)) (pictures(&reader, record)?) }
    };
    Ok(whole(Some(&overview), &format!("Run {}", run.live.id), "", &content))
}

fn evaluations(reader: &Reader, record: Option<&RunRecord>) -> Result<Markup, Error> {
    let Some(record) = record else { return Ok(html! {}) };
    let evals = reader.evals(std::slice::from_ref(record))?;
    let all = evals.step.len();
    Ok(html! {
        section aria-labelledby="evaluations" {
            h2 #evaluations { "Evaluations" }
            @if all > MOST_EVALS { p.note { "The last " (MOST_EVALS) " of " (all) "." } }
            div.scroll tabindex="0" role="region" aria-label="Evaluations" { table #evals data-live {
                thead { tr { th scope="col" { "split" } th scope="col" { "epoch" } th scope="col" { "step" } th scope="col" { "loss" } th scope="col" { "accuracy" } } }
                tbody { @for i in all.saturating_sub(MOST_EVALS)..all {
                    tr { td { (evals.split[i].name()) } td.number { (evals.epoch[i]) } td.number { (evals.step[i]) } td.number { (number(Some(evals.loss[i]))) } td.number { (number(Some(evals.accuracy[i]))) } }
                } }
            } }
        }
    })
}

fn environment(reader: &Reader, run: &Run, record: Option<&RunRecord>) -> Result<Markup, Error> {
    let attempts = reader.attempts(&run.live.id)?;
    let text = |value: Option<&str>| value.unwrap_or("not recorded").to_owned();
    let cpu = reader.cpu(&run.live.id)?;
    let commit = record.and_then(|r| {
        Some(format!("{}{}", r.git_commit.as_ref()?, if r.git_dirty == Some(true) { ", with uncommitted changes" } else { "" }))
    });
    let facts = [
        ("host", text(run.live.host.as_deref())),
        ("processor", text(cpu.as_deref())),
        ("device", text(run.live.device.as_deref())),
        ("version", text(record.and_then(|r| r.version.as_deref()))),
        ("git commit", text(commit.as_deref())),
        ("parameters", run.live.parameters.map_or("not recorded".into(), |n| n.to_string())),
        ("started (UTC)", run.live.started_at.map_or("–".into(), utc)),
        ("ended (UTC)", run.live.ended_at.map_or("–".into(), utc)),
    ];
    Ok(html! {
        section aria-labelledby="environment" {
            h2 #environment { "Environment" }
            div.scroll { table { tbody { @for (name, value) in facts { tr { th scope="row" { (name) } td.text { (value) } } } } } }
            @if attempts.len() > 1 {
                h3 { "Tries" }
                div.scroll { table {
                    thead { tr { th scope="col" { "try" } th scope="col" { "host" } th scope="col" { "went on after step" } th scope="col" { "started" } th scope="col" { "outcome" } } }
                    tbody { @for a in &attempts { tr {
                        td.number { (a.number) } td { (a.host.as_deref().unwrap_or("–")) } td.number { (a.after_step) } td { (a.started_at) }
                        td.text { (a.outcome.as_deref().unwrap_or("under way")) @if let Some(why) = &a.error { ": " (why) } }
                    } } }
                } }
            }
        }
    })
}

fn layers(record: &RunRecord) -> Markup {
    if record.layers.is_empty() {
        return html! {};
    }
    let shape = |sizes: &[usize]| sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join("×");
    html! {
        section aria-labelledby="network" {
            h2 #network { "Network" }
            p.note { (count(record.layers.len(), "layer")) "; multiply-adds are of one example's forward pass." }
            div.scroll tabindex="0" role="region" aria-label="Layers" { table {
                thead { tr { th scope="col" { "#" } th scope="col" { "layer" } th scope="col" { "output" } th scope="col" { "parameters" } th scope="col" { "multiply-adds" } } }
                tbody { @for (i, layer) in record.layers.iter().enumerate() {
                    tr { td.number { (i + 1) } th.text scope="row" { code { (layer.text) } } td { (shape(&layer.output)) } td.number { (layer.parameters) } td.number { (layer.multiply_adds) } }
                } }
            } }
        }
    }
}

fn pictures(reader: &Reader, record: &RunRecord) -> Result<Markup, Error> {
    let pictures = reader.pictures(std::slice::from_ref(record))?;
    let measurements = reader.measurements(std::slice::from_ref(record))?;
    Ok(html! {
        @if !measurements.is_empty() {
            section aria-labelledby="measurements" {
                h2 #measurements { "Measurements" }
                div.scroll { table { tbody { @for (_, m) in &measurements { tr { th.text scope="row" { (m.name) } td.number { (number(Some(m.value))) } } } } } }
            }
        }
        @if !pictures.is_empty() {
            section aria-labelledby="pictures" {
                h2 #pictures { "Pictures" }
                div.pictures { @for (place, (_, picture)) in pictures.iter().enumerate().take(MOST_PICTURES) {
                    figure { img src=(format!("/picture/{}/{place}", encoded(&record.id))) alt=(picture.name) loading="lazy"; figcaption { (picture.name) } }
                } }
            }
        }
    })
}

/// One of a run's pictures, as an image without compression: `image/bmp` is what every browser draws and twenty lines write.
pub(crate) fn picture(app: &App, parts: &Parts, _: &Query) -> Result<Response, Error> {
    let overview = app.overview()?;
    let (members, _) = find(&overview, parts)?;
    let gone = || Error::NotFound("there is no such picture".into());
    let reader = app.reader()?;
    let record = record(&reader, &overview, members.first().ok_or_else(gone)?)?;
    let place: usize = parts.get(1).and_then(|place| place.parse().ok()).ok_or_else(gone)?;
    let (_, picture) = reader.pictures(std::slice::from_ref(&record))?.into_iter().nth(place).ok_or_else(gone)?;
    let (width, height, channels) = (picture.width as usize, picture.height as usize, picture.channels as usize);
    let line = (3 * width).next_multiple_of(4);
    let mut bmp = Vec::with_capacity(54 + line * height);
    let word = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    bmp.extend(b"BM");
    for n in [54 + line * height, 0, 54, 40, width, height] {
        bmp.extend(word(n));
    }
    bmp.extend([1, 0, 24, 0]);
    for n in [0, line * height, 2835, 2835, 0, 0] {
        bmp.extend(word(n));
    }
    // From the lowest row up, blue first.
    for row in picture.pixels.chunks_exact((width * channels).max(1)).rev() {
        for pixel in row.chunks_exact(channels) {
            bmp.extend([pixel[channels - 1], pixel[channels / 2], pixel[0]]);
        }
        bmp.extend(std::iter::repeat_n(0, line - 3 * width));
    }
    let tag = format!("\"{}\"", spec::fingerprint(&bmp));
    Ok(([(header::CONTENT_TYPE, "image/bmp".to_owned()), (header::ETAG, tag)], bmp).into_response())
}
