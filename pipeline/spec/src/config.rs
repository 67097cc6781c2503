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

    /// Identity of the arm: hash of the canonical form.
    pub fn arm_id(&self) -> String {
        short_hash(&self.json())
    }

    /// Identity of a run: hash of the canonical form and the seed. Nothing else enters: not the study, not the machine.
    pub fn run_id(&self, seed: u64) -> String {
        short_hash(&format!("{{\"config\":{},\"seed\":{seed}}}", self.json()))
    }
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
}
