//! One study as the tracker's columns: its runs, every step, every evaluation.
//! Loaded by the report, one study at a time; made by hand in tests. It knows nothing of how it is summed up.

use spec::record::{Measurement, Picture};
use tracker::Reader;
use tracker::read::{EvalColumns, PositionColumns, RunRecord, StepColumns, StudyRecord};

use crate::error::Error;

/// Everything the database holds about a study.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyData {
    pub study: StudyRecord,
    /// All runs that the study asks for, trained or not.
    pub runs: Vec<RunRecord>,
    /// `run` indexes `runs`.
    pub steps: StepColumns,
    /// `run` indexes `runs`.
    pub evals: EvalColumns,
    /// `run` indexes `runs`.
    pub positions: PositionColumns,
    /// What runs measured, each with the run's place in `runs`; by run, then by name.
    pub measurements: Vec<(usize, Measurement)>,
    /// Pictures that runs kept, each with the run's place in `runs`; by run, then by name.
    pub pictures: Vec<(usize, Picture)>,
}

impl StudyData {
    /// Reads a study with all that its runs logged.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn load(reader: &Reader, study: &StudyRecord) -> Result<Self, Error> {
        let mut data = Self::load_without_steps(reader, study)?;
        data.steps = reader.steps(&data.runs)?;
        data.positions = reader.positions(&data.runs)?;
        data.pictures = reader.pictures(&data.runs)?;
        Ok(data)
    }

    /// Reads a study without its steps and pictures, which are most of a database: enough for tables, not for curves per step.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn load_without_steps(reader: &Reader, study: &StudyRecord) -> Result<Self, Error> {
        let runs = reader.runs(study)?;
        let (evals, measurements) = (reader.evals(&runs)?, reader.measurements(&runs)?);
        Ok(StudyData {
            study: study.clone(),
            runs,
            steps: StepColumns::default(),
            positions: PositionColumns::default(),
            evals,
            measurements,
            pictures: vec![],
        })
    }
}
