//! Hand-made studies for tests.
//! Called by tests only.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "hand-made rows for tests"
)]

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use serde_json::{Value, json};
use spec::analysis::Settings;
use spec::record::Outcome;
use spec::{Metric, Split};
use tracker::read::{EvalColumns, LossColumns, RunRecord, StepColumns, StudyRecord};

use crate::StudyData;
use crate::steps::Steps;

pub const ACCURACY: Metric = Metric::ALL[3];
pub const LOSS: Metric = Metric::ALL[2];

/// A study with the rows that its steps are made of.
#[derive(Clone, Debug)]
pub struct Fixture {
    data: StudyData,
    rows: StepColumns,
}

impl Deref for Fixture {
    type Target = StudyData;
    fn deref(&self) -> &StudyData {
        &self.data
    }
}

impl DerefMut for Fixture {
    fn deref_mut(&mut self) -> &mut StudyData {
        &mut self.data
    }
}

/// A study without runs.
pub fn study(name: &str, axes: &[&str]) -> Fixture {
    let data = StudyData {
        study: StudyRecord {
            name: name.into(),
            question: "Which arm converges best?".into(),
            hypothesis: Some("The first.".into()),
            metric: ACCURACY,
            targets: vec![(ACCURACY, 0.8), (LOSS, 0.6)],
            axes: axes.iter().map(|axis| (*axis).into()).collect(),
            analysis: Settings::default(),
            source: "[study]".into(),
        },
        runs: vec![],
        steps: Steps::default(),
        evals: EvalColumns::default(),
        positions: tracker::read::PositionColumns::default(),
        measurements: vec![],
        pictures: vec![],
        confusions: vec![],
        twins: StepColumns::default(),
        samples: StepColumns::default(),
    };
    Fixture { data, rows: StepColumns::default() }
}

impl Fixture {
    /// Adds a run that was not started, and gives its index.
    pub fn add(&mut self, arm: &str, position: usize, axes: &[Value], seed: u64) -> u32 {
        self.runs.push(RunRecord {
            id: format!("{:08x}{seed:08x}", position + 1),
            arm: arm.into(),
            position,
            axes: axes.iter().map(|value| Some(value.clone()).filter(|value| !value.is_null())).collect(),
            seed,
            config: "{}".into(),
            outcome: None,
            started: false,
            error: None,
            steps: 0,
            planned_steps: Some(6),
            parameters: Some(7),
            flops_per_step: Some(90),
            layers: vec![],
            device: None,
            version: None,
            git_commit: None,
            git_dirty: Some(false),
            classes: vec![],
        });
        u32::try_from(self.runs.len() - 1).unwrap()
    }

    pub fn end(&mut self, run: u32, outcome: Outcome, error: Option<&str>) {
        let steps = self.rows.run.iter().filter(|of| **of == run).count() as u64;
        let record = &mut self.runs[run as usize];
        (record.outcome, record.error, record.started, record.steps) = (Some(outcome), error.map(Into::into), true, steps);
        record.device = Some("cpu".into());
        record.version = Some("0.1.0".into());
        record.git_commit = Some("0123456789abcdef".into());
        self.sum_up();
    }

    /// As loading does: the steps of runs with a result, in order.
    fn sum_up(&mut self) {
        let rows = &self.rows;
        let mut kept: Vec<usize> =
            (0..rows.run.len()).filter(|i| self.data.runs[rows.run[*i] as usize].outcome.is_some_and(Outcome::is_result)).collect();
        kept.sort_by_key(|i| (rows.run[*i], rows.step[*i]));
        let mut of_runs: BTreeMap<u32, LossColumns> = BTreeMap::new();
        for (at, &i) in kept.iter().enumerate() {
            let columns = of_runs.entry(rows.run[i]).or_default();
            if at > 0 && rows.run[kept[at - 1]] == rows.run[i] && rows.epoch[kept[at - 1]] < rows.epoch[i] {
                columns.before_last_epoch = rows.step[kept[at - 1]] as u32;
            }
            columns.step.push(rows.step[i] as u32);
            columns.examples.push(rows.examples[i]);
            columns.loss.push(rows.loss[i]);
            columns.accuracy.push(rows.accuracy[i]);
        }
        self.data.steps = Steps::of(of_runs).unwrap();
    }

    pub fn step(&mut self, run: u32, step: u64, epoch: u64, examples: u64, loss: f64) {
        let s = &mut self.rows;
        s.run.push(run);
        s.step.push(step);
        s.epoch.push(epoch);
        s.examples.push(examples);
        s.loss.push(loss);
        s.accuracy.push(0.5);
        s.lr.push(0.1);
        s.grad_norm.push(1.0);
        s.elapsed_ms.push(step as f64);
    }

    pub fn eval(&mut self, run: u32, split: Split, step: u64, epoch: u64, loss: f64, accuracy: f64) {
        let e = &mut self.evals;
        e.run.push(run);
        e.split.push(split);
        e.step.push(step);
        e.epoch.push(epoch);
        e.loss.push(loss);
        e.accuracy.push(accuracy);
        e.noise_scale.push(f64::NAN);
        e.elapsed_ms.push(step as f64 * 250.0);
    }

    /// A run of two steps of 8 examples per epoch with these validation accuracies after epochs 0, 1, ….
    pub fn train(&mut self, run: u32, accuracies: &[f64]) {
        for (epoch, accuracy) in (0..).zip(accuracies) {
            for step in [2 * epoch - 1, 2 * epoch].into_iter().filter(|_| epoch > 0) {
                self.step(run, step as u64, epoch as u64, step as u64 * 8, 2.0 - accuracy);
            }
            let (step, epoch) = (2 * epoch as u64, epoch as u64);
            self.eval(run, Split::Train, step, epoch, 1.4 - accuracy, accuracy + 0.02);
            self.eval(run, Split::Validation, step, epoch, 1.5 - accuracy, *accuracy);
        }
    }

    /// The same to its end.
    pub fn finish(&mut self, run: u32, accuracies: &[f64]) {
        self.train(run, accuracies);
        let (epochs, last) = (accuracies.len() as u64 - 1, accuracies[accuracies.len() - 1]);
        self.eval(run, Split::Test, 2 * epochs, epochs, 1.6 - last, last - 0.01);
        self.end(run, Outcome::Completed, None);
    }

    /// The same study with its logs in another order.
    pub fn shuffled(&self) -> Self {
        fn pick<T: Copy>(column: &mut Vec<T>, order: &[usize]) {
            *column = order.iter().map(|i| column[*i]).collect();
        }
        let mut other = self.clone();
        let (s, e) = (&mut other.rows, &mut other.data.evals);
        // Multiplication by a number coprime to the length visits every row once.
        let order = |n: usize| -> Vec<usize> {
            let stride = (7920..1_000_000).find(|k| (2..=*k).all(|d| k % d != 0 || !n.is_multiple_of(d))).unwrap();
            (0..n).map(|i| i * stride % n).collect()
        };
        let (n, m) = (order(s.run.len()), order(e.run.len()));
        pick(&mut s.run, &n);
        pick(&mut s.step, &n);
        pick(&mut s.epoch, &n);
        pick(&mut s.examples, &n);
        pick(&mut s.loss, &n);
        pick(&mut s.accuracy, &n);
        pick(&mut s.lr, &n);
        pick(&mut s.grad_norm, &n);
        pick(&mut s.elapsed_ms, &n);
        pick(&mut e.run, &m);
        pick(&mut e.split, &m);
        pick(&mut e.step, &m);
        pick(&mut e.epoch, &m);
        pick(&mut e.loss, &m);
        pick(&mut e.accuracy, &m);
        pick(&mut e.noise_scale, &m);
        pick(&mut e.elapsed_ms, &m);
        other.sum_up();
        other
    }
}

/// Four arms and two seeds with everything that can go wrong.
///
/// `a|b` is best. `=wild` was better after one epoch, then one of its runs diverged. A run of `failing` failed, and one of
/// `waiting` was never started.
pub fn troubled() -> Fixture {
    let mut data = study("troubled", &["optimizer"]);
    let arms = ["a|b", "=wild", "failing", "waiting"];
    for seed in 0..2 {
        for (position, arm) in arms.iter().enumerate() {
            data.add(arm, position, &[json!(arm)], seed);
        }
    }
    data.finish(0, &[0.1, 0.7, 0.85]);
    data.finish(1, &[0.1, 0.95, 0.8]);
    data.finish(2, &[0.1, 0.6, 0.7]);
    data.finish(3, &[0.1, 0.5, 0.6]);
    data.finish(4, &[0.1, 0.75, 0.83]);
    data.train(5, &[0.1, 0.99]);
    data.step(5, 3, 2, 24, f64::NAN);
    data.end(5, Outcome::Diverged, Some("the loss is not finite"));
    data.train(6, &[0.1]);
    data.end(6, Outcome::Failed, Some("out of\nmemory"));
    data
}
