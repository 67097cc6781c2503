//! What an update rule may do with weights: arithmetic on single floats or on whole tensors.

use std::rc::Rc;

use candle_core::{Error, Result, Tensor};

use crate::kernel::Real;

/// A float, or a tensor that is computed element by element.
pub(crate) trait Number: Clone {
    fn add(&self, other: &Self) -> Self;
    fn sub(&self, other: &Self) -> Self;
    fn mul(&self, other: &Self) -> Self;
    fn div(&self, other: &Self) -> Self;
    fn sqrt(&self) -> Self;
    /// Times a constant.
    fn scale(&self, factor: f64) -> Self;
    /// Plus a constant.
    fn offset(&self, term: f64) -> Self;

    /// `self · (1 − t) + other · t`.
    #[inline(always)]
    fn mix(&self, other: &Self, t: f64) -> Self {
        self.scale(1.0 - t).add(&other.scale(t))
    }
}

impl<T: Real> Number for T {
    #[inline(always)]
    fn add(&self, other: &Self) -> Self {
        *self + *other
    }
    #[inline(always)]
    fn sub(&self, other: &Self) -> Self {
        *self - *other
    }
    #[inline(always)]
    fn mul(&self, other: &Self) -> Self {
        *self * *other
    }
    #[inline(always)]
    fn div(&self, other: &Self) -> Self {
        *self / *other
    }
    #[inline(always)]
    fn sqrt(&self) -> Self {
        self.root()
    }
    #[inline(always)]
    fn scale(&self, factor: f64) -> Self {
        *self * T::of(factor)
    }
    #[inline(always)]
    fn offset(&self, term: f64) -> Self {
        *self + T::of(term)
    }
}

/// A tensor on its way through a rule. The first error is kept until the result is asked for, so that rules read as formulas.
#[derive(Clone)]
pub(crate) struct Deferred(std::result::Result<Tensor, Rc<Error>>);

impl Deferred {
    pub(crate) fn new(tensor: Tensor) -> Self {
        Deferred(Ok(tensor))
    }

    pub(crate) fn tensor(self) -> Result<Tensor> {
        self.0.map_err(|e| Error::Msg(e.to_string()))
    }

    fn then(&self, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Self {
        Deferred(self.0.as_ref().map_err(Rc::clone).and_then(|t| f(t).map_err(Rc::new)))
    }

    fn with(&self, other: &Self, f: impl FnOnce(&Tensor, &Tensor) -> Result<Tensor>) -> Self {
        match &other.0 {
            Ok(o) => self.then(|t| f(t, o)),
            Err(e) => Deferred(Err(Rc::clone(e))),
        }
    }
}

impl Number for Deferred {
    fn add(&self, other: &Self) -> Self {
        self.with(other, |a, b| a + b)
    }
    fn sub(&self, other: &Self) -> Self {
        self.with(other, |a, b| a - b)
    }
    fn mul(&self, other: &Self) -> Self {
        self.with(other, |a, b| a * b)
    }
    fn div(&self, other: &Self) -> Self {
        self.with(other, |a, b| a / b)
    }
    fn sqrt(&self) -> Self {
        self.then(Tensor::sqrt)
    }
    fn scale(&self, factor: f64) -> Self {
        self.then(|t| t.affine(factor, 0.0))
    }
    fn offset(&self, term: f64) -> Self {
        self.then(|t| t.affine(1.0, term))
    }
}
