//! Every optimizer against PyTorch's (and Keras') weights after each of 12 steps, by the kernel and by composition.

use candle_core::{Device, Tensor};
use serde_json::Value as Json;
use spec::{Config, Value};

use super::*;

fn numbers(json: &Json) -> Vec<f64> {
    json.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// A configuration from a JSON object.
pub(crate) fn config_from(json: &Json) -> Config {
    let mut config = Config::default();
    for (key, value) in json.as_object().unwrap() {
        let value = match value {
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(n) if n.is_i64() => Value::Int(n.as_i64().unwrap()),
            Json::Number(n) => Value::Float(n.as_f64().unwrap()),
            Json::String(s) => Value::Text(s.clone().into()),
            other => panic!("unexpected {other}"),
        };
        config.insert(key.clone(), value);
    }
    config
}

#[test]
fn agrees_with_pytorch_and_keras_step_by_step() {
    let files = [include_str!("../../tests/reference/optimizers.json"), include_str!("../../tests/reference/keras.json")];
    let cases: Vec<Json> = files.into_iter().flat_map(|file| serde_json::from_str::<Vec<Json>>(file).unwrap()).collect();
    let mut names = std::collections::BTreeSet::new();
    for case in &cases {
        let mut config = config_from(&case["config"]);
        names.insert(case["optimizer"].as_str().unwrap());
        config.insert("optimizer", Value::Text(case["optimizer"].as_str().unwrap().to_owned().into()));
        let mut optimizer = new(&config).unwrap();
        let mut weights = numbers(&case["initial"]);
        let mut states = vec![vec![0.0; 5]; optimizer.states()];
        let tensor = |values: &[f64]| Tensor::from_slice(values, 5, &Device::Cpu).unwrap();
        let mut composed = tensor(&weights);
        let mut composed_states = vec![tensor(&[0.0; 5]); optimizer.states()];
        let steps = case["gradients"].as_array().unwrap().iter().zip(case["weights"].as_array().unwrap());
        for (t, (gradient, expected)) in steps.enumerate() {
            let gradient = numbers(gradient);
            optimizer.begin(numbers(&case["lr"])[t]);
            let mut open: Vec<&mut [f64]> = states.iter_mut().map(|s| &mut s[..]).collect();
            optimizer.apply(&mut weights, &gradient, &mut open);
            composed = optimizer.compose(&composed, &tensor(&gradient), &mut composed_states).unwrap();
            for (path, got) in [("kernel", weights.clone()), ("composed", composed.to_vec1().unwrap())] {
                for (got, expected) in got.iter().zip(numbers(expected)) {
                    let close = (got - expected).abs() <= 1e-10 * expected.abs() + 1e-13;
                    assert!(close, "{} {path} step {t}: {got} instead of {expected}", case["name"]);
                }
            }
        }
    }
    let offered: std::collections::BTreeSet<_> = choices().iter().map(|c| c.name).collect();
    assert_eq!(names, offered, "every optimizer has reference numbers");
}

#[test]
#[expect(clippy::cast_possible_truncation, reason = "rounding is meant")]
fn single_precision_stays_close_to_double() {
    for choice in choices() {
        let mut config = Config::default();
        config.insert("optimizer", Value::Text(choice.name.into()));
        for key in choice.keys {
            if let spec::vocabulary::Absent::Is(value) = key.default {
                config.insert(key.name, value);
            }
        }
        let (mut single, mut double) = (new(&config).unwrap(), new(&config).unwrap());
        let (mut w32, mut w64) = ([0.5f32, -1.0, 2.0], [0.5f64, -1.0, 2.0]);
        let (mut s32, mut s64) = (vec![[0.0f32; 3]; single.states()], vec![[0.0f64; 3]; double.states()]);
        for t in 0..20 {
            let g = [f64::from(t).sin(), 0.3, -0.7];
            single.begin(0.01);
            double.begin(0.01);
            let mut open: Vec<&mut [f32]> = s32.iter_mut().map(|s| &mut s[..]).collect();
            single.apply(&mut w32, &g.map(|g| g as f32), &mut open);
            let mut open: Vec<&mut [f64]> = s64.iter_mut().map(|s| &mut s[..]).collect();
            double.apply(&mut w64, &g, &mut open);
        }
        for (single, double) in w32.iter().zip(w64) {
            assert!((f64::from(*single) - double).abs() < 1e-5, "{}: {single} {double}", choice.name);
        }
    }
}
