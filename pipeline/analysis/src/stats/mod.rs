//! Statistics as pure functions of numbers: no files, no runs, no hidden random numbers. docs/statistics.md explains them to
//! readers of reports, with what was measured about them.
//!
//! Called by tables, verdicts and figures. Expected values of the tests come from `tests/reference/stats.py`.

pub mod describe;
mod distribution;
pub mod interval;
pub mod paired;
pub mod profile;
pub mod random;
pub mod survival;
pub mod trend;

#[cfg(test)]
mod calibration_tests;
#[cfg(test)]
mod reference;

pub use describe::{interquartile_mean, mean, median, quantile, range, standard_deviation};
pub use interval::{Interval, bca};
pub use random::Generator;
