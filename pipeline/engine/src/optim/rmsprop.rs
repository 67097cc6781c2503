//! RMSprop (Tieleman & Hinton 2012), as in PyTorch: not centred, eps outside the root, optional momentum.

use spec::config::Missing;
use spec::{Choice, Config, Key};

use super::{Number, Rule, eps, weight_decay};

pub(super) fn choice() -> Choice {
    Choice {
        name: "rmsprop",
        doc: "divides each gradient by a running root mean square of its size",
        keys: vec![
            Key::float("alpha", 0.0..=0.999_999, 0.99, "smoothing of the mean square"),
            eps(1e-8),
            Key::float("momentum", 0.0..=0.9999, 0.0, "share of the previous update that is kept"),
            weight_decay(0.0, "L2 penalty: this multiple of the weights is added to the gradient"),
        ],
    }
}

#[derive(Clone, Copy)]
pub(super) struct RmsProp {
    alpha: f64,
    eps: f64,
    momentum: f64,
    weight_decay: f64,
}

impl RmsProp {
    pub(super) fn new(config: &Config) -> Result<Self, Missing> {
        let get = |key| config.float(key);
        Ok(RmsProp { alpha: get("alpha")?, eps: get("eps")?, momentum: get("momentum")?, weight_decay: get("weight_decay")? })
    }
}

impl Rule for RmsProp {
    const STATES: usize = 2;
    type Step = (RmsProp, f64);

    fn begin(&self, lr: f64, _: u64) -> (RmsProp, f64) {
        (*self, lr)
    }

    #[inline(always)]
    fn update<N: Number>((rule, lr): (RmsProp, f64), w: &N, g: &N, state: &mut [N]) -> N {
        let g = g.add(&w.scale(rule.weight_decay));
        state[0] = state[0].scale(rule.alpha).add(&g.mul(&g).scale(1.0 - rule.alpha));
        let normalized = g.div(&state[0].sqrt().offset(rule.eps));
        state[1] = state[1].scale(rule.momentum).add(&normalized);
        w.sub(&state[1].scale(lr))
    }
}
