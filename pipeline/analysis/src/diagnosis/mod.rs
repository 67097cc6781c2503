//! Diagnosis of training runs from their curves: what a practitioner would say who looks at them, with the figures that say so.
//! Called by the report for each run and arm; pure functions that know neither frames nor arms.
//!
//! The rules, in the order in which they are asked; the first that fires decides:
//!
//! 1. *diverged*: the run ended so, or a loss is not finite;
//! 2. *too slow*: still near the loss of guessing, but going down steadily from its start;
//! 3. *plateaued high*: never better than guessing, however much it swings;
//! 4. *overfitting*: the validation loss rises from its best to the end, while the training loss is better than guessing and does
//!    not rise with it;
//! 5. *oscillating*: the training loss rises again and again, in bins of the steps beyond the noise of its batches, or between
//!    evaluations, or it ends clearly above its best;
//! 6. *too slow*: still improving at the end, on the validation split, too;
//! 7. *plateaued high*: not much better than guessing, and no longer improving;
//! 8. *healthy*: nothing of all this.
//!
//! Losses are compared as ratios, after 5 % of the loss of guessing is added to each: what happens further down is of no consequence.
//!
//! Bins of many steps tell oscillation from the noise of small batches: independent noise shrinks with the root of the steps in a
//! bin, swings of the weights do not. What is too fast for the bins shows in evaluations, which have no such noise. A run of a
//! single epoch whose loss bounces within a bin can't be told from a noisy one and counts as healthy.
//!
//! With fewer than five bins there are no levels to compare: divergence and overfitting are told as usual, a loss that still falls
//! is *too slow* after so few steps, and everything else is *healthy*, with evidence that says that the run was too short to judge.

mod rules;
mod shape;
mod thresholds;
mod view;

#[cfg(test)]
mod synthetic;
#[cfg(test)]
mod synthetic_tests;
#[cfg(test)]
mod tests;

use std::fmt;

pub use thresholds::{Field, Thresholds};

/// What the rules may see of one run.
#[derive(Clone, Copy, Debug)]
pub struct Curve<'a> {
    /// Training loss of the steps, averaged within up to 60 equal bins of the run's steps, in order.
    pub losses: &'a [f64],
    /// Share of the steps whose loss is above that of the step before.
    pub rises: f64,
    /// Root of half the mean squared difference of neighbouring steps' losses (von Neumann 1941), over the mean loss.
    pub noise: f64,
    pub steps: u64,
    /// Epoch and training loss of the evaluations; epoch 0 is before training. May be empty.
    pub train: &'a [(u64, f64)],
    /// Epoch and validation loss. May be empty.
    pub validation: &'a [(u64, f64)],
    /// Epoch and validation accuracy, or else training accuracy. May be empty.
    pub accuracy: &'a [(u64, f64)],
    /// Number of classes, which tells what guessing costs and earns.
    pub classes: Option<u64>,
    pub diverged: Option<Divergence<'a>>,
}

/// How a run diverged.
#[derive(Clone, Copy, Debug)]
pub struct Divergence<'a> {
    pub step: u64,
    pub reason: &'a str,
}

/// What is the matter with a run; the worse, the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    Diverged,
    Oscillating,
    TooSlow,
    PlateauedHigh,
    Overfitting,
    Healthy,
}

impl Condition {
    /// All conditions, the worst first.
    pub const ALL: [Condition; 6] = [
        Condition::Diverged,
        Condition::Oscillating,
        Condition::TooSlow,
        Condition::PlateauedHigh,
        Condition::Overfitting,
        Condition::Healthy,
    ];

    /// As it stands in tables and sentences.
    pub fn name(self) -> &'static str {
        match self {
            Condition::Diverged => "diverged",
            Condition::Oscillating => "oscillating",
            Condition::TooSlow => "too slow",
            Condition::PlateauedHigh => "plateaued high",
            Condition::Overfitting => "overfitting",
            Condition::Healthy => "healthy",
        }
    }

    /// What a course in deep learning names against it.
    pub fn remedy(self) -> &'static str {
        match self {
            Condition::Diverged => "lower the learning rate, warm it up, or clip the gradients",
            Condition::Oscillating => "lower or decay the learning rate, or take larger batches",
            Condition::TooSlow => "raise the learning rate, or train longer",
            Condition::PlateauedHigh => "change the learning rate or the initialization, or take a larger network",
            Condition::Overfitting => "stop early, augment the data, add dropout or weight decay, or take a simpler network",
            Condition::Healthy => "none needed",
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A condition and what speaks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnosis {
    pub condition: Condition,
    /// The figures that fired, each with its rule, as a sentence without a full stop.
    pub evidence: String,
}

/// Asks the rules, in their order. Never panics, whatever the numbers are; losses are taken to be those of classification, which
/// are not negative.
#[must_use]
pub fn diagnose(curve: &Curve<'_>, thresholds: &Thresholds) -> Diagnosis {
    let (condition, evidence) = rules::first(curve, thresholds);
    Diagnosis { condition, evidence }
}

/// The condition of most runs of an arm, of equally many the worst; `None` without runs.
#[must_use]
pub fn of_arm(runs: &[Diagnosis]) -> Option<Condition> {
    // Of equal maxima, `max_by_key` returns the last.
    counts(runs).into_iter().rev().max_by_key(|(_, count)| *count).map(|(condition, _)| condition)
}

/// How many runs have each condition, the worst first; conditions that none has are left out.
#[must_use]
pub fn counts(runs: &[Diagnosis]) -> Vec<(Condition, usize)> {
    let count = |condition| (condition, runs.iter().filter(|run| run.condition == condition).count());
    Condition::ALL.into_iter().map(count).filter(|(_, count)| *count > 0).collect()
}
