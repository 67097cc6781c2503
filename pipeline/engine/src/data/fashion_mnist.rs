//! Fashion-MNIST (Xiao, Rasul & Vollgraf 2017, MIT licence): 28×28 grey images of 10 kinds of clothing.
//!
//! `fashion-mnist-mini` is a class-balanced subset inside the binary; `fashion-mnist` is the full set, from files.

use spec::Choice;

use super::mnist::{FILES, assemble, load_files, read};
use super::places::Places;
use super::{DataError, Dataset};

pub(super) const MINI: &str = "fashion-mnist-mini";
pub(super) const FULL: &str = "fashion-mnist";

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
    assemble(MINI, CLASSES, |i| read(format!("embedded {}", FILES[i]), move || Ok(Box::new(EMBEDDED[i]))))
}

pub(super) fn load(places: &Places) -> Result<Dataset, DataError> {
    load_files(FULL, CLASSES, places)
}
