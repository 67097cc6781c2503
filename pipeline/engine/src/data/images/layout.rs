//! What the names in a dataset of image files say: which class and which part each file is of.

use std::collections::{BTreeMap, BTreeSet};

use crate::data::DataError;
use crate::data::archive::Archive;

/// A file that is an example.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Example {
    pub is_test: bool,
    pub class: u8,
    pub name: String,
}

/// The examples in their order: by part, class and name.
#[derive(Debug)]
pub(super) struct Layout {
    pub class_names: Vec<String>,
    /// Whether there are folders `train` and `test`.
    pub is_divided: bool,
    pub examples: Vec<Example>,
}

const PARTS: [&str; 2] = ["train", "test"];
const EXPECTED: &str = "expected CLASS/FILE everywhere, or train/CLASS/FILE and test/CLASS/FILE";

impl Layout {
    /// # Errors
    /// When the names don't have one of the two forms, or a class has nothing to train on.
    pub(super) fn new(archive: &Archive, mut files: Vec<String>, folders: &[String]) -> Result<Self, DataError> {
        files.sort_unstable();
        let Some(first) = files.first() else { return Err(archive.error(format!("holds no images; {EXPECTED}"))) };
        if let Some(name) = files.iter().find(|name| !is_image(name)) {
            return Err(archive.error_in(name, "is neither .png nor .jpg nor .jpeg"));
        }
        if let Some((name, _)) = files.iter().zip(&files[1..]).find(|(name, next)| name == next) {
            return Err(archive.error_in(name, "is there twice"));
        }
        let (top, depth) = (top_of(first), first.split('/').count());
        // A folder around everything; one of three levels may also be a part whose twin is missing.
        let is_wrapped = files.iter().all(|f| top_of(f) == top) && (depth > 3 || depth == 3 && !PARTS.contains(&top));
        let skipped = if is_wrapped { top.len() + 1 } else { 0 };
        let is_divided = depth - usize::from(is_wrapped) == 3;
        let mut placed = vec![];
        for name in &files {
            let (part, class) = place(&name[skipped..], is_divided).map_err(|what| archive.error_in(name, what))?;
            placed.push((part == Some("test"), class, name));
        }
        let class_names = classes(archive, &placed, is_divided)?;
        let level = if is_divided { 2 } else { 1 };
        check_folders(archive, &files, folders, level + usize::from(is_wrapped))?;
        let numbers: BTreeMap<&str, u8> = class_names.iter().map(String::as_str).zip(0..=255).collect();
        let example = |(is_test, class, name): (bool, &str, &String)| Example { is_test, class: numbers[class], name: name.clone() };
        let mut examples: Vec<Example> = placed.into_iter().map(example).collect();
        examples.sort_by(|a, b| (a.is_test, a.class, &a.name).cmp(&(b.is_test, b.class, &b.name)));
        Ok(Layout { class_names, is_divided, examples })
    }
}

fn is_image(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    matches!(ending.as_deref(), Some("png" | "jpg" | "jpeg"))
}

fn top_of(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

/// The part, if there are any, and the class of a file.
fn place(name: &str, is_divided: bool) -> Result<(Option<&str>, &str), String> {
    let levels: Vec<&str> = name.split('/').collect();
    match (&levels[..], is_divided) {
        ([part, class, _], true) if PARTS.contains(part) => Ok((Some(part), class)),
        ([part, _, _], true) => {
            let hint = "validation examples are cut from train";
            Err(format!("is in `{}`; there are the parts train and test ({hint}), or classes alone", part.escape_debug()))
        }
        ([part, _], false) if PARTS.contains(part) => Err(format!("is in no class; {EXPECTED}")),
        ([class, _], false) => Ok((None, class)),
        _ => Err(format!("is not where the others are; {EXPECTED}")),
    }
}

/// The sorted names of the classes, each of which has something to train on.
fn classes(archive: &Archive, placed: &[(bool, &str, &String)], is_divided: bool) -> Result<Vec<String>, DataError> {
    let of_part = |is_test: bool| placed.iter().filter(move |(t, ..)| *t == is_test).map(|(_, class, _)| *class).collect::<BTreeSet<_>>();
    let (train, test) = (of_part(false), of_part(true));
    if is_divided && (train.is_empty() || test.is_empty()) {
        let (there, missing) = if train.is_empty() { ("test", "train") } else { ("train", "test") };
        return Err(archive.error(format!("has images in {there}, but none in {missing}; {EXPECTED}")));
    }
    if let Some(class) = test.difference(&train).next() {
        return Err(archive.error(format!("has the class `{}` in test, but not in train", class.escape_debug())));
    }
    if train.len() > 256 {
        return Err(archive.error(format!("has {} classes; at most 256 are supported", train.len())));
    }
    Ok(train.into_iter().map(str::to_owned).collect())
}

/// Folders on the level of classes must hold something.
fn check_folders(archive: &Archive, files: &[String], folders: &[String], level: usize) -> Result<(), DataError> {
    let filled: BTreeSet<&str> = files.iter().filter_map(|f| f.rsplit_once('/')).map(|(folder, _)| folder).collect();
    match folders.iter().find(|f| f.split('/').count() == level && !filled.contains(f.as_str())) {
        Some(empty) => Err(archive.error_in(empty, "is a class without images; remove it or fill it")),
        None => Ok(()),
    }
}
