//! Datasets: examples with labels, read whole into memory as bytes.
//!
//! To add one: a file here with `NAME`, `choice()` and `load()`, and an arm in [`choices`] and [`load`].

mod archive;
mod augment;
mod cache;
mod cifar10;
mod clips;
mod fashion_mnist;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod idx;
mod images;
mod mnist;
mod normalize;
mod official;
mod places;
mod signals;

use std::path::Path;

use sha2::{Digest, Sha256};
use spec::grid::NoDataset;
use spec::{Choice, Config};

use crate::error::Error;
use crate::random::{Purpose, Stream};

pub(crate) use augment::Augment;
pub use augment::augmented;
pub(crate) use normalize::Scale;
use normalize::Statistics;
pub use official::{OfficialFile, official};
use places::Places;
pub use places::home;

/// Why a dataset can't be read: which file, what is wrong, what would be right.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("{place}: {what}")]
    File { place: String, what: String },
    #[error("the dataset `{name}` was not found; {hint}\n  looked in: {}", looked.join(", "))]
    NotFound { name: String, hint: String, looked: Vec<String> },
    #[error("there is no dataset `{name}`; there are {known}")]
    Unknown { name: String, known: String },
}

impl From<&DataError> for NoDataset {
    fn from(error: &DataError) -> Self {
        NoDataset { message: error.to_string(), is_missing: matches!(error, DataError::NotFound { .. }) }
    }
}

/// Examples of one shape with a label each.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// `labels.len()` examples, as many bytes each as the dataset's shape says, channels last.
    pub examples: Vec<u8>,
    pub labels: Vec<u8>,
}

/// A dataset in memory.
#[derive(Debug)]
pub struct Dataset {
    pub name: String,
    /// SHA-256 over sizes, examples and labels: part of the identity of every run.
    pub checksum: String,
    /// Of an example, channels last: \[height, width, channels\] for images, \[frames, height, width, channels\] for clips,
    /// \[length, channels\] for signals.
    pub shape: Vec<usize>,
    /// A name for each label.
    pub class_names: Vec<String>,
    /// What the training and validation splits are cut from.
    pub train: Part,
    /// Only read for the final evaluation.
    pub test: Part,
    /// Of the training part.
    statistics: Statistics,
}

/// Which examples of the training part a run trains on and which it validates on.
#[derive(Debug, PartialEq, Eq)]
pub struct Division {
    pub train: Vec<u32>,
    pub validation: Vec<u32>,
}

/// The datasets that a grid file can name.
pub fn choices() -> Vec<Choice> {
    vec![
        fashion_mnist::mini_choice(),
        fashion_mnist::choice(),
        mnist::choice(),
        cifar10::choice(),
        signals::choice(),
        clips::choice(),
        images::choice(),
    ]
}

/// Reads the dataset that a configuration names; `data_dir` is where to look first.
///
/// # Errors
/// When it is not there, or a file is not what it should be.
pub fn load(config: &Config, data_dir: Option<&Path>) -> Result<Dataset, DataError> {
    let places = Places::here(data_dir);
    match config.text("dataset").unwrap_or_default() {
        fashion_mnist::MINI => fashion_mnist::load_mini(),
        fashion_mnist::FULL => fashion_mnist::load(&places),
        mnist::NAME => mnist::load(&places),
        cifar10::NAME => cifar10::load(&places),
        images::NAME => images::load(config, &places),
        signals::NAME => signals::load(config),
        clips::NAME => clips::load(config),
        name => Err(unknown(name, &choices())),
    }
}

pub(crate) fn unknown(name: &str, choices: &[Choice]) -> DataError {
    let known: Vec<&str> = choices.iter().map(|c| c.name).collect();
    DataError::Unknown { name: name.to_owned(), known: known.join(", ") }
}

/// The configuration of a dataset with its defaults, as far as it has any.
pub fn defaults(choice: &Choice) -> Config {
    let mut config = Config::default();
    config.insert("dataset", spec::Value::Text(choice.name.into()));
    for key in &choice.keys {
        if let Some(value) = key.default.value() {
            config.insert(key.name, value.clone());
        }
    }
    config
}

impl Dataset {
    /// # Errors
    /// When there are no training examples, or what the parts hold is not what the shape and the labels say.
    pub(crate) fn new(name: &str, shape: &[usize], class_names: Vec<String>, train: Part, test: Part) -> Result<Self, DataError> {
        let wrong = |what: String| DataError::File { place: name.to_owned(), what };
        let len: usize = shape.iter().product();
        if train.labels.is_empty() || class_names.is_empty() || class_names.len() > 256 {
            let (n, classes) = (train.labels.len(), class_names.len());
            return Err(wrong(format!("has {n} training examples of {classes} classes; expected at least one, of 1 to 256 classes")));
        }
        for part in [&train, &test] {
            if part.examples.len() != part.labels.len() * len {
                let (bytes, n) = (part.examples.len(), part.labels.len());
                return Err(wrong(format!("has {bytes} bytes for {n} examples of {len} bytes")));
            }
            if let Some(label) = part.labels.iter().find(|l| usize::from(**l) >= class_names.len()) {
                return Err(wrong(format!("has a label {label}; labels go from 0 to {}", class_names.len() - 1)));
            }
        }
        let mut hash = Sha256::new();
        for part in [&train, &test] {
            for size in [&[part.labels.len()], shape, &[class_names.len()]].into_iter().flatten() {
                hash.update((*size as u64).to_le_bytes());
            }
            hash.update(&part.examples);
            hash.update(&part.labels);
        }
        let statistics = Statistics::new(&train.examples, *shape.last().unwrap_or(&1));
        let checksum = spec::hex(&hash.finalize());
        Ok(Dataset { name: name.to_owned(), checksum, shape: shape.to_vec(), class_names, train, test, statistics })
    }

    pub fn classes(&self) -> usize {
        self.class_names.len()
    }

    /// Bytes per example.
    pub fn example_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// What turns bytes into the numbers that a network sees, as a configuration has it.
    pub(crate) fn scale(&self, config: &Config) -> Scale {
        self.statistics.scale(config.text("normalize").unwrap_or("standard"))
    }

    /// The seeded division that a configuration asks for.
    ///
    /// The validation split is drawn first, so that runs on fewer training examples validate on the same images.
    ///
    /// # Errors
    /// When there are fewer examples than the configuration asks for.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count below 2^32")]
    pub fn divide(&self, config: &Config) -> Result<Division, Error> {
        let n = u32::try_from(self.train.labels.len()).map_err(|_| Error::Mismatch("more than 2^32 examples".into()))?;
        let held_out = (self.train.labels.len() as f64 * config.float("validation_fraction")?).round() as usize;
        if held_out == 0 && config.float("validation_fraction")? > 0.0 {
            return Err(Error::Mismatch(format!("validation_fraction leaves no example of {} for validation", self.name)));
        }
        let mut order = Stream::new(Purpose::Split, config.count("split_seed")? as u64, 0).permutation(n);
        let mut train = order.split_off(held_out);
        if let Some(wanted) = config.optional_count("train_examples") {
            if wanted > train.len() {
                let what = format!("train_examples = {wanted}, but {} leaves {} for training after validation", self.name, train.len());
                return Err(Error::Mismatch(what));
            }
            train.truncate(wanted);
        }
        if train.is_empty() {
            return Err(Error::Mismatch(format!("validation_fraction leaves nothing of {} for training", self.name)));
        }
        Ok(Division { train, validation: order })
    }
}

#[cfg(test)]
pub(crate) mod tests;
