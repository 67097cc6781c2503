//! Files of every kind and version: ours come up to date whole, others stay as they are.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files");

/// A copy of a database that an earlier version wrote.
fn earlier(folder: &Path, version: i64) -> PathBuf {
    let path = folder.join(format!("v{version}.db"));
    std::fs::copy(format!("{FILES}/v{version}.db"), &path).unwrap();
    path
}

fn plain(path: &Path) -> Connection {
    connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE).unwrap()
}

fn column(connection: &Connection, sql: &str) -> Vec<String> {
    connection.prepare(sql).unwrap().query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
}

fn schema(connection: &Connection) -> Vec<String> {
    column(connection, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")
}

/// Per table, the columns that it has now.
type Columns = BTreeMap<String, Vec<String>>;

fn columns(connection: &Connection) -> Columns {
    let tables = column(connection, "SELECT name FROM sqlite_schema WHERE type = 'table'");
    let of = |table: &String| column(connection, &format!("SELECT name FROM pragma_table_info('{table}')"));
    tables.iter().map(|table| (table.clone(), of(table))).collect()
}

/// Every value of some columns, exactly.
fn dump(connection: &Connection, columns: &Columns) -> BTreeMap<String, Vec<String>> {
    let rows = |table: &str, columns: &[String]| {
        let row = columns.iter().map(|c| format!("QUOTE(\"{c}\")")).collect::<Vec<_>>().join(" || ',' || ");
        column(connection, &format!("SELECT {row} FROM \"{table}\" ORDER BY 1"))
    };
    columns.iter().map(|(table, columns)| (table.clone(), rows(table, columns))).collect()
}

/// Complete, sound, of the present schema, and every view answers.
fn assert_present(connection: &Connection) {
    assert_eq!(version(connection).unwrap(), VERSION);
    assert_eq!(connection.pragma_query_value(None, "application_id", |r| r.get::<_, i64>(0)).unwrap(), APPLICATION_ID);
    assert_eq!(column(connection, "PRAGMA integrity_check"), ["ok"]);
    assert!(column(connection, "PRAGMA foreign_key_check").is_empty());
    let mut found = schema(connection);
    let mut wanted: Vec<String> = {
        let folder = tempfile::tempdir().unwrap();
        schema(&open_for_writing(&folder.path().join("r.db")).unwrap())
    };
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
    for view in column(connection, "SELECT name FROM sqlite_schema WHERE type = 'view'") {
        connection.query_row(&format!("SELECT COUNT(*) FROM {view}"), [], |r| r.get::<_, i64>(0)).expect(&view);
    }
}

/// Puts a file of some kind at a path.
type Make<'a> = &'a dyn Fn(&Path);

/// What is in a folder: names and bytes.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    entries.map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&p).unwrap_or_default())).collect()
}

#[test]
fn the_schema_is_the_one_on_file() {
    let folder = tempfile::tempdir().unwrap();
    let found = schema(&open_for_writing(&folder.path().join("r.db")).unwrap()).join(";\n\n") + ";\n";
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.sql");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(file, &found).unwrap();
    }
    assert_eq!(found, std::fs::read_to_string(file).unwrap(), "run UPDATE_SCHEMA=1 cargo test and commit schema.sql");
}

#[test]
fn files_of_earlier_versions_keep_every_row() {
    for n in 1..=4 {
        for for_writing in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let path = earlier(folder.path(), n);
            let old = plain(&path);
            assert_eq!(version(&old).unwrap(), n);
            let columns = columns(&old);
            let before = dump(&old, &columns);
            drop(old);
            let rows = |table: &str| before.get(table).map_or(0, Vec::len);
            assert_eq!((rows("run"), rows("step_log"), rows("eval_log"), rows("study_target")), (4, 48, 17, 2));
            assert_eq!((rows("position_log"), rows("measurement_log"), rows("picture_log")), if n > 1 { (47, 8, 4) } else { (0, 0, 0) });
            assert_eq!(rows("confusion_log"), if n > 3 { 4 } else { 0 });
            let connection = if for_writing { open_for_writing(&path) } else { open_for_reading(&path) }.unwrap();
            assert_eq!(dump(&connection, &columns), before, "version {n}");
            assert_present(&connection);
            let states = column(&connection, "SELECT outcome FROM run_summary ORDER BY outcome");
            assert_eq!(states, ["completed", "diverged", "failed", "unfinished"]);
            if !for_writing {
                assert_eq!(content(folder.path()).into_keys().collect::<Vec<_>>(), [format!("v{n}.db")]);
            }
        }
    }
}

#[test]
fn a_kill_between_or_within_migrations_leaves_a_file_of_a_valid_version() {
    for n in 1..VERSION.min(5) {
        for reached in n..=VERSION {
            let folder = tempfile::tempdir().unwrap();
            let path = earlier(folder.path(), n);
            let mut connection = plain(&path);
            let columns = columns(&connection);
            let before = dump(&connection, &columns);
            use_wal(&connection).unwrap();
            migrate(&mut connection, reached).unwrap();
            assert_eq!(version(&connection).unwrap(), reached);
            // The next migration, cut off before it was committed; the copy is what a kill would leave.
            let killed = tempfile::tempdir().unwrap();
            connection.execute_batch("PRAGMA cache_size = 1; BEGIN IMMEDIATE").unwrap();
            if let Some(next) = usize::try_from(reached).ok().and_then(|i| MIGRATIONS.get(i)) {
                connection.execute_batch(next).unwrap();
                connection.execute_batch("UPDATE run SET error = 'half'; CREATE TABLE filler AS SELECT ZEROBLOB(100000) AS x").unwrap();
            }
            for name in content(folder.path()).keys().filter(|name| !name.ends_with("-shm")) {
                std::fs::copy(folder.path().join(name), killed.path().join(name)).unwrap();
            }
            drop(connection);
            for folder in [folder.path(), killed.path()] {
                let path = folder.join(format!("v{n}.db"));
                assert_eq!(version(&plain(&path)).unwrap(), reached);
                let connection = open_for_reading(&path).unwrap();
                assert_eq!(dump(&connection, &columns), before, "version {n}, at {reached}");
                assert_present(&connection);
            }
        }
    }
}

#[test]
fn migrations_at_once_are_done_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = earlier(folder.path(), 1);
    let open = |i: usize| if i.is_multiple_of(2) { open_for_writing(&path) } else { open_for_reading(&path) };
    std::thread::scope(|scope| {
        let openers: Vec<_> = (0..6).map(|i| scope.spawn(move || open(i).map(drop))).collect();
        for opener in openers {
            opener.join().unwrap().unwrap();
        }
    });
    assert_present(&open_for_reading(&path).unwrap());
}

#[test]
fn a_new_file_is_complete_from_the_moment_that_it_is_there() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = &folder.path().join("sub/r.db");
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4).map(|_| scope.spawn(|| open_for_writing(path).map(drop))).collect();
            while !path.exists() {
                std::hint::spin_loop();
            }
            assert_eq!(version(&open_for_reading(path).unwrap()).unwrap(), VERSION);
            for writer in writers {
                writer.join().unwrap().unwrap();
            }
        });
        let last = open_for_writing(path).unwrap();
        assert_present(&last);
        settle(&last).unwrap();
        assert_eq!(content(&folder.path().join("sub")).into_keys().collect::<Vec<_>>(), ["r.db"]);
    }
}

#[test]
fn what_a_kill_left_in_the_making_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.db");
    let at_work = Temporary::beside(&path).unwrap();
    std::fs::write(folder.path().join(".r.db.4194305-0.new"), "half").unwrap();
    std::fs::write(folder.path().join(".other.db.4194305-0.new"), "somebody else's").unwrap();
    drop(open_for_writing(&path).unwrap());
    let kept = at_work.path().file_name().unwrap().to_string_lossy().into_owned();
    assert!(kept.starts_with(".r.db."));
    let mut wanted = vec![".other.db.4194305-0.new".to_owned(), kept, "r.db".to_owned()];
    wanted.sort();
    assert_eq!(content(folder.path()).into_keys().collect::<Vec<_>>(), wanted);
    drop(at_work);
    assert_eq!(content(folder.path()).len(), 2);
}

#[test]
fn refused_files_stay_as_they_are() {
    let is = |error: &Error| match error {
        Error::Foreign(_) => "foreign",
        Error::Empty(_) => "empty",
        Error::Truncated { .. } => "truncated",
        Error::Newer { found: 999, .. } => "newer",
        Error::Database { trouble: Trouble::Damaged(_), path: Some(_) } => "damaged",
        _ => "something else",
    };
    // A database with a log that its program did not bring in: copied while it was open.
    let left_open = |path: &Path, sql: &str| {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        let ours = sql.contains("999");
        let connection = if ours { open_for_writing(&open).unwrap() } else { plain(&open) };
        connection.execute_batch(&format!("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; {sql}")).unwrap();
        for end in ["", "-wal"] {
            std::fs::copy(beside(&open, end), beside(path, end)).unwrap();
        }
    };
    let cases: [(&str, &str, Make<'_>); 13] = [
        ("text", "foreign", &|p| {
            std::fs::write(p, "no database, but long enough to look like a file with content in it\n".repeat(20)).unwrap();
        }),
        ("short text", "foreign", &|p| std::fs::write(p, "no").unwrap()),
        ("folder", "foreign", &|p| std::fs::create_dir(p).unwrap()),
        ("other", "foreign", &|p| plain(p).execute_batch("CREATE TABLE t (x)").unwrap()),
        ("other with our version", "foreign", &|p| plain(p).execute_batch("CREATE TABLE t (x); PRAGMA user_version = 2").unwrap()),
        ("other's", "foreign", &|p| plain(p).execute_batch("PRAGMA application_id = 7").unwrap()),
        ("other, settled log", "foreign", &|p| plain(p).execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)").unwrap()),
        ("other, log left", "foreign", &|p| left_open(p, "CREATE TABLE t (x)")),
        ("empty", "empty", &|p| std::fs::write(p, "").unwrap()),
        ("newer", "newer", &|p| open_for_writing(p).unwrap().pragma_update(None, "user_version", 999).unwrap()),
        ("newer, log left", "newer", &|p| left_open(p, "PRAGMA user_version = 999")),
        ("cut off", "truncated", &|p| {
            let whole = std::fs::read(format!("{FILES}/v4.db")).unwrap();
            std::fs::write(p, &whole[..whole.len() - 1]).unwrap();
        }),
        ("schema damaged", "damaged", &|p| {
            let mut bytes = std::fs::read(format!("{FILES}/v4.db")).unwrap();
            bytes[100..1024].fill(0x5a);
            std::fs::write(p, bytes).unwrap();
        }),
    ];
    for (name, wanted, make) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.db");
        make(&path);
        let before = content(folder.path());
        for (how, opened) in [("reading", open_for_reading(&path)), ("writing", open_for_writing(&path))] {
            let error = opened.map(drop).expect_err(name);
            assert_eq!(is(&error), wanted, "{name}, {how}: {error}");
            assert_eq!(error.to_string().matches(&path.display().to_string()).count(), 1, "{error}");
            let mut after = content(folder.path());
            // An index that SQLite makes from a log; it goes with the next that opens the file.
            after.remove("r.db-shm");
            assert!(after == before, "{name}, {how}: changed; now {:?}", after.keys());
        }
    }
    let absent = Path::new("/nowhere/at/all.db");
    assert!(matches!(open_for_reading(absent), Err(Error::Missing(_))));
    assert!(!absent.exists());
}

#[test]
fn a_change_that_a_kill_cut_short_is_rolled_back_also_for_a_reader() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, cut] = ["whole.db", "cut.db"].map(|name| folder.path().join(name));
    let connection = open_for_writing(&whole).unwrap();
    settle(&connection).unwrap();
    // In the middle of a change to pages that are in the file, as when the log is left behind: the journal has the pages before.
    connection.execute_batch("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN IMMEDIATE").unwrap();
    let insert = "INSERT INTO study (name, question, metric, axes, source) VALUES (?, ?, 'train_loss', '[]', '')";
    for i in 0..200 {
        connection.execute(insert, [format!("s{i}"), "?".repeat(3000)]).unwrap();
    }
    std::fs::copy(&whole, &cut).unwrap();
    std::fs::copy(beside(&whole, "-journal"), beside(&cut, "-journal")).unwrap();
    assert!(has_content(&beside(&cut, "-journal")));
    drop(connection);
    let reader = open_for_reading(&cut).unwrap();
    assert_eq!(reader.query_row("SELECT COUNT(*) FROM study", [], |r| r.get::<_, i64>(0)).unwrap(), 0);
    assert!(!has_content(&beside(&cut, "-journal")));
}
