//! What can go wrong with a results file.

use std::path::PathBuf;

/// Why a results file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: there are no results yet; `pipeline sweep` makes them", .0.display())]
    Missing(PathBuf),
    #[error("{}: this is not a results database of this program", .0.display())]
    Foreign(PathBuf),
    #[error("{}: written by a newer version of this program (schema {found}, this one knows {known})", path.display())]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error(
        "{}: written by an earlier version of this program (schema {found}, this one knows {known}), and it can't be brought up to date: {why}",
        path.display()
    )]
    Older { path: PathBuf, found: i64, known: i64, why: String },
    #[error("{}: can't be written", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("the results database: {0}")]
    Sql(String),
    #[error("the results could not be written: {0}")]
    Writer(String),
    /// A user's own statement is wrong.
    #[error("{0}")]
    Query(String),
}

/// As text: rusqlite's error repeats itself in its sources.
impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Error::Sql(error.to_string())
    }
}
