//! Opening results files: identity, migrations, settings.

mod header;
mod temporary;

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

pub(crate) use header::{beside, has_content, inspect};
pub use temporary::Temporary;
pub(crate) use temporary::{clear_all, folder};

use crate::error::{Error, Trouble};

/// "pipe" in ASCII: tells our files from other SQLite databases.
const APPLICATION_ID: i64 = 0x7069_7065;

/// Append-only: a file's `user_version` counts how many of these it has seen.
const MIGRATIONS: [&str; 5] = [
    include_str!("../migrations/0001_initial.sql"),
    include_str!("../migrations/0002_objectives.sql"),
    include_str!("../migrations/0003_layers.sql"),
    include_str!("../migrations/0004_judgement.sql"),
    include_str!("../migrations/0005_leases.sql"),
];

#[expect(clippy::cast_possible_wrap, reason = "a handful of migrations")]
const VERSION: i64 = MIGRATIONS.len() as i64;

/// Longest that one waits for another process that writes, copies or migrates the file.
const PATIENCE: Duration = Duration::from_mins(1);

/// Opens a file for writing; makes and migrates it as needed. Nothing is written to a file that is refused.
pub(crate) fn open_for_writing(path: &Path) -> Result<Connection, Error> {
    std::fs::create_dir_all(folder(path)).map_err(|e| Error::file(folder(path), e))?;
    let left = match inspect(path) {
        Err(Error::Missing(_)) => {
            create(path)?;
            inspect(path)?
        }
        found => found?,
    };
    temporary::clear(path);
    let opened = || {
        if left.wal {
            // A connection that may write would bring the log into the file before we know whose it is.
            check(&connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?, path)?;
        }
        let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        check(&connection, path)?;
        if connection.is_readonly("main")? {
            return Err(Error::Database { path: None, trouble: Trouble::ReadOnly });
        }
        connection.pragma_update(None, "foreign_keys", true)?;
        use_wal(&connection)?;
        // Safe against a crash of the program; a power cut may lose the last commits but not damage the file.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        migrate(&mut connection, VERSION)?;
        Ok(connection)
    };
    opened().map_err(|e| e.at(path))
}

/// A new file, complete from the moment that it is there: another process sees no file or all of it.
fn create(path: &Path) -> Result<(), Error> {
    // SQLite follows a link to where the file shall be.
    let target = std::fs::read_link(path).map_or_else(|_| path.to_owned(), |target| folder(path).join(target));
    let temporary = Temporary::beside(&target)?;
    let fill = || {
        let mut connection = connect(temporary.path(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        throw_away(&connection)?;
        migrate(&mut connection, VERSION)?;
        connection.close().map_err(|(_, e)| Error::from(e))
    };
    fill().map_err(|e| e.at(path))?;
    // Another process may have been faster; its file is as good.
    temporary.publish(&target, false).map(|_| ())
}

pub(crate) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // Another process may be putting in order what a killed one has left, also when all that is wanted is to look.
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

/// SQLite does not wait when two processes start to use the log at once, so we do.
fn use_wal(connection: &Connection) -> Result<(), Error> {
    let end = Instant::now() + PATIENCE;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(20));
            }
            done => return Ok(done?),
        }
    }
}

/// Brings a file to a version, one migration a transaction: however it ends, the file is of a valid version.
fn migrate(connection: &mut Connection, to: i64) -> Result<(), Error> {
    while version(connection)? < to {
        // Waits for another process that does the same, and then looks again.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found = version(&transaction)?;
        let Some(sql) = usize::try_from(found).ok().filter(|_| found < to).and_then(|i| MIGRATIONS.get(i)) else { break };
        transaction.execute_batch(sql)?;
        // In the transaction, so that no crash leaves a file that is half ours.
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", found + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

fn version(connection: &Connection) -> Result<i64, Error> {
    Ok(connection.pragma_query_value(None, "user_version", |r| r.get(0))?)
}

/// Opens a file for reading only. Works while a sweep writes to it. A file of an earlier version is brought up to date first.
pub(crate) fn open_for_reading(path: &Path) -> Result<Connection, Error> {
    let (connection, found) = look(path)?;
    if found == 0 {
        return Err(Error::Missing(path.to_owned()));
    }
    if found < VERSION {
        drop(connection);
        let why = |e: Error| Error::Older { path: path.to_owned(), found, known: VERSION, why: e.why() };
        open_for_writing(path).and_then(|connection| settle(&connection)).map_err(why)?;
        return open_for_reading(path);
    }
    begin(&connection).map_err(|e| e.at(path))?;
    Ok(connection)
}

/// Opens a file for reading only, and leaves it as it is: one of an earlier version is copied to where `target` is, and the copy, which
/// must outlive the connection, is brought up to date.
pub(crate) fn open_untouched(path: &Path, target: &Path) -> Result<(Connection, Option<Temporary>), Error> {
    let (connection, found) = look(path)?;
    if found == 0 {
        return Err(Error::Missing(path.to_owned()));
    }
    if found == VERSION {
        begin(&connection).map_err(|e| e.at(path))?;
        return Ok((connection, None));
    }
    std::fs::create_dir_all(folder(target)).map_err(|e| Error::file(folder(target), e))?;
    let copy = Temporary::beside(target)?;
    let older = |e: Error| Error::Older { path: path.to_owned(), found, known: VERSION, why: e.why() };
    connection.execute("VACUUM INTO ?", [copy.path().to_string_lossy()]).map_err(|e| older(e.into()))?;
    let migrated = || {
        let mut connection = connect(copy.path(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        throw_away(&connection)?;
        migrate(&mut connection, VERSION)?;
        begin(&connection)?;
        Ok(connection)
    };
    let connection = migrated().map_err(older)?;
    Ok((connection, Some(copy)))
}

/// An empty database of our schema, in memory.
pub(crate) fn blank() -> Result<Connection, Error> {
    let mut connection = Connection::open_in_memory()?;
    migrate(&mut connection, VERSION)?;
    Ok(connection)
}

/// From here on nothing is written, and everything that is read is of one moment, also while a sweep writes.
fn begin(connection: &Connection) -> Result<(), Error> {
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection.execute_batch("BEGIN")?)
}

/// For a file in the making: what fails is thrown away.
fn throw_away(connection: &Connection) -> Result<(), Error> {
    connection.pragma_update(None, "journal_mode", "MEMORY")?;
    Ok(connection.pragma_update(None, "synchronous", "OFF")?)
}

/// A connection that can't write, and the version of what it reads.
fn look(path: &Path) -> Result<(Connection, i64), Error> {
    let left = inspect(path)?;
    let open = || {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        // Somebody waits for what is read.
        connection.busy_timeout(Duration::from_secs(10))?;
        let found = check(&connection, path)?;
        Ok((connection, found))
    };
    let needs_writing = |e: &Error| matches!(e, Error::Database { trouble: Trouble::CannotOpen(_) | Trouble::ReadOnly, .. });
    let opened = match open() {
        // A kill in the middle of a change may have left something that only a connection that may write puts in order.
        Err(e) if needs_writing(&e) => recover(path).and_then(|()| open()),
        opened => opened,
    };
    opened.map_err(|e| if needs_writing(&e) && (left.wal || left.wal_format) { Error::Unsettled(path.to_owned()) } else { e.at(path) })
}

/// Lets SQLite put in order what a killed process has left: bring in its log, roll back its last change.
fn recover(path: &Path) -> Result<(), Error> {
    check(&connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?, path).map(|_| ())
}

/// The file's schema version, if it is ours (or nothing is in it: version 0) and not newer than this program.
fn check(connection: &Connection, path: &Path) -> Result<i64, Error> {
    let application: i64 = connection.pragma_query_value(None, "application_id", |r| r.get(0))?;
    let found = version(connection)?;
    // Reads the whole schema, and with it the pages that it stands on.
    let tables: i64 = connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |r| r.get(0))?;
    if application != APPLICATION_ID && (application, found, tables) != (0, 0, 0) {
        return Err(Error::Foreign(path.to_owned()));
    }
    if found > VERSION {
        return Err(Error::Newer { path: path.to_owned(), found, known: VERSION });
    }
    Ok(found)
}

/// Leaves a file that a plain reader on a read-only disk can open: everything in the main file, no WAL.
pub(crate) fn settle(connection: &Connection) -> Result<(), Error> {
    // Nobody waits for this: the next one to end does it as well.
    connection.busy_timeout(Duration::from_secs(2))?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    // Fails, harmlessly, while another program reads; the WAL then stays and is readable too.
    let _ = connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()));
    Ok(())
}

#[cfg(test)]
mod tests;
