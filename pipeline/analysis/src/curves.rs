//! Curves of each arm: median and quartiles over its seeds, per epoch and along the examples seen.
//! Called once per study by `analysis`; it knows nothing of how curves are drawn.
//!
//! Only runs with a result count. A diverged run counts as worse than any value from its end on: leaving it out would
//! make the median jump to the seeds that survive. So a median ends where half of the seeds have diverged.

use std::collections::BTreeMap;

use polars::prelude::*;
use spec::record::Outcome;
use spec::{Metric, Quantity};

use crate::error::Error;
use crate::frame;
use crate::number::real;
use crate::results::split_named;
#[cfg(doc)]
use crate::steps::BINS;
use crate::steps::RunSteps;
use crate::study_data::StudyData;

/// Median and quartiles over the seeds of an arm; infinitely bad where diverged seeds decide them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Epoch, or examples seen.
    pub x: f64,
    pub q25: f64,
    pub median: f64,
    pub q75: f64,
    /// Seeds with a finite value.
    pub n: u64,
}

/// Where a diverged run ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct End {
    /// Position of the arm.
    pub arm: usize,
    /// Examples seen.
    pub examples: f64,
    /// The last finite loss.
    pub loss: f64,
}

/// The curves of all arms, by the arm's position.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// A metric against the epoch.
    pub epochs: BTreeMap<(usize, Metric), Vec<Point>>,
    /// The training loss of the steps against examples seen, averaged within [`BINS`] equal bins of each run.
    pub steps: BTreeMap<usize, Vec<Point>>,
    pub diverged: Vec<End>,
}

impl Curves {
    /// # Errors
    /// When a data frame query fails.
    pub fn of(data: &StudyData) -> Result<Self, Error> {
        let mut curves = Curves::default();
        let frame = per_epoch(data)?;
        let (arm, split, epoch) = (frame::whole(&frame, "arm")?, frame::texts(&frame, "split")?, frame::floats(&frame, "epoch")?);
        for (quantity, name) in [(Quantity::Loss, "loss"), (Quantity::Accuracy, "accuracy")] {
            for (row, point) in points(&frame, &epoch, name)?.into_iter().enumerate() {
                let key = (place(arm[row]), Metric { split: split_named(&split[row]), quantity });
                curves.epochs.entry(key).or_default().push(point);
            }
        }
        if data.steps.bins.height() > 0 {
            let frame = per_bin(data)?;
            let (arm, examples) = (frame::whole(&frame, "arm")?, frame::floats(&frame, "examples")?);
            for (arm, point) in arm.into_iter().zip(points(&frame, &examples, "loss")?) {
                curves.steps.entry(place(arm)).or_default().push(point);
            }
        }
        curves.diverged = ends(data);
        Ok(curves)
    }
}

/// Loss and accuracy of every arm, split and epoch: `arm`, `split`, `epoch`, and for each metric `_n`, `_q25`, `_median`, `_q75`.
///
/// # Errors
/// When a data frame query fails.
pub fn per_epoch(data: &StudyData) -> Result<DataFrame, Error> {
    let runs = with_result(data)?;
    let last = frame::evals(&data.evals)?
        .group_by([col("run"), col("split"), col("epoch")])
        .agg([col("loss").last(), col("accuracy").last()])
        .inner_join(runs.clone(), col("run"), col("run"));
    let aggregates = [over_seeds("loss"), over_seeds("accuracy")].concat();
    Ok(for_every_run(last, runs, &["split", "epoch"], &["loss", "accuracy"])
        .with_columns([or_worst("loss", f64::INFINITY), or_worst("accuracy", f64::NEG_INFINITY)])
        .group_by([col("arm"), col("split"), col("epoch")])
        .agg(aggregates)
        .sort(["arm", "split", "epoch"], SortMultipleOptions::default())
        .collect()?)
}

/// The training loss of every arm and bin: `arm`, `bin`, `examples`, `loss_n`, `loss_q25`, `loss_median`, `loss_q75`.
///
/// # Errors
/// When a data frame query fails.
pub fn per_bin(data: &StudyData) -> Result<DataFrame, Error> {
    let runs = with_result(data)?;
    let means = data.steps.bins.clone().lazy().inner_join(runs.clone(), col("run"), col("run"));
    // A run that ended within a bin has its mean place earlier; the other runs of the arm agree.
    let aggregates = [vec![col("examples").max()], over_seeds("loss")].concat();
    Ok(for_every_run(means, runs, &["bin"], &["examples", "loss"])
        .with_columns([or_worst("loss", f64::INFINITY)])
        .group_by([col("arm"), col("bin")])
        .agg(aggregates)
        .sort(["arm", "bin"], SortMultipleOptions::default())
        .collect()?)
}

/// Where diverged runs ended, arm by arm.
fn ends(data: &StudyData) -> Vec<End> {
    let of = |(run, steps): (&u32, &RunSteps)| {
        let record = data.runs.get(*run as usize).filter(|record| record.outcome == Some(Outcome::Diverged))?;
        Some(End { arm: record.position, examples: real(steps.examples), loss: steps.last_loss })
    };
    let mut ends: Vec<End> = data.steps.runs.iter().filter_map(of).collect();
    ends.sort_by(|a, b| (a.arm, a.examples).partial_cmp(&(b.arm, b.examples)).unwrap_or(std::cmp::Ordering::Equal));
    ends
}

/// `run`, `arm` and `diverged` of the runs that count.
fn with_result(data: &StudyData) -> Result<LazyFrame, Error> {
    let counts = col("state").eq(lit("finished")).or(col("diverged"));
    Ok(frame::runs(data)?.lazy().filter(counts).select([col("run"), col("arm"), col("diverged")]))
}

/// A row for every run at every place (`keys`) where any run of its arm has one; values are null where a run has none.
fn for_every_run(measured: LazyFrame, runs: LazyFrame, keys: &[&str], values: &[&str]) -> LazyFrame {
    let columns = |names: &[&str], first: &str| -> Vec<Expr> { [first].iter().chain(names).map(|name| col(*name)).collect() };
    let places = measured.clone().select(columns(keys, "arm")).unique(None, UniqueKeepStrategy::Any);
    let grid = places.join(runs, [col("arm")], [col("arm")], JoinArgs::new(JoinType::Inner));
    let on = columns(keys, "run");
    let measured = measured.select([columns(keys, "run"), values.iter().map(|name| col(*name)).collect()].concat());
    grid.join(measured, on.clone(), on, JoinArgs::new(JoinType::Left))
}

/// A value that is not finite, or that a diverged run no longer has, becomes `worst`.
fn or_worst(value: &str, worst: f64) -> Expr {
    let bad = col("diverged").or(col(value).is_not_null());
    when(col(value).is_finite()).then(col(value)).when(bad).then(lit(worst)).otherwise(col(value)).alias(value)
}

/// Over the runs of a group; polars' linear interpolation is the type 7 of `stats`.
fn over_seeds(value: &str) -> Vec<Expr> {
    let quantile = |q: f64, name: &str| col(value).quantile(lit(q), QuantileMethod::Linear).alias(format!("{value}_{name}"));
    let n = col(value).is_finite().sum().alias(format!("{value}_n"));
    vec![n, quantile(0.25, "q25"), quantile(0.5, "median"), quantile(0.75, "q75")]
}

fn points(frame: &DataFrame, x: &[f64], value: &str) -> Result<Vec<Point>, Error> {
    let column = |name: &str| frame::floats(frame, &format!("{value}_{name}"));
    let (q25, median, q75) = (column("q25")?, column("median")?, column("q75")?);
    let n = frame::whole(frame, &format!("{value}_n"))?;
    // Between minus infinity and a finite value polars gives NaN.
    let settle = |value: f64| {
        if value.is_nan() { f64::NEG_INFINITY } else { value }
    };
    let point = |i: usize| Point { x: x[i], q25: settle(q25[i]), median: settle(median[i]), q75: settle(q75[i]), n: n[i] };
    Ok((0..x.len()).map(point).collect())
}

fn place(arm: u64) -> usize {
    usize::try_from(arm).unwrap_or(usize::MAX)
}
