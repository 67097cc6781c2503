//! Plans: what is shown, and what is refused.

use crate::workspace::{TINY, Workspace};

#[test]
fn a_plan_lists_every_run_with_its_reason_and_writes_nothing() {
    let w = Workspace::new(TINY);
    insta::assert_snapshot!(w.ok(&["plan"]));
    assert!(!w.path("results").exists());
    w.ok(&["sweep", "--quiet", "--filter", "lr=0.1"]);
    let after = w.ok(&["plan"]);
    assert_eq!(after.matches(" skip ").count(), 2, "{after}");
    assert!(after.contains("4 runs: 2 to train (40 steps), 2 to skip, about "), "{after}");
    let json: serde_json::Value = serde_json::from_str(&w.ok(&["plan", "--json"])).unwrap();
    let runs = json["runs"].as_array().unwrap();
    assert_eq!((runs.len(), runs.iter().filter(|r| r["runs"] == true).count()), (4, 2));
    assert!(json["estimate_s"].as_f64().unwrap() > 0.0);
    assert_eq!(runs[0]["config"]["lr"], 0.1);
}

#[test]
fn a_typo_names_its_line() {
    let w = Workspace::new(&TINY.replace("batch_size", "batchsize"));
    for command in ["plan", "sweep"] {
        let outcome = w.run(&[command]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""));
        insta::allow_duplicates! {
            insta::assert_snapshot!(outcome.stderr, @r"
            error: unknown key `batchsize` in [base]
              --> experiments/tiny.toml:12:1
               |
            12 | batchsize = 32
               | ^^^^^^^^^
               = help: did you mean `batch_size`?
            ");
        }
    }
}

#[test]
fn what_does_not_fit_the_data_is_refused_before_anything_runs() {
    let refused = |from: &str, to: &str| {
        let w = Workspace::new(&TINY.replace(from, to));
        let outcome = w.run(&["sweep"]);
        assert_eq!(outcome.code, Some(2));
        assert!(!w.path("results").exists());
        outcome.stderr
    };
    let error = refused("batch_size = 32", "batch_size = 301");
    assert_eq!(
        error,
        "error: study tiny, arm lr=0.1: batch_size = 301, but there are 300 training examples; use \"full\" for all of them\n"
    );
    assert!(refused("train_examples = 300", "train_examples = 20000").contains("leaves 9900 for training"));
}

#[test]
fn selections_can_be_wrong_or_empty() {
    let w = Workspace::new(TINY);
    let outcome = |args: &[&str]| {
        let o = w.run(args);
        (o.code, o.stderr)
    };
    assert_eq!(outcome(&["plan", "--filter", "lr=5"]), (Some(4), "error: the filter selects no run\n".into()));
    let (code, error) = outcome(&["plan", "--filter", "learning_rate=5"]);
    assert_eq!((code, error.as_str()), (Some(2), "error: --filter: no run has a key `learning_rate`; did you mean `lr`?\n"));
    assert_eq!(outcome(&["plan", "absent.toml"]).0, Some(2));
    assert_eq!(outcome(&["plan", "--max-runs", "3"]).0, Some(2));
    assert_eq!(outcome(&["plan", "--filter", "nonsense"]).0, Some(2));
    let (code, error) = outcome(&["plan", "--device", "cuda"]);
    if !cfg!(feature = "cuda") {
        assert_eq!(
            (code, error.as_str()),
            (Some(2), "error: this binary was built without cuda (cargo build --release --features cli/cuda)\n")
        );
    }
    for command in [&["status"][..], &["report"], &["query", "SELECT 1"], &["show", "abc"]] {
        let (code, error) = outcome(command);
        assert_eq!((code, error.contains("there are no results yet")), (Some(2), true), "{command:?} {error}");
    }
}

#[test]
fn a_dataset_that_is_not_there_is_said_with_where_it_was_looked_for() {
    let w = Workspace::new(&TINY.replace("fashion-mnist-mini", "fashion-mnist"));
    std::fs::create_dir(w.path("d")).unwrap();
    w.write("d/train-images-idx3-ubyte.gz", "no gzip file at all");
    let outcome = w.run(&["plan", "--data-dir", "d"]);
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("d/train-images-idx3-ubyte.gz: is not a gzip file"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("experiments/tiny.toml:7:1"), "{}", outcome.stderr);
}
