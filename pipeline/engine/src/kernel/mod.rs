//! CPU kernels over plain slices, generic over `f32` (training) and `f64` (gradient checks).
//!
//! They are called by layers, the loss and the optimizers when the tensors are on the CPU. Each result has an order of
//! summation that is fixed by the shapes. This is the one folder where `unsafe` may stand.

mod conv;
mod cross_entropy;
mod dense;
mod matmul;
mod norm;
mod pool;
mod real;
mod view;

pub(crate) use conv::{Geometry, conv2d_backward, conv2d_forward};
pub(crate) use cross_entropy::cross_entropy;
pub(crate) use dense::{dense_backward, dense_forward};
pub(crate) use norm::sum_of_squares;
pub(crate) use pool::{max_pool2d_backward, max_pool2d_forward};
pub(crate) use real::Real;
pub(crate) use view::{edit, slices, tensor};

/// Runs a body with `$real` standing for the element type of a tensor.
macro_rules! with_real {
    ($tensor:expr, $real:ident => $body:expr) => {
        match $tensor.dtype() {
            candle_core::DType::F32 => {
                type $real = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $real = f64;
                $body
            }
            other => candle_core::bail!("kernels take f32 and f64, not {other:?}"),
        }
    };
}
pub(crate) use with_real;

/// Keeps candle from starting its own pool of spinning threads, which would take cores from the runs beside it.
///
/// To be called first thing in `main`, before any other thread exists.
#[expect(unsafe_code, reason = "candle reads this setting from the environment alone")]
pub fn single_threaded_tensors() {
    if std::env::var_os("CANDLE_NUM_THREADS").is_none() {
        // SAFETY: the caller is `main` before it starts a thread, so nothing else reads or writes the environment.
        unsafe { std::env::set_var("CANDLE_NUM_THREADS", "1") };
    }
}
