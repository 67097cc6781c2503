//! The engine: datasets, networks, optimizers, schedules and the one training loop, on top of candle.
//!
//! The way through a step: `data` gathers a batch, `network` runs its `layer`s forward to the loss and backward, each layer's
//! parameters are updated by `optim`'s rule as soon as their gradient is known, and `train` writes a record into the sink. On
//! the CPU a layer is one of our `kernel`s; elsewhere it is composed of candle operations.
//! It knows neither SQL, nor polars, nor the terminal.

pub mod catalog;
mod checkpoint;
pub mod data;
pub mod device;
mod error;
mod feature_maps;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gradients;
mod kernel;
mod layer;
mod loss;
pub mod measure;
mod network;
mod objective;
pub mod optim;
mod random;
pub mod schedule;
mod summary;
mod surface;
mod train;

pub use catalog::Catalog;
pub use checkpoint::Checkpoint;
pub use error::Error;
pub use kernel::single_threaded_tensors;
pub use layer::Path;
pub use objective::{facts, run};
pub use summary::{LayerRow, check, summary};
pub use train::Ending;
