//! What can go wrong while a run is prepared or trained. A diverged run is not among it: that is an outcome.

use spec::config::Missing;
use spec::record::SinkError;

/// Why a run could not be trained.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] Missing),
    /// A configuration that names things which don't fit together.
    #[error("{0}")]
    Mismatch(String),
    #[error(transparent)]
    Data(#[from] crate::data::DataError),
    #[error("{0}")]
    Tensor(#[from] candle_core::Error),
    /// A checkpoint that this run can't go on from; it can start over without.
    #[error("{0}")]
    Checkpoint(String),
    /// The storage of the results has failed; the sweep can't go on.
    #[error("{0}")]
    Sink(#[from] SinkError),
}
