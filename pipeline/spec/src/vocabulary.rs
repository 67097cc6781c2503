//! What a configuration may say: keys with their kinds, defaults and docs, and the choices that bring further keys.
//!
//! The keys of every run stand here; an optimizer, schedule, dataset or model declares its own keys where it lives, and the
//! validation of grid files, the JSON Schema and the error messages all follow from that one declaration.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use crate::model::Library;
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
    /// A text: one of these, or any if there are none.
    Text(Vec<String>),
    /// A parameter that several models have, each of its own kind: checked when an arm's model is known.
    Scalar,
    /// The name of one of the vocabulary's choices.
    Choice(Set),
}

/// The families of named choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    Objective,
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
    /// This value, and it stays out of the configuration wherever it holds: what a program of today says without the key is what
    /// one from before the key said, and it is the same run.
    Neutral(Value),
}

impl Absent {
    /// What a key has that is not given, if anything.
    pub fn value(&self) -> Option<&Value> {
        match self {
            Absent::Is(value) | Absent::Neutral(value) => Some(value),
            Absent::Required | Absent::Omitted => None,
        }
    }
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
    /// The keys of every run, whatever it is about.
    pub common: Vec<Key>,
    pub objectives: Vec<Choice>,
    pub datasets: Vec<Choice>,
    pub models: Vec<Choice>,
    pub optimizers: Vec<Choice>,
    pub schedules: Vec<Choice>,
    /// What the models are; `models` follows from it.
    pub library: Library,
}

/// A name that lives as long as the program, such as those that the code declares. Each distinct one is kept once, and they come
/// from the few model files of a folder.
pub(crate) fn intern(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return known;
    }
    let kept: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(kept);
    kept
}

impl Kind {
    /// The value as this kind has it: a whole number is a number, too.
    ///
    /// # Errors
    /// What this kind takes instead, for messages. The range of a number is not looked at.
    pub fn fit(&self, value: &Value) -> Result<Value, String> {
        let takes = match (self, value) {
            (Kind::Float(_) | Kind::OpenFloat(..), Value::Int(_)) => return Ok(Value::Float(value.number().unwrap_or_default())),
            #[expect(clippy::cast_possible_truncation, reason = "a whole number below 1e15")]
            (Kind::Int(_), Value::Float(x)) if x.fract() == 0.0 && x.abs() < 1e15 => return Ok(Value::Int(*x as i64)),
            (Kind::Bool, Value::Bool(_))
            | (Kind::Int(_) | Kind::BatchSize, Value::Int(_))
            | (Kind::Float(_) | Kind::OpenFloat(..), Value::Float(_))
            | (Kind::Choice(_) | Kind::BatchSize, Value::Text(_))
            | (Kind::Scalar, _) => return Ok(value.clone()),
            (Kind::Text(options), Value::Text(text)) if options.is_empty() || options.iter().any(|o| o == text) => return Ok(value.clone()),
            (Kind::Bool, _) => "true or false".to_owned(),
            (Kind::Int(_), _) => "a whole number".to_owned(),
            (Kind::Float(_) | Kind::OpenFloat(..), _) => "a number".to_owned(),
            (Kind::BatchSize, _) => "a number of examples or \"full\"".to_owned(),
            (Kind::Text(options), _) if options.is_empty() => "a text".to_owned(),
            (Kind::Text(options), _) => format!("one of {}", options.join(", ")),
            (Kind::Choice(set), _) => format!("the name of a {} in quotes", set.key()),
        };
        Err(takes)
    }

    /// Whether ranges of it make sense.
    pub fn is_number(&self) -> bool {
        !matches!(self, Kind::Bool | Kind::Text(_) | Kind::Choice(_))
    }
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

    /// A key whose default is as if it did not exist.
    pub fn neutral(name: &'static str, kind: Kind, value: Value, doc: &'static str) -> Self {
        Key { name, kind, default: Absent::Neutral(value), doc }
    }

    /// A switch that is off unless said otherwise.
    pub fn switch(name: &'static str, doc: &'static str) -> Self {
        Key { name, kind: Kind::Bool, default: Absent::Is(Value::Bool(false)), doc }
    }
}

impl Vocabulary {
    /// The built-in objectives and models, joined with what the engine offers.
    pub fn new(datasets: Vec<Choice>, optimizers: Vec<Choice>, schedules: Vec<Choice>) -> Self {
        let kind = Kind::Choice(Set::Objective);
        let common = vec![Key::neutral("objective", kind, Value::Text("classification".into()), "what is descended on, or checked")];
        let library = Library::built_in();
        Vocabulary { common, objectives: objectives(), datasets, models: library.choices(), optimizers, schedules, library }
    }

    /// The same with other models.
    #[must_use]
    pub fn with_models(&self, library: Library) -> Self {
        Vocabulary { models: library.choices(), library, ..self.clone() }
    }

    /// The choices of a family.
    pub fn set(&self, set: Set) -> &[Choice] {
        match set {
            Set::Objective => &self.objectives,
            Set::Dataset => &self.datasets,
            Set::Model => &self.models,
            Set::Optimizer => &self.optimizers,
            Set::Schedule => &self.schedules,
        }
    }

    fn choices(&self) -> impl Iterator<Item = &Choice> {
        [&self.objectives, &self.datasets, &self.models, &self.optimizers, &self.schedules].into_iter().flatten()
    }

    /// Every key with the choice that brings it (`None`: a key of every run).
    pub fn keys(&self) -> impl Iterator<Item = (Option<&Choice>, &Key)> {
        let common = self.common.iter().map(|k| (None, k));
        common.chain(self.choices().flat_map(|c| c.keys.iter().map(move |k| (Some(c), k))))
    }

    /// The first declaration of a key with that name.
    pub fn key(&self, name: &str) -> Option<&Key> {
        self.keys().map(|(_, k)| k).find(|k| k.name == name)
    }

    /// What a key takes wherever it exists. Choices that share a key share its kind, except for models: their files don't know
    /// each other.
    pub fn declared(&self, name: &str) -> Option<Cow<'_, Key>> {
        let mut found = self.keys().map(|(_, k)| k).filter(|k| k.name == name);
        let first = found.next()?;
        let of_models = || self.models.iter().flat_map(|c| &c.keys).filter(|k| k.name == name);
        if of_models().any(|k| k.kind != first.kind) {
            return Some(Cow::Owned(Key { kind: Kind::Scalar, ..first.clone() }));
        }
        Some(Cow::Borrowed(first))
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
            Set::Objective => "objective",
            Set::Dataset => "dataset",
            Set::Model => "model",
            Set::Optimizer => "optimizer",
            Set::Schedule => "schedule",
        }
    }

    /// The objective first: it says which of the others there are.
    pub const ALL: [Set; 5] = [Set::Objective, Set::Dataset, Set::Model, Set::Optimizer, Set::Schedule];
}

/// What a run can be about. Optimizers, schedules and their keys are the same for all that descend.
fn objectives() -> Vec<Choice> {
    let classification = Choice {
        name: "classification",
        doc: "a network learns the labels of a dataset",
        keys: [descent_keys(), classification_keys()].concat(),
    };
    let surface = Choice {
        name: "surface",
        doc: "an optimizer descends on an analytic surface z = f(x, y)",
        keys: [descent_keys(), surface_keys()].concat(),
    };
    let gradients = Choice {
        name: "convolution-gradients",
        doc: "hand-derived gradients of a convolution with global average pooling, compared with autograd, kernels and finite differences",
        keys: vec![
            Key::required(
                "matrices",
                words(&["worked", "worked-asymmetric", "random"]),
                "input and filter: those of a worked example, with a filter that is itself when turned or one that is not, or drawn from the seed",
            ),
            Key::int("input_size", 2..=64, 3, "side of the square input"),
            Key::int("filter_size", 1..=64, 2, "side of the square filter"),
        ],
    };
    vec![classification, surface, gradients]
}

/// One of a few words.
fn words(words: &[&str]) -> Kind {
    Kind::Text(words.iter().map(|w| (*w).to_owned()).collect())
}

fn count() -> Kind {
    Kind::Int(1..=1_000_000_000)
}

/// Whatever descends has an optimizer, a learning rate and a length.
fn descent_keys() -> Vec<Key> {
    vec![
        Key::required("optimizer", Kind::Choice(Set::Optimizer), "the rule that turns gradients into updates"),
        Key::required("lr", Kind::OpenFloat(0.0, 1e6), "learning rate; the schedule multiplies it"),
        Key {
            name: "schedule",
            kind: Kind::Choice(Set::Schedule),
            default: Absent::Is(Value::Text("constant".into())),
            doc: "how the learning rate changes from step to step",
        },
        Key::int("warmup_steps", 0..=1_000_000_000, 0, "steps over which the rate rises linearly to lr before the schedule starts"),
        Key::neutral(
            "clip_norm",
            Kind::Float(0.0..=1e9),
            Value::Float(0.0),
            "a gradient with a larger Euclidean norm is scaled down to this one; 0: none is",
        ),
        Key {
            name: "divergence_factor",
            kind: Kind::OpenFloat(1.0, 1e300),
            default: Absent::Is(Value::Float(10_000.0)),
            doc: "a loss above this multiple of the first step's loss ends the run as diverged, as does a non-finite loss",
        },
    ]
}

/// What training a network needs beyond that.
fn classification_keys() -> Vec<Key> {
    vec![
        Key::required("dataset", Kind::Choice(Set::Dataset), "the examples and labels to learn"),
        Key::required("model", Kind::Choice(Set::Model), "the network"),
        Key::required("batch_size", Kind::BatchSize, "examples per step, or \"full\" for the whole training set"),
        Key::optional("epochs", count(), "passes over the training set; give either epochs or steps"),
        Key::optional("steps", count(), "optimizer updates; give either epochs or steps"),
        Key::optional("train_examples", count(), "use only so many training examples (chosen by split_seed)"),
        Key::float("validation_fraction", 0.0..=0.9, 0.1, "share of the training part held out for validation"),
        Key::int(
            "split_seed",
            0..=i64::MAX,
            0,
            "seed of the validation split; the same for all replicates, so that they are compared on the same images",
        ),
        Key::neutral(
            "normalize",
            words(&["standard", "unit", "channel"]),
            Value::Text("standard".into()),
            "scale of the inputs: mean 0 and deviation 1 over the training part, 0 to 1, or mean 0 and deviation 1 in each channel",
        ),
        Key::neutral("augment_flip", Kind::Bool, Value::Bool(false), "mirror every second training image, left to right"),
        Key::neutral(
            "augment_crop",
            Kind::Int(0..=1024),
            Value::Int(0),
            "put so many black pixels around each training image and cut a window of its size from that",
        ),
        Key::neutral(
            "augment_rotate",
            Kind::Float(0.0..=180.0),
            Value::Float(0.0),
            "rotate each training image by an angle up to so many degrees, either way",
        ),
        Key::neutral(
            "augment_noise",
            Kind::Float(0.0..=1.0),
            Value::Float(0.0),
            "add normal noise of this deviation to each training example, whose numbers go from 0 to 1 here",
        ),
        Key::neutral(
            "augment_cutout",
            Kind::Int(0..=1024),
            Value::Int(0),
            "hide a square of this side in each training image, at a place that changes",
        ),
        Key::int("eval_train_examples", 1..=1_000_000_000, 1000, "how many training examples the evaluation after each epoch reads"),
        Key::neutral(
            "init",
            words(&["auto", "he", "glorot"]),
            Value::Text("auto".into()),
            "distribution of initial weights: He before ReLU and its like and Glorot elsewhere, or one of them everywhere (Keras: glorot)",
        ),
        Key::neutral(
            "accumulate",
            Kind::Int(1..=65_536),
            Value::Int(1),
            "parts that each batch is cut into; gradients of the parts are added up before the update, which saves memory",
        ),
        Key::neutral(
            "label_smoothing",
            Kind::Float(0.0..=0.99),
            Value::Float(0.0),
            "share of the target that is spread evenly over all classes; evaluations take the true labels",
        ),
        Key::optional(
            "ema_decay",
            Kind::OpenFloat(0.0, 1.0),
            "evaluate an exponential moving average of the weights: this much of it is kept at every step",
        ),
        Key::optional(
            "patience",
            count(),
            "stop early: after so many epochs without a better validation loss, and test the weights of the best epoch",
        ),
        Key::neutral(
            "min_improvement",
            Kind::Float(0.0..=1e6),
            Value::Float(0.0),
            "by how much a validation loss must be below the best one to count as better for `patience`",
        ),
        Key::neutral(
            "noise_scale",
            Kind::Bool,
            Value::Bool(false),
            "measure the gradient noise scale after each epoch, on eval_train_examples training examples",
        ),
        Key::optional(
            "feature_maps",
            count(),
            "keep the output of the layer with this number (see `pipeline summary`) for one test image as a picture",
        ),
    ]
}

fn surface_keys() -> Vec<Key> {
    let place = Kind::Float(-1e6..=1e6);
    vec![
        Key::required("steps", count(), "optimizer updates"),
        Key::required("surface", words(&SURFACES), "the function of x and y"),
        Key::required("start_x", place.clone(), "where the descent starts"),
        Key::required("start_y", place, "where the descent starts"),
        Key::neutral(
            "gradient_noise",
            Kind::Float(0.0..=1e6),
            Value::Float(0.0),
            "standard deviation of the normal noise on each component of the gradient",
        ),
        Key::neutral("condition", Kind::Float(1.0..=1e12), Value::Float(1.0), "condition number of the quadratic surface"),
    ]
}

/// Analytic surfaces; `engine::surface` has their formulas.
pub const SURFACES: [&str; 5] = ["saddle", "monkey-saddle", "rosenbrock", "beale", "quadratic"];

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
    // Nothing is called like that, and comparing takes time and memory.
    if word.len() > 100 {
        return None;
    }
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
    if let Some((_, key)) = SYNONYMS.iter().find(|(other, _)| *other == word) {
        return Some(key);
    }
    let candidates: Vec<&str> = candidates.into_iter().collect();
    // A parameter of a model, written without saying so.
    let parameter = candidates.iter().find(|c| c.strip_prefix("model.") == Some(word));
    parameter.copied().or_else(|| suggest(word, candidates))
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
