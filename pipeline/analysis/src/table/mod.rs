//! Report tables: each is one file here with its function, listed once in [`TABLES`].
//! Called by the report; from one definition come the Markdown and the CSV form. It knows nothing of files.

mod arms;
mod comparisons;
mod convergence;
mod diagnosis;
mod divergence;
mod escape;
mod generalization;
mod latex;
mod layers;
mod measurements;
mod models;
mod render;
mod runs;
mod sensitivity;
mod smoothness;
mod time_to_target;

pub(crate) use render::{code, escape, paragraph};

use crate::Analysis;
use crate::error::Error;
use crate::number::Format;
use crate::stats::Interval;

/// All tables with their names, in the order of a report. One that has nothing to say gives `None`. What a study's folder holds
/// under other names is none of ours.
pub const TABLES: [(&str, Maker); 15] = [
    ("comparisons", comparisons::table),
    ("escape", escape::table),
    ("arms", arms::table),
    ("sensitivity", sensitivity::table),
    ("time_to_target", time_to_target::table),
    ("diagnosis", diagnosis::table),
    ("convergence", convergence::table),
    ("generalization", generalization::table),
    ("smoothness", smoothness::table),
    ("models", models::table),
    ("layers", layers::table),
    ("divergence", divergence::table),
    ("measurements", measurements::table),
    ("pairs", comparisons::pairs),
    ("runs", runs::table),
];

/// Makes a table of a study.
pub type Maker = fn(&Analysis<'_>) -> Result<Option<Table>, Error>;

/// A table, ready to be written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Stem of its file.
    pub name: &'static str,
    /// What a row is and how to read it.
    pub caption: String,
    /// Whether the page shows it; if not, it is a file only.
    pub in_page: bool,
    pub columns: Vec<Column>,
    /// One cell per column.
    pub rows: Vec<Vec<Cell>>,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub header: String,
    /// Names of the CSV columns; as many as its cells have parts.
    pub csv: Vec<String>,
    pub unit: Option<&'static str>,
    /// Whether higher is better, where one is.
    pub higher_is_better: Option<bool>,
    /// Digits in Markdown; CSV has all.
    pub format: Format,
}

impl Column {
    /// A column with one part of the same name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let header: String = name.into();
        Column { csv: vec![header.replace(' ', "_")], header, unit: None, higher_is_better: None, format: Format::Plain }
    }

    /// With these CSV columns, each after `prefix` and `_` if there is one.
    #[must_use]
    pub fn parts(mut self, prefix: &str, parts: &[&str]) -> Self {
        let name = |part: &&str| {
            if prefix.is_empty() { (*part).to_owned() } else { format!("{prefix}_{part}") }
        };
        self.csv = parts.iter().map(name).collect();
        self
    }

    /// With the digits and the direction of a metric.
    #[must_use]
    pub fn metric(mut self, metric: spec::Metric) -> Self {
        self.format = Format::of(metric);
        self.higher_is_better = Some(metric.higher_is_better());
        self
    }

    /// A quantity of which less is better, to three digits.
    #[must_use]
    pub fn cost(mut self, unit: &'static str) -> Self {
        self.unit = Some(unit);
        self.higher_is_better = Some(false);
        self.format = Format::Significant(3);
        self
    }
}

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Text(String),
    Count(u64),
    /// A count that a reader should notice unless it is 0.
    Alarm(u64),
    /// Parts: k, n.
    Of(u64, u64),
    Value(Option<f64>),
    /// Parts: middle, low, high.
    Spread(Option<[f64; 3]>),
    /// Parts: mean and, from two values on, standard deviation.
    MeanSd(Option<f64>, Option<f64>),
    /// Parts: value, low and high end of its interval.
    Estimate(Option<f64>, Option<Interval>),
    /// A p-value.
    P(Option<f64>),
    /// A cell that stands out from its column because the data say so.
    Strong(Box<Cell>),
}

impl Cell {
    pub(crate) fn count(n: usize) -> Self {
        Cell::Count(n as u64)
    }

    pub(crate) fn mean_sd(values: &[f64]) -> Self {
        Cell::MeanSd(crate::stats::mean(values), crate::stats::standard_deviation(values))
    }

    /// Interquartile mean with its bootstrap interval.
    pub(crate) fn centre(values: &[f64]) -> Self {
        Cell::Estimate(crate::stats::interquartile_mean(values), crate::comparison::interval(values))
    }

    pub(crate) fn strong_if(self, strong: bool) -> Self {
        if strong { Cell::Strong(Box::new(self)) } else { self }
    }

    pub(crate) fn spread(values: &[f64]) -> Self {
        let middle = crate::stats::median(values).zip(crate::stats::range(values));
        Cell::Spread(middle.map(|(median, (low, high))| [median, low, high]))
    }
}
