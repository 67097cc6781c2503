//! A scalar of a configuration. Used by grid files, canonical forms and labels.

use std::borrow::Cow;
use std::fmt;

/// One configuration value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Bool(bool),
    Int(i64),
    /// Always finite: grid files reject `nan` and `inf`.
    Float(f64),
    Text(Cow<'static, str>),
}

impl Value {
    /// Canonical JSON: the shortest text that reads back as the same value.
    pub fn json(&self) -> String {
        match self {
            Value::Bool(b) => b.to_string(),
            Value::Int(i) => i.to_string(),
            Value::Float(x) => serde_json::Value::from(*x).to_string(),
            Value::Text(s) => serde_json::Value::from(s.as_ref()).to_string(),
        }
    }

    /// The number behind an integer or a float; `None` for other kinds.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Int(i) => Some(*i as f64),
            Value::Float(x) => Some(*x),
            _ => None,
        }
    }
}

/// For people: `0.003`, `1e-8`, `64`, `full`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(b) => write!(f, "{b}"),
            Value::Int(i) => write!(f, "{i}"),
            Value::Float(x) if *x == 0.0 || (1e-4..1e6).contains(&x.abs()) => write!(f, "{x}"),
            Value::Float(x) => write!(f, "{x:e}"),
            Value::Text(s) => f.write_str(s),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn floats_read_well() {
        for (x, text) in [(0.1, "0.1"), (1e-8, "1e-8"), (10.0, "10"), (0.000_316_228, "0.000316228"), (0.0, "0")] {
            assert_eq!(Value::Float(x).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn canonical_json_reads_back_to_the_same_bits(x in proptest::num::f64::NORMAL) {
            let back: f64 = Value::Float(x).json().parse().unwrap();
            prop_assert_eq!(back.to_bits(), x.to_bits());
        }
    }
}
