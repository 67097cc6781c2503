//! Softmax cross-entropy as a composition of candle operations; the CPU's is `kernel::cross_entropy`.

use candle_core::{DType, Device, Result, Tensor};

use crate::kernel::Loss;

/// What logits \[batch, classes\] say about the labels of the batch, and the mean loss as a tensor to differentiate.
///
/// `smoothing` is the share of the target that is spread evenly over all classes.
pub(crate) fn softmax_cross_entropy(logits: &Tensor, labels: &[u32], smoothing: f64) -> Result<(Loss, Tensor)> {
    let labels = Tensor::from_slice(labels, labels.len(), logits.device())?;
    let log_softmax = candle_nn::ops::log_softmax(logits, 1)?;
    let mut mean = log_softmax.gather(&labels.unsqueeze(1)?, 1)?.mean_all()?.neg()?;
    if smoothing > 0.0 {
        mean = ((mean * (1.0 - smoothing))? - (log_softmax.mean_all()? * smoothing)?)?;
    }
    let hits = logits.argmax(1)?.eq(&labels)?.to_dtype(DType::U32)?.sum_all()?.to_scalar::<u32>()?;
    let sum = scalar(&mean)? * labels.elem_count() as f64;
    Ok((Loss { sum, correct: if sum.is_finite() { hits } else { 0 } }, mean))
}

/// The number in a tensor of one element. It is widened on the CPU, because not every device knows `f64`.
pub(crate) fn scalar(tensor: &Tensor) -> Result<f64> {
    tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.to_scalar()
}
