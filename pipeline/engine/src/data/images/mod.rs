//! Images in a folder or an archive, in a folder for each class: the form in which most image datasets are passed on.
//!
//! Decoded images are kept in the cache, as decoding takes far longer than training starts should.

mod decode;
mod layout;

use std::collections::BTreeMap;

use spec::config::Missing;
use spec::{Choice, Config, Key, Kind};

use super::archive::{Archive, Bounds, Item};
use super::cache::{self, Cache, Decoded};
use super::places::Places;
use super::{DataError, Dataset, Part};
use crate::random::{Purpose, Stream};
use decode::{Form, decode_all};
use layout::Layout;

pub(super) const NAME: &str = "images";

/// Of encoded files: ImageNet has 1.3 million of them and 150 GB.
const BOUNDS: Bounds = Bounds { files: 2_000_000, file_bytes: 64 << 20, total_bytes: 256 << 30 };
const MAX_DECODED_BYTES: u64 = 8 << 30;
/// What is read before it is decoded: enough for all cores to be busy, and not much memory.
const BATCH_FILES: usize = 4096;
const BATCH_BYTES: usize = 64 << 20;

pub(super) fn choice() -> Choice {
    let colours = Kind::Text(vec!["rgb".into(), "grey".into()]);
    Choice {
        name: NAME,
        doc: "PNG and JPEG files in a folder or archive of your own: CLASS/FILE, or train/CLASS/FILE and test/CLASS/FILE",
        keys: vec![
            Key::required("images", Kind::Text(vec![]), "name of a folder, or of a .zip, .tar, .tar.gz or .tgz without its ending"),
            Key::int("image_size", 1..=1024, 32, "height and width that images are resized to"),
            Key {
                name: "image_channels",
                kind: colours,
                default: spec::vocabulary::Absent::Is(spec::Value::Text("rgb".into())),
                doc: "three channels of colour, or one of luminance",
            },
            Key::float(
                "test_fraction",
                0.0..=0.9,
                0.2,
                "share of each class that becomes the test part, where there are no train and test",
            ),
            Key::int("test_seed", 0..=i64::MAX, 0, "seed of that choice"),
        ],
    }
}

pub(super) fn load(config: &Config, places: &Places) -> Result<Dataset, DataError> {
    let unusable = |e: Missing| DataError::File { place: "the configuration of the dataset".into(), what: e.to_string() };
    // Where datasets are listed, no grid file has named one.
    let unnamed = |_| DataError::File { place: NAME.into(), what: "the key `images` names a folder or archive, and is not given".into() };
    let name = config.text("images").map_err(unnamed)?;
    check_name(name)?;
    let form = Form {
        size: config.count("image_size").map_err(unusable)?.try_into().unwrap_or(u32::MAX),
        is_grey: config.text("image_channels").map_err(unusable)? == "grey",
    };
    let hint = format!("put a folder `{name}`, or {name}.zip, .tar, .tar.gz or .tgz, into one of these, or give --data-dir");
    let archive = places.find(NAME, &hint, |place| Archive::find(place, name, BOUNDS))?;
    let key = cache::key(&[NAME, &archive.digest()?, &form.size.to_string(), if form.is_grey { "grey" } else { "rgb" }]);
    let decoded = Cache::new(places.decoded()).get_or(&key, || decode_archive(&archive, form))?;
    let Decoded { shape, class_names, train, test } = decoded;
    let (train, test) = if let Some(test) = test {
        (train, test)
    } else {
        let len = shape.iter().product();
        let seed = config.count("test_seed").map_err(unusable)? as u64;
        divide(&train, len, class_names.len(), config.float("test_fraction").map_err(unusable)?, seed)
    };
    Dataset::new(name, &shape, class_names, train, test)
}

/// A name and never a path: a grid file from elsewhere must not reach other files of this machine.
fn check_name(name: &str) -> Result<(), DataError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !name.is_empty() && name.len() <= 200 && !name.starts_with('.') && name.chars().all(is_plain) {
        return Ok(());
    }
    let what = "is no name of a folder or archive; it may have letters, digits, `_`, `-` and `.`, and no `.` at its start";
    Err(DataError::File { place: format!("images = \"{}\"", name.escape_debug()), what: what.into() })
}

/// As the images of a dataset are decoded.
#[cfg(fuzzing)]
pub(super) fn decode_one(file: &[u8], size: u32, is_grey: bool) -> Result<Vec<u8>, String> {
    decode::decode(file, Form { size, is_grey })
}

/// Names of classes, and of each example whether it is for testing, its class and its name.
#[cfg(fuzzing)]
pub(super) type Placed = (Vec<String>, Vec<(bool, u8, String)>);

/// As the names in a dataset are understood.
#[cfg(fuzzing)]
pub(super) fn place_all(files: Vec<String>, folders: &[String]) -> Result<Placed, DataError> {
    let layout = Layout::new(&Archive::none(), files, folders)?;
    Ok((layout.class_names, layout.examples.into_iter().map(|e| (e.is_test, e.class, e.name)).collect()))
}

/// Reads and decodes all images.
fn decode_archive(archive: &Archive, form: Form) -> Result<Decoded, DataError> {
    let (mut files, mut folders) = (vec![], vec![]);
    archive.walk(&mut |name, item| {
        let names = if matches!(item, Item::Folder) { &mut folders } else { &mut files };
        names.push(name.to_owned());
        Ok(())
    })?;
    let layout = Layout::new(archive, files, &folders)?;
    let shape = form.shape();
    let len: usize = shape.iter().product();
    let total = (layout.examples.len() as u64).saturating_mul(len as u64);
    let total = usize::try_from(total).ok().filter(|_| total <= MAX_DECODED_BYTES).ok_or_else(|| {
        let n = layout.examples.len();
        archive.error(format!("has {n} images of {len} bytes each when decoded, more than {} GiB in all", MAX_DECODED_BYTES >> 30))
    })?;
    let mut images = Images { archive, form, bytes: vec![0; total], pending: vec![], pending_bytes: 0, done: 0 };
    let places: BTreeMap<&str, usize> = layout.examples.iter().map(|e| e.name.as_str()).zip(0..).collect();
    archive.walk(&mut |name, item| match (item, places.get(name)) {
        (Item::File(read), Some(place)) => images.add(*place, name, read().map_err(|e| archive.error_in(name, e))?),
        (Item::File(_), None) => Err(archive.error("changed while it was read")),
        (Item::Folder, _) => Ok(()),
    })?;
    images.decode_pending()?;
    if images.done != layout.examples.len() {
        return Err(archive.error("changed while it was read"));
    }
    let mut train = Part { examples: images.bytes, labels: layout.examples.iter().map(|e| e.class).collect() };
    let first_test = layout.examples.partition_point(|e| !e.is_test);
    let test = Part { labels: train.labels.split_off(first_test), examples: train.examples.split_off(first_test * len) };
    let test = layout.is_divided.then_some(test);
    Ok(Decoded { shape: shape.to_vec(), class_names: layout.class_names, train, test })
}

/// Images on their way from files to examples.
struct Images<'a> {
    archive: &'a Archive,
    form: Form,
    /// All examples.
    bytes: Vec<u8>,
    /// Files that were read, with the places of their examples and their names.
    pending: Vec<(usize, String, Vec<u8>)>,
    pending_bytes: usize,
    done: usize,
}

impl Images<'_> {
    fn add(&mut self, place: usize, name: &str, file: Vec<u8>) -> Result<(), DataError> {
        self.pending_bytes += file.len();
        self.pending.push((place, name.to_owned(), file));
        if self.pending.len() >= BATCH_FILES || self.pending_bytes >= BATCH_BYTES { self.decode_pending() } else { Ok(()) }
    }

    fn decode_pending(&mut self) -> Result<(), DataError> {
        let (mut files, mut places) = (vec![], vec![]);
        for (place, name, file) in self.pending.drain(..) {
            files.push(file);
            places.push((place, name));
        }
        for ((place, name), image) in places.into_iter().zip(decode_all(&files, self.form)) {
            let image = image.map_err(|what| self.archive.error_in(&name, what))?;
            self.bytes[place * image.len()..][..image.len()].copy_from_slice(&image);
            self.done += 1;
        }
        self.pending_bytes = 0;
        Ok(())
    }
}

/// Moves a share of each class, drawn at random, into a test part. Each class keeps something to train on.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count below 2^32")]
fn divide(all: &Part, len: usize, classes: usize, fraction: f64, seed: u64) -> (Part, Part) {
    let mut is_test = vec![false; all.labels.len()];
    for class in 0..classes {
        let members: Vec<usize> = (0..all.labels.len()).filter(|i| usize::from(all.labels[*i]) == class).collect();
        let n = members.len();
        let wanted = ((n as f64 * fraction).round() as usize).min(n.saturating_sub(1));
        let order = Stream::new(Purpose::TestSplit, seed, class as u64).permutation(u32::try_from(n).unwrap_or(u32::MAX));
        for i in order.into_iter().take(wanted) {
            is_test[members[i as usize]] = true;
        }
    }
    let with_room = |n: usize| Part { examples: Vec::with_capacity(n * len), labels: Vec::with_capacity(n) };
    let tests = is_test.iter().filter(|t| **t).count();
    let (mut train, mut test) = (with_room(is_test.len() - tests), with_room(tests));
    for ((example, label), is_test) in all.examples.chunks_exact(len).zip(&all.labels).zip(is_test) {
        let part = if is_test { &mut test } else { &mut train };
        part.examples.extend(example);
        part.labels.push(*label);
    }
    (train, test)
}

#[cfg(test)]
mod tests;
