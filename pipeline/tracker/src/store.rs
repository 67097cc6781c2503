//! Opening results files: identity, migrations, settings.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::error::Error;

/// "pipe" in ASCII: tells our files from other SQLite databases (an empty file opens as one, too).
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

/// Opens a file for writing; makes and migrates it as needed.
pub(crate) fn open_for_writing(path: &Path) -> Result<Connection, Error> {
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|source| Error::File { path: folder.to_owned(), source })?;
    }
    let mut connection = Connection::open(path)?;
    // Another program that reads or copies the file may hold it for a while.
    connection.busy_timeout(std::time::Duration::from_mins(1))?;
    let found = check(&connection, path)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Safe against a crash of the program; a power cut may lose the last commits but not damage the file.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    for (i, sql) in MIGRATIONS.iter().enumerate().skip(usize::try_from(found).unwrap_or(0)) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        // In the transaction, so that no crash leaves a file that is half ours.
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", i + 1)?;
        transaction.commit()?;
    }
    Ok(connection)
}

/// Opens a file for reading only. Works while a sweep writes to it. A file of an earlier version is brought up to date first.
pub(crate) fn open_for_reading(path: &Path) -> Result<Connection, Error> {
    if !path.exists() {
        return Err(Error::Missing(path.to_owned()));
    }
    if !path.is_file() {
        return Err(Error::Foreign(path.to_owned()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    let found = check(&connection, path)?;
    if found == 0 {
        return Err(Error::Missing(path.to_owned()));
    }
    if found < VERSION {
        drop(connection);
        let why = |e: Error| Error::Older { path: path.to_owned(), found, known: VERSION, why: e.to_string() };
        open_for_writing(path).and_then(|connection| settle(&connection)).map_err(why)?;
        return open_for_reading(path);
    }
    connection.pragma_update(None, "query_only", true)?;
    // One snapshot for everything that is read, also while a sweep writes.
    connection.execute_batch("BEGIN")?;
    Ok(connection)
}

/// The file's schema version, if it is ours (or still empty: version 0) and not newer than this program.
fn check(connection: &Connection, path: &Path) -> Result<i64, Error> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |r| r.get::<_, i64>(0)).map_err(|e| not_ours(path, e));
    let tables: i64 = connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |r| r.get(0)).map_err(|e| not_ours(path, e))?;
    if tables > 0 && pragma("application_id")? != APPLICATION_ID {
        return Err(Error::Foreign(path.to_owned()));
    }
    let found = pragma("user_version")?;
    if found > VERSION {
        return Err(Error::Newer { path: path.to_owned(), found, known: VERSION });
    }
    Ok(found)
}

fn not_ours(path: &Path, error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => Error::Foreign(path.to_owned()),
        _ => error.into(),
    }
}

/// Leaves a file that a plain reader on a read-only disk can open: everything in the main file, no WAL.
pub(crate) fn settle(connection: &Connection) -> Result<(), Error> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    // Fails, harmlessly, while another program reads; the WAL then stays and is readable too.
    let _ = connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_the_one_on_file() {
        let folder = tempfile::tempdir().unwrap();
        let connection = open_for_writing(&folder.path().join("r.db")).unwrap();
        let mut statement = connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid").unwrap();
        let found: Vec<String> = statement.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
        let found = found.join(";\n\n") + ";\n";
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.sql");
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(file, &found).unwrap();
        }
        assert_eq!(found, std::fs::read_to_string(file).unwrap(), "run UPDATE_SCHEMA=1 cargo test and commit schema.sql");
    }

    #[test]
    fn files_of_earlier_versions_are_brought_up_to_date_to_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        old.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        drop(old);
        let version = open_for_reading(&path).unwrap().pragma_query_value(None, "user_version", |r| r.get::<_, i64>(0));
        assert_eq!(version.unwrap(), VERSION);
        assert!(!path.with_extension("db-wal").exists());
    }

    #[test]
    fn other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("text"), "not a database, but long enough to look like a file with content in it\n".repeat(20)).unwrap();
        std::fs::write(path("empty"), "").unwrap();
        Connection::open(path("other")).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        for name in ["text", "other", "folder"] {
            assert!(matches!(open_for_reading(&path(name)), Err(Error::Foreign(_))), "{name}");
        }
        for name in ["empty", "absent"] {
            assert!(matches!(open_for_reading(&path(name)), Err(Error::Missing(_))), "{name}");
        }
        for name in ["text", "other"] {
            assert!(matches!(open_for_writing(&path(name)), Err(Error::Foreign(_))), "{name}");
        }
        let newer = open_for_writing(&path("newer")).unwrap();
        newer.pragma_update(None, "user_version", 999).unwrap();
        assert!(matches!(open_for_reading(&path("newer")), Err(Error::Newer { found: 999, .. })));
    }
}
