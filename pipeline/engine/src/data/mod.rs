//! Datasets: images with labels, read whole into memory as bytes.
//!
//! To add one: a file here with `NAME`, `choice()` and `load()`, and an arm in [`choices`] and [`load`].

mod fashion_mnist;
mod idx;

use std::path::PathBuf;

use sha2::{Digest, Sha256};
use spec::{Choice, Config};

use crate::error::Error;
use crate::kernel::vectorized;
use crate::random::{Purpose, Stream};

/// Why a dataset can't be read: which file, what is wrong, what would be right.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("{place}: {what}")]
    File { place: String, what: String },
    #[error("the dataset `{name}` was not found; {hint}\n  looked in: {}", looked.join(", "))]
    NotFound { name: String, hint: String, looked: Vec<String> },
}

/// Images of one size with a label each.
#[derive(Debug)]
pub struct Part {
    /// `labels.len()` images of height · width · channels bytes, channels last.
    pub images: Vec<u8>,
    pub labels: Vec<u8>,
}

/// A dataset in memory.
#[derive(Debug)]
pub struct Dataset {
    pub name: &'static str,
    /// SHA-256 over sizes, images and labels: part of the identity of every run.
    pub checksum: String,
    /// Height, width, channels.
    pub shape: [usize; 3],
    pub classes: usize,
    /// What the training and validation splits are cut from.
    pub train: Part,
    /// Only read for the final evaluation.
    pub test: Part,
    /// Mean and standard deviation of the training part's pixels, on a scale of 0 to 1.
    mean: f64,
    deviation: f64,
}

/// Which examples of the training part a run trains on and which it validates on.
#[derive(Debug, PartialEq, Eq)]
pub struct Division {
    pub train: Vec<u32>,
    pub validation: Vec<u32>,
}

/// The datasets that a grid file can name.
pub fn choices() -> Vec<Choice> {
    vec![fashion_mnist::mini_choice(), fashion_mnist::choice()]
}

/// Reads a dataset; `data_dir` is where to look first.
///
/// # Errors
/// When it is not there, or a file is not what it should be.
pub fn load(name: &str, data_dir: Option<&PathBuf>) -> Result<Dataset, DataError> {
    match name {
        fashion_mnist::MINI => fashion_mnist::load_mini(),
        _ => fashion_mnist::load(data_dir),
    }
}

impl Dataset {
    fn new(name: &'static str, shape: [usize; 3], classes: usize, train: Part, test: Part) -> Self {
        let mut hash = Sha256::new();
        for part in [&train, &test] {
            for size in [part.labels.len(), shape[2], shape[0], shape[1], classes] {
                hash.update((size as u64).to_le_bytes());
            }
            hash.update(&part.images);
            hash.update(&part.labels);
        }
        let checksum = spec::hex(&hash.finalize());
        let (mean, deviation) = pixel_statistics(&train.images);
        Dataset { name, checksum, shape, classes, train, test, mean, deviation }
    }

    /// Bytes per image.
    pub fn image_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The seeded division that a configuration asks for.
    ///
    /// The validation split is drawn first, so that runs on fewer training examples validate on the same images.
    ///
    /// # Errors
    /// When there are fewer examples than the configuration asks for.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count below 2^32")]
    pub fn divide(&self, config: &Config) -> Result<Division, Error> {
        let n = u32::try_from(self.train.labels.len()).map_err(|_| Error::Mismatch("more than 2^32 images".into()))?;
        let held_out = (self.train.labels.len() as f64 * config.float("validation_fraction")?).round() as usize;
        if held_out == 0 && config.float("validation_fraction")? > 0.0 {
            return Err(Error::Mismatch(format!("validation_fraction leaves no image of {} for validation", self.name)));
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

    /// Writes images as numbers with mean 0 and deviation 1 (over the training part) into `pixels`, and replaces `labels` by
    /// their labels.
    ///
    /// # Panics
    /// If `pixels` has not the size of so many images, or an index is none of an image.
    #[expect(clippy::cast_possible_truncation, reason = "pixels in single precision are meant")]
    pub fn gather(&self, part: &Part, indices: &[u32], pixels: &mut [f32], labels: &mut Vec<u32>) {
        let scale = (1.0 / (255.0 * self.deviation)) as f32;
        let shift = (-self.mean / self.deviation) as f32;
        let len = self.image_len();
        assert_eq!(pixels.len(), indices.len() * len, "room for every pixel");
        labels.clear();
        labels.extend(indices.iter().map(|i| u32::from(part.labels[*i as usize])));
        vectorized(
            #[inline(always)]
            || {
                for (pixels, &i) in pixels.chunks_exact_mut(len).zip(indices) {
                    let image = &part.images[i as usize * len..(i as usize + 1) * len];
                    for (pixel, byte) in pixels.iter_mut().zip(image) {
                        *pixel = f32::from(*byte) * scale + shift;
                    }
                }
            },
        );
    }
}

/// Mean and standard deviation of bytes on a scale of 0 to 1, from exact integer sums.
fn pixel_statistics(bytes: &[u8]) -> (f64, f64) {
    let (mut sum, mut squares) = (0u64, 0u64);
    for b in bytes {
        sum += u64::from(*b);
        squares += u64::from(*b) * u64::from(*b);
    }
    let n = bytes.len().max(1) as f64;
    let mean = sum as f64 / n;
    let variance = (squares as f64 / n - mean * mean).max(0.0);
    // A dataset of one colour has no deviation to divide by.
    let deviation = if variance > 0.0 { variance.sqrt() } else { 255.0 };
    (mean / 255.0, deviation / 255.0)
}

#[cfg(test)]
mod tests;
