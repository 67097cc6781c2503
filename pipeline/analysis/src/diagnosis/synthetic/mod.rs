//! Labelled synthetic training curves: runs are simulated step by step and recorded as real ones are.
//! Called by the test that measures precision and recall of the diagnosis.
//!
//! The labels come from how such runs look in practice, not from the rules, which were written later. Since then only circumstances
//! changed: those in which nobody could tell the label (noise hides it, a wave has fewer than four points) or that contradict one
//! another (full batches with noise) are not drawn.

mod levels;
mod random;

use levels::Levels;
use random::{Random, whole};

use super::{Condition, Curve, Divergence};

/// The circumstances of a run.
struct Setting {
    classes: u64,
    epochs: usize,
    per_epoch: usize,
    steps: usize,
    bins: usize,
    /// Deviation of a batch's loss over its mean.
    noise: f64,
}

impl Setting {
    fn draw(condition: Condition, random: &mut Random) -> Self {
        let fewest = if condition == Condition::Overfitting { 5 } else { 1 };
        loop {
            let examples = random.log_between(200.0, 50_000.0);
            let batch = if random.happens(0.1) { examples } else { random.log_between(1.0, 512.0).min(examples) };
            let (epochs, per_epoch) = (random.whole(fewest, 30), whole((examples / batch).ceil()));
            let steps = epochs * per_epoch;
            if !(5..=20_000).contains(&steps) {
                continue;
            }
            // One example's loss deviates from the mean about as much as the mean itself.
            let noise = if per_epoch == 1 { 0.0 } else { random.log_between(0.7, 2.0) / batch.sqrt() };
            let bins = if random.happens(0.5) { 60 } else { random.whole(5, 60) }.min(steps);
            let classes = random.log_whole(2, 101) as u64;
            let setting = Setting { classes, epochs, per_epoch, steps, bins, noise };
            // What noise hides in the bins must show in the evaluations: nobody could label the curve otherwise.
            let visible = match condition {
                Condition::Oscillating => setting.noise_of_bins() < 0.1 || epochs >= 6,
                Condition::TooSlow => !setting.is_noisy() || epochs >= 4,
                _ => true,
            };
            if visible {
                return setting;
            }
        }
    }

    /// Whether noise hides a change of a few percent even in the mean of a fifth of the steps.
    fn is_noisy(&self) -> bool {
        self.noise / (self.steps as f64 / 5.0).sqrt() > 0.01
    }

    fn noise_of_bins(&self) -> f64 {
        self.noise / (self.steps as f64 / self.bins as f64).sqrt()
    }

    /// Points that a curve of the run has.
    fn points(&self) -> usize {
        self.bins.max(self.epochs)
    }

    fn guess(&self) -> f64 {
        (self.classes as f64).ln()
    }
}

/// A curve with what a practitioner would call it.
pub(super) struct Synthetic {
    pub(super) label: Condition,
    /// Which variety of the condition, for a look at what is missed.
    pub(super) kind: &'static str,
    losses: Vec<f64>,
    rises: f64,
    noise: f64,
    steps: u64,
    train: Vec<(u64, f64)>,
    validation: Vec<(u64, f64)>,
    accuracy: Vec<(u64, f64)>,
    classes: Option<u64>,
    diverged: Option<(u64, String)>,
    /// The epoch at which the validation loss is lowest but for noise.
    pub(super) best: u64,
}

impl Synthetic {
    pub(super) fn curve(&self) -> Curve<'_> {
        Curve {
            losses: &self.losses,
            rises: self.rises,
            noise: self.noise,
            steps: self.steps,
            train: &self.train,
            validation: &self.validation,
            accuracy: &self.accuracy,
            classes: self.classes,
            diverged: self.diverged.as_ref().map(|(step, reason)| Divergence { step: *step, reason }),
        }
    }
}

/// `n` curves, as many of each condition.
pub(super) fn curves(seed: u64, n: usize) -> Vec<Synthetic> {
    let mut random = Random::new(seed);
    (0..n).map(|i| synthetic(Condition::ALL[i % Condition::ALL.len()], &mut random)).collect()
}

fn synthetic(label: Condition, random: &mut Random) -> Synthetic {
    let setting = Setting::draw(label, random);
    let levels = levels::levels(label, &setting, random);
    let mut losses: Vec<f64> = levels.train.iter().take(setting.steps).map(|level| level * setting.guess()).collect();
    for loss in &mut losses {
        // Where the loss is low, a few hard examples make most of it: relative to its mean, the noise grows.
        let hardness = (setting.guess() / *loss).max(1.0).powf(0.3);
        *loss *= random.factor(setting.noise * hardness);
    }
    let diverged = (label == Condition::Diverged).then(|| explode(&mut losses, random));
    let steps = losses.len();
    let epochs_done = (steps / setting.per_epoch).min(setting.epochs);
    let evaluations = Evaluations::of(label, &setting, &levels, epochs_done, random);
    let (rises, noise) = smoothness(&losses);
    let best = evaluations.best;
    Synthetic {
        label,
        kind: levels.kind,
        losses: binned(&losses, setting.bins.min(steps)),
        rises,
        noise,
        steps: steps as u64,
        train: evaluations.train,
        validation: evaluations.validation,
        accuracy: evaluations.accuracy,
        classes: evaluations.classes,
        diverged,
        best,
    }
}

/// Cuts the run off at a random step with numbers that are no longer any, or within a few steps of growth.
fn explode(losses: &mut Vec<f64>, random: &mut Random) -> (u64, String) {
    let at = random.log_whole(1, losses.len());
    losses.truncate(at.max(1));
    if random.happens(0.3) {
        losses.push(f64::NAN);
    } else {
        let (limit, factor) = (losses[0] * 1e4, random.log_between(1.5, 1000.0));
        while losses.last().is_some_and(|last| *last < limit) {
            losses.push(losses.last().map_or(0.0, |last| last * factor));
        }
    }
    (losses.len() as u64, format!("the loss {} is above its limit", losses.last().map_or(0.0, |last| *last)))
}

/// What is evaluated before training and after each epoch; some of it is missing in some runs.
struct Evaluations {
    train: Vec<(u64, f64)>,
    validation: Vec<(u64, f64)>,
    accuracy: Vec<(u64, f64)>,
    classes: Option<u64>,
    best: u64,
}

impl Evaluations {
    fn of(label: Condition, setting: &Setting, levels: &Levels, epochs: usize, random: &mut Random) -> Self {
        let guess = setting.guess();
        // The same examples are evaluated each time, so their sample shifts all evaluations alike, and little else varies.
        let mut series = |levels: &[f64], shift: f64, noise: f64| -> Vec<(u64, f64)> {
            let shift = 1.0 + shift * random.normal();
            let at = |epoch: usize| (epoch as u64, levels[epoch * setting.per_epoch] * guess * shift * (1.0 + noise * random.normal()));
            (0..=epochs).map(at).collect()
        };
        let mut train = series(&levels.train, 0.02, 0.003);
        let mut validation = series(&levels.validation, 0.03, 0.01);
        let has_validation = label == Condition::Overfitting || random.happens(0.85);
        let accuracy = accuracies(if has_validation { &validation } else { &train }, setting, levels.guesses, random);
        if !has_validation {
            validation.clear();
        }
        if !levels.needs_evaluations && random.happens(0.15) {
            train.clear();
        }
        // Without the classes, the loss before training must tell what guessing costs.
        let told = !train.is_empty() && levels.train[0] < 1.15;
        let classes = (random.happens(0.9) || !told).then_some(setting.classes);
        let accuracy = if random.happens(0.9) { accuracy } else { Vec::new() };
        let lowest = (0..=epochs).min_by(|a, b| {
            let at = |epoch: usize| levels.validation[epoch * setting.per_epoch];
            at(*a).total_cmp(&at(*b))
        });
        Evaluations { train, validation, accuracy, classes, best: lowest.unwrap_or(0) as u64 }
    }
}

/// The less a loss is of what guessing costs, the more is right; a loss that rises from overconfidence costs little accuracy.
fn accuracies(losses: &[(u64, f64)], setting: &Setting, guesses: bool, random: &mut Random) -> Vec<(u64, f64)> {
    let chance = 1.0 / setting.classes as f64;
    let (power, deviation) = (random.between(0.7, 1.0), random.between(0.003, 0.012));
    let mut lowest = f64::INFINITY;
    let mut at = |loss: f64| {
        lowest = lowest.min(loss);
        let effective = if loss < 1.6 * lowest { lowest + 0.3 * (loss - lowest) } else { loss };
        let learned = if guesses { 0.0 } else { (1.0 - effective / setting.guess()).max(0.0).powf(power) };
        (chance + (1.0 - chance) * learned + deviation * random.normal()).clamp(0.0, 1.0)
    };
    losses.iter().map(|(epoch, loss)| (*epoch, at(*loss))).collect()
}

/// Means of `n` bins of steps, as equal as can be.
fn binned(losses: &[f64], n: usize) -> Vec<f64> {
    let edge = |i: usize| i * losses.len() / n;
    (0..n).map(|i| losses[edge(i)..edge(i + 1)].iter().sum::<f64>() / (edge(i + 1) - edge(i)) as f64).collect()
}

/// Share of rises and von Neumann noise of the step losses.
fn smoothness(losses: &[f64]) -> (f64, f64) {
    let finite: Vec<f64> = losses.iter().copied().filter(|loss| loss.is_finite()).collect();
    let pairs = finite.windows(2).count().max(1) as f64;
    let differences = || finite.windows(2).map(|pair| pair[1] - pair[0]);
    let mean = finite.iter().sum::<f64>() / finite.len().max(1) as f64;
    let squares: f64 = differences().map(|difference| difference * difference).sum();
    (differences().filter(|difference| *difference > 0.0).count() as f64 / pairs, (squares / pairs / 2.0).sqrt() / mean)
}
