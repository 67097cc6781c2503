//! Copies of a results file: of one moment, complete, and never in the way of what is there.

#![allow(clippy::unwrap_used, reason = "a test that can't go on panics")]

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Disk, content, log, runs, study};
use rusqlite::Connection;
use spec::record::{Measurement, Outcome, Sink};
use tracker::{Ended, Environment, Error, Reader, Tracker, copy};

fn number(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |r| r.get(0)).unwrap()
}

fn sweep(path: &Path) {
    let study = study();
    let tracker = Tracker::open(path, std::slice::from_ref(&study), Environment::default()).unwrap();
    let mut sink = tracker.start(&runs(&study)[0]).unwrap();
    log(&mut sink, 1..=20).unwrap();
    sink.measurement(&Measurement { name: "m".into(), value: 1.0 }).unwrap();
    sink.end(Ended { outcome: Outcome::Completed, steps: 20, error: None }).unwrap();
    tracker.close().unwrap();
}

/// Two writers in one: the tracker's own, and a connection that commits a step and a count of steps together, without a pause.
#[test]
fn a_copy_taken_while_others_write_is_of_one_moment() {
    let folder = tempfile::tempdir().unwrap();
    let source = &folder.path().join("r.db");
    sweep(source);
    let stop = &AtomicBool::new(false);
    let commits = std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let mut connection = Connection::open(source).unwrap();
            connection.busy_timeout(std::time::Duration::from_mins(1)).unwrap();
            connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF").unwrap();
            let key = number(&connection, "SELECT key FROM run WHERE steps = 20");
            let mut n = 20;
            while !stop.load(Ordering::Relaxed) {
                n += 1;
                let t = connection.transaction().unwrap();
                t.execute("INSERT INTO step_log VALUES (?, ?, 1, 1, 0.5, 0.5, 0.1, 1.0, 1, 1)", [key, n]).unwrap();
                t.execute("UPDATE run SET steps = ? WHERE key = ?", [n, key]).unwrap();
                t.commit().unwrap();
            }
            n
        });
        let mut seen = 0;
        for i in 0..20 {
            let target = folder.path().join(format!("copies/{i}.db"));
            let copied = copy(source, &target, false).unwrap();
            let c = Connection::open(&target).unwrap();
            let (steps, counted) = (number(&c, "SELECT COUNT(*) FROM step_log"), number(&c, "SELECT SUM(steps) FROM run"));
            assert_eq!(steps, counted, "torn");
            assert!(steps >= seen);
            seen = steps;
            assert_eq!(c.query_row("PRAGMA integrity_check", [], |r| r.get::<_, String>(0)).unwrap(), "ok");
            assert_eq!(number(&c, "PRAGMA application_id"), 0x7069_7065);
            let source = Connection::open(source).unwrap();
            assert_eq!(number(&c, "PRAGMA user_version"), number(&source, "PRAGMA user_version"));
            assert_eq!(copied.bytes, std::fs::metadata(&target).unwrap().len());
            assert!(copied.runs == 4 && copied.rows > u64::try_from(steps).unwrap());
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    assert!(commits > 100, "only {commits} commits");
    let copies = content(&folder.path().join("copies"));
    assert!(copies.len() == 20 && copies.keys().all(|name| !name.contains('-')), "{:?}", copies.keys());
}

#[test]
fn what_is_there_is_not_overwritten_by_accident() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let source = path("r.db");
    sweep(&source);
    std::fs::write(path("there"), "precious").unwrap();
    std::fs::write(path("open.db-wal"), "a log of another database").unwrap();
    std::fs::create_dir(path("folder")).unwrap();
    let before = content(folder.path());
    assert!(matches!(copy(&source, &path("there"), false), Err(Error::Exists(_))));
    for replace in [false, true] {
        assert!(matches!(copy(&source, &source, replace), Err(Error::Itself(_))));
        assert!(matches!(copy(&source, &path("folder"), replace), Err(Error::Exists(_))));
        assert!(matches!(copy(&source, &path("open.db"), replace), Err(Error::InUse { .. })));
        assert!(matches!(copy(&path("absent"), &path("new"), replace), Err(Error::Missing(_))));
    }
    assert!(content(folder.path()) == before);
    copy(&source, &path("there"), true).unwrap();
    assert_eq!(Reader::open(&path("there")).unwrap().studies().unwrap().len(), 1);
}

#[test]
fn a_copy_reads_on_a_read_only_disk_and_needs_room() {
    let Some(disk) = Disk::of_kib(1024) else { return };
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("r.db");
    sweep(&source);
    let target = disk.path.join("copy.db");
    copy(&source, &target, false).unwrap();
    disk.fill();
    let names: Vec<String> = content(&disk.path).into_keys().collect();
    let full = copy(&source, &disk.path.join("second.db"), false).unwrap_err().to_string();
    assert!(full.contains("second.db: the disk is full"), "{full}");
    assert!(content(&disk.path).into_keys().eq(names), "something is left over");
    disk.make_read_only();
    assert_eq!(Reader::open(&target).unwrap().studies().unwrap().len(), 1);
    let refused = copy(&source, &disk.path.join("second.db"), false).unwrap_err().to_string();
    assert!(refused.contains("second.db: it can't be written"), "{refused}");
}
