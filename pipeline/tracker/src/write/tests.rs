//! What is written reads back, whatever its numbers are and however the sweep before it ended.

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
    let tracker = Tracker::open(&path, std::slice::from_ref(&study)).unwrap();
    let environment = Arc::new(Environment { os: "linux".into(), version: "1".into(), ..Environment::default() });
    let run = &runs(&study)[0];
    let mut sink = tracker.start(run, &environment).unwrap();
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
    assert!(matches!(Tracker::open(&path, &[]), Err(Error::Busy(_))));
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
fn an_unfinished_run_starts_over_and_a_changed_grid_keeps_what_was_trained() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.db");
    let mut study = study();
    let all = runs(&study);
    let environment = Arc::new(Environment::default());
    let tracker = Tracker::open(&path, std::slice::from_ref(&study)).unwrap();
    let mut sink = tracker.start(&all[0], &environment).unwrap();
    sink.step(&step(1, 1.0)).unwrap();
    sink.eval(&eval(1, Split::Train, 1.0, 0.5)).unwrap();
    drop(sink); // killed
    let sink = tracker.start(&all[1], &environment).unwrap();
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
    let tracker = Tracker::open(&path, std::slice::from_ref(&study)).unwrap();
    let mut sink = tracker.start(&all[0], &environment).unwrap();
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
    let environment = Arc::new(Environment::default());
    let tracker = Tracker::open(&path, std::slice::from_ref(&study)).unwrap();
    // lr=0.1: two completed runs; lr=1: one diverged, although its accuracy was the best of all, one not started.
    for (run, accuracies) in runs(&study).iter().zip([[0.4, 0.6], [0.9, f64::NAN], [0.3, 0.4]]) {
        let diverged = accuracies[1].is_nan();
        let mut sink = tracker.start(run, &environment).unwrap();
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
