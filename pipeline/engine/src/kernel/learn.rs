//! What happens to a gradient as soon as it is known: its norm is taken and the weights are updated, block by block, while
//! it is still in the cache.

use super::Real;
use super::simd::vectorized;
use super::team::{Parts, Team};

/// Numbers that are learned at a time: with weights and states they fit into the second-level cache.
const BLOCK: usize = 16_384;

/// An update rule at one step.
pub(crate) trait Apply<T>: Sync {
    /// Updates weights, given their gradient and what is remembered of them: as many slices as the rule has states.
    fn apply(&self, weights: &mut [T], gradient: &[T], state: &mut [&mut [T]]);
}

/// Learns nothing, but adds `share` times the gradient to what is remembered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gather {
    pub share: f64,
}

impl<T: Real> Apply<T> for Gather {
    fn apply(&self, _: &mut [T], gradient: &[T], state: &mut [&mut [T]]) {
        let share = T::of(self.share);
        for sums in state.iter_mut().take(1) {
            vectorized(
                #[inline(always)]
                || {
                    for (sum, g) in sums.iter_mut().zip(gradient) {
                        *sum += share * *g;
                    }
                },
            );
        }
    }
}

/// The gradient to an input: where it goes, and whether it is added to what is there.
pub(crate) struct Target<'a, T> {
    pub to: &'a mut [T],
    pub add: bool,
}

/// A trainable tensor during a backward pass.
pub(crate) struct Parameter<'a, T> {
    weights: Parts<'a, T>,
    len: usize,
    state: Vec<Parts<'a, T>>,
    /// `None`: nothing is learned, only the norm is taken.
    rule: Option<&'a dyn Apply<T>>,
}

impl<'a, T: Real> Parameter<'a, T> {
    /// `state` holds as many slices of the weights' length as the rule remembers numbers.
    pub(crate) fn new(weights: &'a mut [T], state: Vec<&'a mut [T]>, rule: Option<&'a dyn Apply<T>>) -> Self {
        let len = weights.len();
        Parameter { weights: Parts::new(weights), len, state: state.into_iter().map(Parts::new).collect(), rule }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All weights, as long as nothing is learned.
    pub(super) fn weights(&mut self) -> &[T] {
        // SAFETY: `&mut self`: nobody else learns.
        unsafe { self.weights.range(0, self.len) }
    }

    /// The weights from `start` on.
    ///
    /// # Safety
    /// While they are in use, nobody else may use or learn overlapping ones.
    pub(super) unsafe fn block(&self, start: usize, len: usize) -> &[T] {
        // SAFETY: passed on to the caller.
        unsafe { self.weights.range(start, len) }
    }

    /// Asks for weights and what is remembered of them, which will be used soon.
    pub(super) fn prefetch(&self, start: usize, len: usize) {
        self.weights.prefetch(start, len);
        for state in &self.state {
            state.prefetch(start, len);
        }
    }

    /// Learns from the gradient of the weights from `start` on; returns the gradient's sum of squares.
    ///
    /// # Safety
    /// Nobody else may use or learn overlapping weights at the same time.
    pub(super) unsafe fn learn_block(&self, start: usize, gradient: &[T]) -> f64 {
        if let Some(rule) = self.rule {
            // SAFETY: passed on to the caller.
            let weights = unsafe { self.weights.range(start, gradient.len()) };
            // SAFETY: passed on to the caller.
            let part = |i: usize| unsafe { self.state[i].range(start, gradient.len()) };
            match self.state.len() {
                0 => rule.apply(weights, gradient, &mut []),
                1 => rule.apply(weights, gradient, &mut [part(0)]),
                _ => rule.apply(weights, gradient, &mut [part(0), part(1)]),
            }
        }
        sum_of_squares(gradient)
    }

    /// Learns from the whole gradient; returns its sum of squares.
    pub(crate) fn learn(&mut self, team: &Team, gradient: &[T]) -> f64 {
        assert_eq!(gradient.len(), self.len, "a gradient has the shape of its weights");
        let mut squares = vec![0.0; gradient.len().div_ceil(BLOCK)];
        let sums = Parts::new(&mut squares);
        let this = &*self;
        team.run(gradient.len().div_ceil(BLOCK), 4 * gradient.len(), |i| {
            let (start, end) = (i * BLOCK, ((i + 1) * BLOCK).min(gradient.len()));
            // SAFETY: every task has its own block and its own sum; `&mut self` keeps others out.
            unsafe { sums.range(i, 1)[0] = this.learn_block(start, &gradient[start..end]) };
        });
        squares.into_iter().sum()
    }
}

/// Sum of squares with a fixed order: blocks of 1024 in 16 lanes of the working precision, blocks added up in `f64`.
///
/// A block whose squares overflow the working precision is added up in `f64` instead.
fn sum_of_squares<T: Real>(values: &[T]) -> f64 {
    const LANES: usize = 16;
    vectorized(
        #[inline(always)]
        || {
            let mut total = 0.0;
            for block in values.chunks(1024) {
                let mut lanes = [T::zero(); LANES];
                let (chunks, rest) = block.as_chunks::<LANES>();
                for chunk in chunks {
                    for (lane, x) in lanes.iter_mut().zip(chunk) {
                        *lane += *x * *x;
                    }
                }
                let rest = rest.iter().fold(T::zero(), |sum, x| sum + *x * *x);
                let sum = lanes.iter().fold(rest, |sum, x| sum + *x).wide();
                total += if sum.is_finite() { sum } else { block.iter().map(|x| x.wide() * x.wide()).sum() };
            }
            total
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "sums that are exact in floating point")]
    fn small_large_and_broken_values() {
        let counting: Vec<f32> = (1..=100u8).map(f32::from).collect();
        assert_eq!(sum_of_squares(&counting), 338_350.0);
        assert_eq!(sum_of_squares(&[1e30f32; 4]), 4.0 * f64::from(1e30f32).powi(2));
        assert!(sum_of_squares(&[1.0, f32::NAN]).is_nan());
    }
}
