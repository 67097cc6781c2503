//! All SQL there is: the schema, the single writer of a sweep, and reading back as typed columns.
//!
//! `store` opens files and migrates them. A sweep's records go from a `sink` to the thread that will `write` them; `lease` says whose
//! runs are whose, and a `checkpoint` is what a run that was cut off goes on from. `read` gives columns to the reports, `query` runs a
//! user's SQL, `copy` makes a consistent copy of a file, `merge` brings several into one. It knows neither candle nor polars.

mod checkpoint;
mod copy;
mod error;
mod lease;
pub mod live;
mod merge;
mod process;
pub mod query;
pub mod read;
mod register;
mod sink;
mod store;
mod write;

#[cfg(fuzzing)]
pub use checkpoint::fuzzing;
pub use copy::{Copied, copy};
pub use error::{Error, Trouble};
pub use lease::{Wanted, now};
pub use merge::{Merged, merge};
pub use read::Reader;
pub use sink::RunSink;
pub use write::{Buried, Claimed, Ended, Environment, Start, Tracker};
