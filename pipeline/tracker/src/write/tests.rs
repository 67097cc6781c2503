//! What is written reads back, whatever its numbers are and however the sweep before it ended.

use spec::record::Sink;
use spec::{Arm, Config, Metric, Split, Value};

use super::*;
use crate::Reader;

/// A study of two arms and two seeds.
pub(crate) fn study() -> Study {
    let arm = |lr: f64| {
        let mut config = Config::default();
        config.insert("lr", Value::Float(lr));
        Arm { label: format!("lr={lr}"), axes: vec![("lr".into(), Value::Float(lr))], config, graph: None }
    };
    Study {
        name: "s".into(),
        question: "why?".into(),
        hypothesis: None,
        metric: Metric::ALL[3],
        analysis: spec::analysis::Settings::default(),
        targets: vec![(Metric::ALL[3], 0.5), (Metric::ALL[2], 1.0)],
        axes: vec!["lr".into()],
        arms: vec![arm(0.1), arm(1.0)],
        seeds: vec![0, 1],
        source: "[study]".into(),
    }
}

fn step(step: u64, loss: f64) -> Step {
    Step { step, epoch: 1, examples: step * 8, loss, accuracy: Some(0.5), lr: 0.1, grad_norm: 2.0 * loss, elapsed_ms: step as f64 }
}

fn eval(step: u64, split: Split, loss: f64, accuracy: f64) -> Eval {
    Eval { step, epoch: step, split, examples: 10, loss, accuracy: Some(accuracy), noise_scale: None, elapsed_ms: step as f64 }
}

fn facts() -> Facts {
    let layer = LayerFacts { text: "dense 1".into(), output: vec![1], parameters: 7, multiply_adds: 6 };
    let device = "cpu".into();
    Facts {
        parameters: 7,
        flops_per_step: 9,
        planned_steps: 300,
        memory_bytes: 1000,
        device,
        threads: 1,
        layers: vec![layer],
        classes: vec!["a".into(), "b".into()],
    }
}

fn runs(study: &Study) -> Vec<RunSpec> {
    study.runs().map(|(_, run)| run).collect()
}

#[test]
fn every_record_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sub/r.db");
    let study = study();
    let environment = Environment { os: "linux".into(), version: "1".into(), ..Environment::default() };
    let tracker = Tracker::open(&path, std::slice::from_ref(&study), environment).unwrap();
    let run = &runs(&study)[0];
    let mut sink = tracker.start(run).unwrap();
    sink.begin(&facts()).unwrap();
    // More than a buffer, with every kind of broken number.
    let losses: Vec<f64> = (1..=300)
        .map(|i| match i {
            298 => f64::INFINITY,
            299 => f64::NEG_INFINITY,
            300 => f64::NAN,
            i => f64::from(i) / 7.0,
        })
        .collect();
    for (i, loss) in losses.iter().enumerate() {
        sink.step(&step(i as u64 + 1, *loss)).unwrap();
    }
    sink.eval(&eval(300, Split::Validation, f64::NAN, 0.1)).unwrap();
    sink.end(Ended { outcome: Outcome::Diverged, steps: 300, error: Some("the loss is not finite".into()) }).unwrap();
    tracker.close().unwrap();

    assert!(!folder.path().join("sub/r.db-wal").exists(), "a finished sweep leaves one file");
    let reader = Reader::open(&path).unwrap();
    let studies = reader.studies().unwrap();
    assert_eq!(reader.runs(&studies[0]).unwrap()[0].layers, facts().layers);
    assert_eq!((studies[0].targets.len(), &studies[0].axes[..]), (2, &["lr".to_owned()][..]));
    let found = reader.runs(&studies[0]).unwrap();
    assert_eq!(found.len(), 4);
    assert_eq!((found[0].outcome, found[0].steps, found[0].parameters), (Some(Outcome::Diverged), 300, Some(7)));
    assert_eq!((found[1].outcome, found[1].started), (None, false));
    let steps = reader.steps(&found).unwrap();
    let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&steps.loss), bits(&losses));
    assert!(reader.evals(&found).unwrap().loss[0].is_nan());
    let finite = reader.query("SELECT SUM(finite), COUNT(*) FROM step").unwrap();
    assert_eq!(finite.rows[0], [crate::query::Cell::Integer(297), crate::query::Cell::Integer(300)]);
}

#[test]
fn a_run_without_a_checkpoint_starts_over_and_a_changed_grid_keeps_what_was_trained() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.db");
    let mut study = study();
    let all = runs(&study);
    let tracker = Tracker::open(&path, std::slice::from_ref(&study), Environment::default()).unwrap();
    let mut sink = tracker.start(&all[0]).unwrap();
    sink.step(&step(1, 1.0)).unwrap();
    sink.eval(&eval(1, Split::Train, 1.0, 0.5)).unwrap();
    drop(sink); // killed
    let sink = tracker.start(&all[1]).unwrap();
    sink.end(Ended { outcome: Outcome::Completed, steps: 0, error: None }).unwrap();
    tracker.close().unwrap();
    let known = |ids: &[&str]| Tracker::known(&path, ids).unwrap();
    let before = known(&[&all[0].id, &all[1].id, &all[2].id, "absent"]);
    let state = |k: &Option<Known>| k.as_ref().map(|k| (k.started, k.outcome));
    assert_eq!(
        before.iter().map(state).collect::<Vec<_>>(),
        [Some((true, None)), Some((true, Some(Outcome::Completed))), Some((false, None)), None]
    );

    study.arms.remove(1); // all[1] and all[3] leave the study; all[1] has been trained
    let tracker = Tracker::open(&path, std::slice::from_ref(&study), Environment::default()).unwrap();
    let mut sink = tracker.start(&all[0]).unwrap();
    sink.step(&step(1, 2.0)).unwrap();
    sink.end(Ended { outcome: Outcome::Completed, steps: 1, error: None }).unwrap();
    tracker.close().unwrap();
    let after = known(&[&all[0].id, &all[1].id, &all[3].id]);
    let done = Some((true, Some(Outcome::Completed)));
    assert_eq!(after.iter().map(state).collect::<Vec<_>>(), [done, done, None]);
    let reader = Reader::open(&path).unwrap();
    let rows = reader.query("SELECT loss FROM step").unwrap().rows;
    assert_eq!(rows, [[crate::query::Cell::Real(2.0)]]);
}

#[test]
fn views_leave_diverged_runs_in_and_out_of_the_right_places() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.db");
    let study = study();
    let tracker = Tracker::open(&path, std::slice::from_ref(&study), Environment::default()).unwrap();
    // lr=0.1: two completed runs; lr=1: one diverged, although its accuracy was the best of all, one not started.
    for (run, accuracies) in runs(&study).iter().zip([[0.4, 0.6], [0.9, f64::NAN], [0.3, 0.4]]) {
        let diverged = accuracies[1].is_nan();
        let mut sink = tracker.start(run).unwrap();
        sink.eval(&eval(0, Split::Validation, 2.0, accuracies[0])).unwrap();
        if !diverged {
            sink.eval(&eval(10, Split::Validation, 0.5, accuracies[1])).unwrap();
            sink.eval(&eval(10, Split::Test, 0.6, 0.55)).unwrap();
        }
        let outcome = if diverged { Outcome::Diverged } else { Outcome::Completed };
        sink.end(Ended { outcome, steps: 10, error: None }).unwrap();
    }
    tracker.close().unwrap();
    let reader = Reader::open(&path).unwrap();
    let text = |sql: &str| {
        let answer = reader.query(sql).unwrap();
        answer
            .rows
            .iter()
            .map(|r| format!("{r:?}"))
            .collect::<Vec<_>>()
            .join("\n")
            .replace("Integer", "")
            .replace("Real", "")
            .replace("Text", "")
    };
    let summary = text("SELECT arm, runs, finished, diverged, missing, median, minimum, maximum FROM arm_summary");
    assert_eq!(summary, "[(\"lr=0.1\"), (2), (2), (0), (0), (0.5), (0.4), (0.6)]\n[(\"lr=1\"), (2), (0), (1), (1), Null, Null, Null]");
    let reached = text("SELECT arm, seed, reached, step FROM time_to_target WHERE metric = 'validation_accuracy' ORDER BY position, seed");
    assert_eq!(reached, "[(\"lr=0.1\"), (0), (1), (10)]\n[(\"lr=0.1\"), (1), (0), Null]\n[(\"lr=1\"), (0), (1), (0)]");
    let lr = text("SELECT other_axes, lr, diverged, median FROM lr_sensitivity ORDER BY lr");
    assert_eq!(lr, "[(\"{}\"), (0.1), (0), (0.5)]\n[(\"{}\"), (1.0), (1), Null]");
    let error = |sql: &str| reader.query(sql).unwrap_err().to_string();
    assert!(error("DELETE FROM run").contains("only reading is allowed"));
    assert!(error("SELECT 1; SELECT 2").contains("one statement"));
    assert_eq!(error("SELECT nope FROM run"), "no such column: nope\n  SELECT nope FROM run\n         ^");
}

/// A results file that several sweeps work on.
struct Shared {
    folder: tempfile::TempDir,
    study: Study,
}

impl Shared {
    fn new() -> Self {
        Shared { folder: tempfile::tempdir().unwrap(), study: study() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("r.db")
    }

    fn sweep(&self) -> Tracker {
        let tracker = Tracker::open(&self.path(), std::slice::from_ref(&self.study), Environment::default()).unwrap();
        tracker.with_checkpoints_every(Some(Duration::ZERO))
    }

    fn run(&self, i: usize) -> RunSpec {
        runs(&self.study)[i].clone()
    }

    /// Changes the file as no sweep would.
    fn meddle(&self, sql: &str) {
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }

    fn rows(&self, sql: &str) -> Vec<String> {
        let rows = Reader::open(&self.path()).unwrap().query(sql).unwrap().rows;
        rows.iter().map(|row| format!("{row:?}").replace("Integer", "").replace("Real", "").replace("Text", "").replace('"', "")).collect()
    }

    fn known(&self, i: usize) -> Known {
        Tracker::known(&self.path(), &[&self.run(i).id]).unwrap().remove(0).unwrap()
    }
}

fn own(claimed: Claimed) -> Start {
    match claimed {
        Claimed::Own(start) => *start,
        Claimed::Elsewhere => panic!("another sweep trains it"),
        Claimed::Done => panic!("it has ended"),
    }
}

fn completed(steps: u64) -> Ended {
    Ended { outcome: Outcome::Completed, steps, error: None }
}

const SILENT: &str = "UPDATE sweep SET place = 'far away', heartbeat = heartbeat - 61";
const GONE: &str = "UPDATE sweep SET process_started = process_started - 100";

#[test]
fn two_sweeps_share_the_runs_and_train_none_twice() {
    let shared = Shared::new();
    let (a, b) = (shared.sweep(), shared.sweep());
    let first = own(a.claim(&shared.run(0), &Wanted::Unfinished).unwrap());
    assert!(matches!(b.claim(&shared.run(0), &Wanted::Unfinished), Ok(Claimed::Elsewhere)));
    assert!(matches!(b.claim(&shared.run(0), &Wanted::Always), Ok(Claimed::Elsewhere)), "not even by force");
    assert!(shared.known(0).in_training && !shared.known(1).in_training);
    let second = own(b.claim(&shared.run(1), &Wanted::Unfinished).unwrap());
    first.sink.end(completed(0)).unwrap();
    // The claim waits until what was sent before it is written, by its own sweep.
    assert!(matches!(a.claim(&shared.run(0), &Wanted::Unfinished), Ok(Claimed::Done)));
    assert!(matches!(b.claim(&shared.run(0), &Wanted::Failed), Ok(Claimed::Done)));
    second.sink.end(Ended { outcome: Outcome::Failed, steps: 0, error: Some("boom".into()) }).unwrap();
    assert!(matches!(b.claim(&shared.run(1), &Wanted::Unfinished), Ok(Claimed::Done)));
    let again = own(a.claim(&shared.run(1), &Wanted::Failed).unwrap());
    again.sink.end(completed(0)).unwrap();
    let ended_at = || shared.known(1).ended_at;
    a.close().unwrap();
    // By force, from a plan that another sweep has overtaken.
    assert!(matches!(b.claim(&shared.run(1), &Wanted::Again { ended_at: None }), Ok(Claimed::Done)));
    assert!(matches!(b.claim(&shared.run(1), &Wanted::Again { ended_at: ended_at() }), Ok(Claimed::Own(_))));
    b.close().unwrap();
    assert_eq!(
        shared.rows("SELECT run_key, number, sweep_key, outcome, COALESCE(error, '') FROM attempt"),
        [
            "[(1), (1), (1), (completed), ()]",
            "[(3), (1), (2), (failed), (boom)]",
            "[(3), (2), (1), (completed), ()]",
            "[(3), (3), (2), (interrupted), ()]"
        ]
    );
}

#[test]
fn runs_of_a_dead_or_silent_sweep_are_taken_over_and_it_cannot_spoil_them() {
    for death in [SILENT, GONE] {
        let shared = Shared::new();
        let dead = shared.sweep();
        let mut stale = own(dead.claim(&shared.run(0), &Wanted::Unfinished).unwrap()).sink;
        stale.step(&step(1, 0.5)).unwrap();
        stale.checkpoint(1, &mut |to| to.write_all(b"one")).unwrap();
        stale.step(&step(2, 0.25)).unwrap();
        shared.meddle(death);
        assert!(!shared.known(0).in_training);
        assert_eq!(shared.known(0).checkpoint, Some(1));

        let heir = shared.sweep();
        let mut taken = own(heir.claim(&shared.run(0), &Wanted::Unfinished).unwrap());
        assert_eq!(taken.checkpoint, Some(b"one".to_vec()));
        // It wakes, and finds its run gone: what it still had in hand is dropped.
        assert!(stale.checkpoint(2, &mut |_| panic!("nothing may be written")).unwrap_err().0.contains("taken the run over"));
        assert!(stale.is_lost() && stale.eval(&eval(2, Split::Train, 9.0, 0.9)).is_err());
        taken.sink.step(&step(2, 0.125)).unwrap();
        taken.sink.end(completed(2)).unwrap();
        heir.close().unwrap();
        drop(stale);
        dead.close().unwrap();
        assert_eq!(shared.rows("SELECT step, loss FROM step"), ["[(1), (0.5)]", "[(2), (0.125)]"]);
        assert_eq!(shared.rows("SELECT outcome, after_step FROM attempt"), ["[(lost), (0)]", "[(completed), (1)]"]);
        assert_eq!(shared.rows("SELECT COUNT(*) FROM eval"), ["[(0)]"]);
        assert!(!shared.folder.path().join("r.db-checkpoints").exists(), "kept while the run is unfinished only");
    }
}

#[test]
fn a_run_goes_on_from_its_checkpoint_and_rows_past_it_are_removed() {
    let shared = Shared::new();
    let sweep = shared.sweep();
    let mut sink = own(sweep.claim(&shared.run(0), &Wanted::Unfinished).unwrap()).sink;
    let place = |step| Position { step, x: step as f64, y: 0.0 };
    sink.position(&place(0)).unwrap();
    sink.eval(&eval(0, Split::Train, 2.0, 0.1)).unwrap();
    for at in 1..=5 {
        sink.step(&step(at, 1.0 / at as f64)).unwrap();
        sink.position(&place(at)).unwrap();
        if at == 3 {
            sink.eval(&eval(3, Split::Train, 1.5, 0.2)).unwrap();
            sink.checkpoint(3, &mut |to| to.write_all(b"three")).unwrap();
        }
    }
    sink.eval(&eval(5, Split::Train, 1.0, 0.3)).unwrap();
    sink.end(Ended { outcome: Outcome::Interrupted, steps: 5, error: None }).unwrap();
    sweep.close().unwrap();

    let sweep = shared.sweep();
    let mut start = own(sweep.claim(&shared.run(0), &Wanted::Unfinished).unwrap());
    assert_eq!(start.checkpoint, Some(b"three".to_vec()));
    let counts = "SELECT (SELECT MAX(step) FROM step), (SELECT MAX(step) FROM eval), (SELECT MAX(step) FROM position)";
    assert_eq!(shared.rows(counts), ["[(3), (3), (3)]"]);
    start.sink.step(&step(4, 0.25)).unwrap();
    // One that counts on: two evaluations before it, five places.
    start.sink.position(&place(4)).unwrap();
    start.sink.checkpoint(4, &mut |to| to.write_all(b"four")).unwrap();
    drop(start);
    sweep.close().unwrap();
    let sweep = shared.sweep();
    assert_eq!(own(sweep.claim(&shared.run(0), &Wanted::Unfinished).unwrap()).checkpoint, Some(b"four".to_vec()));
    sweep.close().unwrap();

    // What was logged before it is not all there: of no use.
    shared.meddle("DELETE FROM step_log WHERE step = 2");
    let sweep = shared.sweep();
    assert_eq!(own(sweep.claim(&shared.run(0), &Wanted::Unfinished).unwrap()).checkpoint, None);
    assert_eq!(shared.rows(counts), ["[Null, Null, Null]"]);
    sweep.close().unwrap();
}

#[test]
fn a_checkpoint_of_no_use_and_force_start_over() {
    let shared = Shared::new();
    let begun = || {
        let sweep = shared.sweep();
        let mut sink = own(sweep.claim(&shared.run(0), &Wanted::Always).unwrap()).sink;
        sink.step(&step(1, 1.0)).unwrap();
        sink.checkpoint(1, &mut |to| to.write_all(b"state")).unwrap();
        sink.end(Ended { outcome: Outcome::Interrupted, steps: 1, error: None }).unwrap();
        sweep.close().unwrap();
        shared.sweep()
    };
    let sweep = begun();
    let start = own(sweep.claim(&shared.run(0), &Wanted::Unfinished).unwrap());
    assert!(start.checkpoint.is_some());
    let sink = sweep.start_over(start.sink).unwrap();
    assert_eq!(shared.rows("SELECT COUNT(*) FROM step"), ["[(0)]"]);
    drop(sink);
    sweep.close().unwrap();
    let sweep = begun();
    assert!(own(sweep.claim(&shared.run(0), &Wanted::Again { ended_at: None }).unwrap()).checkpoint.is_none());
    assert_eq!(shared.known(0).checkpoint, None, "nothing will go on from it any more");
    sweep.close().unwrap();
    // A file that is not whole.
    let sweep = begun();
    let file = shared.folder.path().join("r.db-checkpoints").join(format!("{}.checkpoint", shared.run(0).id));
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert!(own(sweep.claim(&shared.run(0), &Wanted::Unfinished).unwrap()).checkpoint.is_none());
    assert_eq!(shared.rows("SELECT COUNT(*) FROM step"), ["[(0)]"]);
    sweep.close().unwrap();
}

#[test]
fn a_run_that_kills_its_process_again_and_again_has_failed() {
    let shared = Shared::new();
    let pid = std::process::id();
    let dies_with = |training: &[usize]| {
        let sweep = shared.sweep();
        let sinks: Vec<_> = training.iter().map(|i| own(sweep.claim(&shared.run(*i), &Wanted::Unfinished).unwrap())).collect();
        // The process is gone; what follows is another.
        shared.meddle(GONE);
        let heir = shared.sweep();
        let buried = heir.bury(pid, "killed by signal 9", 2).unwrap();
        heir.close().unwrap();
        drop(sinks);
        let _ = sweep.close();
        buried
    };
    let ids = |runs: &[usize]| {
        let mut ids: Vec<String> = runs.iter().map(|i| shared.run(*i).id).collect();
        ids.sort();
        ids
    };
    let suspects = |runs: &[usize]| Buried { suspects: ids(runs), ..Buried::default() };
    assert_eq!(dies_with(&[0, 1]), suspects(&[0, 1]), "either may have been the reason");
    assert_eq!(dies_with(&[1, 2]), suspects(&[1, 2]), "not alone: innocent until proven guilty");
    assert_eq!(dies_with(&[1]), Buried { failed: ids(&[1]), ..Buried::default() });
    assert_eq!(dies_with(&[2]), Buried { failed: ids(&[2]), ..Buried::default() });
    assert_eq!(dies_with(&[3]), suspects(&[3]), "once is no proof");
    assert_eq!(dies_with(&[]), Buried::default());
    let known = shared.known(1);
    assert_eq!((known.outcome, known.error.as_deref()), (Some(Outcome::Failed), Some("killed by signal 9, 3 times")));
    // A sweep that lives keeps its runs.
    let sweep = shared.sweep();
    let _own = own(sweep.claim(&shared.run(0), &Wanted::Unfinished).unwrap());
    assert_eq!(shared.sweep().bury(pid, "no", 2).unwrap(), Buried::default());
}
