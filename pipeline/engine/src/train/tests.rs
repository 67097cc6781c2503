//! Whole runs: against PyTorch's reproduction of them, and against themselves.
#![allow(clippy::cast_possible_truncation, reason = "small numbers in test cases")]

use candle_core::Device;
use serde_json::Value as Json;
use spec::Value;
use spec::record::{Confusion, Picture, Position, SinkError};

use super::*;
use crate::optim::tests::config_from;

/// Keeps everything.
#[derive(Default)]
pub(crate) struct Memory {
    facts: Option<Facts>,
    pub(crate) steps: Vec<Step>,
    pub(crate) evals: Vec<Eval>,
    pub(crate) positions: Vec<Position>,
    pub(crate) measurements: Vec<Measurement>,
    pub(crate) pictures: Vec<Picture>,
    pub(crate) confusion: Confusion,
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
    fn position(&mut self, position: &Position) -> Result<(), SinkError> {
        self.positions.push(*position);
        Ok(())
    }
    fn measurement(&mut self, measurement: &Measurement) -> Result<(), SinkError> {
        self.measurements.push(measurement.clone());
        Ok(())
    }
    fn picture(&mut self, picture: &Picture) -> Result<(), SinkError> {
        self.pictures.push(picture.clone());
        Ok(())
    }
    fn confusion(&mut self, confusion: &Confusion) -> Result<(), SinkError> {
        self.confusion = confusion.clone();
        Ok(())
    }
    fn interrupted(&self) -> bool {
        self.stop_after.is_some_and(|n| self.steps.len() as u64 >= n)
    }
}

/// A run from `key = value` pairs over small defaults.
pub(crate) fn run(changes: &[(&str, Value)], seed: u64) -> RunSpec {
    let mut config = Config::default();
    let text = |s: &'static str| Value::Text(s.into());
    let defaults = [
        ("dataset", text("fashion-mnist-mini")),
        ("model", text("mlp")),
        ("model.hidden", Value::Int(16)),
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
    let graph = model::Library::built_in().graph(&config).unwrap().unwrap();
    config.insert("model_definition", Value::Text(graph.to_string().into()));
    RunSpec { id: config.run_id(seed), seed, config }
}

pub(super) fn trained(changes: &[(&str, Value)], seed: u64) -> (Ending, Memory) {
    let dataset = crate::data::tests::mini();
    let mut memory = Memory::default();
    let ending = train(&run(changes, seed), &dataset, (&Device::Cpu, Path::Kernels), &|| 1, None, &mut memory).unwrap();
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
        memory.steps.iter().map(|s| [s.loss, s.accuracy.unwrap(), s.grad_norm].map(f64::to_bits)).collect()
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
    let dataset = crate::data::tests::mini();
    let mut memory = Memory { stop_after: Some(3), ..Memory::default() };
    let ending = train(&run(&[], 0), &dataset, (&Device::Cpu, Path::Kernels), &|| 1, None, &mut memory).unwrap();
    assert_eq!((ending.outcome, ending.steps, memory.steps.len()), (Outcome::Interrupted, 3, 3));
}

#[test]
fn batches_larger_than_the_training_set_are_refused() {
    let dataset = crate::data::tests::mini();
    let error = Plan::new(&run(&[("batch_size", Value::Int(101))], 0).config, &dataset, &Device::Cpu).err().unwrap().to_string();
    assert_eq!(error, "batch_size = 101, but there are 100 training examples; use \"full\" for all of them");
}

/// `tests/reference/runs.py` draws the same initial weights and batches from its own streams, and trains in PyTorch in double
/// precision. The tolerances are some ten times what PyTorch in single precision deviates from that: Inception has ties in its
/// pools, and Adam scales up the rounding errors that are the gradient of a bias before batch normalisation.
#[test]
fn fifty_steps_of_each_model_agree_with_pytorch() {
    let reference: Json = serde_json::from_str(include_str!("../../tests/reference/runs.json")).unwrap();
    let mut models = std::collections::BTreeSet::new();
    for case in reference.as_array().unwrap() {
        let config = config_from(&case["config"]);
        let changes: Vec<(&str, Value)> = config.iter().filter(|(key, _)| *key != "seed").map(|(k, v)| (k, v.clone())).collect();
        let steps = [("steps", Value::Int(50)), ("beta1", Value::Float(0.9)), ("beta2", Value::Float(0.999)), ("eps", Value::Float(1e-8))];
        let (ending, memory) = trained(&[&changes[..], &steps[..]].concat(), case["config"]["seed"].as_u64().unwrap());
        assert_eq!(ending.outcome, Outcome::Completed);
        assert_eq!(memory.steps.len(), 50);
        let expected = |key: &str, t: usize| case[key][t].as_f64().unwrap();
        for (t, step) in memory.steps.iter().enumerate() {
            let tolerance = match (&case["config"]["model.batch_norm"], t) {
                (Json::Null, _) => 1e-5,
                (Json::Bool(false), _) | (_, 0..=2) => 1e-3,
                _ => 5e-2,
            };
            for (key, got) in [("loss", step.loss), ("grad_norm", step.grad_norm)] {
                let e = expected(key, t);
                assert!((got - e).abs() < tolerance * (1.0 + e), "{} step {}: {key} {got} instead of {e}", case["config"], step.step);
            }
            // An example on the border between two classes may fall to either side.
            assert!((step.accuracy.unwrap() - expected("accuracy", t)).abs() < 0.07, "{} step {}", case["config"], step.step);
        }
        models.insert(case["config"]["model"].as_str().unwrap().to_owned() + &case["config"]["model.batch_norm"].to_string());
    }
    assert_eq!(models.len(), 4, "{models:?}");
}

#[test]
fn threads_change_no_bit_even_when_their_number_changes() {
    let dataset = crate::data::tests::mini();
    let text = |s: &'static str| Value::Text(s.into());
    let changes = [
        ("model", text("inception")),
        ("model.batch_norm", Value::Bool(true)),
        ("epochs", Value::Int(1)),
        ("eval_train_examples", Value::Int(20)),
    ];
    let bits = |threads: &dyn Fn() -> usize| -> Vec<[u64; 3]> {
        let mut memory = Memory::default();
        train(&run(&changes, 4), &dataset, (&Device::Cpu, Path::Kernels), threads, None, &mut memory).unwrap();
        memory.steps.iter().map(|s| [s.loss, s.accuracy.unwrap(), s.grad_norm].map(f64::to_bits)).collect()
    };
    let one = bits(&|| 1);
    assert_eq!(one, bits(&|| 2));
    let asked = std::cell::Cell::new(0);
    let changing = || {
        asked.set(asked.get() + 1);
        1 + asked.get() % 3
    };
    assert_eq!(one, bits(&changing));
}
