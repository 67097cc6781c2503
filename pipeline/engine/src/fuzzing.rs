//! What fuzzers call: parsers of foreign bytes that are nobody else's business.

use spec::{Config, RunSpec};

pub use crate::data::fuzzing::*;

use crate::checkpoint::{self, Checkpoint, Scalars};
use crate::error::Error;

/// Tensors by name.
pub type Tensors = Vec<(String, Vec<f32>)>;

/// A checkpoint of a run `fuzz` with one scalar `x`.
pub fn write_checkpoint(step: u64, x: f64, tensors: &mut Tensors) -> Vec<u8> {
    let run = RunSpec { id: "fuzz".into(), seed: 0, config: Config::default() };
    let scalars = Scalars::new(&run, "cpu", step).float("x", x);
    let mut bytes = vec![];
    let written = checkpoint::write::<f32>(&mut bytes, &scalars, &mut |visit| {
        tensors.iter_mut().try_for_each(|(name, numbers)| visit(name, numbers).map(|_| ()))
    });
    written.map(|()| bytes).unwrap_or_default()
}

/// Overwrites the tensors and returns the scalar, if the checkpoint has what [`write_checkpoint`] writes.
///
/// # Errors
/// When it doesn't.
pub fn restore_checkpoint(checkpoint: &Checkpoint, tensors: &mut Tensors) -> Result<f64, Error> {
    let x = checkpoint.float("x")?;
    checkpoint.restore::<f32>(&mut |visit| tensors.iter_mut().try_for_each(|(name, numbers)| visit(name, numbers).map(|_| ())))?;
    Ok(x)
}
