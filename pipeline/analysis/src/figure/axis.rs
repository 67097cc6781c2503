//! Axes: scales, the mapping from data to pixels, tick positions and tick labels.
//! Called by every kind of figure; it knows nothing of panels, series or SVG elements.

use std::f64::consts::SQRT_2;

use super::svg::real;

/// Pixel coordinates are held within this, so that a loss of 1e30 stays a short number; it is far
/// enough outside any panel for the visible part of a line to keep its direction.
const FAR: f64 = 20_000.0;
/// Larger magnitudes count as this, so that differences of data values do not overflow.
const HUGE: f64 = 1e300;

/// How values are spaced along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// Equal differences are equally far apart.
    #[default]
    Linear,
    /// Equal ratios are equally far apart; zero and negative values have no place and are skipped.
    Log,
}

impl Scale {
    /// The value in units of the scale; `None` where it has no place on it.
    pub(super) fn forward(self, value: f64) -> Option<f64> {
        match self {
            Self::Linear => value.is_finite().then(|| value.clamp(-HUGE, HUGE)),
            Self::Log => (value.is_finite() && value > 0.0).then(|| value.log10()),
        }
    }

    pub(super) fn backward(self, position: f64) -> f64 {
        match self {
            Self::Linear => position,
            Self::Log => 10f64.powf(position),
        }
    }
}

/// What an axis shows and how.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Axis {
    /// Name of the quantity, with its unit if it has one.
    pub label: String,
    /// Spacing of the values.
    pub scale: Scale,
    /// Fixed limits. Without them the axis covers all data; with them what lies outside is cut off,
    /// and single points outside become triangles at the edge.
    pub clip: Option<(f64, f64)>,
    /// Whether only whole numbers are ticks; of linear axes only.
    pub integer: bool,
}

impl Axis {
    /// A linear axis that covers all data.
    #[must_use]
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Linear, clip: None, integer: false }
    }

    /// A logarithmic axis that covers all positive data.
    #[must_use]
    pub fn log(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Log, clip: None, integer: false }
    }

    /// The same axis with ticks at whole numbers only, for what is counted.
    #[must_use]
    pub fn integers(mut self) -> Self {
        self.integer = true;
        self
    }

    /// The same axis with fixed limits (see [`super::robust_limits`]).
    #[must_use]
    pub fn clipped(mut self, limits: (f64, f64)) -> Self {
        self.clip = Some(limits);
        self
    }
}

/// An axis laid along pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mapping {
    scale: Scale,
    /// Limits in units of the scale.
    low: f64,
    high: f64,
    /// The pixels they lie at.
    from: f64,
    to: f64,
    /// The least distance of ticks on a linear scale.
    least: f64,
}

impl Mapping {
    /// `limits` in data units must be placeable on `scale` and in ascending order.
    pub(super) fn new(scale: Scale, limits: (f64, f64), (from, to): (f64, f64)) -> Self {
        let low = scale.forward(limits.0).unwrap_or(0.0);
        let high = scale.forward(limits.1).filter(|high| *high > low).unwrap_or(low + 1.0);
        Self { scale, low, high, from, to, least: 0.0 }
    }

    /// An axis laid from one pixel to another, with limits as in [`Mapping::new`].
    pub(super) fn of(axis: &Axis, limits: (f64, f64), pixels: (f64, f64)) -> Self {
        Self { least: if axis.integer { 1.0 } else { 0.0 }, ..Self::new(axis.scale, limits, pixels) }
    }

    /// Pixel of a value; `None` where the scale has no place for it.
    pub(super) fn at(&self, value: f64) -> Option<f64> {
        let position = self.scale.forward(value)?;
        let pixel = self.from + (position - self.low) / (self.high - self.low) * (self.to - self.from);
        Some(pixel.clamp(-FAR, FAR))
    }

    /// Pixel of a value held within the limits, and on which side it had to be held: -1, 0 or 1.
    pub(super) fn held(&self, value: f64) -> Option<(f64, i8)> {
        let position = self.scale.forward(value)?;
        let slack = (self.high - self.low) * 1e-9;
        Some(if position < self.low - slack {
            (self.from, -1)
        } else if position > self.high + slack {
            (self.to, 1)
        } else {
            (self.at(value)?.clamp(self.from.min(self.to), self.from.max(self.to)), 0)
        })
    }

    pub(super) fn scale(&self) -> Scale {
        self.scale
    }

    /// Round values within the limits: about `target` labelled ones, and unlabelled ones between.
    pub(super) fn ticks(&self, target: usize) -> Ticks {
        match self.scale {
            Scale::Linear => linear(self.low, self.high, target, self.least),
            Scale::Log => logarithmic(self.low, self.high, target),
        }
    }
}

/// Tick positions in data units.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Ticks {
    pub major: Vec<(f64, String)>,
    pub minor: Vec<f64>,
}

/// Multiples of 1, 2 or 5 times a power of ten, at least `least` apart.
fn linear(low: f64, high: f64, target: usize, least: f64) -> Ticks {
    /// Mantissas with the fractions that they are the nearest for, by ratio: up to √2, √10 and √50.
    const NEAREST: [(f64, f64); 3] = [(SQRT_2, 1.0), (3.162, 2.0), (5.0 * SQRT_2, 5.0)];
    let raw = ((high - low) / real(target.max(1))).max(least);
    let mut exponent = whole(raw.log10().floor());
    let fraction = raw / 10f64.powi(exponent);
    let mantissa = NEAREST.into_iter().find(|(below, _)| fraction < *below).map(|(_, mantissa)| mantissa);
    let mantissa = mantissa.unwrap_or_else(|| {
        exponent += 1;
        1.0
    });
    let step = power(mantissa, exponent);
    let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
    let largest = low.abs().max(high.abs());
    let mut major = Vec::new();
    let mut k = first;
    // At most √2 · target + 1 multiples fit; the bound guards against a step lost in rounding.
    while k <= last && major.len() <= 2 * target + 1 {
        let value = power(k * mantissa, exponent);
        major.push((value, tick_label(value, exponent, largest)));
        k += 1.0;
    }
    Ticks { major, minor: Vec::new() }
}

/// Decades; 1-2-5 in each where there is room for it; linear ticks where even those are too few.
fn logarithmic(low: f64, high: f64, target: usize) -> Ticks {
    let (first, last) = (whole((low - 1e-9).ceil()), whole((high + 1e-9).floor()));
    let inside = |value: f64| {
        let position = value.log10();
        position > low - 1e-9 && position < high + 1e-9
    };
    let digits = |wanted: &[u8]| -> Vec<(u8, i32)> {
        (first - 1..=last)
            .flat_map(|decade| wanted.iter().map(move |digit| (*digit, decade)))
            .filter(|(digit, decade)| inside(power(f64::from(*digit), *decade)))
            .collect()
    };
    let value = |(digit, decade): (u8, i32)| power(f64::from(digit), decade);

    let round = digits(&[1, 2, 5]);
    if last > first && round.len() > target {
        let decades = usize::try_from(last - first + 1).unwrap_or(1);
        let stride = i32::try_from(decades.div_ceil(target.max(1))).unwrap_or(1).max(1);
        let labelled: Vec<i32> = (first..=last).filter(|decade| decade.rem_euclid(stride) == 0).collect();
        let short = labelled.iter().all(|decade| (-3..=3).contains(decade));
        let label = |decade: i32| {
            if short { plain(1, decade) } else { format!("10{}", superscript(decade)) }
        };
        let major = labelled.iter().map(|decade| (power(1.0, *decade), label(*decade))).collect();
        let minor = if stride > 1 {
            (first..=last).filter(|decade| decade.rem_euclid(stride) != 0).map(|decade| power(1.0, decade)).collect()
        } else {
            digits(&[2, 3, 4, 5, 6, 7, 8, 9]).into_iter().map(value).collect()
        };
        return Ticks { major, minor };
    }
    if round.len() < 2 {
        let (low, high) = (10f64.powf(low), 10f64.powf(high));
        return linear(low, high, target.min(4), 0.0);
    }
    let short = round.iter().all(|(_, decade)| (-4..=4).contains(decade));
    let label = |(digit, decade): (u8, i32)| match digit {
        _ if short => plain(digit, decade),
        1 => format!("10{}", superscript(decade)),
        _ => format!("{digit}×10{}", superscript(decade)),
    };
    let major = round.into_iter().map(|tick| (value(tick), label(tick))).collect();
    Ticks { major, minor: digits(&[3, 4, 6, 7, 8, 9]).into_iter().map(value).collect() }
}

/// `mantissa` · 10^`exponent`; dividing by a whole power keeps decimal fractions at their nearest value.
fn power(mantissa: f64, exponent: i32) -> f64 {
    if exponent < 0 { mantissa / 10f64.powi(-exponent) } else { mantissa * 10f64.powi(exponent) }
}

/// `digit` · 10^`decade` written out.
fn plain(digit: u8, decade: i32) -> String {
    let zeros = "0".repeat(usize::try_from(decade.abs()).unwrap_or(0));
    match zeros.strip_suffix('0') {
        Some(rest) if decade < 0 => format!("0.{rest}{digit}"),
        _ => format!("{digit}{zeros}"),
    }
}

/// Label of one tick of a linear axis whose step has this decimal `exponent`; all labels of an axis
/// get the same unit (none, k, M or a power of ten) and number of decimals.
fn tick_label(value: f64, exponent: i32, largest: f64) -> String {
    let text = if value.abs() < 1e-12 * largest {
        return "0".to_owned();
    } else if !(1e-3..1e9).contains(&largest) {
        let order = whole(largest.log10().floor());
        format!("{:.*}×10{}", decimals(order - exponent), power(value, -order), superscript(order))
    } else if largest >= 1e6 && exponent >= 4 {
        format!("{:.*}M", decimals(6 - exponent), value / 1e6)
    } else if largest >= 1e4 && exponent >= 2 {
        format!("{:.*}k", decimals(3 - exponent), value / 1e3)
    } else {
        format!("{:.*}", decimals(-exponent), value)
    };
    text.replace('-', "−")
}

/// A value in a few significant digits, for labels at data values rather than at round ones.
pub(super) fn short(value: f64) -> String {
    let order = if value.abs() > 0.0 { whole(value.abs().log10().floor()) } else { 0 };
    if !(-5..=6).contains(&order) {
        return format!("{value:.2e}").replace('-', "−");
    }
    let text = format!("{:.*}", decimals(2 - order), value);
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    text.replace('-', "−")
}

fn decimals(digits: i32) -> usize {
    usize::try_from(digits.clamp(0, 12)).unwrap_or(0)
}

fn superscript(exponent: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let raised = |c: char| c.to_digit(10).and_then(|d| usize::try_from(d).ok()).map_or('⁻', |d| DIGITS[d]);
    exponent.to_string().chars().map(raised).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "decimal exponents of finite numbers lie within ±330")]
fn whole(value: f64) -> i32 {
    value as i32
}

#[cfg(test)]
#[path = "axis_tests.rs"]
mod tests;
