//! Grids and databases of others: nothing they hold is obeyed by a terminal, fills the memory, or leads out of a folder.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use spec::record::Outcome;
use spec::{Arm, Config, Metric, Study, Value, is_deceptive};
use tracker::{Ended, Environment, Tracker};

use crate::workspace::{self, TINY, Workspace};

/// Clears a screen, turns text around, and is not seen.
const NASTY: &str = "a\u{1b}[2J\u{9b}31m\u{7}b\u{202e}c\u{200b}\r<script>|`d";

/// The same as a text of TOML.
const NASTY_TOML: &str = "a\\u001b[2J\\u009b31m\\u0007b\u{202e}c\u{200b}\\r<script>|`d";

/// Runs a command that must end soon, and looks at all that it prints.
fn printed(w: &Workspace, args: &[&str]) -> workspace::Outcome {
    let started = Instant::now();
    let mut child = w.command(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > Duration::from_mins(1) {
            let _ = child.kill();
            panic!("{args:?} does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let outcome = workspace::Outcome::of(&child.wait_with_output().unwrap());
    for text in [&outcome.stdout, &outcome.stderr] {
        let at = text.find(is_deceptive);
        assert!(at.is_none(), "{args:?}: {:?}", at.map(|at| text[at..].chars().take(40).collect::<String>()));
        assert!(text.len() < 100_000, "{args:?} prints {} bytes", text.len());
    }
    outcome
}

/// A database with one run of a study, and nasty texts wherever there are any.
fn database(w: &Workspace, name: &str, study: &str) {
    let mut config = Config::default();
    for key in ["optimizer", "model", NASTY] {
        config.insert(key, Value::Text(NASTY.into()));
    }
    let arm = Arm { label: NASTY.into(), axes: vec![("optimizer".into(), Value::Text(NASTY.into()))], config, graph: None };
    let study = Study {
        name: study.into(),
        question: NASTY.into(),
        hypothesis: Some(NASTY.into()),
        metric: Metric::ALL[3],
        targets: vec![],
        analysis: spec::analysis::Settings::default(),
        axes: vec!["optimizer".into()],
        arms: vec![arm],
        seeds: vec![0],
        source: NASTY.into(),
    };
    let text = || Some(NASTY.to_owned());
    let environment =
        Environment { host: text(), cpu: text(), os: NASTY.into(), version: NASTY.into(), git_commit: text(), git_dirty: Some(true) };
    let tracker = Tracker::open(&w.path(name), std::slice::from_ref(&study), environment).unwrap();
    let sink = tracker.start(&study.arms[0].run(0)).unwrap();
    sink.end(Ended { outcome: Outcome::Failed, steps: 0, error: Some(NASTY.into()) }).unwrap();
    tracker.close().unwrap();
}

#[test]
fn a_database_of_somebody_else_is_harmless_on_a_terminal() {
    let w = Workspace::new(TINY);
    database(&w, "theirs.db", "theirs");
    let id = w.ok(&["--db", "theirs.db", "query", "--format", "csv", "SELECT id FROM run"]).lines().nth(1).unwrap().to_owned();
    let commands: [&[&str]; 9] = [
        &["status"],
        &["status", "--json"],
        &["show", &id],
        &["report"],
        &["report", "--check"],
        &["report", "--trace", "theirs"],
        &["query", "SELECT config, error, host, '\u{1b}[2J' AS \"\u{202e}\" FROM run"],
        &["query", "--format", "markdown", "SELECT config, error, host FROM run"],
        &["query", "--format", "json", "SELECT config, error, host, '\u{1b}\u{9b}' AS \"\u{202e}\" FROM run"],
    ];
    for command in commands {
        let outcome = printed(&w, &[&["--db", "theirs.db"], command].concat());
        assert_eq!(outcome.code, Some(0), "{command:?}\n{}", outcome.stderr);
    }
    assert!(printed(&w, &["--db", "theirs.db", "show", &id]).stdout.contains(r"\u{1b}[2J\u{9b}31m"));
    for file in ["README.md", "index.html", "theirs/report.md", "theirs/runs.csv"] {
        assert!(!w.read(&format!("reports/{file}")).contains(is_deceptive), "{file}");
    }
    // Errors that quote it.
    for command in [["report", NASTY], ["show", NASTY], ["query", NASTY]] {
        assert_eq!(printed(&w, &[&["--db", "theirs.db"], &command[..]].concat()).code, Some(2), "{command:?}");
    }
}

#[test]
fn a_study_of_a_database_is_no_path() {
    for name in ["../escaped", "/tmp/escaped-study", ".hidden", "..", "a/b", "a\u{202e}b"] {
        let w = Workspace::new(TINY);
        database(&w, "theirs.db", name);
        std::fs::create_dir(w.path("out")).unwrap();
        let outcome = printed(&w, &["--db", "theirs.db", "report", "--out", "out/reports"]);
        assert_eq!(outcome.code, Some(1), "{name:?} {}", outcome.stderr);
        assert!(outcome.stderr.contains("can't be the name of a study"), "{}", outcome.stderr);
        assert!(std::fs::read_dir(w.path("out")).unwrap().next().is_none() && !Path::new("/tmp/escaped-study").exists(), "{name:?}");
        printed(&w, &["--db", "theirs.db", "status"]);
    }
}

#[test]
fn a_grid_of_somebody_else_is_harmless_on_a_terminal() {
    let w = Workspace::new(TINY);
    std::fs::create_dir(w.path("experiments/models")).unwrap();
    w.write(
        "experiments/models/net.toml",
        &format!("about = \"{NASTY_TOML}\"\nlayers = [{{ layer = \"flatten\" }}, {{ layer = \"dense\", units = \"classes\" }}]\n"),
    );
    let grid = TINY.replace("Does it work?", NASTY_TOML).replace("{ name = \"mlp\", hidden = 8 }", "\"net\"");
    w.write("experiments/tiny.toml", &grid);
    for command in [
        &["plan"][..],
        &["plan", "--json"],
        &["sweep"],
        &["status"],
        &["report"],
        &["summary", "net"],
        &["summary", "net", "--format", "svg"],
        &["summary", "net", "--format", "dot"],
        &["summary", "experiments/models/net.toml", "--format", "markdown"],
        &["data", "list"],
    ] {
        let outcome = printed(&w, command);
        assert_eq!(outcome.code, Some(0), "{command:?}\n{}", outcome.stderr);
    }
    let large = "x".repeat(500_000);
    for (from, to) in [
        ("lr = [0.1, 1000]", format!("lr = [\"{NASTY_TOML}\"]")),
        ("lr = [0.1, 1000]", format!("\"{NASTY_TOML}\" = [1]")),
        ("lr = [0.1, 1000]", format!("lr = [0.1] # {NASTY}")),
        ("\"sgd\"", format!("\"{NASTY_TOML}\"")),
        ("\"fashion-mnist-mini\"", format!("\"images\"\nimages = \"{NASTY_TOML}\"")),
        ("\"fashion-mnist-mini\"", "\"images\"\nimages = \"../../etc\"".to_owned()),
        ("\"net\"", format!("\"{NASTY_TOML}\"")),
        ("\"sgd\"", format!("\"{large}\"")),
        ("lr = [0.1, 1000]", format!("lr = \"{large}\"")),
        ("lr = [0.1, 1000]", format!("{large} = 1")),
        ("lr = [0.1, 1000]", format!("lr = [0.1]\n[[exclude]]\n{}", "a.".repeat(100_000))),
    ] {
        w.write("experiments/tiny.toml", &grid.replace(from, &to));
        let outcome = printed(&w, &["plan"]);
        assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
        assert!(outcome.stderr.len() < 8000, "{} bytes", outcome.stderr.len());
    }
    let layers = "{ layer = \"tanh\" }, ".repeat(20_000);
    w.write("experiments/models/net.toml", &format!("layers = [{layers}]"));
    assert!(printed(&w, &["summary", "net"]).stderr.contains("the limit is 10000 layers"));
}

#[test]
fn files_that_are_none_are_refused_at_once() {
    let w = Workspace::new(TINY);
    let refused = |file: &str, why: &str| {
        for command in [&["plan", file][..], &["sweep", file], &["find-lr", file], &["summary", file]] {
            let outcome = printed(&w, command);
            assert!(outcome.code == Some(2) && outcome.stderr.contains(why), "{command:?} {}", outcome.stderr);
        }
    };
    std::fs::create_dir(w.path("folder.toml")).unwrap();
    refused("folder.toml", "this is no regular file");
    w.write("large.toml", &"#".repeat(2 << 20));
    refused("large.toml", "the file is larger than 1 MiB");
    // With a hole where 100 GB would be.
    std::fs::File::create(w.path("sparse.toml")).unwrap().set_len(100 << 30).unwrap();
    refused("sparse.toml", "the file is larger than 1 MiB");
    std::fs::write(w.path("bytes.toml"), b"[study]\nquestion = \"\xff\"\n").unwrap();
    refused("bytes.toml", "line 2 is no text in UTF-8");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("/dev/zero", w.path("zero.toml")).unwrap();
        refused("zero.toml", "this is no regular file");
        let made = std::process::Command::new("mkfifo").arg(w.path("pipe.toml")).status();
        if made.is_ok_and(|status| status.success()) {
            refused("pipe.toml", "this is no regular file");
        }
        // Among the models, they are in nobody's way.
        std::fs::create_dir(w.path("experiments/models")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", w.path("experiments/models/zero.toml")).unwrap();
        std::os::unix::fs::symlink(w.path("pipe.toml"), w.path("experiments/models/pipe.toml")).unwrap();
        assert_eq!(printed(&w, &["plan"]).code, Some(0));
    }
    for name in ["...toml", " .toml", "a b.toml", "\u{202e}a.toml", "\u{1b}[2J.toml"] {
        w.write(name, TINY);
        let outcome = printed(&w, &["plan", name]);
        assert!(outcome.code == Some(2) && outcome.stderr.contains("can't be the name of a study"), "{name:?} {}", outcome.stderr);
    }
}
