//! What a configuration may say: keys with their kinds, defaults and docs, and the choices that bring further keys.
//!
//! The keys of every run stand here; an optimizer, schedule, dataset or model declares its own keys where it lives, and the
//! validation of grid files, the JSON Schema and the error messages all follow from that one declaration.

use std::ops::RangeInclusive;

use crate::model;
use crate::value::Value;

/// What values a key takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Bool,
    /// An integer in an inclusive range.
    Int(RangeInclusive<i64>),
    /// A finite number in an inclusive range.
    Float(RangeInclusive<f64>),
    /// A finite number strictly between two bounds.
    OpenFloat(f64, f64),
    /// A positive number of examples, or `"full"` for the whole training set.
    BatchSize,
    /// The name of one of the vocabulary's choices.
    Choice(Set),
}

/// The families of named choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    Dataset,
    Model,
    Optimizer,
    Schedule,
}

/// One configuration key.
#[derive(Clone, Debug)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    pub default: Absent,
    pub doc: &'static str,
}

/// What holds when a key is not given.
#[derive(Clone, Debug, PartialEq)]
pub enum Absent {
    /// An error: there is no sensible value to assume.
    Required,
    /// The key stays out of the configuration.
    Omitted,
    /// This value.
    Is(Value),
}

/// A named dataset, model, optimizer or schedule, with the keys that only exist when it is chosen.
#[derive(Clone, Debug)]
pub struct Choice {
    pub name: &'static str,
    pub doc: &'static str,
    pub keys: Vec<Key>,
}

/// Everything a grid file can name.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    pub common: Vec<Key>,
    pub datasets: Vec<Choice>,
    pub models: Vec<Choice>,
    pub optimizers: Vec<Choice>,
    pub schedules: Vec<Choice>,
}

impl Key {
    /// A key that must be given.
    pub fn required(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Key { name, kind, default: Absent::Required, doc }
    }

    /// A key that may be left out and then has no value.
    pub fn optional(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Key { name, kind, default: Absent::Omitted, doc }
    }

    /// A number with a default.
    pub fn float(name: &'static str, range: RangeInclusive<f64>, default: f64, doc: &'static str) -> Self {
        Key { name, kind: Kind::Float(range), default: Absent::Is(Value::Float(default)), doc }
    }

    /// An integer with a default.
    pub fn int(name: &'static str, range: RangeInclusive<i64>, default: i64, doc: &'static str) -> Self {
        Key { name, kind: Kind::Int(range), default: Absent::Is(Value::Int(default)), doc }
    }

    /// A switch that is off unless said otherwise.
    pub fn switch(name: &'static str, doc: &'static str) -> Self {
        Key { name, kind: Kind::Bool, default: Absent::Is(Value::Bool(false)), doc }
    }
}

impl Vocabulary {
    /// The keys of every run and the built-in models, joined with what the engine offers.
    pub fn new(datasets: Vec<Choice>, optimizers: Vec<Choice>, schedules: Vec<Choice>) -> Self {
        Vocabulary { common: common_keys(), datasets, models: model::choices(), optimizers, schedules }
    }

    /// The choices of a family.
    pub fn set(&self, set: Set) -> &[Choice] {
        match set {
            Set::Dataset => &self.datasets,
            Set::Model => &self.models,
            Set::Optimizer => &self.optimizers,
            Set::Schedule => &self.schedules,
        }
    }

    fn choices(&self) -> impl Iterator<Item = &Choice> {
        [&self.datasets, &self.models, &self.optimizers, &self.schedules].into_iter().flatten()
    }

    /// Every key with the choice that brings it (`None`: a key of every run).
    pub fn keys(&self) -> impl Iterator<Item = (Option<&Choice>, &Key)> {
        let common = self.common.iter().map(|k| (None, k));
        common.chain(self.choices().flat_map(|c| c.keys.iter().map(move |k| (Some(c), k))))
    }

    /// The first declaration of a key with that name. Where several choices share a key they share its kind.
    pub fn key(&self, name: &str) -> Option<&Key> {
        self.keys().map(|(_, k)| k).find(|k| k.name == name)
    }

    /// The names of the choices under which a key exists.
    pub fn owners(&self, key: &str) -> Vec<&'static str> {
        self.choices().filter(|c| c.keys.iter().any(|k| k.name == key)).map(|c| c.name).collect()
    }
}

impl Set {
    /// The configuration key that names a member of this family.
    pub fn key(self) -> &'static str {
        match self {
            Set::Dataset => "dataset",
            Set::Model => "model",
            Set::Optimizer => "optimizer",
            Set::Schedule => "schedule",
        }
    }

    pub const ALL: [Set; 4] = [Set::Dataset, Set::Model, Set::Optimizer, Set::Schedule];
}

/// The keys that every run has, whatever it trains.
fn common_keys() -> Vec<Key> {
    let count = || Kind::Int(1..=1_000_000_000);
    vec![
        Key::required("dataset", Kind::Choice(Set::Dataset), "the images and labels to learn"),
        Key::required("model", Kind::Choice(Set::Model), "the network"),
        Key::required("optimizer", Kind::Choice(Set::Optimizer), "the rule that turns gradients into updates"),
        Key::required("lr", Kind::OpenFloat(0.0, 1e6), "learning rate; the schedule multiplies it"),
        Key::required("batch_size", Kind::BatchSize, "examples per step, or \"full\" for the whole training set"),
        Key::optional("epochs", count(), "passes over the training set; give either epochs or steps"),
        Key::optional("steps", count(), "optimizer updates; give either epochs or steps"),
        Key {
            name: "schedule",
            kind: Kind::Choice(Set::Schedule),
            default: Absent::Is(Value::Text("constant".into())),
            doc: "how the learning rate changes from step to step",
        },
        Key::int("warmup_steps", 0..=1_000_000_000, 0, "steps over which the rate rises linearly to lr before the schedule starts"),
        Key::optional("train_examples", count(), "use only so many training examples (chosen by split_seed)"),
        Key::float("validation_fraction", 0.0..=0.9, 0.1, "share of the training part held out for validation"),
        Key::int(
            "split_seed",
            0..=i64::MAX,
            0,
            "seed of the validation split; the same for all replicates, so that they are compared on the same images",
        ),
        Key::int("eval_train_examples", 1..=1_000_000_000, 1000, "how many training examples the evaluation after each epoch reads"),
        Key {
            name: "divergence_factor",
            kind: Kind::OpenFloat(1.0, 1e300),
            default: Absent::Is(Value::Float(10_000.0)),
            doc: "a loss above this multiple of the first step's loss ends the run as diverged, as does a non-finite loss",
        },
    ]
}

/// Names people use for our keys, where the spelling is too far away to be guessed.
const SYNONYMS: &[(&str, &str)] = &[
    ("alpha0", "lr"),
    ("batch", "batch_size"),
    ("bs", "batch_size"),
    ("data", "dataset"),
    ("eta", "lr"),
    ("learning_rate", "lr"),
    ("max_epochs", "epochs"),
    ("max_steps", "steps"),
    ("net", "model"),
    ("network", "model"),
    ("num_epochs", "epochs"),
    ("scheduler", "schedule"),
    ("wd", "weight_decay"),
    ("seed", "[replicates] seeds"),
    ("seeds", "[replicates] seeds"),
];

/// The candidate that a misspelt word most likely meant, if any is close.
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let candidates: Vec<&str> = candidates.into_iter().collect();
    if let Some(longer) = candidates.iter().find(|c| lower.len() >= 4 && c.starts_with(&lower)) {
        return Some(longer);
    }
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&lower, c), strsim::jaro_winkler(&lower, c), c))
        .filter(|(distance, similarity, c)| *distance <= 1 + c.len() / 4 || *similarity > 0.88)
        .min_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)))
        .map(|(_, _, c)| c)
}

/// As [`suggest`], for configuration keys: common other names of a key are known too.
pub fn suggest_key<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    SYNONYMS.iter().find(|(other, _)| *other == word).map(|(_, key)| *key).or_else(|| suggest(word, candidates))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_are_close_or_absent() {
        let names = ["sgd", "rmsprop", "adagrad", "adam", "adamw"];
        assert_eq!(suggest("Adma", names), Some("adam"));
        assert_eq!(suggest("rms_prop", names), Some("rmsprop"));
        assert_eq!(suggest("lbfgs", names), None);
        assert_eq!(suggest("validation_acc", ["validation_loss", "validation_accuracy"]), Some("validation_accuracy"));
        assert_eq!(suggest_key("learning_rate", ["lr"]), Some("lr"));
    }
}
