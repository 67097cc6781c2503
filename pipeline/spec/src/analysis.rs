//! `[analysis]`: how a study's results are compared and judged. No part of any run's identity: a study can be judged otherwise
//! without training anything again.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

/// How the arms of a study are compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Axes whose combinations of values are compared, each at the best arm that the other axes have for it. Empty: all arms.
    pub compare: Vec<String>,
    /// Differences of the deciding metric up to this are of no consequence. `None`: the default of the metric.
    pub margin: Option<f64>,
    /// Its place among the studies of a write-up; those without stand after all others, by name.
    pub order: Option<u64>,
    /// Thresholds of the diagnosis that are not at their defaults, by name.
    pub thresholds: BTreeMap<String, f64>,
}

/// A threshold of the diagnosis that a study can set for itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    pub name: &'static str,
    pub doc: &'static str,
    pub default: f64,
    pub least: f64,
    pub most: f64,
}

pub const THRESHOLDS: [Threshold; 11] = [
    Threshold {
        name: "least_gain",
        doc: "plateaued high: part of the loss of guessing that a run must gain to leave it",
        default: 0.03,
        least: 0.0,
        most: 1.0,
    },
    Threshold {
        name: "learned",
        doc: "plateaued high: part of the way from chance to 1 that the accuracy must go to leave chance",
        default: 0.1,
        least: 0.0,
        most: 1.0,
    },
    Threshold {
        name: "swing",
        doc: "oscillating: rise of the loss from a trough, over the loss there, that is a swing",
        default: 0.15,
        least: 0.0,
        most: 100.0,
    },
    Threshold {
        name: "swings",
        doc: "oscillating: number of swings, in bins or between evaluations",
        default: 2.0,
        least: 1.0,
        most: 100.0,
    },
    Threshold {
        name: "swing_deviations",
        doc: "oscillating: standard deviations of a bin's noise that a swing must exceed",
        default: 4.5,
        least: 0.0,
        most: 100.0,
    },
    Threshold {
        name: "validation_rise",
        doc: "overfitting: rise of the validation loss from its best to the end, over the best",
        default: 0.07,
        least: 0.0,
        most: 100.0,
    },
    Threshold {
        name: "roughness",
        doc: "oscillating: typical change of the loss up and down from evaluation to evaluation",
        default: 0.1,
        least: 0.0,
        most: 100.0,
    },
    Threshold {
        name: "rebound",
        doc: "oscillating: rise of the training loss from its best to the end, over the best",
        default: 0.15,
        least: 0.0,
        most: 100.0,
    },
    Threshold {
        name: "still_falling",
        doc: "too slow: part of the whole gain that is made in a fifth of the run at its end",
        default: 0.03,
        least: 0.0,
        most: 1.0,
    },
    Threshold {
        name: "high",
        doc: "plateaued high: loss at the end, over that of guessing, when it no longer falls",
        default: 0.55,
        least: 0.0,
        most: 1.0,
    },
    Threshold {
        name: "noise_deviations",
        doc: "all: standard deviations of the noise that a change of level must exceed to be seen",
        default: 2.0,
        least: 0.0,
        most: 100.0,
    },
];

/// Keys of `[analysis]`.
pub(crate) const KEYS: [&str; 4] = ["compare", "margin", "order", "diagnosis"];

impl Settings {
    /// As one line of JSON.
    pub fn to_json(&self) -> String {
        json!({ "compare": self.compare, "margin": self.margin, "order": self.order, "diagnosis": self.thresholds }).to_string()
    }

    /// From [`Settings::to_json`]; what is missing is at its default.
    pub fn from_json(text: &str) -> Self {
        let json: Json = serde_json::from_str(text).unwrap_or_default();
        let texts = |list: &Vec<Json>| list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect();
        let numbers = |map: &serde_json::Map<String, Json>| map.iter().filter_map(|(k, v)| Some((k.clone(), v.as_f64()?))).collect();
        Settings {
            compare: json["compare"].as_array().map(texts).unwrap_or_default(),
            margin: json["margin"].as_f64(),
            order: json["order"].as_u64(),
            thresholds: json["diagnosis"].as_object().map(numbers).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_their_json() {
        let settings = Settings {
            compare: vec!["optimizer".into(), "momentum".into()],
            margin: Some(0.01),
            order: Some(3),
            thresholds: [("too_slow".to_owned(), 0.1)].into(),
        };
        assert_eq!(Settings::from_json(&settings.to_json()), settings);
        assert_eq!((Settings::from_json("{}"), Settings::from_json(&Settings::default().to_json())), Default::default());
    }
}
