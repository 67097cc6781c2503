//! MNIST (LeCun, Cortes & Burges): 28×28 grey images of handwritten digits. Fashion-MNIST has files of the same names and sizes.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use spec::Choice;

use super::idx::Source;
use super::official::official;
use super::places::{Places, fetch_hint};
use super::{DataError, Dataset, Part};

pub(super) const NAME: &str = "mnist";

const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// Training images and labels, test images and labels.
pub(super) const FILES: [&str; 4] =
    ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"];

/// The datasets that come in these files.
const TWINS: [&str; 2] = [NAME, "fashion-mnist"];

pub(super) fn choice() -> Choice {
    Choice { name: NAME, doc: "60 000 training and 10 000 test images of handwritten digits, 28×28 grey, 10 classes", keys: vec![] }
}

pub(super) fn load(places: &Places) -> Result<Dataset, DataError> {
    load_files(NAME, DIGITS, places)
}

/// Reads the four files from the first place that has them.
pub(super) fn load_files(name: &str, classes: [&str; 10], places: &Places) -> Result<Dataset, DataError> {
    let folder = places.find(name, &fetch_hint(name), |p| p.join(FILES[0]).is_file().then(|| p.to_path_buf()))?;
    if let Some(other) = TWINS.into_iter().find(|t| *t != name && are_of(t, &folder)) {
        let what = format!("holds the files of {other}, not those of {name}; put each into a folder of its own name");
        return Err(DataError::File { place: folder.display().to_string(), what });
    }
    assemble(name, classes, |i| {
        let path = folder.join(FILES[i]);
        read(path.display().to_string(), move || open_file(&path))
    })
}

/// Whether the folder's training images are exactly as large as those of this dataset.
fn are_of(dataset: &str, folder: &Path) -> bool {
    let found = folder.join(FILES[0]).metadata().map(|m| m.len()).ok();
    official(dataset).iter().any(|f| f.name == FILES[0] && Some(f.bytes) == found)
}

fn open_file(path: &Path) -> io::Result<Box<dyn Read>> {
    Ok(Box::new(BufReader::new(File::open(path)?)))
}

/// One file: image files have three dimensions, label files one.
type Idx = (Vec<u32>, Vec<u8>);

pub(super) fn read(place: String, open: impl Fn() -> io::Result<Box<dyn Read>> + 'static) -> Result<Idx, DataError> {
    let has_images = place.contains("idx3");
    let source = Source { place, open: Box::new(open) };
    if has_images {
        source.read::<3>().map(|(sizes, bytes)| (sizes.to_vec(), bytes))
    } else {
        source.read::<1>().map(|(sizes, bytes)| (sizes.to_vec(), bytes))
    }
}

/// The dataset in four files, of which `file` reads each.
pub(super) fn assemble(name: &str, classes: [&str; 10], file: impl Fn(usize) -> Result<Idx, DataError>) -> Result<Dataset, DataError> {
    let part = |i: usize| {
        let ((sizes, images), (_, labels)) = (file(i)?, file(i + 1)?);
        let wrong = |what: String| DataError::File { place: format!("{name}: {}", FILES[i]), what };
        if sizes[1..] != [28, 28] {
            return Err(wrong(format!("its images are {}×{}, not 28×28", sizes[1], sizes[2])));
        }
        if images.len() != labels.len() * 784 {
            return Err(wrong(format!("has {} images, but there are {} labels", sizes[0], labels.len())));
        }
        Ok(Part { examples: images, labels })
    };
    Dataset::new(name, &[28, 28, 1], classes.map(str::to_owned).to_vec(), part(0)?, part(2)?)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn write(folder: &Path, name: &str, header: &[u32], content: &[u8]) {
        let mut encoder = GzEncoder::new(File::create(folder.join(name)).unwrap(), Compression::fast());
        for word in header {
            encoder.write_all(&word.to_be_bytes()).unwrap();
        }
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap();
    }

    /// Two training images and one test image.
    fn fixture(test_side: u32, labels: [u8; 2]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let side = test_side as usize;
        write(dir.path(), FILES[0], &[0x0803, 2, 28, 28], &[[7; 784], [9; 784]].concat());
        write(dir.path(), FILES[1], &[0x0801, 2], &labels);
        write(dir.path(), FILES[2], &[0x0803, 1, test_side, test_side], &vec![1; side * side]);
        write(dir.path(), FILES[3], &[0x0801, 1], &[0]);
        dir
    }

    #[test]
    fn four_files_become_a_dataset() {
        let dir = fixture(28, [3, 9]);
        let set = load(&Places::new(Some(dir.path()), None, None)).unwrap();
        assert_eq!((set.name.as_str(), set.shape.as_slice(), set.class_names[3].as_str()), ("mnist", &[28, 28, 1][..], "3"));
        assert_eq!((set.train.labels.as_slice(), set.test.labels.as_slice()), (&[3, 9][..], &[0][..]));
        assert_eq!((set.train.examples[783], set.train.examples[784], set.test.examples.len()), (7, 9, 784));
    }

    #[test]
    fn wrong_files_are_refused() {
        let load = |dir: &tempfile::TempDir| load(&Places::new(Some(dir.path()), None, None)).unwrap_err().to_string();
        let error = load(&fixture(20, [0, 1]));
        assert!(error.contains("t10k-images-idx3-ubyte.gz: its images are 20×20, not 28×28"), "{error}");
        let error = load(&fixture(28, [0, 10]));
        assert!(error.contains("has a label 10; labels go from 0 to 9"), "{error}");
        let dir = fixture(28, [0, 1]);
        File::options().write(true).open(dir.path().join(FILES[0])).unwrap().set_len(26_421_880).unwrap();
        let error = load(&dir);
        assert!(error.contains("holds the files of fashion-mnist, not those of mnist"), "{error}");
    }
}
