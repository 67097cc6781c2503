//! Stochastic gradient descent, with heavy-ball or Nesterov momentum (Sutskever et al. 2013, in PyTorch's formulation:
//! v ← momentum · v + g; w ← w − lr · v, for Nesterov w ← w − lr · (g + momentum · v)).

use spec::config::Missing;
use spec::{Choice, Config, Key};

use super::{Number, Rule, weight_decay};

pub(super) fn choice() -> Choice {
    Choice {
        name: "sgd",
        doc: "stochastic gradient descent; momentum and Nesterov's variant as keys",
        keys: vec![
            Key::float("momentum", 0.0..=0.9999, 0.0, "share of the previous update that is kept"),
            Key::switch("nesterov", "look ahead along the momentum before taking the gradient step"),
            weight_decay(0.0, "L2 penalty: this multiple of the weights is added to the gradient"),
        ],
    }
}

/// Without momentum there is nothing to remember.
#[derive(Clone, Copy)]
pub(super) struct Plain {
    weight_decay: f64,
}

impl Plain {
    pub(super) fn new(config: &Config) -> Result<Self, Missing> {
        Ok(Plain { weight_decay: config.float("weight_decay")? })
    }
}

impl Rule for Plain {
    const STATES: usize = 0;
    type Step = (Plain, f64);

    fn begin(&self, lr: f64, _: u64) -> (Plain, f64) {
        (*self, lr)
    }

    #[inline(always)]
    fn update<N: Number>((sgd, lr): (Plain, f64), w: &N, g: &N, _: &mut [N]) -> N {
        w.sub(&g.add(&w.scale(sgd.weight_decay)).scale(lr))
    }
}

#[derive(Clone, Copy)]
pub(super) struct Momentum {
    kept: f64,
    nesterov: bool,
    weight_decay: f64,
}

impl Momentum {
    pub(super) fn new(config: &Config) -> Result<Self, Missing> {
        let (kept, nesterov) = (config.float("momentum")?, config.switch("nesterov")?);
        Ok(Momentum { kept, nesterov, weight_decay: config.float("weight_decay")? })
    }
}

impl Rule for Momentum {
    const STATES: usize = 1;
    type Step = (Momentum, f64);

    fn begin(&self, lr: f64, _: u64) -> (Momentum, f64) {
        (*self, lr)
    }

    #[inline(always)]
    fn update<N: Number>((sgd, lr): (Momentum, f64), w: &N, g: &N, state: &mut [N]) -> N {
        let g = g.add(&w.scale(sgd.weight_decay));
        let velocity = state[0].scale(sgd.kept).add(&g);
        let direction = if sgd.nesterov { g.add(&velocity.scale(sgd.kept)) } else { velocity.clone() };
        state[0] = velocity;
        w.sub(&direction.scale(lr))
    }
}
