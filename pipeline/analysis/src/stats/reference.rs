//! The reference values in `tests/reference/stats.json`, which `stats.py` beside it wrote.
//! Called by tests alone.

use serde_json::Value;

const VALUES: &str = include_str!("../../tests/reference/stats.json");

/// The cases of one group; there is at least one.
pub(super) fn cases(group: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(VALUES).unwrap();
    all[group].as_array().filter(|cases| !cases.is_empty()).expect(group).clone()
}

/// A number; JSON has no infinity, so it is written as text.
pub(super) fn number(value: &Value) -> f64 {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{value} is no number"))
}

pub(super) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

/// Equal to a relative `tolerance`, or an absolute one below 1; infinities are equal to themselves.
pub(super) fn near(found: f64, expected: f64, tolerance: f64) {
    let same = found.total_cmp(&expected).is_eq() || (found - expected).abs() <= tolerance * expected.abs().max(1.0);
    assert!(same, "{found} instead of {expected}");
}
