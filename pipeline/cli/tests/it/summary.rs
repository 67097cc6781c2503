//! `pipeline summary`: the course's network, drawings, and what is refused.

use crate::workspace::{Workspace, repository};

fn in_repository(args: &[&str]) -> crate::workspace::Outcome {
    let workspace = Workspace::new("");
    crate::workspace::Outcome::of(&workspace.command(args).current_dir(repository()).output().unwrap())
}

fn columns(csv: &str, column: usize) -> Vec<&str> {
    csv.lines().skip(1).map(|line| line.split(',').nth(column).unwrap()).collect()
}

/// Lengths by hand: 500 − 2, halved, − 4, halved, − 4, halved; weights: window · channels · filters and a bias each.
#[test]
fn the_course_network_has_the_sizes_that_pencil_and_paper_give() {
    let outcome = in_repository(&["summary", "conv1d", "--format", "csv"]);
    let csv = outcome.stdout.replace(", ", ";");
    assert_eq!(columns(&csv, 4), ["498×16", "249×16", "245×32", "122×32", "118×64", "59×64", "3776", "128", "5"]);
    assert_eq!(columns(&csv, 5), ["352", "0", "2592", "0", "10304", "0", "0", "483456", "645"]);
    let without = in_repository(&["summary", "conv1d", "--set", "third_pool=false", "--format", "csv"]).stdout.replace(", ", ";");
    assert_eq!(columns(&without, 4), ["498×16", "249×16", "245×32", "122×32", "118×64", "7552", "128", "5"]);
    assert_eq!(columns(&without, 5)[6], (7552 * 128 + 128).to_string());
}

#[test]
fn tables_end_with_totals_and_drawings_hold_every_layer() {
    let table = in_repository(&["summary", "mlp", "--set", "hidden=8"]).stdout;
    assert!(table.lines().rev().nth(1).unwrap().contains(&(785 * 8 + 9 * 10).to_string()), "{table}");
    let svg = in_repository(&["summary", "inception", "--format", "svg"]).stdout;
    assert_eq!(svg.matches("<rect x").count(), 21, "the input and twenty layers");
    let dot = in_repository(&["summary", "inception", "--format", "dot"]).stdout;
    assert!(dot.starts_with("digraph") && dot.contains("n0 -> n1;"));
    let json: serde_json::Value = serde_json::from_str(&in_repository(&["summary", "mlp", "--format", "json"]).stdout).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 3);
}

#[test]
fn what_does_not_fit_is_refused_with_what_would() {
    let cases: [(&[&str], &str); 5] = [
        (&["summary", "inceptoin"], "unknown model `inceptoin`; did you mean `inception`?"),
        (&["summary", "mlp", "--set", "hiden=8"], "mlp has no parameter `model.hiden`; it has model.hidden"),
        (&["summary", "mlp", "--set", "hidden=many"], "`units` of dense takes"),
        (&["summary", "conv1d", "--input", "28x28x1"], "takes [length, channels], not [28, 28, 1]"),
        (&["summary", "nothing.toml"], "nothing.toml"),
    ];
    for (args, expected) in cases {
        let outcome = in_repository(args);
        assert_eq!(outcome.code, Some(2), "{args:?} {}", outcome.stderr);
        assert!(outcome.stderr.contains(expected), "{args:?}: {}", outcome.stderr);
    }
}
