//! What can go wrong with a results file.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why a results file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: there are no results yet; `pipeline sweep` makes them", .0.display())]
    Missing(PathBuf),
    #[error("{}: this is not a results database of this program; name another file with --db", .0.display())]
    Foreign(PathBuf),
    /// To SQLite an empty file is an empty database; but nothing of ours ever leaves one.
    #[error("{}: the file is empty (a copy that did not finish?); bring it back, or remove it to start anew", .0.display())]
    Empty(PathBuf),
    #[error("{}: the file is cut off, {found} of {promised} bytes are there (a copy that did not finish?); copy it again, or keep it and rescue what can be read with `sqlite3 FILE .recover`", path.display())]
    Truncated { path: PathBuf, found: u64, promised: u64 },
    #[error("{}: written by a newer version of this program (schema {found}, this one knows {known}); use that version, or name another file with --db", path.display())]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error(
        "{}: written by an earlier version of this program (schema {found}, this one knows {known}), and it can't be brought up to date: {why}",
        path.display()
    )]
    Older { path: PathBuf, found: i64, known: i64, why: String },
    /// Its last commits stand in a second file, which SQLite can't use without writing beside it.
    #[error("{}: its sweep was cut off or still runs, and to be read it needs a folder that can be written; copy the file and the one that ends in `-wal`, if there is one, to such a folder, and read it there with --db", .0.display())]
    Unsettled(PathBuf),
    /// Where a copy would go.
    #[error("{}: there is a file already; --force replaces it", .0.display())]
    Exists(PathBuf),
    #[error("{}: this is the database itself; a copy needs a name of its own", .0.display())]
    Itself(PathBuf),
    #[error("{}: this is the database that the others are merged into; leave it out, or name another with --db", .0.display())]
    IntoItself(PathBuf),
    /// Runs with a result in two files, and not the same.
    #[error("{0}")]
    Conflict(String),
    /// A study's name, or a run, that is there as something else.
    #[error("{0}")]
    Taken(String),
    /// A write-ahead log or journal beside it would be taken for the new file's own, and spoil it.
    #[error("{}: a database of that name is in use, or was not closed ({} is there); choose another name", path.display(), beside.display())]
    InUse { path: PathBuf, beside: PathBuf },
    #[error("{}: can't be written", path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// Without a path where an error comes from the middle of a file's use; see [`Error::is_nameless`].
    #[error("{}{trouble}", .path.as_ref().map_or(String::new(), |path| format!("{}: ", path.display())))]
    Database { path: Option<PathBuf>, trouble: Trouble },
    #[error("the results could not be written: {0}")]
    Writer(String),
    /// A user's own statement is wrong.
    #[error("{0}")]
    Query(String),
}

/// What SQLite reports, by what can be done about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("the file is damaged ({0}); keep it, and rescue what can be read with `sqlite3 FILE .recover`, or start a new one with --db")]
    Damaged(String),
    #[error("the disk is full; what was committed is safe, so make room and try again")]
    Full,
    #[error("it can't be written: the file, its folder or its disk is read-only; make it writable, or name another file with --db")]
    ReadOnly,
    #[error("it can't be opened ({0}); look at the permissions of the file and of its folder")]
    CannotOpen(String),
    #[error("another program holds it locked; try again when that has finished")]
    Locked,
    #[error("reading or writing it failed ({0}); look at the disk, and at the system's log")]
    Disk(String),
    #[error("SQLite: {0}")]
    Other(String),
}

impl Error {
    /// The same error with the file that it is about, where it did not know.
    #[must_use]
    pub fn at(self, file: &Path) -> Self {
        match self {
            Error::Database { path: None, trouble } => Error::Database { path: Some(file.to_owned()), trouble },
            other => other,
        }
    }

    /// The same error about the file that another is a copy of.
    pub(crate) fn renamed(self, copy: &Path, original: &Path) -> Self {
        match self {
            Error::Database { path: Some(path), trouble } if path == copy => Error::Database { path: Some(original.to_owned()), trouble },
            Error::Conflict(text) => Error::Conflict(text.replace(&*copy.to_string_lossy(), &original.to_string_lossy())),
            other => other,
        }
    }

    /// Whether the message does not name the file, and who prints it should.
    pub fn is_nameless(&self) -> bool {
        matches!(self, Error::Database { path: None, .. })
    }

    /// Whether the user named the wrong file; what is wrong with the right one is no mistake of theirs.
    pub fn is_usage(&self) -> bool {
        use Error::{Empty, Exists, Foreign, InUse, IntoItself, Itself, Missing, Newer, Query, Taken};
        matches!(
            self,
            Missing(_) | Foreign(_) | Empty(_) | Newer { .. } | Query(_) | Taken(_) | Exists(_) | Itself(_) | IntoItself(_) | InUse { .. }
        )
    }

    /// What went wrong, without the file's name.
    pub(crate) fn why(&self) -> String {
        match self {
            Error::Database { trouble, .. } => trouble.to_string(),
            other => other.to_string(),
        }
    }

    /// A file that can't be made, written or moved.
    pub(crate) fn file(path: &Path, source: std::io::Error) -> Self {
        let trouble = match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Trouble::Full,
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => Trouble::ReadOnly,
            _ => return Error::File { path: path.to_owned(), source },
        };
        Error::Database { path: Some(path.to_owned()), trouble }
    }
}

/// As text: rusqlite's error repeats itself in its sources.
impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Error::Database { path: None, trouble: Trouble::from(&error) }
    }
}

impl From<&rusqlite::Error> for Trouble {
    fn from(error: &rusqlite::Error) -> Self {
        let detail = match error {
            rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
            other => other.to_string(),
        };
        let extended = error.sqlite_error().map(|e| e.extended_code);
        match error.sqlite_error_code() {
            // The index of the write-ahead log is as large as it must be, or there is no room for it.
            _ if extended == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE) => Trouble::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Trouble::Damaged(detail),
            Some(ErrorCode::DiskFull) => Trouble::Full,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Trouble::ReadOnly,
            Some(ErrorCode::CannotOpen) => Trouble::CannotOpen(detail),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => Trouble::Locked,
            Some(ErrorCode::SystemIoFailure) => Trouble::Disk(detail),
            _ => Trouble::Other(detail),
        }
    }
}
