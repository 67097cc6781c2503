//! Curves that were read, kept: of a run that has ended for good, of one in training as far as it had come.

use std::collections::HashMap;

use spec::Split;
use tracker::Reader;
use tracker::live::StepMetric;

use crate::Error;
use crate::decimate::Decimated;
use crate::overview::Run;

/// Curves at most: each is some dozens of kilobytes.
const MOST: usize = 2000;

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Metric {
    Step(StepMetric),
    /// Of a split; the accuracy or the loss.
    Eval(Split, bool),
}

impl Metric {
    pub const ALL: [Metric; 10] = [
        Metric::Eval(Split::Validation, true),
        Metric::Eval(Split::Validation, false),
        Metric::Eval(Split::Train, true),
        Metric::Eval(Split::Train, false),
        Metric::Eval(Split::Test, true),
        Metric::Eval(Split::Test, false),
        Metric::Step(StepMetric::Loss),
        Metric::Step(StepMetric::Accuracy),
        Metric::Step(StepMetric::Lr),
        Metric::Step(StepMetric::GradNorm),
    ];

    pub fn name(self) -> String {
        match self {
            Metric::Step(metric) => metric.name().to_owned(),
            Metric::Eval(split, accuracy) => format!("{}_{}", split.name(), if accuracy { "accuracy" } else { "loss" }),
        }
    }

    /// For people.
    pub fn title(self) -> String {
        match self {
            Metric::Step(StepMetric::Loss) => "loss of every step".into(),
            Metric::Step(StepMetric::Accuracy) => "accuracy of every step".into(),
            Metric::Step(StepMetric::Lr) => "learning rate".into(),
            Metric::Step(StepMetric::GradNorm) => "gradient norm".into(),
            Metric::Eval(split, accuracy) => format!("{} {}", split.name(), if accuracy { "accuracy" } else { "loss" }),
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Metric::ALL.into_iter().find(|metric| metric.name() == name)
    }
}

#[derive(Default)]
pub(crate) struct Curves(HashMap<(String, Metric), Kept>);

struct Kept {
    curve: Decimated,
    /// Tries to train the run when it was read: with another one, what was logged past its checkpoint is gone.
    begun: u64,
    /// Nothing more will come.
    is_whole: bool,
}

impl Curves {
    /// The curve of a run, as it is now.
    pub fn get(&mut self, reader: &Reader, run: &Run, metric: Metric) -> Result<Decimated, Error> {
        let is_whole = run.live.outcome.is_some_and(spec::record::Outcome::is_result);
        let key = (run.live.id.clone(), metric);
        let begun = reader.begun(&run.live.id)?;
        let kept = self.0.remove(&key).filter(|kept| kept.begun == begun);
        let mut curve = match kept {
            Some(kept) if kept.is_whole => {
                let curve = kept.curve.clone();
                self.0.insert(key, kept);
                return Ok(curve);
            }
            Some(kept) => kept.curve,
            None => Decimated::default(),
        };
        match metric {
            Metric::Step(of) => {
                let after = curve.last.map(|p| p.step);
                reader.each_step(&run.live.id, of, after, |p| curve.push(p))?;
            }
            // Few, and read anew.
            Metric::Eval(split, accuracy) => {
                curve = Decimated::default();
                reader.each_eval(&run.live.id, split, accuracy, |p| curve.push(p))?;
            }
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(key, Kept { curve: curve.clone(), begun, is_whole });
        Ok(curve)
    }
}
