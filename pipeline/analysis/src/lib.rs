//! From the database's columns to reports: statistics, tables, figures, and the pages that show them.
//! Called by the command line through [`build`]; it stands on the tracker's reading side and sees no SQL and no training.
//!
//! The way of a number: [`study_data`] (columns) → [`frame`] (polars) → [`results`] and [`curves`] (runs and seeds
//! summed up) → [`analysis`] (all that is known of a study) → [`table`] and [`plot`] → [`report`] (files).

pub mod analysis;
pub mod comparison;
pub mod curves;
pub mod diagnosis;
mod error;
pub mod escape;
pub mod figure;
pub mod find_lr;
pub mod frame;
pub mod judgement;
pub mod layout;
mod number;
pub mod plot;
pub mod report;
pub mod results;
pub mod stamps;
pub mod stats;
pub mod steps;
pub mod study_data;
pub mod table;
pub mod targets;
pub mod verdict;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;

pub use analysis::Analysis;
pub use error::Error;
pub use report::{Best, Reports, StudySummary, Trace, build, trace, update};
pub use study_data::StudyData;
