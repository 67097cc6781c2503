//! Shards on several machines, and one database of them.

use rusqlite::Connection;

use crate::workspace::{TINY, Workspace};

/// A folder with two databases, each of one half of the runs.
fn swept_in_shards() -> Workspace {
    let w = Workspace::new(TINY);
    for (shard, db) in [("1/2", "one.db"), ("2/2", "two.db")] {
        w.ok(&["--db", db, "sweep", "--quiet", "--no-report", "--shard", shard]);
    }
    w
}

#[test]
fn shards_merge_into_what_one_sweep_finds() {
    let whole = Workspace::new(TINY);
    whole.ok(&["sweep", "--quiet", "--no-report"]);
    let w = swept_in_shards();
    let before = ["one.db", "two.db"].map(|db| std::fs::read(w.path(db)).unwrap());
    let merged = w.run(&["merge", "one.db", "two.db"]);
    assert_eq!((merged.code, merged.stdout.as_str()), (Some(0), ""), "{}", merged.stderr);
    let lines: Vec<&str> = merged.stderr.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("one.db: ") && lines[1].starts_with("two.db: "), "{lines:?}");
    assert!(w.tables() == whole.tables());
    assert_eq!(w.rows("SELECT COUNT(*), COUNT(DISTINCT sweep_key) FROM attempt"), ["4,2"]);
    assert!(w.run(&["sweep", "--no-report"]).stderr.contains("nothing to train: 4 runs to skip"));

    let bytes = std::fs::read(w.path("results/results.db")).unwrap();
    let again = w.run(&["merge", "two.db", "one.db"]);
    let nothing = "two.db: 0 runs new, 0 better, 4 there already\none.db: 0 runs new, 0 better, 4 there already\n";
    assert_eq!((again.code, again.stderr.as_str()), (Some(0), nothing));
    assert!(std::fs::read(w.path("results/results.db")).unwrap() == bytes);
    assert!(["one.db", "two.db"].map(|db| std::fs::read(w.path(db)).unwrap()) == before);

    // In the other order, and one after the other.
    w.ok(&["--db", "other.db", "merge", "--quiet", "two.db"]);
    w.ok(&["--db", "other.db", "merge", "--quiet", "one.db"]);
    std::fs::rename(w.path("other.db"), w.path("results/results.db")).unwrap();
    assert!(w.tables() == whole.tables());
}

#[test]
fn results_that_differ_are_refused_with_both() {
    let w = swept_in_shards();
    w.ok(&["merge", "--quiet", "one.db", "two.db"]);
    let bytes = std::fs::read(w.path("results/results.db")).unwrap();
    let id: String = {
        let tampered = Connection::open(w.path("one.db")).unwrap();
        assert_eq!(tampered.execute("UPDATE step_log SET loss = 0.125 WHERE step = 2", []).unwrap(), 2);
        tampered.query_row("SELECT run.id FROM step_log JOIN run ON key = run_key ORDER BY 1 LIMIT 1", [], |r| r.get(0)).unwrap()
    };
    let loss = &w.rows(&format!("SELECT loss FROM step WHERE run_id = '{id}' AND step = 2"))[0];
    let refused = w.run(&["merge", "two.db", "one.db"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    for part in [
        "error: 2 runs have different results in two files; nothing was merged\n",
        &format!("  run {id} (tiny · lr="),
        "\n    results/results.db: ",
        "\n    one.db: ",
        &format!("\n    first difference: step 2, loss: {loss} against 0.125\n"),
    ] {
        assert!(refused.stderr.contains(part), "{part}\n{}", refused.stderr);
    }
    assert!(std::fs::read(w.path("results/results.db")).unwrap() == bytes);

    let usage = |args: &[&str]| {
        let outcome = w.run(args);
        assert_eq!(outcome.code, Some(2), "{args:?} {}", outcome.stderr);
        outcome.stderr
    };
    assert!(usage(&["merge"]).contains("<DB>..."));
    assert!(usage(&["merge", "absent.db"]).contains("absent.db: there are no results yet"));
    assert!(usage(&["merge", "results/results.db"]).contains("results/results.db: this is the database that the others are merged into"));
}

#[test]
fn a_shard_is_a_part_of_what_the_filter_leaves() {
    let w = Workspace::new(&TINY.replace("seeds = 2", "seeds = 6"));
    let ids = |args: &[&str]| -> Vec<String> {
        let plan: serde_json::Value = serde_json::from_str(&w.ok(&[&["plan", "--json"], args].concat())).unwrap();
        plan["runs"].as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap().to_owned()).collect()
    };
    let (all, [one, two]) = (ids(&[]), ["1/2", "2/2"].map(|shard| ids(&["--shard", shard])));
    let mut both = [one.clone(), two].concat();
    let mut sorted = all;
    both.sort();
    sorted.sort();
    assert_eq!(both, sorted);
    let filtered = ids(&["--filter", "lr=0.1", "--shard", "1/2"]);
    assert!(!filtered.is_empty() && filtered.len() < 6 && filtered.iter().all(|id| one.contains(id)));
    let plan = w.ok(&["plan", "--shard", "1/2"]);
    assert!(plan.contains(&format!("\nshard 1/2: {} runs: {} to train (", one.len(), one.len())), "{plan}");
    for wrong in ["0/4", "5/4", "x"] {
        let outcome = w.run(&["plan", "--shard", wrong]);
        assert_eq!(outcome.code, Some(2));
        assert!(outcome.stderr.contains("expected a shard and how many there are, from 1/N to N/N, such as 1/4"), "{}", outcome.stderr);
    }
    let empty = w.run(&[
        "plan",
        "--filter",
        "lr=0.1 seed=0",
        "--shard",
        if one.contains(&ids(&["--filter", "lr=0.1 seed=0"])[0]) { "2/2" } else { "1/2" },
    ]);
    assert_eq!(empty.code, Some(4));
    assert!(empty.stderr.contains("no run falls into shard "), "{}", empty.stderr);
}
