//! What the documents say is true: grid files parse, commands exist, derived files are fresh.

use std::collections::{BTreeMap, BTreeSet};

use crate::workspace::{TINY, Workspace, repository};

fn read(name: &str) -> String {
    std::fs::read_to_string(repository().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn the_committed_schema_and_reference_of_grid_files_are_fresh() {
    // They list the models of the folder that it stands in.
    for (format, file) in [("json", "experiments/grid.schema.json"), ("markdown", "docs/grid.md")] {
        let output = Workspace::new("").command(&["schema", "--format", format]).current_dir(repository()).output().unwrap();
        assert!(String::from_utf8(output.stdout).unwrap() == read(file), "{file} differs; run `just regenerate` and commit");
    }
}

/// Copies the grids and models of the repository; returns the names of the studies.
fn copy_experiments(w: &Workspace) -> BTreeSet<String> {
    std::fs::remove_file(w.path("experiments/tiny.toml")).unwrap();
    std::fs::create_dir(w.path("experiments/models")).unwrap();
    let mut studies = BTreeSet::new();
    for folder in ["experiments", "experiments/models"] {
        for entry in std::fs::read_dir(repository().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "toml") {
                std::fs::copy(&path, w.path(folder).join(path.file_name().unwrap())).unwrap();
                if folder == "experiments" {
                    studies.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
                }
            }
        }
    }
    studies
}

/// As few photographs as the committed grids can do with, in the forms that they ask for.
fn write_tiny_photographs(w: &Workspace) {
    // Batches of 64 where a tenth is held out: of 71 images, 64 are left.
    std::fs::create_dir_all(w.path("data/cifar-10-batches-bin")).unwrap();
    let record = |label: u8| [&[label][..], &[label; 3 * 32 * 32]].concat();
    for (batch, count) in
        [("data_batch_1", 15), ("data_batch_2", 14), ("data_batch_3", 14), ("data_batch_4", 14), ("data_batch_5", 14), ("test_batch", 1)]
    {
        let records: Vec<u8> = (0..10).cycle().take(count).flat_map(record).collect();
        std::fs::write(w.path(&format!("data/cifar-10-batches-bin/{batch}.bin")), records).unwrap();
    }
    // Batches of 32 with nothing held out.
    for number in 0..32u8 {
        w.write_png(&format!("data/cifar10-images/train/{}/{number}.png", number % 10), [32, 32], [number, 0, 0]);
    }
    w.write_png("data/cifar10-images/test/0/0.png", [32, 32], [0, 9, 0]);
}

#[test]
fn every_committed_grid_is_planned() {
    let w = Workspace::new("");
    let studies = copy_experiments(&w);
    write_tiny_photographs(&w);
    let outcome = w.run(&["plan", "--json"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "none is skipped");
    let plan: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let mut arms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for run in plan["runs"].as_array().unwrap() {
        let text = |key: &str| run[key].as_str().unwrap().to_owned();
        arms.entry(text("study")).or_default().insert(text("arm"));
    }
    assert_eq!(arms.keys().cloned().collect::<BTreeSet<_>>(), studies);
    // Counted by hand: two optimizers at eleven rates; seven at five; six sizes at two.
    assert_eq!(["learning_rate", "optimizers", "batch_size"].map(|study| arms[study].len()), [22, 35, 12]);
}

#[test]
fn grid_and_model_files_in_the_documents_expand() {
    let (w, documents) = (Workspace::new(""), ["README.md", "docs/guide.md", "docs/models.md"].map(read).concat());
    std::fs::create_dir(w.path("experiments/models")).unwrap();
    let (mut grids, mut models, mut parts, mut images, mut analyses) = (0, 0, 0, 0, 0);
    let base = TINY.lines().filter(|l| !l.starts_with("model")).collect::<Vec<_>>().join("\n");
    for block in documents.split("```toml\n").skip(1).map(|b| b.split("```").next().unwrap()) {
        let grid = if let Some(name) = block.lines().next().unwrap().strip_prefix("# experiments/models/") {
            models += 1;
            w.write(&format!("experiments/models/{name}"), block);
            base.replace("[base]\n", &format!("[base]\nmodel = \"{}\"\n", name.strip_suffix(".toml").unwrap()))
        } else if block.contains("[study]") {
            grids += 1;
            block.to_owned()
        } else if block.starts_with("[analysis]") {
            analyses += 1;
            let base = TINY.replace("optimizer = \"sgd\"\n", "").replace("[grid]\n", "[grid]\noptimizer = [\"sgd\", \"adam\"]\n");
            format!("{base}\n{block}")
        } else if block.contains("dataset = \"images\"") {
            // Images of the user's own are there, and a network is trained on them.
            images += 1;
            for (class, colour) in [("red", [250, 0, 0]), ("blue", [0, 0, 250])] {
                for number in 0..8u8 {
                    w.write_png(&format!("data/flowers/{class}/{number}.png"), [5, 7], [colour[0], number, colour[2]]);
                }
            }
            let rest = "model = \"mlp\"\noptimizer = \"sgd\"\nlr = 0.1\nbatch_size = 4\nepochs = 1\nvalidation_fraction = 0.25\n";
            let grid = format!("[study]\nquestion = \"Which flower?\"\n{block}{rest}[replicates]\nseeds = 1\n");
            w.write("experiments/tiny.toml", &grid);
            let sweep = w.run(&["sweep", "--no-report"]).stderr;
            assert!(sweep.contains("1 completed"), "{sweep}");
            grid
        } else {
            parts += 1;
            let (settings, axes) = block.split_once("[grid]\n").unwrap();
            base.replace("[base]\n", settings).replace("[grid]\n", &format!("[grid]\n{axes}"))
        };
        w.write("experiments/tiny.toml", &grid);
        w.ok(&["plan"]);
    }
    assert_eq!((grids, models, parts, images, analyses), (3, 2, 1, 1, 1));
}

#[test]
fn built_in_models_are_those_of_the_repository() {
    let w = Workspace::new(TINY);
    std::fs::create_dir(w.path("experiments/models")).unwrap();
    let ids = |models: &[&str]| {
        let list: Vec<String> = models.iter().map(|m| format!("\"{m}\"")).collect();
        let grid = TINY
            .replace("model = { name = \"mlp\", hidden = 8 }\n", "")
            .replace("[grid]\n", &format!("[grid]\nmodel = [{}]\n", list.join(", ")));
        w.write("experiments/tiny.toml", &grid);
        w.ok(&["plan"])
    };
    let names = ["mlp", "small-cnn", "stacked-cnn", "inception"];
    let built_in = ids(&names);
    for name in names {
        w.write(&format!("experiments/models/{name}.toml"), &read(&format!("experiments/models/{name}.toml")));
    }
    assert_eq!(ids(&names), built_in);
}

#[test]
fn every_command_is_in_the_readme() {
    let w = Workspace::new("");
    let help = w.ok(&["--help"]);
    let commands = help.lines().skip_while(|l| !l.starts_with("Commands:")).skip(1).take_while(|l| !l.is_empty());
    let readme = read("README.md");
    let mut n = 0;
    // What is indented further goes on with what a command does.
    let commands = commands.filter(|line| line.strip_prefix("  ").is_some_and(|line| !line.starts_with(' ')));
    for command in commands.filter_map(|l| l.split_whitespace().next()) {
        assert!(readme.contains(&format!("pipeline {command}")), "README.md does not mention `pipeline {command}`");
        n += 1;
    }
    assert!(n >= 8, "{help}");
}

/// Every Rust file of the crates.
fn sources(folder: &std::path::Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
        if entry.is_dir() {
            sources(&entry, text);
        } else if entry.extension().is_some_and(|e| e == "rs") {
            text.push_str(&std::fs::read_to_string(entry).unwrap());
        }
    }
}

#[test]
fn every_promise_names_tests_that_exist() {
    let mut code = String::new();
    sources(&repository().join("pipeline"), &mut code);
    let promises = read("docs/reliability.md");
    let table = promises.split("| promise | held by |").nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut n = 0;
    for row in rows {
        let held_by = row.trim_matches('|').rsplit_once('|').unwrap().1;
        assert!(held_by.contains('`'), "nothing holds: {row}");
        let names = held_by
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
        for name in names {
            assert!(code.contains(&format!("fn {name}(")), "there is no test `{name}`");
            n += 1;
        }
    }
    assert!(n > 50, "{n}");
}
