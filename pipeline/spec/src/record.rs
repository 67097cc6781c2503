//! What a run emits while it trains. The engine writes these into a [`Sink`]; the tracker stores them.

use crate::metric::Split;

/// One optimizer update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Counted from 1.
    pub step: u64,
    /// Counted from 1.
    pub epoch: u64,
    /// Examples seen so far, this batch included.
    pub examples: u64,
    /// Mean cross-entropy of the batch in nats, before the update. May be non-finite.
    pub loss: f64,
    /// Share of the batch classified right, before the update; `None` where nothing is classified.
    pub accuracy: Option<f64>,
    /// Learning rate of this update.
    pub lr: f64,
    /// Euclidean norm of the gradient over all parameters. May be non-finite.
    pub grad_norm: f64,
    /// Training time since the run began, evaluations not counted, in milliseconds.
    pub elapsed_ms: f64,
}

/// Metrics on a split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Eval {
    /// The update after which it was taken; 0 is before the first.
    pub step: u64,
    pub epoch: u64,
    pub split: Split,
    /// How many examples of the split were read.
    pub examples: u64,
    /// Mean cross-entropy in nats. May be non-finite.
    pub loss: f64,
    /// `None` where nothing is classified.
    pub accuracy: Option<f64>,
    /// Gradient noise scale in examples: trace of the gradients' covariance over the square of their mean's norm (McCandlish et al.
    /// 2018, appendix A.1). `None` where it was not measured, or noise hides the mean.
    pub noise_scale: Option<f64>,
    /// Training time until then, evaluations not counted, in milliseconds.
    pub elapsed_ms: f64,
}

/// Where a descent on a surface stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    /// The update that led there; 0 is the start.
    pub step: u64,
    pub x: f64,
    pub y: f64,
}

/// A number that a run found out, under a name of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    pub name: String,
    /// May be non-finite.
    pub value: f64,
}

/// A picture that a run made, such as one channel of a layer's output for one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub name: String,
    pub height: u32,
    pub width: u32,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: u32,
    /// height · width · channels bytes, row by row.
    pub pixels: Vec<u8>,
}

/// The test split by what each example is and what it was taken for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    pub classes: usize,
    /// \[label, predicted\], row by row. An example without a prediction (no logit is the largest) is in none.
    pub examples: Vec<u32>,
}

/// What is known of a run once its network is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Trainable numbers.
    pub parameters: u64,
    /// Floating-point operations of one step on a whole batch: 2 per multiply-add, forward and backward.
    pub flops_per_step: u64,
    /// Estimated memory of the training: parameters, optimizer state, activations and their gradients, the layers' own.
    pub memory_bytes: u64,
    /// Steps of a run that is not cut short.
    pub planned_steps: u64,
    pub device: String,
    /// Threads that it started with; it may have been given more later.
    pub threads: u32,
    /// Of its network, if it has one.
    pub layers: Vec<LayerFacts>,
    /// Names of the dataset's classes, if it has any.
    pub classes: Vec<String>,
}

/// What is known of a layer once its network is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerFacts {
    /// The layer as it stands in a run's identity.
    pub text: String,
    /// Shape of one example's output.
    pub output: Vec<usize>,
    /// Trainable numbers.
    pub parameters: u64,
    /// Of one example's forward pass.
    pub multiply_adds: u64,
}

impl LayerFacts {
    /// Layers as one line of JSON.
    pub fn to_json(layers: &[LayerFacts]) -> String {
        let object = |l: &LayerFacts| serde_json::json!({ "text": l.text, "output": l.output, "parameters": l.parameters, "multiply_adds": l.multiply_adds });
        serde_json::Value::Array(layers.iter().map(object).collect()).to_string()
    }

    /// Layers from their JSON; what is not such a list has none.
    pub fn from_json(text: &str) -> Vec<LayerFacts> {
        let list: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        let layer = |value: &serde_json::Value| {
            let sizes = value["output"].as_array()?.iter().map(|size| usize::try_from(size.as_u64()?).ok());
            Some(LayerFacts {
                text: value["text"].as_str()?.to_owned(),
                output: sizes.collect::<Option<_>>()?,
                parameters: value["parameters"].as_u64()?,
                multiply_adds: value["multiply_adds"].as_u64()?,
            })
        };
        list.as_array().and_then(|list| list.iter().map(layer).collect()).unwrap_or_default()
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Completed,
    /// The loss became non-finite or exceeded its limit. A result, not an error.
    Diverged,
    StoppedEarly,
    /// An error or a panic.
    Failed,
    /// Cut short from outside; it will be run again.
    Interrupted,
}

impl Outcome {
    pub const ALL: [Outcome; 5] = [Outcome::Completed, Outcome::Diverged, Outcome::StoppedEarly, Outcome::Failed, Outcome::Interrupted];

    pub fn name(self) -> &'static str {
        match self {
            Outcome::Completed => "completed",
            Outcome::Diverged => "diverged",
            Outcome::StoppedEarly => "stopped_early",
            Outcome::Failed => "failed",
            Outcome::Interrupted => "interrupted",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Outcome::ALL.into_iter().find(|o| o.name() == name)
    }

    /// Whether the run is a result that need not be trained again.
    pub fn is_result(self) -> bool {
        matches!(self, Outcome::Completed | Outcome::Diverged | Outcome::StoppedEarly)
    }
}

/// The storage behind a [`Sink`] has failed; training on would lose steps.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct SinkError(pub String);

/// Where a run's records go.
pub trait Sink {
    /// Called once, before the first record.
    ///
    /// # Errors
    /// When the storage behind it has failed.
    fn begin(&mut self, facts: &Facts) -> Result<(), SinkError>;

    /// Called after every optimizer update.
    ///
    /// # Errors
    /// When the storage behind it has failed.
    fn step(&mut self, step: &Step) -> Result<(), SinkError>;

    /// Called for every evaluation.
    ///
    /// # Errors
    /// When the storage behind it has failed.
    fn eval(&mut self, eval: &Eval) -> Result<(), SinkError>;

    /// Called for every place of a descent on a surface.
    ///
    /// # Errors
    /// When the storage behind it has failed.
    fn position(&mut self, position: &Position) -> Result<(), SinkError>;

    /// Called for what a run finds out beyond its curves; each name once.
    ///
    /// # Errors
    /// When the storage behind it has failed.
    fn measurement(&mut self, measurement: &Measurement) -> Result<(), SinkError>;

    /// Called once, when the test split was evaluated.
    ///
    /// # Errors
    /// When the storage behind it has failed.
    fn confusion(&mut self, confusion: &Confusion) -> Result<(), SinkError>;

    /// Called for every picture; each name once.
    ///
    /// # Errors
    /// When the storage behind it has failed.
    fn picture(&mut self, picture: &Picture) -> Result<(), SinkError>;

    /// Whether the run should end after the current batch.
    fn interrupted(&self) -> bool {
        false
    }

    /// Whether it is time to keep what the run could go on from; asked after every step, and after the evaluations of an epoch
    /// (`at_epoch_end`).
    fn wants_checkpoint(&self, _at_epoch_end: bool) -> bool {
        false
    }

    /// Keeps what the run can go on from after `step`: whatever `write` writes. All that was recorded before is kept first.
    ///
    /// # Errors
    /// When the storage behind it has failed so that the run can't go on; a checkpoint that could not be kept is no such error.
    fn checkpoint(&mut self, _step: u64, _write: &mut WriteState<'_>) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Writes the state of a training.
pub type WriteState<'a> = dyn FnMut(&mut dyn std::io::Write) -> std::io::Result<()> + 'a;
