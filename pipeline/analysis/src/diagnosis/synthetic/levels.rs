//! How the expected loss goes in each of the six conditions, after what such runs look like in practice.
//! Called by the generator; it knows nothing of the rules and their thresholds.
//!
//! A level is the loss that the weights have after a step, in units of what guessing costs (`ln(classes)`).

use std::f64::consts::TAU;

use super::Setting;
use super::random::{Random, whole};
use crate::diagnosis::Condition;

/// The levels of a run after 0, 1, … steps.
pub(super) struct Levels {
    pub(super) train: Vec<f64>,
    pub(super) validation: Vec<f64>,
    /// The network guesses: its accuracy is that of chance, whatever its loss is.
    pub(super) guesses: bool,
    /// What makes the condition visible when bins hide it: the evaluations of the training split must be there.
    pub(super) needs_evaluations: bool,
    pub(super) kind: &'static str,
}

type Shape = Box<dyn Fn(f64) -> f64>;

/// Falls from 1 towards 0 over the run (0 to 1) and is nearly done well before its end.
fn quick(random: &mut Random) -> (Shape, &'static str) {
    match random.whole(0, 4) {
        0 => {
            let k = random.log_between(6.0, 60.0);
            (Box::new(move |x: f64| (-k * x).exp()), "exponential")
        }
        1 => {
            let (k, a) = (random.log_between(30.0, 1000.0), random.between(0.8, 1.8));
            (Box::new(move |x: f64| (1.0 + k * x).powf(-a)), "power law")
        }
        2 => {
            let (part, first, second) = (random.between(0.5, 0.9), random.log_between(20.0, 100.0), random.between(5.0, 10.0));
            (Box::new(move |x: f64| part * (-first * x).exp() + (1.0 - part) * (-second * x).exp()), "two phases")
        }
        3 => {
            let (middle, width) = (random.between(0.03, 0.3), random.between(0.01, 0.06));
            let at = move |x: f64| 1.0 / (1.0 + ((x - middle) / width).exp());
            (Box::new(move |x: f64| at(x) / at(0.0)), "late start")
        }
        _ => {
            // The rate is cut once or twice; each cut lets the loss sink a little further.
            let (k, cut, left) = (random.log_between(8.0, 40.0), random.between(0.4, 0.75), random.between(0.03, 0.12));
            (
                Box::new(move |x: f64| (1.0 - left) * (-k * x).exp() + if x < cut { left } else { left * (-40.0 * (x - cut)).exp() }),
                "step decay",
            )
        }
    }
}

/// Falls from 1 and is far from done at the end of the run.
fn slow(random: &mut Random) -> (Shape, &'static str) {
    match random.whole(0, 4) {
        0 => {
            let slope = random.log_between(0.05, 0.7);
            (Box::new(move |x: f64| 1.0 - slope * x), "linear")
        }
        1 => {
            let k = random.log_between(0.1, 1.6);
            (Box::new(move |x: f64| (-k * x).exp()), "exponential")
        }
        2 => {
            let (k, a) = (random.log_between(0.3, 3.0), random.between(0.3, 1.0));
            (Box::new(move |x: f64| (1.0 + k * x).powf(-a)), "power law")
        }
        3 => {
            let (middle, width) = (random.between(0.7, 1.0), random.between(0.06, 0.2));
            let at = move |x: f64| 1.0 / (1.0 + ((x - middle) / width).exp());
            (Box::new(move |x: f64| at(x) / at(0.0)), "late start")
        }
        _ => {
            // A first quick gain, such as learning the shares of the classes, then a steady crawl.
            let (first, slope) = (random.between(0.05, 0.15), random.between(0.15, 0.5));
            (Box::new(move |x: f64| 1.0 - first * (1.0 - (-30.0 * x).exp()) - slope * x), "crawl")
        }
    }
}

/// The loss before training over that of guessing: a little above 1, now and then far.
fn start(random: &mut Random) -> f64 {
    if random.happens(0.15) { random.between(1.1, 2.5) } else { random.between(0.99, 1.1) }
}

/// Levels of a shape between a start and a floor. A start above 1 is lost within a few steps, whatever the rate.
fn along(setting: &Setting, shape: &Shape, start: f64, floor: f64) -> Vec<f64> {
    let quick = 60.0f64.max(setting.steps as f64 / 4.0);
    let excess = |x: f64| (start - 1.0).max(0.0) * (-quick * x).exp();
    (0..=setting.steps).map(|t| t as f64 / setting.steps as f64).map(|x| floor + (start.min(1.0) - floor) * shape(x) + excess(x)).collect()
}

/// Slow small drift of the level, from the order of the examples and the wandering of the weights.
fn wander(levels: &mut [f64], random: &mut Random, deviation: f64) {
    let keep = 1.0 - 1.0 / random.log_between(2.0, 2.0f64.max(levels.len() as f64 / 20.0)).max(2.0);
    let mut state = random.normal();
    for level in levels.iter_mut().skip(1) {
        state = keep * state + (1.0 - keep * keep).sqrt() * random.normal();
        *level *= (deviation * state).exp();
    }
}

/// Multiplies the level from a step on by a peak that decays within some steps.
fn spike(levels: &mut [f64], at: usize, height: f64, length: f64) {
    for (after, level) in levels.iter_mut().skip(at).enumerate() {
        *level *= 1.0 + (height - 1.0) * (-(after as f64) / length).exp();
    }
}

/// A gap that opens as the training loss falls, and stays.
fn with_gap(train: &[f64], random: &mut Random) -> Vec<f64> {
    let (gap, proportional) = (random.between(0.0, 0.12), random.between(0.0, 0.15));
    let first = train.first().copied().unwrap_or(1.0);
    train.iter().map(|level| level * (1.0 + proportional * (1.0 - level / first).max(0.0)) + gap * (1.0 - level / first).max(0.0)).collect()
}

pub(super) fn levels(condition: Condition, setting: &Setting, random: &mut Random) -> Levels {
    match condition {
        Condition::Diverged => diverged(setting, random),
        Condition::Oscillating => oscillating(setting, random),
        Condition::TooSlow => too_slow(setting, random),
        Condition::PlateauedHigh => plateaued(setting, random),
        Condition::Overfitting => overfitting(setting, random),
        Condition::Healthy => healthy(setting, random),
    }
}

/// Any descent; the generator cuts it off and lets it explode.
fn diverged(setting: &Setting, random: &mut Random) -> Levels {
    let (shape, kind) = if random.happens(0.5) { quick(random) } else { slow(random) };
    let mut train = along(setting, &shape, start(random), random.between(0.1, 0.4));
    for _ in 0..random.whole(0, 3) {
        spike(&mut train, random.whole(0, setting.steps), random.between(1.3, 4.0), setting.steps as f64 * 0.01);
    }
    Levels { validation: with_gap(&train, random), train, guesses: false, needs_evaluations: false, kind }
}

fn healthy(setting: &Setting, random: &mut Random) -> Levels {
    let (shape, kind) = quick(random);
    let mut train = along(setting, &shape, start(random), random.log_between(0.01, 0.42));
    let deviation = random.between(0.0, 0.03);
    wander(&mut train, random, deviation);
    if random.happens(0.2) {
        let (at, length) = (random.between(0.02, 0.7), random.between(0.002, 0.02));
        spike(&mut train, whole(at * setting.steps as f64), random.between(1.3, 4.0), 1.0 + length * setting.steps as f64);
    }
    let mut validation = with_gap(&train, random);
    if random.happens(0.3) {
        // The end is a hair worse than the best: everyone would let that pass.
        let rise = random.between(0.0, 0.04);
        let last = setting.steps as f64;
        for (t, level) in validation.iter_mut().enumerate() {
            *level *= 1.0 + rise * (t as f64 / last - 0.6).max(0.0) / 0.4;
        }
    }
    Levels { train, validation, guesses: false, needs_evaluations: false, kind }
}

fn too_slow(setting: &Setting, random: &mut Random) -> Levels {
    let (shape, kind) = slow(random);
    let mut train = along(setting, &shape, start(random), random.between(0.0, 0.15));
    let deviation = random.between(0.0, 0.005);
    wander(&mut train, random, deviation);
    Levels { validation: with_gap(&train, random), train, guesses: false, needs_evaluations: setting.is_noisy(), kind }
}

fn plateaued(setting: &Setting, random: &mut Random) -> Levels {
    let needs_evaluations = false;
    match random.whole(0, 2) {
        0 => {
            // Dead or lost: nothing beyond the shares of the classes.
            let mut train = along(setting, &quick(random).0, start(random), random.between(0.985, 1.01));
            wander(&mut train, random, 0.002);
            Levels { validation: train.clone(), train, guesses: true, needs_evaluations, kind: "at chance" }
        }
        1 => {
            // Blown up within the first steps, then stuck above the start, often jumping about.
            let height = random.log_between(1.05, 8.0);
            let mut train = along(setting, &quick(random).0, random.between(1.0, 1.1), height);
            if random.happens(0.5) {
                spike(&mut train, 1, random.log_between(2.0, 100.0), 1.0 + 0.01 * setting.steps as f64);
            }
            let deviation = random.between(0.0, 0.3) * (height - 1.0).min(1.0);
            wander(&mut train, random, deviation);
            Levels { validation: train.clone(), train, guesses: true, needs_evaluations, kind: "blown up" }
        }
        _ => {
            // Too small a network, or one caught early: learns something, then nothing more.
            let mut train = along(setting, &quick(random).0, start(random), random.between(0.62, 0.92));
            let deviation = random.between(0.0, 0.015);
            wander(&mut train, random, deviation);
            Levels { validation: with_gap(&train, random), train, guesses: false, needs_evaluations, kind: "underfits" }
        }
    }
}

fn overfitting(setting: &Setting, random: &mut Random) -> Levels {
    let (k, floor) = (random.log_between(3.0, 20.0), random.log_between(0.002, 0.2));
    let shape: Shape = Box::new(move |x: f64| (-k * x).exp());
    let first = start(random);
    let mut train = along(setting, &shape, first, floor);
    let deviation = random.between(0.0, 0.02);
    wander(&mut train, random, deviation);
    let onset = random.between(0.1, 0.7).max(1.0 / setting.epochs as f64).min(1.0 - 2.0 / setting.epochs as f64);
    let falling: Shape = Box::new(move |x: f64| (-4.0 * x / onset).exp());
    let best = random.between(0.2, 0.55);
    let mut validation = along(setting, &falling, first, best);
    let (rise, power) = (random.log_between(0.15, 1.5), random.between(0.7, 1.5));
    for (t, level) in validation.iter_mut().enumerate() {
        let x = t as f64 / setting.steps as f64;
        *level += best * rise * ((x - onset).max(0.0) / (1.0 - onset)).powf(power);
    }
    Levels { train, validation, guesses: false, needs_evaluations: false, kind: "overfits" }
}

/// A limit cycle with a period that is not quite constant.
fn cycle(train: &mut [f64], setting: &Setting, random: &mut Random) -> &'static str {
    let steps = setting.steps as f64;
    // It takes four points a period to see a cycle as one.
    let cycles = random.log_between(2.5, setting.points() as f64 / 4.0);
    let (amplitude, mut phase) = (random.between(0.15, 0.6), random.between(0.0, TAU));
    let jitter = random.between(0.0, 0.3) * (cycles / steps).sqrt();
    for level in train.iter_mut().skip(1) {
        phase += TAU * (cycles / steps + jitter * random.normal());
        *level *= 1.0 + amplitude * phase.sin();
    }
    "cycle"
}

fn oscillating(setting: &Setting, random: &mut Random) -> Levels {
    let steps = setting.steps as f64;
    let (shape, _) = quick(random);
    let floor = random.between(0.15, 0.75);
    let mut train = along(setting, &shape, start(random), floor);
    let mut needs_evaluations = setting.noise_of_bins() > 0.1;
    // Bursts need room to be told apart: from one another, and from the noise of a bin.
    let has_room = setting.bins >= 30;
    let kind = match random.whole(0, 3) {
        0 if setting.points() >= 10 => cycle(&mut train, setting, random),
        1 if !has_room && setting.points() >= 10 => cycle(&mut train, setting, random),
        1 if has_room => {
            // Again and again the descent is thrown out of its valley and returns.
            let times = random.whole(4, 10);
            let length = random.between(0.01, 0.03);
            for i in 0..times {
                let at = (i as f64 + random.between(0.3, 1.0)) / times as f64;
                spike(&mut train, whole(at * steps), random.between(1.6, 4.0), 1.0 + length * steps);
            }
            "bursts"
        }
        2 => {
            // The weights bounce between the walls: fast and irregular, so that bins may average it away.
            let shortest = if setting.epochs < 6 { 3.0 * steps / setting.bins as f64 } else { 1.0 };
            let (deviation, memory) = (random.between(0.2, 0.5), random.log_between(shortest, shortest.max(steps / 15.0)));
            let keep = 1.0 - 1.0 / memory;
            let mut state = random.normal();
            for level in train.iter_mut().skip(1) {
                state = keep * state + (1.0 - keep * keep).sqrt() * random.normal();
                *level *= (deviation * state).exp();
            }
            needs_evaluations = true;
            "bounces"
        }
        _ => {
            // Leaves its best place in growing swings and ends well above.
            let (turn, growth) = (random.between(0.2, 0.5), random.between(0.4, 1.2));
            let (cycles, depth) = (random.between(2.0, 8.0), random.between(0.1, 0.4));
            for (t, level) in train.iter_mut().enumerate() {
                let past = (t as f64 / steps - turn).max(0.0) / (1.0 - turn);
                *level *= (1.0 + growth * past) * (1.0 + depth * past * (TAU * cycles * past).sin());
            }
            "grows"
        }
    };
    let deviation = random.between(0.0, 0.02);
    wander(&mut train, random, deviation);
    Levels { validation: with_gap(&train, random), train, guesses: false, needs_evaluations, kind }
}
