//! Softmax cross-entropy: the loss of a batch, how many it got right, and the gradient to the logits.

use candle_core::{DType, Device, Result, Tensor, Var};

use crate::kernel::{cross_entropy, slices, tensor, with_real};
use crate::layer::Path;

/// What a batch of logits says.
pub(crate) struct Loss {
    /// Sum over the batch, in nats.
    pub sum: f64,
    /// Examples whose largest logit is their label's.
    pub correct: u32,
    /// Gradient of the *mean* loss to the logits \[batch, classes\], if wanted.
    pub gradient: Option<Tensor>,
}

/// Evaluates logits \[batch, classes\] against the labels of the batch.
pub(crate) fn softmax_cross_entropy(logits: &Tensor, labels: &[u32], path: Path, want_gradient: bool) -> Result<Loss> {
    if path == Path::Kernels {
        return with_real!(logits, T => {
            let out = slices::<T, _, 1>([logits], |[logits]| cross_entropy(logits, labels, want_gradient))?;
            let gradient = if want_gradient { Some(tensor(out.gradient, logits.shape())?) } else { None };
            Ok(Loss { sum: out.loss_sum, correct: out.correct, gradient })
        });
    }
    let logits = Var::from_tensor(&logits.detach())?;
    let labels = Tensor::from_slice(labels, labels.len(), logits.device())?;
    let log_softmax = candle_nn::ops::log_softmax(logits.as_tensor(), 1)?;
    let mean = log_softmax.gather(&labels.unsqueeze(1)?, 1)?.mean_all()?.neg()?;
    let hits = logits.argmax(1)?.eq(&labels)?.to_dtype(DType::U32)?.sum_all()?.to_scalar::<u32>()?;
    let gradient = if want_gradient { mean.backward()?.remove(&logits) } else { None };
    let sum = scalar(&mean)? * labels.elem_count() as f64;
    Ok(Loss { sum, correct: if sum.is_finite() { hits } else { 0 }, gradient })
}

/// Euclidean norm over several tensors.
pub(crate) fn norm(tensors: &[Tensor], path: Path) -> Result<f64> {
    let mut total = 0.0;
    for t in tensors {
        total += match path {
            Path::Kernels => with_real!(t, T => slices::<T, _, 1>([t], |[v]| crate::kernel::sum_of_squares(v))?),
            Path::Composed => scalar(&t.sqr()?.sum_all()?)?,
        };
    }
    Ok(total.sqrt())
}

/// The number in a tensor of one element. It is widened on the CPU, because not every device knows `f64`.
fn scalar(tensor: &Tensor) -> Result<f64> {
    tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.to_scalar()
}
