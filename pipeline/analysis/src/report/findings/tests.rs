//! Findings of hand-made studies, each about one claim.

use serde_json::{Value, json};
use spec::Split;
use spec::record::Outcome;

use crate::Analysis;
use crate::fixture::{Fixture, study};

/// A study along `lr` where each arm has these validation accuracies at the end, one per seed.
fn along_lr(arms: &[(f64, &[f64])]) -> Fixture {
    let mut data = study("s", &["lr"]);
    for (position, (lr, accuracies)) in arms.iter().enumerate() {
        for (seed, accuracy) in (0..).zip(*accuracies) {
            let run = data.add(&format!("lr={lr}"), position, &[json!(lr)], seed);
            data.finish(run, &[0.1, *accuracy]);
        }
    }
    data
}

fn findings(data: &Fixture) -> String {
    super::of(&Analysis::of(data).unwrap()).join("\n")
}

#[track_caller]
fn says(data: &Fixture, parts: &[&str]) -> String {
    let text = findings(data);
    for part in parts {
        assert!(text.contains(part), "{part} not in\n{text}");
    }
    text
}

#[test]
fn one_or_two_seeds_tell_nothing() {
    let text = says(&along_lr(&[(0.1, &[0.8]), (0.2, &[0.7])]), &["One seed can't tell arms apart."]);
    assert!(!text.contains("overlap") && !text.contains("Seed by seed"));
    let text = says(
        &along_lr(&[(0.1, &[0.8, 0.6]), (0.2, &[0.7, 0.6])]),
        &["Seed by seed, **lr=0.1** is better than **lr=0.2** in 1 of 2 (1 seed the same); two seeds are too few to tell arms apart."],
    );
    assert!(!text.contains("overlap"));
}

#[test]
fn three_seeds_are_compared_in_ranges_and_in_pairs() {
    let better = "is better than **lr=0.2** in";
    says(
        &along_lr(&[(0.1, &[0.7, 0.8, 0.9]), (0.2, &[0.6, 0.7, 0.8])]),
        &["overlap, but seed by seed **lr=0.1**", &format!("{better} 3 of 3.")],
    );
    says(&along_lr(&[(0.1, &[0.7, 0.8, 0.9]), (0.2, &[0.8, 0.7, 0.6])]), &["overlap. Seed by seed, ", &format!("{better} 2 of 3.")]);
    says(&along_lr(&[(0.1, &[0.8, 0.8, 0.9]), (0.2, &[0.7, 0.7, 0.6])]), &["do not overlap. Seed by seed, ", &format!("{better} 3 of 3.")]);
}

#[test]
fn ties_are_named_and_each_may_lie_on_the_edge() {
    let data = along_lr(&[(0.1, &[0.8, 0.8, 0.8]), (0.2, &[0.9, 0.9, 0.8]), (0.3, &[0.9, 0.9, 0.9])]);
    let parts = [
        "Best arm: **lr=0.2**, with median `validation_accuracy` 0.9000 over 3 seeds (range 0.8000–0.9000), tied with **lr=0.3** (same median).",
        "The runner-up is **lr=0.1**",
        "0.2 and 0.3 are the best `lr`, tied (same median 0.9000); 0.3 is the largest value tried, so a better `lr` may lie above the grid.",
        "First to reach `validation_accuracy` ≥ 0.8: **lr=0.1** after a median of 2 steps (epoch 1), with 3 of 3 runs reaching it; tied with **lr=0.2** and **lr=0.3**.",
    ];
    says(&data, &parts);
}

#[test]
fn many_ties_are_counted() {
    let arms: Vec<(f64, &[f64])> = (1..8).map(|lr| (f64::from(lr), &[0.9][..])).collect();
    says(&along_lr(&arms), &["tied with **lr=2**, **lr=3**, **lr=4**, **lr=5** and 2 more."]);
}

#[test]
fn fewest_steps_and_fewest_epochs_are_told_apart() {
    let mut data = study("s", &["batch_size"]);
    for (position, (batch, steps)) in [(64, [8, 16]), (512, [4, 8])].into_iter().enumerate() {
        let run = data.add(&batch.to_string(), position, &[json!(batch)], 0);
        let reached = if batch == 64 { 0.9 } else { 0.5 };
        data.eval(run, Split::Validation, 0, 0, 2.0, 0.1);
        data.eval(run, Split::Validation, steps[0], 1, 2.0, reached);
        data.eval(run, Split::Validation, steps[1], 2, 2.0, 0.9);
        // The larger batch takes its second epoch for what the smaller has after its first.
        data.end(run, Outcome::Completed, None);
    }
    data.evals.step[5] = 6;
    says(&data, &["**512** after a median of 6 steps (epoch 2)", "In epochs, the first is **64** (epoch 1)."]);
}

#[test]
fn runs_that_learned_nothing_are_named_with_no_more_cause_than_known() {
    let too_high = along_lr(&[(0.1, &[0.8, 0.8]), (1.0, &[0.12, 0.8]), (10.0, &[0.1, 0.05])]);
    let parts = [
        "3 finished runs ended no better than before training, in 2 arms: lr=1 (1 of 2), lr=10 (2 of 2).",
        "their rate was too high to learn",
    ];
    says(&too_high, &parts);
    let too_low = along_lr(&[(0.1, &[0.11]), (1.0, &[0.8])]);
    assert!(!says(&too_low, &["1 finished run ended no better than before training, in 1 arm: lr=0.1 (1 of 1)."]).contains("too high"));
    let mut other = too_high.clone();
    other.study.axes = vec!["momentum".into()];
    assert!(!says(&other, &["3 finished runs ended no better"]).contains("too high"));
    assert!(!findings(&along_lr(&[(0.1, &[0.13])])).contains("no better"));
}

#[test]
fn what_there_is_nothing_of_is_said() {
    says(&along_lr(&[(0.1, &[0.5])]), &["It is the only arm.", "No run reached `validation_accuracy` ≥ 0.8."]);
    let mut data = study("s", &["lr"]);
    for (position, lr) in [0.1, 0.2].into_iter().enumerate() {
        let run = data.add(&lr.to_string(), position, &[Value::from(lr)], 0);
        data.eval(run, Split::Train, 0, 0, 2.0, 0.1);
        data.eval(run, Split::Train, 2, 1, 1.0, 0.5);
        data.end(run, Outcome::Completed, None);
    }
    let text = says(&data, &["no run has a value of `validation_accuracy`"]);
    assert!(!text.contains("has all its runs finished"), "{text}");
}
