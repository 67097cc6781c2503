//! The grid language: a TOML file that describes every run of a study.
//!
//! `parse` reads the file into a [`Grid`] and checks each key and value where it stands; `expand` multiplies the axes out into
//! arms and checks each arm as a whole. Errors carry the place in the file.

mod expand;
mod overrides;
mod parse;
mod range;

use std::ops::Range;

use crate::analysis::Settings;
use crate::config::Config;
use crate::diagnostic::{Diagnostic, Source};
use crate::metric::Metric;
use crate::run::Study;
use crate::value::Value;
use crate::vocabulary::{Vocabulary, suggest};

pub use overrides::{Overridden, Override};

type Span = Range<usize>;

/// Of the name of a study.
const MAX_NAME: usize = 100;

/// Bounds that are checked before anything is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Runs per study: arms, counted before `[[exclude]]` takes some away, times seeds.
    pub max_runs: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_runs: 10_000 }
    }
}

/// The vocabulary and the dataset identities that a grid needs to become runs.
pub trait Catalog {
    fn vocabulary(&self) -> &Vocabulary;

    /// SHA-256 of the content of a configuration's dataset, which is part of the identity of every run on it.
    ///
    /// # Errors
    /// When the dataset is not there or not readable.
    fn dataset_checksum(&self, config: &Config) -> Result<String, NoDataset>;
}

/// Why there is no dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoDataset {
    /// One sentence, with what to do.
    pub message: String,
    /// It is not there, rather than not what it should be.
    pub is_missing: bool,
}

/// A grid file as written, keys and values checked one by one.
#[derive(Debug)]
struct Grid {
    study: Header,
    base: Vec<Setting>,
    /// Where `[base]` stands, for what is missing from it.
    base_span: Span,
    /// `[grid]` and `[[zip]]` first, without condition, then each `[[when]]` in order.
    blocks: Vec<Block>,
    exclude: Vec<Condition>,
    rows: Vec<Vec<Setting>>,
    seeds: Vec<u64>,
    seeds_span: Span,
    analysis: Settings,
    /// Where each axis of `compare` stands.
    compare_spans: Vec<Span>,
}

/// `[study]`.
#[derive(Debug)]
struct Header {
    question: String,
    hypothesis: Option<String>,
    metric: Metric,
    targets: Vec<(Metric, f64)>,
}

/// `key = value`.
#[derive(Clone, Debug)]
struct Setting {
    key: &'static str,
    value: Value,
    span: Span,
}

/// Axes that are multiplied onto every cell that meets the condition.
#[derive(Debug, Default)]
struct Block {
    condition: Option<Condition>,
    set: Vec<Setting>,
    /// Each group is one dimension of the product; the axes within a group move together.
    groups: Vec<Vec<Axis>>,
}

/// Every key must have one of its values.
#[derive(Debug)]
struct Condition {
    any_of: Vec<(&'static str, Vec<Value>)>,
    span: Span,
}

/// A varied key. All values have the span of the axis's own definition, or of their place in the list.
#[derive(Debug)]
struct Axis {
    key: &'static str,
    values: Vec<(Value, Span)>,
    span: Span,
}

impl Study {
    /// Reads a grid file's text.
    ///
    /// `name` is the study's name (the file's stem), `file` is what error messages call the file.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place in the file. Nothing is ever allocated in proportion to a number in
    /// the file before that number has been checked against `limits`.
    pub fn parse(name: &str, file: &str, text: &str, catalog: &dyn Catalog, limits: Limits) -> Result<Study, Diagnostic> {
        let source = Source { file, text };
        if !is_study_name(name) {
            let message = format!("`{name}` can't be the name of a study: a grid file is named with letters, digits, `_` and `-`");
            return Err(source.error(0..0, message));
        }
        let grid = parse::parse(source, catalog.vocabulary(), limits)?;
        let (axes, arms) = expand::expand(&grid, source, catalog, limits)?;
        if let Some((axis, span)) = grid.analysis.compare.iter().zip(&grid.compare_spans).find(|(axis, _)| !axes.contains(axis)) {
            let known: Vec<&str> = axes.iter().map(String::as_str).collect();
            let error = source.error(span.clone(), format!("`{axis}` can't be compared: it is no axis of this study"));
            return Err(error.suggest(suggest(axis, known.iter().copied()), &known));
        }
        Ok(Study {
            name: name.to_owned(),
            question: grid.study.question,
            hypothesis: grid.study.hypothesis,
            metric: grid.study.metric,
            targets: grid.study.targets,
            analysis: grid.analysis,
            axes,
            arms,
            seeds: grid.seeds,
            source: text.to_owned(),
        })
    }
}

/// What a study may be called. Reports are folders of that name, on any system, so it is never a path.
pub fn is_study_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
