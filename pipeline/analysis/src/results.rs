//! Runs and arms: how each run ended and with what, and the runs of each arm together.
//! Called once per study by `analysis`; it knows nothing of tables or of which arm is better.

use std::collections::BTreeMap;

use polars::prelude::*;
use serde_json::Value;
use spec::record::Outcome;
use spec::{Metric, Quantity, Split};
use tracker::read::RunRecord;

use crate::error::Error;
use crate::frame;
use crate::study_data::StudyData;

/// What a run contributes to its study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Completed or stopped early: it has final metrics.
    Finished,
    /// A result without final metrics.
    Diverged,
    /// Ended by an error: no result.
    Failed,
    /// Not started, not ended, or interrupted: no result yet.
    Missing,
}

impl State {
    pub const ALL: [State; 4] = [State::Finished, State::Diverged, State::Failed, State::Missing];

    #[must_use]
    pub fn of(run: &RunRecord) -> Self {
        match run.outcome {
            Some(Outcome::Completed | Outcome::StoppedEarly) => State::Finished,
            Some(Outcome::Diverged) => State::Diverged,
            Some(Outcome::Failed) => State::Failed,
            Some(Outcome::Interrupted) | None => State::Missing,
        }
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Finished => "finished",
            State::Diverged => "diverged",
            State::Failed => "failed",
            State::Missing => "missing",
        }
    }
}

/// A run with its last and best evaluations.
#[derive(Clone, Debug)]
pub struct RunResult<'a> {
    pub record: &'a RunRecord,
    /// Its place in the study's list, by which steps and evaluations name it.
    pub place: u32,
    pub state: State,
    /// The last evaluation of each metric; of finished runs only.
    last: BTreeMap<Metric, f64>,
    /// The best finite evaluation of each metric; of finished runs only.
    best: BTreeMap<Metric, f64>,
    /// The evaluation of each metric before training; of finished runs only.
    before: BTreeMap<Metric, f64>,
    /// Training time, evaluations not counted, in milliseconds; of finished runs only.
    pub train_ms: Option<f64>,
}

impl RunResult<'_> {
    /// The metric at the end of training; `None` unless the run finished and the value is finite.
    #[must_use]
    pub fn last(&self, metric: Metric) -> Option<f64> {
        self.last.get(&metric).copied()
    }

    /// The metric before training; `None` unless the run finished and the value is finite.
    #[must_use]
    pub fn before(&self, metric: Metric) -> Option<f64> {
        self.before.get(&metric).copied()
    }

    /// The best value that the metric had during training; `None` unless the run finished.
    #[must_use]
    pub fn best(&self, metric: Metric) -> Option<f64> {
        self.best.get(&metric).copied()
    }
}

/// An arm with its runs, by seed.
#[derive(Clone, Debug)]
pub struct ArmResult<'a> {
    pub label: &'a str,
    pub position: usize,
    /// Values in the order of the study's axes.
    pub axes: &'a [Option<Value>],
    pub runs: Vec<RunResult<'a>>,
}

impl ArmResult<'_> {
    #[must_use]
    pub fn count(&self, state: State) -> usize {
        self.runs.iter().filter(|run| run.state == state).count()
    }

    /// Places of the finished runs in the study's list.
    #[must_use]
    pub fn finished(&self) -> Vec<u32> {
        self.runs.iter().filter(|run| run.state == State::Finished).map(|run| run.place).collect()
    }

    /// Finished or diverged.
    #[must_use]
    pub fn with_result(&self) -> usize {
        self.count(State::Finished) + self.count(State::Diverged)
    }

    /// The metric at the end of training, one value per finished run.
    #[must_use]
    pub fn last(&self, metric: Metric) -> Vec<f64> {
        self.runs.iter().filter_map(|run| run.last(metric)).collect()
    }

    /// The best value during training, one per finished run.
    #[must_use]
    pub fn best(&self, metric: Metric) -> Vec<f64> {
        self.runs.iter().filter_map(|run| run.best(metric)).collect()
    }

    /// Whether every run finished with a finite value of the metric.
    #[must_use]
    pub fn is_whole(&self, metric: Metric) -> bool {
        !self.runs.is_empty() && self.runs.iter().all(|run| run.last(metric).is_some())
    }
}

/// The study's arms in the order of its grid.
///
/// # Errors
/// When a data frame query fails.
pub fn arms(data: &StudyData) -> Result<Vec<ArmResult<'_>>, Error> {
    let mut ends = ends(data)?;
    let mut arms: BTreeMap<usize, ArmResult<'_>> = BTreeMap::new();
    for (index, record) in (0..).zip(&data.runs) {
        let state = State::of(record);
        let Ends { last, best, before, train_ms } = ends.remove(&index).filter(|_| state == State::Finished).unwrap_or_default();
        let run = RunResult { record, place: u32::try_from(index).unwrap_or(u32::MAX), state, last, best, before, train_ms };
        let new = || ArmResult { label: &record.arm, position: record.position, axes: &record.axes, runs: vec![] };
        arms.entry(record.position).or_insert_with(new).runs.push(run);
    }
    let mut arms: Vec<_> = arms.into_values().collect();
    for arm in &mut arms {
        arm.runs.sort_by_key(|run| run.record.seed);
    }
    Ok(arms)
}

#[derive(Default)]
struct Ends {
    last: BTreeMap<Metric, f64>,
    best: BTreeMap<Metric, f64>,
    before: BTreeMap<Metric, f64>,
    train_ms: Option<f64>,
}

/// Last and best evaluations of every run that has any, by index. The last is that of the weights that were tested.
fn ends(data: &StudyData) -> Result<BTreeMap<u64, Ends>, Error> {
    let finite = |name: &str| col(name).filter(col(name).is_finite());
    let before = |name: &str| col(name).filter(col("step").eq(lit(0u64))).first();
    // A run that stopped early ends with the weights of its best epoch: those that were tested.
    let tested = col("step").filter(col("split").eq(lit(Split::Test.name()))).last().over([col("run")])?;
    let at_end = |name: &str| col(name).filter(col("tested").is_null().or(col("step").lt_eq(col("tested")))).last();
    let frame = frame::evals(&data.evals)?
        .with_column(tested.alias("tested"))
        .group_by([col("run"), col("split")])
        .agg([
            at_end("loss"),
            at_end("accuracy"),
            finite("loss").min().alias("best_loss"),
            finite("accuracy").max().alias("best_accuracy"),
            before("loss").alias("loss_before"),
            before("accuracy").alias("accuracy_before"),
            col("elapsed_ms").max(),
        ])
        .sort(["run", "split"], SortMultipleOptions::default())
        .collect()?;
    let (run, split, elapsed) = (frame::whole(&frame, "run")?, frame::texts(&frame, "split")?, frame::floats(&frame, "elapsed_ms")?);
    let mut ends: BTreeMap<u64, Ends> = BTreeMap::new();
    for (quantity, name) in [(Quantity::Loss, "loss"), (Quantity::Accuracy, "accuracy")] {
        let (last, best) = (frame::floats(&frame, name)?, frame::floats(&frame, &format!("best_{name}"))?);
        let before = frame::floats(&frame, &format!("{name}_before"))?;
        for row in 0..run.len() {
            let metric = Metric { split: split_named(&split[row]), quantity };
            let end = ends.entry(run[row]).or_default();
            end.last.extend(Some((metric, last[row])).filter(|(_, value)| value.is_finite()));
            end.best.extend(Some((metric, best[row])).filter(|(_, value)| value.is_finite()));
            end.before.extend(Some((metric, before[row])).filter(|(_, value)| value.is_finite()));
            end.train_ms = Some(end.train_ms.map_or(elapsed[row], |ms| ms.max(elapsed[row])));
        }
    }
    Ok(ends)
}

pub(crate) fn split_named(name: &str) -> Split {
    [Split::Train, Split::Validation].into_iter().find(|split| split.name() == name).unwrap_or(Split::Test)
}

/// When a run first reached a target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reached {
    pub step: u64,
    pub epoch: u64,
    /// Training time until then, evaluations not counted, in milliseconds.
    pub elapsed_ms: f64,
}

/// The first evaluation of each run that reached the target, by the run's id. Runs that never did are not in it.
///
/// # Errors
/// When a data frame query fails.
pub fn reached(data: &StudyData, metric: Metric, target: f64) -> Result<BTreeMap<&str, Reached>, Error> {
    let value = || {
        col(match metric.quantity {
            Quantity::Loss => "loss",
            Quantity::Accuracy => "accuracy",
        })
    };
    let reaches = if metric.higher_is_better() { value().gt_eq(lit(target)) } else { value().lt_eq(lit(target)) };
    let frame = frame::evals(&data.evals)?
        .filter(col("split").eq(lit(metric.split.name())).and(value().is_finite()).and(reaches))
        .group_by([col("run")])
        .agg([col("step").first(), col("epoch").first(), col("elapsed_ms").first()])
        .sort(["run"], SortMultipleOptions::default())
        .collect()?;
    let (run, step, epoch) = (frame::whole(&frame, "run")?, frame::whole(&frame, "step")?, frame::whole(&frame, "epoch")?);
    let elapsed = frame::floats(&frame, "elapsed_ms")?;
    let row = |i: usize| {
        let record = data.runs.get(usize::try_from(run[i]).ok()?)?;
        Some((record.id.as_str(), Reached { step: step[i], epoch: epoch[i], elapsed_ms: elapsed[i] }))
    };
    Ok((0..run.len()).filter_map(row).collect())
}
