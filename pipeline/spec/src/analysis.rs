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

pub const THRESHOLDS: [Threshold; 0] = [];

/// Keys of `[analysis]`.
pub(crate) const KEYS: [&str; 3] = ["compare", "margin", "diagnosis"];

impl Settings {
    /// As one line of JSON.
    pub fn to_json(&self) -> String {
        json!({ "compare": self.compare, "margin": self.margin, "diagnosis": self.thresholds }).to_string()
    }

    /// From [`Settings::to_json`]; what is missing is at its default.
    pub fn from_json(text: &str) -> Self {
        let json: Json = serde_json::from_str(text).unwrap_or_default();
        let texts = |list: &Vec<Json>| list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect();
        let numbers = |map: &serde_json::Map<String, Json>| map.iter().filter_map(|(k, v)| Some((k.clone(), v.as_f64()?))).collect();
        Settings {
            compare: json["compare"].as_array().map(texts).unwrap_or_default(),
            margin: json["margin"].as_f64(),
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
            thresholds: [("too_slow".to_owned(), 0.1)].into(),
        };
        assert_eq!(Settings::from_json(&settings.to_json()), settings);
        assert_eq!((Settings::from_json("{}"), Settings::from_json(&Settings::default().to_json())), Default::default());
    }
}
