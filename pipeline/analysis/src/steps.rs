//! Ten million steps, summed up run by run: each run is read in columns, aggregated by polars and forgotten.
//! Made when a study is loaded; curves, tables and the diagnosis read it. It knows nothing of arms.
//!
//! A run is small enough for a processor's cache, and its steps come in order: what belongs together lies together, so slices of
//! columns do what grouping would, and every sum has one order, whichever thread makes it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use polars::prelude::*;
use tracker::Reader;
use tracker::read::{LossColumns, RunRecord};

use crate::error::Error;
use crate::number::real;

/// Equal parts that the longest run of a study is divided into, by examples seen; and each run, by its own steps.
pub const BINS: u64 = 60;
/// Steps for which another thread is worth its start.
const WORTH_A_THREAD: u64 = 10_000;
/// More threads than this would wait for each other: the file has one lock for its pages in memory.
const MOST_THREADS: usize = 8;

/// What the steps of a study's runs come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps {
    /// By the run's place in the study's list. Runs without steps have none.
    pub runs: BTreeMap<u32, RunSteps>,
    /// `run`, `bin`, `examples`, `loss`: means over the steps of a run within equal bins of examples seen; sorted.
    pub bins: DataFrame,
    /// Of each run: the mean step and the mean loss of equal parts of its steps, in order; parts whose losses are not finite are left out.
    pub parts: BTreeMap<u32, Vec<(f64, f64)>>,
    /// The first step of each run whose loss is below the bound that was given to [`Steps::load_below`]. Runs that never were have none.
    pub below: BTreeMap<u32, u64>,
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
    /// Reads the steps of all runs that have a result, on as many threads as there are cores.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn load(reader: &Reader, runs: &[RunRecord]) -> Result<Self, Error> {
        Self::load_below(reader, runs, f64::NEG_INFINITY)
    }

    /// The same; finds where the loss of each run is first below a bound, too.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn load_below(reader: &Reader, runs: &[RunRecord], bound: f64) -> Result<Self, Error> {
        let steps: u64 = runs.iter().map(|run| run.steps).sum();
        let useful = usize::try_from(steps / WORTH_A_THREAD).unwrap_or(usize::MAX);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::load_on(cores.min(MOST_THREADS).min(useful), reader, runs, bound)
    }

    fn load_on(threads: usize, reader: &Reader, runs: &[RunRecord], bound: f64) -> Result<Self, Error> {
        let wanted: Vec<(usize, &RunRecord)> =
            runs.iter().enumerate().filter(|(_, run)| run.outcome.is_some_and(spec::record::Outcome::is_result)).collect();
        let longest = longest(reader, &wanted)?;
        let next = AtomicUsize::new(0);
        // Each thread takes the next run until none is left.
        let work = |reader: &Reader| -> Result<Vec<(u32, OneRun)>, Error> {
            let mut made = vec![];
            while let Some((place, run)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                let columns = reader.losses(run)?;
                if !columns.step.is_empty() {
                    made.push((number(*place), OneRun::of(columns, longest, bound)?));
                }
            }
            Ok(made)
        };
        let made = std::thread::scope(|scope| {
            let others = (1..threads).map(|_| {
                let another = reader.another()?;
                let work = &work;
                Ok(scope.spawn(move || work(&another)))
            });
            let others = others.collect::<Result<Vec<_>, Error>>()?;
            let mut made = work(reader)?;
            for other in others {
                made.extend(other.join().map_err(|_| Error::Thread)??);
            }
            Ok::<_, Error>(made)
        })?;
        Steps::together(made.into_iter().collect())
    }

    /// From the steps of each run, in order.
    ///
    /// # Errors
    /// When a query on a column fails.
    pub fn of(runs: BTreeMap<u32, LossColumns>) -> Result<Self, Error> {
        let longest = runs.values().filter_map(|columns| columns.examples.last()).copied().max().unwrap_or(1);
        let made = runs.into_iter().map(|(run, columns)| Ok((run, OneRun::of(columns, longest, f64::NEG_INFINITY)?)));
        Steps::together(made.collect::<Result<_, Error>>()?)
    }

    fn together(runs: BTreeMap<u32, OneRun>) -> Result<Self, Error> {
        let mut steps = Steps::default();
        let (mut run, mut bin, mut examples, mut loss) = (vec![], vec![], vec![], vec![]);
        for (place, of) in runs {
            steps.count += usize::try_from(of.sums.steps).unwrap_or(usize::MAX);
            steps.runs.insert(place, of.sums);
            steps.below.extend(of.below.map(|step| (place, step)));
            if !of.parts.is_empty() {
                steps.parts.insert(place, of.parts.into_iter().map(|part| (part.x, part.loss)).collect());
            }
            for of_bin in of.bins {
                run.push(place);
                bin.push(of_bin.place);
                examples.push(of_bin.x);
                loss.push(of_bin.loss);
            }
        }
        steps.bins = df!("run" => run, "bin" => bin, "examples" => examples, "loss" => loss)?;
        Ok(steps)
    }
}

/// The most examples that any of the runs has seen.
fn longest(reader: &Reader, wanted: &[(usize, &RunRecord)]) -> Result<u64, Error> {
    let runs: Vec<&RunRecord> = wanted.iter().map(|(_, run)| *run).collect();
    Ok(reader.examples(&runs)?.into_iter().max().unwrap_or(1))
}

/// The steps of a run, aggregated.
struct OneRun {
    sums: RunSteps,
    bins: Vec<Mean>,
    parts: Vec<Mean>,
    below: Option<u64>,
}

/// Means over neighbouring steps.
struct Mean {
    /// Of the bin or part, from 0.
    place: u64,
    /// Examples seen, or the step.
    x: f64,
    loss: f64,
}

impl OneRun {
    /// The columns are not empty.
    fn of(columns: LossColumns, longest: u64, bound: f64) -> Result<Self, Error> {
        let LossColumns { step, examples, loss, accuracy, before_last_epoch } = columns;
        let (count, steps) = (step.len(), step.last().copied().map_or(0, u64::from));
        let first_bad = loss.iter().position(|loss| !loss.is_finite()).map(|at| u64::from(step[at]));
        let below = loss.iter().position(|loss| *loss < bound).map(|at| u64::from(step[at]));
        let (first_batch, last_examples) = (examples[0], examples[count - 1]);
        let last_epoch = step.partition_point(|step| *step <= before_last_epoch);
        let (all_losses, accuracy) = (floats(loss), floats(accuracy));
        // Neighbours are neighbours among the steps whose losses are finite.
        let (step, examples, loss) = if first_bad.is_none() {
            (step, examples, all_losses.clone())
        } else {
            let finite = all_losses.is_finite();
            let kept = |at: &usize| finite.get(*at) == Some(true);
            let kept: Vec<usize> = (0..count).filter(kept).collect();
            (kept.iter().map(|at| step[*at]).collect(), kept.iter().map(|at| examples[*at]).collect(), all_losses.filter(&finite)?)
        };
        let pairs = loss.len().saturating_sub(1);
        let differences = &loss.slice(1, pairs) - &loss.slice(0, pairs);
        let rises = differences.gt(0.0).sum().unwrap_or(0);
        let squares = (&differences * &differences).sum().unwrap_or(0.0);
        let pairs = if pairs > 0 { real(pairs as u64) } else { f64::NAN };
        let or_nan = |mean: Option<f64>| mean.filter(|mean| mean.is_finite()).unwrap_or(f64::NAN);
        let mean = or_nan(loss.mean());
        let sums = RunSteps {
            steps: count as u64,
            first_batch,
            examples: last_examples,
            last_loss: loss.last().unwrap_or(f64::NAN),
            mean_loss: or_nan(all_losses.mean()),
            last_epoch_loss: or_nan(slice(&all_losses, last_epoch, count).mean()),
            mean_accuracy: accuracy.mean().unwrap_or(f64::NAN),
            rises: f64::from(rises) / pairs,
            noise: (squares / pairs / 2.0).sqrt() / mean,
            first_bad,
        };
        let bins = means(&UInt64Chunked::from_vec(PlSmallStr::EMPTY, examples.clone()), &loss, |bin| {
            let start = 1 + (bin * longest).div_ceil(BINS);
            examples.partition_point(|seen| *seen < start)
        });
        let parts = means(&UInt32Chunked::from_vec(PlSmallStr::EMPTY, step.clone()), &loss, |part| {
            let start = 1 + (part * steps).div_ceil(BINS);
            step.partition_point(|step| u64::from(*step) < start)
        });
        Ok(OneRun { sums, bins, parts, below })
    }
}

/// Of each of [`BINS`] intervals that has any step; `start` tells where an interval starts in the columns.
fn means<T: PolarsNumericType>(x: &ChunkedArray<T>, loss: &Float64Chunked, start: impl Fn(u64) -> usize) -> Vec<Mean>
where
    ChunkedArray<T>: ChunkAgg<T::Native>,
{
    let starts: Vec<usize> = (0..=BINS).map(start).collect();
    let mean = |(place, ends): (u64, &[usize])| {
        let (from, to) = (ends[0], ends[1]);
        Some(Mean { place, x: slice(x, from, to).mean()?, loss: slice(loss, from, to).mean()? })
    };
    (0..).zip(starts.windows(2)).filter_map(mean).collect()
}

fn slice<T: PolarsNumericType>(column: &ChunkedArray<T>, from: usize, to: usize) -> ChunkedArray<T> {
    column.slice(i64::try_from(from).unwrap_or(i64::MAX), to.saturating_sub(from))
}

fn floats(values: Vec<f64>) -> Float64Chunked {
    Float64Chunked::from_vec(PlSmallStr::EMPTY, values)
}

fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
