//! The rules, one function each: `None`, or the figures that fired.
//! Called by [`diagnose`](super::diagnose), which documents their order.

use super::shape::{Rise, Swings, roughness};
use super::view::{View, course};
use super::{Condition, Curve, Thresholds};
use crate::number::Format;

type Rule = fn(&View<'_>, &Thresholds) -> Option<String>;

/// In order of precedence.
const RULES: [(Condition, Rule); 10] = [
    (Condition::TooSlow, creeps),
    (Condition::PlateauedHigh, stuck),
    (Condition::Overfitting, overfits),
    (Condition::Oscillating, swinging),
    (Condition::Oscillating, swinging_evaluations),
    (Condition::Oscillating, rough_evaluations),
    (Condition::Oscillating, rebounds),
    (Condition::TooSlow, still_falling),
    (Condition::PlateauedHigh, high),
    (Condition::TooSlow, short),
];
/// A loss that creeps near that of guessing must have gained this part of it.
const LEAST_CREEP: f64 = 0.01;
/// Evaluations that it takes to call them rough.
const FEW: usize = 5;
/// With fewer evaluations, one that swings may still end at its best because it descends; with more, hardly.
const MANY: usize = 9;
/// How much faster the loss falls in the last two fifths than in the last one, if it falls exponentially to a few percent.
const LEVELLING: f64 = 1.3;

pub(super) fn first(curve: &Curve<'_>, t: &Thresholds) -> (Condition, String) {
    if let Some(evidence) = diverged(curve) {
        return (Condition::Diverged, evidence);
    }
    let Some(view) = View::of(curve) else {
        return (Condition::Healthy, "nothing to judge by: no loss above 0 to compare with".into());
    };
    let fired = RULES.into_iter().find_map(|(condition, rule)| Some((condition, rule(&view, t)?)));
    fired.unwrap_or_else(|| (Condition::Healthy, healthy(&view)))
}

fn diverged(curve: &Curve<'_>) -> Option<String> {
    if let Some(divergence) = &curve.diverged {
        return Some(format!("at step {}: {}", divergence.step, divergence.reason));
    }
    if let Some(bin) = curve.losses.iter().position(|loss| !loss.is_finite()) {
        return Some(format!("the training loss is not finite in part {} of {} of the steps", bin + 1, curve.losses.len()));
    }
    let bad = curve.train.iter().chain(curve.validation).filter(|(_, loss)| !loss.is_finite()).map(|(epoch, _)| *epoch).min()?;
    Some(format!("the loss after epoch {bad} is not finite"))
}

/// A rate that is far too low: the loss has not come away from that of guessing, or is still above, but goes down steadily.
fn creeps(view: &View<'_>, t: &Thresholds) -> Option<String> {
    let fifths = view.fifths?;
    let start = view.evaluations().first().map_or(f64::INFINITY, |(_, loss)| *loss).min(*view.curve.losses.first()?);
    // What has blown up comes down as well, but did not creep.
    let blew_up = fifths.iter().any(|level| *level > 1.05 * start);
    let near = fifths[4] > view.guess * (1.0 - 2.0 * t.least_gain) && fifths[4] < start;
    (near && !blew_up).then(|| falling(view, t, start, "its start", LEAST_CREEP))?
}

fn stuck(view: &View<'_>, t: &Thresholds) -> Option<String> {
    let lowest = view.fifths?.into_iter().fold(f64::INFINITY, f64::min);
    let mut evaluated: Vec<f64> = view.evaluations().iter().skip(1).map(|(_, loss)| *loss).collect();
    evaluated.sort_by(f64::total_cmp);
    // Not the lowest of all, which may be luck.
    let (what, best) = match evaluated.get(evaluated.len() / 4) {
        Some(quarter) => ("the lower quartile of its evaluations", *quarter),
        None => ("its best fifth", lowest + t.noise_deviations * view.of_fifth(lowest)),
    };
    let gain = 1.0 - best / view.guess;
    let learned = view.learned();
    (gain < t.least_gain && learned.is_none_or(|learned| learned < t.learned)).then(|| {
        let accuracy = learned.map_or(String::new(), |learned| {
            format!(", and the accuracy has gone {} of the way from chance to 1 (rule < {})", percent(learned.max(0.0)), percent(t.learned))
        });
        let (place, than) = (relation(-gain), view.guess_name);
        format!(
            "the loss, {} in {what}, lies {place} {than}, {} (rule < {} below){accuracy}",
            loss(best),
            loss(view.guess),
            percent(t.least_gain)
        )
    })
}

fn swinging(view: &View<'_>, t: &Thresholds) -> Option<String> {
    let Swings { count, largest } = Swings::of(&view.waves(), |deviation| t.swing.ln_1p().max(t.swing_deviations * deviation));
    (count as f64 >= t.swings).then(|| {
        let (trough, peak, swing) = (loss(view.loss(largest.0)), loss(view.loss(largest.1)), percent(t.swing));
        let rule = format!("rule: {} times by more than {swing} and {} deviations of its noise", t.swings, t.swing_deviations);
        format!("the training loss rose {count} times, once from {trough} to {peak} ({rule})")
    })
}

fn overfits(view: &View<'_>, t: &Thresholds) -> Option<String> {
    // Without evaluations of the training split it takes a validation loss that does not swing to say that training goes well.
    if view.train.is_empty() && (swinging_evaluations(view, t).is_some() || rough_evaluations(view, t).is_some()) {
        return None;
    }
    let Rise { epoch, best, end } = Rise::of(&view.validation)?;
    let (rise, last) = (end / best - 1.0, view.validation.last()?.0);
    let (slope, deviation) = course(&view.validation).slope(epoch as f64 / last as f64)?;
    // Where the training loss rises with it, or has not come below that of guessing, the weights went astray.
    let training = view.training_since(epoch, last);
    let astray = training.is_some_and(|(then, now)| view.rise(then, now) > rise / 2.0 || now > view.guess * (1.0 - t.least_gain));
    // A rise of this size that also outlasts a single bad evaluation needs less than the usual certainty.
    (rise > t.validation_rise && !astray && slope > deviation * t.noise_deviations / 2.0).then(|| {
        let (end, best, rise, rule) = (loss(end), loss(best), percent(rise), percent(t.validation_rise));
        let training = training.map_or(String::new(), |(then, now)| {
            let now = view.train.last().map_or(now, |(_, last)| *last);
            format!(", while the training loss went from {} to {}", loss(then), loss(now))
        });
        format!("since epoch {epoch}: the validation loss ends at {end}, {rise} above its best, {best} (rule > {rule}){training}")
    })
}

/// The evaluations on a logarithmic scale.
fn evaluated(view: &View<'_>) -> Vec<f64> {
    view.evaluations().iter().map(|(_, loss)| view.logarithm(*loss)).collect()
}

/// A few evaluations that go up and down and yet end at their best are those of a noisy run that descends.
fn descends(losses: &[f64]) -> bool {
    let lowest = losses.iter().copied().fold(f64::INFINITY, f64::min);
    losses.len() < MANY && losses.last().is_none_or(|last| *last < lowest + 0.05)
}

fn swinging_evaluations(view: &View<'_>, t: &Thresholds) -> Option<String> {
    let losses = evaluated(view);
    let Swings { count, largest } = Swings::of(&losses.iter().map(|loss| (*loss, 0.0)).collect::<Vec<_>>(), |_| t.swing.ln_1p());
    // Two swings in forty epochs are no oscillation.
    let least = t.swings.max((losses.len() / 10) as f64);
    (count as f64 >= least && !descends(&losses)).then(|| {
        let (trough, peak, swing) = (loss(view.loss(largest.0)), loss(view.loss(largest.1)), percent(t.swing));
        format!("the loss rose {count} times between evaluations, once from {trough} to {peak} (rule: {least} times by more than {swing})")
    })
}

fn rough_evaluations(view: &View<'_>, t: &Thresholds) -> Option<String> {
    let losses = evaluated(view);
    // The first fall is over after a third, if that leaves enough.
    let skipped = (losses.len() / 3).max(1).min(losses.len().saturating_sub(FEW));
    let late = losses.get(skipped..).filter(|late| late.len() >= FEW)?;
    let roughness = roughness(late)?;
    (roughness > t.roughness && !descends(&losses)).then(|| {
        let (size, rule) = (percent(roughness), percent(t.roughness));
        format!("the loss goes up and down by {size} from evaluation to evaluation and does not end at its best (rule > {rule})")
    })
}

fn rebounds(view: &View<'_>, t: &Thresholds) -> Option<String> {
    let of_bins = view.fifths.and_then(|fifths| {
        let (best, end) = (fifths.into_iter().fold(f64::INFINITY, f64::min), fifths[4]);
        let is_seen = end - best > 1.5 * t.noise_deviations * view.of_fifth(end);
        is_seen.then_some((best, end, "fifth of the steps"))
    });
    let of_evaluations = Rise::of(&view.train).map(|found| (found.best, found.end, "evaluation"));
    let (best, end, which) = [of_bins, of_evaluations].into_iter().flatten().find(|(best, end, _)| view.rise(*best, *end) > t.rebound)?;
    let (best, end, rule) = (loss(best), loss(end), percent(t.rebound));
    Some(format!("the training loss ends at {end}, above that of the best {which}, {best} (rule > {rule})"))
}

fn still_falling(view: &View<'_>, t: &Thresholds) -> Option<String> {
    falling(view, t, view.guess, view.guess_name, t.least_gain)
}

/// Whether the loss still falls at the end, as a part of all that it has gained on `from`; which must be `least` of that of guessing.
fn falling(view: &View<'_>, t: &Thresholds, from: f64, name: &str, least: f64) -> Option<String> {
    // Longer training helps only what validation confirms.
    if view.validation.len() > 3 && course(&view.validation).slope(0.6).is_some_and(|(slope, _)| slope >= 0.0) {
        return None;
    }
    let shares = view.courses().into_iter().filter_map(|course| {
        let gain = from - course.points.last()?.1.min(view.end()?);
        // In units of a fifth of the run.
        let share = |from| course.slope(from).map(|(slope, deviation)| (-0.2 * slope / gain, 0.2 * deviation / gain));
        (gain > least * view.guess).then_some((gain, share(0.6)?, share(0.8)))
    });
    let (gain, wide, narrow) = shares.min_by(|a, b| a.1.1.total_cmp(&b.1.1))?;
    // The last fifth alone if its noise allows; else twice as much, unless the last fifth is clearly flat, as after a cut of the rate.
    // There, a loss that levels off falls faster.
    let wide = (wide.0 / LEVELLING, wide.1 / LEVELLING);
    let (share, deviation) = narrow.filter(|(_, deviation)| *deviation < t.still_falling / 2.0).unwrap_or(wide);
    let is_flat = narrow.is_some_and(|(share, deviation)| share + t.noise_deviations * deviation < t.still_falling);
    (share > t.still_falling && share > t.noise_deviations * deviation && !is_flat).then(|| {
        let (share, rule, gain) = (percent(share), percent(t.still_falling), loss(gain));
        format!(
            "still falling at the end: a fifth of the run makes {share} of the {gain} that the loss has gained on {name} (rule > {rule})"
        )
    })
}

fn high(view: &View<'_>, t: &Thresholds) -> Option<String> {
    let level = view.fifths?[4];
    let level = view.train.last().map_or(level, |(_, last)| last.min(level));
    (level / view.guess > t.high).then(|| {
        let (share, rule) = (percent(level / view.guess), percent(t.high));
        format!("the loss has levelled off at {}, {share} of {}, {} (rule > {rule})", loss(level), view.guess_name, loss(view.guess))
    })
}

/// Too few bins for all the rest.
fn short(view: &View<'_>, t: &Thresholds) -> Option<String> {
    let (first, last) = (view.train.first().map(|(_, loss)| *loss).or(view.curve.losses.first().copied())?, view.end()?);
    (view.fifths.is_none() && first - last > t.least_gain * view.guess).then(|| {
        format!("only {} steps, in which the loss fell from {} to {}: too few to level off", view.curve.steps, loss(first), loss(last))
    })
}

fn healthy(view: &View<'_>) -> String {
    match (view.fifths, view.end()) {
        (Some(_), Some(end)) => {
            let share = percent(end / view.guess);
            format!("no rule fired: the loss ends at {}, {share} of {}, {}", loss(end), view.guess_name, loss(view.guess))
        }
        _ => format!("too short to judge: {} steps", view.curve.steps),
    }
}

fn loss(value: f64) -> String {
    Format::Significant(3).text(value)
}

/// `31 %`, `3.6 %`, `3 %`.
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    let text = if percent.abs() < 9.95 { format!("{percent:.1}") } else { format!("{percent:.0}") };
    format!("{} %", text.strip_suffix(".0").unwrap_or(&text))
}

/// `3.6 % above`, `3.6 % below`.
fn relation(share: f64) -> String {
    format!("{} {}", percent(share.abs()), if share < 0.0 { "below" } else { "above" })
}
