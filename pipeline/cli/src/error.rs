//! From errors to exit codes: 1 something failed, 2 usage or grid error, 4 nothing selected.

use std::path::Path;
use std::process::ExitCode;

/// Some runs failed.
pub const FAILED: u8 = 1;
/// The command line, a grid file or a query is wrong.
pub const USAGE: u8 = 2;
/// The selection is empty.
pub const NOTHING_SELECTED: u8 = 4;

/// What the user can mend.
#[derive(Debug, thiserror::Error)]
pub enum Expected {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    NothingSelected(String),
    #[error("{0}")]
    Stale(String),
}

pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    let code = match error.downcast_ref::<Expected>() {
        Some(Expected::NothingSelected(_)) => NOTHING_SELECTED,
        Some(Expected::Usage(_)) => USAGE,
        Some(Expected::Stale(_)) => FAILED,
        None => {
            let usage = error.is::<spec::Diagnostic>()
                || of_database(error).is_some_and(tracker::Error::is_usage)
                || error.downcast_ref().is_some_and(exchange::Error::is_usage)
                || matches!(error.downcast_ref(), Some(analysis::Error::UnknownStudy { .. } | analysis::Error::UnknownTable { .. }));
            if usage { USAGE } else { FAILED }
        }
    };
    ExitCode::from(code)
}

/// The message with its reasons. It names the database where the error came from the middle of its use and could not.
pub fn message(error: &anyhow::Error, db: &Path) -> String {
    let nameless = of_database(error).is_some_and(tracker::Error::is_nameless);
    if nameless { format!("{}: {error:#}", db.display()) } else { format!("{error:#}") }
}

fn of_database(error: &anyhow::Error) -> Option<&tracker::Error> {
    error.downcast_ref().or_else(|| match error.downcast_ref() {
        Some(analysis::Error::Tracker(inner)) => Some(inner),
        _ => match error.downcast_ref() {
            Some(exchange::Error::Tracker(inner)) => Some(inner),
            _ => None,
        },
    })
}

/// Whether the reader of our output has gone (`pipeline plan | head`), which is no error of ours.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |e: &std::io::Error| e.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|e| {
        let io = e.downcast_ref::<std::io::Error>().is_some_and(broken);
        io || e.downcast_ref::<csv::Error>().is_some_and(|e| matches!(e.kind(), csv::ErrorKind::Io(e) if broken(e)))
    })
}
