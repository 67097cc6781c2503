//! Curves of chosen arms as JSON: each seed by itself, or the seeds of an arm as a band.

use std::collections::BTreeMap;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tracker::live::{Member, Point};

use crate::cache::Metric;
use crate::decimate::Decimated;
use crate::overview::Run;
use crate::query::Query;
use crate::{App, Error, Parts};

/// Arms and runs of one picture at most; more could not be told apart.
const MOST_ARMS: usize = 40;
const MOST_RUNS: usize = 400;

/// `/curves?study=…&arm=0&arm=3&metric=validation_loss&x=step&show=band`, or `/curves?run=…&metric=loss`.
pub(crate) fn answer(app: &App, _: &Parts, query: &Query) -> Result<Response, Error> {
    let metric = query.get("metric").unwrap_or("loss");
    let metric = Metric::named(metric).ok_or_else(|| Error::Request(format!("there is no metric `{metric}`")))?;
    let x = X::named(query.get("x").unwrap_or("step"))?;
    let overview = app.overview()?;
    let chosen: Vec<(&Member, &std::sync::Arc<Run>)> = match (query.get("run"), query.get("study")) {
        (Some(id), _) => {
            overview.members.iter().filter(|m| m.run == id).take(1).filter_map(|m| Some((m, overview.runs.get(&m.run)?))).collect()
        }
        (None, Some(study)) => {
            let arms: Vec<usize> = query.all("arm").filter_map(|arm| arm.parse().ok()).take(MOST_ARMS).collect();
            overview.members_of(study).filter(|(member, _)| arms.contains(&member.position)).take(MOST_RUNS).collect()
        }
        (None, None) => return Err(Error::Request("name a study with its arms, or a run".into())),
    };
    let reader = app.reader()?;
    let mut curves = vec![];
    for (member, run) in chosen {
        let mut kept = app.curves.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        curves.push((member, run, kept.get(&reader, run, metric)?));
    }
    let series = if query.get("show") == Some("band") { bands(curves, x) } else { seeds(&curves, x) };
    let text = json!({ "metric": metric.name(), "title": metric.title(), "x": x.title(), "series": series }).to_string();
    let tag = format!("\"{}\"", spec::fingerprint(text.as_bytes()));
    Ok(([(header::CONTENT_TYPE, "application/json".to_owned()), (header::ETAG, tag)], text).into_response())
}

/// What a curve is drawn against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum X {
    Step,
    Epoch,
    Examples,
    Time,
}

impl X {
    fn named(name: &str) -> Result<Self, Error> {
        match name {
            "step" => Ok(X::Step),
            "epoch" => Ok(X::Epoch),
            "examples" => Ok(X::Examples),
            "time" => Ok(X::Time),
            other => Err(Error::Request(format!("there is no axis `{other}`; there are step, epoch, examples, time"))),
        }
    }

    fn title(self) -> &'static str {
        match self {
            X::Step => "step",
            X::Epoch => "epoch",
            X::Examples => "examples seen",
            X::Time => "training time (s)",
        }
    }

    fn of(self, p: &Point) -> f64 {
        match self {
            X::Step => p.step as f64,
            X::Epoch => p.epoch as f64,
            X::Examples => p.examples as f64,
            X::Time => p.elapsed_ms / 1e3,
        }
    }
}

type Read<'a> = (&'a Member, &'a std::sync::Arc<Run>, Decimated);

fn seeds(curves: &[Read<'_>], x: X) -> Vec<Value> {
    let series = |(member, run, curve): &Read<'_>| {
        let points = curve.points();
        // JSON has no infinity: a value that is none is a gap.
        let (xs, ys): (Vec<f64>, Vec<Option<f64>>) = points.iter().map(|p| (x.of(p), Some(p.value).filter(|v| v.is_finite()))).unzip();
        json!({ "arm": member.arm, "position": member.position, "seed": run.live.seed, "run": run.live.id, "state": run.state(), "x": xs, "y": ys })
    };
    curves.iter().map(series).collect()
}

/// Median, lowest and highest of the seeds' means in each bucket.
fn bands(curves: Vec<Read<'_>>, x: X) -> Vec<Value> {
    let mut arms: BTreeMap<usize, (String, Vec<(String, Decimated)>)> = BTreeMap::new();
    for (member, run, curve) in curves {
        let state = run.state().to_owned();
        arms.entry(member.position).or_insert_with(|| (member.arm.clone(), vec![])).1.push((state, curve));
    }
    let series = |(position, (arm, mut curves)): (usize, (String, Vec<(String, Decimated)>))| {
        let width = curves.iter().map(|(_, curve)| curve.width).max().unwrap_or(1);
        let mut buckets: BTreeMap<u64, (f64, Vec<f64>)> = BTreeMap::new();
        for (_, curve) in &mut curves {
            curve.widen(width);
            for bucket in &curve.buckets {
                let place = buckets.entry(bucket.index).or_insert_with(|| (x.of(&bucket.first), vec![]));
                place.0 = place.0.max(x.of(&bucket.first));
                // A seed that has a value which is no number has none here.
                if bucket.bad.is_none() && bucket.finite > 0 {
                    place.1.push(bucket.mean());
                }
            }
        }
        let (mut xs, mut low, mut middle, mut high) = (vec![], vec![], vec![], vec![]);
        for (at, mut values) in buckets.into_values() {
            values.sort_by(f64::total_cmp);
            xs.push(at);
            low.push(values.first().copied());
            high.push(values.last().copied());
            middle.push(median(&values));
        }
        let diverged = curves.iter().filter(|(state, _)| state == "diverged").count();
        json!({ "arm": arm, "position": position, "seeds": curves.len(), "diverged": diverged, "x": xs, "y": middle, "low": low, "high": high })
    };
    arms.into_iter().map(series).collect()
}

/// Of sorted values.
fn median(values: &[f64]) -> Option<f64> {
    let (i, n) = (values.len() / 2, values.len());
    match n {
        0 => None,
        n if n % 2 == 1 => Some(values[i]),
        _ => Some(f64::midpoint(values[i - 1], values[i])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!([&[][..], &[2.0], &[1.0, 2.0], &[1.0, 2.0, 9.0]].map(median), [None, Some(2.0), Some(1.5), Some(2.0)]);
    }
}
