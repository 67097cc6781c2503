//! The one training loop.

use std::time::{Duration, Instant};

use candle_core::Device;
use spec::record::{Eval, Facts, Outcome, Sink, Step};
use spec::{Config, RunSpec, Split, model};

use crate::data::{Dataset, Division, Part};
use crate::device;
use crate::error::Error;
use crate::network::{self, Network, Structure};
use crate::optim;
use crate::random::{Purpose, Stream};
use crate::schedule::Schedule;

/// Most examples per forward pass of an evaluation: enough to keep the kernels busy, few enough to stay in the caches.
const EVAL_BATCH: usize = 100;
/// Most numbers of activations in such a pass. Both depend on the network alone, so that sums have the same bits everywhere.
const EVAL_ACTIVATIONS: usize = 1 << 24;

/// How a training ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    pub outcome: Outcome,
    /// Updates that were made and recorded.
    pub steps: u64,
    /// Why, for an outcome that needs a reason.
    pub reason: Option<String>,
}

/// What a run will do, checked and counted before anything is trained.
pub struct Plan {
    graph: model::Graph,
    eval_batch: usize,
    division: Division,
    batch_size: usize,
    steps: u64,
    facts: Facts,
}

impl Plan {
    /// Checks a configuration against its dataset.
    ///
    /// # Errors
    /// When layers, image sizes, or numbers of examples don't fit together.
    pub fn new(config: &Config, dataset: &Dataset, device: &Device) -> Result<Self, Error> {
        let graph = model::graph(config)?;
        let structure = Structure::new(&graph, &dataset.shape, dataset.classes)?;
        let division = dataset.divide(config)?;
        let examples = division.train.len();
        let batch_size = config.optional_count("batch_size").unwrap_or(examples);
        if batch_size > examples {
            let what = format!("batch_size = {batch_size}, but there are {examples} training examples; use \"full\" for all of them");
            return Err(Error::Mismatch(what));
        }
        let per_epoch = examples.div_ceil(batch_size) as u64;
        let steps = match (config.optional_count("steps"), config.optional_count("epochs")) {
            (Some(steps), _) => steps as u64,
            (None, Some(epochs)) => epochs as u64 * per_epoch,
            (None, None) => return Err(Error::Mismatch("neither epochs nor steps are given".into())),
        };
        let warmup = config.count("warmup_steps")? as u64;
        if warmup >= steps {
            return Err(Error::Mismatch(format!(
                "warmup_steps = {warmup}, but there are only {steps} steps; the rate would never reach lr"
            )));
        }
        let eval_batch = (EVAL_ACTIVATIONS / structure.activations()).clamp(1, EVAL_BATCH);
        let states = optim::new(config)?.states();
        let facts = Facts {
            parameters: structure.parameters(),
            flops_per_step: structure.flops() * batch_size as u64,
            memory_bytes: structure.training_bytes(batch_size.max(eval_batch), states),
            planned_steps: steps,
            device: device::name(device).to_owned(),
            threads: 1,
        };
        Ok(Plan { graph, eval_batch, division, batch_size, steps, facts })
    }

    pub fn facts(&self) -> &Facts {
        &self.facts
    }
}

/// Trains a run from its start and writes every step and evaluation into `sink`.
///
/// Everything that is recorded, except for times, is a function of the configuration, the seed and the data; `threads` is asked
/// before each step how many threads may work at it.
///
/// # Errors
/// When the configuration doesn't fit the data, a tensor operation fails, or the sink does.
pub fn train(run: &RunSpec, dataset: &Dataset, device: &Device, threads: &dyn Fn() -> usize, sink: &mut dyn Sink) -> Result<Ending, Error> {
    let config = &run.config;
    let plan = Plan::new(config, dataset, device)?;
    let path = device::path(device);
    let schedule = Schedule::new(config, plan.steps)?;
    let mut optimizer = optim::new(config)?;
    let structure = Structure::new(&plan.graph, &dataset.shape, dataset.classes)?;
    let mut network = network::new(structure, run.seed, device, path, &*optimizer)?;
    let given = threads();
    network.set_threads(given);
    let facts = Facts { threads: u32::try_from(given).unwrap_or(u32::MAX), ..plan.facts.clone() };
    sink.begin(&facts)?;

    let mut batches = Batches { dataset, network, labels: vec![], eval_batch: plan.eval_batch };
    let shown = config.count("eval_train_examples")?.min(plan.division.train.len());
    let (train, validation) = (&plan.division.train, &plan.division.validation);
    let per_epoch = train.len().div_ceil(plan.batch_size) as u64;
    let mut clock = Clock::default();
    // Returns the loss on the first of the splits.
    let evaluate =
        |batches: &mut Batches<'_>, sink: &mut dyn Sink, step, elapsed_ms, splits: &[(Split, &Part, &[u32])]| -> Result<f64, Error> {
            let mut first = None;
            for (split, part, indices) in splits.iter().filter(|(_, _, indices)| !indices.is_empty()) {
                let (loss, accuracy) = batches.evaluate(part, indices)?;
                let epoch = u64::div_ceil(step, per_epoch);
                sink.eval(&Eval { step, epoch, split: *split, examples: indices.len() as u64, loss, accuracy, elapsed_ms })?;
                first.get_or_insert(loss);
            }
            Ok(first.unwrap_or(0.0))
        };
    let each_epoch = [(Split::Train, &dataset.train, &train[..shown]), (Split::Validation, &dataset.train, &validation[..])];
    evaluate(&mut batches, sink, 0, 0.0, &each_epoch)?;

    let mut limit = f64::INFINITY;
    let mut order = vec![];
    let mut examples = 0;
    for step in 1..=plan.steps {
        batches.network.set_threads(threads());
        clock.start();
        let (epoch, batch) = ((step - 1) / per_epoch + 1, (step - 1) % per_epoch);
        if batch == 0 {
            order = shuffled(train, run.seed, epoch);
        }
        let start = usize::try_from(batch).unwrap_or(0) * plan.batch_size;
        let indices = &order[start..(start + plan.batch_size).min(order.len())];
        examples += indices.len() as u64;

        let (loss, accuracy) = batches.forward(&dataset.train, indices, true)?;
        let lr = schedule.rate(step - 1);
        let diverged = divergence(loss, limit);
        let grad_norm = if diverged.is_none() {
            optimizer.begin(lr);
            batches.network.backward(Some(&*optimizer))?
        } else {
            batches.network.backward(None)?
        };
        clock.stop();
        sink.step(&Step { step, epoch, examples, loss, accuracy, lr, grad_norm, elapsed_ms: clock.ms() })?;

        if let Some(reason) = diverged {
            return Ok(Ending { outcome: Outcome::Diverged, steps: step, reason: Some(reason) });
        }
        if step == 1 {
            limit = loss * config.float("divergence_factor")?;
        }
        if step < plan.steps && sink.interrupted() {
            return Ok(Ending { outcome: Outcome::Interrupted, steps: step, reason: None });
        }
        if step % per_epoch == 0 || step == plan.steps {
            let train_loss = evaluate(&mut batches, sink, step, clock.ms(), &each_epoch)?;
            // The loss of a step is from before its update; without this, what the last update broke would go unseen.
            if let Some(reason) = divergence(train_loss, limit) {
                return Ok(Ending { outcome: Outcome::Diverged, steps: step, reason: Some(format!("after the update, {reason}")) });
            }
        }
    }
    let test: Vec<u32> = (0..).take(dataset.test.labels.len()).collect();
    evaluate(&mut batches, sink, plan.steps, clock.ms(), &[(Split::Test, &dataset.test, &test)])?;
    Ok(Ending { outcome: Outcome::Completed, steps: plan.steps, reason: None })
}

/// Why a loss ends the run, if it does.
fn divergence(loss: f64, limit: f64) -> Option<String> {
    if !loss.is_finite() {
        Some("the loss is not finite".to_owned())
    } else if loss > limit {
        let short = |x: f64| spec::Value::Float(format!("{x:.3e}").parse().unwrap_or(x));
        Some(format!("the loss {} is above its limit {} (divergence_factor times the first loss)", short(loss), short(limit)))
    } else {
        None
    }
}

/// The order in which an epoch (counted from 1) visits the training examples.
fn shuffled(train: &[u32], seed: u64, epoch: u64) -> Vec<u32> {
    let n = u32::try_from(train.len()).unwrap_or(u32::MAX);
    Stream::new(Purpose::Shuffle, seed, epoch).permutation(n).into_iter().map(|i| train[i as usize]).collect()
}

/// A network with what turns examples into its inputs.
struct Batches<'a> {
    dataset: &'a Dataset,
    network: Box<dyn Network>,
    labels: Vec<u32>,
    eval_batch: usize,
}

impl Batches<'_> {
    /// Mean loss and accuracy over a batch; `training` keeps what the backward pass needs.
    fn forward(&mut self, part: &Part, indices: &[u32], training: bool) -> Result<(f64, f64), Error> {
        self.dataset.gather(part, indices, self.network.input(indices.len()), &mut self.labels);
        let loss = self.network.forward(&self.labels, training)?;
        let n = indices.len() as f64;
        Ok((loss.sum / n, f64::from(loss.correct) / n))
    }

    /// Mean loss and accuracy over the examples.
    fn evaluate(&mut self, part: &Part, indices: &[u32]) -> Result<(f64, f64), Error> {
        let (mut sum, mut correct) = (0.0, 0);
        for batch in indices.chunks(self.eval_batch) {
            self.dataset.gather(part, batch, self.network.input(batch.len()), &mut self.labels);
            let loss = self.network.forward(&self.labels, false)?;
            sum += loss.sum;
            correct += loss.correct;
        }
        let n = indices.len() as f64;
        Ok((sum / n, f64::from(correct) / n))
    }
}

/// Adds up training time, evaluations not counted.
#[derive(Default)]
struct Clock {
    total: Duration,
    since: Option<Instant>,
}

impl Clock {
    fn start(&mut self) {
        self.since = Some(Instant::now());
    }

    fn stop(&mut self) {
        self.total += self.since.take().map_or(Duration::ZERO, |s| s.elapsed());
    }

    fn ms(&self) -> f64 {
        self.total.as_secs_f64() * 1e3
    }
}

#[cfg(test)]
mod tests;
