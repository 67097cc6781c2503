//! Optimizers: one file each. A rule is written once, over [`Number`], and serves single floats in a fused CPU loop and whole
//! tensors on other devices.
//!
//! To add one: a file here with a type that implements [`Rule`] and a `choice()`, and an arm in [`choices`] and [`new`].
//! All are checked step by step against PyTorch in `tests/reference/`.

mod adagrad;
mod adam;
mod adamw;
mod number;
mod rmsprop;
mod sgd;

use candle_core::{Result, Tensor};
use spec::config::Missing;
use spec::{Choice, Config, Key};

use crate::kernel::{Apply, Real, vectorized};
use number::Deferred;
pub(crate) use number::Number;

/// The optimizers that a grid file can name.
pub fn choices() -> Vec<Choice> {
    vec![sgd::choice(), rmsprop::choice(), adagrad::choice(), adam::choice(), adamw::choice()]
}

/// The optimizer of a configuration.
pub(crate) fn new(config: &Config) -> std::result::Result<Box<dyn Optimizer>, Missing> {
    fn fused<R: Rule + 'static>(rule: R) -> Box<dyn Optimizer> {
        Box::new(Fused { rule, steps: 0, step: None })
    }
    match config.text("optimizer")? {
        "sgd" if config.float("momentum")? == 0.0 => Ok(fused(sgd::Plain::new(config)?)),
        "sgd" => Ok(fused(sgd::Momentum::new(config)?)),
        "rmsprop" => Ok(fused(rmsprop::RmsProp::new(config)?)),
        "adagrad" => Ok(fused(adagrad::Adagrad::new(config)?)),
        "adam" => Ok(fused(adam::Adam::new(config)?)),
        "adamw" => Ok(fused(adamw::AdamW::new(config)?)),
        _ => Err(Missing("optimizer".into())),
    }
}

/// Updates parameters: in place on the CPU ([`Apply`]), or as a composition of candle operations.
pub(crate) trait Optimizer: Apply<f32> + Apply<f64> + Send {
    /// Numbers remembered per weight, initially zero.
    fn states(&self) -> usize;

    /// Prepares the next step, which has this learning rate. To be called before each.
    fn begin(&mut self, lr: f64);

    /// How many steps were begun.
    fn steps(&mut self) -> &mut u64;

    /// The weights after the step; `state` holds as many tensors as there are states.
    fn compose(&self, weights: &Tensor, gradient: &Tensor, state: &mut [Tensor]) -> Result<Tensor>;
}

/// An element-wise update rule.
pub(crate) trait Rule: Send + Sync {
    /// Numbers remembered per weight (0, 1 or 2), initially zero.
    const STATES: usize;

    /// What is the same for all weights of a step.
    type Step: Copy + Send + Sync;

    /// Prepares step `t`, counted from 1.
    fn begin(&self, lr: f64, t: u64) -> Self::Step;

    /// The new weight for weight `w` with gradient `g`; `state` has `STATES` entries.
    fn update<N: Number>(step: Self::Step, w: &N, g: &N, state: &mut [N]) -> N;
}

/// A rule at a step.
struct Fused<R: Rule> {
    rule: R,
    steps: u64,
    step: Option<R::Step>,
}

impl<R: Rule> Optimizer for Fused<R> {
    fn states(&self) -> usize {
        R::STATES
    }

    fn begin(&mut self, lr: f64) {
        self.steps += 1;
        self.step = Some(self.rule.begin(lr, self.steps));
    }

    fn steps(&mut self) -> &mut u64 {
        &mut self.steps
    }

    fn compose(&self, weights: &Tensor, gradient: &Tensor, state: &mut [Tensor]) -> Result<Tensor> {
        let Some(step) = self.step else { candle_core::bail!("an update before its step was begun") };
        let mut deferred: Vec<Deferred> = state.iter().map(|s| Deferred::new(s.clone())).collect();
        let new = R::update(step, &Deferred::new(weights.clone()), &Deferred::new(gradient.clone()), &mut deferred).tensor()?;
        for (state, deferred) in state.iter_mut().zip(deferred) {
            *state = deferred.tensor()?;
        }
        Ok(new)
    }
}

impl<R: Rule, T: Real + Number> Apply<T> for Fused<R> {
    fn apply(&self, weights: &mut [T], gradient: &[T], state: &mut [&mut [T]]) {
        let Some(step) = self.step else { return };
        vectorized(
            #[inline(always)]
            || match state {
                [] => {
                    for (w, g) in weights.iter_mut().zip(gradient) {
                        *w = R::update(step, w, g, &mut []);
                    }
                }
                [a] => {
                    for ((w, g), a) in weights.iter_mut().zip(gradient).zip(a.iter_mut()) {
                        *w = R::update(step, w, g, std::slice::from_mut(a));
                    }
                }
                [a, b, ..] => {
                    for ((w, g), (a, b)) in weights.iter_mut().zip(gradient).zip(a.iter_mut().zip(b.iter_mut())) {
                        let mut state = [*a, *b];
                        *w = R::update(step, w, g, &mut state);
                        [*a, *b] = state;
                    }
                }
            },
        );
    }
}

/// `weight_decay`, whose meaning (added to the gradient, or decoupled) is the optimizer's.
fn weight_decay(default: f64, doc: &'static str) -> Key {
    Key::float("weight_decay", 0.0..=10.0, default, doc)
}

/// The small number that keeps a division finite.
fn eps(default: f64) -> Key {
    Key::float("eps", 0.0..=1.0, default, "added to the denominator to keep it from zero")
}

#[cfg(test)]
pub(crate) mod tests;
