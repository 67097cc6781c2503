//! Channels of several images, one after another.

use super::Real;
use super::learn::Target;

/// y \[pixels, Σ widths\] from the inputs \[pixels, width\].
pub(crate) fn concat<T: Real>(inputs: &[&[T]], widths: &[usize], y: &mut [T]) {
    let total: usize = widths.iter().sum();
    let mut first = 0;
    for (x, &width) in inputs.iter().zip(widths) {
        for (y, x) in y.chunks_exact_mut(total).zip(x.chunks_exact(width)) {
            y[first..first + width].copy_from_slice(x);
        }
        first += width;
    }
}

/// Takes the gradient to [`concat()`]'s output apart.
pub(crate) fn concat_backward<T: Real>(dy: &[T], widths: &[usize], dx: &mut [Option<Target<'_, T>>]) {
    let total: usize = widths.iter().sum();
    let mut first = 0;
    for (dx, &width) in dx.iter_mut().zip(widths) {
        if let Some(Target { to, add }) = dx {
            for (dx, dy) in to.chunks_exact_mut(width).zip(dy.chunks_exact(total)) {
                let dy = &dy[first..first + width];
                if *add {
                    dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx += *dy);
                } else {
                    dx.copy_from_slice(dy);
                }
            }
        }
        first += width;
    }
}
