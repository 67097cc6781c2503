//! Disks that are full, read-only or damaged: one clear message, and nothing lost.

#![allow(clippy::unwrap_used, reason = "a test that can't go on panics")]

mod common;

use std::path::Path;

use common::{Disk, FILES, content, log, runs, study};
use spec::record::Outcome;
use tracker::query::Cell;
use tracker::{Ended, Environment, Error, Reader, Tracker, Trouble};

fn finished(path: &Path) {
    let study = study();
    let tracker = Tracker::open(path, std::slice::from_ref(&study), Environment::default()).unwrap();
    for run in &runs(&study)[..2] {
        let mut sink = tracker.start(run).unwrap();
        log(&mut sink, 1..=50).unwrap();
        sink.end(Ended { outcome: Outcome::Completed, steps: 50, error: None }).unwrap();
    }
    tracker.close().unwrap();
}

/// A sweep that was killed: its last commits are in the log alone.
fn killed(path: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let open = folder.path().join("r.db");
    let study = study();
    let tracker = Tracker::open(&open, std::slice::from_ref(&study), Environment::default()).unwrap();
    let mut sink = tracker.start(&runs(&study)[0]).unwrap();
    log(&mut sink, 1..=50).unwrap();
    sink.end(Ended { outcome: Outcome::Completed, steps: 50, error: None }).unwrap();
    let log = |path: &Path| path.with_extension("db-wal");
    for _ in 0..200 {
        std::thread::sleep(std::time::Duration::from_millis(10));
        if Reader::open(&open).unwrap().query("SELECT COUNT(*) FROM run WHERE outcome = 'completed'").unwrap().rows == [[Cell::Integer(1)]]
        {
            break;
        }
    }
    std::fs::copy(&open, path).unwrap();
    std::fs::copy(log(&open), log(path)).unwrap();
    tracker.close().unwrap();
}

fn trouble<T>(result: Result<T, Error>, file: &Path) -> Trouble {
    match result.map(|_| ()).unwrap_err() {
        Error::Database { path, trouble } => {
            assert_eq!(path.as_deref(), Some(file), "{trouble}");
            trouble
        }
        other => panic!("another error: {other}"),
    }
}

fn steps(path: &Path) -> i64 {
    match Reader::open(path).unwrap().query("SELECT COUNT(*) FROM step").unwrap().rows[0][0] {
        Cell::Integer(n) => n,
        _ => panic!("no count"),
    }
}

#[test]
fn a_settled_file_on_a_read_only_disk_reads_and_is_not_written() {
    let Some(disk) = Disk::of_kib(4096) else { return };
    let path = disk.path.join("r.db");
    finished(&path);
    disk.make_read_only();
    let before = content(&disk.path);
    assert_eq!(steps(&path), 100);
    assert_eq!(trouble(Tracker::open(&path, &[study()], Environment::default()), &path), Trouble::ReadOnly);
    let absent = disk.path.join("absent.db");
    assert_eq!(trouble(Tracker::open(&absent, &[study()], Environment::default()), &absent), Trouble::ReadOnly);
    assert!(content(&disk.path) == before);
}

#[test]
fn a_killed_sweep_on_a_read_only_disk_says_what_to_do() {
    let Some(disk) = Disk::of_kib(4096) else { return };
    let path = disk.path.join("r.db");
    killed(&path);
    disk.make_read_only();
    let before = content(&disk.path);
    let error = Reader::open(&path).err().unwrap();
    assert!(matches!(error, Error::Unsettled(_)), "{error}");
    assert!(error.to_string().contains("copy the file and the one that ends in `-wal`"), "{error}");
    assert!(content(&disk.path) == before);
    // As the message says.
    let folder = tempfile::tempdir().unwrap();
    for name in ["r.db", "r.db-wal"] {
        std::fs::copy(disk.path.join(name), folder.path().join(name)).unwrap();
    }
    assert_eq!(steps(&folder.path().join("r.db")), 50);
}

#[test]
fn an_earlier_version_on_a_read_only_disk_says_why_it_stays_one() {
    let Some(disk) = Disk::of_kib(4096) else { return };
    let path = disk.path.join("v1.db");
    std::fs::copy(format!("{FILES}/v1.db"), &path).unwrap();
    disk.make_read_only();
    let error = Reader::open(&path).err().unwrap().to_string();
    assert!(error.contains("earlier version") && error.contains("read-only"), "{error}");
    assert_eq!(error.matches("v1.db").count(), 1, "{error}");
}

#[test]
fn a_full_disk_is_named_and_keeps_what_was_committed() {
    let Some(disk) = Disk::of_kib(4096) else { return };
    let path = disk.path.join("r.db");
    finished(&path);
    disk.fill();
    let before = content(&disk.path);
    let absent = disk.path.join("absent.db");
    assert_eq!(trouble(Tracker::open(&absent, &[study()], Environment::default()), &absent), Trouble::Full);
    assert!(!absent.exists() && content(&disk.path).keys().eq(before.keys()), "a new file is there whole or not at all");
    let opened = Tracker::open(&path, &[study()], Environment::default()).map(|_| ());
    assert!(matches!(opened, Err(Error::Database { trouble: Trouble::Full, .. })), "{opened:?}");
    std::fs::remove_file(disk.path.join("filler")).unwrap();
    assert_eq!(steps(&path), 100);
    // And the sweep goes on where it stopped.
    Tracker::open(&path, &[study()], Environment::default()).unwrap().close().unwrap();
    assert_eq!(Reader::open(&path).unwrap().query("PRAGMA integrity_check").unwrap().rows, [[Cell::Text("ok".into())]]);
}

#[test]
fn a_disk_that_fills_up_during_a_sweep_stops_it_and_keeps_what_was_committed() {
    let Some(disk) = Disk::of_kib(4096) else { return };
    let path = disk.path.join("r.db");
    finished(&path);
    let study = study();
    let tracker = Tracker::open(&path, std::slice::from_ref(&study), Environment::default()).unwrap();
    let mut sink = tracker.start(&runs(&study)[2]).unwrap();
    disk.fill();
    let error = (1..1_000_000).find_map(|n| log(&mut sink, n..=n).err()).expect("no room for a million steps");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    drop(sink);
    let closed = tracker.close();
    assert!(matches!(closed, Err(Error::Database { trouble: Trouble::Full, .. })), "{closed:?}");
    std::fs::remove_file(disk.path.join("filler")).unwrap();
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.query("PRAGMA integrity_check").unwrap().rows, [[Cell::Text("ok".into())]]);
    let rows = reader.query("SELECT COUNT(*) FROM step WHERE run_id IN (SELECT id FROM run WHERE outcome = 'completed')").unwrap().rows;
    assert_eq!(rows, [[Cell::Integer(100)]]);
}

#[test]
fn damage_is_named_wherever_it_shows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.db");
    finished(&path);
    let mut bytes = std::fs::read(&path).unwrap();
    let page: usize = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'step_log'", [], |r| r.get(0))
        .unwrap();
    bytes[(page - 1) * 4096..page * 4096].fill(0x5a);
    std::fs::write(&path, &bytes).unwrap();
    let reader = Reader::open(&path).unwrap();
    let error = reader.query("SELECT SUM(loss) FROM step_log").unwrap_err();
    assert!(matches!(error, Error::Database { trouble: Trouble::Damaged(_), .. }), "{error}");
    assert!(error.to_string().contains("sqlite3 FILE .recover"), "{error}");
    let error = reader.studies().and_then(|studies| reader.runs(&studies[0])).and_then(|runs| reader.steps(&runs)).unwrap_err();
    assert!(matches!(error, Error::Database { trouble: Trouble::Damaged(_), .. }), "{error}");
    assert!(std::fs::read(&path).unwrap() == bytes);
}

#[test]
fn a_file_that_another_program_has_locked_is_not_called_broken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.db");
    finished(&path);
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    assert_eq!(trouble(Reader::open(&path), &path), Trouble::Locked);
}
