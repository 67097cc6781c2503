//! The answer to a study's question in a sentence or two, made of its data, with the table and the figure that it rests on.
//! Called by the page and by the write-up; what kind of answer a study has follows from what it varies.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::findings::{checks, identical, strong};
use crate::Analysis;
use crate::comparison::{Conclusion, LEVEL};
use crate::diagnosis::Condition;
use crate::escape::{Escape, optimizer};
use crate::layout::value_text;
use crate::number::{Format, count, listed};
use crate::results::State;
use crate::stats::mean;
use crate::steps::RunSteps;
use crate::table::{code, escape};

/// More names than this are counted instead.
const NAMED: usize = 5;
/// Along an axis, more groups than this are compared, not described one by one.
const DESCRIBED: usize = 2;

/// What a study found out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Markdown.
    pub text: String,
    /// Names of the deciding tables and figure.
    pub tables: Vec<&'static str>,
    pub figure: Option<&'static str>,
}

pub(super) fn of(a: &Analysis<'_>) -> Answer {
    let finished = a.count(State::Finished) + a.count(State::Diverged);
    if finished == 0 {
        return Answer { text: "No run has a result yet.".into(), tables: vec!["arms"], figure: None };
    }
    let mut answer = if a.is_check() {
        Answer { text: checks::finding(a).unwrap_or_default(), tables: vec!["measurements"], figure: None }
    } else if a.arms.len() == 1 && a.has_accuracies() {
        let figure = if a.data.pictures.is_empty() { "learning-curves" } else { "feature-maps" };
        let tables = if a.data.measurements.is_empty() { vec!["arms", "convergence"] } else { vec!["measurements", "arms", "convergence"] };
        Answer { text: alone(a), tables, figure: Some(figure) }
    } else if !a.escapes.is_empty() {
        Answer { text: escapes(&a.escapes), tables: vec!["escape"], figure: Some("paths") }
    } else if !a.has_accuracies() {
        Answer { text: descents(a), tables: vec!["time_to_target"], figure: Some("paths") }
    } else if let Some(text) = identical::all(a) {
        Answer { text, tables: vec!["comparisons"], figure: Some("learning-curves") }
    } else if a.layout.axis.is_some() && a.layout.groups.len() <= DESCRIBED && a.data.study.analysis.compare.len() < 2 && is_rate(a) {
        Answer { text: along_axis(a), tables: vec!["comparisons", "sensitivity", "diagnosis"], figure: Some("sensitivity") }
    } else {
        let figure = if a.layout.axis.is_some() { "sensitivity" } else { "final-metric" };
        let table = if a.comparisons.pairs.is_empty() { "arms" } else { "comparisons" };
        let overfits = (0..a.arms.len()).any(|arm| a.judgement.condition(arm) == Some(Condition::Overfitting));
        let extra =
            [("time_to_target", true), ("diagnosis", overfits), ("generalization", overfits), ("models", true), ("smoothness", true)];
        let tables = std::iter::once(table).chain(extra.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name)).collect();
        Answer { text: compared(a), tables, figure: Some(figure) }
    };
    let lacking = a.count(State::Failed) + a.count(State::Missing);
    if lacking > 0 {
        let _ = write!(answer.text, " This rests on {finished} of {} runs: {lacking} have no result yet.", finished + lacking);
    }
    answer
}

fn is_rate(a: &Analysis<'_>) -> bool {
    a.layout.axis.as_deref() == Some("lr")
}

/// `0.8312 [0.8299, 0.8349]`, with what it is.
fn centre(a: &Analysis<'_>, candidate: usize) -> Option<String> {
    let (metric, candidate) = (a.comparisons.metric?, a.comparisons.candidates.get(candidate)?);
    let format = Format::of(metric);
    let value = match candidate.interval {
        Some(interval) => format!("{} (95 % interval)", format.with_interval(candidate.centre?, interval)),
        None => format.text(candidate.centre?),
    };
    Some(format!("`{metric}` {value}"))
}

/// The only arm: what it measured, how its training went on the whole, and where it ended.
fn alone(a: &Analysis<'_>) -> String {
    let mut text = checks::finding(a).map(|finding| format!("{finding} ")).unwrap_or_default();
    let means = |of: fn(&RunSteps) -> f64| mean(&a.data.steps.runs.values().map(of).collect::<Vec<_>>());
    let steps = a.data.steps.runs.values().map(|run| run.steps).max().unwrap_or(0);
    if let Some((loss, accuracy)) = means(|run| run.mean_loss).zip(means(|run| run.mean_accuracy)) {
        let runs = count(a.data.steps.runs.len(), "run");
        let _ = write!(text, "Over all {steps} steps of {runs}, the mean training loss is {loss:.4} and the mean accuracy {accuracy:.4}.");
    }
    if let Some(centre) = centre(a, 0) {
        let _ = write!(text, " At the end: {centre}.");
    }
    text
}

/// The best candidate, what it beats, and what can't be told from it.
fn compared(a: &Analysis<'_>) -> String {
    let comparisons = &a.comparisons;
    let Some(best) = comparisons.candidates.first().filter(|best| best.chosen.is_some()) else {
        return "No arm has all its runs finished, so none can be called best.".into();
    };
    let name = |i: usize| comparisons.candidates.get(i).map(|c| format!("**{}**", escape(&c.label))).unwrap_or_default();
    let mut text = format!("Best is {}", name(0));
    let arm = best.chosen.and_then(|arm| a.arms.get(arm)).map(|arm| escape(arm.label));
    if let Some(arm) = arm.filter(|arm| *arm != escape(&best.label)) {
        let _ = write!(text, " (as {arm})");
    }
    if let Some(centre) = centre(a, 0) {
        let _ = write!(text, ", with {centre} over {}", count(best.values.len(), "seed"));
    }
    text.push('.');
    let with = |wanted: &dyn Fn(Conclusion) -> bool| -> Vec<usize> {
        (1..comparisons.candidates.len()).filter(|i| comparisons.against_best(*i).is_some_and(|pair| wanted(pair.conclusion))).collect()
    };
    let names = |list: &[usize]| {
        if list.len() > NAMED { format!("{} others", list.len()) } else { listed(&list.iter().map(|i| name(*i)).collect::<Vec<_>>()) }
    };
    let beaten = with(&|c| c == Conclusion::Better);
    let others = comparisons.candidates.iter().skip(1).filter(|candidate| candidate.chosen.is_some()).count();
    if others > 0 && beaten.len() == others {
        let each = if others == 1 { "" } else { "each of " };
        let _ = write!(text, " It is better than {each}{} (p ≤ {LEVEL} after correction).", names(&beaten));
    } else if !beaten.is_empty() {
        let _ = write!(text, " It is better than {} (p ≤ {LEVEL} after correction).", names(&beaten));
    }
    let worse = with(&|c| c == Conclusion::Worse);
    if !worse.is_empty() {
        let _ = write!(text, " On test, however, {} did better.", names(&worse));
    }
    let equivalent = with(&|c| c == Conclusion::Equivalent);
    if !equivalent.is_empty() {
        let is = if equivalent.len() == 1 { "is" } else { "are" };
        let _ = write!(text, " {} {is} equivalent to it within ±{}.", names(&equivalent), comparisons.margin);
    }
    let open = with(&|c| c == Conclusion::Open);
    if !open.is_empty() {
        let _ = write!(text, " The seeds do not tell it from {}.", names(&open));
    }
    let few = with(&|c| matches!(c, Conclusion::TooFew(_)));
    if let Some(Conclusion::TooFew(needed)) = few.first().and_then(|i| comparisons.against_best(*i)).map(|pair| pair.conclusion) {
        let _ = write!(text, " There are too few seeds to tell it from {} ({needed} would be needed).", names(&few));
    }
    text += &cheapest(a, &[equivalent, open].concat());
    text += &soonest(a);
    text += &overfitting(a);
    text
}

/// The candidate that costs least among the best and those that can't be told from it, if it costs clearly less.
fn cheapest(a: &Analysis<'_>, alike: &[usize]) -> String {
    let cost = |candidate: usize| {
        let arm = a.arms.get(a.comparisons.candidates.get(candidate)?.chosen?)?;
        let record = arm.runs.first()?.record;
        // Batches of another size are no cheaper networks.
        Some((record.flops_per_step? as f64, record.parameters?))
    };
    if a.data.study.axes.iter().any(|axis| axis == "batch_size") {
        return String::new();
    }
    let Some((best, _)) = cost(0).filter(|(flops, _)| *flops > 0.0) else { return String::new() };
    let cheapest = alike.iter().filter_map(|i| Some((*i, cost(*i)?))).min_by(|a, b| a.1.0.total_cmp(&b.1.0));
    match cheapest {
        Some((i, (flops, _))) if flops < 0.9 * best => {
            let name = a.comparisons.candidates.get(i).map(|c| escape(&c.label)).unwrap_or_default();
            format!(" Of these, **{name}** is the cheapest, with {:.0} % of its operations per step.", 100.0 * flops / best)
        }
        _ => String::new(),
    }
}

/// The arm that reached the first target in the fewest steps.
fn soonest(a: &Analysis<'_>) -> String {
    let Some(target) = a.targets.first() else { return String::new() };
    let timed = target.times.iter().enumerate().filter_map(|(arm, time)| Some((arm, time.median_steps.filter(|steps| steps.is_finite())?)));
    let mut timed: Vec<(usize, f64)> = timed.collect();
    timed.sort_by(|a, b| a.1.total_cmp(&b.1));
    let Some(least) = timed.first().map(|(_, steps)| *steps) else { return String::new() };
    let first: Vec<usize> = timed.iter().take_while(|(_, steps)| steps.total_cmp(&least).is_eq()).map(|(arm, _)| *arm).collect();
    let names =
        if first.len() > NAMED { count(first.len(), "arm") } else { listed(&first.iter().map(|arm| strong(a, *arm)).collect::<Vec<_>>()) };
    let verb = if first.len() == 1 { "is" } else { "are" };
    format!(" Soonest at `{}` {} {verb} {names} (median of {} steps).", target.metric, target.bound(), Format::Plain.text(least))
}

fn overfitting(a: &Analysis<'_>) -> String {
    let arms: Vec<usize> = (0..a.arms.len()).filter(|arm| a.judgement.condition(*arm) == Some(Condition::Overfitting)).collect();
    match arms.len() {
        0 => String::new(),
        n if n > NAMED => format!(" {n} of {} overfit.", count(a.arms.len(), "arm")),
        n => {
            let names: Vec<String> = arms.iter().map(|arm| strong(a, *arm)).collect();
            format!(" {} {}.", listed(&names), if n == 1 { "overfits" } else { "overfit" })
        }
    }
}

/// Each group's values along the axis by what their runs suffer from, and its best.
fn along_axis(a: &Analysis<'_>) -> String {
    let mut texts = vec![];
    for group in 0..a.layout.groups.len() {
        let members = a.layout.members(group);
        let mut spans: Vec<(Condition, Vec<usize>)> = vec![];
        for &arm in &members {
            let Some(condition) = a.judgement.condition(arm) else { continue };
            match spans.last_mut() {
                Some((last, arms)) if *last == condition => arms.push(arm),
                _ => spans.push((condition, vec![arm])),
            }
        }
        let spans: Vec<String> = spans
            .iter()
            .map(|(condition, arms)| {
                let ends = [arms.first(), arms.last()].map(|arm| arm.map_or_else(String::new, |arm| escape(a.layout.label(*arm))));
                if arms.len() == 1 { format!("{condition} at {}", ends[0]) } else { format!("{condition} at {} to {}", ends[0], ends[1]) }
            })
            .collect();
        let name =
            a.layout.groups.get(group).filter(|name| !name.is_empty()).map(|name| format!("**{}**: ", escape(name))).unwrap_or_default();
        let mut text = format!("{name}{}", spans.join(", "));
        if let Some(best) = crate::verdict::best(&a.arms, &members, a.metric()) {
            let tested = (0..a.comparisons.candidates.len())
                .find(|i| a.comparisons.candidates[*i].chosen == Some(best.arm))
                .and_then(|candidate| centre(a, candidate))
                .unwrap_or_else(|| format!("`{}` {}", a.metric(), Format::of(a.metric()).text(best.median)));
            let _ = write!(text, "; best at {}, with {tested}", escape(a.layout.label(best.arm)));
        }
        texts.push(text);
    }
    format!("Along {}: {}.{}", code(a.layout.axis.as_deref().unwrap_or_default()), texts.join(". "), between_best(a))
}

/// What the seeds say about the best of the one group and that of the other.
fn between_best(a: &Analysis<'_>) -> String {
    let Some(pair) = a.comparisons.pairs.first().filter(|_| a.comparisons.pairs.len() == 1) else { return String::new() };
    let name = |i: usize| a.comparisons.candidates.get(i).map(|c| escape(&c.label)).unwrap_or_default();
    let (first, second) = (name(pair.first), name(pair.second));
    match pair.conclusion {
        Conclusion::Better => format!(" At their best, {first} is better than {second} (p = {:.3}).", pair.p),
        Conclusion::Worse => format!(" At their best, {second} does better on test than {first} (p = {:.3}).", pair.p),
        Conclusion::Equivalent => format!(" At their best, {first} and {second} are equivalent within ±{}.", a.comparisons.margin),
        Conclusion::Open => format!(" At their best, the seeds do not tell {first} from {second}."),
        Conclusion::TooFew(needed) => format!(" There are too few seeds to tell {first} from {second} at their best ({needed} needed)."),
    }
}

/// Who leaves the saddle itself and who its neighbourhood, without noise and with it.
fn escapes(escapes: &[Escape]) -> String {
    let mut sentences = vec![];
    for (on_saddle, noisy) in [(true, false), (true, true), (false, false), (false, true)] {
        let chosen: Vec<&Escape> =
            escapes.iter().filter(|escape| escape.is_on_saddle() == on_saddle && (escape.noise > 0.0) == noisy).collect();
        let ways = || chosen.iter().flat_map(|escape| &escape.ways);
        let (escaped, n) = ways().fold((0, 0), |(escaped, n), way| (escaped + way.escaped, n + way.n));
        if n == 0 {
            continue;
        }
        let place = if on_saddle { "On the saddle itself" } else { "Started beside it" };
        let noise = if noisy { "with noise" } else { "without noise" };
        if escaped == 0 {
            sentences.push(format!("{place}, {noise}, no optimizer moves away: 0 of {n} runs escape."));
            continue;
        }
        // Which optimizer is the fastest, start by start: the sum of ranks would hide who never leaves.
        let mut fastest: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for way in ways() {
            fastest.entry(&way.optimizer).or_default().push(way.steps);
        }
        let worst = |steps: &[f64]| steps.iter().copied().fold(0.0, f64::max);
        let mut order: Vec<(&str, f64)> = fastest.iter().map(|(name, steps)| (*name, worst(steps))).collect();
        order.sort_by(|a, b| a.1.total_cmp(&b.1));
        let stuck: Vec<String> = order.iter().filter(|(_, steps)| steps.is_infinite()).map(|(name, _)| escape(name)).collect();
        let mut text = format!("{place}, {noise}, {escaped} of {n} runs escape");
        if let Some((name, steps)) = order.first().filter(|(_, steps)| steps.is_finite()) {
            let _ = write!(text, ", {} soonest (median of at most {} steps)", escape(name), Format::Plain.text(*steps));
        }
        if !stuck.is_empty() {
            let _ = write!(text, "; from some start, at least half of the runs of {} do not", listed(&stuck));
        } else if let Some((name, steps)) = order.last() {
            let _ = write!(text, ", {} last ({})", escape(name), Format::Plain.text(*steps));
        }
        sentences.push(text + ".");
    }
    sentences.join(" ")
}

/// On each surface, the arm that reached the target first.
fn descents(a: &Analysis<'_>) -> String {
    let Some(target) = a.targets.first() else { return "The study has no target, so no arm can be called fastest.".into() };
    let mut surfaces: Vec<(String, Vec<usize>)> = vec![];
    for (i, arm) in a.arms.iter().enumerate() {
        let config: Value = arm.runs.first().and_then(|run| serde_json::from_str(&run.record.config).ok()).unwrap_or_default();
        let noise = config["gradient_noise"].as_f64().filter(|noise| *noise > 0.0).map_or(String::new(), |_| " with noise".into());
        let name = format!("{}{noise}", escape(config["surface"].as_str().unwrap_or("surface")));
        match surfaces.iter_mut().find(|(known, _)| *known == name) {
            Some((_, arms)) => arms.push(i),
            None => surfaces.push((name, vec![i])),
        }
    }
    let label = |arm: usize| {
        let config: Value = a.arms[arm].runs.first().and_then(|run| serde_json::from_str(&run.record.config).ok()).unwrap_or_default();
        format!("**{}** at a rate of {}", escape(&optimizer(&config)), escape(&value_text(config.get("lr"))))
    };
    let sentence = |(name, arms): &(String, Vec<usize>)| {
        let timed = arms.iter().filter_map(|i| Some((*i, target.times.get(*i)?.median_steps?))).filter(|(_, steps)| steps.is_finite());
        let reached = arms.iter().filter(|i| target.times.get(**i).is_some_and(|time| time.reached > 0)).count();
        match timed.min_by(|a, b| a.1.total_cmp(&b.1)) {
            Some((arm, steps)) => {
                let unit = if steps.total_cmp(&1.0).is_eq() { "step" } else { "steps" };
                format!(
                    "on {name}, {} after {} {unit} ({reached} of {} get there)",
                    label(arm),
                    Format::Plain.text(steps),
                    count(arms.len(), "arm")
                )
            }
            None => format!("on {name}, none in half of its runs"),
        }
    };
    format!("First to reach `{}` {}: {}.", target.metric, target.bound(), surfaces.iter().map(sentence).collect::<Vec<_>>().join("; "))
}
