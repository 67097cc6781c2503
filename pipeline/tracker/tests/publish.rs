//! What a task publishes only grows, whoever else publishes there, and another machine goes on from it.

#![allow(clippy::unwrap_used, reason = "a test that can't go on panics")]

mod common;

use std::path::{Path, PathBuf};

use common::{log, runs, study};
use rusqlite::Connection;
use spec::RunSpec;
use spec::record::{Facts, Outcome, Sink};
use tracker::{Claimed, Ended, Environment, Error, Publication, Reader, Tracker, Wanted};

fn open(path: &Path) -> Tracker {
    Tracker::open(path, &[study()], Environment::default()).unwrap()
}

fn facts() -> Facts {
    Facts {
        parameters: 1,
        flops_per_step: 1,
        memory_bytes: 1,
        planned_steps: 20,
        device: "cpu".into(),
        threads: 1,
        layers: vec![],
        classes: vec![],
    }
}

/// Goes on with a run from its checkpoint, if it has one, to a step where it keeps the next; `None` trains it to its end.
fn train(tracker: &Tracker, run: &RunSpec, to: Option<u64>) {
    let Claimed::Own(start) = tracker.claim(run, &Wanted::Unfinished).unwrap() else { panic!("the run is to be had") };
    let from = start.checkpoint.map_or(0, |state| state[0].into());
    let mut sink = start.sink;
    if from == 0 {
        sink.begin(&facts()).unwrap();
    }
    log(&mut sink, from + 1..=to.unwrap_or(20)).unwrap();
    match to {
        None => sink.end(Ended { outcome: Outcome::Completed, steps: 20, error: None }).unwrap(),
        Some(step) => {
            sink.checkpoint(step, &mut |out| out.write_all(&[u8::try_from(step).unwrap()])).unwrap();
            sink.end(Ended { outcome: Outcome::Interrupted, steps: step, error: None }).unwrap();
        }
    }
    // Asks something, which is answered when everything before it is committed.
    tracker.bury(u32::MAX, "nobody", 1).unwrap();
}

/// Steps of each run in a file, and those of its checkpoints.
fn state(path: &Path) -> (Vec<u64>, Vec<Option<u64>>) {
    let connection = Connection::open(path).unwrap();
    let of = |run: &RunSpec| {
        let sql = "SELECT COUNT(*) FROM step_log WHERE run_key = (SELECT key FROM run WHERE id = ?)";
        connection.query_row(sql, [&run.id], |r| r.get(0)).unwrap()
    };
    let all = runs(&study());
    let ids: Vec<&str> = all.iter().map(|run| run.id.as_str()).collect();
    let known = Tracker::known(path, &ids).unwrap();
    (all.iter().map(of).collect(), known.into_iter().map(|k| k.and_then(|k| k.checkpoint)).collect())
}

struct Machines(tempfile::TempDir);

impl Machines {
    fn new() -> Self {
        Machines(tempfile::tempdir().unwrap())
    }

    /// The local disk of a machine.
    fn disk(&self, name: &str) -> PathBuf {
        self.0.path().join(name).join("results.db")
    }

    fn shared(&self) -> PathBuf {
        self.0.path().join("shared").join("shard-1.db")
    }

    /// What a task finds when it starts on a machine.
    fn start(&self, name: &str) -> (Publication, Tracker) {
        let publication = Publication::take_up(&self.disk(name), &self.shared()).unwrap();
        (publication, open(&self.disk(name)))
    }
}

#[test]
fn another_machine_goes_on_from_what_was_published() {
    let machines = Machines::new();
    let all = runs(&study());
    let (mut first, tracker) = machines.start("a");
    train(&tracker, &all[0], None);
    train(&tracker, &all[1], Some(7));
    // While a sweep has the file open, with a log beside it.
    first.publish().unwrap();
    assert_eq!(state(&machines.shared()), (vec![20, 7, 0, 0], vec![None, Some(7), None, None]));
    drop(tracker);

    let (mut second, tracker) = machines.start("b");
    train(&tracker, &all[1], Some(12));
    second.publish().unwrap();
    assert_eq!(state(&machines.shared()), (vec![20, 12, 0, 0], vec![None, Some(12), None, None]));
    train(&tracker, &all[1], None);
    tracker.close().unwrap();
    second.publish().unwrap();
    assert_eq!(state(&machines.shared()), (vec![20, 20, 0, 0], vec![None; 4]));
    let left: Vec<String> =
        std::fs::read_dir(machines.shared().parent().unwrap()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(left.iter().all(|name| name == "shard-1.db" || name == ".shard-1.db.lock"), "{left:?}");
    let reader = Reader::open(&machines.shared()).unwrap();
    assert_eq!(reader.attempts(&all[1].id).unwrap().len(), 3, "every try is known");
}

/// A batch system may start a task twice, and the slower one may be the last to write.
#[test]
fn two_copies_of_a_task_add_to_each_other_and_nothing_goes_back() {
    let machines = Machines::new();
    let all = runs(&study());
    let (mut slow, slow_tracker) = machines.start("slow");
    let (mut fast, fast_tracker) = machines.start("fast");
    train(&fast_tracker, &all[0], None);
    train(&fast_tracker, &all[1], Some(15));
    train(&fast_tracker, &all[2], Some(3));
    fast.publish().unwrap();
    train(&slow_tracker, &all[1], Some(4));
    train(&slow_tracker, &all[2], Some(9));
    train(&slow_tracker, &all[3], None);
    slow.publish().unwrap();
    let both = (vec![20, 15, 9, 20], vec![None, Some(15), Some(9), None]);
    assert_eq!(state(&machines.shared()), both);
    // In the other order, again and again.
    fast.publish().unwrap();
    slow.publish().unwrap();
    assert_eq!(state(&machines.shared()), both);
    // What has a result elsewhere is no reason to stop: the same result is the same.
    train(&slow_tracker, &all[0], None);
    slow.publish().unwrap();
    fast.publish().unwrap();
    assert_eq!(state(&machines.shared()), both);
}

#[test]
fn publishing_at_once_from_many_threads_loses_nothing() {
    let machines = Machines::new();
    let all = runs(&study());
    let barrier = std::sync::Barrier::new(all.len());
    std::thread::scope(|scope| {
        for (i, run) in all.iter().enumerate() {
            let (machines, barrier) = (&machines, &barrier);
            scope.spawn(move || {
                let (mut publication, tracker) = machines.start(&format!("m{i}"));
                train(&tracker, run, None);
                barrier.wait();
                publication.publish().unwrap();
            });
        }
    });
    assert_eq!(state(&machines.shared()).0, [20; 4]);
}

#[test]
fn what_differs_or_is_no_results_file_is_refused_and_stays() {
    let machines = Machines::new();
    let all = runs(&study());
    let (mut one, tracker) = machines.start("one");
    let (mut other, other_tracker) = machines.start("other");
    train(&tracker, &all[0], None);
    one.publish().unwrap();
    train(&other_tracker, &all[0], None);
    other_tracker.close().unwrap();
    Connection::open(machines.disk("other")).unwrap().execute("UPDATE step_log SET loss = 9 WHERE step = 3", []).unwrap();
    let before = std::fs::read(machines.shared()).unwrap();
    let refused = other.publish().unwrap_err().to_string();
    assert!(refused.contains("step 3, loss: ") && refused.contains(&machines.shared().display().to_string()), "{refused}");
    assert!(std::fs::read(machines.shared()).unwrap() == before);

    std::fs::write(machines.shared(), "somebody may want to keep this").unwrap();
    let foreign = Publication::take_up(&machines.disk("new"), &machines.shared());
    assert!(matches!(foreign, Err(Error::Foreign(path)) if path == machines.shared()));
    let itself = Publication::take_up(&machines.disk("one"), &machines.disk("one"));
    assert!(matches!(itself, Err(Error::Itself(_))));
}

#[test]
fn without_results_nothing_is_published() {
    let machines = Machines::new();
    let mut none = Publication::take_up(&machines.disk("a"), &machines.shared()).unwrap();
    none.publish().unwrap();
    assert!(!machines.shared().exists());
}
