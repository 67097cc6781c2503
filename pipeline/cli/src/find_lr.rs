//! `pipeline find-lr`: a learning-rate range test of one arm.

use std::io::Write;
use std::process::ExitCode;

use analysis::find_lr::{self, Suggestion};
use anyhow::{Context, Result};
use spec::record::{Confusion, Eval, Facts, Measurement, Picture, Position, Sink, SinkError, Step};
use spec::{Arm, Config, Limits, RunSpec, Value};

use crate::args::{FindLr, Grids};
use crate::error::Expected;
use crate::grids::{self, Loaded};
use crate::output::tell;
use crate::plan;

/// A loss this many times the first one ends the test.
const ENOUGH: f64 = 10.0;

pub fn find_lr(quiet: bool, args: &FindLr) -> Result<ExitCode> {
    if args.from >= args.to {
        return Err(Expected::Usage(format!("--from {} must be below --to {}", args.from, args.to)).into());
    }
    let catalog = args.on.catalog()?;
    let device = args.on.device()?;
    let Loaded { studies, .. } = grids::load(&Grids { files: vec![args.grid.clone()], ..Grids::default() }, &catalog, Limits::default())?;
    let study = studies.first().context("a grid file is a study")?;
    let arm = match &args.arm {
        None => &study.arms[0],
        Some(label) => study.arms.iter().find(|arm| arm.label == *label).ok_or_else(|| {
            let labels: Vec<&str> = study.arms.iter().map(|arm| arm.label.as_str()).collect();
            let hint = spec::vocabulary::suggest(label, labels.iter().copied()).unwrap_or(labels[0]);
            Expected::Usage(format!("{} has no arm `{label}`; did you mean `{hint}`?", study.name))
        })?,
    };
    let config = range_test(arm, args);
    let run = RunSpec { id: config.run_id(args.seed), seed: args.seed, config };
    let dataset = run.config.get("dataset").map(|_| catalog.dataset(&run.config)).transpose()?;
    plan::check_network(arm, dataset.as_deref()).map_err(|e| Expected::Usage(format!("study {}, arm {}: {e}", study.name, arm.label)))?;
    let threads = args.on.threads();
    if !quiet {
        tell(&format!("{} steps of {} · {}, the rate rising from {} to {}", args.steps, study.name, arm.label, args.from, args.to));
    }
    let mut steps = Steps::default();
    let ending = engine::run(&run, dataset.as_deref(), &device, &|| threads, None, &mut steps)?;
    let suggestion = find_lr::suggest(&steps.rates, &steps.losses);
    // The rate of the arm is not the one that is tested.
    let label: Vec<&str> = arm.label.split(' ').filter(|word| !word.starts_with("lr=")).collect();
    let title = format!("Learning-rate range test: {} {}", study.name, label.join(" "));
    if let Some(path) = &args.out {
        std::fs::write(path, find_lr::figure(&title, &steps.rates, &steps.losses, suggestion))
            .with_context(|| path.display().to_string())?;
    }
    let mut out = std::io::stdout().lock();
    if args.json {
        let object =
            |s: Suggestion| serde_json::json!({ "steepest": s.steepest, "tenth_of_least": s.tenth_of_least, "exploded": s.exploded });
        let losses: Vec<_> = steps.losses.iter().map(|loss| crate::output::number(*loss)).collect();
        let answer = serde_json::json!({ "study": study.name, "arm": arm.label, "seed": args.seed, "steps": ending.steps,
            "suggestion": suggestion.map(object), "lr": steps.rates, "loss": losses });
        writeln!(out, "{}", crate::output::inert(&format!("{answer:#}")))?;
        return Ok(ExitCode::SUCCESS);
    }
    match suggestion {
        Some(s) => {
            writeln!(out, "suggested lr  {:.2e}  where the smoothed loss falls fastest", s.steepest)?;
            writeln!(out, "at most       {:.2e}  a tenth of the rate of the least smoothed loss", s.tenth_of_least)?;
            match s.exploded {
                Some(rate) => writeln!(out, "exploded at   {rate:.2e}")?,
                None => writeln!(out, "never exploded up to {:.2e}; raise --to to see where it does", args.to)?,
            }
        }
        None => writeln!(
            out,
            "no suggestion: the loss did not fall within {} steps; widen --from and --to, or give more --steps",
            ending.steps
        )?,
    }
    if let Some(path) = &args.out {
        writeln!(out, "figure        {}", path.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The arm's configuration with the rate rising from end to end.
fn range_test(arm: &Arm, args: &FindLr) -> Config {
    let mut config = arm.config.clone();
    for key in ["epochs", "patience"] {
        config.remove(key);
    }
    config.insert("schedule", Value::Text("range_test".into()));
    config.insert("warmup_steps", Value::Int(0));
    config.insert("lr", Value::Float(args.from));
    config.insert("end_lr", Value::Float(args.to));
    config.insert("steps", Value::Int(i64::from(args.steps)));
    config.insert("divergence_factor", Value::Float(ENOUGH));
    config
}

/// Keeps rates and losses; nothing is stored.
#[derive(Default)]
struct Steps {
    rates: Vec<f64>,
    losses: Vec<f64>,
}

impl Sink for Steps {
    fn begin(&mut self, _: &Facts) -> Result<(), SinkError> {
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), SinkError> {
        self.rates.push(step.lr);
        self.losses.push(step.loss);
        Ok(())
    }

    fn eval(&mut self, _: &Eval) -> Result<(), SinkError> {
        Ok(())
    }

    fn position(&mut self, _: &Position) -> Result<(), SinkError> {
        Ok(())
    }

    fn measurement(&mut self, _: &Measurement) -> Result<(), SinkError> {
        Ok(())
    }

    fn picture(&mut self, _: &Picture) -> Result<(), SinkError> {
        Ok(())
    }

    fn confusion(&mut self, _: &Confusion) -> Result<(), SinkError> {
        Ok(())
    }
}
