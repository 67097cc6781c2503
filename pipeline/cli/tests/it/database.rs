//! The database file through the binary: messages about it, limits of queries, copies.

use crate::workspace::{Outcome, TINY, Workspace, repository};

/// A database that an earlier version wrote: four runs, no training needed.
fn with_database(name: &str) -> Workspace {
    let w = Workspace::new(TINY);
    std::fs::copy(repository().join("pipeline/tracker/tests/files/v4.db"), w.path(name)).unwrap();
    w
}

fn failed(w: &Workspace, args: &[&str]) -> (i32, String) {
    let Outcome { code, stderr, .. } = w.run(args);
    assert_eq!(stderr.matches("r.db").count(), usize::from(args.contains(&"r.db")), "the file is named once: {stderr}");
    (code.unwrap(), stderr)
}

#[test]
fn a_file_that_can_not_be_used_is_named_once_with_what_to_do() {
    let w = with_database("r.db");
    let whole = std::fs::read(w.path("r.db")).unwrap();
    std::fs::write(w.path("r.db"), "").unwrap();
    for command in ["status", "sweep", "report", "plan"] {
        let (code, error) = failed(&w, &["--db", "r.db", command]);
        assert_eq!(code, 2, "{error}");
        assert!(error.contains("r.db: the file is empty") && error.contains("remove it to start anew"), "{error}");
    }
    std::fs::write(w.path("r.db"), &whole[..whole.len() / 2]).unwrap();
    for command in ["status", "sweep", "report"] {
        let (code, error) = failed(&w, &["--db", "r.db", command]);
        assert_eq!(code, 1, "{error}");
        assert!(error.contains("r.db: the file is cut off, 17408 of 34816 bytes are there"), "{error}");
    }
    // Damage that shows in the middle of reading, where the error itself knows no file.
    std::fs::write(w.path("r.db"), &whole).unwrap();
    w.ok(&["--db", "r.db", "status"]); // brings it up to date
    let mut damaged = std::fs::read(w.path("r.db")).unwrap();
    let page: usize = w
        .ok(&["--db", "r.db", "query", "--format", "csv", "SELECT rootpage FROM sqlite_schema WHERE name = 'eval_log'"])
        .lines()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    damaged[(page - 1) * 1024..page * 1024].fill(0x5a);
    std::fs::write(w.path("r.db"), &damaged).unwrap();
    for args in [&["--db", "r.db", "report", "first"][..], &["--db", "r.db", "query", "SELECT * FROM learning_curve"]] {
        let (code, error) = failed(&w, args);
        assert_eq!(code, 1, "{error}");
        assert!(error.contains("the file is damaged") && error.contains("sqlite3 FILE .recover"), "{error}");
    }
    assert!(std::fs::read(w.path("r.db")).unwrap() == damaged);
}

#[test]
fn queries_end_and_only_read() {
    let w = with_database("r.db");
    w.ok(&["--db", "r.db", "status"]);
    let query = |args: &[&str]| {
        let outcome = w.run(&[&["--db", "r.db", "query"], args].concat());
        (outcome.code, outcome.stderr)
    };
    let numbers = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)";
    let (code, error) = query(&["--timeout", "1", &format!("{numbers} SELECT COUNT(*) FROM c")]);
    assert_eq!((code, error.as_str()), (Some(2), "error: stopped after 1 s; --timeout SECONDS allows more, --timeout 0 any time\n"));
    let (code, error) = query(&["ATTACH 'x.db' AS x"]);
    assert_eq!((code, error.as_str()), (Some(2), "error: ATTACH is not allowed here; only reading\n"));
    assert!(!w.path("x.db").exists());
    let (code, error) = query(&["--format", "json", &format!("{numbers} SELECT x FROM c")]);
    assert!(code == Some(2) && error.starts_with("error: the answer is larger than 128 MiB"), "{error}");
    let sql = format!("{numbers} SELECT x, HEX(ZEROBLOB(10)) FROM c LIMIT 2000000");
    assert_eq!(w.ok(&["--db", "r.db", "query", "--format", "csv", &sql]).lines().count(), 2_000_001);
}

#[test]
fn a_terminal_gets_nothing_to_obey() {
    let w = with_database("r.db");
    let sql = "SELECT CHAR(27) || '[31mred' || CHAR(13) || CHAR(8238) AS \"c\u{1b}[2J\"";
    for format in ["table", "markdown"] {
        let shown = w.ok(&["--db", "r.db", "query", "--format", format, sql]);
        assert!(shown.contains(r"\u{1b}[31mred\u{d}\u{202e}") && shown.contains(r"c\u{1b}[2J"), "{shown}");
        assert!(!shown.contains(['\u{1b}', '\r', '\u{202e}']));
    }
    let exact = w.ok(&["--db", "r.db", "query", "--format", "csv", sql]);
    assert!(exact.contains("\u{1b}[31mred\r\u{202e}"), "{exact:?}");
    let json: serde_json::Value = serde_json::from_str(&w.ok(&["--db", "r.db", "query", "--format", "json", sql])).unwrap();
    assert_eq!(json[0]["c\u{1b}[2J"], "\u{1b}[31mred\r\u{202e}");
    let error = w.run(&["--db", "r.db", "query", "SELECT \u{1b}[2J"]).stderr;
    assert!(error.contains(r"\u{1b}") && !error.contains('\u{1b}'), "{error:?}");
    let absent = w.run(&["--db", "\u{1b}]0;x.db", "status"]).stderr;
    assert!(absent.starts_with(r"error: \u{1b}]0;x.db: there are no results yet"), "{absent:?}");
}

#[test]
fn export_copies_the_database() {
    let w = with_database("r.db");
    let export = |args: &[&str]| w.run(&[&["--db", "r.db", "export", "--to", "sqlite"], args].concat());
    let first = export(&["copies/a.db"]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert!(first.stderr.starts_with("copies/a.db: 4 runs, ") && first.stderr.contains(" rows, "), "{}", first.stderr);
    assert_eq!(w.ok(&["--db", "copies/a.db", "status"]), w.ok(&["--db", "r.db", "status"]));
    let again = export(&["copies/a.db"]);
    assert_eq!((again.code, again.stderr.as_str()), (Some(2), "error: copies/a.db: there is a file already; --force replaces it\n"));
    assert_eq!(export(&["--force", "copies/a.db"]).code, Some(0));
    let itself = export(&["--force", "./copies/../r.db"]);
    assert!(itself.code == Some(2) && itself.stderr.contains("the database itself"), "{}", itself.stderr);
    assert_eq!(std::fs::read_dir(w.path("copies")).unwrap().count(), 1);
}
