//! Descent on an analytic surface z = f(x, y): the same optimizers and records as a training, with the path besides.

use std::time::{Duration, Instant};

use spec::record::{Eval, Facts, Outcome, Position, Sink, Step};
use spec::surface::Surface;
use spec::{Config, RunSpec, Split};

use crate::checkpoint::{self, Checkpoint, Scalars, Visit};
use crate::error::Error;
use crate::kernel::Apply;
use crate::optim::{self, Optimizer};
use crate::random::{Purpose, Stream};
use crate::schedule::Schedule;
use crate::train::{Ending, divergence};

/// What its checkpoints say they were taken on: it is always the CPU that descends.
const ON: &str = "cpu";

/// What a descent will do.
///
/// # Errors
/// When the warm-up is longer than the descent.
pub(crate) fn facts(config: &Config) -> Result<Facts, Error> {
    let steps = config.count("steps")? as u64;
    if config.count("warmup_steps")? as u64 >= steps {
        return Err(Error::Mismatch(format!("warmup_steps must be less than the {steps} steps, or the rate never reaches lr")));
    }
    Surface::new(config)?;
    Ok(Facts {
        parameters: 2,
        flops_per_step: 0,
        memory_bytes: 0,
        planned_steps: steps,
        device: "cpu".into(),
        threads: 1,
        layers: vec![],
        classes: vec![],
    })
}

/// Descends and records every place; see [`crate::run`]. The loss is the height; a step counts as one epoch, because each sees all there
/// is to see.
///
/// # Errors
/// When the checkpoint is of another run, or the sink fails.
pub(crate) fn descend(run: &RunSpec, resume: Option<&Checkpoint>, sink: &mut dyn Sink) -> Result<Ending, Error> {
    let config = &run.config;
    let facts = facts(config)?;
    let (surface, schedule) = (Surface::new(config)?, Schedule::new(config, facts.planned_steps)?);
    let mut optimizer = optim::new(config)?;
    let clip = config.float_or("clip_norm", f64::INFINITY);
    let noise = config.float_or("gradient_noise", 0.0);
    let mut at = [config.float("start_x")?, config.float("start_y")?];
    let mut states = vec![[0.0; 2]; optimizer.states()];
    // A start on a saddle has height 0, of which no multiple is a limit.
    let limit = surface.height(at).abs().max(1.0) * config.float("divergence_factor")?;
    let (mut before, mut first, mut loss) = (Duration::ZERO, 1, surface.height(at));
    if let Some(checkpoint) = resume {
        checkpoint.check(run, ON, facts.planned_steps)?;
        checkpoint.restore(&mut |visit| each_number(&mut at, &mut states, visit))?;
        (*optimizer.steps(), first) = (checkpoint.count("optimizer_steps")?, checkpoint.step() + 1);
        (before, loss) = (Duration::from_nanos(checkpoint.count("clock_ns")?), checkpoint.float("loss")?);
    }
    sink.begin(&facts)?;
    let started = Instant::now();
    let elapsed = || before + started.elapsed();
    let elapsed_ms = || elapsed().as_secs_f64() * 1e3;
    let place = |sink: &mut dyn Sink, step, at: [f64; 2]| -> Result<f64, Error> {
        sink.position(&Position { step, x: at[0], y: at[1] })?;
        let loss = surface.height(at);
        let elapsed_ms = elapsed_ms();
        sink.eval(&Eval { step, epoch: step, split: Split::Train, examples: 1, loss, accuracy: None, noise_scale: None, elapsed_ms })?;
        Ok(loss)
    };
    if resume.is_none() {
        place(sink, 0, at)?;
    }
    for step in first..=facts.planned_steps {
        let mut gradient = surface.gradient(at);
        if noise > 0.0 {
            let normal = Stream::new(Purpose::GradientNoise, run.seed, step).normal_pair();
            gradient = [gradient[0] + noise * normal[0], gradient[1] + noise * normal[1]];
        }
        let grad_norm = gradient[0].hypot(gradient[1]);
        if grad_norm > clip {
            gradient = gradient.map(|g| g * clip / grad_norm);
        }
        let lr = schedule.rate(step - 1);
        optimizer.begin(lr);
        update(&*optimizer, &mut at, gradient, &mut states);
        sink.step(&Step { step, epoch: step, examples: step, loss, accuracy: None, lr, grad_norm, elapsed_ms: elapsed_ms() })?;
        loss = place(sink, step, at)?;
        if let Some(reason) = divergence(loss, limit) {
            return Ok(Ending { outcome: Outcome::Diverged, steps: step, reason: Some(reason) });
        }
        if step == facts.planned_steps {
            break;
        }
        let is_interrupted = sink.interrupted();
        // Each step ends an epoch, and none takes long: a checkpoint after each would take longer.
        if is_interrupted || sink.wants_checkpoint(false) {
            let clock_ns = u64::try_from(elapsed().as_nanos()).unwrap_or(u64::MAX);
            let scalars = Scalars::new(run, ON, step).count("optimizer_steps", *optimizer.steps()).count("clock_ns", clock_ns);
            let scalars = scalars.float("loss", loss);
            let each = &mut |visit: &mut Visit<'_, f64>| each_number(&mut at, &mut states, visit);
            sink.checkpoint(step, &mut |to| checkpoint::write(to, &scalars, each))?;
        }
        if is_interrupted {
            return Ok(Ending { outcome: Outcome::Interrupted, steps: step, reason: None });
        }
    }
    Ok(Ending { outcome: Outcome::Completed, steps: facts.planned_steps, reason: None })
}

/// Visits all that a descent goes on from.
fn each_number(at: &mut [f64; 2], states: &mut [[f64; 2]], visit: &mut Visit<'_, f64>) -> candle_core::Result<()> {
    visit("at", at)?;
    for (i, state) in states.iter_mut().enumerate() {
        visit(&format!("state.{i}"), state)?;
    }
    Ok(())
}

fn update(optimizer: &dyn Optimizer, at: &mut [f64; 2], gradient: [f64; 2], states: &mut [[f64; 2]]) {
    let mut open: Vec<&mut [f64]> = states.iter_mut().map(<[f64; 2]>::as_mut_slice).collect();
    Apply::<f64>::apply(optimizer, at, &gradient, &mut open);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::tests::Memory;

    /// Gradient descent on a quadratic shrinks each coordinate by the same factor in every step.
    #[test]
    fn plain_descent_on_a_quadratic_is_a_geometric_series() {
        let text = |s: &'static str| spec::Value::Text(s.into());
        let number = spec::Value::Float;
        let descent = |lr: f64| {
            let mut config = Config::default();
            for (key, value) in [
                ("objective", text("surface")),
                ("surface", text("quadratic")),
                ("condition", number(30.0)),
                ("optimizer", text("sgd")),
                ("momentum", number(0.0)),
                ("nesterov", spec::Value::Bool(false)),
                ("weight_decay", number(0.0)),
                ("schedule", text("constant")),
                ("warmup_steps", spec::Value::Int(0)),
                ("divergence_factor", number(1e4)),
                ("start_x", number(1.0)),
                ("start_y", number(-0.5)),
                ("steps", spec::Value::Int(20)),
                ("lr", number(lr)),
            ] {
                config.insert(key, value);
            }
            let run = RunSpec { id: config.run_id(0), seed: 0, config };
            let mut memory = Memory::default();
            let ending = crate::run(&run, None, &candle_core::Device::Cpu, &|| 1, None, &mut memory).unwrap();
            (ending, memory)
        };
        let (ending, memory) = descent(0.05);
        assert_eq!((ending.outcome, memory.positions.len(), memory.steps.len(), memory.evals.len()), (Outcome::Completed, 21, 20, 21));
        for (t, place) in (0i32..).zip(&memory.positions) {
            assert!((place.x - 0.95f64.powi(t)).abs() < 1e-14 && (place.y + 0.5 * (1.0f64 - 0.05 * 30.0).powi(t)).abs() < 1e-14);
        }
        // Above 2/κ it diverges.
        let (ending, memory) = descent(0.2);
        assert_eq!((ending.outcome, ending.steps), (Outcome::Diverged, memory.steps.len() as u64));
    }

    fn normal_pair(seed: u64, step: u64) -> [f64; 2] {
        Stream::new(Purpose::GradientNoise, seed, step).normal_pair()
    }

    #[test]
    fn noise_is_standard_normal_and_repeats() {
        let n = 4000;
        let draws: Vec<f64> = (0..n).flat_map(|step| normal_pair(1, step)).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|d| d * d).sum::<f64>() / draws.len() as f64;
        // Five standard deviations: 1/√8000 for the mean, √(2/8000) for the variance.
        assert!(mean.abs() < 0.056 && (variance - 1.0).abs() < 0.08, "{mean} {variance}");
        let bits = |seed| normal_pair(seed, 9).map(f64::to_bits);
        assert_eq!(bits(3), bits(3));
        assert_ne!(bits(3), bits(4));
    }
}
