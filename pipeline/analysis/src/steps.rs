//! Ten million steps, summed up run by run: read in pieces, each piece aggregated by polars and forgotten.
//! Made when a study is loaded; curves, tables and the diagnosis read it. It knows nothing of arms.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use polars::prelude::*;
use tracker::Reader;
use tracker::read::{LossColumns, RunRecord};

use crate::error::Error;
use crate::frame::{floats, whole};
use crate::number::real;

/// Equal parts that the longest run of a study is divided into, by examples seen; and each run, by its own steps.
pub const BINS: u64 = 60;
/// Steps that are in memory at a time, for each thread that reads.
const PIECE: u64 = 500_000;

/// What the steps of a study's runs come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps {
    /// By the run's place in the study's list. Runs without steps have none.
    pub runs: BTreeMap<u32, RunSteps>,
    /// `run`, `bin`, `examples`, `loss`: means over the steps of a run within equal bins of examples seen; sorted.
    pub bins: DataFrame,
    /// Of each run: the mean step and the mean loss of equal parts of its steps, in order; parts whose losses are not finite are left out.
    pub parts: BTreeMap<u32, Vec<(f64, f64)>>,
    /// All steps that were read.
    pub count: usize,
}

/// The steps of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunSteps {
    pub steps: u64,
    /// Examples of the first step, and of all.
    pub first_batch: u64,
    pub examples: u64,
    /// The last loss that is finite; NaN if none is.
    pub last_loss: f64,
    /// Mean over all steps: the area under the loss per step. NaN if a loss is not finite.
    pub mean_loss: f64,
    /// Mean over the steps of the last epoch. NaN if one is not finite.
    pub last_epoch_loss: f64,
    /// Mean over all steps. NaN where nothing is classified.
    pub mean_accuracy: f64,
    /// Share of the steps whose loss is above that of the step before; NaN for a single step.
    pub rises: f64,
    /// Root of half the mean squared difference of neighbouring losses (von Neumann 1941), over the mean loss; NaN for a single step.
    pub noise: f64,
    /// The first step whose loss is not finite.
    pub first_bad: Option<u64>,
}

impl Steps {
    /// Reads the steps of all runs that have a result, on two threads.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn load(reader: &Reader, runs: &[RunRecord]) -> Result<Self, Error> {
        let wanted: Vec<usize> = (0..runs.len()).filter(|i| runs[*i].outcome.is_some_and(spec::record::Outcome::is_result)).collect();
        let longest = longest(reader, runs, &wanted)?;
        let pieces = pieces(runs, &wanted);
        let next = AtomicUsize::new(0);
        // Each thread takes the next piece until none is left; what they made is put together in the order of the pieces.
        let work = |reader: &Reader| -> Result<Vec<(usize, Piece)>, Error> {
            let mut made = vec![];
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(piece) = pieces.get(place) else { return Ok(made) };
                made.push((place, Piece::of(&reader.losses(runs, piece.clone())?, longest)?));
            }
        };
        let mut made = if pieces.len() < 2 {
            work(reader)?
        } else {
            std::thread::scope(|scope| {
                let another = reader.another()?;
                let other = scope.spawn({
                    let work = &work;
                    move || work(&another)
                });
                let ours = work(reader);
                let theirs = other.join().map_err(|_| Error::Thread)?;
                Ok::<_, Error>([ours?, theirs?].concat())
            })?
        };
        made.sort_by_key(|(place, _)| *place);
        Steps::together(made.into_iter().map(|(_, piece)| piece))
    }

    /// From rows in any order.
    ///
    /// # Errors
    /// When a data frame query fails.
    pub fn of(columns: &LossColumns) -> Result<Self, Error> {
        let longest = columns.examples.iter().copied().max().unwrap_or(1);
        Steps::together([Piece::of(columns, longest)?])
    }

    fn together(pieces: impl IntoIterator<Item = Piece>) -> Result<Self, Error> {
        let mut steps = Steps::default();
        for piece in pieces {
            steps.count += piece.count;
            steps.runs.extend(piece.runs);
            steps.parts.extend(piece.parts);
            if steps.bins.width() == 0 {
                steps.bins = piece.bins;
            } else {
                steps.bins.vstack_mut(&piece.bins)?;
            }
        }
        Ok(steps)
    }
}

/// The most examples that any of the runs has seen.
fn longest(reader: &Reader, runs: &[RunRecord], wanted: &[usize]) -> Result<u64, Error> {
    let runs: Vec<&RunRecord> = wanted.iter().map(|i| &runs[*i]).collect();
    Ok(reader.examples(&runs)?.into_iter().max().unwrap_or(1))
}

/// Neighbouring runs that together have about [`PIECE`] steps. Runs without a result may lie between them; what they have logged is
/// not read.
fn pieces(runs: &[RunRecord], wanted: &[usize]) -> Vec<Range<usize>> {
    let mut pieces: Vec<Range<usize>> = vec![];
    let mut size = 0;
    for &place in wanted {
        match pieces.last_mut() {
            Some(piece) if piece.end == place && size + runs[place].steps <= PIECE => {
                piece.end = place + 1;
                size += runs[place].steps;
            }
            _ => {
                pieces.push(place..place + 1);
                size = runs[place].steps;
            }
        }
    }
    pieces
}

/// The steps of some runs, aggregated.
#[derive(Clone)]
struct Piece {
    count: usize,
    runs: Vec<(u32, RunSteps)>,
    bins: DataFrame,
    parts: BTreeMap<u32, Vec<(f64, f64)>>,
}

impl Piece {
    fn of(columns: &LossColumns, longest: u64) -> Result<Self, Error> {
        let frame = df!(
            "run" => &columns.run, "step" => &columns.step, "epoch" => &columns.epoch, "examples" => &columns.examples,
            "loss" => &columns.loss, "accuracy" => &columns.accuracy
        )?;
        // Sums add up in one order, whatever the order of the rows.
        let rows = frame.sort(["run", "step"], SortMultipleOptions::default())?.lazy();
        let is_finite = || col("loss").is_finite();
        let finite = || col("loss").filter(is_finite());
        let difference = || finite() - finite().shift(lit(1));
        let runs = rows
            .clone()
            .group_by([col("run")])
            .agg([
                len().alias("steps"),
                col("examples").first().alias("first_batch"),
                col("examples").last().alias("examples"),
                finite().last().alias("last_loss"),
                finite().mean().alias("mean"),
                col("loss").mean().alias("mean_loss"),
                col("loss").filter(col("epoch").eq(col("epoch").max())).mean().alias("last_epoch_loss"),
                col("accuracy").mean().alias("mean_accuracy"),
                difference().gt(lit(0.0)).sum().alias("rises"),
                (difference() * difference()).sum().alias("squares"),
                finite().len().alias("finite"),
                col("step").filter(is_finite().not()).first().alias("first_bad"),
            ])
            .sort(["run"], SortMultipleOptions::default())
            .collect()?;
        // The casts drop the fraction.
        let bin = (col("examples") - lit(1u64)) * lit(BINS) / lit(longest.max(1));
        let step = || col("step").cast(DataType::UInt64);
        let part = (step() - lit(1u64)) * lit(BINS) / step().max().over([col("run")])?;
        let within = |key: Expr, name: &str, x: &str| {
            rows.clone()
                .with_column(key.cast(DataType::UInt64).alias(name))
                .filter(is_finite())
                .group_by([col("run"), col(name)])
                .agg([col(x).cast(DataType::Float64).mean(), col("loss").mean()])
                .sort(["run", name], SortMultipleOptions::default())
                .collect()
        };
        let (bins, parts) = (within(bin, "bin", "examples")?, within(part, "part", "step")?);
        let (run, step, loss) = (whole(&parts, "run")?, floats(&parts, "step")?, floats(&parts, "loss")?);
        let mut of_runs: BTreeMap<u32, Vec<(f64, f64)>> = BTreeMap::new();
        for i in 0..run.len() {
            of_runs.entry(place(run[i])).or_default().push((step[i], loss[i]));
        }
        Ok(Piece { count: columns.run.len(), runs: RunSteps::read(&runs)?, bins, parts: of_runs })
    }
}

impl RunSteps {
    fn read(frame: &DataFrame) -> Result<Vec<(u32, Self)>, Error> {
        let (number, count) = (|name: &str| floats(frame, name), |name: &str| whole(frame, name));
        let (run, steps, first_batch, examples) = (count("run")?, count("steps")?, count("first_batch")?, count("examples")?);
        let (last_loss, mean, mean_loss) = (number("last_loss")?, number("mean")?, number("mean_loss")?);
        let (last_epoch_loss, mean_accuracy) = (number("last_epoch_loss")?, number("mean_accuracy")?);
        let (rises, squares, finite, first_bad) = (number("rises")?, number("squares")?, count("finite")?, count("first_bad")?);
        let of = |i: usize| {
            let pairs = if finite[i] > 1 { real(finite[i] - 1) } else { f64::NAN };
            let steps = RunSteps {
                steps: steps[i],
                first_batch: first_batch[i],
                examples: examples[i],
                last_loss: last_loss[i],
                mean_loss: if mean_loss[i].is_finite() { mean_loss[i] } else { f64::NAN },
                last_epoch_loss: if last_epoch_loss[i].is_finite() { last_epoch_loss[i] } else { f64::NAN },
                mean_accuracy: mean_accuracy[i],
                rises: rises[i] / pairs,
                noise: (squares[i] / pairs / 2.0).sqrt() / mean[i],
                first_bad: Some(first_bad[i]).filter(|step| *step > 0),
            };
            (place(run[i]), steps)
        };
        Ok((0..run.len()).map(of).collect())
    }
}

fn place(run: u64) -> u32 {
    u32::try_from(run).unwrap_or(u32::MAX)
}
