//! `pipeline show`: a run in full, or several compared.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use comfy_table::presets;
use serde_json::{Map, Value, json};
use spec::Split;
use tracker::Reader;
use tracker::query::{Answer, Cell};
use tracker::read::{Attempt, EvalColumns, RunRecord, StepColumns};

use crate::args::Show;
use crate::chart::{self, Curve, Style};
use crate::error::Expected;
use crate::output::{self, number, visible};
use crate::runs::{find_run, matching};

/// More curves than this can't be told apart in one picture.
const MOST: usize = 6;
/// Rows of a picture.
const ROWS: usize = 12;
/// Columns where there is no terminal, so that what is piped is always the same.
const COLUMNS: usize = 80;

/// A run with all that is shown of it.
struct Shown {
    /// Once for each study that it is of, with the study's name.
    places: Vec<(String, RunRecord)>,
    attempts: Vec<Attempt>,
    steps: StepColumns,
    evals: EvalColumns,
    cpu: Option<String>,
    diagnosis: Option<analysis::diagnosis::Diagnosis>,
}

impl Shown {
    fn read(reader: &Reader, places: Vec<(String, RunRecord)>) -> Result<Self> {
        let runs = [places[0].1.clone()];
        let study = reader.studies()?.into_iter().find(|study| study.name == places[0].0);
        let diagnosis = study.map(|study| analysis::judgement::of_run(reader, &study, &runs[0])).transpose()?.flatten();
        Ok(Shown {
            attempts: reader.attempts(&runs[0].id)?,
            steps: reader.steps(&runs)?,
            evals: reader.evals(&runs)?,
            cpu: reader.cpu(&runs[0].id)?,
            diagnosis,
            places,
        })
    }

    fn run(&self) -> &RunRecord {
        &self.places[0].1
    }

    /// The count of steps is written when a run ends; until then the log knows better.
    fn done(&self) -> u64 {
        self.run().steps.max(self.steps.step.last().copied().unwrap_or(0))
    }

    fn losses(&self) -> Vec<(f64, f64)> {
        self.steps.step.iter().zip(&self.steps.loss).map(|(step, loss)| (*step as f64, *loss)).collect()
    }
}

pub fn show(db: &Path, args: &Show) -> Result<ExitCode> {
    let reader = Reader::open(db)?;
    let mut all = vec![];
    for places in chosen(&reader, args)? {
        all.push(Shown::read(&reader, places)?);
    }
    if args.json {
        let objects: Vec<Value> = all.iter().map(object).collect();
        // One that was asked for by its id is itself, not a list of one.
        let is_one = args.filter.is_none() && objects.len() == 1;
        output::json(&if is_one { objects.into_iter().next().unwrap_or_default() } else { json!(objects) })?;
        return Ok(ExitCode::SUCCESS);
    }
    let columns = crossterm::terminal::size().ok().filter(|_| std::io::IsTerminal::is_terminal(&std::io::stdout()));
    let width = args.width.map(usize::from).or(columns.map(|(columns, _)| usize::from(columns).max(40))).unwrap_or(COLUMNS);
    let style = Style { width, height: ROWS, unicode: chart::is_unicode(), color: output::colors_data() };
    let text = if all.len() == 1 { one(&all[0], style) } else { several(&all, style) };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}

/// The runs that are asked for, each once for each study that it is of.
fn chosen(reader: &Reader, args: &Show) -> Result<Vec<Vec<(String, RunRecord)>>> {
    let mut chosen: Vec<Vec<(String, RunRecord)>> = vec![];
    if let Some(filter) = &args.filter {
        for (study, runs) in matching(reader, Some(filter))? {
            for run in runs {
                match chosen.iter_mut().find(|places| places[0].1.id == run.id) {
                    Some(places) => places.push((study.name.clone(), run)),
                    None => chosen.push(vec![(study.name.clone(), run)]),
                }
            }
        }
    }
    for id in &args.runs {
        let places = find_run(reader, id)?;
        if !chosen.iter().any(|other| other[0].1.id == places[0].1.id) {
            chosen.push(places);
        }
    }
    if chosen.len() > MOST && !args.json {
        let ids: Vec<&str> = chosen.iter().take(3).map(|places| places[0].1.id.as_str()).collect();
        let what = format!("{} runs, such as {}, are more than the {MOST} that one picture can show", chosen.len(), ids.join(", "));
        return Err(Expected::Usage(format!("{what}; narrow --filter, or take --json")).into());
    }
    Ok(chosen)
}

fn object(of: &Shown) -> Value {
    let run = of.run();
    let numbers = |values: &[f64]| values.iter().copied().map(number).collect::<Vec<_>>();
    let config: Value = serde_json::from_str(&run.config).unwrap_or_default();
    let studies: Vec<Value> = of.places.iter().map(|(study, run)| json!({ "study": study, "arm": run.arm })).collect();
    let attempts: Vec<Value> = of
        .attempts
        .iter()
        .map(|a| {
            json!({ "number": a.number, "host": a.host, "after_step": a.after_step, "started_at": a.started_at, "ended_at": a.ended_at,
                "outcome": a.outcome, "error": a.error })
        })
        .collect();
    let (s, e) = (&of.steps, &of.evals);
    let evals: Vec<Value> = (0..e.step.len())
        .map(|i| {
            json!({ "split": e.split[i].name(), "epoch": e.epoch[i], "step": e.step[i], "loss": number(e.loss[i]),
                "accuracy": number(e.accuracy[i]), "elapsed_ms": number(e.elapsed_ms[i]) })
        })
        .collect();
    json!({ "run_id": run.id, "seed": run.seed, "studies": studies, "state": run.state(), "error": run.error, "steps": of.done(),
        "planned_steps": run.planned_steps, "parameters": run.parameters, "flops_per_step": run.flops_per_step, "config": config,
        "environment": { "device": run.device, "cpu": of.cpu, "version": run.version, "git_commit": run.git_commit, "git_dirty": run.git_dirty },
        "diagnosis": of.diagnosis.as_ref().map(|d| json!({ "condition": d.condition.name(), "evidence": d.evidence, "remedy": d.condition.remedy() })),
        "attempts": attempts, "evals": evals,
        "step_log": { "step": s.step, "epoch": s.epoch, "examples": s.examples, "loss": numbers(&s.loss), "accuracy": numbers(&s.accuracy),
            "lr": numbers(&s.lr), "grad_norm": numbers(&s.grad_norm), "elapsed_ms": numbers(&s.elapsed_ms) } })
}

fn head(of: &Shown) -> Vec<String> {
    let run = of.run();
    let mut lines = vec![format!("run {}, seed {}", visible(&run.id), run.seed)];
    lines.extend(of.places.iter().map(|(study, r)| format!("study {}: {}", visible(study), visible(&r.arm))));
    let planned = run.planned_steps.map_or(String::new(), |n| format!(" of {n}"));
    let error = run.error.as_ref().map_or(String::new(), |e| format!(": {}", visible(e)));
    lines.push(format!("{} after {}{planned} steps{error}", run.state(), of.done()));
    if let Some(diagnosis) = &of.diagnosis {
        lines.push(format!("{}: {}", diagnosis.condition, visible(&diagnosis.evidence)));
    }
    lines
}

fn one(of: &Shown, style: Style) -> String {
    let run = of.run();
    let mut lines = head(of);
    // One that went through says nothing new.
    for a in of.attempts.iter().filter(|_| of.attempts.len() > 1) {
        let from = if a.after_step > 0 { format!(" from step {}", a.after_step) } else { String::new() };
        let (outcome, error) =
            (a.outcome.as_deref().unwrap_or("under way"), a.error.as_ref().map_or(String::new(), |e| format!(": {}", visible(e))));
        let host = a.host.as_deref().unwrap_or("unknown host");
        lines.push(format!("attempt {}{from}, {} on {}: {outcome}{error}", a.number, a.started_at, visible(host)));
    }
    lines.push(String::new());
    let config: Map<String, Value> = serde_json::from_str(&run.config).unwrap_or_default();
    let environment = [
        ("parameters", run.parameters.map(|n| n.to_string())),
        ("device", run.device.clone()),
        ("cpu", of.cpu.clone()),
        ("version", run.version.clone()),
        ("git", run.git_commit.as_ref().map(|c| if run.git_dirty == Some(true) { format!("{c}, with changes") } else { c.clone() })),
    ];
    let config = config.iter().map(|(key, value)| (key.as_str(), Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))));
    for (key, value) in config.chain(environment.iter().map(|(key, value)| (*key, value.clone()))) {
        lines.extend(value.map(|value| format!("  {:<22} {}", visible(key), visible(&value))));
    }
    let losses = of.losses();
    if let (Some((_, first)), Some((_, last))) = (losses.first(), losses.last()) {
        let title = format!("training loss per step, first {first:.4}, last {last:.4}");
        lines.push(String::new());
        lines.extend(chart::draw(&title, "steps", &[Curve { mark: ' ', name: String::new(), points: losses.clone() }], style));
    }
    for (what, values) in [("loss", &of.evals.loss), ("accuracy", &of.evals.accuracy)] {
        let curves: Vec<Curve> = [(Split::Train, 't'), (Split::Validation, 'v')]
            .into_iter()
            .map(|(split, mark)| {
                let places = (0..of.evals.step.len()).filter(|i| of.evals.split[*i] == split);
                // An accuracy that is not finite was not measured: nothing is classified.
                let points = places.map(|i| (of.evals.step[i] as f64, values[i])).filter(|(_, y)| what == "loss" || y.is_finite());
                Curve { mark, name: format!("{} {what}", split.name()), points: points.collect() }
            })
            .filter(|curve: &Curve| curve.points.len() > 1)
            .collect();
        if !curves.is_empty() {
            lines.push(String::new());
            lines.extend(chart::draw(&format!("{what} of evals"), "steps", &curves, Style { height: ROWS * 2 / 3, ..style }));
        }
    }
    lines.push(String::new());
    lines.push(evals(&of.evals));
    lines.join("\n")
}

fn evals(evals: &EvalColumns) -> String {
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
    output::table(&Answer { columns, rows: rows.collect() }, presets::NOTHING).to_string()
}

/// Runs beside each other: what they are, the configuration that differs, and their curves in one picture.
fn several(all: &[Shown], style: Style) -> String {
    let mut lines = vec![];
    for (of, mark) in all.iter().zip('a'..) {
        lines.extend(
            head(of).into_iter().enumerate().map(|(i, line)| if i == 0 { format!("{mark}  {line}") } else { format!("   {line}") }),
        );
    }
    let configs: Vec<Map<String, Value>> = all.iter().map(|of| serde_json::from_str(&of.run().config).unwrap_or_default()).collect();
    let keys: std::collections::BTreeSet<&String> = configs.iter().flat_map(Map::keys).collect();
    let differing: Vec<&String> = keys.into_iter().filter(|key| configs.iter().any(|c| c.get(*key) != configs[0].get(*key))).collect();
    if !differing.is_empty() {
        let columns = std::iter::once(String::new()).chain(('a'..).take(all.len()).map(String::from)).collect();
        let text = |value: Option<&Value>| value.map_or("-".to_owned(), |v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
        let rows = differing
            .iter()
            .map(|key| std::iter::once(Cell::Text((*key).clone())).chain(configs.iter().map(|c| Cell::Text(text(c.get(*key))))).collect());
        lines.push(String::new());
        lines.push(output::table(&Answer { columns, rows: rows.collect() }, presets::NOTHING).to_string());
    }
    let curves = |points: &dyn Fn(&Shown) -> Vec<(f64, f64)>| -> Vec<Curve> {
        let curve = |(of, mark): (&Shown, char)| {
            let (study, run) = &of.places[0];
            Curve { mark, name: format!("{} · {} · seed {}", visible(study), visible(&run.arm), run.seed), points: points(of) }
        };
        all.iter().zip('a'..).map(curve).filter(|curve| !curve.points.is_empty()).collect()
    };
    let validation = |of: &Shown| {
        let places = (0..of.evals.step.len()).filter(|i| of.evals.split[*i] == Split::Validation);
        places.map(|i| (of.evals.step[i] as f64, of.evals.loss[i])).collect()
    };
    for (title, curves) in [("training loss per step", curves(&Shown::losses)), ("validation loss", curves(&validation))] {
        let drawn = chart::draw(title, "steps", &curves, style);
        if !drawn.is_empty() {
            lines.push(String::new());
            lines.extend(drawn);
        }
    }
    lines.join("\n")
}
