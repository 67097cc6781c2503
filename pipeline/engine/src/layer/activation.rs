//! Activations as compositions of candle operations.

use candle_core::{Result, Tensor};

/// ReLU with derivative 0 at 0 (candle's own has 1) that passes NaN on (candle's own makes it 0).
pub(super) fn relu_if(relu: bool, z: Tensor) -> Result<Tensor> {
    if relu { &z * z.detach().gt(0.0)?.to_dtype(z.dtype())? } else { Ok(z) }
}
