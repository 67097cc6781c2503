//! Values as they are read, gathered by run and step.

use std::collections::{BTreeMap, BTreeSet};

use spec::{Split, Value};
use tracker::import::{ImportedEval, ImportedStep};

use super::names::MetricRole;

/// What tells a run from the others.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RunKey {
    pub axes: Vec<(String, Value)>,
    pub seed: Option<u64>,
    /// What it is called where it comes from.
    pub name: Option<String>,
}

impl RunKey {
    pub fn value(&self, axis: &str) -> Option<&Value> {
        self.axes.iter().find(|(key, _)| key == axis).map(|(_, value)| value)
    }

    fn text(&self) -> String {
        let axes: Vec<String> = self.axes.iter().map(|(key, value)| format!("{key}={}", value.json())).collect();
        format!("{}\u{0}{:?}\u{0}{:?}", axes.join("\u{0}"), self.seed, self.name)
    }
}

/// The curves of all runs, in the order in which they come.
#[derive(Debug, Default)]
pub(crate) struct Curves {
    pub runs: Vec<(RunKey, Records)>,
    places: BTreeMap<String, usize>,
    /// Names of what has no place in our tables.
    pub left_out: BTreeSet<String>,
}

const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

/// The values of a run.
#[derive(Debug, Default)]
pub(crate) struct Records {
    rows: BTreeMap<u64, Row>,
    /// The first time that is known of it.
    pub started: Option<f64>,
}

/// The values of a step.
#[derive(Debug, Default)]
struct Row {
    at: At,
    values: [f64; MetricRole::COUNT],
    /// A bit for each that is there.
    there: u16,
}

/// What is known of a step besides its metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct At {
    pub epoch: u64,
    pub examples: u64,
    pub elapsed_ms: f64,
}

impl Curves {
    pub fn run(&mut self, key: RunKey) -> &mut Records {
        let next = self.runs.len();
        let place = *self.places.entry(key.text()).or_insert(next);
        if place == next {
            self.runs.push((key, Records::default()));
        }
        &mut self.runs[place].1
    }
}

impl Records {
    /// Keeps a value; `false`: there is another one already.
    pub fn put(&mut self, step: u64, metric: MetricRole, value: f64, at: At) -> bool {
        let row = self.rows.entry(step).or_default();
        let (place, bit) = (metric.place(), 1 << metric.place());
        row.at = at;
        let is_free = row.there & bit == 0;
        if is_free {
            row.values[place] = value;
            row.there |= bit;
        }
        is_free || row.values[place].to_bits() == value.to_bits()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Steps and evaluations, in order. A step is one with a loss; a rate or a norm elsewhere belongs to none. Where nothing is said of
    /// epochs, an epoch is what lies between two evaluations.
    pub fn finish(self) -> (Vec<ImportedStep>, Vec<ImportedEval>) {
        let (mut steps, mut evals) = (vec![], vec![]);
        let counts = self.rows.values().all(|row| row.at.epoch == 0);
        let mut ended = 0;
        for (step, Row { at: At { mut epoch, examples, elapsed_ms }, values, there }) in self.rows {
            let get = |metric: MetricRole| (there & 1 << metric.place() != 0).then(|| values[metric.place()]);
            let is_evaluated = SPLITS.iter().any(|split| [false, true].iter().any(|of| get(MetricRole::Eval(*split, *of)).is_some()));
            if counts {
                epoch = ended + u64::from(step > 0);
                ended += u64::from(is_evaluated && step > 0);
            }
            if let Some(loss) = get(MetricRole::Loss) {
                let [accuracy, lr, grad_norm] = [MetricRole::Accuracy, MetricRole::Lr, MetricRole::GradNorm].map(get);
                steps.push(ImportedStep { step, epoch, examples, loss, accuracy, lr, grad_norm, elapsed_ms });
            }
            for split in SPLITS {
                let [loss, accuracy] = [false, true].map(|is_accuracy| get(MetricRole::Eval(split, is_accuracy)));
                if loss.is_some() || accuracy.is_some() {
                    evals.push(ImportedEval { split, step, epoch, examples, loss, accuracy, elapsed_ms });
                }
            }
        }
        (steps, evals)
    }
}
