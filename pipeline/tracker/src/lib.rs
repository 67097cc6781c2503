//! All SQL there is: the schema, the single writer of a sweep, and reading back as typed columns.
//!
//! `store` opens files and migrates them, `write` takes records from running trainings, `read` gives columns to the reports,
//! `query` runs a user's SQL. It knows neither candle nor polars.

mod error;
mod machine;
pub mod query;
pub mod read;
mod store;
mod write;

pub use error::Error;
pub use read::Reader;
pub use write::{Ended, Environment, RunSink, Tracker};
