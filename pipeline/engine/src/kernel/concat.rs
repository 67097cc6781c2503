//! Channels of several images, one after another.

use super::Real;
use super::learn::Target;
use super::team::{Parts, Team};

/// y \[batch, pixels, Σ widths\] from the inputs \[batch, pixels, width\].
pub(crate) fn concat<T: Real>(team: &Team, batch: usize, inputs: &[&[T]], widths: &[usize], y: &mut [T]) {
    let total: usize = widths.iter().sum();
    let (len, pixels) = (y.len() / batch, y.len() / batch / total);
    let work = 2 * y.len();
    let y = Parts::new(y);
    team.run(batch, work, |i| {
        // SAFETY: every task has its own image.
        let y = unsafe { y.range(i * len, len) };
        let mut first = 0;
        for (x, &width) in inputs.iter().zip(widths) {
            let x = &x[i * pixels * width..(i + 1) * pixels * width];
            for (y, x) in y.chunks_exact_mut(total).zip(x.chunks_exact(width)) {
                y[first..first + width].copy_from_slice(x);
            }
            first += width;
        }
    });
}

/// Takes the gradient to [`concat()`]'s output apart.
pub(crate) fn concat_backward<T: Real>(team: &Team, batch: usize, dy: &[T], widths: &[usize], dx: Vec<Option<Target<'_, T>>>) {
    let total: usize = widths.iter().sum();
    let (len, pixels) = (dy.len() / batch, dy.len() / batch / total);
    let dx: Vec<_> = dx.into_iter().map(|dx| dx.map(|Target { to, add }| (Parts::new(to), add))).collect();
    team.run(batch, 2 * dy.len(), |i| {
        let dy = &dy[i * len..(i + 1) * len];
        let mut first = 0;
        for (dx, &width) in dx.iter().zip(widths) {
            if let Some((to, add)) = dx {
                // SAFETY: every task has its own image.
                let to = unsafe { to.range(i * pixels * width, pixels * width) };
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
    });
}
