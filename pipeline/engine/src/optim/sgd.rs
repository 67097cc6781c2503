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

#[derive(Clone, Copy)]
pub(super) struct Sgd {
    momentum: f64,
    nesterov: bool,
    weight_decay: f64,
}

impl Sgd {
    pub(super) fn new(config: &Config) -> Result<Self, Missing> {
        Ok(Sgd { momentum: config.float("momentum")?, nesterov: config.switch("nesterov")?, weight_decay: config.float("weight_decay")? })
    }
}

impl Rule for Sgd {
    const STATES: usize = 1;
    type Step = (Sgd, f64);

    fn begin(&self, lr: f64, _: u64) -> (Sgd, f64) {
        (*self, lr)
    }

    fn update<N: Number>((sgd, lr): (Sgd, f64), w: &N, g: &N, state: &mut [N]) -> N {
        let g = g.add(&w.scale(sgd.weight_decay));
        let velocity = state[0].scale(sgd.momentum).add(&g);
        let direction = if sgd.nesterov { g.add(&velocity.scale(sgd.momentum)) } else { velocity.clone() };
        state[0] = velocity;
        w.sub(&direction.scale(lr))
    }
}
