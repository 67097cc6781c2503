//! Whole trainings: against PyTorch from the same weights and batches, and against themselves.
#![allow(clippy::cast_possible_truncation, reason = "small numbers in test cases")]

use candle_core::{DType, Device, Tensor};
use serde_json::Value as Json;
use spec::Value;
use spec::model::{Layer, Units};
use spec::record::SinkError;

use super::*;
use crate::optim::tests::config_from;

fn floats(json: &Json) -> Vec<f64> {
    json.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn sizes(json: &Json) -> Vec<usize> {
    json.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect()
}

#[test]
fn thirty_steps_agree_with_pytorch() {
    let reference: Json = serde_json::from_str(include_str!("../../tests/reference/training.json")).unwrap();
    let images = floats(&reference["images"]["data"]);
    let labels = sizes(&reference["labels"]);
    let relu = |units| Layer::Dense { units: Units::Fixed(units), relu: true };
    let conv = |channels| Layer::Conv2d { channels, kernel: 3, relu: true };
    let (pool, last) = (Layer::MaxPool2d { size: 2 }, Layer::Dense { units: Units::Classes, relu: false });
    for case in reference["cases"].as_array().unwrap() {
        let layers = match case["net"].as_str().unwrap() {
            "mlp" => vec![Layer::Flatten, relu(8), last.clone()],
            _ => vec![conv(4), pool.clone(), conv(5), pool.clone(), Layer::Flatten, relu(6), last.clone()],
        };
        for path in [Path::Kernels, Path::Composed] {
            let mut network = Network::new(&layers, &[1, 6, 6], 3, 0, DType::F64, &Device::Cpu, path).unwrap();
            let parameters = network.parameters();
            for (p, json) in parameters.iter().zip(case["params"].as_array().unwrap()) {
                let mut t = Tensor::from_vec(floats(&json["data"]), sizes(&json["shape"]), &Device::Cpu).unwrap();
                if t.rank() == 2 {
                    t = t.t().unwrap().contiguous().unwrap();
                }
                p.set(&t).unwrap();
            }
            let mut config = config_from(&case["config"]);
            config.insert("optimizer", Value::Text(case["optimizer"].as_str().unwrap().to_owned().into()));
            let mut optimizer = optim::new(&config, path).unwrap();
            for (t, batch) in case["batches"].as_array().unwrap().iter().enumerate() {
                let indices = sizes(batch);
                let pixels: Vec<f64> = indices.iter().flat_map(|i| images[i * 36..(i + 1) * 36].to_vec()).collect();
                let batch_labels: Vec<u32> = indices.iter().map(|i| labels[*i] as u32).collect();
                let x = Tensor::from_vec(pixels, (indices.len(), 1, 6, 6), &Device::Cpu).unwrap();
                let logits = network.forward(&x, true).unwrap();
                let loss = softmax_cross_entropy(&logits, &batch_labels, path, true).unwrap();
                let gradients = network.backward(loss.gradient.unwrap()).unwrap();
                let got = [loss.sum / indices.len() as f64, norm(&gradients, path).unwrap()];
                let expected = [floats(&case["loss"])[t], floats(&case["grad_norm"])[t]];
                for (g, e) in got.iter().zip(expected) {
                    assert!((g - e).abs() < 1e-9 * (1.0 + e), "{} {} {path:?} step {t}: {g} {e}", case["net"], case["optimizer"]);
                }
                optimizer.step(&parameters, &gradients, case["lr"].as_f64().unwrap()).unwrap();
            }
        }
    }
}

/// Keeps everything.
#[derive(Default)]
struct Memory {
    facts: Option<Facts>,
    steps: Vec<Step>,
    evals: Vec<Eval>,
    stop_after: Option<u64>,
}

impl Sink for Memory {
    fn begin(&mut self, facts: &Facts) -> Result<(), SinkError> {
        self.facts = Some(facts.clone());
        Ok(())
    }
    fn step(&mut self, step: &Step) -> Result<(), SinkError> {
        self.steps.push(*step);
        Ok(())
    }
    fn eval(&mut self, eval: &Eval) -> Result<(), SinkError> {
        self.evals.push(*eval);
        Ok(())
    }
    fn interrupted(&self) -> bool {
        self.stop_after.is_some_and(|n| self.steps.len() as u64 >= n)
    }
}

/// A run from `key = value` pairs over small defaults.
fn run(changes: &[(&str, Value)], seed: u64) -> RunSpec {
    let mut config = Config::default();
    let text = |s: &'static str| Value::Text(s.into());
    let defaults = [
        ("dataset", text("fashion-mnist-mini")),
        ("model", text("mlp")),
        ("hidden", Value::Int(16)),
        ("optimizer", text("sgd")),
        ("momentum", Value::Float(0.0)),
        ("nesterov", Value::Bool(false)),
        ("weight_decay", Value::Float(0.0)),
        ("lr", Value::Float(0.1)),
        ("batch_size", Value::Int(32)),
        ("epochs", Value::Int(2)),
        ("schedule", text("constant")),
        ("warmup_steps", Value::Int(0)),
        ("train_examples", Value::Int(100)),
        ("validation_fraction", Value::Float(0.01)),
        ("split_seed", Value::Int(0)),
        ("eval_train_examples", Value::Int(50)),
        ("divergence_factor", Value::Float(100.0)),
    ];
    for (key, value) in defaults.into_iter().chain(changes.iter().cloned()) {
        config.insert(key, value);
    }
    RunSpec { id: config.run_id(seed), seed, config }
}

fn trained(changes: &[(&str, Value)], seed: u64) -> (Ending, Memory) {
    let dataset = crate::data::load("fashion-mnist-mini", None).unwrap();
    let mut memory = Memory::default();
    let ending = train(&run(changes, seed), &dataset, &Device::Cpu, &mut memory).unwrap();
    (ending, memory)
}

#[test]
fn every_step_and_evaluation_is_recorded() {
    let (ending, memory) = trained(&[], 0);
    assert_eq!(ending, Ending { outcome: Outcome::Completed, steps: 8, reason: None });
    let seen: Vec<_> = memory.steps.iter().map(|s| (s.step, s.epoch, s.examples)).collect();
    // 100 examples in batches of 32: the last batch of an epoch has 4.
    assert_eq!(seen, [(1, 1, 32), (2, 1, 64), (3, 1, 96), (4, 1, 100), (5, 2, 132), (6, 2, 164), (7, 2, 196), (8, 2, 200)]);
    let evals: Vec<_> = memory.evals.iter().map(|e| (e.step, e.epoch, e.split, e.examples)).collect();
    let (t, v) = (Split::Train, Split::Validation);
    let expected = [(0, 0, t, 50), (0, 0, v, 100), (4, 1, t, 50), (4, 1, v, 100), (8, 2, t, 50), (8, 2, v, 100), (8, 2, Split::Test, 2000)];
    assert_eq!(evals, expected);
    let facts = memory.facts.unwrap();
    // (784 + 1)·16 + (16 + 1)·10 numbers; 784·16 + 16·10 multiply-adds forward, the same again for the weights, 16·10 for the
    // input of the second layer; 2 operations each; 32 examples.
    assert_eq!((facts.parameters, facts.planned_steps), (12_730, 8));
    assert_eq!(facts.flops_per_step, 2 * (2 * (784 * 16 + 160) + 160) * 32);
    assert!(memory.steps.windows(2).all(|w| w[0].elapsed_ms < w[1].elapsed_ms));
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_seed_others() {
    let bits = |seed| -> Vec<[u64; 3]> {
        let (_, memory) = trained(&[("model", Value::Text("small-cnn".into())), ("epochs", Value::Int(1))], seed);
        memory.steps.iter().map(|s| [s.loss, s.accuracy, s.grad_norm].map(f64::to_bits)).collect()
    };
    let first = bits(1);
    assert_eq!(first, bits(1));
    assert_ne!(first, bits(2));
}

#[test]
fn learning_works_and_too_high_a_rate_diverges() {
    let (_, memory) = trained(&[("epochs", Value::Int(20))], 0);
    let (first, last) = (memory.evals[0].loss, memory.evals[memory.evals.len() - 3].loss);
    assert!(last < first / 3.0, "{first} {last}");
    let (ending, memory) = trained(&[("lr", Value::Float(1000.0))], 0);
    assert_eq!(ending.outcome, Outcome::Diverged);
    assert!(ending.reason.is_some());
    assert_eq!(ending.steps, memory.steps.len() as u64);
    let last = memory.steps.last().unwrap();
    assert!(!last.loss.is_finite() || last.loss > 100.0 * memory.steps[0].loss);
}

#[test]
fn what_the_last_update_breaks_is_seen() {
    let (ending, memory) = trained(&[("steps", Value::Int(1)), ("lr", Value::Float(1e5))], 0);
    assert_eq!((ending.outcome, ending.steps), (Outcome::Diverged, 1));
    assert!(ending.reason.unwrap().starts_with("after the update, the loss"));
    assert!(memory.evals.iter().all(|e| e.split != Split::Test), "the test split is for completed runs");
}

#[test]
fn full_batch_single_example_steps_and_interruption() {
    let (ending, memory) = trained(&[("batch_size", Value::Text("full".into()))], 0);
    assert_eq!((ending.steps, memory.steps[1].examples), (2, 200));
    let (ending, _) = trained(&[("batch_size", Value::Int(1)), ("lr", Value::Float(0.001))], 0);
    assert_eq!(ending.steps, 200);
    let dataset = crate::data::load("fashion-mnist-mini", None).unwrap();
    let mut memory = Memory { stop_after: Some(3), ..Memory::default() };
    let ending = train(&run(&[], 0), &dataset, &Device::Cpu, &mut memory).unwrap();
    assert_eq!((ending.outcome, ending.steps, memory.steps.len()), (Outcome::Interrupted, 3, 3));
}

#[test]
fn batches_larger_than_the_training_set_are_refused() {
    let dataset = crate::data::load("fashion-mnist-mini", None).unwrap();
    let error = Plan::new(&run(&[("batch_size", Value::Int(101))], 0).config, &dataset, &Device::Cpu).err().unwrap().to_string();
    assert_eq!(error, "batch_size = 101, but there are 100 training examples; use \"full\" for all of them");
}
