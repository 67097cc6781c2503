//! Pages in a real browser: Chromium, driven by Playwright. Without them, the tests say that they are skipped.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::workspace::{TINY, Workspace, repository};

const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&";

/// Ends what it started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where Playwright is, if there are it, Node.js and a browser.
fn playwright() -> Option<PathBuf> {
    let modules = std::env::var_os("NODE_PATH").map_or_else(|| repository().join("target/node/node_modules"), PathBuf::from);
    let browser = std::env::var_os("CHROMIUM").map_or_else(|| PathBuf::from("/usr/bin/chromium"), PathBuf::from);
    let has_node = Command::new("node").arg("--version").output().is_ok_and(|o| o.status.success());
    let is_there = has_node && browser.exists() && modules.join("playwright-core").exists();
    if !is_there {
        eprintln!("SKIPPED: needs Node.js, Chromium (/usr/bin/chromium or $CHROMIUM) and playwright-core (`just node`, or NODE_PATH)");
    }
    is_there.then_some(modules)
}

fn node(w: &Workspace, modules: &PathBuf, script: &str, args: &[&str]) {
    let script = repository().join(script);
    let output = Command::new("node").arg(script).args(args).env("NODE_PATH", modules).current_dir(w.path("")).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn the_dashboard_is_used_while_a_sweep_runs() {
    let Some(modules) = playwright() else { return };
    // Worth a picture: rates from too low to too high.
    let rates = TINY
        .replace("Does it work?", "Which learning rates are too low, and which too high, for SGD and for Adam?")
        .replace("optimizer = \"sgd\"\n", "")
        .replace("lr = [0.1, 1000]", "optimizer = [\"sgd\", \"adam\"]\nlr = { log = [1e-4, 10], points = 6 }")
        .replace("train_examples = 300", "train_examples = 1000")
        .replace("epochs = 2", "epochs = 4");
    let w = Workspace::new(&rates);
    w.ok(&["sweep", "--quiet", "--no-report"]);
    let results = rusqlite::Connection::open(w.path("results/results.db")).unwrap();
    results.execute("INSERT INTO study SELECT ?, ?, hypothesis, metric, axes, source, analysis FROM study", [HOSTILE, HOSTILE]).unwrap();
    results.execute("INSERT INTO study_run SELECT ?, run_id, ?, position, axes FROM study_run", [HOSTILE, HOSTILE]).unwrap();
    drop(results);
    // As long as the browser needs, and then it is stopped.
    let slow = TINY
        .replace("epochs = 2", "epochs = 1000000")
        .replace("[0.1, 1000]", "[0.001]")
        .replace("train_examples = 300", "train_examples = 3000");
    w.write("experiments/slow.toml", &slow);
    let mut sweep = w.command(&["sweep", "--quiet", "--no-report", "experiments/slow.toml"]);
    let _sweep = Running(sweep.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let mut serve = Running(w.command(&["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap());
    let mut address = String::new();
    BufReader::new(serve.0.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let shots = std::env::var("DASHBOARD_SHOTS").unwrap_or_default();
    node(&w, &modules, "pipeline/dashboard/tests/try.mjs", &[address.trim().trim_end_matches('/'), "slow", HOSTILE, &shots]);
}

#[test]
fn the_page_of_reports_is_used() {
    let Some(modules) = playwright() else { return };
    let w = Workspace::new(TINY);
    w.ok(&["sweep", "--quiet"]);
    node(&w, &modules, "pipeline/analysis/src/report/web/try.mjs", &["reports/index.html", "shots"]);
}
