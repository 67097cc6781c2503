//! What the terminal is for: JSON on demand, overrides instead of files, curves and a screen that keeps up, completions and man pages.

use std::path::Path;
use std::process::Command;

use crate::workspace::{TINY, Workspace};

/// The one JSON value that a command prints.
fn json(w: &Workspace, args: &[&str]) -> serde_json::Value {
    let text = w.ok(args);
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}\n{text}"))
}

#[test]
fn every_command_that_prints_data_prints_json() {
    let w = Workspace::new(TINY);
    assert_eq!(json(&w, &["plan", "--json"])["runs"].as_array().unwrap().len(), 4);
    // One object a line, as runs end.
    let lines = w.ok(&["sweep", "--json"]);
    let runs: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(runs.len(), 4, "{lines}");
    let id = runs.iter().find(|run| run["outcome"] == "completed").unwrap()["run_id"].as_str().unwrap().to_owned();
    let shown = json(&w, &["show", &id, "--json"]);
    assert_eq!((shown["run_id"].as_str(), shown["state"].as_str()), (Some(id.as_str()), Some("completed")));
    assert_eq!(shown["step_log"]["loss"].as_array().unwrap().len(), 20);
    // A diverged run has numbers that JSON has not.
    let diverged = runs.iter().find(|run| run["outcome"] == "diverged").unwrap()["run_id"].as_str().unwrap().to_owned();
    assert!(json(&w, &["show", &diverged, "--json"])["error"].is_string());
    assert_eq!(json(&w, &["status", "--json"])[0]["states"]["completed"], 2);
    assert_eq!(json(&w, &["query", "--json", "SELECT 1 AS one"]), serde_json::json!([{ "one": 1 }]));
    assert_eq!(json(&w, &["reproduce", &id, "--json"])["run_id"].as_str(), Some(id.as_str()));
    assert!(json(&w, &["report", "--json"])["studies"].is_array());
    assert!(json(&w, &["summary", "mlp", "--json"]).to_string().contains("dense"));
    assert!(json(&w, &["data", "list", "--json"]).is_array());
    assert!(json(&w, &["find-lr", "experiments/tiny.toml", "--steps", "30", "--json"]).is_object());
    assert_eq!(json(&w, &["export", "--to", "csv", "out", "--json"])["runs"], 4);
    assert_eq!(json(&w, &["export", "--to", "sqlite", "copy.db", "--json"])["runs"], 4);
    assert!(json(&w, &["merge", "copy.db", "--db", "merged.db", "--json"]).to_string().contains("copy.db"));
    w.write("theirs.csv", "step,loss\n1,2\n2,1\n");
    assert_eq!(json(&w, &["import", "theirs.csv", "--study", "theirs", "--json"])["new"], 1);
    assert!(json(&w, &["schema"])["properties"].is_object());
    // What is wrong goes to stderr, as text.
    let outcome = w.run(&["show", "zzz", "--json"]);
    assert!(outcome.code == Some(2) && outcome.stdout.is_empty() && outcome.stderr.starts_with("error: "), "{}", outcome.stderr);
}

#[test]
fn overrides_stand_in_for_a_file_and_never_change_its_study() {
    let w = Workspace::new(TINY);
    w.ok(&["sweep", "--quiet", "--no-report"]);
    let before = w.rows("SELECT source FROM study WHERE name = 'tiny'");
    // One value of an axis that is there: the cells are known.
    let outcome = w.run(&["sweep", "experiments/tiny.toml", "lr=0.1", "--no-report"]);
    assert!(outcome.code == Some(0) && outcome.stderr.contains("nothing to train"), "{}", outcome.stderr);
    w.ok(&["sweep", "experiments/tiny.toml", "lr=0.1,0.2", "epochs=1", "--name", "shorter", "--quiet", "--no-report"]);
    assert_eq!(w.rows("SELECT arm, COUNT(*) FROM run_summary WHERE study = 'shorter' GROUP BY arm"), ["lr=0.1,2", "lr=0.2,2"]);
    assert_eq!(w.rows("SELECT source FROM study WHERE name = 'tiny'"), before);
    // Without a file.
    let quick =
        ["sweep", "model=mlp", "model.hidden=8", "optimizer=sgd,adam", "lr=0.1", "train_examples=300", "seeds=2", "--name", "quick"];
    w.ok(&[&quick[..], &["--quiet", "--no-report"]].concat());
    assert_eq!(w.rows("SELECT arm, COUNT(*) FROM run_summary WHERE study = 'quick' GROUP BY arm ORDER BY 1"), ["adam,2", "sgd,2"]);
    // What it came to is a grid file like any other.
    let source = w.ok(&["query", "--format", "csv", "SELECT source FROM study WHERE name = 'quick'"]);
    let grid = source.split_once('\n').unwrap().1.trim().trim_matches('"').replace("\"\"", "\"");
    w.write("experiments/again.toml", &grid);
    let outcome = w.run(&["sweep", "experiments/again.toml", "--no-report"]);
    assert!(outcome.stderr.contains("nothing to train"), "{}\n{grid}", outcome.stderr);
    for (args, message) in [
        (vec!["plan", "experiments/tiny.toml", "lrr=1"], "did you mean `lr`?"),
        (vec!["plan", "experiments/tiny.toml", "lr=fast"], "lr=fast"),
        (vec!["plan", "absent.toml", "lr=1"], "absent.toml"),
        (vec!["plan", "optimizer=sgdd", "lr=1"], "did you mean `sgd`?"),
    ] {
        let outcome = w.run(&args);
        assert!(outcome.code == Some(2) && outcome.stderr.contains(message), "{args:?}: {:?} {}", outcome.code, outcome.stderr);
    }
}

#[test]
fn show_draws_one_run_and_compares_several() {
    let w = Workspace::new(TINY);
    w.ok(&["sweep", "--quiet", "--no-report"]);
    let ids = w.rows("SELECT id FROM run ORDER BY outcome, seed");
    let one = w.ok(&["show", &ids[0]]);
    assert!(one.contains("training loss per step") && one.contains("20 steps") && one.contains("optimizer"), "{one}");
    assert!(!one.contains('\u{1b}'), "no colors without a terminal");
    let compared = w.ok(&["show", &ids[0], &ids[1]]);
    assert!(compared.contains("seed 0") && compared.contains("seed 1"), "{compared}");
    // What a terminal can't show is drawn with what it can.
    let output = w.command(&["show", &ids[0]]).env("LC_ALL", "C").env_remove("LANG").output().unwrap();
    let plain = String::from_utf8(output.stdout).unwrap();
    assert!(plain.contains('*') && !plain.contains('⠀') && plain.contains("training loss"), "{plain}");
}

/// Whether a program is there; says what is skipped otherwise.
fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok() || Path::new("/usr/bin").join(program).exists();
    if !there {
        eprintln!("SKIPPED: needs {program}");
    }
    there
}

#[test]
fn shells_complete_and_man_pages_are_well_formed() {
    let w = Workspace::new(TINY);
    w.ok(&["assets", "--out", "assets", "--quiet"]);
    if has("bash") {
        let script = "source assets/completions/pipeline.bash; COMP_WORDS=(pipeline sw); COMP_CWORD=1; _pipeline pipeline sw pipeline; echo ${COMPREPLY[@]}";
        let output = Command::new("bash").args(["-c", script]).current_dir(w.path("")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "sweep", "{}", String::from_utf8_lossy(&output.stderr));
    }
    if has("zsh") {
        let script = "autoload -U compinit; compinit -D -u; source assets/completions/_pipeline; whence -w _pipeline";
        let output = Command::new("zsh").args(["-fc", script]).current_dir(w.path("")).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("function"), "{}", String::from_utf8_lossy(&output.stderr));
    }
    if has("fish") {
        let script = "source assets/completions/pipeline.fish; complete -C 'pipeline sw'";
        let output = Command::new("fish").args(["--no-config", "-c", script]).current_dir(w.path("")).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("sweep"), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let pages: Vec<_> = std::fs::read_dir(w.path("assets/man/man1")).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(pages.len() > 15, "{pages:?}");
    if has("mandoc") {
        for page in &pages {
            let output = Command::new("mandoc").args(["-Tlint", "-Werror"]).arg(page).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

/// Opens a terminal for a command, presses a key when it has drawn, and says how it ended, what it drew, and whether the terminal was left
/// as it had been.
const TERMINAL: &str = r#"
import os, pty, select, sys, termios, time
key, argv = sys.argv[1].encode().decode("unicode_escape").encode(), sys.argv[2:]
master, slave = pty.openpty()
before = termios.tcgetattr(slave)
pid = os.fork()
if pid == 0:
    os.setsid()
    import fcntl
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2): os.dup2(slave, fd)
    os.execv(argv[0], argv)
seen, end, pressed = b"", time.time() + 30, False
while time.time() < end:
    if select.select([master], [], [], 0.1)[0]:
        seen += os.read(master, 65536)
    if not pressed and b"leaves" in seen and b"training" in seen:
        pressed = True
        os.write(master, key)
    done, status = os.waitpid(pid, os.WNOHANG)
    if done:
        while select.select([master], [], [], 0.2)[0]:
            seen += os.read(master, 65536)
        print(os.waitstatus_to_exitcode(status), termios.tcgetattr(slave) == before, b"\x1b[?1049l" in seen, b"\x1b[?25h" in seen)
        sys.exit()
os.kill(pid, 9)
print("it did not end", seen[-2000:])
"#;

#[test]
fn status_keeps_up_on_a_terminal_and_gives_it_back() {
    if !has("python3") {
        return;
    }
    let w = Workspace::new(&TINY.replace("epochs = 2", "epochs = 1000000").replace("[0.1, 1000]", "[0.001]"));
    let mut sweep = w.command(&["sweep", "--quiet", "--no-report"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    let binary = env!("CARGO_BIN_EXE_pipeline");
    let ends = |key: &str| {
        let mut terminal = Command::new("python3");
        terminal.args(["-c", TERMINAL, key, binary, "status", "--watch", "--interval", "0.2"]).current_dir(w.path(""));
        String::from_utf8(terminal.env("TERM", "xterm").output().unwrap().stdout).unwrap()
    };
    let all = ["q", "\\x03"].map(ends);
    sweep.kill().unwrap();
    sweep.wait().unwrap();
    assert_eq!(all.map(|end| end.trim().to_owned()), ["0 True True True", "130 True True True"]);
}
