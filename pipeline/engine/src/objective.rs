//! What a run is about: its objective decides who runs it.

use candle_core::Device;
use spec::record::{Facts, Sink};
use spec::{Config, RunSpec};

use crate::checkpoint::{Checkpoint, unfit};
use crate::data::Dataset;
use crate::error::Error;
use crate::train::{self, Ending};
use crate::{device, gradients, surface};

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

/// Runs a run, from its start or from where it was cut short, and writes everything that it finds out into `sink`: what comes after
/// the step of `resume`, if there is one.
///
/// What is recorded, except for times, is a function of the configuration, the seed and the data; `threads` is asked before each
/// step of a training how many threads may work at it.
///
/// # Errors
/// When the configuration doesn't fit the data, a tensor operation fails, or the sink does. [`Error::Checkpoint`] when the run can't
/// go on from `resume`; then the sink has been given nothing.
pub fn run(
    run: &RunSpec,
    dataset: Option<&Dataset>,
    device: &Device,
    threads: &dyn Fn() -> usize,
    resume: Option<&Checkpoint>,
    sink: &mut dyn Sink,
) -> Result<Ending, Error> {
    match (run.config.objective(), dataset) {
        ("surface", _) => surface::descend(run, resume, sink),
        ("convolution-gradients", _) if resume.is_some() => Err(unfit("is of no use to a check of gradients, which has no steps")),
        ("convolution-gradients", _) => gradients::check(run, sink),
        (_, Some(dataset)) => train::train(run, dataset, (device, device::path(device)), threads, resume, sink),
        (_, None) => Err(no_dataset()),
    }
}

fn no_dataset() -> Error {
    Error::Mismatch("a classification needs its dataset".into())
}
