//! `pipeline reproduce`: a finished run is trained again, and all that it records is compared with its log.

mod compare;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::json;
use spec::record::Outcome;
use spec::{Config, RunSpec};
use tracker::Reader;
use tracker::read::RunRecord;

use crate::args::Reproduce;
use crate::commands::count_of;
use crate::environment;
use crate::error::{Expected, FAILED};
use crate::output::tell;
use crate::runs::find_run;
use compare::{Comparison, Counts, Logged, Verdict};

pub fn reproduce(db: &Path, quiet: bool, args: &Reproduce) -> Result<ExitCode> {
    let reader = Reader::open(db)?;
    let found = find_run(&reader, &args.run)?;
    let (study, record) = &found[0];
    let outcome = finished(record)?;
    let config = Config::from_json(&record.config).with_context(|| format!("the configuration of run {}", record.id))?;
    let run = RunSpec { id: config.run_id(record.seed), seed: record.seed, config };
    if run.id != record.id {
        bail!("run {} has a configuration and a seed that make it run {}: the database was changed", record.id, run.id);
    }
    let catalog = args.on.catalog()?;
    let usage = |e: String| Expected::Usage(e);
    let dataset = run.config.get("dataset").map(|_| catalog.dataset(&run.config)).transpose().map_err(|e| usage(e.to_string()))?;
    if let (Some(dataset), Ok(logged)) = (&dataset, run.config.text("dataset_checksum"))
        && dataset.checksum != logged
    {
        let what = format!("the run was trained on another {} (checksum {logged}) than is here ({})", dataset.name, dataset.checksum);
        return Err(usage(format!("{what}; --data-dir says where to look")).into());
    }
    let device = args.on.device()?;
    let threads = args.on.threads();
    if !quiet {
        tell(&format!("{} of {study} · {}, seed {}", count_of(record.steps, "step"), record.arm, record.seed));
    }
    let logged = Logged::read(&reader, record)?;
    let mut comparison = Comparison::new(logged, record.device.clone(), environment::cpu());
    let ending = engine::run(&run, dataset.as_deref(), &device, &|| threads, None, &mut comparison)?;
    let verdict = comparison.end((outcome, record), &ending);
    let text = if args.json { as_json(record, &verdict) } else { as_text(&found, &verdict) };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(if verdict.first.is_none() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// How a run ended that has a whole log.
fn finished(run: &RunRecord) -> Result<Outcome, Expected> {
    let id = &run.id;
    if run.is_imported() {
        return Err(Expected::Usage(format!("run {id} was imported: it was trained elsewhere, and can't be trained again here")));
    }
    match run.outcome {
        Some(outcome) if outcome.is_result() => Ok(outcome),
        Some(Outcome::Failed) => {
            let why = run.error.as_deref().unwrap_or("for a reason that is not known");
            let what = format!("run {id} failed ({why}), so that it has no result to compare with");
            Err(Expected::Usage(format!("{what}; `pipeline sweep --retry-failed` trains it again")))
        }
        _ => Err(Expected::Usage(format!(
            "run {id} is {}, and only a whole log can be compared; `pipeline sweep` ends it first",
            run.state()
        ))),
    }
}

fn as_text(found: &[(String, RunRecord)], verdict: &Verdict) -> String {
    let run = &found[0].1;
    let places: Vec<String> = found.iter().map(|(study, run)| format!("{study}: {}", run.arm)).collect();
    let kinds = named(&verdict.counts).into_iter().filter(|(_, n)| *n > 0);
    let compared: Vec<String> = kinds.map(|(kind, n)| count_of(n, kind)).collect();
    let mut lines = vec![
        format!("run {}, seed {} ({})", run.id, run.seed, places.join("; ")),
        format!("compared   {}", if compared.is_empty() { "nothing".to_owned() } else { compared.join(", ") }),
        format!("how        {}", verdict.how),
    ];
    if let Some(d) = &verdict.largest {
        let (relative, at) = (d.relative, &d.at);
        lines.push(format!("deviation  at most {relative:.1e} of the number: {at} was {:?} and is {:?}", d.logged, d.now));
    }
    lines.push(match &verdict.first {
        None if verdict.largest.is_none() => {
            format!("same       {} after {}, and no bit differs", run.state(), count_of(run.steps, "step"))
        }
        None => format!("same       {} after {}, and no number is further off than that", run.state(), count_of(run.steps, "step")),
        Some(d) => format!("different  first in {}: {} in the log, {} now", d.at, d.logged, d.now),
    });
    lines.join("\n")
}

fn as_json(run: &RunRecord, verdict: &Verdict) -> String {
    let compared: serde_json::Map<String, serde_json::Value> =
        named(&verdict.counts).into_iter().map(|(kind, n)| (format!("{}s", kind.replace(' ', "_")), n.into())).collect();
    // JSON has no infinity and no NaN.
    let number = |x: f64| if x.is_finite() { json!(x) } else { json!(x.to_string()) };
    let first = verdict.first.as_ref().map(|d| json!({ "at": d.at, "step": d.step, "logged": d.logged, "now": d.now }));
    let largest = verdict
        .largest
        .as_ref()
        .map(|d| json!({ "at": d.at, "step": d.step, "relative": number(d.relative), "logged": number(d.logged), "now": number(d.now) }));
    let answer = json!({ "run_id": run.id, "seed": run.seed, "outcome": run.state(), "steps": run.steps, "compared": compared,
        "bit_by_bit": verdict.is_exact, "how": verdict.how, "same": verdict.first.is_none(),
        "first_difference": first, "largest_deviation": largest });
    format!("{answer:#}")
}

/// How much of each kind was compared, by its name in the singular.
fn named(counts: &Counts) -> [(&'static str, u64); 6] {
    [
        ("step", counts.steps),
        ("evaluation", counts.evals),
        ("position", counts.positions),
        ("measurement", counts.measurements),
        ("confusion count", counts.confusions),
        ("picture", counts.pictures),
    ]
}
