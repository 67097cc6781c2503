//! Values as they are read, gathered by run and step.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use spec::{Split, Value};
use tracker::import::{ImportedEval, ImportedStep};

use super::names::Role;

/// What tells a run from the others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RunKey {
    pub axes: Vec<(String, Value)>,
    pub seed: u64,
}

impl RunKey {
    pub fn value(&self, axis: &str) -> Option<&Value> {
        self.axes.iter().find(|(key, _)| key == axis).map(|(_, value)| value)
    }

    fn text(&self) -> String {
        let axes: Vec<String> = self.axes.iter().map(|(key, value)| format!("{key}={}", value.json())).collect();
        format!("{}\u{0}{}", axes.join("\u{0}"), self.seed)
    }
}

const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

/// The curves of all runs, in the order in which they come.
#[derive(Debug, Default)]
pub(crate) struct Curves {
    runs: Vec<(RunKey, Records)>,
    places: BTreeMap<String, usize>,
}

/// The values of a run.
#[derive(Debug, Default)]
pub(crate) struct Records {
    values: BTreeMap<(u64, Role), f64>,
    at: BTreeMap<u64, At>,
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

    pub fn keys(&self) -> impl Iterator<Item = &RunKey> {
        self.runs.iter().map(|(key, _)| key)
    }

    pub fn len(&self) -> usize {
        self.runs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.runs.iter().all(|(_, records)| records.values.is_empty())
    }

    /// The runs that have a value.
    pub fn into_iter(self) -> impl Iterator<Item = (RunKey, Records)> {
        self.runs.into_iter().filter(|(_, records)| !records.values.is_empty())
    }
}

impl Records {
    /// Keeps a value; `false`: there is another one already.
    pub fn put(&mut self, step: u64, role: Role, value: f64, at: At) -> bool {
        self.at.insert(step, at);
        match self.values.entry((step, role)) {
            Entry::Vacant(place) => {
                place.insert(value);
                true
            }
            Entry::Occupied(place) => place.get().to_bits() == value.to_bits(),
        }
    }

    /// Steps and evaluations, in order. What is said of a step without a loss is no step of ours. Where nothing is said of epochs, an
    /// epoch is what lies between two evaluations.
    pub fn finish(self) -> (Vec<ImportedStep>, Vec<ImportedEval>) {
        let Records { values, at } = self;
        let get = |step: u64, role: Role| values.get(&(step, role)).copied();
        let mut steps = vec![];
        let mut evals = vec![];
        let counts = at.values().all(|at| at.epoch == 0);
        let mut ended = 0;
        for (step, At { mut epoch, examples, elapsed_ms }) in at {
            let is_evaluated = SPLITS.iter().any(|split| [false, true].iter().any(|of| get(step, Role::Eval(*split, *of)).is_some()));
            if counts {
                epoch = ended + u64::from(step > 0);
                ended += u64::from(is_evaluated && step > 0);
            }
            if let Some(loss) = get(step, Role::Loss) {
                let [accuracy, lr, grad_norm] = [Role::Accuracy, Role::Lr, Role::GradNorm].map(|role| get(step, role));
                steps.push(ImportedStep { step, epoch, examples, loss, accuracy, lr, grad_norm, elapsed_ms });
            }
            for split in SPLITS {
                let [loss, accuracy] = [false, true].map(|is_accuracy| get(step, Role::Eval(split, is_accuracy)));
                if loss.is_some() || accuracy.is_some() {
                    evals.push(ImportedEval { split, step, epoch, examples, loss, accuracy, elapsed_ms });
                }
            }
        }
        (steps, evals)
    }
}
