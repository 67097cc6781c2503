//! Loops over single elements and over the channels of pixels.

use super::Real;
use super::simd::{Program, Vector, run, vectorized};

/// Sets the gradient `dy` behind a ReLU with output `y` to zero where the output is zero, as in PyTorch, and adds each
/// channel's sum over the pixels to `sums`. Without a ReLU (`y` is `None`) it only sums.
pub(super) fn mask_and_sum<T: Real>(y: Option<&[T]>, dy: &mut [T], sums: &mut [T]) {
    assert!(y.is_none_or(|y| y.len() == dy.len()) && dy.len().is_multiple_of(sums.len()), "pixels of as many channels");
    run(MaskAndSum { y, dy, sums });
}

struct MaskAndSum<'a, T> {
    y: Option<&'a [T]>,
    dy: &'a mut [T],
    sums: &'a mut [T],
}

impl<T: Real> Program<T> for MaskAndSum<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Vector<T>>(self) {
        let channels = self.sums.len();
        // SAFETY: the caller grants the instructions; each group of channels lies inside its pixel, and the pixels inside `dy`
        // and `y`, which are equally long.
        unsafe {
            for first in (0..channels).step_by(V::LANES) {
                let width = V::LANES.min(channels - first);
                // Two sums, so that an addition need not wait for the one before it.
                let mut sums = [V::zero(); 2];
                let pixels = self.dy.len() / channels;
                for pixel in 0..pixels {
                    let at = pixel * channels + first;
                    let to = self.dy.as_mut_ptr().add(at);
                    let mut dz = V::load_first(to, width);
                    if let Some(y) = self.y {
                        let zero = V::zero();
                        [dz, _] = V::load_first(y.as_ptr().add(at), width).if_exceeds(zero, [(dz, zero), (zero, zero)]);
                        dz.store_first(to, width);
                    }
                    sums = [sums[1], sums[0].add(dz)];
                }
                let sum = sums[0].add(sums[1]);
                let to = self.sums.as_mut_ptr().add(first);
                V::load_first(to, width).add(sum).store_first(to, width);
            }
        }
    }
}

/// `to += from`
pub(crate) fn add<T: Real>(to: &mut [T], from: &[T]) {
    vectorized(
        #[inline(always)]
        || {
            for (t, f) in to.iter_mut().zip(from) {
                *t += *f;
            }
        },
    );
}

/// `average ← kept · average + (1 − kept) · values`
pub(crate) fn mix<T: Real>(average: &mut [T], values: &[T], kept: f64) {
    let (kept, new) = (T::of(kept), T::of(1.0 - kept));
    vectorized(
        #[inline(always)]
        || {
            for (a, v) in average.iter_mut().zip(values) {
                *a = *a * kept + *v * new;
            }
        },
    );
}

/// Adds up equal parts that stand one after another into the first; returns it.
pub(super) fn sum_parts<T: Real>(parts: &mut [T], len: usize) -> &mut [T] {
    let (first, rest) = parts.split_at_mut(len);
    for part in rest.chunks_exact(len) {
        add(first, part);
    }
    first
}
