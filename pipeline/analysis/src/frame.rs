//! The tracker's columns as polars frames, and polars columns as plain vectors.
//! Called by `results` and `curves`, which query the frames; it knows nothing of what they ask.

use polars::prelude::*;
use tracker::read::EvalColumns;

use crate::error::Error;
use crate::results::State;
use crate::study_data::StudyData;

/// Runs: `run` (index), `arm` (position), `state` (see [`State::name`]), `diverged`.
///
/// # Errors
/// When columns differ in length.
pub fn runs(data: &StudyData) -> Result<DataFrame, Error> {
    let states: Vec<State> = data.runs.iter().map(State::of).collect();
    let index: Vec<u32> = (0..).take(data.runs.len()).collect();
    let arm: Vec<u64> = data.runs.iter().map(|run| run.position as u64).collect();
    let name: Vec<&str> = states.iter().map(|state| state.name()).collect();
    let diverged: Vec<bool> = states.iter().map(|state| *state == State::Diverged).collect();
    Ok(df!("run" => index, "arm" => arm, "state" => name, "diverged" => diverged)?)
}

/// Every evaluation, in the order of run, split and step.
///
/// # Errors
/// When columns differ in length.
pub fn evals(evals: &EvalColumns) -> Result<LazyFrame, Error> {
    let split: Vec<&str> = evals.split.iter().map(|split| split.name()).collect();
    let frame = df!(
        "run" => &evals.run, "split" => split, "step" => &evals.step, "epoch" => &evals.epoch,
        "loss" => &evals.loss, "accuracy" => &evals.accuracy, "elapsed_ms" => &evals.elapsed_ms
    )?;
    Ok(frame.lazy().sort(["run", "split", "step"], SortMultipleOptions::default()))
}

/// A column of floats; null is NaN.
pub(crate) fn floats(frame: &DataFrame, name: &str) -> Result<Vec<f64>, Error> {
    let column = frame.column(name)?.cast(&DataType::Float64)?;
    Ok(column.f64()?.iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}

/// A column of whole numbers; null is 0.
pub(crate) fn whole(frame: &DataFrame, name: &str) -> Result<Vec<u64>, Error> {
    let column = frame.column(name)?.cast(&DataType::UInt64)?;
    Ok(column.u64()?.iter().map(|value| value.unwrap_or(0)).collect())
}

/// A column of texts; null is empty.
pub(crate) fn texts(frame: &DataFrame, name: &str) -> Result<Vec<String>, Error> {
    Ok(frame.column(name)?.str()?.iter().map(|value| value.unwrap_or_default().to_owned()).collect())
}
