//! The book (README.md and docs/) is true: its links lead somewhere, its commands and flags exist, its guide can be followed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workspace::{Workspace, repository};

/// Every page, by its path from the repository's root.
fn pages() -> BTreeMap<PathBuf, String> {
    let mut names = vec![PathBuf::from("README.md"), "CONTRIBUTING.md".into(), "CHANGELOG.md".into()];
    for folder in ["docs", "examples"] {
        let entries = std::fs::read_dir(repository().join(folder)).unwrap().map(|e| Path::new(folder).join(e.unwrap().file_name()));
        names.extend(entries.filter(|name| name.extension().is_some_and(|e| e == "md")));
    }
    names.into_iter().map(|name| (name.clone(), std::fs::read_to_string(repository().join(name)).unwrap())).collect()
}

/// The part of a page outside of fences.
fn prose(page: &str) -> String {
    page.split("```").step_by(2).collect()
}

/// Targets of links and pictures, `](target)`.
fn links(page: &str) -> Vec<String> {
    let text = prose(page);
    text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The anchor that a heading has on GitHub.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    heading.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_lead_somewhere() {
    let pages = pages();
    let mut n = 0;
    for (name, page) in &pages {
        for link in links(page).iter().filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let path = if file.is_empty() { name.clone() } else { name.parent().unwrap().join(file) };
            let target = repository().join(&path);
            assert!(target.exists(), "{}: there is no {link}", name.display());
            if !heading.is_empty() && target.extension().is_some_and(|e| e == "md") {
                let text = std::fs::read_to_string(&target).unwrap();
                let found = prose(&text).lines().any(|l| l.starts_with('#') && anchor(l.trim_start_matches('#').trim()) == heading);
                assert!(found, "{}: there is no heading for {link}", name.display());
            }
            n += 1;
        }
    }
    assert!(n > 60, "{n}");
}

#[test]
fn every_page_is_in_the_contents() {
    let pages = pages();
    let contents: BTreeSet<String> = links(&pages[Path::new("docs/README.md")]).into_iter().collect();
    for page in pages.keys().filter_map(|name| name.strip_prefix("docs").ok()).filter(|name| *name != Path::new("README.md")) {
        assert!(contents.contains(page.to_str().unwrap()), "docs/README.md does not name {}", page.display());
    }
}

/// What a page shows as code: fenced, indented, and between backticks.
fn code(page: &str) -> Vec<String> {
    let fenced = page.split("```").skip(1).step_by(2).flat_map(|block| block.lines().skip(1)).map(str::to_owned);
    let prose = prose(page);
    let indented = prose.lines().filter(|l| l.starts_with("    ")).map(|l| l.trim().to_owned());
    let inline = prose.split('`').skip(1).step_by(2).map(|code| code.replace('\n', " "));
    fenced.chain(indented).chain(inline).collect()
}

#[test]
fn commands_and_flags_exist() {
    let w = Workspace::new("");
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let mut n = 0;
    for (name, page) in pages() {
        for line in code(&page) {
            // Also in the middle of a line: `parallel pipeline --db … sweep`.
            let Some(words) = line.split_once("pipeline ").map(|(_, rest)| rest.split(['|', ';', '#']).next().unwrap_or("")) else {
                continue;
            };
            let words: Vec<&str> = words.split_whitespace().collect();
            // A global option may come first, with its value.
            let Some(at) = words.iter().position(|w| w.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !w.starts_with('-')) else {
                continue;
            };
            let command = words[at];
            let help = helps.entry(command.into()).or_insert_with(|| {
                let outcome = w.run(&[command, "--help"]);
                assert_eq!(outcome.code, Some(0), "{}: `{line}`: {}", name.display(), outcome.stderr);
                // `data` has commands of its own.
                let nested = if command == "data" { ["list", "fetch", "show"].as_slice() } else { &[] };
                nested.iter().map(|of| w.ok(&[command, of, "--help"])).fold(outcome.stdout, |all, one| all + &one)
            });
            for flag in words.iter().filter(|w| w.starts_with("--") && w.len() > 2) {
                let flag = flag.split(['=', '`', ',', ')']).next().unwrap();
                assert!(help.contains(flag), "{}: `pipeline {command}` has no {flag}", name.display());
                n += 1;
            }
        }
    }
    assert!(n > 40, "{n}");
}

/// Runs commands in the workspace's folder, with `pipeline` to be found.
fn shell(w: &Workspace, script: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_pipeline")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).current_dir(w.path("")).env("PATH", path);
    let output = command.env("NO_COLOR", "1").env("XDG_CACHE_HOME", w.path("cache")).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{script}\n{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn the_guide_can_be_followed() {
    let w = Workspace::new("");
    std::fs::remove_file(w.path("experiments/tiny.toml")).unwrap();
    let guide = std::fs::read_to_string(repository().join("docs/guide.md")).unwrap();
    let (mut files, mut script) = (0, String::new());
    for block in guide.split("```").skip(1).step_by(2) {
        let (language, text) = block.split_once('\n').unwrap();
        match language {
            "toml" => {
                let Some(name) = text.lines().next().and_then(|l| l.strip_prefix("# experiments/")) else { continue };
                w.write(&format!("experiments/{name}"), text);
                files += 1;
            }
            "sh" => script += text,
            other => panic!("a block of {other}"),
        }
    }
    assert!(files >= 2 && script.lines().count() > 10, "{script}");
    shell(&w, &script);
    assert_eq!(w.rows("SELECT COUNT(*) FROM run_summary WHERE study = 'momentum' AND outcome = 'completed'"), ["12"]);
    assert_eq!(w.rows("SELECT COUNT(DISTINCT arm) FROM run_summary WHERE study = 'optimizers-small'"), ["11"]);
    assert!(w.read("reports/README.md").contains("momentum"));
}

#[test]
fn every_example_runs() {
    let w = Workspace::new("");
    std::fs::remove_file(w.path("experiments/tiny.toml")).unwrap();
    let mut n = 0;
    let mut examples: Vec<PathBuf> = std::fs::read_dir(repository().join("examples")).unwrap().map(|e| e.unwrap().path()).collect();
    examples.sort();
    for example in examples.iter().filter(|p| p.extension().is_some_and(|e| e == "sh")) {
        shell(
            &w,
            &format!(
                "cp -r '{}' . && cd examples && bash {}",
                repository().join("examples").display(),
                example.file_name().unwrap().to_str().unwrap()
            ),
        );
        n += 1;
    }
    assert!(n >= 3, "{n}");
}

#[test]
fn every_filter_in_the_book_is_one() {
    let page = std::fs::read_to_string(repository().join("docs/filter.md")).unwrap();
    let table = page.split("| expression | chooses |").nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut n = 0;
    for row in rows {
        let expression = row.split('`').nth(1).unwrap();
        expression.parse::<spec::Filter>().unwrap_or_else(|e| panic!("{expression}: {e}"));
        n += 1;
    }
    assert!(n >= 10, "{n}");
}
