//! Grid files: what they expand to, and what their errors say.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::vocabulary::{Absent, Choice, Key, Kind};

pub(super) struct Toy(pub Vocabulary);

impl Catalog for Toy {
    fn vocabulary(&self) -> &Vocabulary {
        &self.0
    }
    fn dataset_checksum(&self, config: &Config) -> Result<String, NoDataset> {
        let error = |message: &str, is_missing| Err(NoDataset { message: message.into(), is_missing });
        match config.text("dataset") {
            Ok("broken") => error("the file is truncated", false),
            Ok("far") => error("the dataset `far` was not found", true),
            _ => Ok("c0ffee".into()),
        }
    }
}

pub(super) fn toy() -> Toy {
    let choice = |name, keys| Choice { name, doc: "a choice", keys };
    let momentum = || Key::float("momentum", 0.0..=0.9999, 0.0, "share of the previous update that is kept");
    let gamma = Key { name: "gamma", kind: Kind::OpenFloat(0.0, 1.0), default: Absent::Required, doc: "factor" };
    Toy(Vocabulary::new(
        vec![choice("toys", vec![]), choice("broken", vec![]), choice("far", vec![])],
        vec![
            choice("sgd", vec![momentum(), Key::switch("nesterov", "look ahead")]),
            choice("adam", vec![Key::float("beta1", 0.0..=0.99, 0.9, "smoothing")]),
        ],
        vec![choice("constant", vec![]), choice("exponential", vec![gamma])],
    ))
}

pub(super) const STUDY: &str = "[study]\nquestion = \"why?\"\n";
pub(super) const BASE: &str = "[base]\ndataset = \"toys\"\nmodel = \"mlp\"\noptimizer = \"sgd\"\nlr = 0.1\nbatch_size = 8\nepochs = 2\n";

fn parse_limited(text: &str, max_runs: u64) -> Result<Study, Diagnostic> {
    Study::parse("g", "g.toml", text, &toy(), Limits { max_runs })
}

fn parse(text: &str) -> Result<Study, Diagnostic> {
    parse_limited(text, 1000)
}

/// The arms of a grid with the default [study] and [base], one label a line.
fn arms(rest: &str) -> Vec<String> {
    let base = BASE.lines().filter(|l| !rest.contains("[grid]\nlr") || !l.starts_with("lr")).collect::<Vec<_>>().join("\n");
    let study = parse(&format!("{STUDY}{base}\n{rest}")).unwrap_or_else(|e| panic!("{e}"));
    study.arms.iter().map(|a| a.label.clone()).collect()
}

#[test]
fn a_base_alone_is_one_arm_with_all_defaults() {
    let study = parse(&format!("{STUDY}{BASE}")).unwrap();
    assert_eq!((study.arms.len(), &study.seeds[..], study.arms[0].label.as_str()), (1, &[0][..], "base"));
    insta::assert_snapshot!(study.arms[0].config.json().replace(',', ",\n"), @r#"
    {"batch_size":8,
    "dataset":"toys",
    "dataset_checksum":"c0ffee",
    "divergence_factor":10000.0,
    "epochs":2,
    "eval_train_examples":1000,
    "lr":0.1,
    "model":"mlp",
    "model.hidden":128,
    "model_definition":"flatten,
     dense 128 relu,
     dense classes",
    "momentum":0.0,
    "nesterov":false,
    "optimizer":"sgd",
    "schedule":"constant",
    "split_seed":0,
    "validation_fraction":0.1,
    "warmup_steps":0}
    "#);
}

#[test]
fn axes_multiply_in_the_order_of_the_file() {
    let found = arms("[grid]\nlr = [0.1, 1]\nmodel.hidden = [16, 32]\n");
    assert_eq!(found, ["lr=0.1 hidden=16", "lr=0.1 hidden=32", "lr=1 hidden=16", "lr=1 hidden=32"]);
    assert_eq!(arms("[grid]\nlr = { log = [1e-3, 10], points = 3 }\n"), ["lr=0.001", "lr=0.1", "lr=10"]);
    assert_eq!(arms("[grid]\nmodel.hidden = { linear = [8, 24], points = 3 }\n"), ["hidden=8", "hidden=16", "hidden=24"]);
}

#[test]
fn zip_when_exclude_and_runs() {
    assert_eq!(arms("[[zip]]\nmodel.hidden = [16, 32]\nmomentum = [0, 0.9]\n"), ["hidden=16 momentum=0", "hidden=32 momentum=0.9"]);
    let base = BASE.replace("optimizer = \"sgd\"\n", "").replace("lr = 0.1\n", "");
    let grid = "
[grid]
optimizer = [\"sgd\", \"adam\"]
[[when]]
if = { optimizer = \"sgd\" }
zip = { momentum = [0, 0.9, 0.9], nesterov = [false, false, true] }
grid = { lr = [0.1, 1] }
[[when]]
if = { optimizer = \"adam\" }
set = { lr = 0.001 }
grid = { beta1 = [0.8, 0.9] }
[[exclude]]
momentum = 0.9
lr = 1
[[runs]]
optimizer = \"adam\"
lr = 0.01
[[runs]]
optimizer = \"adam\"
lr = 0.001
beta1 = 0.9
[replicates]
seeds = [3, 5]
";
    let study = parse(&format!("{STUDY}{base}{grid}")).unwrap();
    let mut text = String::new();
    for arm in &study.arms {
        writeln!(text, "{}", arm.label).unwrap();
    }
    // The last of [[runs]] is a cell of the grid already: one arm, not two.
    insta::assert_snapshot!(text, @r"
    sgd lr=0.1 momentum=0
    sgd lr=0.1 momentum=0.9
    sgd lr=0.1 momentum=0.9 nesterov
    sgd lr=1 momentum=0
    adam lr=0.001 beta1=0.8
    adam lr=0.001 beta1=0.9
    adam lr=0.01
    ");
    assert_eq!((study.seeds.as_slice(), study.runs().count()), (&[3, 5][..], 14));
    assert_eq!(study.axes, ["optimizer", "lr", "momentum", "nesterov", "beta1"]);
}

#[test]
fn a_condition_on_a_key_does_not_hold_where_the_key_does_not_exist() {
    let base = BASE.replace("optimizer = \"sgd\"\n", "").replace("lr = 0.1\n", "");
    let grid = "[grid]\noptimizer = [\"sgd\", \"adam\"]\nlr = [0.1, 1]\n[[exclude]]\nmomentum = 0\nlr = 1\n";
    let labels = |text: &str| parse(text).unwrap().arms.iter().map(|a| a.label.clone()).collect::<Vec<_>>();
    // sgd's momentum is 0 by default; adam has none.
    assert_eq!(labels(&format!("{STUDY}{base}{grid}")), ["sgd lr=0.1", "adam lr=0.1", "adam lr=1"]);
    let base = base.replace("[base]\n", "[base]\nmomentum = 0.9\n");
    let grid = "[grid]\noptimizer = [\"sgd\", \"adam\"]\nlr = [0.1]\n[[when]]\nif = { momentum = 0.9 }\nset = { nesterov = true }\n";
    assert_eq!(labels(&format!("{STUDY}{base}{grid}")), ["sgd lr=0.1 nesterov", "adam lr=0.1"]);
}

#[test]
fn zero_has_one_form() {
    let id = |zero: &str| parse(&format!("{STUDY}{BASE}momentum = {zero}\n")).unwrap().arms[0].config.arm_id();
    assert_eq!(id("0"), id("-0.0"));
}

#[test]
fn identity_is_content_not_place() {
    let a = parse(&format!("{STUDY}{BASE}")).unwrap();
    let b = Study::parse(
        "other",
        "o.toml",
        &format!(
            "{}[base]\nepochs = 2\nbatch_size = 8\nlr = 1e-1\noptimizer = \"sgd\"\nmodel = {{ name = \"mlp\", hidden = 128 }}\ndataset = \"toys\"\n",
            STUDY.replace("why", "how")
        ),
        &toy(),
        Limits::default(),
    )
    .unwrap();
    assert_eq!(a.arms[0].config.run_id(0), b.arms[0].config.run_id(0));
    assert_ne!(a.arms[0].config.run_id(0), a.arms[0].config.run_id(1));
}

#[test]
fn settings_of_other_choices_may_stand_in_the_base_if_some_arm_uses_them() {
    let base = BASE.replace("optimizer = \"sgd\"\n", "momentum = 0.5\n");
    let study = parse(&format!("{STUDY}{base}[grid]\noptimizer = [\"sgd\", \"adam\"]\n")).unwrap();
    assert!(study.arms[0].config.get("momentum").is_some() && study.arms[1].config.get("momentum").is_none());
}

#[test]
fn errors_say_what_where_and_what_would_be_right() {
    let base = |from: &str, to: &str| format!("{STUDY}{}", BASE.replace(from, to));
    let with = |rest: &str| format!("{STUDY}{BASE}{rest}");
    let cases = [
        base("lr =", "learning_rate ="),
        base("batch_size", "batchsize"),
        base("\"sgd\"", "\"sdg\""),
        base("\"sgd\"", "\"lbfgs\""),
        base("lr = 0.1", "lr = -0.1"),
        base("lr = 0.1", "lr = \"high\""),
        base("lr = 0.1", "lr = [0.1, 1]"),
        base("lr = 0.1\n", ""),
        base("epochs = 2\n", ""),
        base("epochs = 2", "epochs = 2\nsteps = 5"),
        base("epochs = 2", "epochs = 2\nepochs = 3"),
        base("epochs = 2", "epochs = 2\nbeta1 = 0.5"),
        base("\"toys\"", "\"broken\""),
        base("lr = 0.1", "lr = nan"),
        base("batch_size = 8", "batch_size = 0"),
        with("[grdi]\nlr = [1]\n"),
        with("[grid]\nlr = [0.1, 1]\n"),
        with("[grid]\nmodel.hidden = 16\n"),
        with("[grid]\nmodel.hidden = []\n"),
        with("[grid]\nmodel.hidden = [16, 16]\n"),
        with("[grid]\nmodel.hidden = { log = [0, 10], points = 3 }\n"),
        with("[grid]\nmodel.hidden = { linear = [1, 2], points = 4 }\n"),
        with("[grid]\nmodel.hidden = { linear = [1, 2], point = 4 }\n"),
        with("[grid]\nmomentum = { linear = [0, 2], points = 3 }\n"),
        with("[[zip]]\nmodel.hidden = [16, 32]\nmomentum = [0]\n"),
        with("[[when]]\nif = { optimizer = \"adam\" }\nset = { model.hidden = 3 }\n"),
        with("[[when]]\nif = { optimizer = \"sgd\" }\n"),
        with("[[exclude]]\nmodel.hidden = 64\n"),
        with("[[runs]]\nmodel.hidden = 64\n[[exclude]]\nmodel.hidden = 64\n"),
        with("[[runs]]\nlr = 1\n"),
        base("lr = 0.1", "lr.x = 1"),
        with("[grid]\nmodel.hidden = [16, 32]\n[[exclude]]\nmodel.hidden = 64\n"),
        with("[grid]\nmodel.hidden = [16, 32]\n[[exclude]]\nmodel.hidden = [16, 32]\n"),
        with("[[runs]]\nbeta1 = 0.5\n"),
        with("[runs]\nlr = 1\n"),
        with("[replicates]\nseeds = 0\n"),
        with("[replicates]\nseeds = [1, 1]\n"),
        with("[replicates]\nseeds = 99999999\n"),
        with("[grid]\nmodel.hidden = { linear = [1, 1000000], points = 1000000 }\n"),
        BASE.to_owned(),
        with("").replace("[study]\n", "[study]\nmetric = \"test_accuracy\"\n"),
        with("").replace("[study]\n", "[study]\nmetric = \"accuracy\"\n"),
        with("").replace("[study]\n", "[study]\ntargets = { validation_accuracy = \"high\" }\n"),
        with("").replace("[study]\n", "[study]\ntargets = { validation_accuracy = 80 }\n"),
        base("epochs = 2", "epochs = 2\nvalidation_fraction = 0"),
        base("epochs = 2", "epochs = 2\nschedule = \"exponential\""),
        with("[grid]\nnesterov = { log = [1, 2], points = 2 }\n"),
        with("[grid]\nmodel.hidden = [16, 32]\n[analysis]\ncompare = [\"model.hiden\"]\n"),
        with("[analysis]\nmargin = 0\n"),
        with("[analysis]\ndiagnosis = { validation_raise = 0.1 }\n"),
        with("[analysis]\ndiagnosis = { validation_rise = -1 }\n"),
        with("[study\n"),
        String::new(),
    ];
    let mut text = String::new();
    for case in cases {
        let error = parse(&case).err().unwrap_or_else(|| panic!("accepted:\n{case}"));
        writeln!(text, "{error}\n").unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn how_a_study_is_judged_changes_no_run() {
    let grid = format!("{STUDY}{BASE}[grid]\nmodel.hidden = [16, 32]\n");
    let analysis = "[analysis]\ncompare = \"model.hidden\"\nmargin = 0.02\norder = 4\ndiagnosis = { validation_rise = 0.2 }\n";
    let (plain, judged) = (parse(&grid).unwrap(), parse(&format!("{grid}{analysis}")).unwrap());
    let ids = |study: &Study| study.runs().map(|(_, run)| run.id).collect::<Vec<_>>();
    assert_eq!(ids(&plain), ids(&judged));
    let expected = Settings {
        compare: vec!["model.hidden".into()],
        margin: Some(0.02),
        order: Some(4),
        thresholds: [("validation_rise".to_owned(), 0.2)].into(),
    };
    assert_eq!((plain.analysis, judged.analysis), (Settings::default(), expected));
}

#[test]
fn a_grid_is_counted_before_it_is_built() {
    let axis = |key: &str| format!("{key} = {{ linear = [0, 0.9], points = 1000 }}\n");
    let text = format!(
        "{STUDY}{BASE}[grid]\n{}{}{}",
        axis("momentum"),
        axis("validation_fraction"),
        "model.hidden = { linear = [1, 1000], points = 1000 }\n"
    );
    let error = parse_limited(&text, 1000).unwrap_err();
    assert!(error.message.starts_with("the grid has 1000000000 runs"), "{error}");
    let seeds = format!("{STUDY}{BASE}[grid]\nmodel.hidden = [1, 2, 3]\n[replicates]\nseeds = 334\n");
    assert!(parse_limited(&seeds, 1000).unwrap_err().message.contains("1002 runs (334 seeds each)"));
    assert!(parse_limited(&seeds, 1002).is_ok());
}

/// Each is refused at once, with a message that can be read.
#[test]
fn absurd_grids_are_refused_in_no_time() {
    let axis = |key: &str, from: f64, to: f64| format!("{key} = {{ linear = [{from}, {to}], points = 1000 }}\n");
    let shares =
        ["momentum", "validation_fraction", "label_smoothing", "augment_noise", "clip_norm"].map(|key| axis(key, 0.1, 0.9)).concat();
    let counts = ["warmup_steps", "model.hidden"].map(|key| axis(key, 1.0, 1000.0)).concat();
    let with = |rest: &str| format!("{STUDY}{BASE}{rest}");
    let range = |points: &str| with(&format!("[grid]\nmomentum = {{ linear = [0, 0.9], points = {points} }}\n"));
    let text = |c: &str| format!("{STUDY}{}", BASE.replace("\"sgd\"", &format!("\"{}\"", c.repeat(100_000))));
    let excludes: Vec<String> =
        range::spaced(0.0, 0.9, 9000, false).into_iter().map(|x| format!("[[exclude]]\nmomentum = {x}\n")).collect();
    let keys: Vec<String> = (0..100_000).map(|i| format!("k{i} = 1\n")).collect();
    let cases = [
        // 1000^7 > 2^64.
        (with(&format!("[grid]\n{shares}{counts}")), "the grid has more than 10^19 runs"),
        (range("9223372036854775807"), "9223372036854775807 is more than the limit of 10000 runs"),
        (range("9223372036854775808"), "points is too large for a 64-bit integer"),
        (range("-9223372036854775808"), "a range needs at least 2 points"),
        (range("1e18"), "points must be a whole number"),
        (with("[replicates]\nseeds = 1000000000000000000\n"), "1000000000000000000 is more than the limit of 10000 runs"),
        (with("[replicates]\nseeds = [9223372036854775808]\n"), "a seed is too large for a 64-bit integer"),
        (format!("{STUDY}{}", BASE.replace("epochs = 2", "epochs = 9223372036854775807")), "`epochs` must be from 1 to 1000000000"),
        (format!("{STUDY}{}", BASE.replace("epochs = 2", "steps = 18446744073709551615")), "steps is too large for a 64-bit integer"),
        (format!("{STUDY}{}", BASE.replace("lr = 0.1", "lr = 1e400")), "lr must be a finite number"),
        (with(&format!("x = {}", "[".repeat(100_000))), "not valid TOML: cannot recurse further"),
        (with(&format!("x = {}", "{a=".repeat(100_000))), "not valid TOML: "),
        (with(&format!("[{}]", vec!["a"; 100_000].join("."))), "not valid TOML: "),
        (text("x"), "unknown optimizer `xxx"),
        (text("\\u001b"), "unknown optimizer `\\u{1b}"),
        (text("\u{202e}"), "unknown optimizer `\\u{202e}"),
        (with("\"\\u009b\\u202e\" = 1\n"), "unknown key `\\u{9b}\\u{202e}` in [base]"),
        (with(&keys.concat()), "unknown key `k0` in [base]"),
        (
            with(&format!("[grid]\nmomentum = {{ linear = [0, 0.9], points = 9000 }}\n{}", excludes.concat())),
            "conditions up to this one compare ",
        ),
    ];
    for (text, expected) in cases {
        let error = Study::parse("g", "g.toml", &text, &toy(), Limits::default()).unwrap_err();
        assert!(error.message.starts_with(expected), "{expected}\n{error}");
        let shown = error.to_string();
        assert!(shown.len() < 6000 && !shown.contains(crate::is_deceptive), "{shown}");
    }
}

#[test]
fn names_of_studies_are_no_paths_and_hold_nothing_invisible() {
    let text = format!("{STUDY}{BASE}");
    for name in
        ["", ".", "..", "../x", "a/b", "a\\b", "/etc", ".hidden", "a\0b", "a\u{202e}b", "a\u{200b}", "a\u{1b}[2J", "a b", "c:", "con.", "ü"]
    {
        let error = Study::parse(name, "g.toml", &text, &toy(), Limits::default()).unwrap_err();
        assert!(error.message.contains("can't be the name of a study"), "{name:?} {error}");
        assert!(!error.to_string().contains(crate::is_deceptive), "{error}");
    }
    let long = "a".repeat(101);
    assert!(Study::parse(&long, "g.toml", &text, &toy(), Limits::default()).is_err());
    for name in ["lr", "0", "a-b_C", "-x"] {
        assert!(Study::parse(name, "g.toml", &text, &toy(), Limits::default()).is_ok(), "{name}");
    }
}

#[test]
fn configurations_that_would_fill_the_memory_are_refused() {
    let layers = vec!["{ layer = \"dense\", units = 2 }"; 9_000].join(", ");
    let model = format!("layers = [{{ layer = \"flatten\" }}, {layers}, {{ layer = \"dense\", units = \"classes\" }}]\n");
    let mut library = crate::model::Library::built_in();
    library.add("deep", "models/deep.toml", &model);
    let catalog = Toy(toy().0.with_models(library));
    let grid = |seeds: usize| format!("{STUDY}{}[replicates]\nseeds = {seeds}\n", BASE.replace("\"mlp\"", "\"deep\""));
    let parse = |seeds| Study::parse("g", "g.toml", &grid(seeds), &catalog, Limits::default());
    assert!(parse(10).is_ok());
    assert!(parse(10_000).unwrap_err().message.starts_with("the networks of all runs take more than 128 MiB"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(\\[study\\]\n|\\[base\\]\n|\\[grid\\]\n|\\[\\[when\\]\\]\n|lr = |\\[1, 2\\]|\\{|\\}|if = |\"sgd\"|optimizer = |\n|=|é|\\PC){0,30}") {
        let _ = parse(&text);
        let _ = parse(&format!("{STUDY}{BASE}{text}"));
    }

    #[test]
    fn the_number_of_arms_is_the_product(a in 1usize..6, b in 1usize..6, seeds in 1usize..5) {
        let list = |n: usize| (1..=n).map(|i| i.to_string()).collect::<Vec<_>>().join(", ");
        let text = format!("{STUDY}{}[grid]\nlr = [{}]\nmodel.hidden = [{}]\n[replicates]\nseeds = {seeds}\n", BASE.replace("lr = 0.1\n", ""), list(a), list(b));
        let study = parse(&text).unwrap();
        prop_assert_eq!((study.arms.len(), study.runs().count()), (a * b, a * b * seeds));
        let ids: std::collections::BTreeSet<String> = study.runs().map(|(_, r)| r.id).collect();
        prop_assert_eq!(ids.len(), a * b * seeds);
    }
}

#[test]
fn missing_data_is_said_last_and_can_be_told_from_mistakes() {
    let far = BASE.replace("toys", "far");
    let error = parse(&format!("{STUDY}{far}")).unwrap_err();
    assert!(error.is_missing_data && error.message.contains("was not found"), "{error}");
    let error = parse(&format!("{STUDY}{far}warmup = 3\n")).unwrap_err();
    assert!(!error.is_missing_data, "{error}");
    let error = parse(&format!("{STUDY}{}", BASE.replace("toys", "broken"))).unwrap_err();
    assert!(!error.is_missing_data && error.message.contains("truncated"), "{error}");
}
