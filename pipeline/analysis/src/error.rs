//! What can go wrong between the database and the reports.
//! Returned by everything public in this crate; the command line prints it followed by its sources, so no message repeats its own.

use std::path::PathBuf;

/// Why reports can't be made, written or compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Tracker(#[from] tracker::Error),
    /// A query on a data frame failed; a mistake of this program.
    #[error("summing up the results")]
    Frame(#[from] polars::error::PolarsError),
    /// A mistake of this program.
    #[error("a thread that read the results panicked")]
    Thread,
    #[error("writing a table: {0}")]
    Csv(String),
    #[error("no study named {}; the database has {}", quoted(.wanted), or_none(.known))]
    UnknownStudy { wanted: Vec<String>, known: Vec<String> },
    #[error("no table or figure `{wanted}`; there are {}", or_none(.known))]
    UnknownTable { wanted: String, known: Vec<String> },
    /// A file that somebody else wrote stands where ours would go.
    #[error("{}: this is no index of reports, and will not be overwritten; choose another folder with --out", .0.display())]
    Foreign(PathBuf),
    /// The name could lead out of the folder of reports.
    #[error("`{}` can't be the name of a study: it has letters, digits, `_` and `-`, at most 100; the database was not made by a sweep", .0.escape_debug().take(100).collect::<String>())]
    StudyName(String),
    #[error("{doing} {}", path.display())]
    File { doing: &'static str, path: PathBuf, source: std::io::Error },
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn or_none(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { quoted(names) }
}
