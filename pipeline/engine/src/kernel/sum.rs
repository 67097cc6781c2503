//! Sums of several inputs.

use super::Real;
use super::elementwise::add;
use super::learn::Target;

/// y = Σ inputs
pub(crate) fn sum<T: Real>(inputs: &[&[T]], y: &mut [T]) {
    let Some((first, rest)) = inputs.split_first() else { return };
    y.copy_from_slice(first);
    for x in rest {
        add(y, x);
    }
}

/// Every input of [`sum()`] gets the whole gradient.
pub(crate) fn sum_backward<T: Real>(dy: &[T], dx: &mut [Option<Target<'_, T>>]) {
    for target in dx.iter_mut().flatten() {
        if target.add {
            add(target.to, dy);
        } else {
            target.to.copy_from_slice(dy);
        }
    }
}
