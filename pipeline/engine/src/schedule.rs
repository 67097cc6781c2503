//! Learning-rate schedules: the rate of every step, as a multiple of `lr`.
//!
//! To add one: a variant with its formula, an arm in [`Schedule::new`], an entry in [`choices`]. Checked against PyTorch's
//! schedulers in `tests/reference/`.

use spec::config::Missing;
use spec::{Choice, Config, Key, Kind, vocabulary::Absent};

/// A schedule with its warm-up. Steps are counted from 0 here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    lr: f64,
    warmup_steps: u64,
    /// Steps after the warm-up.
    steps: u64,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Constant,
    /// lr · gamma^⌊t / step_size⌋
    Step {
        step_size: u64,
        gamma: f64,
    },
    /// lr · gamma^t
    Exponential {
        gamma: f64,
    },
    /// lr / (1 + decay · t)
    InverseTime {
        decay: f64,
    },
    /// lr · (end_lr / lr)^(t / (steps − 1)) (Smith 2017, *Cyclical learning rates*, section 3.3, with a logarithmic axis)
    RangeTest {
        end_lr: f64,
    },
    /// From lr to min_lr along half a cosine (Loshchilov & Hutter 2017, equation 5, without restarts).
    Cosine {
        min_lr: f64,
    },
}

/// The schedules that a grid file can name.
pub fn choices() -> Vec<Choice> {
    let required = |name, lo, hi, doc| Key { name, kind: Kind::OpenFloat(lo, hi), default: Absent::Required, doc };
    let choice = |name, doc, keys| Choice { name, doc, keys };
    vec![
        choice("constant", "the rate stays lr", vec![]),
        choice(
            "step",
            "the rate is multiplied by gamma every step_size steps",
            vec![
                Key::required("step_size", Kind::Int(1..=1_000_000_000), "steps between two drops of the rate"),
                required("gamma", 0.0, 1.000_000_1, "factor by which the rate shrinks"),
            ],
        ),
        choice(
            "exponential",
            "the rate is multiplied by gamma after every step",
            vec![required("gamma", 0.0, 1.000_000_1, "factor by which the rate shrinks")],
        ),
        choice(
            "inverse_time",
            "the rate is lr / (1 + decay * step)",
            vec![required("decay", 0.0, 1e6, "how fast the rate falls: after 1/decay steps it is half of lr")],
        ),
        choice(
            "range_test",
            "the rate goes from lr to end_lr, by the same factor in every step; `pipeline find-lr` runs it",
            vec![required("end_lr", 0.0, 1e6, "the rate of the last step")],
        ),
        choice(
            "cosine",
            "the rate falls to min_lr along half a cosine over the whole training",
            vec![Key::float("min_lr", 0.0..=1e6, 0.0, "the rate at the end")],
        ),
    ]
}

impl Schedule {
    /// The schedule of a configuration for a training of `total_steps`.
    ///
    /// # Errors
    /// When the configuration lacks a key of the schedule; not for one that a grid file produced.
    pub fn new(config: &Config, total_steps: u64) -> Result<Self, Missing> {
        let shape = match config.text("schedule")? {
            "constant" => Shape::Constant,
            "step" => Shape::Step { step_size: config.count("step_size")?.max(1) as u64, gamma: config.float("gamma")? },
            "exponential" => Shape::Exponential { gamma: config.float("gamma")? },
            "inverse_time" => Shape::InverseTime { decay: config.float("decay")? },
            "range_test" => Shape::RangeTest { end_lr: config.float("end_lr")? },
            "cosine" => Shape::Cosine { min_lr: config.float("min_lr")? },
            _ => return Err(Missing("schedule".into())),
        };
        let warmup_steps = config.count("warmup_steps")? as u64;
        Ok(Schedule { lr: config.float("lr")?, warmup_steps, steps: total_steps.saturating_sub(warmup_steps), shape })
    }

    /// The learning rate of a step (0-based). During the warm-up it is lr · (step + 1) / warmup_steps.
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.lr * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let t = step - self.warmup_steps;
        match self.shape {
            Shape::Constant => self.lr,
            Shape::Step { step_size, gamma } => self.lr * gamma.powf((t / step_size) as f64),
            Shape::Exponential { gamma } => self.lr * gamma.powf(t as f64),
            Shape::InverseTime { decay } => self.lr / (1.0 + decay * t as f64),
            Shape::RangeTest { end_lr } => {
                let progress = t as f64 / (self.steps.max(2) - 1) as f64;
                self.lr * (end_lr / self.lr).powf(progress)
            }
            Shape::Cosine { min_lr } => {
                let progress = t as f64 / self.steps.max(1) as f64;
                min_lr + (self.lr - min_lr) * (1.0 + (std::f64::consts::PI * progress).cos()) / 2.0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::tests::config_from;

    #[test]
    fn a_range_test_goes_from_end_to_end_by_equal_factors() {
        let config = config_from(&serde_json::json!({ "schedule": "range_test", "lr": 1e-4, "end_lr": 1.0, "warmup_steps": 0 }));
        let schedule = Schedule::new(&config, 5).unwrap();
        for (t, expected) in [1e-4, 1e-3, 1e-2, 1e-1, 1.0].into_iter().enumerate() {
            assert!((schedule.rate(t as u64) / expected - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn agrees_with_pytorch() {
        let cases: serde_json::Value = serde_json::from_str(include_str!("../tests/reference/schedules.json")).unwrap();
        for case in cases.as_array().unwrap() {
            let mut config = config_from(&case["config"]);
            config.insert("schedule", spec::Value::Text(case["schedule"].as_str().unwrap().to_owned().into()));
            config.insert("lr", spec::Value::Float(case["lr"].as_f64().unwrap()));
            let schedule = Schedule::new(&config, case["total_steps"].as_u64().unwrap()).unwrap();
            for (t, expected) in case["values"].as_array().unwrap().iter().enumerate() {
                let (got, expected) = (schedule.rate(t as u64), expected.as_f64().unwrap());
                assert!((got - expected).abs() <= 1e-12 * expected.abs() + 1e-15, "{} step {t}: {got} {expected}", case["name"]);
            }
        }
    }
}
