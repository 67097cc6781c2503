//! Runs that are trained again and compared with their logs.

use crate::workspace::{TINY, Workspace};

const SURFACE: &str = r#"
[study]
question = "Does it come again?"
metric = "train_loss"

[base]
objective = "surface"
surface = "rosenbrock"
start_x = -1.2
start_y = 1
lr = 0.01
steps = 30
optimizer = "adam"
gradient_noise = 0.2
"#;

/// Changes the database behind the program's back.
fn tamper(w: &Workspace, sql: &str) {
    let connection = rusqlite::Connection::open(w.path("results/results.db")).unwrap();
    assert!(connection.execute(sql, []).unwrap() > 0, "{sql}");
}

#[test]
fn trainings_and_descents_come_again_bit_by_bit() {
    let w = Workspace::new(TINY);
    w.write("experiments/surface.toml", SURFACE);
    let rich = TINY.replace("lr = [0.1, 1000]", "lr = [0.1]").replace("epochs = 2", "epochs = 2\nfeature_maps = 1\nnoise_scale = true");
    let rich = rich.replace("seeds = 2", "seeds = 1").replace("{ name = \"mlp\", hidden = 8 }", "\"small-cnn\"");
    w.write("experiments/rich.toml", &rich);
    w.ok(&["sweep", "--quiet", "--no-report"]);
    let before = w.logged();
    let ids = w.rows("SELECT run_id FROM run_summary ORDER BY study, position, seed");
    assert_eq!(ids.len(), 6);
    for id in &ids {
        let answer = w.ok(&["reproduce", "--quiet", &id[..10]]);
        assert!(answer.starts_with(&format!("run {id}, seed ")), "{answer}");
        assert!(answer.contains("how        bit by bit") && answer.contains("and no bit differs"), "{answer}");
    }
    let json = |id: &str| -> serde_json::Value { serde_json::from_str(&w.ok(&["reproduce", "--json", "--threads", "2", id])).unwrap() };
    let of = |study: &str| w.rows(&format!("SELECT run_id FROM run_summary WHERE study = '{study}' ORDER BY position, seed"));
    let compared = |id: &str| {
        let json = json(id);
        assert_eq!((&json["same"], &json["bit_by_bit"], &json["first_difference"]), (&true.into(), &true.into(), &().into()), "{json}");
        let count = |kind: &str| json["compared"][kind].as_u64().unwrap();
        let kinds = ["steps", "evaluations", "positions", "measurements", "confusion_counts", "pictures"];
        (json["outcome"].as_str().unwrap().to_owned(), kinds.map(count))
    };
    let tiny = of("tiny");
    assert_eq!(compared(&tiny[0]), ("completed".into(), [20, 7, 0, 0, 100, 0]));
    assert_eq!(compared(&tiny[2]).0, "diverged");
    assert_eq!(compared(&of("surface")[0]), ("completed".into(), [30, 31, 31, 0, 0, 0]));
    // The image and sixteen channels.
    assert_eq!(compared(&of("rich")[0]), ("completed".into(), [20, 7, 0, 0, 100, 17]));
    assert_eq!(w.logged(), before, "nothing is written");
}

#[test]
fn a_log_that_was_changed_is_found_out() {
    let w = Workspace::new(TINY);
    w.ok(&["sweep", "--quiet", "--no-report"]);
    let id = w.rows("SELECT run_id FROM run_summary ORDER BY position, seed")[0].clone();
    let loss = w.rows(&format!("SELECT loss FROM step WHERE run_id = '{id}' AND step = 7"))[0].clone();
    let of_run = format!("run_key = (SELECT key FROM run WHERE id = '{id}')");
    tamper(&w, &format!("UPDATE step_log SET loss = 1.25 WHERE step = 7 AND {of_run}"));
    let outcome = w.run(&["reproduce", &id]);
    assert_eq!(outcome.code, Some(1), "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stdout.contains(&format!("different  first in loss of step 7: 1.25 in the log, {loss} now")), "{}", outcome.stdout);
    assert!(outcome.stderr.contains("20 steps of tiny · lr=0.1, seed 0"), "{}", outcome.stderr);
    let json: serde_json::Value = serde_json::from_str(&w.run(&["reproduce", "--json", &id]).stdout).unwrap();
    assert_eq!((&json["same"], &json["first_difference"]["step"]), (&false.into(), &7.into()), "{json}");
    // As if it had been logged on another processor: a number may be off by a little.
    let now: f64 = loss.parse().unwrap();
    tamper(&w, &format!("UPDATE step_log SET loss = {} WHERE step = 7 AND {of_run}", now * (1.0 + 1e-6)));
    tamper(&w, &format!("UPDATE run SET cpu = 'abacus' WHERE id = '{id}'"));
    let answer = w.ok(&["reproduce", "--quiet", &id]);
    assert!(answer.contains("how        within a tolerance, since the run was logged on cpu with abacus"), "{answer}");
    assert!(answer.contains("deviation  at most 1.0e-6 of the number: loss of step 7 was"), "{answer}");
    tamper(&w, &format!("DELETE FROM eval_log WHERE split = 'test' AND {of_run}"));
    let outcome = w.run(&["reproduce", "--quiet", &id]);
    assert!(outcome.code == Some(1) && outcome.stdout.contains("first in test evaluation after step 20"), "{}", outcome.stdout);
    // An id says what was trained.
    tamper(&w, &format!("UPDATE run SET config = REPLACE(config, '\"lr\":0.1', '\"lr\":0.2') WHERE id = '{id}'"));
    let outcome = w.run(&["reproduce", "--quiet", &id]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("the database was changed"), "{}", outcome.stderr);
}

#[test]
fn what_has_no_whole_log_is_refused() {
    let w = Workspace::new(TINY);
    w.ok(&["sweep", "--quiet", "--no-report"]);
    let ids = w.rows("SELECT run_id FROM run_summary ORDER BY position, seed");
    tamper(&w, &format!("UPDATE run SET outcome = 'failed', error = 'panicked' WHERE id = '{}'", ids[0]));
    tamper(&w, &format!("UPDATE run SET outcome = 'interrupted' WHERE id = '{}'", ids[1]));
    let error = |id: &str| {
        let outcome = w.run(&["reproduce", id]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{}", outcome.stderr);
        outcome.stderr
    };
    let failed = error(&ids[0]);
    assert!(failed.contains("failed (panicked)") && failed.contains("`pipeline sweep --retry-failed` trains it again"), "{failed}");
    let cut = error(&ids[1]);
    assert!(cut.contains("is interrupted, and only a whole log can be compared; `pipeline sweep` ends it first"), "{cut}");
    assert!(error("no-such-run").contains("has an id that begins with `no-such-run`"));
    assert!(error("").contains("begins the ids of several runs"));
}
