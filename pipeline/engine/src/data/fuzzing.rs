//! The parsers of datasets for [`crate::fuzzing`], without files.

use std::io;

use super::archive::{Archive, Bounds, Item};
use super::{DataError, Part, cifar10, idx as idx_file, images};

/// An IDX file, gzipped.
///
/// # Errors
/// As when a dataset is read.
pub fn idx<const DIMS: usize>(file: &[u8]) -> Result<([u32; DIMS], Vec<u8>), DataError> {
    let open = || -> io::Result<Box<dyn io::Read + '_>> { Ok(Box::new(file)) };
    idx_file::Source { place: "fuzz".into(), open: Box::new(open) }.read()
}

/// A batch of CIFAR-10 for C.
///
/// # Errors
/// As when a dataset is read.
pub fn cifar_binary(batch: &[u8]) -> Result<Part, String> {
    cifar10::binary_batch(batch)
}

/// A batch of CIFAR-10 for Python.
///
/// # Errors
/// As when a dataset is read.
pub fn cifar_pickle(batch: &[u8]) -> Result<Part, String> {
    cifar10::python_batch(batch)
}

/// Files, bytes of a file and bytes in all that [`archive`] allows.
pub const ARCHIVE_BOUNDS: (usize, u64, u64) = (20, 4096, 16_384);

/// Visits what is in an archive whose name ends so: names, and the contents of files if they are to be read.
///
/// # Errors
/// As when a dataset is read.
pub fn archive(ending: &str, file: &[u8], is_read: bool, visit: &mut dyn FnMut(&str, Option<&[u8]>)) -> Result<(), DataError> {
    let (files, file_bytes, total_bytes) = ARCHIVE_BOUNDS;
    let unreadable = |name: &str, e: io::Error| DataError::File { place: name.escape_debug().to_string(), what: e.to_string() };
    Archive::walk_bytes(file, ending, Bounds { files, file_bytes, total_bytes }, &mut |name, item| {
        match item {
            Item::File(read) if is_read => visit(name, Some(&read().map_err(|e| unreadable(name, e))?)),
            Item::File(_) | Item::Folder => visit(name, None),
        }
        Ok(())
    })
}

/// A PNG or JPEG file as an example of a dataset of images.
///
/// # Errors
/// As when a dataset is read.
pub fn image(file: &[u8], size: u32, is_grey: bool) -> Result<Vec<u8>, String> {
    images::decode_one(file, size, is_grey)
}

/// Names of classes, and of each example whether it is for testing, its class and its name.
///
/// # Errors
/// As when a dataset is read.
pub fn layout(files: Vec<String>, folders: &[String]) -> Result<(Vec<String>, Vec<(bool, u8, String)>), DataError> {
    images::place_all(files, folders)
}
