//! The commands that train nothing: plan, status, report, query, merge, show, schema.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use comfy_table::presets;
use engine::Catalog;
use serde_json::json;
use spec::record::Outcome;
use tracker::Reader;
use tracker::query::{Answer, Cell, Limits};
use tracker::read::{RunRecord, StepColumns};

use crate::args::{Format, Plan, Query, Report, SchemaFormat};
use crate::error::Expected;
use crate::output::{self, duration, inert, visible};
use crate::plan::{Action, Planned};
use crate::png::Renderer;

pub fn plan(db: &Path, args: &Plan) -> Result<ExitCode> {
    let planned = Planned::new(db, &args.selection)?;
    planned.skipped.iter().for_each(|line| output::tell(line));
    let text = |s: &str| Cell::Text(s.to_owned());
    let count = |n: u64| Cell::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    if args.json {
        let runs: Vec<_> = planned
            .items
            .iter()
            .map(|i| {
                let (runs, why) = (matches!(i.action, Action::Run(_)), i.action.why());
                let config: serde_json::Value = serde_json::from_str(&i.run.config.json()).unwrap_or_default();
                json!({ "run_id": i.run.id, "study": i.study, "arm": i.arm, "seed": i.run.seed, "runs": runs, "why": why,
                        "steps": i.facts.planned_steps, "parameters": i.facts.parameters, "memory_bytes": i.facts.memory_bytes, "estimate_ms": i.estimate_ms, "config": config })
            })
            .collect();
        writeln!(std::io::stdout(), "{}", inert(&format!("{:#}", json!({ "runs": runs, "estimate_s": planned.estimate_s() }))))?;
        return Ok(ExitCode::SUCCESS);
    }
    let columns = ["study", "arm", "seed", "run", "steps", "parameters", "what", "why"].map(str::to_owned).to_vec();
    let rows = planned.items.iter().map(|i| {
        vec![
            text(&i.study),
            text(&i.arm),
            count(i.run.seed),
            text(&i.run.id),
            count(i.facts.planned_steps),
            count(i.facts.parameters),
            text(i.action.name()),
            text(i.action.why()),
        ]
    });
    let answer = Answer { columns, rows: rows.collect() };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", output::table(&answer, presets::NOTHING))?;
    let runs = planned.to_run().count();
    let steps: u64 = planned.to_run().map(|i| i.facts.planned_steps).sum();
    let time = match planned.estimate_s() {
        _ if runs == 0 => String::new(),
        Some(s) => format!(", about {} with {} at a time (from earlier runs)", duration(s), planned.limits.jobs),
        None => ", no estimate of time: runs like these are not in the database yet".into(),
    };
    let shared = if planned.shared > 0 { format!("; {} cells of later studies are among them", planned.shared) } else { String::new() };
    let (all, refused) = (planned.items.len(), planned.refused().count());
    let skipped = all - runs - refused;
    let refused = if refused > 0 { format!(", {refused} refused") } else { String::new() };
    let shard = args.selection.shard.map_or(String::new(), |shard| format!("shard {shard}: "));
    let (all, steps) = (count_of(all, "run"), count_of(steps, "step"));
    writeln!(out, "\n{shard}{all}: {runs} to train ({steps}), {skipped} to skip{refused}{time}{shared}")?;
    Ok(ExitCode::SUCCESS)
}

pub fn status(db: &Path, as_json: bool) -> Result<ExitCode> {
    let reader = Reader::open(db)?;
    let in_training = reader.in_training()?;
    let mut rows = vec![];
    let mut objects = vec![];
    for study in reader.studies()? {
        let runs = reader.runs(&study)?;
        let mut counts = state_counts(&runs);
        let now = runs.iter().filter(|r| in_training.contains(&r.id)).count();
        if now > 0 {
            // A run that goes on is still what it was until its first record is written.
            for run in runs.iter().filter(|r| in_training.contains(&r.id)) {
                counts.entry(run.state()).and_modify(|n| *n -= 1);
            }
            counts.insert("training", i64::try_from(now).unwrap_or(i64::MAX));
        }
        let get = |state: &str| counts.get(state).copied().unwrap_or(0);
        let failed: Vec<_> = runs
            .iter()
            .filter(|r| r.outcome == Some(Outcome::Failed))
            .map(|r| json!({ "run_id": r.id, "arm": r.arm, "seed": r.seed, "error": r.error }))
            .collect();
        objects.push(json!({ "study": study.name, "runs": runs.len(), "states": counts, "failed": failed }));
        let mut row = vec![Cell::Text(study.name)];
        row.extend(STATES.iter().map(|s| Cell::Integer(get(s))));
        rows.push(row);
    }
    let mut out = std::io::stdout().lock();
    if as_json {
        writeln!(out, "{}", inert(&format!("{:#}", json!(objects))))?;
    } else {
        let columns = std::iter::once("study").chain(STATES).map(str::to_owned).collect();
        writeln!(out, "{}", output::table(&Answer { columns, rows }, presets::NOTHING))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a run can be, see [`RunRecord::state`]; `training` while a sweep is at it.
const STATES: [&str; 8] = ["completed", "diverged", "stopped_early", "failed", "interrupted", "unfinished", "training", "pending"];

fn state_counts(runs: &[RunRecord]) -> BTreeMap<&'static str, i64> {
    let mut counts = BTreeMap::new();
    for run in runs {
        *counts.entry(run.state()).or_insert(0) += 1;
    }
    counts
}

pub fn report(db: &Path, quiet: bool, args: &Report) -> Result<ExitCode> {
    if let Some(what) = &args.trace {
        let mut out = std::io::stdout().lock();
        for trace in analysis::trace(&Reader::open(db)?, what)? {
            let runs = count_of(trace.runs.len(), "run");
            let text = format!("{}\n{}\n{runs}: {}\n", trace.name, trace.query, trace.runs.join(" "));
            writeln!(out, "{}", visible(&text))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let reader = Reader::open(db)?;
    if args.check {
        let stale = analysis::build(&reader, &args.studies)?.stale(&args.out)?;
        if !stale.is_empty() {
            let list = stale.join("\n  ");
            return Err(Expected::Stale(format!(
                "these reports differ from what the database gives; `pipeline report` writes them\n  {list}"
            ))
            .into());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let reports = analysis::update(&reader, &args.studies, &args.out).context("writing the reports")?;
    if args.png {
        let reports = analysis::build(&reader, &args.studies)?;
        let renderer = Renderer::new()?;
        for (name, bytes) in &reports.files {
            if let Some(stem) = name.strip_suffix(".svg") {
                renderer.write(bytes, &args.out.join(format!("{stem}.png")))?;
            }
        }
    }
    for study in reports.studies.iter().filter(|s| !quiet && (args.studies.is_empty() || args.studies.contains(&s.name))) {
        output::tell(&summary_line(study, &args.out));
    }
    Ok(ExitCode::SUCCESS)
}

/// `1 run`, `2 runs`.
pub fn count_of(n: impl TryInto<u64>, noun: &str) -> String {
    let n = n.try_into().unwrap_or(u64::MAX);
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// One line about a study: best arm, and where its report is.
pub fn summary_line(study: &analysis::StudySummary, out: &Path) -> String {
    let best = match &study.best {
        Some(best) => format!("best arm {} ({} {:.4}, median of {})", best.arm, best.metric, best.median, count_of(best.n, "seed")),
        None => "no best arm (none has all its runs completed with a final metric)".into(),
    };
    let lacking: usize = study.runs_by_outcome.iter().filter(|(state, _)| *state == "missing" || *state == "failed").map(|(_, n)| n).sum();
    let best = if lacking > 0 { format!("{best}, {} without a result", count_of(lacking, "run")) } else { best };
    format!("{}: {best} → {}", study.name, out.join(&study.report_path).display())
}

pub fn query(db: &Path, args: &Query) -> Result<ExitCode> {
    let mut sql = args.sql.clone();
    if sql == "-" {
        sql.clear();
        std::io::stdin().read_to_string(&mut sql).context("reading the statement from standard input")?;
    }
    let reader = Reader::open(db)?;
    let time = (args.timeout > 0).then(|| Duration::from_secs(args.timeout.into()));
    if matches!(args.format, Format::Csv) {
        output::csv(|take| reader.each(&sql, time, take))?;
    } else {
        output::print(&reader.query_within(&sql, Limits { time, ..Limits::default() })?, args.format)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The run whose id begins with `id`, once for each study that it is of, with the study's name; at least one.
pub fn find_run(reader: &Reader, id: &str) -> Result<Vec<(String, RunRecord)>> {
    let mut found: Vec<(String, RunRecord)> = vec![];
    for study in reader.studies()? {
        for run in reader.runs(&study)?.into_iter().filter(|r| r.id.starts_with(id)) {
            found.push((study.name.clone(), run));
        }
    }
    let Some((_, run)) = found.first() else {
        return Err(Expected::Usage(format!(
            "no run of a study in the database has an id that begins with `{id}`; `pipeline plan` lists them"
        ))
        .into());
    };
    if let Some((_, other)) = found.iter().find(|(_, r)| r.id != run.id) {
        return Err(Expected::Usage(format!("`{id}` begins the ids of several runs, such as {} and {}", run.id, other.id)).into());
    }
    Ok(found)
}

pub fn show(db: &Path, id: &str) -> Result<ExitCode> {
    let reader = Reader::open(db)?;
    let found = find_run(&reader, id)?;
    let run = found[0].1.clone();
    let mut out = std::io::stdout().lock();
    writeln!(out, "run {}, seed {}", visible(&run.id), run.seed)?;
    for (study, r) in &found {
        writeln!(out, "study {}: {}", visible(study), visible(&r.arm))?;
    }
    let state = run.state();
    let planned = run.planned_steps.map_or(String::new(), |n| format!(" of {n}"));
    let runs = [run];
    let steps = reader.steps(&runs)?;
    let [run] = runs;
    // The count of steps is written when a run ends; until then the log knows better.
    let done = run.steps.max(steps.step.last().copied().unwrap_or(0));
    writeln!(out, "{state} after {done}{planned} steps{}", run.error.as_ref().map_or(String::new(), |e| format!(": {}", visible(e))))?;
    let attempts = reader.attempts(&run.id)?;
    // One that went through says nothing new.
    for a in attempts.iter().filter(|_| attempts.len() > 1) {
        let from = if a.after_step > 0 { format!(" from step {}", a.after_step) } else { String::new() };
        let (outcome, error) =
            (a.outcome.as_deref().unwrap_or("under way"), a.error.as_ref().map_or(String::new(), |e| format!(": {}", visible(e))));
        let host = a.host.as_deref().unwrap_or("unknown host");
        writeln!(out, "attempt {}{from}, {} on {}: {outcome}{error}", a.number, a.started_at, visible(host))?;
    }
    let config: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&run.config).unwrap_or_default();
    writeln!(out)?;
    for (key, value) in &config {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        writeln!(out, "  {:<22} {}", visible(key), visible(&value))?;
    }
    if !steps.step.is_empty() {
        writeln!(
            out,
            "\ntraining loss per step, first {:.4}, last {:.4}\n  {}",
            steps.loss[0],
            steps.loss[steps.loss.len() - 1],
            sparkline(&steps)
        )?;
    }
    let evals = reader.evals(&[run])?;
    let rows = (0..evals.step.len()).map(|i| {
        let integer = |n: u64| Cell::Integer(i64::try_from(n).unwrap_or(i64::MAX));
        vec![
            Cell::Text(evals.split[i].name().into()),
            integer(evals.epoch[i]),
            integer(evals.step[i]),
            Cell::Real(evals.loss[i]),
            Cell::Real(evals.accuracy[i]),
        ]
    });
    let columns = ["split", "epoch", "step", "loss", "accuracy"].map(str::to_owned).to_vec();
    writeln!(out, "\n{}", output::table(&Answer { columns, rows: rows.collect() }, presets::NOTHING))?;
    Ok(ExitCode::SUCCESS)
}

/// The loss on a logarithmic scale in at most 60 characters, each the mean of its steps; `✕` where it is not finite.
fn sparkline(steps: &StepColumns) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let size = steps.loss.len().div_ceil(60);
    let means: Vec<f64> = steps.loss.chunks(size).map(|c| (c.iter().sum::<f64>() / c.len() as f64 + 1e-12).ln()).collect();
    let finite = || means.iter().copied().filter(|m| m.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list of eight")]
    let bar = |m: &f64| if m.is_finite() { BARS[((m - low) / (high - low).max(1e-12) * 7.0).round() as usize] } else { '✕' };
    means.iter().map(bar).collect()
}

pub fn merge(db: &Path, quiet: bool, sources: &[PathBuf]) -> Result<ExitCode> {
    let merged = tracker::merge(sources, db)?;
    for (source, merged) in sources.iter().zip(merged).filter(|_| !quiet) {
        let source = source.display();
        output::tell(&format!("{source}: {} new, {} better, {} there already", count_of(merged.new, "run"), merged.better, merged.known));
        for study in merged.different_studies {
            output::tell(&format!("{source}: its study {study} has another grid than the one in {}, which stays", db.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub fn schema(format: SchemaFormat) -> Result<ExitCode> {
    let vocabulary = crate::grids::vocabulary(&Catalog::new(None), Path::new("experiments/models"))?;
    let text = match format {
        SchemaFormat::Json => spec::schema::json_schema(&vocabulary),
        SchemaFormat::Markdown => spec::reference::markdown(&vocabulary),
    };
    write!(std::io::stdout(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}
