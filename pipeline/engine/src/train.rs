//! The one training loop.

use std::time::{Duration, Instant};

use candle_core::Device;
use spec::record::{Confusion, Eval, Facts, Measurement, Outcome, Sink, Step};
use spec::{Config, RunSpec, Split, model};

use crate::checkpoint::Checkpoint;
use crate::data::{Augment, Dataset, Division, Part, Scale};
use crate::device;
use crate::error::Error;
use crate::feature_maps;
use crate::kernel::Loss;
use crate::layer::{Path, Scheme};
use crate::network::{self, Learn, Network, Slot, Structure};
use crate::optim::{self, Optimizer};
use crate::random::{Purpose, Stream};
use crate::schedule::Schedule;
use crate::summary::{LayerRow, summary};
use resume::SoFar;

mod resume;

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
pub(crate) struct Plan {
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
    pub(crate) fn new(config: &Config, dataset: &Dataset, device: &Device) -> Result<Self, Error> {
        // From the text alone: a run in the database can be trained again without the model's file.
        let graph: model::Graph =
            config.text("model_definition")?.parse().map_err(|e: model::NoDefinition| Error::Mismatch(e.to_string()))?;
        let structure = Structure::new(&graph, &dataset.shape, dataset.classes())?;
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
        Augment::new(config, dataset, 0)?;
        let eval_batch = (EVAL_ACTIVATIONS / structure.activations()).clamp(1, EVAL_BATCH);
        let parts = config.optional_count("accumulate").unwrap_or(1);
        if parts > batch_size {
            return Err(Error::Mismatch(format!("accumulate = {parts}, but a batch has only {batch_size} examples")));
        }
        if config.get("patience").is_some() && division.validation.is_empty() {
            return Err(Error::Mismatch("patience looks at the validation loss, but validation_fraction holds nothing out".into()));
        }
        if let Some(layer) = config.optional_count("feature_maps").filter(|layer| !(1..=graph.nodes.len()).contains(layer)) {
            let what = format!("feature_maps = {layer}, but the network has layers 1 to {}; see `pipeline summary`", graph.nodes.len());
            return Err(Error::Mismatch(what));
        }
        if config.get("feature_maps").is_some() && dataset.test.labels.is_empty() {
            return Err(Error::Mismatch(format!("feature_maps shows the first test image, but {} has none", dataset.name)));
        }
        // Beside what the optimizer remembers: gathered gradients, the average, the best epoch's weights, those set aside.
        let keeps = [parts > 1 || config.get("clip_norm").is_some(), config.get("ema_decay").is_some(), config.get("patience").is_some()];
        let noise = 2 * usize::from(config.is_on("noise_scale"));
        let states = optim::new(config)?.states() + keeps.into_iter().filter(|keeps| *keeps).count() + noise;
        let layers = summary(&graph, &dataset.shape, dataset.classes())?.into_iter().map(LayerRow::into).collect();
        let facts = Facts {
            parameters: structure.parameters(),
            flops_per_step: structure.flops().saturating_mul(batch_size as u64),
            memory_bytes: structure.training_bytes(batch_size.div_ceil(parts).max(eval_batch), states),
            planned_steps: steps,
            device: device::name(device).to_owned(),
            threads: 1,
            layers,
            classes: dataset.class_names.clone(),
        };
        Ok(Plan { graph, eval_batch, division, batch_size, steps, facts })
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Steps of an epoch.
    fn per_epoch(&self) -> u64 {
        self.division.train.len().div_ceil(self.batch_size) as u64
    }
}

/// Trains a run and writes every step and evaluation into `sink`; see [`crate::run`].
///
/// # Errors
/// When the configuration doesn't fit the data or the checkpoint, a tensor operation fails, or the sink does.
pub(crate) fn train(
    run: &RunSpec,
    dataset: &Dataset,
    (device, path): (&Device, Path),
    threads: &dyn Fn() -> usize,
    resume: Option<&Checkpoint>,
    sink: &mut dyn Sink,
) -> Result<Ending, Error> {
    let config = &run.config;
    let plan = Plan::new(config, dataset, device)?;
    let schedule = Schedule::new(config, plan.steps)?;
    let mut optimizer = optim::new(config)?;
    let mut structure = Structure::new(&plan.graph, &dataset.shape, dataset.classes())?;
    structure.scheme = Scheme::of(config);
    let smoothing = config.float_or("label_smoothing", 0.0);
    let network = network::new(structure, run.seed, device, path, &*optimizer, smoothing)?;
    let mut training = Training {
        dataset,
        plan: &plan,
        learning: Learning::new(config),
        network,
        scale: dataset.scale(config),
        augment: Augment::new(config, dataset, run.seed)?,
        turns: 0,
        labels: vec![],
        clock: Clock::default(),
    };
    if training.learning.ema_decay.is_some() {
        training.network.save(Slot::Average)?;
    }
    let best = config.optional_count("patience").map(|patience| Best::new(patience, config.float_or("min_improvement", 0.0)));
    let mut so_far = SoFar { step: 0, examples: 0, limit: f64::INFINITY, best };
    let on = format!("{} by {path:?}", plan.facts.device).to_lowercase();
    if let Some(checkpoint) = resume {
        checkpoint.check(run, &on, plan.steps)?;
        training.go_on_from(checkpoint, &mut so_far, &mut *optimizer)?;
    }
    let given = threads();
    training.network.set_threads(given);
    sink.begin(&Facts { threads: u32::try_from(given).unwrap_or(u32::MAX), ..plan.facts.clone() })?;
    if resume.is_none() {
        training.evaluate_epoch(0, sink, so_far.best.as_mut())?;
    }

    let (train, per_epoch) = (&plan.division.train, plan.per_epoch());
    let mut order = vec![];
    for step in so_far.step + 1..=plan.steps {
        training.network.set_threads(threads());
        training.clock.start();
        let (epoch, batch) = ((step - 1) / per_epoch + 1, (step - 1) % per_epoch);
        if batch == 0 || order.is_empty() {
            order = shuffled(train, run.seed, epoch);
        }
        let start = usize::try_from(batch).unwrap_or(0) * plan.batch_size;
        let indices = &order[start..(start + plan.batch_size).min(order.len())];
        (so_far.step, so_far.examples) = (step, so_far.examples + indices.len() as u64);

        let lr = schedule.rate(step - 1);
        let taken = training.step(indices, lr, &mut *optimizer, so_far.limit)?;
        training.clock.stop();
        let Taken { loss, accuracy, grad_norm, diverged } = taken;
        let (examples, elapsed_ms) = (so_far.examples, training.clock.ms());
        sink.step(&Step { step, epoch, examples, loss, accuracy: Some(accuracy), lr, grad_norm, elapsed_ms })?;

        if let Some(reason) = diverged {
            return Ok(Ending { outcome: Outcome::Diverged, steps: step, reason: Some(reason) });
        }
        if step == 1 {
            so_far.limit = loss * config.float("divergence_factor")?;
        }
        let at_epoch_end = step % per_epoch == 0 || step == plan.steps;
        if at_epoch_end {
            let train_loss = training.evaluate_epoch(step, sink, so_far.best.as_mut())?;
            // The loss of a step is from before its update; without this, what the last update broke would go unseen.
            if let Some(reason) = divergence(train_loss, so_far.limit) {
                return Ok(Ending { outcome: Outcome::Diverged, steps: step, reason: Some(format!("after the update, {reason}")) });
            }
            if let Some(best) = so_far.best.as_ref().filter(|best| best.is_exhausted() && step < plan.steps) {
                training.finish(Some(best), step, sink)?;
                return Ok(Ending { outcome: Outcome::StoppedEarly, steps: step, reason: Some(best.why_stopped(per_epoch)) });
            }
        }
        if step == plan.steps {
            break;
        }
        // Asked last, so that a checkpoint has the evaluations of its step behind it.
        let is_interrupted = sink.interrupted();
        if is_interrupted || sink.wants_checkpoint(at_epoch_end) {
            sink.checkpoint(step, &mut |to| training.write_checkpoint(to, run, &on, &so_far, &mut *optimizer))?;
        }
        if is_interrupted {
            return Ok(Ending { outcome: Outcome::Interrupted, steps: step, reason: None });
        }
    }
    training.finish(so_far.best.as_ref(), plan.steps, sink)?;
    Ok(Ending { outcome: Outcome::Completed, steps: plan.steps, reason: None })
}

/// Why a loss ends the run, if it does.
pub(crate) fn divergence(loss: f64, limit: f64) -> Option<String> {
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

/// What a configuration says about learning from gradients.
struct Learning {
    clip_norm: Option<f64>,
    /// Parts of a batch.
    parts: usize,
    ema_decay: Option<f64>,
    measures_noise: bool,
    eval_train_examples: usize,
    /// The layer whose output is drawn in the end.
    feature_maps: Option<usize>,
}

impl Learning {
    fn new(config: &Config) -> Self {
        Learning {
            clip_norm: config.float("clip_norm").ok(),
            parts: config.optional_count("accumulate").unwrap_or(1),
            ema_decay: config.float("ema_decay").ok(),
            measures_noise: config.is_on("noise_scale"),
            eval_train_examples: config.optional_count("eval_train_examples").unwrap_or(usize::MAX),
            feature_maps: config.optional_count("feature_maps"),
        }
    }
}

/// The best epoch so far, for early stopping (Prechelt 1998).
struct Best {
    patience: usize,
    min_improvement: f64,
    loss: f64,
    step: u64,
    /// Epochs since.
    worse: usize,
}

impl Best {
    fn new(patience: usize, min_improvement: f64) -> Self {
        Best { patience, min_improvement, loss: f64::INFINITY, step: 0, worse: 0 }
    }

    /// Takes an epoch's validation loss; whether it is the best.
    fn take(&mut self, step: u64, loss: f64) -> bool {
        let better = loss < self.loss - if self.loss.is_finite() { self.min_improvement } else { 0.0 };
        if better {
            (self.loss, self.step, self.worse) = (loss, step, 0);
        } else {
            self.worse += 1;
        }
        better
    }

    fn is_exhausted(&self) -> bool {
        self.worse >= self.patience
    }

    fn why_stopped(&self, per_epoch: u64) -> String {
        let epoch = self.step.div_ceil(per_epoch);
        format!("no better validation loss in {} epochs; the weights of epoch {epoch} are tested", self.patience)
    }
}

/// What a step found.
struct Taken {
    loss: f64,
    accuracy: f64,
    grad_norm: f64,
    diverged: Option<String>,
}

/// A network in training, with what turns examples into its inputs.
struct Training<'a> {
    dataset: &'a Dataset,
    plan: &'a Plan,
    learning: Learning,
    network: Box<dyn Network>,
    scale: Scale,
    augment: Option<Augment>,
    /// Examples that were augmented.
    turns: u64,
    labels: Vec<u32>,
    clock: Clock,
}

impl Training<'_> {
    /// Sum of losses and number of hits over a batch to learn from, changed as the configuration asks.
    fn learn_from(&mut self, indices: &[u32]) -> Result<Loss, Error> {
        let Some(augment) = &self.augment else { return self.forward(&self.dataset.train, indices, true) };
        let (len, part) = (self.dataset.example_len(), &self.dataset.train);
        let mut changed = vec![];
        for (numbers, &i) in self.network.input(indices.len()).chunks_exact_mut(len).zip(indices) {
            augment.apply(&part.examples[i as usize * len..][..len], self.turns, &mut changed);
            self.turns += 1;
            self.scale.apply(&changed, numbers);
        }
        self.labels.clear();
        self.labels.extend(indices.iter().map(|i| u32::from(part.labels[*i as usize])));
        Ok(self.network.forward(&self.labels, true)?)
    }

    /// Sum of losses and number of hits over a batch as it is; `training` keeps what the backward pass needs.
    fn forward(&mut self, part: &Part, indices: &[u32], training: bool) -> Result<Loss, Error> {
        let len = self.dataset.example_len();
        for (numbers, &i) in self.network.input(indices.len()).chunks_exact_mut(len).zip(indices) {
            self.scale.apply(&part.examples[i as usize * len..][..len], numbers);
        }
        self.labels.clear();
        self.labels.extend(indices.iter().map(|i| u32::from(part.labels[*i as usize])));
        Ok(self.network.forward(&self.labels, training)?)
    }

    /// One update, unless the loss is above its limit. Only where parts must be added up, or the norm decides how far to go, are
    /// gradients kept; else each is used and forgotten on the way back.
    fn step(&mut self, indices: &[u32], lr: f64, optimizer: &mut dyn Optimizer, limit: f64) -> Result<Taken, Error> {
        let n = indices.len() as f64;
        let (mut sum, mut correct) = (0.0, 0);
        if self.learning.parts == 1 && self.learning.clip_norm.is_none() {
            let loss = self.learn_from(indices)?;
            (sum, correct) = (loss.sum, loss.correct);
            let diverged = divergence(sum / n, limit);
            let learn = if diverged.is_none() {
                optimizer.begin(lr);
                Learn::Now(optimizer)
            } else {
                Learn::Nothing
            };
            let grad_norm = self.network.backward(learn)?;
            if diverged.is_none() {
                self.move_average()?;
            }
            return Ok(Taken { loss: sum / n, accuracy: f64::from(correct) / n, grad_norm, diverged });
        }
        for part in indices.chunks(indices.len().div_ceil(self.learning.parts)) {
            let loss = self.learn_from(part)?;
            sum += loss.sum;
            correct += loss.correct;
            self.network.backward(Learn::Gather { share: part.len() as f64 / n })?;
        }
        let diverged = divergence(sum / n, limit);
        let grad_norm = self.network.gathered_norm()?;
        if diverged.is_none() {
            let scale = match self.learning.clip_norm {
                Some(clip) if grad_norm > clip => clip / grad_norm,
                _ => 1.0,
            };
            optimizer.begin(lr);
            self.network.learn_gathered(scale, Some(optimizer))?;
            self.move_average()?;
        }
        Ok(Taken { loss: sum / n, accuracy: f64::from(correct) / n, grad_norm, diverged })
    }

    fn move_average(&mut self) -> Result<(), Error> {
        match self.learning.ema_decay {
            Some(decay) => Ok(self.network.average(decay)?),
            None => Ok(()),
        }
    }

    /// Evaluates the training and validation splits, on the averaged weights if there are any, and keeps those of the best epoch.
    /// Returns the loss on the training split.
    fn evaluate_epoch(&mut self, step: u64, sink: &mut dyn Sink, best: Option<&mut Best>) -> Result<f64, Error> {
        let (dataset, plan) = (self.dataset, self.plan);
        let shown = self.learning.eval_train_examples.min(plan.division.train.len());
        // Of the weights in use, not of their average: it is they that noise moves.
        let noise_scale = if self.learning.measures_noise { self.noise_scale(&plan.division.train[..shown])? } else { None };
        self.with_average(|this| {
            let train_loss = this.evaluate(Split::Train, &dataset.train, &plan.division.train[..shown], step, noise_scale, sink)?;
            if !plan.division.validation.is_empty() {
                let loss = this.evaluate(Split::Validation, &dataset.train, &plan.division.validation, step, None, sink)?;
                if let Some(best) = best
                    && best.take(step, loss)
                {
                    this.network.save(Slot::Best)?;
                }
            }
            Ok(train_loss)
        })
    }

    /// Does something with the averaged weights in use, if there are any.
    fn with_average<R>(&mut self, body: impl FnOnce(&mut Self) -> Result<R, Error>) -> Result<R, Error> {
        if self.learning.ema_decay.is_none() {
            return body(self);
        }
        self.network.swap(Slot::Average)?;
        let result = body(self);
        self.network.swap(Slot::Average)?;
        result
    }

    /// Tests the best epoch's weights if they were kept, else the last ones or their average.
    fn finish(&mut self, best: Option<&Best>, step: u64, sink: &mut dyn Sink) -> Result<(), Error> {
        if let Some(best) = best.filter(|best| best.loss.is_finite()) {
            self.network.swap(Slot::Best)?;
            return self.test(best.step, sink);
        }
        self.with_average(|this| this.test(step, sink))
    }

    /// Evaluates the test split on the weights in use, and draws the feature maps that they make.
    fn test(&mut self, step: u64, sink: &mut dyn Sink) -> Result<(), Error> {
        let dataset = self.dataset;
        let test: Vec<u32> = (0..).take(dataset.test.labels.len()).collect();
        self.evaluate(Split::Test, &dataset.test, &test, step, None, sink)?;
        self.learning.feature_maps.map_or(Ok(()), |layer| self.draw_feature_maps(layer, sink))
    }

    /// Mean loss over the examples; it and the accuracy are recorded. An empty split has none.
    fn evaluate(
        &mut self,
        split: Split,
        part: &Part,
        indices: &[u32],
        step: u64,
        noise_scale: Option<f64>,
        sink: &mut dyn Sink,
    ) -> Result<f64, Error> {
        if indices.is_empty() {
            return Ok(0.0);
        }
        let (mut sum, mut correct) = (0.0, 0);
        let mut confusion = Confusion::default();
        for batch in indices.chunks(self.plan.eval_batch) {
            let loss = self.forward(part, batch, false)?;
            sum += loss.sum;
            correct += loss.correct;
            if split == Split::Test {
                count_confusion(&mut confusion, &self.network.logits()?, &self.labels);
            }
        }
        if split == Split::Test {
            sink.confusion(&confusion)?;
        }
        let n = indices.len() as f64;
        let (loss, accuracy, epoch) = (sum / n, Some(f64::from(correct) / n), step.div_ceil(self.plan.per_epoch()));
        sink.eval(&Eval { step, epoch, split, examples: indices.len() as u64, loss, accuracy, noise_scale, elapsed_ms: self.clock.ms() })?;
        Ok(loss)
    }

    /// The gradient noise scale on some examples, from the squared norms of their gradient and of its parts' (McCandlish et al. 2018,
    /// appendix A.1). `None` if noise hides the gradient.
    fn noise_scale(&mut self, indices: &[u32]) -> Result<Option<f64>, Error> {
        const PARTS: usize = 100;
        let dataset = self.dataset;
        let small = (indices.len() / PARTS).max(1);
        let parts: Vec<&[u32]> = indices.chunks_exact(small).collect();
        if parts.len() < 2 {
            return Ok(None);
        }
        let large = (small * parts.len()) as f64;
        // Layers must not remember what is only measured.
        self.network.save(Slot::Aside)?;
        let mut squares = 0.0;
        for part in &parts {
            self.forward(&dataset.train, part, true)?;
            squares += self.network.backward(Learn::Gather { share: 1.0 / parts.len() as f64 })?.powi(2);
        }
        let of_small = squares / parts.len() as f64;
        let of_large = self.network.gathered_norm()?.powi(2);
        self.network.learn_gathered(1.0, None)?;
        self.network.swap(Slot::Aside)?;
        let small = small as f64;
        let signal = (large * of_large - small * of_small) / (large - small);
        let noise = (of_small - of_large) / (1.0 / small - 1.0 / large);
        Ok(Some(noise / signal).filter(|scale| signal > 0.0 && scale.is_finite()))
    }

    /// Records a layer's output for the first test image, a picture per channel, with the image itself. For a 1×1 convolution, also how
    /// far that is from a matrix product at every pixel.
    fn draw_feature_maps(&mut self, layer: usize, sink: &mut dyn Sink) -> Result<(), Error> {
        let dataset = self.dataset;
        self.forward(&dataset.test, &[0], false)?;
        let shapes = Structure::new(&self.plan.graph, &dataset.shape, dataset.classes())?.into_shapes();
        for (number, name) in [(0, "input".to_owned()), (layer, format!("layer {layer}"))] {
            feature_maps::pictures(&name, &shapes[number], &self.network.output_of(number)?, sink)?;
        }
        let node = &self.plan.graph.nodes[layer - 1];
        let (weights, input) = (self.network.weights_of(layer)?, self.network.output_of(node.inputs[0])?);
        if let Some(deviation) = feature_maps::pixel_product_deviation(&node.layer, &input, &weights, &self.network.output_of(layer)?) {
            sink.measurement(&Measurement { name: format!("layer {layer}: deviation from a matrix product per pixel"), value: deviation })?;
        }
        Ok(())
    }
}

/// Counts what examples with these labels are taken for: the largest of their logits, the first of equals.
fn count_confusion(confusion: &mut Confusion, logits: &[f32], labels: &[u32]) {
    let classes = logits.len() / labels.len().max(1);
    confusion.classes = classes;
    confusion.examples.resize(classes * classes, 0);
    for (row, label) in logits.chunks_exact(classes.max(1)).zip(labels) {
        if row.iter().all(|logit| logit.is_finite()) {
            let predicted = (1..classes).fold(0, |largest, i| if row[i] > row[largest] { i } else { largest });
            confusion.examples[*label as usize * classes + predicted] += 1;
        }
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
mod learning_tests;
#[cfg(test)]
pub(crate) mod tests;
