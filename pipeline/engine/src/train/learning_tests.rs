//! What a configuration may say about learning from gradients: each against what it must amount to.

use spec::Value;
use spec::record::Outcome;

use super::tests::{Memory, run, trained};
use super::*;

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * (1.0 + b.abs())
}

fn losses(memory: &Memory) -> Vec<f64> {
    memory.steps.iter().flat_map(|s| [s.loss, s.grad_norm]).collect()
}

#[test]
fn a_batch_in_parts_is_the_same_batch() {
    let (_, whole) = trained(&[], 0);
    let (ending, parts) = trained(&[("accumulate", Value::Int(5))], 0);
    assert_eq!(ending.outcome, Outcome::Completed);
    assert!(losses(&whole).iter().zip(losses(&parts)).all(|(a, b)| close(b, *a, 1e-5)));
    let seen = |memory: &Memory| memory.steps.iter().map(|s| (s.examples, s.accuracy)).collect::<Vec<_>>();
    assert_eq!(seen(&whole), seen(&parts));
}

#[test]
fn clipping_shortens_the_step_and_keeps_its_direction() {
    let (_, free) = trained(&[], 0);
    let (_, loose) = trained(&[("clip_norm", Value::Float(1e6))], 0);
    assert!(losses(&free).iter().zip(losses(&loose)).all(|(a, b)| close(b, *a, 1e-5)));
    // Plain SGD with the norm clipped to c moves as with a rate of lr · c / norm.
    let (norm, clip) = (free.steps[0].grad_norm, 0.1);
    assert!(norm > clip);
    let (_, clipped) = trained(&[("clip_norm", Value::Float(clip)), ("steps", Value::Int(2))], 0);
    let (_, slower) = trained(&[("lr", Value::Float(0.1 * clip / norm)), ("steps", Value::Int(2))], 0);
    assert!(close(clipped.steps[1].loss, slower.steps[1].loss, 1e-6));
    assert!(!close(clipped.steps[1].loss, free.steps[1].loss, 1e-6));
    assert!(close(clipped.steps[0].grad_norm, norm, 1e-6), "the norm is logged as it was");
}

#[test]
fn smoothed_labels_change_the_training_loss_and_not_the_evaluation() {
    let (_, plain) = trained(&[], 0);
    let (_, smooth) = trained(&[("label_smoothing", Value::Float(0.2))], 0);
    assert!(!close(smooth.steps[0].loss, plain.steps[0].loss, 1e-4));
    assert!(close(smooth.evals[0].loss, plain.evals[0].loss, 1e-12), "before the first update both are the same network");
}

#[test]
fn an_average_that_keeps_nothing_is_the_network() {
    // A decay of 1e-9 leaves the last weights; one of almost 1 leaves the first ones.
    let (_, plain) = trained(&[], 0);
    let (_, last) = trained(&[("ema_decay", Value::Float(1e-9))], 0);
    let (_, first) = trained(&[("ema_decay", Value::Float(1.0 - 1e-9))], 0);
    assert_eq!(losses(&plain), losses(&last), "averaging does not touch the training");
    for (a, b) in plain.evals.iter().zip(&last.evals) {
        assert!(close(b.loss, a.loss, 1e-5));
    }
    let validation: Vec<f64> = first.evals.iter().filter(|e| e.split == Split::Validation).map(|e| e.loss).collect();
    assert!(validation.iter().all(|loss| close(*loss, validation[0], 1e-5)), "{validation:?}");
}

#[test]
fn stopping_early_tests_the_best_epoch() {
    let fixed = [("train_examples", Value::Int(30)), ("lr", Value::Float(0.3)), ("batch_size", Value::Int(10))];
    let small = [&fixed[..], &[("epochs", Value::Int(200)), ("patience", Value::Int(3))]].concat();
    let (ending, memory) = trained(&small, 0);
    assert_eq!(ending.outcome, Outcome::StoppedEarly, "{ending:?}");
    assert!(ending.steps < 600);
    let validation: Vec<_> = memory.evals.iter().filter(|e| e.split == Split::Validation).collect();
    let best = validation.iter().min_by(|a, b| a.loss.total_cmp(&b.loss)).unwrap();
    assert_eq!(best.epoch + 3, validation.last().unwrap().epoch);
    let test = memory.evals.last().unwrap();
    assert_eq!((test.split, test.step), (Split::Test, best.step));
    // A run of just so many epochs ends with the same weights.
    let short = [&fixed[..], &[("epochs", Value::Int(i64::try_from(best.epoch).unwrap()))]].concat();
    let (_, short) = trained(&short, 0);
    assert_eq!(short.evals.last().unwrap().loss.to_bits(), test.loss.to_bits());
}

/// With running statistics: they must be restored as well, or the evaluations after a measurement would see others.
#[test]
fn measuring_noise_changes_nothing() {
    let changes = [("model", Value::Text("inception".into())), ("model.batch_norm", Value::Bool(true)), ("steps", Value::Int(2))];
    assert!(run(&changes, 0).config.text("model_definition").unwrap().contains("batchnorm"));
    let (_, plain) = trained(&changes, 0);
    let (_, measured) = trained(&[&changes[..], &[("noise_scale", Value::Bool(true))]].concat(), 0);
    assert_eq!(losses(&plain), losses(&measured));
    assert!(plain.evals.iter().all(|e| e.noise_scale.is_none()));
    assert_eq!(
        plain.evals.iter().map(|e| e.loss.to_bits()).collect::<Vec<_>>(),
        measured.evals.iter().map(|e| e.loss.to_bits()).collect::<Vec<_>>()
    );
    let scales: Vec<f64> = measured.evals.iter().filter_map(|e| e.noise_scale).collect();
    assert!(!scales.is_empty() && scales.iter().all(|s| *s > 0.0));
}

#[test]
fn a_measurement_restores_the_running_statistics() {
    let dataset = crate::data::tests::mini();
    let changes = [("model", Value::Text("inception".into())), ("model.batch_norm", Value::Bool(true)), ("noise_scale", Value::Bool(true))];
    let config = run(&changes, 0).config;
    let plan = Plan::new(&config, &dataset, &Device::Cpu).unwrap();
    let mut optimizer = optim::new(&config).unwrap();
    let structure = Structure::new(&plan.graph, &dataset.shape, dataset.classes()).unwrap();
    let network = network::new(structure, 0, &Device::Cpu, Path::Kernels, &*optimizer, 0.0).unwrap();
    let mut training = Training {
        dataset: &dataset,
        plan: &plan,
        learning: Learning::new(&config),
        network,
        scale: dataset.scale(&config),
        augment: None,
        turns: 0,
        labels: vec![],
        clock: Clock::default(),
    };
    let indices: Vec<u32> = (0..20).collect();
    let loss = |training: &mut Training<'_>| training.forward(&dataset.test, &indices, false).unwrap().sum.to_bits();
    let fresh = loss(&mut training);
    training.step(&indices, 1e-30, &mut *optimizer, f64::INFINITY).unwrap();
    let stepped = loss(&mut training);
    assert_ne!(fresh, stepped, "at such a rate, the step moved the running statistics alone");
    assert!(training.noise_scale(&indices).unwrap().is_some());
    assert_eq!(stepped, loss(&mut training));
}

#[test]
fn the_full_batch_has_the_least_noise() {
    // The noise of a batch's gradient: by how much the mean of its squared norm exceeds the squared norm of the whole gradient. A
    // vanishing rate leaves the network as it was, so that an epoch sees every batch of it.
    let squares = |batch_size: Value| -> f64 {
        let (_, memory) = trained(&[("batch_size", batch_size), ("lr", Value::Float(1e-12)), ("epochs", Value::Int(1))], 0);
        memory.steps.iter().map(|s| s.grad_norm.powi(2)).sum::<f64>() / memory.steps.len() as f64
    };
    let full = squares(Value::Text("full".into()));
    let noise: Vec<f64> = [1, 5, 20, 50, 100].map(|size| squares(Value::Int(size)) - full).to_vec();
    assert!(noise.windows(2).all(|w| w[0] > w[1]), "{noise:?}");
    assert!(noise[4].abs() < 1e-6 * full, "a batch of all 100 is the full batch: {noise:?}");
    // It falls as one over the batch size, with a little less left as the batches exhaust the examples: (1/B − 1/100) of n/(n − 1) times
    // the variance of single examples.
    for (noise_of, size) in noise.iter().zip([1.0, 5.0, 20.0, 50.0]) {
        let expected = noise[0] * (1.0 / size - 0.01) / 0.99;
        assert!((0.5..2.0).contains(&(noise_of / expected)), "batches of {size}: {noise_of} instead of {expected}");
    }
}

#[test]
fn the_noise_scale_is_that_of_single_gradients() {
    // By its definition: trace of the covariance of single examples' gradients over the squared norm of their mean, both unbiased. The
    // norms come from runs of one step: of one example each, and of all.
    let base = [("train_examples", Value::Int(20)), ("steps", Value::Int(1))];
    let (_, all) = trained(&[&base[..], &[("batch_size", Value::Text("full".into())), ("noise_scale", Value::Bool(true))]].concat(), 0);
    // A vanishing rate leaves the network as it was, so that one epoch of single examples sees all of their gradients.
    let single =
        [("train_examples", Value::Int(20)), ("batch_size", Value::Int(1)), ("epochs", Value::Int(1)), ("lr", Value::Float(1e-12))];
    let (_, single) = trained(&single, 0);
    let n = single.steps.len() as f64;
    let small = single.steps.iter().map(|s| s.grad_norm.powi(2)).sum::<f64>() / n;
    let large = all.steps[0].grad_norm.powi(2);
    let (trace, mean) = (n / (n - 1.0) * (small - large), (n * large - small) / (n - 1.0));
    let measured = all.evals[0].noise_scale.unwrap();
    assert!((measured / (trace / mean) - 1.0).abs() < 1e-4, "{measured} {}", trace / mean);
}

#[test]
fn feature_maps_are_pictures_of_one_layer() {
    let (_, memory) = trained(
        &[
            ("model", Value::Text("inception".into())),
            ("model.batch_norm", Value::Bool(false)),
            ("steps", Value::Int(1)),
            ("feature_maps", Value::Int(2)),
        ],
        0,
    );
    // The image and 32 channels of the first 1×1 convolution.
    assert_eq!(memory.pictures.len(), 33);
    let largest = |p: &spec::record::Picture| (p.height, p.width, p.pixels.len(), p.pixels.iter().max().copied());
    assert_eq!(largest(&memory.pictures[0]), (28, 28, 784, Some(255)));
    let [deviation] = &memory.measurements[..] else { panic!("{:?}", memory.measurements) };
    assert!(deviation.value < 1e-5, "{deviation:?}");
}

#[test]
fn feature_maps_are_those_of_the_tested_weights() {
    let base = [
        ("model", Value::Text("small-cnn".into())),
        ("feature_maps", Value::Int(1)),
        ("train_examples", Value::Int(30)),
        ("batch_size", Value::Int(10)),
    ];
    let drawn = |changes: &[(&str, Value)]| {
        let (ending, memory) = trained(&[&base[..], changes].concat(), 0);
        assert_eq!(memory.pictures.len(), 17, "the image and the sixteen filters");
        (ending, memory)
    };
    // An average that keeps everything has the weights of the start, as has a network that hardly learns.
    let (_, plain) = drawn(&[]);
    let (_, average) = drawn(&[("ema_decay", Value::Float(1.0 - 1e-9))]);
    let (_, start) = drawn(&[("lr", Value::Float(1e-30))]);
    assert_eq!(average.pictures, start.pictures);
    assert_ne!(average.pictures, plain.pictures);
    // A run that stops early tests the best epoch: the same as a run of just so many epochs.
    let fast = [("lr", Value::Float(0.3))];
    let (ending, stopped) = drawn(&[&fast[..], &[("epochs", Value::Int(100)), ("patience", Value::Int(2))]].concat());
    assert_eq!(ending.outcome, Outcome::StoppedEarly, "{ending:?}");
    let test = stopped.evals.last().unwrap();
    assert!(test.epoch > 0 && test.step < ending.steps, "{test:?}");
    let (_, short) = drawn(&[&fast[..], &[("epochs", Value::Int(i64::try_from(test.epoch).unwrap()))]].concat());
    assert_eq!(stopped.pictures, short.pictures);
}

fn bits(memory: &Memory) -> Vec<u64> {
    let evals = memory.evals.iter().flat_map(|e| [e.loss, e.accuracy.unwrap()]);
    losses(memory).into_iter().chain(evals).map(f64::to_bits).collect()
}

#[test]
fn augmented_training_has_the_same_bits_on_any_number_of_threads() {
    let dataset = crate::data::tests::mini();
    let changes = [
        ("model", Value::Text("small-cnn".into())),
        ("augment_flip", Value::Bool(true)),
        ("augment_crop", Value::Int(2)),
        ("augment_rotate", Value::Float(10.0)),
        ("augment_noise", Value::Float(0.1)),
        ("augment_cutout", Value::Int(5)),
    ];
    let with = |threads: usize, seed: u64| {
        let mut memory = Memory::default();
        train(&run(&changes, seed), &dataset, (&Device::Cpu, Path::Kernels), &|| threads, None, &mut memory).unwrap();
        bits(&memory)
    };
    assert_eq!(with(1, 0), with(3, 0));
    assert_ne!(with(1, 0), with(1, 1));
}

#[test]
fn only_what_is_learned_from_is_augmented() {
    // A vanishing rate leaves the network as it was, so that a loss shows the examples alone.
    let still = [("model", Value::Text("small-cnn".into())), ("lr", Value::Float(1e-30)), ("batch_size", Value::Int(50))];
    let noisy = |seed| trained(&[&still[..], &[("augment_noise", Value::Float(0.2)), ("augment_crop", Value::Int(4))]].concat(), seed).1;
    let (plain, augmented) = (trained(&still, 0).1, noisy(0));
    let evals = |memory: &Memory| memory.evals.iter().map(|e| (e.split, e.loss.to_bits(), e.accuracy)).collect::<Vec<_>>();
    assert_eq!(evals(&plain), evals(&augmented));
    assert!(plain.steps.iter().zip(&augmented.steps).all(|(a, b)| a.loss.to_bits() != b.loss.to_bits()));
    // Each time that an example is seen, it looks different: both epochs see the same examples.
    let epoch = |memory: &Memory, n: u64| memory.steps.iter().filter(|s| s.epoch == n).map(|s| s.loss).sum::<f64>();
    assert!(close(epoch(&plain, 1), epoch(&plain, 2), 1e-6) && !close(epoch(&augmented, 1), epoch(&augmented, 2), 1e-4));
}

#[test]
fn another_seed_augments_differently() {
    // Not shown by runs, whose seed changes weights and batches, too.
    let dataset = crate::data::tests::mini();
    let config = run(&[("augment_noise", Value::Float(0.2))], 0).config;
    let look = |seed: u64, turn: u64| {
        let mut out = vec![];
        Augment::new(&config, &dataset, seed).unwrap().unwrap().apply(&dataset.train.examples[..784], turn, &mut out);
        out
    };
    assert_eq!(look(0, 5), look(0, 5));
    assert!(look(0, 5) != look(1, 5) && look(0, 5) != look(0, 6));
}

#[test]
fn what_does_not_fit_is_refused() {
    let dataset = crate::data::tests::mini();
    let error = |changes: &[(&str, Value)]| Plan::new(&run(changes, 0).config, &dataset, &Device::Cpu).err().unwrap().to_string();
    assert_eq!(error(&[("accumulate", Value::Int(33))]), "accumulate = 33, but a batch has only 32 examples");
    assert_eq!(
        error(&[("patience", Value::Int(3)), ("validation_fraction", Value::Float(0.0))]),
        "patience looks at the validation loss, but validation_fraction holds nothing out"
    );
    assert_eq!(error(&[("feature_maps", Value::Int(9))]), "feature_maps = 9, but the network has layers 1 to 3; see `pipeline summary`");
}
