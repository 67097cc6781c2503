//! Each run's diagnosis, from its steps and evaluations, and each arm's, from its runs'.
//! Called by `analysis`; it gathers what [`crate::diagnosis`] wants to see.

use std::collections::BTreeMap;

use spec::Split;
use tracker::Reader;
use tracker::read::{RunRecord, StudyRecord};

use crate::diagnosis::{Condition, Curve, Diagnosis, Divergence, Thresholds, counts, diagnose, of_arm};
use crate::error::Error;
use crate::results::{ArmResult, State};
use crate::steps::Steps;
use crate::study_data::StudyData;

/// The diagnosis of an arm.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmDiagnosis {
    /// That of most runs; of equally many, the worst.
    pub condition: Condition,
    /// How many runs have which.
    pub counts: Vec<(Condition, usize)>,
    /// What speaks for it in the first run that has it.
    pub evidence: String,
    /// That run's seed.
    pub seed: u64,
}

/// The diagnoses of a study.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// By the run's id; runs without a result, and descents on surfaces, have none.
    pub runs: BTreeMap<String, Diagnosis>,
    /// One per arm, in the order of the grid.
    pub arms: Vec<Option<ArmDiagnosis>>,
}

/// Epochs with a metric.
type Course = Vec<(u64, f64)>;

/// The diagnosis of one run of a study; `None` as in [`Judgement::runs`].
///
/// # Errors
/// When the database can't be read.
pub fn of_run(reader: &Reader, study: &StudyRecord, run: &RunRecord) -> Result<Option<Diagnosis>, Error> {
    let runs = vec![run.clone()];
    let (steps, evals) = (Steps::load(reader, &runs)?, reader.evals(&runs)?);
    let data = StudyData { runs, steps, evals, ..StudyData::of_nothing(study) };
    Ok(Judgement::of(&data, &[]).runs.remove(&run.id))
}

impl Judgement {
    #[must_use]
    pub fn of(data: &StudyData, arms: &[ArmResult<'_>]) -> Self {
        let mut thresholds = Thresholds::default();
        for (name, value) in &data.study.analysis.thresholds {
            // Names and ranges were checked where the grid was read.
            let _ = thresholds.set(name, *value);
        }
        let mut courses: BTreeMap<(u32, Split), (Course, Course)> = BTreeMap::new();
        let mut order: Vec<usize> = (0..data.evals.run.len()).filter(|i| data.evals.accuracy[*i].is_finite()).collect();
        order.sort_by_key(|i| (data.evals.run[*i], data.evals.step[*i]));
        for i in order {
            let (loss, accuracy) = courses.entry((data.evals.run[i], data.evals.split[i])).or_default();
            loss.push((data.evals.epoch[i], data.evals.loss[i]));
            accuracy.push((data.evals.epoch[i], data.evals.accuracy[i]));
        }
        let mut runs = BTreeMap::new();
        for (place, record) in (0..).zip(&data.runs) {
            let state = State::of(record);
            let steps = data.steps.runs.get(&place);
            let (Some(steps), State::Finished | State::Diverged) = (steps, state) else { continue };
            if !courses.keys().any(|(run, _)| *run == place) {
                continue;
            }
            let none = (vec![], vec![]);
            let of = |split| courses.get(&(place, split)).unwrap_or(&none);
            let (train, validation) = (of(Split::Train), of(Split::Validation));
            let losses: Vec<f64> =
                data.steps.parts.get(&place).map(|parts| parts.iter().map(|(_, loss)| *loss).collect()).unwrap_or_default();
            let curve = Curve {
                losses: &losses,
                rises: steps.rises,
                noise: steps.noise,
                steps: steps.steps,
                train: &train.0,
                validation: &validation.0,
                accuracy: if validation.1.is_empty() { &train.1 } else { &validation.1 },
                classes: Some(record.classes.len() as u64).filter(|classes| *classes > 0),
                diverged: (state == State::Diverged).then(|| Divergence {
                    step: steps.first_bad.unwrap_or(record.steps),
                    reason: record.error.as_deref().unwrap_or("no reason was recorded"),
                }),
            };
            runs.insert(record.id.clone(), diagnose(&curve, &thresholds));
        }
        let arms = arms.iter().map(|arm| ArmDiagnosis::of(arm, &runs)).collect();
        Judgement { runs, arms }
    }

    /// The condition of an arm.
    #[must_use]
    pub fn condition(&self, arm: usize) -> Option<Condition> {
        self.arms.get(arm)?.as_ref().map(|arm| arm.condition)
    }
}

impl ArmDiagnosis {
    fn of(arm: &ArmResult<'_>, runs: &BTreeMap<String, Diagnosis>) -> Option<Self> {
        let judged: Vec<(u64, &Diagnosis)> = arm.runs.iter().filter_map(|run| Some((run.record.seed, runs.get(&run.record.id)?))).collect();
        let all: Vec<Diagnosis> = judged.iter().map(|(_, diagnosis)| (*diagnosis).clone()).collect();
        let condition = of_arm(&all)?;
        let (seed, example) = judged.iter().find(|(_, diagnosis)| diagnosis.condition == condition)?;
        Some(ArmDiagnosis { condition, counts: counts(&all), evidence: example.evidence.clone(), seed: *seed })
    }
}
