//! All that is known of one study, worked out once.
//! Made by the report; tables, figures and findings read it. It knows nothing of files.

use spec::Metric;

use crate::comparison::Comparisons;
use crate::curves::Curves;
use crate::error::Error;
use crate::escape::Escape;
use crate::judgement::Judgement;
use crate::layout::Layout;
use crate::results::{ArmResult, State, arms};
use crate::study_data::StudyData;
use crate::targets::Target;
use crate::verdict::{Verdict, best};

/// A study summed up.
#[derive(Clone, Debug)]
pub struct Analysis<'a> {
    pub data: &'a StudyData,
    /// In the order of the grid.
    pub arms: Vec<ArmResult<'a>>,
    pub curves: Curves,
    pub layout: Layout,
    /// `None` if no arm has finished all its runs.
    pub verdict: Option<Verdict>,
    pub comparisons: Comparisons,
    /// The study's targets, with the times that the arms took.
    pub targets: Vec<Target>,
    pub judgement: Judgement,
    /// How the arms left their saddles; empty where there is none.
    pub escapes: Vec<Escape>,
}

impl<'a> Analysis<'a> {
    /// # Errors
    /// When a data frame query fails.
    pub fn of(data: &'a StudyData) -> Result<Self, Error> {
        let arms = arms(data)?;
        let all: Vec<usize> = (0..arms.len()).collect();
        let verdict = best(&arms, &all, data.study.metric);
        let mut analysis = Analysis {
            data,
            curves: Curves::of(data)?,
            layout: Layout::of(data, &arms),
            verdict,
            comparisons: Comparisons::of(data, &arms),
            targets: Target::all(data, &arms)?,
            judgement: Judgement::of(data, &arms),
            escapes: Escape::all(data, &arms),
            arms,
        };
        if analysis.mixes_surfaces() {
            analysis.verdict = None;
        }
        Ok(analysis)
    }

    /// The metric that decides between arms.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.data.study.metric
    }

    /// How many runs of the study are in a state.
    #[must_use]
    pub fn count(&self, state: State) -> usize {
        self.arms.iter().map(|arm| arm.count(state)).sum()
    }

    /// Whether any run was evaluated; a check measures numbers, and has no curves.
    #[must_use]
    pub fn has_evals(&self) -> bool {
        !self.data.evals.run.is_empty()
    }

    /// Whether any evaluation has an accuracy; a descent on a surface has none.
    #[must_use]
    pub fn has_accuracies(&self) -> bool {
        self.data.evals.accuracy.iter().any(|accuracy| accuracy.is_finite())
    }

    /// Whether the arms descend on different surfaces, whose heights say nothing about each other.
    #[must_use]
    pub fn mixes_surfaces(&self) -> bool {
        let Some(axis) = self.data.study.axes.iter().position(|axis| axis == "surface") else { return false };
        self.arms.iter().any(|arm| arm.axes.get(axis) != self.arms[0].axes.get(axis))
    }

    /// Whether the runs measured something and were not evaluated.
    #[must_use]
    pub fn is_check(&self) -> bool {
        !self.has_evals() && !self.data.measurements.is_empty()
    }

    /// How many different seeds the runs have.
    #[must_use]
    pub fn seeds(&self) -> usize {
        self.seed_values().len()
    }

    /// The different seeds, ascending.
    #[must_use]
    pub fn seed_values(&self) -> Vec<u64> {
        let mut seeds: Vec<u64> = self.data.runs.iter().map(|run| run.seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        seeds
    }
}
