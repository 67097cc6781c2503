//! Runs that train no network, and the search for a learning rate.

use crate::workspace::{TINY, Workspace};

const SURFACE: &str = r#"
[study]
question = "Who leaves the saddle?"
metric = "train_loss"
targets = { train_loss = -0.05 }

[base]
objective = "surface"
surface = "saddle"
start_x = 0.5
start_y = 0.001
lr = 0.1
steps = 60

[grid]
optimizer = ["sgd", "adam"]
gradient_noise = [0, 0.1]

[replicates]
seeds = 2
"#;

#[test]
fn a_descent_logs_every_step_and_place() {
    let w = Workspace::new(SURFACE);
    w.ok(&["sweep", "--quiet"]);
    assert_eq!(w.rows("SELECT outcome, COUNT(*) FROM run GROUP BY outcome"), ["completed,8"]);
    assert_eq!(w.rows("SELECT COUNT(*), COUNT(accuracy), MIN(finite) FROM step"), ["480,0,1"]);
    assert_eq!(w.rows("SELECT COUNT(*) FROM position WHERE step = 0 AND x = 0.5 AND y = 0.001"), ["8"]);
    // The height is that of the place: x² − y² + y⁴/2.
    let off = "SELECT COUNT(*) FROM position AS p JOIN eval AS e ON e.run_id = p.run_id AND e.step = p.step
               WHERE ABS(x * x - y * y + y * y * y * y / 2 - loss) > 1e-12";
    assert_eq!(w.rows(off), ["0"]);
    assert_eq!(w.rows("SELECT COUNT(*) FROM time_to_target WHERE reached = 1"), ["8"]);
    // Without noise, seeds agree; with it, they don't.
    let ends = "SELECT COUNT(DISTINCT y) FROM position JOIN run ON run.id = run_id WHERE position.step = 60 GROUP BY arm ORDER BY 1";
    assert_eq!(w.rows(ends), ["1", "1", "2", "2"]);
    assert!(w.path("reports/tiny/report.md").is_file());
}

#[test]
fn gradient_checks_log_what_they_measured() {
    let grid = r#"
        [study]
        question = "Do they agree?"
        [base]
        objective = "convolution-gradients"
        [[zip]]
        matrices = ["worked", "worked-asymmetric", "random"]
        input_size = [3, 3, 6]
        filter_size = [2, 2, 3]
        [replicates]
        seeds = 2
    "#;
    let w = Workspace::new(grid);
    w.ok(&["sweep", "--quiet"]);
    assert_eq!(w.rows("SELECT COUNT(*), MAX(value) < 1e-13 FROM measurement WHERE name LIKE 'deviation%'"), ["36,1"]);
    let matrix = |name: &str, matrices: &str| {
        let sql = "SELECT value FROM measurement JOIN run ON run.id = run_id WHERE seed = 0 AND";
        w.rows(&format!("{sql} name LIKE '{name} [%' AND json_extract(config, '$.matrices') = '{matrices}' ORDER BY name"))
    };
    assert_eq!(matrix("gradient to filter", "worked"), ["3", "4", "6", "7"]);
    assert_eq!(matrix("gradient to input", "worked-asymmetric"), ["0.25", "0.75", "0.5", "1", "2.5", "1.5", "0.75", "1.75", "1"]);
    // The two steps in between are shown for what was worked out on paper.
    let steps =
        ["worked", "worked-asymmetric", "random"].map(|m| (matrix("turned filter", m), matrix("padded gradient to output", m).len()));
    let filters = [&["1", "-1", "-1", "1"][..], &["4", "3", "2", "1"], &[]];
    assert_eq!(steps, [(0, 16), (1, 16), (2, 0)].map(|(i, entries)| (filters[i].iter().map(|n| (*n).to_owned()).collect(), entries)));
    assert!(w.path("reports/tiny/report.md").is_file());
}

#[test]
fn objectives_are_checked_as_a_whole() {
    let error = |change: &[(&str, &str)]| {
        let grid = change.iter().fold(SURFACE.to_owned(), |grid, (from, to)| grid.replace(from, to));
        let outcome = Workspace::new(&grid).run(&["plan"]);
        assert_eq!(outcome.code, Some(2), "{}", outcome.stdout);
        outcome.stderr
    };
    assert!(error(&[("metric = \"train_loss\"\n", "")]).contains("a surface has no `validation_accuracy`"));
    assert!(error(&[("\"saddle\"", "\"sadle\"")]).contains("did you mean"));
    assert!(error(&[("steps = 60", "steps = 60\nbatch_size = 3")]).contains("`batch_size`"));
    assert!(error(&[("steps = 60\n", "")]).contains("steps"));
}

#[test]
fn a_range_test_suggests_a_rate_and_draws() {
    let w = Workspace::new(TINY);
    let answer = w.ok(&["find-lr", "experiments/tiny.toml", "--steps", "120", "--out", "range.svg", "--quiet"]);
    assert!(answer.starts_with("suggested lr"), "{answer}");
    assert!(w.read("range.svg").starts_with("<svg"));
    let json: serde_json::Value = serde_json::from_str(&w.ok(&["find-lr", "experiments/tiny.toml", "--json", "--quiet"])).unwrap();
    // Of the six decades that were tried: the grid's own rate of 0.1 trains this network, so the fall is steepest somewhat below it.
    // Where the loss still stands (up to 0.003) and where it explodes (from 0.5 on) is no suggestion.
    let rate = json["suggestion"]["steepest"].as_f64().unwrap();
    assert!((0.01..0.2).contains(&rate), "{rate}");
    assert!(!w.path("results").exists(), "a search leaves no results behind");
    let outcome = w.run(&["find-lr", "experiments/tiny.toml", "--from", "1", "--to", "0.1"]);
    assert!(outcome.code == Some(2) && outcome.stderr.contains("--from 1 must be below --to 0.1"), "{}", outcome.stderr);
    let outcome = w.run(&["find-lr", "experiments/tiny.toml", "--arm", "lr=0.2"]);
    assert!(outcome.code == Some(2) && outcome.stderr.contains("did you mean"), "{}", outcome.stderr);
}
