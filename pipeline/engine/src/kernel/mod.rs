//! CPU kernels over plain slices, generic over `f32` (training) and `f64` (gradient checks).
//!
//! Multiply-adds all happen in `tile`; `conv` and `dense` say what it multiplies. `simd` finds out what the processor can do,
//! `team` shares work between threads, and `learn` updates weights as soon as their gradient is known. Images are stored
//! channels last. Each result has an order of summation that is fixed by the shapes alone. This is the one folder where
//! `unsafe` may stand.

#![expect(unsafe_code, reason = "vector instructions, and slices that threads share")]

mod activation;
mod batch_norm;
mod concat;
mod conv;
mod cross_entropy;
mod dense;
mod depthwise;
mod dropout;
mod elementwise;
mod functions;
mod geometry;
mod images;
mod learn;
mod memory;
mod panels;
mod pool;
mod reach;
mod real;
mod simd;
mod sum;
mod team;
mod tile;
mod view;

pub(crate) use activation::{activate, activate_backward};
pub(crate) use batch_norm::{BatchNorm, EPSILON, MOMENTUM};
pub(crate) use concat::{concat, concat_backward};
pub(crate) use conv::Conv;
pub(crate) use cross_entropy::{Loss, cross_entropy};
pub(crate) use dense::Dense;
pub(crate) use depthwise::Depthwise;
pub(crate) use dropout::Dropout;
pub(crate) use elementwise::mix;
pub(crate) use geometry::Geometry;
pub(crate) use images::{BackwardImage, BackwardStage, ForwardImage, ForwardStage, Slopes, backward_images, forward_images};
pub(crate) use learn::{Apply, Gather, Parameter, Target};
pub(crate) use memory::room;
pub(crate) use pool::{Pool, Pooling};
pub(crate) use real::Real;
pub(crate) use simd::vectorized;
pub(crate) use sum::{sum, sum_backward};
pub(crate) use team::Team;
pub(crate) use view::{edit_all, slices};

/// The product of two square matrices by the gemm library, on one thread: what our kernels are measured against.
pub(crate) fn library_product(side: usize, a: &[f32], b: &[f32], product: &mut [f32]) {
    assert!([a.len(), b.len(), product.len()].iter().all(|len| *len == side * side), "square matrices of one size");
    let row = isize::try_from(side).unwrap_or(isize::MAX);
    // SAFETY: all three are side × side numbers, row by row (checked above), and `product` is borrowed mutably.
    unsafe {
        let (a, b, product) = (a.as_ptr(), b.as_ptr(), product.as_mut_ptr());
        let parallelism = gemm::Parallelism::None;
        gemm::gemm(side, side, side, product, 1, row, false, a, 1, row, b, 1, row, 0.0, 1.0, false, false, false, parallelism);
    }
}

/// Keeps candle from starting its own pool of spinning threads, which would take cores from the runs beside it.
///
/// To be called first thing in `main`, before any other thread exists.
pub fn single_threaded_tensors() {
    if std::env::var_os("CANDLE_NUM_THREADS").is_none() {
        // SAFETY: the caller is `main` before it starts a thread, so nothing else reads or writes the environment.
        unsafe { std::env::set_var("CANDLE_NUM_THREADS", "1") };
    }
}

#[cfg(test)]
pub(crate) mod tests;
