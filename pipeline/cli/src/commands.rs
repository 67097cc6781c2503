//! Commands that train nothing: plan, report, query, merge, schema.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use comfy_table::presets;
use engine::Catalog;
use serde_json::json;
use tracker::Reader;
use tracker::query::{Answer, Cell, Limits};

use crate::args::{Format, Plan, Query, Report, SchemaFormat};
use crate::error::{Expected, FAILED};
use crate::output::{self, duration, inert, visible};
use crate::plan::{Action, Planned};
use crate::png::Renderer;
use crate::slurm::Folder;

pub fn plan(db: &Path, args: &Plan) -> Result<ExitCode> {
    if args.print_grid {
        let made = crate::grids::all_overridden(&args.selection.grids()?)?;
        for (i, grid) in made.iter().enumerate() {
            write!(std::io::stdout(), "{}{}", if i > 0 { "\n" } else { "" }, visible(&grid.text))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let planned = Planned::new(db, &args.selection, &args.selection.resources)?.with_runs(&args.selection)?;
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

pub fn report(db: &Path, quiet: bool, args: &Report) -> Result<ExitCode> {
    if let Some(what) = &args.trace {
        let traces = analysis::trace(&Reader::open(db)?, what)?;
        if args.json {
            let all: Vec<_> = traces.iter().map(|t| json!({ "name": t.name, "query": t.query, "runs": t.runs })).collect();
            output::json(&json!(all))?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut out = std::io::stdout().lock();
        for trace in traces {
            let runs = count_of(trace.runs.len(), "run");
            let text = format!("{}\n{}\n{runs}: {}\n", trace.name, trace.query, trace.runs.join(" "));
            writeln!(out, "{}", visible(&text))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let reader = Reader::open(db)?;
    if args.check {
        let stale = analysis::build(&reader, &args.studies)?.stale(&args.out)?;
        if args.json {
            output::json(&json!({ "stale": stale }))?;
        }
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
    if args.json {
        let studies = reports.studies.iter().filter(|s| args.studies.is_empty() || args.studies.contains(&s.name));
        let studies: Vec<_> = studies.map(|s| study_object(s, &args.out)).collect();
        output::json(&json!({ "studies": studies, "written": reports.files.keys().collect::<Vec<_>>() }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for study in reports.studies.iter().filter(|s| !quiet && (args.studies.is_empty() || args.studies.contains(&s.name))) {
        output::tell(&summary_line(study, &args.out));
    }
    Ok(ExitCode::SUCCESS)
}

fn study_object(study: &analysis::StudySummary, out: &Path) -> serde_json::Value {
    let best =
        study.best.as_ref().map(|b| json!({ "arm": b.arm, "metric": b.metric.name(), "median": output::number(b.median), "seeds": b.n }));
    let runs: serde_json::Map<String, serde_json::Value> =
        study.runs_by_outcome.iter().map(|(state, n)| ((*state).to_owned(), (*n).into())).collect();
    json!({ "study": study.name, "question": study.question, "runs": runs, "best": best,
        "report": out.join(&study.report_path).display().to_string() })
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
    let format = if args.json { Format::Json } else { args.format };
    if matches!(format, Format::Csv) {
        output::csv(|take| reader.each(&sql, time, take))?;
    } else {
        output::print(&reader.query_within(&sql, Limits { time, ..Limits::default() })?, format)?;
    }
    Ok(ExitCode::SUCCESS)
}

pub fn merge(db: &Path, quiet: bool, sources: &[PathBuf], as_json: bool) -> Result<ExitCode> {
    let (folders, files): (Vec<&PathBuf>, Vec<&PathBuf>) = sources.iter().partition(|source| source.is_dir());
    let mut files: Vec<PathBuf> = files.into_iter().cloned().collect();
    let folders = folders.into_iter().map(|folder| Folder::open(folder)).collect::<Result<Vec<_>>>()?;
    files.extend(folders.iter().flat_map(Folder::published));
    let merged = if files.is_empty() { vec![] } else { tracker::merge(&files, db)? };
    if as_json {
        let object = |(source, m): (&PathBuf, &tracker::Merged)| {
            json!({ "source": source.display().to_string(), "new": m.new, "better": m.better, "known": m.known,
                "different_studies": m.different_studies })
        };
        output::json(&json!(files.iter().zip(&merged).map(object).collect::<Vec<_>>()))?;
    }
    for (source, merged) in files.iter().zip(merged).filter(|_| !quiet && !as_json) {
        let source = source.display();
        output::tell(&format!("{source}: {} new, {} better, {} there already", count_of(merged.new, "run"), merged.better, merged.known));
        for study in merged.different_studies {
            output::tell(&format!("{source}: its study {study} has another grid than the one in {}, which stays", db.display()));
        }
    }
    let gaps = folders.iter().map(|folder| folder.name_gaps(db)).sum::<Result<usize>>()?;
    Ok(if gaps > 0 { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
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
