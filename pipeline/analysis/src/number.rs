//! Numbers as people read them.
//! Called by tables, figures and pages; it knows nothing of what is counted or measured.

use spec::{Metric, Quantity};

/// How many digits a quantity deserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// All digits that the number has.
    Plain,
    /// Digits after the point.
    Decimals(usize),
    /// Digits from the first that is not zero.
    Significant(usize),
}

impl Format {
    /// Four decimals for an accuracy (one example in 10 000), four digits for a loss.
    #[must_use]
    pub fn of(metric: Metric) -> Self {
        match metric.quantity {
            Quantity::Accuracy => Format::Decimals(4),
            Quantity::Loss => Format::Significant(4),
        }
    }

    /// The number as text; `–` if it is not finite.
    #[must_use]
    pub fn text(self, value: f64) -> String {
        if !value.is_finite() {
            return "–".into();
        }
        match self {
            Format::Plain if value == 0.0 || (1e-4..1e6).contains(&value.abs()) => value.to_string(),
            Format::Plain => format!("{value:e}"),
            Format::Decimals(digits) => format!("{value:.digits$}"),
            Format::Significant(digits) => significant(value, digits),
        }
    }
}

impl Format {
    /// `mean ± deviation`, both to the digits that the mean has after the point.
    #[must_use]
    pub fn with_deviation(self, mean: f64, deviation: f64) -> String {
        let text = self.text(mean);
        match text.split_once('.') {
            Some((_, digits)) if !text.contains('e') => {
                format!("{text} ± {deviation:.*}", digits.len())
            }
            _ => format!("{text} ± {}", self.text(deviation)),
        }
    }
}

fn significant(value: f64, digits: usize) -> String {
    // Through the exponent of the rounded number, so that 9.9996 becomes 10.00 and not 10.000.
    let scientific = format!("{value:.*e}", digits.saturating_sub(1));
    let exponent: i32 = scientific.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    if value != 0.0 && !(-4..6).contains(&exponent) {
        return scientific;
    }
    let places = i32::try_from(digits).unwrap_or(1) - 1 - exponent;
    format!("{value:.*}", usize::try_from(places).unwrap_or(0))
}

/// A count as a number.
#[expect(clippy::cast_precision_loss, reason = "nothing counted here comes near 2^53")]
pub(crate) fn real(n: u64) -> f64 {
    n as f64
}

/// `1 run`, `3 runs`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `12 345 678`.
pub(crate) fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let four = |x| Format::Significant(4).text(x);
        assert_eq!(
            [four(0.0), four(0.123_456), four(9.9996), four(2.302_4), four(123_456.0)],
            ["0.000", "0.1235", "10.00", "2.302", "123456"]
        );
        assert_eq!([four(1.5e-7), four(1e9), four(f64::NAN), four(-0.5)], ["1.500e-7", "1.000e9", "–", "-0.5000"]);
        assert_eq!([Format::Plain.text(0.1), Format::Plain.text(1e-8), Format::Plain.text(10.0)], ["0.1", "1e-8", "10"]);
        assert_eq!(
            (thousands(7), thousands(1_234_567), count(1, "run"), count(0, "run")),
            ("7".into(), "1 234 567".into(), "1 run".into(), "0 runs".into())
        );
    }
}
