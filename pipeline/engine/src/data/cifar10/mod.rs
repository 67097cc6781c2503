//! CIFAR-10 (Krizhevsky 2009, *Learning Multiple Layers of Features from Tiny Images*): 32×32 colour photographs of 10 classes.
//!
//! Read from the published archive for C or that for Python, or from the folder that either unpacks to. Both hold the red, green
//! and blue plane of one image after the other; here the channels come last.

mod pickle;

use spec::Choice;

use super::archive::{Archive, Bounds, Item};
use super::places::{Places, fetch_hint};
use super::{DataError, Dataset, Part};

pub(super) const NAME: &str = "cifar10";

const CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Five batches to train on and one to test on. The names in the archive for C end in `.bin`.
const BATCHES: [&str; 6] = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"];

const PLANE: usize = 32 * 32;
const PIXELS: usize = 3 * PLANE;
/// A batch of 10 000 images has 30 MB; there are six, and a few small files.
const BOUNDS: Bounds = Bounds { files: 1000, file_bytes: 256 << 20, total_bytes: 1 << 30 };

/// What the folders and archives are called, and whether they hold pickles.
const FORMS: [(&str, bool); 4] =
    [("cifar-10-batches-bin", false), ("cifar-10-binary", false), ("cifar-10-batches-py", true), ("cifar-10-python", true)];

pub(super) fn choice() -> Choice {
    Choice { name: NAME, doc: "50 000 training and 10 000 test photographs, 32×32 in colour, 10 classes", keys: vec![] }
}

pub(super) fn load(places: &Places) -> Result<Dataset, DataError> {
    let (archive, is_pickled) = places.find(NAME, &fetch_hint(NAME), |place| {
        FORMS.into_iter().find_map(|(name, is_pickled)| Some((Archive::find(place, name, BOUNDS)?, is_pickled)))
    })?;
    let parse = if is_pickled { python_batch } else { binary_batch };
    let mut batches: [Option<Part>; 6] = Default::default();
    archive.walk(&mut |name, item| {
        let file = name.rsplit('/').next().unwrap_or(name);
        let file = if is_pickled { file } else { file.strip_suffix(".bin").unwrap_or_default() };
        let (Item::File(read), Some(i)) = (item, BATCHES.iter().position(|b| *b == file)) else { return Ok(()) };
        let part = read().map_err(|e| e.to_string()).and_then(|bytes| parse(&bytes)).map_err(|what| archive.error_in(name, what))?;
        if batches[i].replace(part).is_some() {
            return Err(archive.error_in(name, "is there twice"));
        }
        Ok(())
    })?;
    let mut whole = vec![];
    for (batch, name) in batches.into_iter().zip(BATCHES) {
        let end = if is_pickled { "" } else { ".bin" };
        whole.push(batch.ok_or_else(|| archive.error(format!("has no {name}{end}; expected {} to {}{end}", BATCHES[0], BATCHES[5])))?);
    }
    let test = whole.pop().unwrap_or_default();
    let train = whole.into_iter().reduce(|mut all, batch| {
        all.examples.extend(batch.examples);
        all.labels.extend(batch.labels);
        all
    });
    Dataset::new(NAME, &[32, 32, 3], CLASSES.map(str::to_owned).to_vec(), train.unwrap_or_default(), test)
}

/// Records of a label and the planes.
pub(super) fn binary_batch(bytes: &[u8]) -> Result<Part, String> {
    let (records, rest) = bytes.as_chunks::<{ 1 + PIXELS }>();
    if records.is_empty() || !rest.is_empty() {
        return Err(format!("has {} bytes; expected a whole number of records of {} bytes", bytes.len(), 1 + PIXELS));
    }
    let mut part = Part { examples: Vec::with_capacity(records.len() * PIXELS), labels: Vec::with_capacity(records.len()) };
    for (i, record) in records.iter().enumerate() {
        part.labels.push(label(i, i64::from(record[0]))?);
        interleave(|k| record[1 + k], &mut part.examples);
    }
    Ok(part)
}

/// A dictionary with an array `data` of a row for each image, and a list `labels`.
pub(super) fn python_batch(bytes: &[u8]) -> Result<Part, String> {
    let pickle = pickle::read(bytes)?;
    let data = pickle.array("data").ok_or("has no numpy array `data`")?;
    let labels = pickle.integers("labels").ok_or("has no list of integers `labels`")?;
    let n = labels.len();
    if n == 0 || data.shape != [n, PIXELS] {
        return Err(format!("has {n} labels and `data` of shape {:?}; expected a row of {PIXELS} bytes for each label", data.shape));
    }
    let mut part = Part { examples: Vec::with_capacity(n * PIXELS), labels: Vec::with_capacity(n) };
    for (i, number) in labels.into_iter().enumerate() {
        part.labels.push(label(i, number)?);
        let at = |k| if data.is_fortran { k * n + i } else { i * PIXELS + k };
        interleave(|k| data.bytes[at(k)], &mut part.examples);
    }
    Ok(part)
}

fn label(record: usize, label: i64) -> Result<u8, String> {
    let known = u8::try_from(label).ok().filter(|l| usize::from(*l) < CLASSES.len());
    known.ok_or_else(|| format!("has the label {label} at record {record}; labels go from 0 to 9"))
}

/// Appends an image, of which `plane` has the bytes plane by plane, with its channels last.
fn interleave(plane: impl Fn(usize) -> u8, to: &mut Vec<u8>) {
    for pixel in 0..PLANE {
        to.extend([plane(pixel), plane(PLANE + pixel), plane(2 * PLANE + pixel)]);
    }
}

#[cfg(test)]
mod tests;
