//! Adagrad (Duchi, Hazan & Singer 2011), as in PyTorch without rate decay.

use spec::config::Missing;
use spec::{Choice, Config};

use super::{Number, Rule, eps, weight_decay};

pub(super) fn choice() -> Choice {
    Choice {
        name: "adagrad",
        doc: "divides each gradient by the root of the sum of its squares so far",
        keys: vec![eps(1e-10), weight_decay(0.0, "L2 penalty: this multiple of the weights is added to the gradient")],
    }
}

#[derive(Clone, Copy)]
pub(super) struct Adagrad {
    eps: f64,
    weight_decay: f64,
}

impl Adagrad {
    pub(super) fn new(config: &Config) -> Result<Self, Missing> {
        Ok(Adagrad { eps: config.float("eps")?, weight_decay: config.float("weight_decay")? })
    }
}

impl Rule for Adagrad {
    const STATES: usize = 1;
    type Step = (Adagrad, f64);

    fn begin(&self, lr: f64, _: u64) -> (Adagrad, f64) {
        (*self, lr)
    }

    #[inline(always)]
    fn update<N: Number>((rule, lr): (Adagrad, f64), w: &N, g: &N, state: &mut [N]) -> N {
        let g = g.add(&w.scale(rule.weight_decay));
        state[0] = state[0].add(&g.mul(&g));
        w.sub(&g.scale(lr).div(&state[0].sqrt().offset(rule.eps)))
    }
}
