//! What the rules look at: a run's curve reduced to levels, and the noise in them.
//! Made once for each diagnosis; it knows no thresholds.

use super::Curve;
use super::shape::{Course, end, roughness};
use crate::stats::{mean, median};

/// This part of the loss of guessing is added before losses are compared: further down, factors mean little.
const FLOOR: f64 = 0.05;
/// The deviation of a median over that of a mean, of normal noise.
const OF_MEDIAN: f64 = 1.25;
/// Bins that are averaged before swings are counted.
const WAVE: usize = 3;
/// Roughness varies from run to run; noise is taken to be less than this many times as much.
const ROUGHNESS: f64 = 1.5;
/// Bins on either side of one that tell the level there.
const AROUND: usize = 3;
/// No level is taken to be more exact than this part of it: the weights of every run wander a little.
const LEAST_UNREST: f64 = 0.01;

pub(super) struct View<'a> {
    pub(super) curve: &'a Curve<'a>,
    /// The loss of guessing, or else that before training, or else that of the first bin; always above 0.
    pub(super) guess: f64,
    /// Which of them it is.
    pub(super) guess_name: &'static str,
    /// Median of the bins in each fifth of the steps; `None` with fewer than five bins.
    pub(super) fifths: Option<[f64; 5]>,
    /// Losses of evaluations.
    pub(super) train: Vec<(u64, f64)>,
    pub(super) validation: Vec<(u64, f64)>,
    /// Deviation of one step's loss over the root of its level.
    noise: f64,
}

impl<'a> View<'a> {
    /// `None` if there is nothing to compare losses with.
    pub(super) fn of(curve: &'a Curve<'a>) -> Option<Self> {
        let before = curve.train.first().filter(|(epoch, _)| *epoch == 0).map(|(_, loss)| *loss);
        let of_classes = curve.classes.filter(|classes| *classes > 1).map(|classes| (classes as f64).ln());
        let (guess, guess_name) = of_classes
            .map(|loss| (loss, "that of guessing"))
            .or(before.map(|loss| (loss, "that before training")))
            .or(curve.losses.first().map(|loss| (*loss, "that of the first steps")))
            .filter(|(guess, _)| guess.is_finite() && *guess > 0.0)?;
        let (train, validation) = (curve.train.to_vec(), curve.validation.to_vec());
        let noise = noise(curve);
        Some(View { curve, guess, guess_name, fifths: fifths(curve.losses), train, validation, noise })
    }

    /// Evaluations show how the weights move, whatever the noise of the batches: of the training split, else of validation.
    pub(super) fn evaluations(&self) -> &[(u64, f64)] {
        if self.train.len() > 2 { &self.train } else { &self.validation }
    }

    /// The training loss at the end.
    pub(super) fn end(&self) -> Option<f64> {
        let level = self.fifths.map(|fifths| fifths[4]);
        level.or(self.train.last().map(|(_, loss)| *loss)).or(self.curve.losses.last().copied())
    }

    /// Share of the way from the accuracy of chance to 1, of the second-best evaluation: the best may be luck.
    pub(super) fn learned(&self) -> Option<f64> {
        let chance = 1.0 / self.curve.classes.filter(|classes| *classes > 1)? as f64;
        let mut accuracies: Vec<f64> = self.curve.accuracy.iter().skip(1).map(|(_, accuracy)| *accuracy).collect();
        accuracies.retain(|accuracy| accuracy.is_finite());
        accuracies.sort_by(f64::total_cmp);
        accuracies.get(accuracies.len().saturating_sub(2)).map(|accuracy| (accuracy - chance) / (1.0 - chance))
    }

    /// The training loss at an epoch and at the end of the run: of evaluations, or else of the bins.
    pub(super) fn training_since(&self, epoch: u64, last: u64) -> Option<(f64, f64)> {
        if self.train.len() > 2 {
            let at = self.train.iter().rposition(|(at, _)| *at <= epoch)?;
            return Some((self.train.get(at)?.1, end(self.train.get(at..)?)?));
        }
        let (bins, width) = (self.curve.losses, self.curve.losses.len() / 12);
        let at = usize::try_from(epoch.saturating_mul(bins.len() as u64) / last.max(1)).ok()?.min(bins.len());
        Some((median(bins.get(at.saturating_sub(width)..(at + width + 1).min(bins.len()))?)?, self.fifths?[4]))
    }

    /// A loss on the scale of [`waves`](Self::waves).
    pub(super) fn logarithm(&self, loss: f64) -> f64 {
        (loss.max(0.0) + self.floor()).ln()
    }

    /// The way back from [`logarithm`](Self::logarithm).
    pub(super) fn loss(&self, logarithm: f64) -> f64 {
        logarithm.exp() - self.floor()
    }

    /// How far a loss rose, over where it came from.
    pub(super) fn rise(&self, from: f64, to: f64) -> f64 {
        (to + self.floor()) / (from + self.floor()) - 1.0
    }

    /// What is added to losses before one is divided by another.
    fn floor(&self) -> f64 {
        FLOOR * self.guess
    }

    /// Deviation of a mean over a share of all steps from the noise of the batches, where the loss is at this level.
    fn of_mean(&self, level: f64, share: f64) -> f64 {
        self.noise * level.max(0.0).sqrt() / (share * self.curve.steps as f64).max(1.0).sqrt()
    }

    /// Deviation of the level of a fifth.
    pub(super) fn of_fifth(&self, level: f64) -> f64 {
        OF_MEDIAN * self.of_mean(level, 0.2)
    }

    /// Means of neighbouring bins on a logarithmic scale, on which a factor has the same size everywhere, each with the deviation of
    /// its noise.
    pub(super) fn waves(&self) -> Vec<(f64, f64)> {
        let (bins, floor) = (self.curve.losses, self.floor());
        let logarithms: Vec<f64> = bins.iter().map(|loss| self.logarithm(*loss)).collect();
        // A wave of a few steps passes for noise from step to step, but not from bin to bin.
        let seen = ROUGHNESS * roughness(&logarithms).unwrap_or(0.0);
        let mean_of = |(i, window): (usize, &[f64])| {
            let middle = i + WAVE / 2;
            // The level around, not the bin itself: a bin that noise made low would seem to have little.
            let around = bins.get(middle.saturating_sub(AROUND)..(middle + AROUND + 1).min(bins.len())).unwrap_or_default();
            let level = median(around).unwrap_or(0.0).max(0.0) + floor;
            let told = (self.of_mean(level, 1.0 / bins.len() as f64) / level).powi(2).ln_1p().sqrt();
            (mean(window).unwrap_or(0.0), told.min(seen) / (WAVE as f64).sqrt())
        };
        logarithms.windows(WAVE).enumerate().map(mean_of).collect()
    }

    /// The evaluations, if there are enough, and the bins.
    pub(super) fn courses(&self) -> Vec<Course> {
        let evaluations = Some(self.evaluations()).filter(|evaluations| evaluations.len() > 3).map(course);
        let bins = self.fifths.map(|fifths| {
            let n = self.curve.losses.len() as f64;
            let points = self.curve.losses.iter().enumerate().map(|(i, loss)| ((i as f64 + 0.5) / n, *loss)).collect();
            Course { points, noise: self.of_mean(fifths[4], 1.0 / n).max(LEAST_UNREST * fifths[4]) }
        });
        evaluations.into_iter().chain(bins).collect()
    }
}

/// Evaluations over the run from 0 to 1.
pub(super) fn course(evaluations: &[(u64, f64)]) -> Course {
    let end = evaluations.last().map_or(1, |(epoch, _)| *epoch).max(1) as f64;
    let points = evaluations.iter().map(|(epoch, loss)| (*epoch as f64 / end, *loss)).collect();
    // Without the first quick fall.
    let late: Vec<f64> = evaluations.iter().skip(1).map(|(_, loss)| *loss).collect();
    let least = LEAST_UNREST * late.last().map_or(0.0, |last| last.abs());
    Course { points, noise: roughness(&late).unwrap_or(0.0).max(least) }
}

fn fifths(losses: &[f64]) -> Option<[f64; 5]> {
    if losses.len() < 5 {
        return None;
    }
    let mut levels = [0.0; 5];
    for (i, level) in levels.iter_mut().enumerate() {
        *level = median(losses.get(i * losses.len() / 5..(i + 1) * losses.len() / 5)?)?;
    }
    Some(levels)
}

/// Deviation of one step's loss over the root of its level: where the loss is low, a few hard examples make most of it, so noise
/// falls more slowly than the loss.
fn noise(curve: &Curve<'_>) -> f64 {
    // An epoch of a single step is a full batch, whose loss is that of the weights.
    if [curve.train, curve.validation].into_iter().any(|values| values.last().is_some_and(|(epoch, _)| *epoch == curve.steps)) {
        return 0.0;
    }
    // In a short run a steady fall passes for noise, but makes few rises; of noise, half of the steps are some.
    let noise = curve.noise * mean(curve.losses).unwrap_or(0.0).max(0.0).sqrt() * (2.2 * curve.rises).min(1.0);
    if noise.is_finite() { noise } else { 0.0 }
}
