//! A resolved configuration: every key that applies to a run, with its value, in canonical order.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::value::Value;

/// All keys of one arm, defaults included. Its canonical JSON is what a run's identity is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config(BTreeMap<String, Value>);

/// A key that a reader needs is not in the configuration, or has another type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has no usable `{0}`")]
pub struct Missing(pub String);

/// A text that is no configuration in canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not the canonical form of a configuration")]
pub struct NotCanonical;

impl Config {
    pub fn insert(&mut self, key: impl Into<String>, value: Value) {
        self.0.insert(key.into(), value);
    }

    pub fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v))
    }

    /// # Errors
    /// When the key is absent or not a number.
    pub fn float(&self, key: &str) -> Result<f64, Missing> {
        self.get(key).and_then(Value::number).ok_or_else(|| Missing(key.into()))
    }

    /// What the run is about: `classification` unless it says otherwise.
    pub fn objective(&self) -> &str {
        self.text("objective").unwrap_or("classification")
    }

    /// A number, or `neutral` when the key stays out of the configuration.
    pub fn float_or(&self, key: &str, neutral: f64) -> f64 {
        self.float(key).unwrap_or(neutral)
    }

    /// Whether a switch is there and on.
    pub fn is_on(&self, key: &str) -> bool {
        self.get(key) == Some(&Value::Bool(true))
    }

    /// # Errors
    /// When the key is absent or not a switch.
    pub fn switch(&self, key: &str) -> Result<bool, Missing> {
        match self.get(key) {
            Some(Value::Bool(b)) => Ok(*b),
            _ => Err(Missing(key.into())),
        }
    }

    /// # Errors
    /// When the key is absent or not a text.
    pub fn text(&self, key: &str) -> Result<&str, Missing> {
        match self.get(key) {
            Some(Value::Text(s)) => Ok(s),
            _ => Err(Missing(key.into())),
        }
    }

    /// A non-negative integer.
    ///
    /// # Errors
    /// When the key is absent, not an integer, or negative.
    pub fn count(&self, key: &str) -> Result<usize, Missing> {
        self.optional_count(key).ok_or_else(|| Missing(key.into()))
    }

    /// A non-negative integer, `None` when the key is absent or something else (such as `"full"`).
    pub fn optional_count(&self, key: &str) -> Option<usize> {
        match self.get(key) {
            Some(Value::Int(i)) => usize::try_from(*i).ok(),
            _ => None,
        }
    }

    /// The canonical form: one JSON object, keys sorted, no spaces.
    pub fn json(&self) -> String {
        let fields: Vec<String> = self.0.iter().map(|(k, v)| format!("{}:{}", serde_json::Value::from(k.as_str()), v.json())).collect();
        format!("{{{}}}", fields.join(","))
    }

    /// The configuration of a canonical form. Floats come back bit by bit: the text of each is the shortest one of its own.
    ///
    /// # Errors
    /// When the text is not what [`Config::json`] gives.
    pub fn from_json(text: &str) -> Result<Self, NotCanonical> {
        let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or(NotCanonical)?;
        let mut config = Config::default();
        let mut rest = inner;
        while !rest.is_empty() {
            let (key, after) = read_text(rest).ok_or(NotCanonical)?;
            let after = after.strip_prefix(':').ok_or(NotCanonical)?;
            let (value, after) = read_value(after).ok_or(NotCanonical)?;
            config.insert(key, value);
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        // A form has one text, so that whatever was read leniently above is found out here.
        if config.json() == text { Ok(config) } else { Err(NotCanonical) }
    }

    /// Identity of the arm: hash of the canonical form.
    pub fn arm_id(&self) -> String {
        short_hash(&self.json())
    }

    /// Identity of a run: hash of the canonical form and the seed. Nothing else enters: not the study, not the machine.
    pub fn run_id(&self, seed: u64) -> String {
        short_hash(&format!("{{\"config\":{},\"seed\":{seed}}}", self.json()))
    }
}

/// A JSON text at the start of `rest`, and what comes after it.
fn read_text(rest: &str) -> Option<(String, &str)> {
    let mut is_escaped = false;
    let is_end = |c: char| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    };
    let end = 1 + rest.strip_prefix('"')?.find(is_end)?;
    let (text, after) = rest.split_at(end + 1);
    Some((serde_json::from_str(text).ok()?, after))
}

/// A scalar in JSON at the start of `rest`, and what comes after it.
fn read_value(rest: &str) -> Option<(Value, &str)> {
    if rest.starts_with('"') {
        return read_text(rest).map(|(text, after)| (Value::Text(text.into()), after));
    }
    let (word, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
    let value = match word {
        "true" | "false" => Value::Bool(word == "true"),
        // Not by serde_json, whose floats may be off by a bit.
        _ if word.contains(['.', 'e']) => Value::Float(word.parse().ok().filter(|x: &f64| x.is_finite())?),
        _ => Value::Int(word.parse().ok()?),
    };
    Some((value, after))
}

/// The first 64 bits of SHA-256 as 16 hexadecimal digits: a collision among a million runs has probability 3e-8.
fn short_hash(text: &str) -> String {
    fingerprint(text.as_bytes())
}

/// The first 64 bits of SHA-256 as 16 hexadecimal digits, to tell whether something has changed.
pub fn fingerprint(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)[..8])
}

/// Lower-case hexadecimal digits, two per byte.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|d| char::from(DIGITS[usize::from(d)])).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_canonical_form_and_ids_do_not_change() {
        let mut c = Config::default();
        c.insert("optimizer", Value::Text("sgd".into()));
        c.insert("lr", Value::Float(0.1));
        c.insert("batch_size", Value::Int(64));
        assert_eq!(c.json(), r#"{"batch_size":64,"lr":0.1,"optimizer":"sgd"}"#);
        // printf '{"batch_size":64,"lr":0.1,"optimizer":"sgd"}' | sha256sum | head -c 16
        assert_eq!(c.arm_id(), ARM);
        assert_eq!(c.run_id(3), RUN);
    }
    const ARM: &str = "f201f2c0db375994";
    const RUN: &str = "56ccd4e6571e54a7";

    #[test]
    fn only_canonical_forms_are_read() {
        let wrong = [
            "",
            "{",
            "{}}",
            r#"{"a":1,}"#,
            r#"{"b":1,"a":1}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a": 1}"#,
            r#"{"a":1.50}"#,
            r#"{"a":01}"#,
            r#"{"a":nan}"#,
            r#"{"a":1e999}"#,
            r#"{"a":null}"#,
            r#"{"a":[1]}"#,
            r#"{"a":"b}"#,
            r#"{"a"}"#,
            r#"{"a":9223372036854775808}"#,
            r#"{"a":1 }"#,
        ];
        for text in wrong {
            assert_eq!(Config::from_json(text), Err(NotCanonical), "{text}");
        }
        assert_eq!(Config::from_json("{}"), Ok(Config::default()));
    }

    fn value() -> impl Strategy<Value = Value> {
        let float = prop_oneof![proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO, -10.0..10.0];
        prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            float.prop_map(Value::Float),
            any::<String>().prop_map(|text| Value::Text(text.into())),
        ]
    }

    proptest! {
        #[test]
        fn the_canonical_form_reads_back(fields in prop::collection::btree_map(any::<String>(), value(), 0..8), seed: u64) {
            let config = Config(fields);
            let back = Config::from_json(&config.json()).unwrap();
            let bits = |config: &Config| config.0.values().map(|v| v.number().map(f64::to_bits)).collect::<Vec<_>>();
            prop_assert_eq!(&back, &config);
            prop_assert_eq!(bits(&back), bits(&config));
            prop_assert_eq!(back.run_id(seed), config.run_id(seed));
        }

        #[test]
        fn texts_that_are_no_forms_do_no_harm(text in r#"\{("[a-c\\"]{0,3}":?[0-9.e"\\tru,-]{0,6},?){0,3}\}?"#) {
            if let Ok(config) = Config::from_json(&text) {
                prop_assert_eq!(config.json(), text);
            }
        }
    }
}
