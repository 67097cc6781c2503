//! Fashion-MNIST (Xiao, Rasul & Vollgraf 2017, MIT licence): 28×28 grey images of 10 kinds of clothing.
//!
//! `fashion-mnist-mini` is a class-balanced subset inside the binary; `fashion-mnist` is the full set, from files.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use spec::Choice;

use super::idx::Source;
use super::{DataError, Dataset, Part};

pub(super) const MINI: &str = "fashion-mnist-mini";
const FULL: &str = "fashion-mnist";

/// File names, for the embedded and the full set alike: training images and labels, test images and labels.
const FILES: [&str; 4] =
    ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"];

const CLASSES: [&str; 10] = ["T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];

macro_rules! embedded {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/data/fashion-mnist-mini/", $name))
    };
}

/// The subset's files; `data/fashion-mnist-mini/make.py` made them.
static EMBEDDED: [&[u8]; 4] = [
    embedded!("train-images-idx3-ubyte.gz"),
    embedded!("train-labels-idx1-ubyte.gz"),
    embedded!("t10k-images-idx3-ubyte.gz"),
    embedded!("t10k-labels-idx1-ubyte.gz"),
];

pub(super) fn mini_choice() -> Choice {
    Choice { name: MINI, doc: "10 000 training and 2 000 test images of Fashion-MNIST, in the binary", keys: vec![] }
}

pub(super) fn choice() -> Choice {
    Choice { name: FULL, doc: "60 000 training and 10 000 test images of clothing, 28×28 grey, 10 classes", keys: vec![] }
}

pub(super) fn load_mini() -> Result<Dataset, DataError> {
    assemble(MINI, |i| read(format!("embedded {}", FILES[i]), move || Ok(Box::new(EMBEDDED[i]))))
}

/// Reads the four files from the first place that has them.
pub(super) fn load(data_dir: Option<&Path>) -> Result<Dataset, DataError> {
    let places = places(data_dir, std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from), std::env::home_dir());
    let Some(place) = places.iter().find(|p| p.join(FILES[0]).is_file()) else {
        return Err(DataError::NotFound {
            name: FULL.into(),
            hint: "install Debian's package dataset-fashion-mnist, or put its four .gz files into a folder and give --data-dir".into(),
            looked: places.iter().map(|p| p.display().to_string()).collect(),
        });
    };
    assemble(FULL, |i| {
        let path = place.join(FILES[i]);
        read(path.display().to_string(), move || open_file(&path))
    })
}

fn open_file(path: &Path) -> io::Result<Box<dyn Read>> {
    Ok(Box::new(BufReader::new(File::open(path)?)))
}

/// Where the full set may be: `--data-dir` (itself or its subfolder), the cache directory, Debian's package.
fn places(data_dir: Option<&Path>, cache: Option<PathBuf>, home: Option<PathBuf>) -> Vec<PathBuf> {
    let mut places = vec![];
    if let Some(dir) = data_dir {
        places.extend([dir.join(FULL), dir.to_path_buf()]);
    }
    if let Some(cache) = cache.or_else(|| Some(home?.join(".cache"))) {
        places.push(cache.join("pipeline").join(FULL));
    }
    places.push(PathBuf::from("/usr/share/datasets/fashion-mnist"));
    places
}

/// One file: image files have three dimensions, label files one.
type Idx = (Vec<u32>, Vec<u8>);

fn read(place: String, open: impl Fn() -> io::Result<Box<dyn Read>> + 'static) -> Result<Idx, DataError> {
    let has_images = place.contains("idx3");
    let source = Source { place, open: Box::new(open) };
    if has_images {
        source.read::<3>().map(|(sizes, bytes)| (sizes.to_vec(), bytes))
    } else {
        source.read::<1>().map(|(sizes, bytes)| (sizes.to_vec(), bytes))
    }
}

fn assemble(name: &'static str, file: impl Fn(usize) -> Result<Idx, DataError>) -> Result<Dataset, DataError> {
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
    Dataset::new(name, &[28, 28, 1], CLASSES.map(str::to_owned).to_vec(), part(0)?, part(2)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_dir_comes_first_and_debian_last() {
        let dir = PathBuf::from("/d");
        let found = places(Some(&dir), None, Some("/home/u".into()));
        let expected = ["/d/fashion-mnist", "/d", "/home/u/.cache/pipeline/fashion-mnist", "/usr/share/datasets/fashion-mnist"];
        assert_eq!(found, expected.map(PathBuf::from));
        assert_eq!(places(None, Some("/c".into()), None)[0], PathBuf::from("/c/pipeline/fashion-mnist"));
    }
}
