//! How fast the arms reached the study's targets.
//! Called by the table and the findings about it. A run that never reached a target needs infinitely long for it: it is neither
//! left out nor counted at its end.

use spec::Metric;

use crate::Analysis;
use crate::error::Error;
use crate::number::{Format, real};
use crate::results::{ArmResult, Reached, State, reached};
use crate::stats::median;

/// One of the study's targets with the time that each arm took.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub metric: Metric,
    pub value: f64,
    /// One per arm, in the order of the grid.
    pub times: Vec<Time>,
}

/// When the runs of an arm reached a target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Time {
    /// Runs that reached it.
    pub reached: usize,
    /// Runs that finished or diverged.
    pub n: usize,
    /// Medians over the `n` runs, infinite unless more than half reached it; `None` if `n` is 0.
    pub steps: Option<f64>,
    pub epochs: Option<f64>,
    /// Seconds of training, evaluations not counted.
    pub train_s: Option<f64>,
}

impl Target {
    /// All targets of the study.
    ///
    /// # Errors
    /// When a data frame query fails.
    pub fn all(a: &Analysis<'_>) -> Result<Vec<Self>, Error> {
        let target = |(metric, value): &(Metric, f64)| {
            let reached = reached(a.data, *metric, *value)?;
            let time = |arm: &ArmResult<'_>| {
                let with_result = arm.runs.iter().filter(|run| matches!(run.state, State::Finished | State::Diverged));
                Time::of(&with_result.map(|run| reached.get(run.record.id.as_str())).collect::<Vec<_>>())
            };
            Ok(Target { metric: *metric, value: *value, times: a.arms.iter().map(time).collect() })
        };
        a.data.study.targets.iter().map(target).collect()
    }

    /// `≥ 0.8`.
    #[must_use]
    pub fn bound(&self) -> String {
        let sign = if self.metric.higher_is_better() { "≥" } else { "≤" };
        format!("{sign} {}", Format::Plain.text(self.value))
    }
}

impl Time {
    fn of(runs: &[Option<&Reached>]) -> Self {
        let middle = |of: fn(&Reached) -> f64| median(&runs.iter().map(|run| run.map_or(f64::INFINITY, of)).collect::<Vec<_>>());
        Time {
            reached: runs.iter().flatten().count(),
            n: runs.len(),
            steps: middle(|r| real(r.step)),
            epochs: middle(|r| real(r.epoch)),
            train_s: middle(|r| r.elapsed_ms / 1e3),
        }
    }
}
