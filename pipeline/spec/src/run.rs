//! A study, its arms and its runs.

use std::sync::Arc;

use crate::analysis::Settings;
use crate::config::Config;
use crate::metric::Metric;
use crate::model::Graph;
use crate::value::Value;

/// One grid file: one question, its arms, and the seeds that every arm is repeated with.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    /// The file's stem.
    pub name: String,
    pub question: String,
    pub hypothesis: Option<String>,
    /// The metric that decides between arms.
    pub metric: Metric,
    /// Thresholds for time to target.
    pub targets: Vec<(Metric, f64)>,
    /// How its arms are compared and its runs judged.
    pub analysis: Settings,
    /// The varied keys, in the order of the file.
    pub axes: Vec<String>,
    pub arms: Vec<Arm>,
    pub seeds: Vec<u64>,
    /// The grid file, byte for byte.
    pub source: String,
}

/// One combination of axis values.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// Short text that tells the arm from the others of its study, such as `sgd lr=0.1 momentum=0.9`.
    pub label: String,
    /// The axes that exist for this arm, with their values.
    pub axes: Vec<(String, Value)>,
    pub config: Config,
    /// The network with the names of its layers, if it trains one; `model_definition` in the configuration says the same without.
    pub graph: Option<Arc<Graph>>,
}

/// One run: an arm with a seed.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSpec {
    /// See [`Config::run_id`].
    pub id: String,
    pub seed: u64,
    pub config: Config,
}

impl Study {
    /// All runs, seed by seed, so that a sweep that is cut short has seen every arm.
    pub fn runs(&self) -> impl Iterator<Item = (&Arm, RunSpec)> {
        self.seeds.iter().flat_map(move |&seed| self.arms.iter().map(move |arm| (arm, arm.run(seed))))
    }
}

impl Arm {
    /// The run of this arm with a seed.
    pub fn run(&self, seed: u64) -> RunSpec {
        RunSpec { id: self.config.run_id(seed), seed, config: self.config.clone() }
    }
}
