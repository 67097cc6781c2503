//! Merging results files: each run once, conflicts refused, sources left as they are.

#![allow(clippy::unwrap_used, reason = "a test that can't go on panics")]

mod common;

use std::path::{Path, PathBuf};

use common::{Disk, FILES, content, log, runs, study};
use rusqlite::Connection;
use rusqlite::types::Value;
use spec::record::{Facts, Measurement, Outcome, Sink};
use spec::{RunSpec, Study};
use tracker::{Ended, Environment, Error, Merged, Reader, Tracker, copy, merge};

/// A folder of databases.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Files(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn open(&self, name: &str, study: &Study, host: &str) -> Tracker {
        let environment = Environment { host: Some(host.into()), ..Environment::default() };
        Tracker::open(&self.path(name), std::slice::from_ref(study), environment).unwrap()
    }

    /// A sweep of some runs of the study, each with an end or, without one, cut off after so many steps.
    fn sweep(&self, name: &str, ends: &[(usize, u64, Option<Outcome>)]) -> PathBuf {
        let study = study();
        let tracker = self.open(name, &study, name);
        for (i, steps, end) in ends {
            train(&tracker, &runs(&study)[*i], *steps, *end);
        }
        tracker.close().unwrap();
        self.path(name)
    }

    /// Merges and returns what came of each source.
    fn merge(&self, target: &str, sources: &[&str]) -> Result<Vec<Merged>, Error> {
        let sources: Vec<PathBuf> = sources.iter().map(|name| self.path(name)).collect();
        merge(&sources, &self.path(target))
    }

    fn counts(&self, target: &str, sources: &[&str]) -> Vec<[u64; 3]> {
        self.merge(target, sources).unwrap().iter().map(|m| [m.new, m.known, m.better]).collect()
    }
}

fn train(tracker: &Tracker, run: &RunSpec, steps: u64, end: Option<Outcome>) {
    let mut sink = tracker.start(run).unwrap();
    let (device, layers, classes) = ("cpu".into(), vec![], vec![]);
    sink.begin(&Facts { planned_steps: 20, parameters: 7, flops_per_step: 9, memory_bytes: 1, threads: 1, device, layers, classes })
        .unwrap();
    log(&mut sink, 1..=steps).unwrap();
    sink.measurement(&Measurement { name: "m".into(), value: 1.0 }).unwrap();
    if let Some(outcome) = end {
        sink.end(Ended { outcome, steps, error: None }).unwrap();
    }
}

const COMPLETED: Option<Outcome> = Some(Outcome::Completed);

/// Everything but keys: each row's run by id, each attempt's sweep by what it is.
fn tables(path: &Path) -> Vec<Vec<Vec<Value>>> {
    let connection = Connection::open(path).unwrap();
    let runs: Vec<String> = columns(&connection, "run").into_iter().filter(|c| c != "key").collect();
    let mut queries = vec![
        "SELECT * FROM study".to_owned(),
        "SELECT * FROM study_target".to_owned(),
        "SELECT * FROM study_run".to_owned(),
        format!("SELECT {} FROM run", runs.join(", ")),
        "SELECT run.id, a.number, a.after_step, a.started_at, a.ended_at, a.outcome, a.error, s.host, s.place, s.pid, s.started_at
         FROM attempt AS a JOIN run ON run.key = a.run_key JOIN sweep AS s ON s.key = a.sweep_key WHERE a.ended_at IS NOT NULL"
            .to_owned(),
    ];
    for table in ["step_log", "eval_log", "position_log", "measurement_log", "picture_log", "confusion_log"] {
        let columns: Vec<String> = columns(&connection, table).into_iter().filter(|c| c != "run_key").collect();
        queries.push(format!("SELECT run.id, {} FROM {table} AS l JOIN run ON run.key = l.run_key", l(&columns)));
    }
    queries.iter().map(|sql| rows(&connection, sql)).collect()
}

fn l(columns: &[String]) -> String {
    columns.iter().map(|c| format!("l.{c}")).collect::<Vec<_>>().join(", ")
}

fn columns(connection: &Connection, table: &str) -> Vec<String> {
    let statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
    statement.column_names().map(str::to_owned).collect()
}

fn rows(connection: &Connection, sql: &str) -> Vec<Vec<Value>> {
    let mut statement = connection.prepare(sql).unwrap();
    let width = statement.column_count();
    let mut rows: Vec<Vec<Value>> =
        statement.query_map([], |r| (0..width).map(|i| r.get(i)).collect()).unwrap().map(Result::unwrap).collect();
    rows.sort_by_key(|row| format!("{row:?}"));
    rows
}

fn change(path: &Path, sql: &str) {
    assert!(Connection::open(path).unwrap().execute(sql, []).unwrap() > 0, "{sql}");
}

#[test]
fn shards_come_together_in_any_order_and_twice_is_once() {
    let files = Files::new();
    files.sweep("a.db", &[(0, 20, COMPLETED), (1, 20, Some(Outcome::Diverged))]);
    files.sweep("b.db", &[(2, 20, COMPLETED)]);
    files.sweep("c.db", &[(3, 20, Some(Outcome::Failed))]);
    let before = content(files.0.path());
    assert_eq!(files.counts("new/abc.db", &["a.db", "b.db", "c.db"]), [[2, 2, 0], [1, 3, 0], [1, 3, 0]]);
    let all = tables(&files.path("new/abc.db"));
    assert_eq!([3, 4, 5].map(|i| all[i].len()), [4, 4, 80], "runs, attempts, steps");
    for (target, order) in [("new/cba.db", ["c.db", "b.db", "a.db"]), ("new/bca.db", ["b.db", "c.db", "a.db"])] {
        files.merge(target, &order).unwrap();
        assert!(tables(&files.path(target)) == all, "{order:?}");
    }
    // One after the other comes to the same.
    for source in ["b.db", "a.db", "c.db"] {
        files.merge("new/steps.db", &[source]).unwrap();
    }
    assert!(tables(&files.path("new/steps.db")) == all);

    let merged = content(&files.path("new"));
    assert_eq!(merged.keys().collect::<Vec<_>>(), ["abc.db", "bca.db", "cba.db", "steps.db"]);
    assert_eq!(files.counts("new/abc.db", &["a.db", "b.db", "c.db"]), [[0, 4, 0]; 3]);
    assert!(content(&files.path("new")) == merged, "a merge of nothing new writes");
    let mut after = content(files.0.path());
    after.remove("new");
    assert!(after == before, "a source was written");
    let sane = Connection::open(files.path("new/abc.db")).unwrap();
    assert_eq!(sane.query_row("PRAGMA integrity_check", [], |r| r.get::<_, String>(0)).unwrap(), "ok");
    assert!(rows(&sane, "PRAGMA foreign_key_check").is_empty());
}

#[test]
fn a_result_is_taken_before_none_and_more_before_less() {
    let files = Files::new();
    files.sweep("a.db", &[(0, 5, Some(Outcome::Interrupted)), (1, 9, None), (2, 20, COMPLETED), (3, 4, None)]);
    files.sweep("b.db", &[(0, 20, COMPLETED), (1, 3, None), (2, 6, Some(Outcome::Interrupted)), (3, 2, Some(Outcome::Failed))]);
    let id = |i: usize| runs(&study())[i].id.clone();
    let found = |target: &str| {
        let connection = Connection::open(files.path(target)).unwrap();
        let of = |i: usize| {
            let sql = "SELECT COALESCE(outcome, '-') || ' ' || (SELECT COUNT(*) FROM step_log WHERE run_key = run.key)
                       || ' ' || (SELECT COUNT(*) FROM measurement_log WHERE run_key = run.key) || ' ' || host FROM run WHERE id = ?";
            connection.query_row(sql, [id(i)], |r| r.get::<_, String>(0)).unwrap()
        };
        [0, 1, 2, 3].map(of)
    };
    let wanted = ["completed 20 1 b.db", "- 9 1 a.db", "completed 20 1 a.db", "failed 2 1 b.db"];
    assert_eq!(files.counts("ab.db", &["a.db", "b.db"]), [[2, 2, 0], [2, 2, 0]]);
    assert_eq!(files.counts("ba.db", &["b.db"]), [[4, 0, 0]]);
    assert_eq!(files.counts("ba.db", &["a.db"]), [[0, 2, 2]]);
    assert_eq!((found("ab.db"), found("ba.db")), (wanted.map(str::to_owned), wanted.map(str::to_owned)));
    assert!(tables(&files.path("ab.db")) == tables(&files.path("ba.db")));
    // A sweep of the target trains what has no result.
    let known = Tracker::known(&files.path("ab.db"), &[&id(1)]).unwrap();
    assert!(known[0].as_ref().is_some_and(|k| k.started && !k.in_training && k.outcome.is_none()));
}

#[test]
fn equal_results_are_taken_once_and_different_ones_refused() {
    let files = Files::new();
    files.sweep("a.db", &[(0, 20, COMPLETED), (1, 20, COMPLETED)]);
    files.sweep("b.db", &[(0, 20, COMPLETED), (2, 20, COMPLETED)]);
    // Times and places may differ.
    change(&files.path("b.db"), "UPDATE step_log SET elapsed_us = elapsed_us + 1");
    assert_eq!(files.counts("t.db", &["a.db"]), [[4, 0, 0]]);
    let whole = std::fs::read(files.path("t.db")).unwrap();
    let id = &runs(&study())[0].id;
    let keyed = format!("run_key = (SELECT key FROM run WHERE id = '{id}')");
    let refused = |sql: &str| {
        copy(&files.path("b.db"), &files.path("bad.db"), true).unwrap();
        change(&files.path("bad.db"), sql);
        for (target, sources) in [("t.db", &["bad.db"][..]), ("t.db", &["b.db", "bad.db"]), ("none.db", &["bad.db", "a.db"])] {
            let error = files.merge(target, sources).unwrap_err();
            assert!(matches!(error, Error::Conflict(_)) && !error.is_usage(), "{error}");
        }
        assert!(std::fs::read(files.path("t.db")).unwrap() == whole && !files.path("none.db").exists());
        files.merge("t.db", &["bad.db"]).unwrap_err().to_string().replace(&files.0.path().display().to_string(), "")
    };
    let error = refused(&format!("UPDATE step_log SET loss = 0.75, accuracy = 0.1 WHERE step = 7 AND {keyed}"));
    for part in [
        "1 run has different results in two files; nothing was merged\n",
        &format!("run {id} (s · only · seed 0)\n"),
        "/t.db: completed, 20 steps, last loss 0.05 (cpu, a.db",
        "/bad.db: completed, 20 steps, last loss 0.05 (cpu, b.db",
        "first difference: step 7, loss: 0.14285714285714285 against 0.75\n",
        "pipeline reproduce RUN --db FILE",
    ] {
        assert!(error.contains(part), "{part}\n{error}");
    }
    assert!(refused(&format!("DELETE FROM step_log WHERE step = 20 AND {keyed}")).contains("first difference: step 20 is in /t.db only"));
    assert!(
        refused(&format!("UPDATE step_log SET loss = NULL WHERE step = 3 AND {keyed}"))
            .contains("step 3, loss: 0.3333333333333333 against nothing")
    );
    assert!(refused(&format!("UPDATE measurement_log SET value = 2 WHERE {keyed}")).contains("measurement m, value: 1 against 2"));
    assert!(
        refused(&format!("UPDATE run SET outcome = 'diverged' WHERE id = '{id}'")).contains("the run, outcome: completed against diverged")
    );
    assert_eq!(files.counts("t.db", &["b.db"]), [[0, 3, 1]]);
}

#[test]
fn files_of_earlier_versions_come_whole_and_stay_as_they_are() {
    let files = Files::new();
    for version in 1..=4 {
        let [name, other, target] = ["", "migrated-", "merged-"].map(|start| format!("{start}v{version}.db"));
        for copy in [&name, &other] {
            std::fs::copy(format!("{FILES}/v{version}.db"), files.path(copy)).unwrap();
        }
        let before = content(files.0.path());
        assert_eq!(files.counts(&target, &[&name]), [[4, 0, 0]]);
        let mut after = content(files.0.path());
        assert!(after.remove(&target).is_some() && after == before, "{:?}", after.keys());
        drop(Reader::open(&files.path(&other)).unwrap());
        assert!(tables(&files.path(&target)) == tables(&files.path(&other)), "{name}");
        assert_eq!(files.counts(&target, &[&name, &other]), [[0, 4, 0]; 2]);
    }
    // Version 1 did not know all that version 4 logs.
    assert!(matches!(files.merge("new.db", &["v1.db", "v4.db"]), Err(Error::Conflict(_))));
    assert!(!files.path("new.db").exists());
}

#[test]
fn a_study_that_differs_stays_as_the_target_has_it() {
    let files = Files::new();
    let other = Study { source: "[study] # another".into(), seeds: vec![7], ..study() };
    files.sweep("a.db", &[(0, 20, COMPLETED)]);
    let tracker = files.open("b.db", &other, "b");
    train(&tracker, &runs(&other)[0], 20, COMPLETED);
    tracker.close().unwrap();
    files.merge("t.db", &["a.db"]).unwrap();
    let came = files.merge("t.db", &["b.db"]).unwrap();
    assert_eq!(came, [Merged { new: 1, different_studies: vec!["s".into()], ..Merged::default() }]);
    let studies = Reader::open(&files.path("t.db")).unwrap().studies().unwrap();
    assert_eq!((studies.len(), studies[0].source.as_str()), (1, "[study]"));
    // Of sources it is the one that was swept last, whichever is named first.
    for (target, sources) in [("ab.db", ["a.db", "b.db"]), ("ba.db", ["b.db", "a.db"])] {
        files.merge(target, &sources).unwrap();
        assert_eq!(Reader::open(&files.path(target)).unwrap().studies().unwrap()[0].source, other.source);
    }
    assert!(tables(&files.path("ab.db")) == tables(&files.path("ba.db")));
}

#[test]
fn leases_stay_where_they_are() {
    let files = Files::new();
    let study = study();
    let run = &runs(&study)[0];
    let at_work = files.open("source.db", &study, "there");
    let mut sink = at_work.start(run).unwrap();
    log(&mut sink, 1..=5).unwrap();
    // Whether all that was logged is written, and the run is still its own.
    let holds = |sink: &mut dyn Sink| sink.checkpoint(5, &mut |to| to.write_all(b"state")).is_ok();
    assert!(holds(&mut sink));
    assert_eq!(files.counts("t.db", &["source.db"]), [[4, 0, 0]]);
    let known = Tracker::known(&files.path("t.db"), &[&run.id]).unwrap();
    assert!(known[0].as_ref().is_some_and(|k| k.started && !k.in_training && k.outcome.is_none()));
    // A target that is being swept: what is in training gives way to a result, and to nothing else.
    files.sweep("further.db", &[(0, 9, Some(Outcome::Interrupted)), (1, 20, COMPLETED)]);
    assert_eq!(files.counts("source.db", &["further.db"]), [[0, 3, 1]]);
    assert!(holds(&mut sink));
    files.sweep("done.db", &[(0, 20, COMPLETED)]);
    assert_eq!(files.counts("source.db", &["done.db"]), [[0, 3, 1]]);
    assert!(!holds(&mut sink), "there is a result");
    drop(sink);
    at_work.close().unwrap();
    assert_eq!(tables(&files.path("source.db"))[5].len(), 40);
}

#[test]
fn what_a_killed_sweep_left_is_read_with_its_log() {
    let files = Files::new();
    let study = study();
    let tracker = files.open("open.db", &study, "there");
    train(&tracker, &runs(&study)[0], 20, COMPLETED);
    let mut sink = tracker.start(&runs(&study)[1]).unwrap();
    log(&mut sink, 1..=7).unwrap();
    sink.checkpoint(7, &mut |to| to.write_all(b"state")).unwrap();
    std::fs::create_dir(files.path("killed")).unwrap();
    for end in ["", "-wal"] {
        std::fs::copy(files.path(&format!("open.db{end}")), files.path(&format!("killed/k.db{end}"))).unwrap();
    }
    let before = content(&files.path("killed"));
    assert!(!before["k.db-wal"].is_empty());
    assert_eq!(files.counts("t.db", &["killed/k.db"]), [[4, 0, 0]]);
    assert_eq!(tables(&files.path("t.db"))[5].len(), 27);
    let mut after = content(&files.path("killed"));
    // An index that SQLite makes from a log.
    after.remove("k.db-shm");
    assert!(after == before, "{:?}", after.keys());
}

#[test]
fn a_disk_that_fills_leaves_the_target_as_it_was() {
    let Some(disk) = Disk::of_kib(512) else { return };
    let files = Files::new();
    files.sweep("a.db", &[(0, 20, COMPLETED)]);
    files.sweep("b.db", &[(1, 20_000, COMPLETED)]);
    std::fs::copy(format!("{FILES}/v4.db"), files.path("v4.db")).unwrap();
    let target = disk.path.join("t.db");
    merge(&[files.path("a.db")], &target).unwrap();
    let before = tables(&target);
    let full = merge(&[files.path("b.db")], &target).unwrap_err().to_string();
    assert!(full.contains("t.db: the disk is full"), "{full}");
    assert!(tables(&target) == before);
    assert_eq!(content(&disk.path).into_keys().collect::<Vec<_>>(), ["t.db"]);
    disk.fill();
    let full = merge(&[files.path("v4.db")], &target).unwrap_err().to_string();
    assert!(full.contains("the disk is full"), "{full}");
    assert!(tables(&target) == before);
    assert_eq!(content(&disk.path).into_keys().collect::<Vec<_>>(), ["filler", "t.db"]);
}

#[test]
fn what_can_not_be_merged_is_named() {
    let files = Files::new();
    files.sweep("t.db", &[(0, 20, COMPLETED)]);
    std::fs::write(files.path("empty.db"), "").unwrap();
    std::fs::write(files.path("text.db"), "no database").unwrap();
    copy(&files.path("t.db"), &files.path("newer.db"), false).unwrap();
    Connection::open(files.path("newer.db")).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let before = content(files.0.path());
    for (name, wanted) in [
        ("empty.db", "the file is empty"),
        ("text.db", "not a results database"),
        ("newer.db", "written by a newer version"),
        ("absent.db", "there are no results"),
        ("t.db", "the others are merged into"),
    ] {
        let error = files.merge("t.db", &[name]).unwrap_err();
        let text = error.to_string();
        assert!(error.is_usage() && text.contains(wanted) && text.contains(&files.path(name).display().to_string()), "{text}");
    }
    assert!(content(files.0.path()) == before);
}
