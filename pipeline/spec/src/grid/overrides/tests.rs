//! What overrides make of a grid, and what their errors say.

use proptest::prelude::*;

use super::super::tests::{BASE, STUDY, toy};
use super::*;

fn overrides(said: &str) -> Vec<Override> {
    said.split(' ').map(|text| text.parse().unwrap_or_else(|e| panic!("{e}"))).collect()
}

fn overridden(grid: &str, said: &str) -> Overridden {
    Overridden::new(Some(Source { file: "g.toml", text: grid }), "g", &overrides(said), None).unwrap()
}

fn study(grid: &str, said: &str) -> Result<Study, Diagnostic> {
    overridden(grid, said).study(&toy(), Limits::default())
}

/// The arms of [`GRID`] with overrides.
fn arms(said: &str) -> Vec<String> {
    study(GRID, said).unwrap_or_else(|e| panic!("{e}")).arms.iter().map(|arm| arm.label.clone()).collect()
}

const GRID: &str = r#"
[study]
question = "why?"
targets = { validation_accuracy = 0.5 }
[base]
dataset = "toys"
model = { name = "mlp", hidden = 8 }
batch_size = 8
epochs = 2
[grid]
optimizer = ["sgd", "adam"]
lr = [0.1, 1]
[[when]]
if = { optimizer = "sgd" }
grid = { momentum = [0, 0.9] }
[[exclude]]
lr = 1
momentum = 0.9
[replicates]
seeds = 2
"#;

#[test]
fn the_document_says_what_was_overridden_and_reads_back() {
    let made = overridden(GRID, "lr=0.3 momentum=0.5,0.7 model.hidden=16,32 seeds=3 targets.train_loss=0.1");
    insta::assert_snapshot!(made.text, @r#"
    # g.toml with lr=0.3 momentum=0.5,0.7 model.hidden=16,32 seeds=3 targets.train_loss=0.1

    [study]
    question = "why? (lr=0.3 momentum=0.5,0.7 model.hidden=16,32 seeds=3 targets.train_loss=0.1)"
    targets = { validation_accuracy = 0.5, train_loss = 0.1 }  # targets.train_loss=0.1

    [base]
    dataset = "toys"
    model = "mlp"
    batch_size = 8
    epochs = 2
    lr = 0.3  # lr=0.3

    [grid]
    optimizer = ["sgd", "adam"]
    "model.hidden" = [16, 32]  # model.hidden=16,32

    [[when]]
    if = { optimizer = "sgd" }
    grid = { momentum = [0.5, 0.7] }  # momentum=0.5,0.7

    [replicates]
    seeds = 3  # seeds=3
    "#);
    let study = made.study(&toy(), Limits::default()).unwrap();
    assert_eq!((study.arms.len(), study.seeds.len(), study.source), (6, 3, made.text.clone()));
    // Saved as a file, it is the same study.
    let again = Study::parse("saved", "saved.toml", &made.text, &toy(), Limits::default()).unwrap();
    let ids = |study: &Study| study.runs().map(|(_, run)| run.id).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&made.study(&toy(), Limits::default()).unwrap()));
}

#[test]
fn a_value_fixes_a_key_and_several_make_an_axis() {
    assert_eq!(arms("epochs=1"), ["sgd lr=0.1 momentum=0", "sgd lr=0.1 momentum=0.9", "sgd lr=1 momentum=0", "adam lr=0.1", "adam lr=1"]);
    assert_eq!(arms("lr=0.3"), ["sgd momentum=0", "sgd momentum=0.9", "adam"]);
    // The condition on SGD can't hold any more.
    assert_eq!(arms("optimizer=adam lr=log(0.001,0.1,3)"), ["lr=0.001", "lr=0.01", "lr=0.1"]);
    assert_eq!(arms("optimizer=sgd ~momentum lr=linear(1,3,3)"), ["lr=1", "lr=2", "lr=3"]);
    assert_eq!(arms("optimizer=adam lr=.5,1e-2"), ["lr=0.5", "lr=0.01"]);
    assert_eq!(arms("optimizer=sgd lr=1 ~momentum epochs=1,2"), ["epochs=1", "epochs=2"]);
}

#[test]
fn axes_that_move_together_lose_the_one_that_is_overridden() {
    let grid = format!("{STUDY}{}[[zip]]\nlr = [0.1, 1]\nmomentum = [0, 0.9]\n", BASE.replace("lr = 0.1\n", ""));
    let labels = |said| study(&grid, said).unwrap().arms.iter().map(|arm| arm.label.clone()).collect::<Vec<_>>();
    assert_eq!(labels("lr=0.2"), ["momentum=0", "momentum=0.9"]);
    assert_eq!(labels("momentum=0.5"), ["lr=0.1", "lr=1"]);
    assert_eq!(labels("lr=0.2 momentum=0.1,0.2,0.3"), ["momentum=0.1", "momentum=0.2", "momentum=0.3"]);
}

#[test]
fn cells_are_shared_with_the_file() {
    let ids = |study: Study| study.runs().map(|(_, run)| run.id).collect::<std::collections::BTreeSet<_>>();
    let whole = ids(Study::parse("g", "g.toml", GRID, &toy(), Limits::default()).unwrap());
    let part = ids(study(GRID, "optimizer=adam seeds=1").unwrap());
    assert_eq!((whole.len(), part.len()), (10, 2));
    assert!(part.is_subset(&whole));
}

#[test]
fn without_a_file_there_are_defaults() {
    let made = |said: &str| Overridden::new(None, "quick", &overrides(said), None).unwrap();
    insta::assert_snapshot!(made("lr=0.1,0.01 optimizer=sgd,adam model=mlp").text, @r##"
    # the command line with lr=0.1,0.01 optimizer=sgd,adam model=mlp

    [study]
    question = "How do these compare? (lr=0.1,0.01 optimizer=sgd,adam model=mlp)"

    [base]
    dataset = "fashion-mnist-mini"
    batch_size = 64
    epochs = 3
    model = "mlp"  # model=mlp

    [grid]
    lr = [0.1, 0.01]  # lr=0.1,0.01
    optimizer = ["sgd", "adam"]  # optimizer=sgd,adam
    "##);
    assert!(!made("lr=1 steps=5").text.contains("epochs"));
    let surface = made("objective=surface surface=saddle lr=1 steps=5").text;
    assert!(!surface.contains("dataset") && !surface.contains("batch_size"), "{surface}");
}

#[test]
fn names_tell_grids_apart() {
    let name = |said: &str| overridden(GRID, said).name;
    let a = name("lr=0.1,0.3 epochs=1");
    assert!(a.starts_with("g-lr-") && a.len() == "g-lr-".len() + 8, "{a}");
    assert!(name("lr=0.1 epochs=1").starts_with("g-lr-epochs-"));
    assert_ne!(a, name("lr=0.1,0.3 epochs=2"));
    assert_eq!(a, name("lr=0.1,0.3 epochs=1"));
    assert_ne!(a, name("lr=0.1,0.4 epochs=1"));
    let chosen = Overridden::new(None, "quick", &overrides("lr=1"), Some("mine")).unwrap();
    assert_eq!(chosen.name, "mine");
}

#[test]
fn what_is_no_override_is_refused_with_a_reason() {
    let reason = |text: &str| text.parse::<Override>().unwrap_err();
    insta::assert_snapshot!(
        ["=1", "lr=", "lr=1,", "l r=1", "~", "~lr=1", "lr=log(1,2", "lr=log(1,2)", "x='a", "x='a'b", "lr"].map(reason).join("\n"),
        @r"
    in the override `=1`: a key such as lr or model.hidden stands before the `=`
    in the override `lr=`: a value is missing; write key=a,b, or ~key to remove a key
    in the override `lr=1,`: a value is missing; write key=a,b, or ~key to remove a key
    in the override `l r=1`: a key such as lr or model.hidden stands before the `=`
    in the override `~`: write ~key to remove a key
    in the override `~lr=1`: write ~key to remove a key
    in the override `lr=log(1,2`: the `(` is not closed at the end
    in the override `lr=log(1,2)`: a range is log(FROM,TO,POINTS), such as log(1e-4,1,5)
    in the override `x='a`: a quote is not closed
    in the override `x='a'b`: quotes stand around a whole value
    in the override `lr`: write key=value, key=a,b or ~key
    "
    );
    assert!(reason("lr=\u{1b}[2J").contains("a control character"));
    assert!(reason(&format!("lr={}", "1,".repeat(10_000))).contains("longer than"));
}

#[test]
fn what_is_no_table_is_not_replaced_by_one() {
    let grid = GRID.replace("[grid]\noptimizer = [\"sgd\", \"adam\"]\nlr = [0.1, 1]\n", "").replace("[study]", "grid = 5\n[study]");
    let error = study(&grid, "optimizer=sgd lr=0.1,0.3").unwrap_err();
    assert!(error.message.contains("grid") || error.to_string().contains("grid"), "{error}");
    assert!(study(&GRID.replace("[replicates]\nseeds = 2", "").replace("[study]", "replicates = 5\n[study]"), "seeds=3").is_err());
}

#[test]
fn errors_of_the_grid_name_the_override() {
    let reason = |said: &str| study(GRID, said).unwrap_err().message;
    insta::assert_snapshot!(
        ["lr=0.1,x", "lrr=1", "model.hidden=0", "seeds=0", "metric=loss", "targets.loss=1", "lr=0.1,0.1", "lr=linear(1,2,1)"]
            .map(reason)
            .join("\n"),
        @r#"
    in the override `lr=0.1,x`: `lr` takes a number, not "x"
    in the override `lrr=1`: unknown key `lrr` in [base]
    in the override `model.hidden=0`: `model.hidden` = 0: `units` of dense takes a whole number from 1 to 65536 or "classes", not 0
    in the override `seeds=0`: `seeds` must be a count of at least 1, or a list of different seeds
    in the override `metric=loss`: unknown metric `loss`
    in the override `targets.loss=1`: unknown metric `loss`
    in the override `lr=0.1,0.1`: `lr` = 0.1 stands here twice
    in the override `lr=linear(1,2,1)`: a range needs at least 2 points
    "#
    );
    let twice = Overridden::new(None, "quick", &overrides("lr=1 epochs=1 lr=2"), None).unwrap_err().to_string();
    insta::assert_snapshot!(twice, @r"
    `lr` is overridden twice
     --> the command line:1:15
      |
    1 | lr=1 epochs=1 lr=2
      |               ^^^^
    ");
    let quick = Overridden::new(None, "quick", &overrides("optimizer=sgd dataset=toys"), None).unwrap();
    let missing = quick.study(&toy(), Limits::default()).unwrap_err();
    assert_eq!(
        (missing.message.as_str(), missing.help.as_deref()),
        ("the key `lr` is missing", Some("give it on the command line: key=value"))
    );
}

proptest! {
    #[test]
    fn any_text_is_an_override_or_an_error(text in r"[a-z0-9.=,~()'\x22# -]{0,40}", grid in r"[a-z0-9.=,\[\]{}'\x22# \n]{0,60}") {
        if let Ok(change) = text.parse::<Override>() {
            for grid in [GRID, STUDY, &grid] {
                if let Ok(made) = Overridden::new(Some(Source { file: "g", text: grid }), "g", std::slice::from_ref(&change), None) {
                    // Whatever was typed, the document is TOML.
                    prop_assert!(Source { file: "g", text: &made.text }.toml().is_ok(), "{}", made.text);
                    let _ = made.study(&toy(), Limits { max_runs: 100 });
                }
            }
        }
    }

    #[test]
    fn texts_come_through(text in r"\PC{1,20}") {
        prop_assume!(!text.contains('"') && !text.chars().any(crate::is_deceptive));
        let change: Override = format!("question=\"{text}\"").parse().unwrap();
        let read = study(GRID, "epochs=1").and_then(|_| {
            Overridden::new(Some(Source { file: "g", text: GRID }), "g", &[change], None)?.study(&toy(), Limits::default())
        });
        match read {
            Ok(study) => prop_assert_eq!(study.question, text.trim()),
            Err(e) => prop_assert!(text.trim().is_empty(), "{}", e),
        }
    }
}
