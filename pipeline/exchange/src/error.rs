//! What can go wrong on the way out and in.

use std::path::{Path, PathBuf};

/// Why something was not exported or imported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Tracker(#[from] tracker::Error),
    #[error("{}: there is something already; --force replaces an earlier export", .0.display())]
    Exists(PathBuf),
    #[error("{}: this folder was not made by an export, and is not replaced; name another", .0.display())]
    NotOurs(PathBuf),
    #[error("{}: this is not of the export that is to be replaced; move it elsewhere, or name another folder", .0.display())]
    Added(PathBuf),
    #[error("{}: this is no name for a folder; an export needs one of its own", .0.display())]
    Nameless(PathBuf),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// What SQLite says of an MLflow store.
    #[error("{}: {why}", path.display())]
    Store { path: PathBuf, why: String },
    #[error("{}: this is no MLflow store; name another file", .0.display())]
    NoStore(PathBuf),
    /// A file that is to be imported is not what it should be; the text says where.
    #[error("{0}")]
    Input(String),
}

impl Error {
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    }

    /// Whether the user named something wrong.
    pub fn is_usage(&self) -> bool {
        match self {
            Error::Tracker(e) => e.is_usage(),
            Error::Exists(_) | Error::NotOurs(_) | Error::Added(_) | Error::Nameless(_) | Error::NoStore(_) | Error::Input(_) => true,
            Error::File { .. } | Error::Store { .. } => false,
        }
    }
}
