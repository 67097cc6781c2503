//! What a run is about: its objective decides who runs it.

use candle_core::Device;
use spec::record::{Facts, Sink};
use spec::{Config, RunSpec};

use crate::data::Dataset;
use crate::error::Error;
use crate::train::{self, Ending};
use crate::{gradients, surface};

/// What a run will do, checked and counted before anything is done. `dataset` is the configuration's, if it names one.
///
/// # Errors
/// When the configuration does not fit together, or does not fit the data.
pub fn facts(config: &Config, dataset: Option<&Dataset>, device: &Device) -> Result<Facts, Error> {
    match (config.objective(), dataset) {
        ("surface", _) => surface::facts(config),
        ("convolution-gradients", _) => gradients::facts(config),
        (_, Some(dataset)) => Ok(train::Plan::new(config, dataset, device)?.facts().clone()),
        (_, None) => Err(no_dataset()),
    }
}

/// Runs a run from its start and writes everything that it finds out into `sink`.
///
/// What is recorded, except for times, is a function of the configuration, the seed and the data; `threads` is asked before each
/// step of a training how many threads may work at it.
///
/// # Errors
/// When the configuration doesn't fit the data, a tensor operation fails, or the sink does.
pub fn run(
    run: &RunSpec,
    dataset: Option<&Dataset>,
    device: &Device,
    threads: &dyn Fn() -> usize,
    sink: &mut dyn Sink,
) -> Result<Ending, Error> {
    match (run.config.objective(), dataset) {
        ("surface", _) => surface::descend(run, sink),
        ("convolution-gradients", _) => gradients::check(run, sink),
        (_, Some(dataset)) => train::train(run, dataset, device, threads, sink),
        (_, None) => Err(no_dataset()),
    }
}

fn no_dataset() -> Error {
    Error::Mismatch("a classification needs its dataset".into())
}
