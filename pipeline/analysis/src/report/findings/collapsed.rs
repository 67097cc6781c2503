//! The finding on runs that finished and yet learned nothing: too high a rate need not end in numbers that are not finite.
//! Called after the finding on diverged runs.

use spec::{Metric, Quantity, Split};

use crate::Analysis;
use crate::number::count;
use crate::results::{ArmResult, RunResult, State};
use crate::table::escape;

/// An accuracy that rose by no more than this may have done so by chance.
const CHANCE: f64 = 0.02;
const RATE: &str = "lr";

pub(super) fn finding(a: &Analysis<'_>) -> Option<String> {
    let arms: Vec<usize> = (0..a.arms.len()).filter(|i| a.arms.get(*i).is_some_and(|arm| stuck(arm) > 0)).collect();
    let of = |i: &usize| a.arms.get(*i).map(|arm| (stuck(arm), format!("{} ({} of {})", escape(arm.label), stuck(arm), arm.runs.len())));
    let (counts, names): (Vec<usize>, Vec<String>) = arms.iter().filter_map(of).unzip();
    if arms.is_empty() {
        return None;
    }
    let n: usize = counts.iter().sum();
    let cause = if arms.iter().all(|i| only_lower_rates_learn(a, *i)) {
        let (subject, whose) = if n == 1 { ("It", "its") } else { ("They", "their") };
        format!(
            " {subject} did not diverge, but {whose} rate was too high to learn: with all other axes the same, every run at some lower \
             `{RATE}` learned."
        )
    } else {
        String::new()
    };
    Some(format!(
        "{} ended no better than before training, in {}: {}.{cause} Rule: the training loss at the end is not below the one before \
         training, or the validation accuracy (without a validation split, the training accuracy) is at most {CHANCE} above.",
        count(n, "finished run"),
        count(names.len(), "arm"),
        names.join(", ")
    ))
}

/// How many runs of an arm ended no better than they began.
fn stuck(arm: &ArmResult<'_>) -> usize {
    arm.runs.iter().filter(|run| is_stuck(run)).count()
}

fn is_stuck(run: &RunResult<'_>) -> bool {
    let both = |split, quantity| {
        let metric = Metric { split, quantity };
        run.before(metric).zip(run.last(metric))
    };
    let loss = both(Split::Train, Quantity::Loss);
    let accuracy = both(Split::Validation, Quantity::Accuracy).or_else(|| both(Split::Train, Quantity::Accuracy));
    // A run without a step has its only evaluation before training.
    run.record.steps > 0
        && (loss.is_some_and(|(before, after)| after >= before) || accuracy.is_some_and(|(before, after)| after <= before + CHANCE))
}

/// Whether, among the arms that differ from this one in their rate alone, those that learned in every run have lower rates, and
/// there are some.
fn only_lower_rates_learn(a: &Analysis<'_>, arm: usize) -> bool {
    let (Some(axis), Some(arm)) = (a.data.study.axes.iter().position(|axis| axis == RATE), a.arms.get(arm)) else {
        return false;
    };
    let rate = |arm: &ArmResult<'_>| arm.axes.get(axis)?.as_ref()?.as_f64();
    let alike = |other: &ArmResult<'_>| (0..arm.axes.len()).filter(|i| *i != axis).all(|i| arm.axes.get(i) == other.axes.get(i));
    let learned = |other: &&ArmResult<'_>| alike(other) && other.count(State::Finished) == other.runs.len() && stuck(other) == 0;
    let mut learned = a.arms.iter().filter(learned).peekable();
    learned.peek().is_some() && learned.all(|other| rate(other).zip(rate(arm)).is_some_and(|(other, this)| other < this))
}
