//! What a learning-rate range test says: a training in which the rate rises step by step until the loss explodes (Smith 2017,
//! *Cyclical learning rates for training neural networks*, section 3.3).

use crate::figure::{Axis, Figure, Panel, Place, Series, categorical, robust_limits};
use crate::figure::{Legend, Scale};

/// Share of the smoothed loss that a step keeps; the mean is over about ten steps.
const KEPT: f64 = 0.9;
/// The test is over where the smoothed loss is this many times its least value.
const EXPLODED: f64 = 4.0;
/// Steps at the start in which the smoothed loss is still an average over few.
const SETTLING: usize = 10;

/// Rates to start a search from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suggestion {
    /// Where the smoothed loss falls fastest along the logarithm of the rate.
    pub steepest: f64,
    /// A tenth of the rate at which the smoothed loss is least: about the most that stays stable.
    pub tenth_of_least: f64,
    /// The rate at which the loss exploded, if it did.
    pub exploded: Option<f64>,
}

/// Exponentially smoothed losses, corrected for the start (as Adam's moments are).
#[must_use]
pub fn smoothed(losses: &[f64]) -> Vec<f64> {
    let (mut mean, mut weight) = (0.0, 1.0);
    let smooth = |loss: &f64| {
        mean = KEPT * mean + (1.0 - KEPT) * loss;
        weight *= KEPT;
        mean / (1.0 - weight)
    };
    losses.iter().map(smooth).collect()
}

/// The suggestion from the rates and training losses of a range test; `None` if the loss never falls, or there are too few steps.
#[must_use]
pub fn suggest(rates: &[f64], losses: &[f64]) -> Option<Suggestion> {
    let smooth = smoothed(losses);
    let mut least = f64::INFINITY;
    let end = smooth.iter().position(|loss| {
        least = least.min(*loss);
        !loss.is_finite() || *loss > EXPLODED * least
    });
    let exploded = end.map(|i| rates[i]);
    let smooth = &smooth[..end.unwrap_or(smooth.len())];
    let lowest = (0..smooth.len()).min_by(|a, b| smooth[*a].total_cmp(&smooth[*b]))?;
    // The slope over a few steps: the loss of a single one is too noisy.
    let reach = (smooth.len() / 20).max(2);
    let slope = |i: usize| (smooth[i + reach] - smooth[i - reach]) / (rates[i + reach].ln() - rates[i - reach].ln());
    let candidates = SETTLING.max(reach)..(lowest + 1).min(smooth.len().saturating_sub(reach));
    let steepest = candidates.min_by(|a, b| slope(*a).total_cmp(&slope(*b))).filter(|i| slope(*i) < 0.0)?;
    Some(Suggestion { steepest: rates[steepest], tenth_of_least: rates[lowest] / 10.0, exploded })
}

/// The test as a figure: loss against rate, with the suggestion marked.
#[must_use]
pub fn figure(title: &str, rates: &[f64], losses: &[f64], suggestion: Option<Suggestion>) -> String {
    let smooth = smoothed(losses);
    let line = |values: &[f64]| rates.iter().copied().zip(values.iter().copied()).filter(|(_, y)| y.is_finite()).collect::<Vec<_>>();
    let (raw, dash) = categorical(1);
    let (colour, _) = categorical(0);
    let mut of_steps = Series::line("each step", raw, line(losses));
    of_steps.dash = dash;
    let mut smoothed = Series::line("smoothed", colour, line(&smooth));
    if let Some(suggestion) = suggestion {
        let marked = rates.iter().position(|rate| *rate >= suggestion.steepest).map(|i| (rates[i], smooth[i]));
        smoothed.marks.extend(marked);
    }
    let y = Axis::log("training loss (nats)");
    let figure = Figure {
        title: title.to_owned(),
        subtitle: suggestion.map(|s| format!("Dot: where the smoothed loss falls fastest, a rate of {:.2e}.", s.steepest)),
        x: Axis::log("learning rate"),
        y: match robust_limits(smooth, Scale::Log) {
            Some(limits) => y.clipped(limits),
            None => y,
        },
        panels: vec![Panel { title: None, series: vec![of_steps, smoothed], ..Panel::default() }],
        legend: Legend::Categorical { place: Place::Below },
    };
    figure.svg()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loss that falls along a logistic curve around 10^-2.5 and explodes above 1.
    fn test(steps: u32) -> (Vec<f64>, Vec<f64>) {
        let rates: Vec<f64> = (0..steps).map(|i| 10f64.powf(-6.0 + 7.0 * f64::from(i) / f64::from(steps - 1))).collect();
        let loss =
            |rate: &f64| 2.3 - 2.0 / (1.0 + (-4.0 * (rate.log10() + 2.5)).exp()) + if *rate > 1.0 { 100.0 * (rate - 1.0) } else { 0.0 };
        let losses = rates.iter().map(loss).collect();
        (rates, losses)
    }

    #[test]
    fn the_suggestion_is_where_the_curve_falls_fastest() {
        let (rates, losses) = test(400);
        let s = suggest(&rates, &losses).unwrap();
        // Smoothing over ten steps of 7/400 decades moves it right by about 0.16 decades.
        assert!((s.steepest.log10() + 2.5 - 0.16).abs() < 0.1, "{s:?}");
        assert!(s.tenth_of_least < 0.11 && s.tenth_of_least > 0.01, "{s:?}");
        assert!(s.exploded.is_some_and(|rate| rate > 1.0 && rate < 1.5), "{s:?}");
    }

    #[test]
    fn a_loss_that_never_falls_or_breaks_at_once_suggests_nothing() {
        let (rates, _) = test(100);
        let rising: Vec<f64> = (0..100).map(f64::from).map(|i| 2.0 + i / 100.0).collect();
        assert_eq!(suggest(&rates, &rising), None);
        assert_eq!(suggest(&rates, &[f64::NAN; 100]), None);
        assert_eq!(suggest(&[], &[]), None);
        assert!(figure("t", &rates, &rising, None).starts_with("<svg"));
    }

    #[test]
    fn smoothing_starts_at_the_first_loss() {
        assert!(smoothed(&[3.0, 3.0, 3.0]).iter().all(|s| (s - 3.0).abs() < 1e-12));
    }
}
