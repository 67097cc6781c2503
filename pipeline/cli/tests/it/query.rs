//! Queries: formats, errors, and the documented ones.

use crate::workspace::{TINY, Workspace, repository};

#[test]
fn answers_come_in_four_formats() {
    let w = Workspace::new(TINY);
    w.ok(&["sweep", "--quiet", "--no-report"]);
    let sql = "SELECT arm, outcome, steps > 0 AS trained, 1.0 / 3 AS x, NULL AS empty FROM run_summary WHERE seed = 0 ORDER BY position";
    let formats = ["table", "csv", "json", "markdown"].map(|f| w.ok(&["query", "--format", f, sql]));
    insta::assert_snapshot!(formats.join("\n"));
}

#[test]
fn wrong_statements_say_what_is_wrong() {
    let w = Workspace::new(TINY);
    w.ok(&["sweep", "--quiet", "--no-report"]);
    let error = |sql: &str| {
        let outcome = w.run(&["query", sql]);
        assert_eq!(outcome.code, Some(2), "{sql}");
        outcome.stderr
    };
    assert_eq!(error("SELECT los FROM step"), "error: no such column: los\n  SELECT los FROM step\n         ^\n");
    assert_eq!(error("DELETE FROM run"), "error: this statement would change the results; only reading is allowed here\n");
    assert_eq!(error("SELECT 1; SELECT 2"), "error: give one statement at a time\n");
}

/// The statements in the fenced `sql` blocks of a document.
fn statements(document: &str) -> Vec<String> {
    document.split("```sql\n").skip(1).map(|block| block.split("```").next().unwrap().trim().to_owned()).collect()
}

#[test]
fn every_documented_query_runs_and_finds_something() {
    let document = std::fs::read_to_string(repository().join("docs/querying.md")).unwrap();
    let statements = statements(&document);
    assert!(statements.len() >= 12, "a dozen worked queries, not {}", statements.len());
    // Stand-ins for three studies, under their names, with the axes that the queries ask for.
    let w = Workspace::new(TINY);
    let grid = |axes: &str| TINY.replace("optimizer = \"sgd\"\n", "").replace("[grid]\nlr = [0.1, 1000]", axes);
    w.write("experiments/learning_rate.toml", &grid("[grid]\noptimizer = [\"sgd\", \"adam\"]\nlr = [0.01, 0.1, 1000]"));
    let optimizers = "[grid]\noptimizer = [\"sgd\", \"adam\"]
        [[when]]\nif = { optimizer = \"sgd\" }\ngrid = { momentum = [0, 0.9] }
        [[when]]\nif = { optimizer = [\"sgd\", \"adam\"] }\ngrid = { lr = [0.001, 0.1] }";
    w.write("experiments/optimizers.toml", &grid(optimizers));
    w.write(
        "experiments/batch_size.toml",
        &TINY
            .replace("batch_size = 32\n", "noise_scale = true\n")
            .replace("lr = [0.1, 1000]", "lr = [0.01, 0.1]\nbatch_size = [8, 9, \"full\"]"),
    );
    // These two take no time as they are.
    for study in ["saddle", "conv_gradients"] {
        let file = format!("experiments/{study}.toml");
        w.write(&file, &std::fs::read_to_string(repository().join(&file)).unwrap());
    }
    w.ok(&["sweep", "--quiet", "--no-report"]);
    // Every run of it is tried twice.
    w.ok(&["sweep", "--quiet", "--no-report", "--force", "experiments/conv_gradients.toml"]);
    for sql in statements {
        let outcome = w.run(&["query", "--format", "csv", &sql]);
        assert_eq!(outcome.code, Some(0), "{sql}\n{}", outcome.stderr);
        assert!(outcome.stdout.lines().count() > 1, "no rows: {sql}");
    }
    for view in ["run_summary", "learning_curve", "arm_summary", "time_to_target", "lr_sensitivity"] {
        assert!(document.contains(view), "{view} has no worked query");
    }
}

#[test]
fn show_and_status_tell_about_runs() {
    let w = Workspace::new(TINY);
    w.ok(&["sweep", "--quiet", "--no-report"]);
    let id = &w.rows("SELECT run_id FROM run_summary ORDER BY position, seed")[0];
    let shown = w.ok(&["show", &id[..8]]);
    for part in [
        id.as_str(),
        "study tiny: lr=0.1",
        "completed after 20 of 20 steps",
        "model_definition",
        "flatten, dense 8 relu, dense classes",
        "validation",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    insta::assert_snapshot!(w.ok(&["status"]));
    let json: serde_json::Value = serde_json::from_str(&w.ok(&["status", "--json"])).unwrap();
    assert_eq!(json[0]["states"]["diverged"], 2);
}
