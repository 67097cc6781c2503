//! One study as the tracker's columns: its runs, every evaluation, and what its steps come to.
//! Loaded by the report, one study at a time; made by hand in tests. It knows nothing of how it is summed up.

use std::collections::BTreeMap;

use spec::record::{Measurement, Picture};
use tracker::Reader;
use tracker::read::{EvalColumns, PositionColumns, RunRecord, StepColumns, StudyRecord};

use crate::error::Error;
use crate::steps::Steps;

/// More arms than this are not drawn step by step.
const MOST_SAMPLES: usize = 12;

/// Everything that a report needs of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyData {
    pub study: StudyRecord,
    /// All runs that the study asks for, trained or not.
    pub runs: Vec<RunRecord>,
    pub steps: Steps,
    /// `run` indexes `runs`.
    pub evals: EvalColumns,
    /// `run` indexes `runs`.
    pub positions: PositionColumns,
    /// What runs measured, each with the run's place in `runs`; by run, then by name.
    pub measurements: Vec<(usize, Measurement)>,
    /// Pictures that runs kept, each with the run's place in `runs`; by run, then by name.
    pub pictures: Vec<(usize, Picture)>,
    /// What the test split was taken for: the run's place in `runs`, then label, prediction and examples.
    pub confusions: Vec<(usize, [u32; 3])>,
    /// Every step of the runs whose evaluations are, bit for bit, those of a run of another arm with the same seed. `run` indexes `runs`.
    pub twins: StepColumns,
    /// Every step of the runs with the lowest seed, where batches of different sizes are compared. `run` indexes `runs`.
    pub samples: StepColumns,
}

impl StudyData {
    /// Reads a study with all that its runs logged.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn load(reader: &Reader, study: &StudyRecord) -> Result<Self, Error> {
        let mut data = Self::load_without_steps(reader, study)?;
        data.steps = Steps::load(reader, &data.runs)?;
        data.positions = reader.positions(&data.runs)?;
        data.pictures = reader.pictures(&data.runs)?;
        data.confusions = reader.confusions(&data.runs)?;
        data.twins = steps_of(reader, &data.runs, &twins(&data.runs, &data.evals))?;
        data.samples = steps_of(reader, &data.runs, &samples(&data))?;
        Ok(data)
    }

    /// Reads a study without its steps and pictures, which are most of a database: enough for what is said of it elsewhere.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn load_without_steps(reader: &Reader, study: &StudyRecord) -> Result<Self, Error> {
        Self::of_runs(reader, study, reader.runs(study)?)
    }

    /// One run of a study, with its steps and evaluations.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn of_run(reader: &Reader, study: &StudyRecord, run: &RunRecord) -> Result<Self, Error> {
        let mut data = Self::of_runs(reader, study, vec![run.clone()])?;
        data.steps = Steps::load(reader, &data.runs)?;
        Ok(data)
    }

    fn of_runs(reader: &Reader, study: &StudyRecord, runs: Vec<RunRecord>) -> Result<Self, Error> {
        let (evals, measurements) = (reader.evals(&runs)?, reader.measurements(&runs)?);
        Ok(StudyData { runs, evals, measurements, ..Self::of_nothing(study) })
    }

    /// A study of which nothing has been read yet.
    fn of_nothing(study: &StudyRecord) -> Self {
        StudyData {
            study: study.clone(),
            runs: vec![],
            steps: Steps::default(),
            positions: PositionColumns::default(),
            evals: EvalColumns::default(),
            measurements: vec![],
            pictures: vec![],
            confusions: vec![],
            twins: StepColumns::default(),
            samples: StepColumns::default(),
        }
    }
}

/// Every step of some runs.
fn steps_of(reader: &Reader, runs: &[RunRecord], places: &[usize]) -> Result<StepColumns, Error> {
    let chosen: Vec<RunRecord> = places.iter().map(|place| runs[*place].clone()).collect();
    let mut steps = reader.steps(&chosen)?;
    for run in &mut steps.run {
        *run = u32::try_from(places[*run as usize]).unwrap_or(u32::MAX);
    }
    Ok(steps)
}

/// The runs whose evaluations are those of another arm's run with the same seed. Descents are not looked at: where nothing is drawn at
/// random, they are the same by design.
fn twins(runs: &[RunRecord], evals: &EvalColumns) -> Vec<usize> {
    let mut logged: BTreeMap<u32, Vec<[u64; 4]>> = BTreeMap::new();
    for i in (0..evals.run.len()).filter(|i| evals.accuracy[*i].is_finite()) {
        let bits = [evals.step[i], evals.split[i] as u64, evals.loss[i].to_bits(), evals.accuracy[i].to_bits()];
        logged.entry(evals.run[i]).or_default().push(bits);
    }
    let mut alike: BTreeMap<(u64, &[[u64; 4]]), Vec<usize>> = BTreeMap::new();
    for (run, log) in &logged {
        let place = *run as usize;
        alike.entry((runs[place].seed, log)).or_default().push(place);
    }
    let mut twins: Vec<usize> = alike.into_values().filter(|places| places.len() > 1).flatten().collect();
    twins.sort_unstable();
    twins
}

/// The runs to draw step by step.
fn samples(data: &StudyData) -> Vec<usize> {
    let of_batches = data.study.axes.iter().any(|axis| axis == "batch_size");
    let seed = data.runs.iter().map(|run| run.seed).min();
    let chosen: Vec<usize> = (0..data.runs.len()).filter(|i| of_batches && Some(data.runs[*i].seed) == seed).collect();
    if chosen.len() > MOST_SAMPLES { vec![] } else { chosen }
}
