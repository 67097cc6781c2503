//! Dropout: in training, numbers are multiplied by a mask of zeros and 1 / (1 − rate).

use super::Real;
use super::learn::Target;
use super::memory::room;
use super::simd::vectorized;
use super::team::Parts;

/// A dropout of images of `len` numbers, and the masks of the last batch.
pub(crate) struct Dropout<T> {
    len: usize,
    masks: Vec<T>,
}

impl<T: Real> Dropout<T> {
    pub(crate) fn new(len: usize) -> Self {
        Dropout { len, masks: vec![] }
    }

    /// Numbers of memory for a batch in training.
    pub(crate) fn memory(&self, batch: usize) -> usize {
        batch * self.len
    }

    /// What computes the output of one image in training, with the mask that `draw(image, to)` writes.
    pub(crate) fn forward_images<'a>(
        &'a mut self,
        batch: usize,
        draw: impl Fn(usize, &mut [T]) + Sync + 'a,
    ) -> impl Fn(usize, &[T], &mut [T]) + Sync + 'a {
        let len = self.len;
        let masks = Parts::new(room(&mut self.masks, batch * len));
        move |i, x, y| {
            // SAFETY: every image has its own mask.
            let mask = unsafe { masks.range(i * len, len) };
            draw(i, mask);
            multiply(x, mask, Target { to: y, add: false });
        }
    }

    /// The gradient to one image of the last forward pass in training.
    pub(crate) fn backward_image(&self, i: usize, dy: &[T], dx: Target<'_, T>) {
        multiply(dy, &self.masks[i * self.len..(i + 1) * self.len], dx);
    }
}

fn multiply<T: Real>(x: &[T], mask: &[T], Target { to, add }: Target<'_, T>) {
    vectorized(
        #[inline(always)]
        || {
            let products = x.iter().zip(mask).map(|(x, mask)| *x * *mask);
            if add {
                to.iter_mut().zip(products).for_each(|(to, product)| *to += product);
            } else {
                to.iter_mut().zip(products).for_each(|(to, product)| *to = product);
            }
        },
    );
}
