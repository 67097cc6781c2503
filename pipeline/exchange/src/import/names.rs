//! What the names of columns and tags mean: metrics are called differently everywhere.

use spec::{Metric, Split};

use crate::error::Error;

/// What a column or tag holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Step,
    Epoch,
    Examples,
    Seed,
    /// Milliseconds per unit of it.
    Elapsed(u32),
    /// Of a step.
    Loss,
    Accuracy,
    Lr,
    GradNorm,
    /// Of an evaluation.
    Eval(Split, bool),
    /// Tells arms apart, under this key.
    Axis(String),
    Ignored,
}

/// A meaning, and names that people and programs give it (in small letters, words joined by `_`).
const SYNONYMS: &[(Role, &[&str])] = &[
    (Role::Step, &["step", "global_step", "iteration", "iter", "_step", "update", "updates"]),
    (Role::Epoch, &["epoch"]),
    (Role::Examples, &["examples", "samples", "examples_seen"]),
    (Role::Seed, &["seed", "random_seed", "replicate"]),
    (Role::Elapsed(1), &["elapsed_ms"]),
    (Role::Elapsed(1000), &["elapsed_s", "elapsed", "seconds"]),
    (Role::Loss, &["loss", "batch_loss", "train_loss_step", "train_step_loss"]),
    (Role::Accuracy, &["accuracy", "acc", "batch_accuracy", "train_accuracy_step", "train_acc_step"]),
    (Role::Lr, &["lr", "learning_rate"]),
    (Role::GradNorm, &["grad_norm", "gradient_norm", "grad_2_norm"]),
    (Role::Eval(Split::Train, false), &["train_loss", "training_loss", "train_loss_epoch", "train_epoch_loss"]),
    (Role::Eval(Split::Train, true), &["train_accuracy", "train_acc", "training_accuracy", "train_accuracy_epoch", "train_epoch_accuracy"]),
    (
        Role::Eval(Split::Validation, false),
        &["validation_loss", "val_loss", "valid_loss", "dev_loss", "eval_loss", "validation_epoch_loss"],
    ),
    (
        Role::Eval(Split::Validation, true),
        &[
            "validation_accuracy",
            "validation_acc",
            "val_accuracy",
            "val_acc",
            "valid_accuracy",
            "valid_acc",
            "dev_accuracy",
            "eval_accuracy",
            "validation_epoch_accuracy",
        ],
    ),
    (Role::Eval(Split::Test, false), &["test_loss"]),
    (Role::Eval(Split::Test, true), &["test_accuracy", "test_acc"]),
];

/// Names that the user can say a name means.
const OURS: &str = "step, epoch, examples, seed, elapsed_ms, elapsed_s, loss, accuracy, lr, grad_norm, train_loss, train_accuracy, \
                    validation_loss, validation_accuracy, test_loss, test_accuracy, ignore";

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
        let role = |meaning: &str| match meaning {
            "ignore" => Some(Role::Ignored),
            meaning => usual(meaning),
        };
        let own = own.iter().map(|(theirs, ours)| {
            let role = role(ours).ok_or_else(|| Error::Input(format!("--map {theirs}={ours}: `{ours}` is none of {OURS}")))?;
            Ok((theirs.clone(), role))
        });
        Ok(Names { own: own.collect::<Result<_, Error>>()?, axes: axes.map(<[String]>::to_vec) })
    }

    /// What a column holds. One that is none of ours tells arms apart, unless others were named.
    pub(crate) fn column(&self, name: &str) -> Role {
        if self.axes.as_ref().is_some_and(|axes| axes.iter().any(|axis| axis == name)) {
            return Role::Axis(name.to_owned());
        }
        if let Some((_, role)) = self.own.iter().find(|(theirs, _)| theirs == name) {
            return role.clone();
        }
        match usual(name) {
            Some(role) => role,
            None if self.axes.is_some() => Role::Ignored,
            None => Role::Axis(name.to_owned()),
        }
    }

    /// What a tag holds, if anything: its last parts may be enough.
    pub(crate) fn tag(&self, tag: &str) -> Option<Role> {
        if let Some((_, role)) = self.own.iter().find(|(theirs, _)| theirs == tag) {
            return Some(role.clone());
        }
        let is_metric = |role: &Role| matches!(role, Role::Loss | Role::Accuracy | Role::Lr | Role::GradNorm | Role::Eval(..));
        usual(tag).filter(is_metric)
    }

    /// The names of axes that the user gave.
    pub(crate) fn axes(&self) -> Option<&[String]> {
        self.axes.as_deref()
    }
}

/// What a name means everywhere.
fn usual(name: &str) -> Option<Role> {
    let name: String = name.trim().to_lowercase().chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    let known = |(role, names): &(Role, &[&str])| names.contains(&name.as_str()).then(|| role.clone());
    // Ours are among them.
    debug_assert!(Metric::ALL.iter().all(|m| SYNONYMS.iter().any(|(_, names)| names.contains(&m.name()))));
    SYNONYMS.iter().find_map(known)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on panics")]

    use super::*;

    #[test]
    fn names_of_other_programs_are_known() {
        let names = Names::new(&[("my metric".into(), "validation_accuracy".into()), ("junk".into(), "ignore".into())], None).unwrap();
        let column = |name: &str| names.column(name);
        // Keras' CSVLogger, Lightning's, W&B's export.
        assert_eq!(column("val_accuracy"), Role::Eval(Split::Validation, true));
        assert_eq!(column("train_loss_step"), Role::Loss);
        assert_eq!(column("Step"), Role::Step);
        assert_eq!(column("my metric"), Role::Eval(Split::Validation, true));
        assert_eq!(column("junk"), Role::Ignored);
        assert_eq!(column("optimizer"), Role::Axis("optimizer".into()));
        assert_eq!(names.tag("validation/loss"), Some(Role::Eval(Split::Validation, false)));
        assert_eq!(names.tag("weights/norm"), None);
        // A rate that is named as an axis is one.
        let names = Names::new(&[], Some(&["lr".to_owned()])).unwrap();
        assert_eq!((names.column("lr"), names.column("optimizer")), (Role::Axis("lr".into()), Role::Ignored));
        assert!(Names::new(&[("a".into(), "b".into())], None).unwrap_err().to_string().contains("`b` is none of step, epoch"));
    }
}
