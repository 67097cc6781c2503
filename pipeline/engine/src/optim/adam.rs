//! Adam (Kingma & Ba 2015, algorithm 1), as in PyTorch: weight decay is added to the gradient.

use spec::config::Missing;
use spec::{Choice, Config, Key, Kind, Value};

use super::{Number, Rule, eps, weight_decay};

pub(super) fn choice() -> Choice {
    Choice {
        name: "adam",
        doc: "momentum, divided by a running root mean square, both corrected for their start at zero",
        keys: keys(0.0, "L2 penalty: this multiple of the weights is added to the gradient"),
    }
}

/// The keys of Adam and its variants.
pub(super) fn keys(decay: f64, decay_doc: &'static str) -> Vec<Key> {
    vec![
        Key::float("beta1", 0.0..=0.999_999, 0.9, "smoothing of the mean gradient"),
        Key::float("beta2", 0.0..=0.999_999_9, 0.999, "smoothing of the mean square"),
        eps(1e-8),
        Key::neutral(
            "eps_hat",
            Kind::Bool,
            Value::Bool(false),
            "add eps before the correction of the mean square, as Keras does: it weighs more in the first steps",
        ),
        weight_decay(decay, decay_doc),
    ]
}

#[derive(Clone, Copy)]
pub(super) struct Adam {
    beta1: f64,
    beta2: f64,
    eps: f64,
    /// Whether `eps` is ε̂ of section 2.1: added before the correction of the mean square, not after.
    eps_hat: bool,
    pub(super) weight_decay: f64,
}

/// Adam at one step: the factors that hold for all weights.
#[derive(Clone, Copy)]
pub(super) struct AdamStep {
    pub(super) adam: Adam,
    /// lr / (1 − β₁ᵗ)
    rate: f64,
    /// 1 / √(1 − β₂ᵗ)
    root_correction: f64,
    /// Added to the corrected root.
    eps: f64,
}

impl Adam {
    pub(super) fn new(config: &Config) -> Result<Self, Missing> {
        let get = |key| config.float(key);
        let eps_hat = config.is_on("eps_hat");
        Ok(Adam { beta1: get("beta1")?, beta2: get("beta2")?, eps: get("eps")?, eps_hat, weight_decay: get("weight_decay")? })
    }
}

impl AdamStep {
    /// The update without weight decay.
    #[inline(always)]
    pub(super) fn apply<N: Number>(&self, w: &N, g: &N, state: &mut [N]) -> N {
        let Adam { beta1, beta2, .. } = self.adam;
        state[0] = state[0].mix(g, 1.0 - beta1);
        state[1] = state[1].scale(beta2).add(&g.mul(g).scale(1.0 - beta2));
        let denominator = state[1].sqrt().scale(self.root_correction).offset(self.eps);
        w.sub(&state[0].scale(self.rate).div(&denominator))
    }
}

impl Rule for Adam {
    const STATES: usize = 2;
    type Step = AdamStep;

    fn begin(&self, lr: f64, t: u64) -> AdamStep {
        let t = t as f64;
        let root_correction = 1.0 / (1.0 - self.beta2.powf(t)).sqrt();
        let eps = if self.eps_hat { self.eps * root_correction } else { self.eps };
        AdamStep { adam: *self, rate: lr / (1.0 - self.beta1.powf(t)), root_correction, eps }
    }

    #[inline(always)]
    fn update<N: Number>(step: AdamStep, w: &N, g: &N, state: &mut [N]) -> N {
        step.apply(w, &g.add(&w.scale(step.adam.weight_decay)), state)
    }
}
