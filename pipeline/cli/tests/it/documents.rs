//! What the documents say is true: grid files parse, commands exist, derived files are fresh.

use crate::workspace::{Workspace, repository};

fn read(name: &str) -> String {
    std::fs::read_to_string(repository().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn the_committed_schema_of_grid_files_is_fresh() {
    let w = Workspace::new("");
    assert!(w.ok(&["schema"]) == read("experiments/grid.schema.json"), "it differs; run `just regenerate` and commit");
}

#[test]
fn every_committed_study_expands() {
    let w = Workspace::new("");
    let expected = [("learning_rate", 110), ("optimizers", 105), ("batch_size", 60)];
    for (study, runs) in expected {
        let grid = repository().join("experiments").join(format!("{study}.toml"));
        let plan: serde_json::Value = serde_json::from_str(&w.ok(&["plan", "--json", grid.to_str().unwrap()])).unwrap();
        assert_eq!(plan["runs"].as_array().unwrap().len(), runs, "{study}");
    }
}

#[test]
fn grid_files_in_the_readme_expand() {
    let mut found = 0;
    for block in read("README.md").split("```toml\n").skip(1) {
        let grid = block.split("```").next().unwrap();
        let w = Workspace::new(grid);
        w.ok(&["plan"]);
        found += 1;
    }
    assert!(found >= 1);
}

#[test]
fn every_command_is_in_the_readme() {
    let w = Workspace::new("");
    let help = w.ok(&["--help"]);
    let commands = help.lines().skip_while(|l| !l.starts_with("Commands:")).skip(1).take_while(|l| !l.is_empty());
    let readme = read("README.md");
    let mut n = 0;
    for command in commands.filter_map(|l| l.split_whitespace().next()) {
        assert!(readme.contains(&format!("pipeline {command}")), "README.md does not mention `pipeline {command}`");
        n += 1;
    }
    assert!(n >= 8, "{help}");
}
