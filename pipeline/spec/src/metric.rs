//! Metrics: what is measured on which split, and which direction is better.

use std::fmt;
use std::str::FromStr;

/// A part of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Split {
    Train,
    Validation,
    Test,
}

impl Split {
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
        }
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    /// Mean cross-entropy in nats.
    Loss,
    /// Share of examples classified right, 0 to 1.
    Accuracy,
}

/// A quantity on a split, such as `validation_accuracy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metric {
    pub split: Split,
    pub quantity: Quantity,
}

impl Metric {
    pub const ALL: [Metric; 6] = {
        let (l, a) = (Quantity::Loss, Quantity::Accuracy);
        [
            Metric { split: Split::Train, quantity: l },
            Metric { split: Split::Train, quantity: a },
            Metric { split: Split::Validation, quantity: l },
            Metric { split: Split::Validation, quantity: a },
            Metric { split: Split::Test, quantity: l },
            Metric { split: Split::Test, quantity: a },
        ]
    };

    /// The name used in grid files, tables and the database.
    pub fn name(self) -> &'static str {
        match (self.split, self.quantity) {
            (Split::Train, Quantity::Loss) => "train_loss",
            (Split::Train, Quantity::Accuracy) => "train_accuracy",
            (Split::Validation, Quantity::Loss) => "validation_loss",
            (Split::Validation, Quantity::Accuracy) => "validation_accuracy",
            (Split::Test, Quantity::Loss) => "test_loss",
            (Split::Test, Quantity::Accuracy) => "test_accuracy",
        }
    }

    pub fn higher_is_better(self) -> bool {
        self.quantity == Quantity::Accuracy
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Metric {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        Metric::ALL.into_iter().find(|m| m.name() == s).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for m in Metric::ALL {
            assert_eq!(m.name().parse(), Ok(m));
        }
        assert_eq!("accuracy".parse::<Metric>(), Err(()));
    }
}
