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

use candle_core::{Result, Tensor, Var};
use spec::config::Missing;
use spec::{Choice, Config, Key};

use crate::kernel::{Real, edit, slices, with_real};
use crate::layer::Path;
use number::Deferred;
pub(crate) use number::Number;

/// The optimizers that a grid file can name.
pub fn choices() -> Vec<Choice> {
    vec![sgd::choice(), rmsprop::choice(), adagrad::choice(), adam::choice(), adamw::choice()]
}

/// The optimizer of a configuration.
pub(crate) fn new(config: &Config, path: Path) -> std::result::Result<Box<dyn Optimizer>, Missing> {
    fn fused<R: Rule + 'static>(rule: R, path: Path) -> Box<dyn Optimizer> {
        Box::new(Fused { rule, path, steps: 0, states: vec![] })
    }
    match config.text("optimizer")? {
        "sgd" => Ok(fused(sgd::Sgd::new(config)?, path)),
        "rmsprop" => Ok(fused(rmsprop::RmsProp::new(config)?, path)),
        "adagrad" => Ok(fused(adagrad::Adagrad::new(config)?, path)),
        "adam" => Ok(fused(adam::Adam::new(config)?, path)),
        "adamw" => Ok(fused(adamw::AdamW::new(config)?, path)),
        _ => Err(Missing("optimizer".into())),
    }
}

/// Updates parameters in place.
pub(crate) trait Optimizer: Send {
    /// One update with a learning rate. Parameters and gradients come in the same order every time.
    fn step(&mut self, parameters: &[Var], gradients: &[Tensor], lr: f64) -> Result<()>;
}

/// An element-wise update rule.
pub(crate) trait Rule: Send {
    /// Numbers remembered per weight (1 or 2), initially zero.
    const STATES: usize;

    /// What is the same for all weights of a step.
    type Step: Copy;

    /// Prepares step `t`, counted from 1.
    fn begin(&self, lr: f64, t: u64) -> Self::Step;

    /// The new weight for weight `w` with gradient `g`; `state` has `STATES` entries.
    fn update<N: Number>(step: Self::Step, w: &N, g: &N, state: &mut [N]) -> N;
}

/// A rule with its state.
struct Fused<R> {
    rule: R,
    path: Path,
    steps: u64,
    /// Per parameter: `STATES` tensors of its shape.
    states: Vec<Vec<Tensor>>,
}

impl<R: Rule> Optimizer for Fused<R> {
    fn step(&mut self, parameters: &[Var], gradients: &[Tensor], lr: f64) -> Result<()> {
        if self.states.is_empty() {
            let zeros = |p: &Var| (0..R::STATES).map(|_| p.as_detached_tensor().zeros_like()).collect::<Result<_>>();
            self.states = parameters.iter().map(zeros).collect::<Result<_>>()?;
        }
        self.steps += 1;
        let step = self.rule.begin(lr, self.steps);
        for ((p, g), state) in parameters.iter().zip(gradients).zip(&mut self.states) {
            match self.path {
                Path::Kernels => with_real!(p, T => in_place::<T, R>(step, p, g, state))?,
                Path::Composed => {
                    let mut deferred: Vec<Deferred> = state.iter().map(|s| Deferred::new(s.clone())).collect();
                    let w = R::update(step, &Deferred::new(p.as_detached_tensor()), &Deferred::new(g.clone()), &mut deferred);
                    p.set(&w.tensor()?)?;
                    *state = deferred.into_iter().map(Deferred::tensor).collect::<Result<_>>()?;
                }
            }
        }
        Ok(())
    }
}

/// One pass over a parameter, its gradient and its state.
fn in_place<T: Real + Number, R: Rule>(step: R::Step, p: &Var, g: &Tensor, state: &[Tensor]) -> Result<()> {
    slices::<T, _, 1>([g], |[g]| {
        edit::<T>(p, |w| match state {
            [a] => edit::<T>(a, |a| {
                for ((w, g), a) in w.iter_mut().zip(g).zip(a) {
                    *w = R::update(step, w, g, std::slice::from_mut(a));
                }
                Ok(())
            }),
            [a, b] => edit::<T>(a, |a| {
                edit::<T>(b, |b| {
                    for ((w, g), (a, b)) in w.iter_mut().zip(g).zip(a.iter_mut().zip(b)) {
                        let mut state = [*a, *b];
                        *w = R::update(step, w, g, &mut state);
                        [*a, *b] = state;
                    }
                    Ok(())
                })
            }),
            other => candle_core::bail!("a rule with {} states has no kernel", other.len()),
        })
    })?
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
