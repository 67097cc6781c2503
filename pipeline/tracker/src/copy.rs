//! A copy of a results file as it stands at one moment, also while a sweep writes.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::error::{Error, Trouble};
use crate::store::{self, Temporary, beside, has_content};

/// What a copy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    pub runs: u64,
    /// Of all tables.
    pub rows: u64,
    pub bytes: u64,
}

/// Copies a results file into one that is complete by itself, compact, and there only when all of it is on disk.
///
/// # Errors
/// When the source can't be read, or the target can't be written, is the source, is in use, or exists and is not to be replaced.
pub fn copy(source: &Path, target: &Path, replace: bool) -> Result<Copied, Error> {
    // Refuses what is not ours, and brings an earlier version up to date.
    drop(store::open_for_reading(source)?);
    if same(source, target) {
        return Err(Error::Itself(target.to_owned()));
    }
    if target.exists() && !replace || target.is_dir() {
        return Err(Error::Exists(target.to_owned()));
    }
    if let Some(beside) = ["-wal", "-journal"].map(|end| beside(target, end)).into_iter().find(|file| has_content(file)) {
        return Err(Error::InUse { path: target.to_owned(), beside });
    }
    let folder = store::folder(target);
    std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
    let temporary = Temporary::beside(target)?;
    // What is damaged or locked is the source; all else is about where the copy goes.
    let blame = |e: Error| {
        let is_of_source = matches!(&e, Error::Database { trouble: Trouble::Damaged(_) | Trouble::Locked, .. });
        e.at(if is_of_source { source } else { target })
    };
    let fill = || {
        snapshot(source, &temporary)?;
        Ok(count(&store::connect(temporary.path(), OpenFlags::SQLITE_OPEN_READ_ONLY)?)?)
    };
    let (runs, rows) = fill().map_err(blame)?;
    let bytes = std::fs::metadata(temporary.path()).map_err(|e| Error::file(target, e))?.len();
    if temporary.publish(target, replace)? { Ok(Copied { runs, rows, bytes }) } else { Err(Error::Exists(target.to_owned())) }
}

/// Fills an empty file with what a results file holds at this moment.
pub(crate) fn snapshot(source: &Path, into: &Temporary) -> Result<(), Error> {
    // One statement, so one moment; a file that is written to goes on being written to.
    store::connect(source, OpenFlags::SQLITE_OPEN_READ_ONLY)?.execute("VACUUM INTO ?", [into.path().to_string_lossy()])?;
    Ok(())
}

/// Runs, and rows of all tables.
fn count(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    let mut tables = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")?;
    let names = tables.query_map([], |r| r.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let count = |name: &str| connection.query_row(&format!("SELECT COUNT(*) FROM \"{name}\""), [], |r| r.get::<_, u64>(0));
    let rows = names.iter().map(|name| count(name)).sum::<rusqlite::Result<u64>>()?;
    Ok((count("run")?, rows))
}

/// Whether two names are of one file.
pub(crate) fn same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
