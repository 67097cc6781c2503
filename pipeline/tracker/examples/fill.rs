//! Fills a results file with a study that nobody trained, to measure reading: 20 learning rates, as many seeds as it takes, losses
//! that decay exponentially with noise, and at the high rates a third of the runs diverged. Every number follows from its place.
//!
//! Usage: fill RUNS STEPS PATH

use std::path::{Path, PathBuf};
use std::time::Instant;

use spec::record::{Eval, Facts, Outcome, Sink, Step};
use spec::{Arm, Config, Metric, RunSpec, Split, Study, Value};
use tracker::{Ended, Environment, Tracker};

const ARMS: u64 = 20;
/// The first arm of which runs diverge.
const WILD: u64 = 16;
/// Steps of an epoch.
const EPOCH: u64 = 100;
const BATCH: u64 = 32;

type Failure = Box<dyn std::error::Error>;

#[expect(clippy::print_stdout, reason = "its one output")]
fn main() -> Result<(), Failure> {
    let (runs, steps, path) = arguments()?;
    let start = Instant::now();
    let study = study(runs / ARMS);
    let environment = Environment { os: "none".into(), version: env!("CARGO_PKG_VERSION").into(), ..Environment::default() };
    let tracker = Tracker::open(&path, std::slice::from_ref(&study), environment)?;
    let mut logged = 0;
    for (position, arm) in (0..).zip(&study.arms) {
        for &seed in &study.seeds {
            logged += fill(&tracker, &arm.run(seed), &Curve::of(position, seed, steps))?;
        }
    }
    tracker.close()?;
    let (seconds, mib) = (start.elapsed().as_secs_f64(), std::fs::metadata(&path)?.len() as f64 / f64::from(1 << 20));
    println!("{}: {runs} runs, {logged} steps, {mib:.0} MiB in {seconds:.1} s", path.display());
    Ok(())
}

fn arguments() -> Result<(u64, u64, PathBuf), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [runs, steps, path] = arguments.as_slice() else { return Err("usage: fill RUNS STEPS PATH".into()) };
    let (runs, steps): (u64, u64) = (runs.parse()?, steps.parse()?);
    if runs == 0 || !runs.is_multiple_of(ARMS) || steps == 0 {
        return Err(format!("RUNS must be a multiple of {ARMS}, and STEPS positive").into());
    }
    if Path::new(path).exists() {
        return Err(format!("{path} exists").into());
    }
    Ok((runs, steps, path.into()))
}

fn study(seeds: u64) -> Study {
    let arm = |position: u64| {
        let lr = Value::Float(1e-3 * 1.4_f64.powi(i32::try_from(position).unwrap_or(0)));
        let mut config = Config::default();
        config.insert("batch_size", Value::Int(i64::try_from(BATCH).unwrap_or(0)));
        config.insert("lr", lr.clone());
        config.insert("optimizer", Value::Text("sgd".into()));
        Arm { label: format!("lr={}", lr.json()), axes: vec![("lr".into(), lr)], config, graph: None }
    };
    Study {
        name: "filled".into(),
        question: "How fast are many steps read?".into(),
        hypothesis: None,
        metric: Metric { split: Split::Validation, quantity: spec::Quantity::Loss },
        targets: vec![(Metric { split: Split::Validation, quantity: spec::Quantity::Loss }, 0.5)],
        analysis: spec::analysis::Settings::default(),
        axes: vec!["lr".into()],
        arms: (0..ARMS).map(arm).collect(),
        seeds: (0..seeds).collect(),
        source: String::new(),
    }
}

/// How the loss of a run goes.
struct Curve {
    seed: u64,
    steps: u64,
    /// Of all `steps`, how many decay the loss by e.
    decay: f64,
    floor: f64,
    diverges_at: Option<u64>,
}

impl Curve {
    fn of(position: u64, seed: u64, steps: u64) -> Self {
        let seed = mix(position << 32 | seed);
        let diverges_at = (position >= WILD && seed.is_multiple_of(3)).then_some(steps * 7 / 10).filter(|step| *step > 0);
        let decay = steps as f64 / (3.0 + 0.5 * position as f64);
        Curve { seed, steps, decay, floor: 0.1 + 0.03 * position as f64, diverges_at }
    }

    /// Without noise.
    fn smooth(&self, step: u64) -> f64 {
        self.floor + 2.2 * (-(step as f64) / self.decay).exp()
    }

    fn loss(&self, step: u64) -> f64 {
        let noisy = self.smooth(step) * (1.0 + 0.3 * (uniform(self.seed ^ mix(step)) - 0.5));
        match self.diverges_at {
            Some(end) if step == end => f64::NAN,
            Some(end) if step + 20 > end => noisy * 1.3_f64.powi(i32::try_from(step + 20 - end).unwrap_or(0)),
            _ => noisy,
        }
    }
}

/// Logs a run; tells how many steps it had.
fn fill(tracker: &Tracker, run: &RunSpec, curve: &Curve) -> Result<u64, Failure> {
    let mut sink = tracker.start(run)?;
    sink.begin(&Facts {
        parameters: 1000,
        flops_per_step: 1000,
        memory_bytes: 1000,
        planned_steps: curve.steps,
        device: "cpu".into(),
        threads: 1,
        layers: vec![],
        classes: vec![],
    })?;
    let elapsed_ms = |step: u64| step as f64 * 0.437;
    let eval = |sink: &mut dyn Sink, split: Split, step: u64| {
        let loss = curve.smooth(step) * if split == Split::Train { 1.0 } else { 1.1 } * (1.0 + 0.02 * uniform(curve.seed ^ step));
        let (epoch, examples, accuracy) = (step.div_ceil(EPOCH), 1000, Some((-loss).exp()));
        sink.eval(&Eval { step, epoch, split, examples, loss, accuracy, noise_scale: None, elapsed_ms: elapsed_ms(step) })
    };
    let last = curve.diverges_at.unwrap_or(curve.steps);
    for step in 0..=last {
        let loss = curve.loss(step);
        if step > 0 {
            let accuracy = ((-loss.min(10.0)).exp() * BATCH as f64).round() / BATCH as f64;
            let (epoch, examples, elapsed_ms) = (step.div_ceil(EPOCH), step * BATCH, elapsed_ms(step));
            sink.step(&Step { step, epoch, examples, loss, accuracy: Some(accuracy), lr: 0.01, grad_norm: 1.7 * loss, elapsed_ms })?;
        }
        if step % EPOCH == 0 || step == curve.steps {
            eval(&mut sink, Split::Train, step)?;
            eval(&mut sink, Split::Validation, step)?;
        }
    }
    let (outcome, error) = match curve.diverges_at {
        Some(step) => (Outcome::Diverged, Some(format!("the loss of step {step} is not finite"))),
        None => (Outcome::Completed, None),
    };
    if outcome == Outcome::Completed {
        eval(&mut sink, Split::Test, last)?;
    }
    sink.end(Ended { outcome, steps: last, error })?;
    Ok(last)
}

/// SplitMix64 (Steele, Lea and Flood 2014).
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// In [0, 1).
fn uniform(bits: u64) -> f64 {
    (mix(bits) >> 11) as f64 / (1_u64 << 53) as f64
}
