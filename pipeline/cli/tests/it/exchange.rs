//! Results as files of others, read back by the programs that they are for; and results from elsewhere beside our own.

use std::path::PathBuf;
use std::process::Command;

use rusqlite::Connection;

use crate::workspace::{Outcome, TINY, Workspace, repository};

const SURFACE: &str = r#"
[study]
question = "Which way?"
metric = "train_loss"

[base]
objective = "surface"
surface = "rosenbrock"
start_x = -1.2
start_y = 1
lr = 0.01
steps = 5
optimizer = "adam"
"#;

/// As Keras' `CSVLogger` writes it, with the columns that somebody put before: the second arm diverges.
const EPOCHS: &str = "\
optimizer,lr,seed,epoch,loss,accuracy,val_loss,val_accuracy
sgd,0.1,0,0,1.5,0.4,1.4,0.45
sgd,0.1,0,1,1.1,0.6,1.2,0.55
sgd,0.1,1,0,1.6,0.4,1.5,0.41
sgd,0.1,1,1,1.2,0.6,1.3,0.52
adam,0.01,0,0,1.2,0.5,1.1,0.6
adam,0.01,0,1,inf,0.1,nan,0.1
";

/// A Python with the programs of `exchange/tests/requirements.txt`.
fn python() -> Option<PathBuf> {
    let here = repository().join("target/python/bin/python");
    std::env::var_os("PIPELINE_PYTHON").map(PathBuf::from).or_else(|| here.exists().then_some(here))
}

fn swept() -> Workspace {
    let w = Workspace::new(TINY);
    w.write("experiments/surface.toml", SURFACE);
    w.ok(&["sweep", "--quiet", "--no-report"]);
    w
}

fn imported() -> Workspace {
    let w = Workspace::new(TINY);
    w.write("keras.csv", EPOCHS);
    w.ok(&["import", "keras.csv", "--study", "keras", "--axes", "optimizer,lr", "--quiet"]);
    w
}

/// What must fail with a message, and nothing else.
fn fails(w: &Workspace, args: &[&str], code: i32, message: &str) {
    let Outcome { code: found, stderr, .. } = w.run(args);
    assert_eq!(found, Some(code), "{args:?}: {stderr}");
    assert!(stderr.contains(message), "{args:?}: {stderr}");
}

#[test]
fn others_read_back_every_value() {
    let Some(python) = python() else {
        eprintln!(
            "SKIPPED others_read_back_every_value: no Python with TensorBoard, MLflow, DuckDB and pandas; `just python` makes target/python, \
             or name one with PIPELINE_PYTHON"
        );
        return;
    };
    let w = swept();
    {
        // What no training gives at will: NaN, infinities, the smallest number, one beyond 32 bits.
        let db = Connection::open(w.path("results/results.db")).unwrap();
        for (step, value, finite) in [(2, "NULL", 0), (3, "9e999", 0), (4, "-9e999", 0), (5, "-0.0", 1), (6, "5e-324", 1), (7, "1e300", 1)]
        {
            let sql = format!("UPDATE step_log SET loss = {value}, finite = {finite} WHERE step = {step}");
            assert!(db.execute(&sql, []).unwrap() > 0, "{sql}");
        }
    }
    for format in ["parquet", "csv", "json", "tensorboard"] {
        w.ok(&["export", "--to", format, &format!("out/{format}")]);
    }
    // Twice: it is added to, and nothing is there twice.
    w.ok(&["export", "--to", "mlflow", "out/mlflow.db"]);
    w.ok(&["export", "--to", "mlflow", "out/mlflow.db"]);
    let script = repository().join("pipeline/exchange/tests/read_back.py");
    let output = Command::new(python).arg(script).args([w.path("results/results.db"), w.path("out")]).output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}{errors}");
    for part in
        ["DuckDB steps", "pandas steps", "JSON steps", "EventAccumulator", "TensorBoard server", "HParams", "MLflow", "MLflow server"]
    {
        assert!(text.contains(&format!("{part}: ")), "{part}\n{text}");
    }
}

#[test]
fn what_is_exported_is_chosen_and_nothing_is_overwritten_by_accident() {
    let w = swept();
    let told = w.run(&["export", "--to", "csv", "out", "--study", "tiny", "--filter", "lr=0.1 and seed=1"]);
    assert_eq!((told.code, told.stdout.as_str()), (Some(0), ""), "{}", told.stderr);
    assert!(told.stderr.starts_with("out: 1 run, "), "{}", told.stderr);
    let steps = w.read("out/steps.csv");
    let rows: Vec<&str> = steps.lines().collect();
    assert!(rows[0].starts_with("study,arm,seed,run_id,step,epoch,examples,loss,"));
    let logged = w.rows("SELECT COUNT(*) FROM step JOIN run_summary USING (run_id) WHERE arm = 'lr=0.1' AND seed = 1");
    assert_eq!(logged, [(rows.len() - 1).to_string()]);
    assert!(rows[1..].iter().all(|row| row.starts_with("tiny,lr=0.1,1,")));

    fails(&w, &["export", "--to", "csv", "out"], 2, "out: there is something already; --force replaces an earlier export");
    w.ok(&["export", "--to", "json", "out", "--force"]);
    assert!(w.path("out/steps.jsonl").exists() && !w.path("out/steps.csv").exists());
    w.write("out/thesis.tex", "mine");
    fails(&w, &["export", "--to", "csv", "out", "--force"], 2, "out/thesis.tex: this is not of the export that is to be replaced");
    fails(&w, &["export", "--to", "csv", "experiments", "--force"], 2, "experiments: this folder was not made by an export");
    assert!(w.path("experiments/tiny.toml").exists() && w.read("out/thesis.tex") == "mine");

    fails(
        &w,
        &["export", "--to", "csv", "x", "--study", "absent"],
        2,
        "there is no study `absent` in results/results.db; there are surface, tiny",
    );
    fails(&w, &["export", "--to", "csv", "x", "--filter", "seed=99"], 4, "no run in the database matches");
    fails(&w, &["export", "--to", "sqlite", "x", "--study", "tiny"], 2, "--study and --filter go with the other formats");
    fails(&w, &["export", "--to", "mlflow", "results/results.db"], 2, "results/results.db: this is no MLflow store");
    fails(&w, &["export", "--to", "mlflow", "experiments/tiny.toml"], 2, "experiments/tiny.toml: this is no MLflow store");
    assert!(!w.path("x").exists(), "nothing half made is left");
}

#[test]
fn text_of_others_is_harmless_in_exports() {
    let w = imported();
    let db = Connection::open(w.path("results/results.db")).unwrap();
    db.execute("UPDATE study_run SET arm = '=1+1|\u{1b}[2J' WHERE arm LIKE 'optimizer=adam%'", []).unwrap();
    drop(db);
    w.ok(&["export", "--to", "csv", "csv"]);
    assert!(w.read("csv/runs.csv").contains("\nkeras,'=1+1|\\u{1b}[2J,0,"), "{}", w.read("csv/runs.csv"));
    w.ok(&["export", "--to", "json", "json"]);
    let json = w.read("json/runs.jsonl");
    assert!(!json.contains('\u{1b}') && json.contains(r#""arm":"=1+1|\u001b[2J""#), "{json}");
    w.ok(&["export", "--to", "tensorboard", "logs"]);
    let arms: Vec<String> =
        std::fs::read_dir(w.path("logs/keras")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(arms.len() == 2 && arms.iter().all(|name| name.chars().all(|c| c.is_ascii_graphic() || c == ' ')), "{arms:?}");
}

#[test]
fn imported_runs_stand_in_the_same_tables() {
    let w = imported();
    let runs = w.rows("SELECT arm, seed, outcome, steps, validation_accuracy FROM run_summary ORDER BY position, seed");
    let adam = "optimizer=adam lr=0.01,0,diverged,2,";
    assert_eq!(runs, ["optimizer=sgd lr=0.1,0,completed,2,0.55", "optimizer=sgd lr=0.1,1,completed,2,0.52", adam]);
    assert_eq!(
        w.rows("SELECT version, config ->> 'objective', COUNT(*) FROM run"),
        ["imported,imported,3"],
        "no run is there that was not"
    );
    // The loss of the last epoch is infinite, and its validation loss no number.
    let last = "SELECT split, loss, accuracy, finite FROM eval WHERE step = 2 AND run_id IN (SELECT run_id FROM run_summary WHERE outcome = 'diverged')";
    assert_eq!(w.rows(&format!("{last} ORDER BY split")), ["train,inf,0.1,0", "validation,,0.1,0"]);

    // Alone, and beside studies of our own.
    w.ok(&["report", "keras", "--out", "alone"]);
    let report = w.read("alone/keras/report.md");
    assert!(report.contains("Best is **optimizer=sgd lr=0.1**") && report.contains("trained elsewhere"), "{report}");
    w.ok(&["sweep", "--quiet", "--no-report"]);
    w.ok(&["report", "--out", "both", "--quiet"]);
    assert!(w.read("both/README.md").contains("keras") && w.read("both/README.md").contains("tiny"));
    let status = w.ok(&["status"]);
    assert!(status.contains(" keras ") && status.contains(" tiny "), "{status}");
    let id = &w.rows("SELECT run_id FROM run_summary WHERE study = 'keras' LIMIT 1")[0];
    assert!(w.ok(&["show", id]).contains("objective              imported"));

    fails(&w, &["reproduce", id], 2, "was imported: it was trained elsewhere, and can't be trained again here");
    w.write("experiments/keras.toml", TINY);
    let before = w.tables();
    fails(&w, &["sweep", "experiments/keras.toml"], 2, "the study `keras` was imported into this database");
    assert!(w.tables() == before);
    w.ok(&["--db", "merged.db", "merge", "--quiet", "results/results.db"]);
    std::fs::rename(w.path("merged.db"), w.path("results/results.db")).unwrap();
    assert!(w.tables() == before, "a merge carries them");
}

#[test]
fn importing_again_changes_nothing_and_loses_nothing() {
    let w = imported();
    let before = w.tables();
    let args = ["import", "keras.csv", "--study", "keras", "--axes", "optimizer,lr"];
    assert_eq!(w.run(&args).stderr, "results/results.db: study keras, 0 new runs, 3 there already\n");
    w.write("keras.csv", &EPOCHS.replace("0.55", "0.56"));
    fails(&w, &args, 2, "was imported before with other values; --force replaces them, another --study keeps both");
    assert!(w.tables() == before);
    let replaced = w.run(&[&args[..], &["--force"]].concat());
    assert_eq!(replaced.stderr, "results/results.db: study keras, 0 new runs, 1 replaced, 2 there already\n");
    assert_eq!(w.rows("SELECT MAX(validation_accuracy) FROM run_summary"), ["0.56"]);
    w.ok(&["sweep", "--quiet", "--no-report"]);
    fails(&w, &["import", "keras.csv", "--study", "tiny", "--axes", "optimizer,lr"], 2, "the study `tiny` is one of this database's own");
    fails(&w, &["import", "keras.csv", "--study", "../up"], 2, "must be 1 to 100 letters, digits");
    fails(&w, &["import", "absent.csv", "--study", "a"], 1, "absent.csv: ");
    w.write("wrong.csv", "epoch,loss\n1,high\n");
    fails(&w, &["import", "wrong.csv", "--study", "a"], 2, "wrong.csv: line 2, column `loss`: `high` is no number");
}

#[test]
fn own_exports_come_back_as_they_were() {
    let w = swept();
    let steps =
        "SELECT arm, seed, step, loss, accuracy, lr, grad_norm, finite FROM step JOIN run_summary USING (run_id) WHERE study = 'tiny'
                 ORDER BY arm, seed, step";
    let evals = "SELECT arm, seed, split, step, loss, accuracy FROM eval JOIN run_summary USING (run_id) WHERE study = 'tiny'
                 ORDER BY arm, seed, split, step";
    let ours = [w.rows(steps), w.rows(evals)];
    w.ok(&["export", "--to", "csv", "csv", "--study", "tiny"]);
    w.ok(&["export", "--to", "tensorboard", "logs", "--study", "tiny"]);
    let back = |source: &str, axes: &str, sql: &str| {
        let other = Workspace::new(TINY);
        let path = w.path(source);
        other.ok(&["import", path.to_str().unwrap(), "--study", "tiny", "--axes", axes, "--quiet"]);
        other.rows(sql)
    };
    // The arm's label becomes the value of an axis.
    let relabelled = |rows: Vec<String>| rows.into_iter().map(|row| row.replacen("arm=", "", 1)).collect::<Vec<_>>();
    assert_eq!(relabelled(back("csv/steps.csv", "arm", steps)), ours[0], "bit for bit");
    assert_eq!(relabelled(back("csv/evals.csv", "arm", evals)), ours[1]);
    // Event files have 32 bits of each number.
    let rounded = |row: &String| {
        let cell = |cell: &str| match cell.parse::<f64>() {
            #[expect(clippy::cast_possible_truncation, reason = "what TensorBoard keeps")]
            Ok(x) if cell.contains(['.', 'e']) => f64::from(x as f32).to_string(),
            _ => cell.to_owned(),
        };
        row.split(',').map(cell).collect::<Vec<_>>().join(",")
    };
    let from_logs = back("logs", "lr", evals);
    assert_eq!(from_logs.iter().map(rounded).collect::<Vec<_>>(), ours[1].iter().map(rounded).collect::<Vec<_>>());
    assert_eq!(from_logs.len(), ours[1].len());
    // A file that was cut off in the middle of a record has what stands before.
    let seed = w.path("logs/tiny/lr=0.1/seed-0");
    let file = std::fs::read_dir(seed).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let cut = back("logs", "lr", evals).len();
    assert!(cut < from_logs.len() && cut > 0);
    let mut damaged = bytes;
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&file, damaged).unwrap();
    fails(&w, &["import", "logs", "--study", "damaged", "--axes", "lr"], 2, "does not fit its checksum");
    fails(&w, &["import", "experiments", "--study", "none"], 2, "experiments: no file in it has `tfevents` in its name");
}

#[test]
fn what_tensorboards_own_writer_wrote_comes_in() {
    let Some(python) = python() else {
        eprintln!("SKIPPED: needs Python with TensorBoard: `just python`, or PIPELINE_PYTHON");
        return;
    };
    let w = Workspace::new(TINY);
    let script = repository().join("pipeline/exchange/tests/write_events.py");
    let output = Command::new(python).arg(script).arg("theirs").current_dir(w.path("")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    w.ok(&["import", "theirs", "--study", "theirs"]);
    let summary = "SELECT arm, seed, outcome, steps, validation_loss FROM run_summary WHERE study = 'theirs' ORDER BY arm, seed";
    let expected = |optimizer: &str, seed: u32, loss: f32| format!("optimizer={optimizer},{seed},completed,100,{}", f64::from(loss));
    let all = [expected("adam", 0, 0.01), expected("adam", 1, 0.012), expected("sgd", 0, 0.02), expected("sgd", 1, 0.022)];
    assert_eq!(w.rows(summary), all);
    let steps = "SELECT COUNT(*), SUM(step.loss = 1.0 / step.step), SUM(step.lr = 0.125) FROM step JOIN run_summary USING (run_id)
                 WHERE study = 'theirs' AND arm = 'optimizer=sgd' AND seed = 0";
    assert_eq!(w.rows(steps), ["100,100,100"], "64 bits stay 64 bits");
    assert_eq!(w.rows("SELECT metric FROM study WHERE name = 'theirs'"), ["validation_accuracy"]);
    w.write("losses.csv", "epoch,val_loss\n1,0.5\n2,0.25\n");
    w.ok(&["import", "losses.csv", "--study", "losses"]);
    assert_eq!(w.rows("SELECT metric FROM study WHERE name = 'losses'"), ["validation_loss"], "the best of what there is decides");
    // Without epochs in the files, an epoch ends with an evaluation.
    let epochs = "SELECT DISTINCT epoch FROM eval JOIN run_summary USING (run_id) WHERE study = 'theirs' ORDER BY 1";
    assert_eq!(w.rows(epochs), ["1", "2"]);
}
