//! What the names of columns and tags mean: metrics are called differently everywhere.

use spec::Split;

use crate::error::Error;

/// What a column or tag holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Step,
    Epoch,
    Examples,
    Seed,
    /// Names a run; runs of one arm that differ in nothing else are its replicates.
    Run,
    /// Milliseconds per unit of it, since the run began.
    Elapsed(u32),
    /// Seconds since 1970.
    WallTime,
    /// Says which split the row's loss and accuracy are of.
    Split,
    /// Says which metric the row's value is of.
    MetricName,
    Value,
    Metric(MetricRole),
    /// Tells arms apart, under this key.
    Axis(String),
    Ignored,
}

/// A metric that has a column in our tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricRole {
    /// Of a step.
    Loss,
    Accuracy,
    Lr,
    GradNorm,
    /// Of an evaluation; whether it is the accuracy, else it is the loss.
    Eval(Split, bool),
}

impl MetricRole {
    /// How many there are.
    pub const COUNT: usize = 10;

    /// Its place among them.
    pub fn place(self) -> usize {
        match self {
            MetricRole::Loss => 0,
            MetricRole::Accuracy => 1,
            MetricRole::Lr => 2,
            MetricRole::GradNorm => 3,
            MetricRole::Eval(split, is_accuracy) => 4 + 2 * split as usize + usize::from(is_accuracy),
        }
    }

    /// The same metric on a split: a loss of a step is that of an evaluation then.
    pub fn on(self, split: Split) -> Self {
        match self {
            MetricRole::Loss => MetricRole::Eval(split, false),
            MetricRole::Accuracy => MetricRole::Eval(split, true),
            other => other,
        }
    }
}

/// Meanings of columns that hold no metric, and names that people and programs give them (small letters, words joined by `_`).
const SYNONYMS: &[(Role, &[&str])] = &[
    (Role::Step, &["step", "global_step", "iteration", "iter", "update", "updates"]),
    (Role::Epoch, &["epoch"]),
    (Role::Examples, &["examples", "samples", "examples_seen"]),
    (Role::Seed, &["seed", "random_seed", "replicate"]),
    (Role::Run, &["run", "run_id", "run_name", "run_uuid", "trial"]),
    (Role::Elapsed(1), &["elapsed_ms"]),
    (Role::Elapsed(1000), &["elapsed_s", "elapsed", "seconds"]),
    (Role::WallTime, &["wall_time"]),
    (Role::Split, &["split", "phase"]),
    (Role::MetricName, &["metric", "metric_name", "tag"]),
    (Role::Value, &["value", "metric_value"]),
    // Columns of our own tables that say nothing about an arm.
    (Role::Ignored, &["study", "finite", "noise_scale"]),
];

/// Names that the user can say a name means.
const OURS: &str = "step, epoch, examples, seed, run, elapsed_ms, elapsed_s, wall_time, split, metric, value, loss, accuracy, lr, grad_norm, \
                    train_loss, train_accuracy, validation_loss, validation_accuracy, test_loss, test_accuracy, ignore";

/// The user's own words first, then the usual ones.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    own: Vec<(String, Role)>,
    axes: Option<Vec<String>>,
}

impl Names {
    /// # Errors
    /// When a name is to mean what there is not.
    pub(crate) fn new(own: &[(String, String)], axes: Option<&[String]>) -> Result<Self, Error> {
        let own = own.iter().map(|(theirs, ours)| {
            let role = if ours == "ignore" { Some(Role::Ignored) } else { usual(ours) };
            let role = role.ok_or_else(|| Error::Input(format!("--map {theirs}={ours}: `{ours}` is none of {OURS}")))?;
            Ok((theirs.clone(), role))
        });
        Ok(Names { own: own.collect::<Result<_, Error>>()?, axes: axes.map(<[String]>::to_vec) })
    }

    fn named(&self, name: &str) -> Option<Role> {
        if self.axes.as_ref().is_some_and(|axes| axes.iter().any(|axis| axis == name)) {
            return Some(Role::Axis(name.to_owned()));
        }
        self.own.iter().find(|(theirs, _)| theirs == name).map(|(_, role)| role.clone())
    }

    /// What a column holds. One that is none of ours tells arms apart, unless others were named.
    pub(crate) fn column(&self, name: &str) -> Role {
        self.named(name).or_else(|| usual(name)).unwrap_or_else(|| match self.axes {
            Some(_) => Role::Ignored,
            None => Role::Axis(name.to_owned()),
        })
    }

    /// Which metric a tag (or the name of a metric in a cell) is, if it is one.
    pub(crate) fn metric(&self, tag: &str) -> Option<MetricRole> {
        match self.own.iter().find(|(theirs, _)| theirs == tag) {
            Some((_, Role::Metric(metric))) => Some(*metric),
            Some(_) => None,
            None => metric(&words(tag)),
        }
    }

    /// Whether the user has said something about a name, so that it needs no word of ours.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.own.iter().any(|(theirs, _)| theirs == name)
    }

    /// The names of axes that the user gave.
    pub(crate) fn axes(&self) -> Option<&[String]> {
        self.axes.as_deref()
    }
}

/// The split that a word stands for.
pub(crate) fn split(word: &str) -> Option<Split> {
    match word.to_ascii_lowercase().as_str() {
        "train" | "training" => Some(Split::Train),
        "validation" | "val" | "valid" | "dev" | "eval" => Some(Split::Validation),
        "test" | "testing" => Some(Split::Test),
        _ => None,
    }
}

fn words(name: &str) -> Vec<String> {
    let name = name.to_lowercase();
    name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// What a name means everywhere.
fn usual(name: &str) -> Option<Role> {
    let words = words(name);
    let joined = words.join("_");
    let known = |(role, names): &(Role, &[&str])| names.contains(&joined.as_str()).then(|| role.clone());
    SYNONYMS.iter().find_map(known).or_else(|| metric(&words).map(Role::Metric))
}

/// The metric that words are of, in any order: `val_loss`, `Loss/validation`, `train_acc_step`, `train/learning_rate`.
fn metric(words: &[String]) -> Option<MetricRole> {
    let (mut of, mut is_of_step, mut what) = (None, false, vec![]);
    for word in words {
        match (word.as_str(), split(word)) {
            ("step" | "batch" | "iteration", _) => is_of_step = true,
            ("epoch", _) => {}
            (_, Some(_)) if of.is_some() => return None,
            (_, Some(split)) => of = Some(split),
            (word, None) => what.push(word),
        }
    }
    let metric = match what.as_slice() {
        ["loss"] => MetricRole::Loss,
        ["accuracy" | "acc"] | ["categorical" | "binary", "accuracy"] | ["sparse", "categorical", "accuracy"] => MetricRole::Accuracy,
        ["lr", ..] | ["learning", "rate"] => MetricRole::Lr,
        ["grad" | "gradient", "norm"] | ["grad", "2", "norm"] => MetricRole::GradNorm,
        _ => return None,
    };
    match of {
        None => Some(metric),
        Some(Split::Train) if is_of_step => Some(metric),
        // A batch of another split is neither a step of ours nor an evaluation.
        Some(_) if is_of_step => None,
        Some(split) => Some(metric.on(split)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on panics")]

    use spec::Metric;

    use super::*;

    #[test]
    fn names_of_other_programs_are_known() {
        use MetricRole::{Accuracy, Eval, GradNorm, Loss, Lr};

        let own = [("my metric".to_owned(), "validation_accuracy".to_owned()), ("junk".to_owned(), "ignore".to_owned())];
        let names = Names::new(&own, None).unwrap();
        let metric = |name: &str| match names.column(name) {
            Role::Metric(metric) => Some(metric),
            _ => None,
        };
        // Keras' CSVLogger, Lightning's, the Trainer of Hugging Face, the example of PyTorch's SummaryWriter.
        for (name, expected) in [
            ("val_accuracy", Eval(Split::Validation, true)),
            ("sparse_categorical_accuracy", Accuracy),
            ("train_loss_step", Loss),
            ("train_loss_epoch", Eval(Split::Train, false)),
            ("lr-Adam", Lr),
            ("train/learning_rate", Lr),
            ("train/grad_norm", GradNorm),
            ("eval/loss", Eval(Split::Validation, false)),
            ("Loss/test", Eval(Split::Test, false)),
            ("my metric", Eval(Split::Validation, true)),
        ] {
            assert_eq!(metric(name), Some(expected), "{name}");
        }
        for metric_of_ours in Metric::ALL {
            assert!(matches!(metric(metric_of_ours.name()), Some(Eval(..))), "{metric_of_ours}");
        }
        assert_eq!(names.column("Step"), Role::Step);
        assert_eq!(names.column("Wall time"), Role::WallTime);
        assert_eq!(names.column("junk"), Role::Ignored);
        assert_eq!(names.column("optimizer"), Role::Axis("optimizer".into()));
        for other in ["weights/norm", "val_loss_step", "loss_scale", "train_test_loss", "my_loss_2"] {
            assert_eq!(names.metric(other), None, "{other}");
        }
    }

    #[test]
    fn the_user_has_the_first_word() {
        // A rate that is named as an axis is one.
        let names = Names::new(&[], Some(&["lr".to_owned()])).unwrap();
        assert_eq!((names.column("lr"), names.column("optimizer")), (Role::Axis("lr".into()), Role::Ignored));
        assert!(Names::new(&[("a".into(), "b".into())], None).unwrap_err().to_string().contains("`b` is none of step, epoch"));
    }

    #[test]
    fn every_metric_has_a_place() {
        use MetricRole::{Accuracy, Eval, GradNorm, Loss, Lr};
        let evals = [Split::Train, Split::Validation, Split::Test].into_iter().flat_map(|split| [Eval(split, false), Eval(split, true)]);
        let places: Vec<usize> = [Loss, Accuracy, Lr, GradNorm].into_iter().chain(evals).map(MetricRole::place).collect();
        assert_eq!(places, (0..MetricRole::COUNT).collect::<Vec<_>>());
    }
}
