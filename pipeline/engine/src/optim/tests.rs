//! Every optimizer against PyTorch's weights after each of 12 steps, by kernels and by composition.

use candle_core::{DType, Device, Tensor, Var};
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
            other => panic!("unexpected {other}"),
        };
        config.insert(key.clone(), value);
    }
    config
}

#[test]
fn agrees_with_pytorch_step_by_step() {
    let cases: Json = serde_json::from_str(include_str!("../../tests/reference/optimizers.json")).unwrap();
    let mut names = std::collections::BTreeSet::new();
    for case in cases.as_array().unwrap() {
        for path in [Path::Kernels, Path::Composed] {
            let mut config = config_from(&case["config"]);
            names.insert(case["optimizer"].as_str().unwrap());
            config.insert("optimizer", Value::Text(case["optimizer"].as_str().unwrap().to_owned().into()));
            let mut optimizer = new(&config, path).unwrap();
            let initial = numbers(&case["initial"]);
            let parameter = Var::from_vec(initial, 5, &Device::Cpu).unwrap();
            let steps = case["gradients"].as_array().unwrap().iter().zip(case["weights"].as_array().unwrap());
            for (t, (gradient, expected)) in steps.enumerate() {
                let gradient = Tensor::from_vec(numbers(gradient), 5, &Device::Cpu).unwrap();
                optimizer.step(std::slice::from_ref(&parameter), &[gradient], numbers(&case["lr"])[t]).unwrap();
                let got: Vec<f64> = parameter.to_vec1().unwrap();
                for (got, expected) in got.iter().zip(numbers(expected)) {
                    let close = (got - expected).abs() <= 1e-10 * expected.abs() + 1e-13;
                    assert!(close, "{} {path:?} step {t}: {got} instead of {expected}", case["name"]);
                }
            }
        }
    }
    let offered: std::collections::BTreeSet<_> = choices().iter().map(|c| c.name).collect();
    assert_eq!(names, offered, "every optimizer has reference numbers");
}

#[test]
fn single_precision_stays_close_to_double() {
    for choice in choices() {
        let mut config = Config::default();
        config.insert("optimizer", Value::Text(choice.name.into()));
        for key in choice.keys {
            if let spec::vocabulary::Absent::Is(value) = key.default {
                config.insert(key.name, value);
            }
        }
        let run = |dtype: DType| -> Vec<f64> {
            let p = Var::from_tensor(&Tensor::new(&[0.5f64, -1.0, 2.0], &Device::Cpu).unwrap().to_dtype(dtype).unwrap()).unwrap();
            let mut optimizer = new(&config, Path::Kernels).unwrap();
            for t in 0..20 {
                let g = Tensor::new(&[f64::from(t).sin(), 0.3, -0.7], &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
                optimizer.step(std::slice::from_ref(&p), &[g], 0.01).unwrap();
            }
            p.to_dtype(DType::F64).unwrap().to_vec1().unwrap()
        };
        for (single, double) in run(DType::F32).iter().zip(run(DType::F64)) {
            assert!((single - double).abs() < 1e-5, "{}: {single} {double}", choice.name);
        }
    }
}
