//! Models are files: what is put into `experiments/models/` can be trained, and what is wrong with it is said where it stands.

use crate::workspace::{TINY, Workspace};

const BRANCHES: &str = r#"
about = "two branches, joined"

[parameters]
width = 4
join = ["concat", "add"]
norm = false

[nodes]
stem = { layer = "conv2d", from = "input", filters = "$width", kernel = 3, stride = 2, padding = "same" }
norm = { layer = "batch_norm", from = "stem", when = "$norm" }
active = { layer = "relu", from = "norm" }
small = { block = "branch", from = "active", filters = "$width" }
large = { block = "branch", from = "active", filters = "$width", kernel = 5 }
joined = { layer = "$join", from = ["small", "large"] }
pooled = { layer = "global_avg_pool", from = "joined" }
logits = { layer = "dense", from = "pooled", units = "classes" }

[blocks.branch]
parameters = { filters = 1, kernel = 1 }
layers = [{ layer = "conv2d", filters = "$filters", kernel = "$kernel", padding = "same", activation = "relu" }]
"#;

fn workspace(grid: &str, models: &[(&str, &str)]) -> Workspace {
    let w = Workspace::new(grid);
    std::fs::create_dir(w.path("experiments/models")).unwrap();
    for (name, text) in models {
        w.write(&format!("experiments/models/{name}.toml"), text);
    }
    w
}

fn with_model(model: &str) -> String {
    TINY.replace("{ name = \"mlp\", hidden = 8 }", model).replace("lr = [0.1, 1000]\n", "").replace("[grid]\n", "lr = 0.1\n[grid]\n")
}

#[test]
fn a_new_model_and_a_grid_over_its_parameters_need_no_code() {
    let grid = with_model("\"branches\"").replace("[grid]\n", "[grid]\nmodel.norm = [false, true]\nmodel.blocks.branch.kernel = [1, 3]\n");
    let w = workspace(&grid, &[("branches", BRANCHES)]);
    let sweep = w.run(&["sweep"]);
    assert_eq!(sweep.code, Some(0), "{}", sweep.stderr);
    assert!(sweep.stderr.contains("8 runs to train, 0 skipped") && sweep.stderr.contains("8 completed"), "{}", sweep.stderr);
    let definition = "SELECT DISTINCT json_extract(config, '$.model_definition') FROM run WHERE json_extract(config, '$.\"model.norm\"') \
                      AND json_extract(config, '$.\"model.blocks.branch.kernel\"') = 3";
    let expected =
        "conv3x3 4 stride 2x2, batchnorm relu, conv3x3 4 relu, conv5x5 4 relu <- 2, concat <- 3 4, global-avgpool, dense classes";
    assert_eq!(w.rows(definition), [format!("\"{expected}\"")]);
    assert!(w.read("reports/tiny/report.md").contains("`model.blocks.branch.kernel`"));
    // The runs are what they are, with the file or another text of it.
    w.write("experiments/models/branches.toml", &BRANCHES.replace("joined = ", "\njoin-them = ").replace("\"joined\"", "\"join-them\""));
    assert!(w.run(&["sweep"]).stderr.contains("nothing to train: 8 runs to skip"));
    let filtered = w.ok(&["plan", "--filter", "model.norm=true model.blocks.branch.kernel<2"]);
    assert!(filtered.contains("2 runs: 0 to train"), "{filtered}");
}

#[test]
fn a_file_wins_over_a_built_in_model_and_a_broken_one_is_in_the_way_of_its_users_only() {
    let mlp = "layers = [{ layer = \"flatten\" }, { layer = \"dense\", units = \"classes\" }]\n";
    let w = workspace(&with_model("\"mlp\""), &[("mlp", mlp), ("broken", "layers = [{ layer = \"convd2\" }]\n")]);
    let json: serde_json::Value = serde_json::from_str(&w.ok(&["plan", "--json"])).unwrap();
    assert_eq!(json["runs"][0]["config"]["model_definition"], "flatten, dense classes");
    w.write("experiments/tiny.toml", &with_model("\"broken\""));
    let outcome = w.run(&["plan"]);
    assert_eq!(outcome.code, Some(2));
    insta::assert_snapshot!(outcome.stderr, @r#"
    error: unknown layer `convd2`
     --> experiments/models/broken.toml:1:21
      |
    1 | layers = [{ layer = "convd2" }]
      |                     ^^^^^^^^
      = help: did you mean `conv2d`?
    "#);
    // What only shows where the model meets the data names the layers.
    let misfit = "layers = [{ layer = \"conv2d\", filters = 3, kernel = 29 }, { layer = \"dense\", units = \"classes\" }]\n";
    w.write("experiments/models/broken.toml", misfit);
    let outcome = w.run(&["plan"]);
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("study tiny"), "{}", outcome.stderr);
}

#[test]
fn models_stand_beside_the_grid_wherever_that_is() {
    let w = Workspace::new(TINY);
    std::fs::create_dir_all(w.path("elsewhere/models")).unwrap();
    w.write("elsewhere/models/branches.toml", BRANCHES);
    w.write("elsewhere/other.toml", &with_model("{ name = \"branches\", norm = true }"));
    let plan = w.ok(&["plan", "experiments/tiny.toml", "elsewhere/other.toml"]);
    assert!(plan.contains(" other "), "{plan}");
    w.write("experiments/wrong.toml", &with_model("\"branches\""));
    let wrong = w.run(&["plan", "elsewhere/other.toml", "experiments/wrong.toml"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("unknown model `branches`"), "{}", wrong.stderr);
}
