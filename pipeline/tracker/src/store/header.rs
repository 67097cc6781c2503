//! What a file says of itself in its first bytes, read without SQLite: nothing is locked, and nothing appears beside it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{APPLICATION_ID, VERSION};
use crate::error::{Error, Trouble};

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const LENGTH: usize = 100;

/// How a file was left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// Its format is the one with a write-ahead log.
    pub wal_format: bool,
    /// There is such a log: what the first bytes say may be outdated.
    pub wal: bool,
}

/// Refuses what is not a whole file of ours.
///
/// # Errors
/// When the file is absent, empty, cut off, not ours, newer than this program, or can't be read.
pub(crate) fn inspect(path: &Path) -> Result<Left, Error> {
    let cannot = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => Error::Missing(path.to_owned()),
        _ => Error::Database { path: Some(path.to_owned()), trouble: Trouble::CannotOpen(e.to_string()) },
    };
    let metadata = std::fs::metadata(path).map_err(cannot)?;
    if !metadata.is_file() {
        return Err(Error::Foreign(path.to_owned()));
    }
    let mut bytes = vec![];
    File::open(path).and_then(|file| file.take(LENGTH as u64).read_to_end(&mut bytes)).map_err(cannot)?;
    if bytes.is_empty() {
        return Err(Error::Empty(path.to_owned()));
    }
    if !bytes.starts_with(&MAGIC[..bytes.len().min(MAGIC.len())]) {
        return Err(Error::Foreign(path.to_owned()));
    }
    if bytes.len() < LENGTH {
        return Err(Error::Truncated { path: path.to_owned(), found: bytes.len() as u64, promised: LENGTH as u64 });
    }
    let number = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let left = Left { wal_format: bytes[18] == 2, wal: has_content(&beside(path, "-wal")) };
    if left.wal {
        return Ok(left);
    }
    let (application, version) = (i64::from(number(68)), i64::from(number(60)));
    // Without both it may be one that was never filled; SQLite tells.
    if application != APPLICATION_ID && (application, version) != (0, 0) {
        return Err(Error::Foreign(path.to_owned()));
    }
    if version > VERSION {
        return Err(Error::Newer { path: path.to_owned(), found: version, known: VERSION });
    }
    let page = match u64::from(u16::from_be_bytes([bytes[16], bytes[17]])) {
        1 => 1 << 16,
        size => size,
    };
    // The count of pages holds if what wrote it knew of it, and no transaction waits to be rolled back.
    let counted = number(24) == number(92) && !has_content(&beside(path, "-journal"));
    let promised = u64::from(number(28)) * page;
    // Looked at last: while another process brings its log into the file, it grows.
    let found = std::fs::metadata(path).map_err(cannot)?.len();
    if counted && found < promised {
        return Err(Error::Truncated { path: path.to_owned(), found, promised });
    }
    Ok(left)
}

/// The name of a file that SQLite keeps beside a database.
pub(crate) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.canonicalize().unwrap_or_else(|_| path.to_owned()).into_os_string();
    name.push(end);
    name.into()
}

pub(crate) fn has_content(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.len() > 0)
}
