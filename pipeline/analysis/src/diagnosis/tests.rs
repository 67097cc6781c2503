//! One curve by hand for each rule, the edges of what can be judged, and any numbers whatever.

use proptest::prelude::*;

use super::*;

/// A run of 600 steps in 60 bins, ten epochs and ten classes, without noise.
struct Run {
    losses: Vec<f64>,
    train: Vec<(u64, f64)>,
    validation: Vec<(u64, f64)>,
    accuracy: Vec<(u64, f64)>,
    noise: f64,
    rises: f64,
    steps: u64,
}

impl Run {
    /// Losses as functions of the way through the run, from 0 to 1.
    fn new(train: impl Fn(f64) -> f64, validation: impl Fn(f64) -> f64) -> Self {
        let epochs = |of: &dyn Fn(f64) -> f64| (0..=10u32).map(|epoch| (u64::from(epoch), of(f64::from(epoch) / 10.0))).collect();
        Run {
            losses: (0..60).map(|bin| train((f64::from(bin) + 0.5) / 60.0)).collect(),
            train: epochs(&train),
            validation: epochs(&validation),
            accuracy: vec![],
            noise: 0.02,
            rises: 0.5,
            steps: 600,
        }
    }

    fn of(train: impl Fn(f64) -> f64) -> Self {
        Run::new(&train, |x| train(x) + 0.1)
    }

    fn curve(&self) -> Curve<'_> {
        Curve {
            losses: &self.losses,
            rises: self.rises,
            noise: self.noise,
            steps: self.steps,
            train: &self.train,
            validation: &self.validation,
            accuracy: &self.accuracy,
            classes: Some(10),
            diverged: None,
        }
    }

    fn diagnosis(&self) -> (Condition, String) {
        let Diagnosis { condition, evidence } = diagnose(&self.curve(), &Thresholds::default());
        (condition, evidence)
    }
}

fn verdict(condition: Condition, evidence: &str) -> (Condition, String) {
    (condition, evidence.into())
}

/// From guessing to a tenth of it.
fn descent(x: f64) -> f64 {
    0.23 + 2.07 * (-12.0 * x).exp()
}

#[test]
fn a_descent_is_healthy_however_noisy_its_batches_are() {
    let healthy = verdict(Condition::Healthy, "no rule fired: the loss ends at 0.230, 10 % of that of guessing, 2.30");
    assert_eq!(Run::of(descent).diagnosis(), healthy);
    // Up and down without order, in bins of ten steps that deviate by as much as the loss itself.
    let mut noisy = Run::of(descent);
    noisy.noise = 1.0;
    for (i, loss) in (0u32..).zip(&mut noisy.losses) {
        *loss *= 0.7 + 0.05 * f64::from(i * i * 7 % 13);
    }
    assert_eq!(noisy.diagnosis().0, Condition::Healthy);
    // The same bins are an oscillation when steps are quiet.
    noisy.noise = 0.05;
    assert_eq!(noisy.diagnosis().0, Condition::Oscillating);
}

#[test]
fn divergence_is_told_with_its_step() {
    let run = Run::of(descent);
    let divergence = Divergence { step: 7, reason: "the loss 58440 is above its limit 24200" };
    let curve = Curve { diverged: Some(divergence), ..run.curve() };
    let diagnosis = diagnose(&curve, &Thresholds::default());
    assert_eq!(
        (diagnosis.condition, diagnosis.evidence.as_str()),
        (Condition::Diverged, "at step 7: the loss 58440 is above its limit 24200")
    );
    let mut hidden = Run::of(descent);
    hidden.losses[59] = f64::INFINITY;
    assert_eq!(hidden.diagnosis(), verdict(Condition::Diverged, "the training loss is not finite in part 60 of 60 of the steps"));
    hidden.losses[59] = 0.2;
    hidden.validation[4].1 = f64::NAN;
    assert_eq!(hidden.diagnosis(), verdict(Condition::Diverged, "the loss after epoch 4 is not finite"));
}

#[test]
fn swings_of_the_weights_are_an_oscillation() {
    let swinging = Run::of(|x| descent(x) * (1.0 + 0.4 * (40.0 * x).sin()));
    let evidence =
        "the training loss rose 6 times, once from 0.152 to 0.309 (rule: 2 times by more than 15 % and 4.5 deviations of its noise)";
    assert_eq!(swinging.diagnosis(), verdict(Condition::Oscillating, evidence));
    // Too fast for bins, the weights are at another place after each epoch.
    let mut fast = Run::of(descent);
    for ((epoch, train), (_, validation)) in fast.train.iter_mut().zip(&mut fast.validation) {
        let factor = if epoch.is_multiple_of(2) { 1.3 } else { 0.9 };
        (*train, *validation) = (*train * factor, *validation * factor);
    }
    assert_eq!(fast.diagnosis().0, Condition::Oscillating);
    let rebounds = Run::of(|x| descent(x) + 0.2 * (x - 0.5).max(0.0));
    let evidence = "the training loss ends at 0.310, above that of the best fifth of the steps, 0.241 (rule > 15 %)";
    assert_eq!(rebounds.diagnosis(), verdict(Condition::Oscillating, evidence));
}

#[test]
fn overfitting_is_told_with_its_epoch() {
    let run = Run::new(descent, |x| 0.5 + 1.8 * (-12.0 * x).exp() + 0.5 * (x - 0.4).max(0.0));
    let evidence = "since epoch 4: the validation loss ends at 0.799, 55 % above its best, 0.515 (rule > 7 %), while the training loss \
                    went from 0.247 to 0.230";
    assert_eq!(run.diagnosis(), verdict(Condition::Overfitting, evidence));
    // When the training loss rises with it, the weights went astray.
    let astray = Run::of(|x| descent(x) + 0.5 * (x - 0.4).max(0.0));
    assert_eq!(astray.diagnosis().0, Condition::Oscillating);
}

#[test]
fn what_still_improves_is_too_slow() {
    let run = Run::of(|x| 2.3 - x);
    let evidence =
        "still falling at the end: a fifth of the run makes 20 % of the 0.994 that the loss has gained on that of guessing (rule > 3 %)";
    assert_eq!(run.diagnosis(), verdict(Condition::TooSlow, evidence));
    // Far too slow: above guessing all the time.
    assert_eq!(Run::of(|x| 2.5 - 0.1 * x).diagnosis().0, Condition::TooSlow);
    // The training loss still falls, but nothing comes of it.
    assert_eq!(Run::new(|x| 1.2 - x, |x| (1.3 - x).max(0.8)).diagnosis().0, Condition::Healthy);
}

#[test]
fn what_learns_little_or_nothing_has_plateaued() {
    let mut stuck = Run::of(|x| 2.31 + 0.5 * (-30.0 * x).exp());
    stuck.accuracy = (0..=10).map(|epoch| (epoch, 0.1)).collect();
    let (condition, evidence) = stuck.diagnosis();
    assert_eq!(condition, Condition::PlateauedHigh);
    assert!(evidence.contains("lies 0.3 % above that of guessing, 2.30 (rule < 3 % below), and the accuracy has gone 0 %"), "{evidence}");
    // However it swings.
    assert_eq!(Run::of(|x| 5.0 + 2.0 * (40.0 * x).sin()).diagnosis().0, Condition::PlateauedHigh);
    let underfits = Run::of(|x| 1.84 + 0.46 * (-12.0 * x).exp());
    let evidence = "the loss has levelled off at 1.84, 80 % of that of guessing, 2.30 (rule > 55 %)";
    assert_eq!(underfits.diagnosis(), verdict(Condition::PlateauedHigh, evidence));
}

#[test]
fn short_runs_are_judged_as_far_as_can_be() {
    let short = |losses: &[f64]| Run {
        losses: losses.to_vec(),
        steps: losses.len() as u64,
        rises: 0.0,
        train: vec![],
        validation: vec![],
        ..Run::of(descent)
    };
    let evidence = "only 3 steps, in which the loss fell from 2.30 to 2.00: too few to level off";
    assert_eq!(short(&[2.3, 2.2, 2.0]).diagnosis(), verdict(Condition::TooSlow, evidence));
    assert_eq!(short(&[2.3, 2.4]).diagnosis(), verdict(Condition::Healthy, "too short to judge: 2 steps"));
    assert_eq!(short(&[]).diagnosis(), verdict(Condition::Healthy, "too short to judge: 0 steps"));
    assert_eq!(short(&[2.3, 2.2, 2.1, 2.0, 1.9]).diagnosis().0, Condition::TooSlow);
    let nothing = Run { train: vec![], validation: vec![], losses: vec![], ..Run::of(descent) };
    let diagnosis = diagnose(&Curve { classes: None, ..nothing.curve() }, &Thresholds::default());
    assert_eq!(
        (diagnosis.condition, diagnosis.evidence.as_str()),
        (Condition::Healthy, "nothing to judge by: no loss above 0 to compare with")
    );
}

#[test]
fn an_arm_is_what_most_of_its_runs_are() {
    let runs = |conditions: &[Condition]| -> Vec<Diagnosis> {
        conditions.iter().map(|condition| Diagnosis { condition: *condition, evidence: String::new() }).collect()
    };
    let mixed = runs(&[Condition::Healthy, Condition::TooSlow, Condition::Healthy, Condition::Diverged, Condition::TooSlow]);
    assert_eq!(of_arm(&mixed), Some(Condition::TooSlow));
    assert_eq!(counts(&mixed), [(Condition::Diverged, 1), (Condition::TooSlow, 2), (Condition::Healthy, 2)]);
    assert_eq!((of_arm(&[]), of_arm(&runs(&[Condition::Healthy]))), (None, Some(Condition::Healthy)));
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![4 => 0.0..10.0f64, 1 => any::<f64>(), 1 => Just(0.0)]
}

fn any_series() -> impl Strategy<Value = Vec<(u64, f64)>> {
    proptest::collection::vec((0..40u64, any_number()), 0..12)
}

proptest! {
    #[test]
    fn nothing_panics(
        losses in proptest::collection::vec(any_number(), 0..61),
        (rises, noise, steps, classes) in (any_number(), any_number(), any::<u64>(), proptest::option::of(any::<u64>())),
        (train, validation, accuracy) in (any_series(), any_series(), any_series()),
    ) {
        let (train, validation, accuracy) = (&train, &validation, &accuracy);
        let curve = Curve { losses: &losses, rises, noise, steps, train, validation, accuracy, classes, diverged: None };
        let diagnosis = diagnose(&curve, &Thresholds::default());
        prop_assert!(!diagnosis.evidence.is_empty());
    }

    /// Losses in other units, where nothing says what guessing costs, are judged alike.
    #[test]
    fn the_unit_of_losses_does_not_matter(
        losses in proptest::collection::vec(0.1..5.0f64, 5..61), noise in 0.0..1.0f64, unit in 0.1..10.0f64
    ) {
        let scaled: Vec<f64> = losses.iter().map(|loss| loss * unit).collect();
        let steps = 10 * losses.len() as u64;
        let none = &[];
        let curve = Curve {
            losses: &losses, rises: 0.5, noise, steps, train: none, validation: none, accuracy: none, classes: None, diverged: None
        };
        let of = |losses| diagnose(&Curve { losses, ..curve }, &Thresholds::default()).condition;
        prop_assert_eq!(of(&losses), of(&scaled));
    }
}

#[test]
fn a_grid_file_knows_every_threshold() {
    let known: Vec<_> = spec::analysis::THRESHOLDS.iter().map(|t| (t.name, t.doc, t.default, t.least, t.most)).collect();
    let used: Vec<_> = Thresholds::FIELDS.iter().map(|f| (f.name, f.doc, f.default, f.least, f.most)).collect();
    assert_eq!(known, used);
}
