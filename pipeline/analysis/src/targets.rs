//! How fast the arms reached the study's targets.
//! Called by `analysis`; tables, figures and findings read it.
//!
//! A run that never reached a target is neither left out nor counted at its end. One that diverged never reaches it; one that ended
//! without (its steps were up, or it stopped early) might have later: its time is censored there (Kaplan & Meier 1958).

use spec::Metric;
use spec::record::Outcome;

use crate::comparison::CONFIDENCE;
use crate::error::Error;
use crate::number::{Format, real};
use crate::results::{ArmResult, Reached, State, reached};
use crate::stats::survival::{Median, Survival};
use crate::study_data::StudyData;

/// One of the study's targets with the time that each arm took.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub metric: Metric,
    pub value: f64,
    /// One per arm, in the order of the grid.
    pub times: Vec<Time>,
}

/// When the runs of an arm reached a target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Time {
    /// Runs that reached it.
    pub reached: usize,
    /// Runs that finished or diverged.
    pub n: usize,
    /// How many steps it took; `None` if `n` is 0.
    pub steps: Option<Survival>,
    /// Medians over the `n` runs, infinite unless about half of them reached it; `None` if `n` is 0.
    pub median_steps: Option<f64>,
    pub epochs: Option<f64>,
    pub examples: Option<f64>,
    /// Seconds of training, evaluations not counted.
    pub train_s: Option<f64>,
    /// Mean steps up to the shortest time that all runs were watched for, runs that took longer counting as that.
    pub restricted: Option<f64>,
}

impl Target {
    /// All targets of the study.
    ///
    /// # Errors
    /// When a data frame query fails.
    pub fn all(data: &StudyData, arms: &[ArmResult<'_>]) -> Result<Vec<Self>, Error> {
        let target = |(metric, value): &(Metric, f64)| {
            let reached = reached(data, *metric, *value)?;
            // One limit for all arms, so that their restricted means compare.
            let limit = arms.iter().flat_map(|arm| &arm.runs).filter(|run| run.state == State::Finished).map(|run| run.record.steps).min();
            let time = |arm: &ArmResult<'_>| {
                let with_result = arm.runs.iter().filter(|run| matches!(run.state, State::Finished | State::Diverged));
                let runs: Vec<Watched<'_>> = with_result
                    .map(|run| Watched {
                        reached: reached.get(run.record.id.as_str()),
                        end: if run.record.outcome == Some(Outcome::Diverged) { f64::INFINITY } else { real(run.record.steps) },
                        per_step: data.steps.runs.get(&run.place).map_or(f64::NAN, |steps| real(steps.examples) / real(steps.steps)),
                    })
                    .collect();
                Time::of(&runs, limit.map(real))
            };
            Ok(Target { metric: *metric, value: *value, times: arms.iter().map(time).collect() })
        };
        data.study.targets.iter().map(target).collect()
    }

    /// `≥ 0.8`.
    #[must_use]
    pub fn bound(&self) -> String {
        let sign = if self.metric.higher_is_better() { "≥" } else { "≤" };
        format!("{sign} {}", Format::Plain.text(self.value))
    }
}

/// One run on its way to a target.
struct Watched<'a> {
    reached: Option<&'a Reached>,
    /// Steps after which nobody looked any more; infinite for a run that will never reach it.
    end: f64,
    per_step: f64,
}

impl Time {
    fn of(runs: &[Watched<'_>], limit: Option<f64>) -> Self {
        // A unit of time: that of an event, and how long a run without one was watched.
        let survival = |of: &dyn Fn(&Watched<'_>) -> f64| {
            let times: Vec<(f64, bool)> =
                runs.iter().map(|run| (run.reached.map_or(run.end, |_| of(run)), run.reached.is_some())).collect();
            Survival::new(&times, CONFIDENCE)
        };
        let middle = |of: &dyn Fn(&Watched<'_>) -> f64| survival(of).map(|survival| survival.median().time);
        let at = |of: fn(&Reached) -> f64| move |run: &Watched<'_>| run.reached.map_or(f64::INFINITY, of);
        let steps = survival(&at(|r| real(r.step)));
        Time {
            reached: runs.iter().filter(|run| run.reached.is_some()).count(),
            n: runs.len(),
            median_steps: steps.as_ref().map(|steps| steps.median().time),
            epochs: middle(&at(|r| real(r.epoch))),
            examples: middle(&|run| run.reached.map_or(f64::INFINITY, |r| (real(r.step) * run.per_step).round())),
            train_s: middle(&at(|r| r.elapsed_ms / 1e3)),
            restricted: steps.as_ref().zip(limit).and_then(|(steps, limit)| steps.restricted_mean(limit)),
            steps,
        }
    }

    /// The median steps with their interval.
    #[must_use]
    pub fn median(&self) -> Option<Median> {
        self.steps.as_ref().map(Survival::median)
    }
}
