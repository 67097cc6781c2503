//! AdamW (Loshchilov & Hutter 2019, algorithm 2), as in PyTorch: the weights shrink by lr · weight_decay before Adam's update.

use spec::config::Missing;
use spec::{Choice, Config};

use super::adam::{Adam, AdamStep, keys};
use super::{Number, Rule};

pub(super) fn choice() -> Choice {
    Choice {
        name: "adamw",
        doc: "Adam with weight decay apart from the gradient",
        keys: keys(0.01, "share of each weight, times lr, that is taken off per step"),
    }
}

pub(super) struct AdamW(Adam);

impl AdamW {
    pub(super) fn new(config: &Config) -> Result<Self, Missing> {
        Adam::new(config).map(AdamW)
    }
}

impl Rule for AdamW {
    const STATES: usize = 2;
    /// Adam's step and the factor by which weights shrink.
    type Step = (AdamStep, f64);

    fn begin(&self, lr: f64, t: u64) -> (AdamStep, f64) {
        (self.0.begin(lr, t), 1.0 - lr * self.0.weight_decay)
    }

    #[inline(always)]
    fn update<N: Number>((step, shrink): (AdamStep, f64), w: &N, g: &N, state: &mut [N]) -> N {
        step.apply(&w.scale(shrink), g, state)
    }
}
