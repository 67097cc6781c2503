//! Parameters of models in grid files.

use std::fmt::Write as _;
use std::sync::Arc;

use super::tests::{BASE, STUDY, Toy, toy};
use super::*;
use crate::model::Graph;

const NET: &str = "
layers = [
    { layer = \"dense\", units = \"$hidden\", activation = \"$act\" },
    { block = \"tail\" },
    { block = \"tail\", drop = 0.25, width = \"classes\" },
]
[parameters]
hidden = 16
act = [\"relu\", \"tanh\"]
[blocks.tail]
parameters = { drop = 0.5, width = \"classes\" }
layers = [{ block = \"inner\", rate = \"$drop\" }, { layer = \"dense\", units = \"$width\" }]
[blocks.inner]
parameters = { rate = 0.1 }
layers = [{ layer = \"dropout\", rate = \"$rate\" }]
";

/// The built-in models, `net`, one that calls something else `hidden`, and one that is broken.
fn parse(rest: &str) -> Result<Study, Diagnostic> {
    let toy = toy();
    let mut library = toy.0.library.clone();
    library.add("net", "models/net.toml", NET);
    library.add(
        "deep",
        "models/deep.toml",
        "layers = [{ layer = \"dropout\", rate = \"$hidden\" }, { layer = \"tanh\" }]\nparameters = { hidden = 0.5 }",
    );
    library.add("broken", "models/broken.toml", "layers = [{ layer = \"lstm\" }]");
    let toy = Toy(toy.0.with_models(library));
    let base = BASE.replace("model = \"mlp\"\n", "");
    Study::parse("g", "g.toml", &format!("{STUDY}{base}{rest}"), &toy, Limits::default())
}

/// One line for every arm: its label and its network.
fn arms(rest: &str) -> String {
    let study = parse(rest).unwrap_or_else(|e| panic!("{e}"));
    study.arms.iter().fold(String::new(), |mut text, arm| {
        let _ = writeln!(text, "{}: {}", arm.label, arm.config.text("model_definition").unwrap());
        text
    })
}

#[test]
fn a_table_and_quoted_keys_say_the_same() {
    let id = |rest: &str| parse(rest).unwrap_or_else(|e| panic!("{e}")).arms[0].config.arm_id();
    let expected = id("model = { name = \"net\", hidden = 8, blocks = { tail = { drop = 0 } } }\n");
    for same in [
        "model = \"net\"\n\"model.hidden\" = 8\n\"model.blocks.tail.drop\" = 0.0\n",
        "model.name = \"net\"\nmodel.hidden = 8\nmodel.blocks.tail.drop = 0\n",
        "[grid]\nmodel = { name = [\"net\"], hidden = [8] }\n[[when]]\nif = { model = \"net\" }\nset = { model.blocks.tail.drop = 0 }\n",
        "[[runs]]\nmodel = { name = \"net\", hidden = 8, act = \"relu\", blocks.tail.drop = 0 }\n",
    ] {
        assert_eq!(id(same), expected, "{same}");
    }
    let config = parse("model = \"net\"\n").unwrap().arms[0].config.clone();
    let parameters: Vec<String> = config.iter().filter(|(k, _)| k.starts_with("model.")).map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(parameters, ["model.act=relu", "model.blocks.tail.drop=0.5", "model.blocks.tail.width=classes", "model.hidden=16"]);
}

#[test]
fn parameters_are_axes() {
    insta::assert_snapshot!(arms("model = \"net\"\n[grid]\nmodel.act = [\"relu\", \"tanh\"]\nmodel.hidden = { log = [4, 16], points = 3 }\n"), @r"
        act=relu hidden=4: dense 4 relu, dropout 0.5, dense classes, dropout 0.25, dense classes
        act=relu hidden=8: dense 8 relu, dropout 0.5, dense classes, dropout 0.25, dense classes
        act=relu hidden=16: dense 16 relu, dropout 0.5, dense classes, dropout 0.25, dense classes
        act=tanh hidden=4: dense 4, tanh, dropout 0.5, dense classes, dropout 0.25, dense classes
        act=tanh hidden=8: dense 8, tanh, dropout 0.5, dense classes, dropout 0.25, dense classes
        act=tanh hidden=16: dense 16, tanh, dropout 0.5, dense classes, dropout 0.25, dense classes
    ");
    insta::assert_snapshot!(arms("model = \"net\"\n[grid]\nmodel.blocks.tail.drop = { linear = [0, 0.5], points = 3 }\n"), @r"
        drop=0: dense 16 relu, dense classes, dropout 0.25, dense classes
        drop=0.25: dense 16 relu, dropout 0.25, dense classes, dropout 0.25, dense classes
        drop=0.5: dense 16 relu, dropout 0.5, dense classes, dropout 0.25, dense classes
    ");
}

#[test]
fn models_may_call_different_things_the_same() {
    let grid = "
[grid]
model = [\"mlp\", \"deep\"]
[[when]]
if = { model = \"mlp\" }
grid = { model.hidden = { linear = [2, 4], points = 2 } }
[[when]]
if = { model = \"deep\" }
grid = { model.hidden = [0.25, 0.5] }
[[when]]
if = { model.hidden = [0.5, 4.0] }
set = { lr = 1 }
[[exclude]]
model.hidden = 2
";
    insta::assert_snapshot!(arms(grid), @r"
    mlp hidden=4 lr=1: flatten, dense 4 relu, dense classes
    deep hidden=0.25: dropout 0.25, tanh
    deep hidden=0.5 lr=1: dropout 0.5, tanh
    ");
}

#[test]
fn arms_carry_networks_with_names_and_share_them() {
    let study = parse("model = \"net\"\n[grid]\nmomentum = [0, 0.5]\n").unwrap();
    let [a, b] = [0, 1].map(|i| study.arms[i].graph.as_ref().unwrap());
    assert!(Arc::ptr_eq(a, b));
    let names: Vec<&str> = a.nodes.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["dense_1", "tail_1/inner_1/dropout_1", "tail_1/dense_1", "tail_2/inner_1/dropout_1", "tail_2/dense_1"]);
    let definition = study.arms[0].config.text("model_definition").unwrap();
    assert_eq!(definition.parse::<Graph>().unwrap().to_string(), a.to_string());
}

#[test]
fn errors_say_what_where_and_what_would_be_right() {
    let cases = [
        "model = { name = \"net\", hiden = 3 }\n",
        "model = \"mlp\"\nhidden = 128\n",
        "model = \"nett\"\n",
        "model = \"broken\"\n",
        "model = { hidden = 3 }\n",
        "model = { name = \"net\", hidden = \"many\" }\n",
        "model = { name = \"net\", hidden = 0 }\n",
        "model = { name = \"net\", act = \"thanh\" }\n",
        "model = { name = \"net\", act = 3 }\n",
        "model = { name = \"net\", blocks = 3 }\n",
        "model = { name = \"net\", blocks.tail = 3 }\n",
        "model = { name = \"net\", blocks.tail.width = \"wide\" }\n",
        "model = { name = \"net\", blocks.inner.rate = 0.3 }\n",
        "model = { name = \"deep\", hidden = 1.5 }\n",
        "model = { name = \"mlp\", hidden = 1.5 }\n",
        "model = { name = \"net\", hidden = 3 }\n\"model.hidden\" = 4\n",
        "model = { name = \"small-cnn\", hidden = 3 }\n",
        "model = \"net\"\n[grid]\nmodel.hidden = [-1, 8]\n",
        "model = \"net\"\n[grid]\nmodel.blocks.tail.drop = { linear = [0, 1], points = 3 }\n",
        "model = { name = \"net\", hidden = 3 }\n[grid]\nmodel.hidden = [3, 4]\n",
        "[grid]\nmodel = [\"mlp\", \"small-cnn\"]\nmodel.hidden = [3, 4]\n",
        "[grid]\nmodel = { name = [\"mlp\", \"small-cnn\"], hidden = [3, 4] }\n",
    ];
    let mut text = String::new();
    for case in cases {
        let error = parse(case).err().unwrap_or_else(|| panic!("accepted:\n{case}"));
        writeln!(text, "{error}\n").unwrap();
    }
    insta::assert_snapshot!(text);
}
