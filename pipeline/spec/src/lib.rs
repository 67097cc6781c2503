//! The vocabulary of the pipeline: a grid file becomes a [`Study`] of [`RunSpec`]s; a run emits [`record`]s.
//!
//! Every other crate stands on this one. It knows neither candle, nor SQL, nor polars.

pub mod analysis;
pub mod config;
pub mod diagnostic;
pub mod document;
pub mod filter;
pub mod grid;
pub mod metric;
pub mod model;
pub mod record;
pub mod reference;
pub mod run;
pub mod schema;
pub mod surface;
pub mod value;
mod visible;
pub mod vocabulary;

pub use config::{Config, fingerprint, hex};
pub use diagnostic::Diagnostic;
pub use filter::Filter;
pub use grid::Limits;
pub use metric::{Metric, Quantity, Split};
pub use run::{Arm, RunSpec, Study};
pub use value::Value;
pub use visible::{guard, inert, is_deceptive, visible};
pub use vocabulary::{Choice, Key, Kind, Vocabulary};
