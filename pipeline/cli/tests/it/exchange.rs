//! Out and in: what is exported is read back by the programs that it is for, what is imported stands beside our own.

use std::path::PathBuf;
use std::process::Command;

use crate::workspace::{TINY, Workspace, repository};

/// A Python with the packages of `requirements.txt`: `$PIPELINE_PYTHON`, or the one that `just python` makes. Without it, says so.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("PIPELINE_PYTHON").map_or_else(|| repository().join("target/python/bin/python"), PathBuf::from);
    let modules = "import duckdb, mlflow, pandas, pyarrow, tensorboard";
    let has_them = Command::new(&python).args(["-c", modules]).output().is_ok_and(|output| output.status.success());
    if !has_them {
        eprintln!("SKIPPED: needs Python with TensorBoard, MLflow, DuckDB and pandas: `just python`, or PIPELINE_PYTHON");
    }
    has_them.then_some(python)
}

/// Runs a script beside the crate with that Python.
fn script(w: &Workspace, python: &PathBuf, name: &str, args: &[&str]) -> String {
    let script = repository().join("pipeline/exchange/tests").join(name);
    let output = Command::new(python).arg(script).args(args).current_dir(w.path("")).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{name}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Networks that learn and that diverge to NaN, in two studies that share runs, and descents on a surface.
fn results() -> Workspace {
    let w = Workspace::new(&TINY.replace("epochs = 2", "epochs = 2\ndivergence_factor = 1e299").replace("1000]", "100000]"));
    w.write("experiments/shares.toml", &w.read("experiments/tiny.toml").replace("lr = [0.1, 100000]", "lr = [0.1]"));
    let surface = "[study]\nquestion = \"Where to?\"\nmetric = \"train_loss\"\n[base]\nobjective = \"surface\"\nsurface = \"saddle\"\n\
                   start_x = 1.0\nstart_y = 0.001\nsteps = 20\noptimizer = \"sgd\"\n[grid]\nlr = [0.1, 0.01]\n[replicates]\nseeds = 1\n";
    w.write("experiments/surface.toml", surface);
    w.ok(&["sweep", "--quiet", "--no-report"]);
    w
}

#[test]
fn the_programs_that_exports_are_for_read_every_value_back() {
    let Some(python) = python() else { return };
    let w = results();
    for format in ["parquet", "csv", "json", "tensorboard"] {
        w.ok(&["export", "--to", format, &format!("out/{format}")]);
    }
    w.ok(&["export", "--to", "mlflow", "out/mlflow.db"]);
    let said = script(&w, &python, "read_back.py", &["results/results.db", "out"]);
    for program in ["DuckDB", "pandas", "JSON", "EventAccumulator", "TensorBoard server", "HParams", "MLflow"] {
        assert!(said.contains(program), "{said}");
    }
    // Exported again, the store has each run once.
    w.ok(&["export", "--to", "mlflow", "out/mlflow.db"]);
    script(&w, &python, "read_back.py", &["results/results.db", "out", "mlflow"]);
}

#[test]
fn an_export_can_be_narrowed_and_replaces_only_exports() {
    let w = results();
    let runs = |folder: &str| w.read(&format!("{folder}/runs.csv")).lines().count() - 1;
    w.ok(&["export", "--to", "csv", "all"]);
    w.ok(&["export", "--to", "csv", "some", "--filter", "study=tiny and (outcome=diverged or seed=0)"]);
    assert_eq!((runs("all"), runs("some")), (4 + 2 + 2, 3));
    assert_eq!(w.run(&["export", "--to", "csv", "none", "--filter", "seed=77"]).code, Some(4));
    let outcome = w.run(&["export", "--to", "json", "all"]);
    assert!(outcome.code == Some(2) && outcome.stderr.contains("--force"), "{}", outcome.stderr);
    w.ok(&["export", "--to", "json", "all", "--force"]);
    assert!(!w.path("all/runs.csv").exists() && w.path("all/runs.jsonl").exists());
    let outcome = w.run(&["export", "--to", "json", "experiments", "--force"]);
    assert!(outcome.code == Some(2) && outcome.stderr.contains("was not made by an export"), "{}", outcome.stderr);
    let outcome = w.run(&["export", "--to", "mlflow", "results/results.db"]);
    assert!(outcome.code == Some(2) && outcome.stderr.contains("not an MLflow store"), "{}", outcome.stderr);
    assert_eq!(w.rows("SELECT COUNT(*) FROM run"), ["6"]);
}

const THEIRS: &str = "optimizer,lr,seed,epoch,loss,val_loss,val_accuracy
sgd,0.1,0,1,1.5,1.4,0.5
sgd,0.1,0,2,1.0,1.1,0.6
sgd,0.1,1,1,1.6,1.5,0.4
sgd,0.1,1,2,1.1,1.2,0.55
adam,0.01,0,1,0.9,0.95,0.7
adam,0.01,0,2,0.5,0.6,0.8
adam,0.01,1,1,0.95,1.0,0.65
adam,0.01,1,2,nan,inf,0.1
";

#[test]
fn runs_from_elsewhere_stand_in_the_same_tables() {
    let w = Workspace::new(TINY);
    w.ok(&["sweep", "--quiet", "--no-report"]);
    w.write("theirs.csv", THEIRS);
    let import = ["import", "theirs.csv", "--study", "theirs", "--axes", "optimizer,lr"];
    assert_eq!(w.run(&import).stderr.trim(), "results/results.db: study theirs, 4 new runs");
    assert_eq!(w.run(&import).stderr.trim(), "results/results.db: study theirs, 0 new runs, 4 there already");
    let summary = "SELECT study, arm, seed, outcome, validation_accuracy, train_loss FROM run_summary WHERE study = 'theirs' ORDER BY 2, 3";
    assert_eq!(
        w.rows(summary),
        [
            "theirs,optimizer=adam lr=0.01,0,completed,0.8,0.5",
            "theirs,optimizer=adam lr=0.01,1,diverged,,",
            "theirs,optimizer=sgd lr=0.1,0,completed,0.6,1",
            "theirs,optimizer=sgd lr=0.1,1,completed,0.55,1.1",
        ]
    );
    // What is not known is NULL, not a number.
    assert_eq!(w.rows("SELECT COUNT(*), COUNT(elapsed_ms) FROM eval WHERE loss = 1.4"), ["1,1"]);
    w.ok(&["report"]);
    let report = w.read("reports/theirs/report.md");
    assert!(report.contains("trained elsewhere") && !report.contains("just sweep"), "{report}");
    assert!(report.contains("imported from theirs.csv"), "{report}");
    assert!(w.read("reports/README.md").contains("tiny"));
    w.ok(&["report", "--check"]);
    assert!(w.ok(&["status"]).contains("theirs"));
    let id = &w.rows("SELECT run_id FROM run_summary WHERE study = 'theirs' LIMIT 1")[0];
    assert!(w.ok(&["show", id]).contains("objective"));
    let outcome = w.run(&["reproduce", id]);
    assert!(outcome.code == Some(2) && outcome.stderr.contains("was imported"), "{}", outcome.stderr);
    // A sweep leaves it alone, and a merge carries it.
    assert!(w.run(&["sweep", "--no-report"]).stderr.contains("nothing to train"));
    w.ok(&["merge", "results/results.db", "--db", "merged.db"]);
    assert_eq!(w.ok(&["query", "--db", "merged.db", "--format", "csv", summary]).lines().count(), 5);
    // Other values under the same name, and the name of a study of ours, are refused, and nothing changes.
    w.write("theirs.csv", &THEIRS.replace("0.55", "0.56"));
    let outcome = w.run(&import);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("with other values"), "{:?} {}", outcome.code, outcome.stderr);
    let outcome = w.run(&["import", "theirs.csv", "--study", "tiny"]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("one of this database's own"), "{:?} {}", outcome.code, outcome.stderr);
    assert_eq!(w.rows("SELECT validation_accuracy FROM run_summary WHERE study = 'theirs' AND seed = 1 AND arm LIKE '%sgd%'"), ["0.55"]);
}

#[test]
fn a_wrong_import_is_one_error_and_makes_nothing() {
    let w = Workspace::new(TINY);
    w.write("bad.csv", "step,loss\n1,x\n");
    for (args, message) in [
        (vec!["import", "bad.csv", "--study", "s"], "bad.csv: line 2, column `loss`: `x` is no number"),
        (vec!["import", "no.csv", "--study", "s"], "no.csv: No such file"),
        (vec!["import", "experiments", "--study", "s"], "no file in it has `tfevents` in its name"),
        (vec!["import", "bad.csv", "--study", "../s"], "letters, digits"),
        (vec!["import", "bad.csv", "--study", "s", "--map", "loss"], "THEIRS=OURS"),
        (vec!["import", "bad.csv", "--study", "s", "--map", "loss=speed"], "`speed` is none of"),
        (vec!["import", "bad.csv", "--study", "s", "--metric", "f1"], "must be one of train_loss"),
    ] {
        let outcome = w.run(&args);
        assert!(matches!(outcome.code, Some(1 | 2)) && outcome.stderr.contains(message), "{args:?}: {:?} {}", outcome.code, outcome.stderr);
    }
    assert!(!w.path("results/results.db").exists());
}

#[test]
fn a_folder_of_tensorboard_comes_in_and_an_export_comes_back() {
    let w = results();
    // Our own export, without any Python: as many bits as the format has.
    w.ok(&["export", "--to", "tensorboard", "events", "--filter", "study=tiny"]);
    w.ok(&["import", "events", "--study", "back", "--axes", "lr", "--db", "back.db"]);
    let losses = |db: &str, study: &str| -> Vec<(u64, f64)> {
        let sql = format!(
            "SELECT step.step, step.loss FROM step JOIN run_summary USING (run_id) JOIN run ON run.id = run_id
             WHERE study = '{study}' ORDER BY CAST(run.config ->> 'lr' AS REAL), run.seed, step.step"
        );
        let rows = w.ok(&["query", "--db", db, "--format", "csv", &sql]);
        let number = |text: &str| text.parse().unwrap_or(f64::NAN);
        rows.lines().skip(1).map(|l| l.split_once(',').map(|(step, loss)| (step.parse().unwrap(), number(loss))).unwrap()).collect()
    };
    let (ours, back) = (losses("results/results.db", "tiny"), losses("back.db", "back"));
    assert!(ours.len() > 20 && ours.len() == back.len());
    #[expect(clippy::cast_possible_truncation, reason = "what the format does")]
    let same = |((step, a), (at, b)): (&(u64, f64), &(u64, f64))| {
        step == at && (f64::from(*a as f32).to_bits() == b.to_bits() || a.is_nan() && b.is_nan())
    };
    assert!(ours.iter().zip(&back).all(same));

    let Some(python) = python() else { return };
    script(&w, &python, "write_events.py", &["theirs"]);
    w.ok(&["import", "theirs", "--study", "theirs"]);
    let summary = "SELECT arm, seed, outcome, steps, validation_loss FROM run_summary WHERE study = 'theirs' ORDER BY arm, seed";
    let expected = |optimizer: &str, seed: u32, loss: f32| format!("optimizer={optimizer},{seed},completed,100,{}", f64::from(loss));
    let all = [expected("adam", 0, 0.01), expected("adam", 1, 0.012), expected("sgd", 0, 0.02), expected("sgd", 1, 0.022)];
    assert_eq!(w.rows(summary), all);
    let steps = "SELECT COUNT(*), SUM(step.loss = 1.0 / step.step), SUM(step.lr = 0.125) FROM step JOIN run_summary USING (run_id)
                 WHERE study = 'theirs' AND arm = 'optimizer=sgd' AND seed = 0";
    assert_eq!(w.rows(steps), ["100,100,100"], "64 bits stay 64 bits");
}
