//! All SQL there is: the schema, the single writer of a sweep, and reading back as typed columns.
//!
//! `store` opens files and migrates them. A sweep's records go from a `sink` to the thread that will `write` them; `lease` says whose
//! runs are whose, and a `checkpoint` is what a run that was cut off goes on from. `read` gives columns to the reports, `live` answers
//! viewers, `query` runs a user's SQL, `copy` makes a consistent copy of a file, `dump` gives all rows to exports, `import` takes runs from
//! elsewhere, `merge` brings several files into one, `publish` keeps a copy where other machines find it. It knows neither candle nor
//! polars.

mod checkpoint;
mod copy;
pub mod dump;
mod error;
pub mod import;
mod lease;
pub mod live;
mod merge;
mod process;
mod publish;
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
pub use publish::Publication;
pub use read::Reader;
pub use sink::RunSink;
pub use store::Temporary;
pub use write::{Buried, Claimed, Ended, Environment, Start, Tracker};
