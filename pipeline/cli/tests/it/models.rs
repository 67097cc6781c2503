//! Models are files: what is put into `experiments/models/` can be trained, and what is wrong with it is said where it stands.

use crate::workspace::{TINY, Workspace, repository};

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

/// A model file of the repository.
fn committed(name: &str) -> String {
    std::fs::read_to_string(repository().join(format!("experiments/models/{name}.toml"))).unwrap()
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
}

#[test]
fn a_misfit_of_model_and_data_names_file_layer_shapes_and_remedy() {
    let w = workspace(&with_model("\"net\""), &[]);
    let error = |model: &str, command: &[&str]| {
        w.write("experiments/models/net.toml", model);
        let outcome = w.run(command);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{}", outcome.stderr);
        outcome.stderr
    };
    let at = "study tiny, arm base: experiments/models/net.toml";
    let logits = "{ layer = \"dense\", units = \"classes\" }";
    let too_large =
        format!("layers = [{{ layer = \"max_pool2d\", size = 2 }}, {{ layer = \"conv2d\", filters = 3, kernel = 15 }}, {logits}]\n");
    let message = "layer `conv2d_1` (conv15x15 3 valid): a window of 15×15 does not fit into 14×14; give it padding = \"same\", make it smaller, \
                   or take fewer poolings and smaller strides before it";
    for command in [&["plan"][..], &["sweep"], &["find-lr", "experiments/tiny.toml", "--quiet"]] {
        assert_eq!(error(&too_large, command), format!("error: {at}: {message}\n"), "{command:?}");
    }
    assert_eq!(error(&too_large, &["summary", "net"]), format!("error: experiments/models/net.toml: {message}\n"));
    assert_eq!(
        error(&format!("layers = [{logits}]\n"), &["plan"]),
        format!(
            "error: {at}: layer `dense_1` (dense classes): takes one dimension, not [28, 28, 1]; put {{ layer = \"flatten\" }} before it\n"
        )
    );
    assert_eq!(
        error("layers = [{ layer = \"conv2d\", filters = 3, kernel = 3 }]\n", &["plan"]),
        format!(
            "error: {at}: the network ends with layer `conv2d_1` (conv3x3 3 valid), whose output is [26, 26, 3], and 10 classes need [10]; \
             put {{ layer = \"flatten\" }} and {logits} behind it\n"
        )
    );
    let branches = |join: &str, right: &str| {
        format!(
            "[nodes]\nleft = {{ layer = \"conv2d\", from = \"input\", filters = 4, kernel = 3, padding = \"same\" }}\n\
             right = {{ layer = \"conv2d\", from = \"input\", {right} }}\n\
             joined = {{ layer = \"{join}\", from = [\"left\", \"right\"] }}\n\
             pooled = {{ layer = \"global_avg_pool\", from = \"joined\" }}\n\
             logits = {{ layer = \"dense\", from = \"pooled\", units = \"classes\" }}\n"
        )
    };
    assert_eq!(
        error(&branches("concat", "filters = 4, kernel = 5"), &["plan"]),
        format!(
            "error: {at}: layer `joined` (concat): takes inputs that differ in channels alone, not [28, 28, 4] from `left` and [24, 24, 4] \
             from `right`; on the way to both, take the same strides and poolings, and padding = \"same\" for whatever keeps the size\n"
        )
    );
    assert_eq!(
        error(&branches("add", "filters = 6, kernel = 5, padding = \"same\""), &["plan"]),
        format!(
            "error: {at}: layer `joined` (add): takes inputs of one shape, not [28, 28, 4] from `left` and [28, 28, 6] from `right`; put \
             {{ layer = \"conv2d\", filters = 4, kernel = 1 }} between `right` and this, or give both equal filters\n"
        )
    );
}

#[test]
fn the_two_styles_of_one_network_are_one_network() {
    let grid = with_model("\"sequential\"")
        .replace("model = \"sequential\"\n", "")
        .replace("[grid]\n", "[grid]\nmodel = [\"sequential\", \"functional\"]\n");
    let texts = ["sequential", "functional"].map(|name| (name, committed(name)));
    let w = workspace(&grid, &texts.each_ref().map(|(name, text)| (*name, text.as_str())));
    let plan: serde_json::Value = serde_json::from_str(&w.ok(&["plan", "--json", "--filter", "seed=0"])).unwrap();
    let [sequential, functional] = [0, 1].map(|i| &plan["runs"][i]);
    assert_eq!([sequential, functional].map(|run| &run["config"]["model"]), ["sequential", "functional"]);
    let definition = "conv3x3 16, batchnorm relu, maxpool 2, conv3x3 32, batchnorm relu, maxpool 2, flatten, dense 64 relu, dense classes";
    assert_eq!([sequential, functional].map(|run| &run["config"]["model_definition"]), [definition, definition]);
    // By hand: two convolutions with their normalisations, two dense layers.
    let parameters = (9 * 16 + 16 + 2 * 16) + (9 * 16 * 32 + 32 + 2 * 32) + (7 * 7 * 32 * 64 + 64) + (64 * 10 + 10);
    assert_eq!([sequential, functional].map(|run| run["parameters"].as_u64()), [Some(parameters); 2]);
    // Layer by layer, but for their names.
    let layers = |model: &str| {
        let rows: Vec<serde_json::Value> = serde_json::from_str(&w.ok(&["summary", model, "--format", "json"])).unwrap();
        rows.iter().map(|row| ["what", "output", "parameters", "multiply-adds"].map(|column| row[column].clone())).collect::<Vec<_>>()
    };
    assert_eq!((layers("sequential").len(), layers("sequential")), (9, layers("functional")));
}

#[test]
fn convolutions_learn_the_signals_and_a_linear_model_does_not() {
    let grid = r#"
        [study]
        question = "Does it take convolutions?"
        [base]
        dataset = "signals"
        validation_fraction = 0.2
        optimizer = "adam"
        lr = 0.002
        batch_size = 32
        epochs = 3
        eval_train_examples = 1
        [grid]
        model = ["linear", "conv1d"]
        [replicates]
        seeds = 1
    "#;
    let texts = ["linear", "conv1d"].map(|name| (name, committed(name)));
    let w = workspace(grid, &texts.each_ref().map(|(name, text)| (*name, text.as_str())));
    w.ok(&["sweep", "--quiet", "--no-report"]);
    let accuracy = |model: &str| {
        let sql = format!(
            "SELECT accuracy FROM eval JOIN run ON run.id = run_id WHERE split = 'test' AND json_extract(config, '$.model') = '{model}'"
        );
        w.rows(&sql)[0].parse::<f64>().unwrap()
    };
    // Of 500 examples; guessing is right for 0.2 of them.
    let (linear, convolutional) = (accuracy("linear"), accuracy("conv1d"));
    assert!(linear < 0.35 && convolutional > 0.7, "{linear} {convolutional}");
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
