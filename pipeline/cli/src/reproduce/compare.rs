//! A sink that keeps nothing: it compares what comes with what was logged.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::slice;

use anyhow::Result;
use engine::Ending;
use spec::record::{Confusion, Eval, Facts, Measurement, Outcome, Picture, Position, Sink, SinkError, Step};
use tracker::Reader;
use tracker::read::{EvalColumns, PositionColumns, RunRecord, StepColumns};

/// Of the larger of two numbers, where bits can't be expected to agree: a hundred times what single precision's rounding amounts to
/// in a sum of some hundred terms.
const RELATIVE: f64 = 1e-4;
/// And of numbers near zero.
const ABSOLUTE: f64 = 1e-6;
/// Noise scales are ratios of small differences.
const OF_NOISE_SCALE: f64 = 1e-2;
/// Examples on the border between two classes may fall to either side: so many, or this share if that is more.
const EXAMPLES: f64 = 2.0;
const SHARE: f64 = 0.01;
/// Of 255 levels of a pixel.
const LEVELS: u8 = 2;

/// All that a run has in the database, except for times.
pub struct Logged {
    cpu: Option<String>,
    steps: StepColumns,
    evals: EvalColumns,
    /// Places in `evals`.
    eval_at: BTreeMap<(&'static str, u64), usize>,
    positions: PositionColumns,
    measurements: BTreeMap<String, f64>,
    /// By label and prediction.
    confusions: BTreeMap<[u32; 2], u32>,
    pictures: BTreeMap<String, Picture>,
}

impl Logged {
    pub fn read(reader: &Reader, run: &RunRecord) -> Result<Self> {
        let runs = slice::from_ref(run);
        let evals = reader.evals(runs)?;
        Ok(Logged {
            cpu: reader.cpu(&run.id)?,
            steps: reader.steps(runs)?,
            eval_at: evals.split.iter().zip(&evals.step).map(|(split, step)| (split.name(), *step)).zip(0..).collect(),
            evals,
            positions: reader.positions(runs)?,
            measurements: reader.measurements(runs)?.into_iter().map(|(_, m)| (m.name, m.value)).collect(),
            confusions: reader.confusions(runs)?.into_iter().map(|(_, [label, predicted, n])| ([label, predicted], n)).collect(),
            pictures: reader.pictures(runs)?.into_iter().map(|(_, picture)| (picture.name.clone(), picture)).collect(),
        })
    }
}

/// How much was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub steps: u64,
    pub evals: u64,
    pub positions: u64,
    pub measurements: u64,
    pub confusions: u64,
    pub pictures: u64,
}

/// Where log and run differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub at: String,
    pub step: Option<u64>,
    pub logged: String,
    pub now: String,
}

/// Two numbers that are not the same, and by how much of the larger.
#[derive(Clone, Debug, PartialEq)]
pub struct Deviation {
    pub at: String,
    pub step: Option<u64>,
    pub logged: f64,
    pub now: f64,
    pub relative: f64,
}

/// What came out.
pub struct Verdict {
    pub counts: Counts,
    pub is_exact: bool,
    /// In words: bit by bit or within a tolerance, and why.
    pub how: String,
    pub first: Option<Difference>,
    pub largest: Option<Deviation>,
}

/// Compares a run with its log while it is trained.
pub struct Comparison {
    logged: Logged,
    logged_device: Option<String>,
    cpu: Option<String>,
    /// Examples that had been seen before the step at hand.
    examples: u64,
    verdict: Verdict,
}

/// Where a number stands, for messages; made into text only where there is something to say.
#[derive(Clone, Copy)]
enum At<'a> {
    Step(&'static str, u64),
    Eval(&'static str, &'static str, u64),
    Named(&'a str),
}

impl At<'_> {
    fn step(self) -> Option<u64> {
        match self {
            At::Step(_, step) | At::Eval(_, _, step) => Some(step),
            At::Named(_) => None,
        }
    }
}

impl Display for At<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            At::Step(name, step) => write!(f, "{name} of step {step}"),
            At::Eval(name, split, step) => write!(f, "{split} {name} after step {step}"),
            At::Named(name) => f.write_str(name),
        }
    }
}

/// Equal as far as the database can tell: it stores NaN as NULL, and −0 as 0.
fn is_same(a: f64, b: f64) -> bool {
    a.partial_cmp(&b) == Some(Ordering::Equal) || (a.is_nan() && b.is_nan())
}

impl Comparison {
    pub fn new(logged: Logged, logged_device: Option<String>, cpu: Option<String>) -> Self {
        let verdict = Verdict { counts: Counts::default(), is_exact: false, how: String::new(), first: None, largest: None };
        Comparison { logged, logged_device, cpu, examples: 0, verdict }
    }

    fn differ(&mut self, at: At<'_>, logged: impl Into<String>, now: impl Into<String>) {
        if self.verdict.first.is_none() {
            let (logged, now) = (logged.into(), now.into());
            self.verdict.first = Some(Difference { at: at.to_string(), step: at.step(), logged, now });
        }
    }

    /// What must be the same whatever the tolerance.
    fn fact<T: PartialEq + Debug>(&mut self, at: At<'_>, logged: &T, now: &T) {
        if logged != now {
            self.differ(at, format!("{logged:?}"), format!("{now:?}"));
        }
    }

    /// A number that may be off by a share of itself or by `slack`, if bits can't be expected to agree.
    fn number(&mut self, at: At<'_>, logged: f64, now: f64, share: f64, slack: f64) {
        if is_same(logged, now) {
            return;
        }
        let (distance, size) = ((logged - now).abs(), logged.abs().max(now.abs()));
        let relative = if distance.is_finite() { distance / size } else { f64::INFINITY };
        if self.verdict.largest.as_ref().is_none_or(|largest| relative > largest.relative) {
            self.verdict.largest = Some(Deviation { at: at.to_string(), step: at.step(), logged, now, relative });
        }
        let is_near = distance.is_finite() && distance <= slack.max(share * size);
        if self.verdict.is_exact || !is_near {
            self.differ(at, format!("{logged:?}"), format!("{now:?}"));
        }
    }

    fn real(&mut self, at: At<'_>, logged: f64, now: f64) {
        self.number(at, logged, now, RELATIVE, ABSOLUTE);
    }

    fn accuracy(&mut self, at: At<'_>, logged: f64, now: Option<f64>, examples: u64) {
        self.number(at, logged, now.unwrap_or(f64::NAN), 0.0, SHARE.max(EXAMPLES / examples.max(1) as f64) + f64::EPSILON);
    }

    /// Compares how the run ended, and looks for what was logged and did not come.
    pub fn end(mut self, (outcome, record): (Outcome, &RunRecord), ending: &Ending) -> Verdict {
        let (at, now) = (|name| At::Named(name), &self.verdict.counts);
        let logged = &self.logged;
        let pairs = [
            ("the number of steps", logged.steps.step.len(), now.steps),
            ("the number of evaluations", logged.evals.step.len(), now.evals),
            ("the number of positions", logged.positions.step.len(), now.positions),
            ("the number of measurements", logged.measurements.len(), now.measurements),
            ("the number of pictures", logged.pictures.len(), now.pictures),
        ]
        .map(|(name, logged, now)| (name, logged as u64, now));
        for (name, logged, now) in pairs {
            self.fact(at(name), &logged, &now);
        }
        if !self.logged.confusions.is_empty() && self.verdict.counts.confusions == 0 {
            self.differ(at("the confusion matrix"), "there is one", "there is none");
        }
        self.fact(at("the outcome"), &outcome.name(), &ending.outcome.name());
        self.fact(at("the steps that were made"), &record.steps, &ending.steps);
        if self.verdict.is_exact {
            self.fact(at("the reason of the outcome"), &record.error, &ending.reason);
        }
        self.verdict
    }
}

impl Sink for Comparison {
    fn begin(&mut self, facts: &Facts) -> Result<(), SinkError> {
        let on = |device: Option<&str>, cpu: Option<&str>| {
            format!("{} with {}", device.unwrap_or("an unknown device"), cpu.unwrap_or("an unknown processor"))
        };
        let then = on(self.logged_device.as_deref(), self.logged.cpu.as_deref());
        let now = on(Some(&facts.device), self.cpu.as_deref());
        self.verdict.is_exact = self.cpu.is_some() && then == now;
        self.verdict.how = if self.verdict.is_exact {
            format!("bit by bit, since the run was logged on the same kind of processor and device as here ({now})")
        } else {
            format!(
                "within a tolerance, since the run was logged on {then}, this is {now}, and bits may differ between them: {RELATIVE:e} of a \
                 number, {OF_NOISE_SCALE} of a noise scale, {EXAMPLES} examples or {} % of them in accuracies, {LEVELS} levels of a pixel",
                100.0 * SHARE
            )
        };
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), SinkError> {
        let at = |name| At::Step(name, step.step);
        let before = std::mem::replace(&mut self.examples, step.examples);
        let steps = &self.logged.steps;
        let i = usize::try_from(self.verdict.counts.steps).unwrap_or(usize::MAX);
        let Some(logged) = steps.step.get(i).copied() else {
            self.differ(at("the whole"), "nothing", "a step");
            return Ok(());
        };
        let [loss, accuracy, lr, grad_norm] = [steps.loss[i], steps.accuracy[i], steps.lr[i], steps.grad_norm[i]];
        let (epoch, examples) = (steps.epoch[i], steps.examples[i]);
        self.verdict.counts.steps += 1;
        self.fact(at("the number"), &logged, &step.step);
        self.fact(at("epoch"), &epoch, &step.epoch);
        self.fact(at("examples"), &examples, &step.examples);
        self.real(at("lr"), lr, step.lr);
        self.real(at("loss"), loss, step.loss);
        self.accuracy(at("accuracy"), accuracy, step.accuracy, step.examples - before);
        self.real(at("grad_norm"), grad_norm, step.grad_norm);
        Ok(())
    }

    fn eval(&mut self, eval: &Eval) -> Result<(), SinkError> {
        let split = eval.split.name();
        let at = |name| At::Eval(name, split, eval.step);
        let Some(i) = self.logged.eval_at.get(&(split, eval.step)).copied() else {
            self.differ(at("evaluation"), "nothing", "an evaluation");
            return Ok(());
        };
        let evals = &self.logged.evals;
        let (epoch, [loss, accuracy, noise_scale]) = (evals.epoch[i], [evals.loss[i], evals.accuracy[i], evals.noise_scale[i]]);
        self.verdict.counts.evals += 1;
        self.fact(at("epoch"), &epoch, &eval.epoch);
        self.real(at("loss"), loss, eval.loss);
        self.accuracy(at("accuracy"), accuracy, eval.accuracy, eval.examples);
        self.number(at("noise_scale"), noise_scale, eval.noise_scale.unwrap_or(f64::NAN), OF_NOISE_SCALE, ABSOLUTE);
        Ok(())
    }

    fn position(&mut self, position: &Position) -> Result<(), SinkError> {
        let at = |name| At::Step(name, position.step);
        let positions = &self.logged.positions;
        let i = usize::try_from(self.verdict.counts.positions).unwrap_or(usize::MAX);
        let Some(logged) = positions.step.get(i).copied() else {
            self.differ(at("the place"), "nothing", "a place");
            return Ok(());
        };
        let (x, y) = (positions.x[i], positions.y[i]);
        self.verdict.counts.positions += 1;
        self.fact(at("the number of the place"), &logged, &position.step);
        self.real(at("x"), x, position.x);
        self.real(at("y"), y, position.y);
        Ok(())
    }

    fn measurement(&mut self, measurement: &Measurement) -> Result<(), SinkError> {
        let name = format!("the measurement `{}`", measurement.name);
        match self.logged.measurements.get(&measurement.name).copied() {
            Some(logged) => {
                self.verdict.counts.measurements += 1;
                self.real(At::Named(&name), logged, measurement.value);
            }
            None => self.differ(At::Named(&name), "nothing", format!("{:?}", measurement.value)),
        }
        Ok(())
    }

    fn confusion(&mut self, confusion: &Confusion) -> Result<(), SinkError> {
        let classes = confusion.classes.max(1);
        let place = |i: usize| [i / classes, i % classes].map(|class| u32::try_from(class).unwrap_or(u32::MAX));
        let now: BTreeMap<[u32; 2], u32> = (0..).map(place).zip(confusion.examples.iter().copied()).collect();
        let logged = std::mem::take(&mut self.logged.confusions);
        self.verdict.counts.confusions = now.len() as u64;
        let mut first = None;
        let mut moved = 0;
        for cell in now.keys().chain(logged.keys().filter(|cell| !now.contains_key(*cell))) {
            let count = |of: &BTreeMap<[u32; 2], u32>| of.get(cell).copied().unwrap_or(0);
            let (logged, now) = (count(&logged), count(&now));
            moved += u64::from(logged.abs_diff(now));
            if logged != now {
                first.get_or_insert((*cell, logged, now));
            }
        }
        let examples: u64 = confusion.examples.iter().map(|n| u64::from(*n)).sum();
        // An example that moves is missed in one cell and found in another.
        let is_near = !self.verdict.is_exact && moved as f64 <= 2.0 * EXAMPLES.max(SHARE * examples as f64);
        if let Some(([label, predicted], logged, now)) = first.filter(|_| !is_near) {
            let at = format!("examples of class {label} taken for class {predicted}");
            self.differ(At::Named(&at), logged.to_string(), now.to_string());
        }
        Ok(())
    }

    fn picture(&mut self, picture: &Picture) -> Result<(), SinkError> {
        let name = format!("the picture `{}`", picture.name);
        let at = At::Named(&name);
        let Some(logged) = self.logged.pictures.get(&picture.name) else {
            self.differ(at, "nothing", "a picture");
            return Ok(());
        };
        let size = |p: &Picture| (p.height, p.width, p.channels);
        let (sizes, pixels) = ((size(logged), size(picture)), logged.pixels.iter().zip(&picture.pixels));
        let levels = if self.verdict.is_exact { 0 } else { LEVELS };
        let first = pixels.enumerate().find(|(_, (logged, now))| logged.abs_diff(**now) > levels);
        let pixel = first.map(|(i, (logged, now))| (format!("{logged} as byte {i}"), format!("{now}")));
        self.verdict.counts.pictures += 1;
        self.fact(at, &sizes.0, &sizes.1);
        if let Some((logged, now)) = pixel {
            self.differ(at, logged, now);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A comparison with a log of one step, on a processor.
    fn with(cpu: &str) -> Comparison {
        let steps = StepColumns {
            run: vec![0],
            step: vec![1],
            epoch: vec![1],
            examples: vec![32],
            loss: vec![2.0],
            accuracy: vec![0.5],
            lr: vec![0.1],
            grad_norm: vec![f64::NAN],
            elapsed_ms: vec![1.0],
        };
        let logged = Logged {
            cpu: Some("A".into()),
            steps,
            evals: EvalColumns::default(),
            eval_at: BTreeMap::new(),
            positions: PositionColumns::default(),
            measurements: BTreeMap::new(),
            confusions: BTreeMap::from([([0, 0], 90), ([0, 1], 10)]),
            pictures: BTreeMap::new(),
        };
        let mut comparison = Comparison::new(logged, Some("cpu".into()), Some(cpu.into()));
        let (device, layers, classes) = ("cpu".to_owned(), vec![], vec![]);
        let facts = Facts { parameters: 0, flops_per_step: 0, memory_bytes: 0, planned_steps: 1, device, threads: 1, layers, classes };
        comparison.begin(&facts).unwrap();
        comparison
    }

    fn differs(cpu: &str, loss: f64, accuracy: f64, grad_norm: f64) -> Option<String> {
        let mut comparison = with(cpu);
        let step = Step { step: 1, epoch: 1, examples: 32, loss, accuracy: Some(accuracy), lr: 0.1, grad_norm, elapsed_ms: 9.0 };
        comparison.step(&step).unwrap();
        comparison.verdict.first.map(|d| format!("{}: {} {}", d.at, d.logged, d.now))
    }

    #[test]
    fn bits_count_on_the_same_processor_and_a_tolerance_elsewhere() {
        let nan = f64::NAN;
        assert_eq!(differs("A", 2.0, 0.5, nan), None);
        assert_eq!(differs("A", 2.0 + 1e-15, 0.5, nan), Some("loss of step 1: 2.0 2.000000000000001".into()));
        assert_eq!(differs("B", 2.0 + 1e-15, 0.5, nan), None);
        assert_eq!(differs("B", 2.0003, 0.5, nan), Some("loss of step 1: 2.0 2.0003".into()));
        assert_eq!(differs("B", 2.0, 0.5 - 2.0 / 32.0, nan), None, "two examples of a batch of 32");
        assert_eq!(differs("B", 2.0, 0.5 - 3.0 / 32.0, nan), Some("accuracy of step 1: 0.5 0.40625".into()));
        assert_eq!(differs("B", 2.0, 0.5, 1.0), Some("grad_norm of step 1: NaN 1.0".into()));
        assert_eq!(differs("B", f64::INFINITY, 0.5, nan), Some("loss of step 1: 2.0 inf".into()));
    }

    #[test]
    fn examples_that_move_are_counted_once() {
        let moved = |cpu: &str, n: u32| {
            let mut comparison = with(cpu);
            comparison.confusion(&Confusion { classes: 2, examples: vec![90 - n, 10 + n, 0, 0] }).unwrap();
            comparison.verdict.first.map(|d| d.at)
        };
        let first = Some("examples of class 0 taken for class 0".to_owned());
        assert_eq!([moved("A", 0), moved("A", 1), moved("B", 2), moved("B", 3)], [None, first.clone(), None, first]);
    }

    #[test]
    fn what_does_not_come_is_missed() {
        let record = |steps| RunRecord {
            id: String::new(),
            arm: String::new(),
            position: 0,
            axes: vec![],
            seed: 0,
            config: String::new(),
            outcome: Some(Outcome::Completed),
            started: true,
            error: None,
            steps,
            planned_steps: None,
            parameters: None,
            flops_per_step: None,
            layers: vec![],
            device: None,
            version: None,
            git_commit: None,
            git_dirty: None,
            classes: vec![],
        };
        let ending = Ending { outcome: Outcome::Completed, steps: 1, reason: None };
        let first = with("A").end((Outcome::Completed, &record(1)), &ending).first.unwrap();
        assert_eq!((first.at.as_str(), first.logged.as_str(), first.now.as_str()), ("the number of steps", "1", "0"));
    }
}
