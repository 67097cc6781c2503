//! 2-D convolution (cross-correlation, as everywhere in deep learning) by im2col and matrix products, image by image.
//!
//! Per image the input becomes a matrix `columns` \[channels·kh·kw, out_h·out_w\]; then forward is `w · columns`, the gradient to
//! the weights is `dz · columnsᵀ`, and the gradient to the input is `wᵀ · dz` scattered back.

use super::Real;
use super::dense::{rectify, relu_mask};
use super::matmul::{Matrix, matmul};

/// Sizes of a convolution or pooling over images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub channels: usize,
    /// Height and width of the input.
    pub input: [usize; 2],
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    /// Zeros (for pooling: −∞) added on each side.
    pub padding: [usize; 2],
}

impl Geometry {
    /// Height and width of the output; `None` when the kernel does not fit into the padded input.
    pub(crate) fn output(&self) -> Option<[usize; 2]> {
        let one = |i: usize| Some((self.input[i] + 2 * self.padding[i]).checked_sub(self.kernel[i])? / self.stride[i] + 1);
        Some([one(0)?, one(1)?])
    }

    /// For the kernel offset `k` along a dimension: the outputs whose input lies inside the image, as start..end.
    pub(super) fn inside(&self, dimension: usize, k: usize, outputs: usize) -> (usize, usize) {
        let (s, p, n) = (self.stride[dimension], self.padding[dimension], self.input[dimension]);
        let start = p.saturating_sub(k).div_ceil(s).min(outputs);
        let end = if n + p > k { ((n + p - k - 1) / s + 1).min(outputs) } else { 0 };
        (start, end.max(start))
    }

    fn input_len(&self) -> usize {
        self.channels * self.input[0] * self.input[1]
    }

    /// Rows of the column matrix.
    fn window_len(&self) -> usize {
        self.channels * self.kernel[0] * self.kernel[1]
    }

    /// A 1×1 kernel that moves by one: the image already is its column matrix.
    fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [0, 0]
    }

    /// Calls `each` for every stretch that one kernel offset has in common with an image row: (index into the column matrix,
    /// index into the image, length). In the image, a stretch moves by the horizontal stride.
    fn stretches(&self, [oh, ow]: [usize; 2], mut each: impl FnMut(usize, usize, usize)) {
        let [h, w] = self.input;
        for c in 0..self.channels {
            for ky in 0..self.kernel[0] {
                let (y0, y1) = self.inside(0, ky, oh);
                for kx in 0..self.kernel[1] {
                    let (x0, x1) = self.inside(1, kx, ow);
                    let row = ((c * self.kernel[0] + ky) * self.kernel[1] + kx) * oh * ow;
                    for oy in y0..y1 {
                        if x0 < x1 {
                            let iy = oy * self.stride[0] + ky - self.padding[0];
                            let ix = x0 * self.stride[1] + kx - self.padding[1];
                            each(row + oy * ow + x0, (c * h + iy) * w + ix, x1 - x0);
                        }
                    }
                }
            }
        }
    }
}

/// Copies every window of `image` into a column of `columns`. Places that only padding reaches are left as they are (zero).
fn im2col<T: Real>(g: &Geometry, output: [usize; 2], image: &[T], columns: &mut [T]) {
    let step = g.stride[1];
    g.stretches(output, |to, from, n| {
        let target = &mut columns[to..to + n];
        if step == 1 {
            target.copy_from_slice(&image[from..from + n]);
        } else {
            for (t, s) in target.iter_mut().zip(image[from..].iter().step_by(step)) {
                *t = *s;
            }
        }
    });
}

/// Adds every column back onto the window that it came from.
fn col2im<T: Real>(g: &Geometry, output: [usize; 2], columns: &[T], image: &mut [T]) {
    let step = g.stride[1];
    g.stretches(output, |from, to, n| {
        let source = &columns[from..from + n];
        if step == 1 {
            for (t, s) in image[to..to + n].iter_mut().zip(source) {
                *t += *s;
            }
        } else {
            for (t, s) in image[to..].iter_mut().step_by(step).zip(source) {
                *t += *s;
            }
        }
    });
}

/// `y = act(w ∗ x + b)` with x \[batch, channels, h, w\], w \[filters, channels, kh, kw\], b \[filters\].
pub(crate) fn conv2d_forward<T: Real>(g: &Geometry, output: [usize; 2], x: &[T], w: &[T], b: &[T], relu: bool) -> Vec<T> {
    let (pixels, filters, window) = (output[0] * output[1], b.len(), g.window_len());
    let batch = x.len() / g.input_len();
    let mut y = vec![T::zero(); batch * filters * pixels];
    let mut columns = scratch(g, pixels);
    for (image, out) in x.chunks_exact(g.input_len()).zip(y.chunks_exact_mut(filters * pixels)) {
        let columns = columns_of(g, output, image, &mut columns);
        matmul(out, Matrix::new(w, filters, window), Matrix::new(columns, window, pixels), false);
        for (plane, bias) in out.chunks_exact_mut(pixels).zip(b) {
            for v in plane {
                let z = *v + *bias;
                *v = if relu { rectify(z) } else { z };
            }
        }
    }
    y
}

/// Gradients of [`conv2d_forward`] given `dy`: to the input (if wanted), the weights and the bias.
#[expect(clippy::too_many_arguments, reason = "the operands of one operation")]
pub(crate) fn conv2d_backward<T: Real>(
    g: &Geometry,
    output: [usize; 2],
    x: &[T],
    w: &[T],
    y: &[T],
    dy: &[T],
    relu: bool,
    want_dx: bool,
) -> (Option<Vec<T>>, Vec<T>, Vec<T>) {
    let (pixels, window) = (output[0] * output[1], g.window_len());
    let filters = w.len() / window;
    let mut dx = want_dx.then(|| vec![T::zero(); x.len()]);
    let mut dw = vec![T::zero(); w.len()];
    let mut db = vec![T::zero(); filters];
    let mut columns = scratch(g, pixels);
    let mut gradient_columns = if want_dx { vec![T::zero(); window * pixels] } else { vec![] };
    let per_image = filters * pixels;
    for (i, image) in x.chunks_exact(g.input_len()).enumerate() {
        let range = i * per_image..(i + 1) * per_image;
        let masked;
        let dz = if relu {
            masked = relu_mask(&y[range.clone()], &dy[range]);
            &masked[..]
        } else {
            &dy[range]
        };
        for (sum, plane) in db.iter_mut().zip(dz.chunks_exact(pixels)) {
            *sum += sum_of(plane);
        }
        let dz = Matrix::new(dz, filters, pixels);
        let columns = columns_of(g, output, image, &mut columns);
        matmul(&mut dw, dz, Matrix::new(columns, window, pixels).t(), i > 0);
        if let Some(dx) = &mut dx {
            let dx = &mut dx[i * g.input_len()..(i + 1) * g.input_len()];
            let wt = Matrix::new(w, filters, window).t();
            if g.is_pointwise() {
                matmul(dx, wt, dz, false);
            } else {
                matmul(&mut gradient_columns, wt, dz, false);
                col2im(g, output, &gradient_columns, dx);
            }
        }
    }
    (dx, dw, db)
}

/// Room for the column matrix; none is needed when the image itself is it.
fn scratch<T: Real>(g: &Geometry, pixels: usize) -> Vec<T> {
    if g.is_pointwise() { vec![] } else { vec![T::zero(); g.window_len() * pixels] }
}

fn columns_of<'a, T: Real>(g: &Geometry, output: [usize; 2], image: &'a [T], scratch: &'a mut [T]) -> &'a [T] {
    if g.is_pointwise() {
        image
    } else {
        im2col(g, output, image, scratch);
        scratch
    }
}

/// Sum in 16 lanes: a fixed order that the compiler can vectorize.
fn sum_of<T: Real>(values: &[T]) -> T {
    let mut lanes = [T::zero(); 16];
    let chunks = values.chunks_exact(16);
    let rest = chunks.remainder().iter().fold(T::zero(), |sum, x| sum + *x);
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += *x;
        }
    }
    lanes.iter().fold(rest, |sum, x| sum + *x)
}
