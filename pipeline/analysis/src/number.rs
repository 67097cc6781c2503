//! Numbers as people read them.
//! Called by tables, figures and pages; it knows nothing of what is counted or measured.

use spec::{Metric, Quantity};

use crate::stats::Interval;

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

    /// The number as text; `–` if there is none.
    #[must_use]
    pub fn text(self, value: f64) -> String {
        if value.is_nan() {
            return "–".into();
        }
        if value.is_infinite() {
            return if value > 0.0 { "∞".into() } else { "−∞".into() };
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
    /// `mean ± deviation`, to the second digit of the deviation: more would be noise.
    #[must_use]
    pub fn with_deviation(self, mean: f64, deviation: f64) -> String {
        match self.decimals(mean, deviation) {
            Some(digits) => format!("{mean:.digits$} ± {deviation:.digits$}"),
            None => format!("{} ± {}", self.text(mean), Format::Significant(2).text(deviation)),
        }
    }

    /// `value [low, high]`, to the second digit of half the interval's width; a weak interval has an asterisk.
    #[must_use]
    pub fn with_interval(self, value: f64, Interval { low, high, weak }: Interval) -> String {
        let mark = if weak { "*" } else { "" };
        match self.decimals(value, (high - low) / 2.0) {
            Some(digits) => format!("{value:.digits$} [{low:.digits$}, {high:.digits$}]{mark}"),
            None => format!("{} [{}, {}]{mark}", self.text(value), self.text(low), self.text(high)),
        }
    }

    /// Digits after the point that a value with this uncertainty deserves, at most those of the format; `None` where it has none
    /// (no uncertainty), or is written with an exponent.
    fn decimals(self, value: f64, uncertainty: f64) -> Option<usize> {
        let text = self.text(value);
        if text.contains('e') || !(uncertainty.is_finite() && uncertainty > 0.0) {
            return None;
        }
        let most = text.split_once('.').map_or(0, |(_, digits)| digits.len());
        #[expect(clippy::cast_possible_truncation, reason = "an exponent of ten")]
        let second = 1 - uncertainty.log10().floor() as i64;
        // An uncertainty beyond the last digit that a metric has leaves all its digits.
        Some(usize::try_from(second).unwrap_or(0).min(most.max(usize::from(self == Format::Plain) * 4)))
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
        assert_eq!(Format::Decimals(4).with_deviation(0.82345, 0.01234), "0.823 ± 0.012");
        assert_eq!(Format::Significant(4).with_deviation(2.0, 0.0), "2.000 ± 0.0");
        let interval = |low, high, weak| Interval { low, high, weak };
        assert_eq!(Format::Decimals(4).with_interval(0.8321, interval(0.8299, 0.8349, false)), "0.8321 [0.8299, 0.8349]");
        assert_eq!(Format::Decimals(4).with_interval(0.8321, interval(0.79, 0.87, true)), "0.832 [0.790, 0.870]*");
        assert_eq!(
            (thousands(7), thousands(1_234_567), count(1, "run"), count(0, "run")),
            ("7".into(), "1 234 567".into(), "1 run".into(), "0 runs".into())
        );
    }
}
