//! The findings on the study's targets: which arm reached each first, and how many never did.
//! Called after the findings on runs that learned nothing.

use std::fmt::Write as _;

use super::strong;
use crate::Analysis;
use crate::number::{Format, count, listed};
use crate::targets::{Target, Time};

/// More tied arms than this are counted, not named.
const NAMED: usize = 4;

pub(super) fn findings(a: &Analysis<'_>) -> Vec<String> {
    a.targets.iter().filter_map(|target| finding(a, target)).collect()
}

fn finding(a: &Analysis<'_>, target: &Target) -> Option<String> {
    // An arm that lacks runs may still become slower.
    let whole = a.arms.iter().zip(&target.times).enumerate().filter(|(_, (arm, time))| time.n > 0 && time.n == arm.runs.len());
    let timed: Vec<(usize, &Time)> = whole.map(|(i, (_, time))| (i, time)).collect();
    let name = format!("`{}` {}", target.metric, target.bound());
    let (steps, first) = fastest(&timed, |time| time.median_steps)?;
    let with_result = target.times.iter().filter(|time| time.n > 0).count();
    let never = target.times.iter().filter(|time| time.n > 0 && time.reached == 0).count();
    if never == with_result {
        return Some(format!("No run reached {name}."));
    }
    let mut text = match first.as_slice() {
        [(arm, time), tied @ ..] if steps.is_finite() => {
            let epoch = time.epochs.map(|epochs| format!(" (epoch {})", Format::Plain.text(epochs))).unwrap_or_default();
            let unit = if steps.total_cmp(&1.0).is_eq() { "step" } else { "steps" };
            let mut text = format!(
                "First to reach {name}: {} after a median of {} {unit}{epoch}, with {} of {} runs reaching it{}.",
                strong(a, *arm),
                Format::Plain.text(steps),
                time.reached,
                time.n,
                tied_with(a, tied)
            );
            // Where batches differ in size, the fewest steps need not be the fewest examples.
            if let Some((epochs, [(arm, _), tied @ ..])) = fastest(&timed, |time| time.epochs).as_ref().map(|(x, arms)| (*x, &arms[..]))
                && time.epochs.is_some_and(|of_first| epochs < of_first)
            {
                let _ = write!(
                    text,
                    " In epochs, the first is {} (epoch {}){}.",
                    strong(a, *arm),
                    Format::Plain.text(epochs),
                    tied_with(a, tied)
                );
            }
            text
        }
        _ => format!("No arm whose runs all have a result reached {name} in more than half of them."),
    };
    if never > 0 {
        let _ = write!(text, " {never} of {} never reached it in any run.", count(with_result, "arm"));
    }
    Some(text)
}

/// The least time and the arms that took it, in the order of the grid.
fn fastest<'t>(timed: &[(usize, &'t Time)], of: impl Fn(&Time) -> Option<f64>) -> Option<(f64, Vec<(usize, &'t Time)>)> {
    let least = timed.iter().filter_map(|(_, time)| of(time)).min_by(f64::total_cmp)?;
    Some((least, timed.iter().copied().filter(|(_, time)| of(time).is_some_and(|x| x.total_cmp(&least).is_eq())).collect()))
}

/// `; tied with a, b and 3 more`.
fn tied_with(a: &Analysis<'_>, tied: &[(usize, &Time)]) -> String {
    let mut names: Vec<String> = tied.iter().take(NAMED).map(|(i, _)| strong(a, *i)).collect();
    if tied.len() > NAMED {
        names.push(format!("{} more", tied.len() - NAMED));
    }
    if names.is_empty() { String::new() } else { format!("; tied with {}", listed(&names)) }
}
