//! Fully connected layer.

use super::Real;
use super::matmul::{Matrix, matmul};

/// `y = act(x · w + b)` with x \[batch, inputs\], w \[inputs, outputs\], b \[outputs\]; `relu` selects the activation.
pub(crate) fn dense_forward<T: Real>(x: &[T], w: &[T], b: &[T], batch: usize, relu: bool) -> Vec<T> {
    let (inputs, outputs) = (x.len() / batch, b.len());
    let mut y = vec![T::zero(); batch * outputs];
    matmul(&mut y, Matrix::new(x, batch, inputs), Matrix::new(w, inputs, outputs), false);
    for row in y.chunks_exact_mut(outputs) {
        add_bias(row, b, relu);
    }
    y
}

/// Gradients of [`dense_forward`] given `dy`: to the input (if wanted), the weights and the bias.
pub(crate) fn dense_backward<T: Real>(
    x: &[T],
    w: &[T],
    y: &[T],
    dy: &[T],
    batch: usize,
    relu: bool,
    want_dx: bool,
) -> (Option<Vec<T>>, Vec<T>, Vec<T>) {
    let (inputs, outputs) = (x.len() / batch, y.len() / batch);
    let masked;
    let dz = if relu {
        masked = relu_mask(y, dy);
        &masked
    } else {
        dy
    };
    let mut db = vec![T::zero(); outputs];
    for row in dz.chunks_exact(outputs) {
        for (sum, g) in db.iter_mut().zip(row) {
            *sum += *g;
        }
    }
    let dz = Matrix::new(dz, batch, outputs);
    let mut dw = vec![T::zero(); inputs * outputs];
    matmul(&mut dw, Matrix::new(x, batch, inputs).t(), dz, false);
    let dx = want_dx.then(|| {
        let mut dx = vec![T::zero(); batch * inputs];
        matmul(&mut dx, dz, Matrix::new(w, inputs, outputs).t(), false);
        dx
    });
    (dx, dw, db)
}

fn add_bias<T: Real>(row: &mut [T], bias: &[T], relu: bool) {
    for (v, b) in row.iter_mut().zip(bias) {
        let z = *v + *b;
        *v = if relu { rectify(z) } else { z };
    }
}

/// max(z, 0), except that NaN stays NaN, so that a diverged network does not look healthy.
pub(super) fn rectify<T: Real>(z: T) -> T {
    if z <= T::zero() { T::zero() } else { z }
}

/// The gradient behind a ReLU with output `y`; zero where the output is zero, as in PyTorch.
pub(super) fn relu_mask<T: Real>(y: &[T], dy: &[T]) -> Vec<T> {
    y.iter().zip(dy).map(|(y, g)| if *y > T::zero() { *g } else { T::zero() }).collect()
}
