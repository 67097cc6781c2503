//! Between candle's tensors and slices.

use std::cell::Cell;

use candle_core::{CpuStorage, Device, InplaceOp1, Layout, Result, Shape, Storage, Tensor, bail};

use super::Real;

/// Calls `read` with the values of contiguous CPU tensors.
pub(crate) fn slices<T: Real, R, const N: usize>(tensors: [&Tensor; N], read: impl FnOnce([&[T]; N]) -> R) -> Result<R> {
    let guards = tensors.map(Tensor::storage_and_layout);
    let mut values: [&[T]; N] = [&[]; N];
    for (value, (storage, layout)) in values.iter_mut().zip(&guards) {
        let Storage::Cpu(cpu) = &**storage else { bail!("a CPU kernel was given a tensor on another device") };
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("a CPU kernel was given a strided tensor") };
        *value = &T::cpu_storage_as_slice(cpu)?[start..end];
    }
    Ok(read(values))
}

/// Calls `write` with the values of a contiguous CPU tensor, in place.
pub(crate) fn edit<T: Real>(tensor: &Tensor, write: impl FnOnce(&mut [T]) -> Result<()>) -> Result<()> {
    tensor.inplace_op1(&Edit { write: Cell::new(Some(write)), element: std::marker::PhantomData::<T> })
}

/// A CPU tensor that takes over `values`.
pub(crate) fn tensor<T: Real>(values: Vec<T>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)
}

/// An in-place custom operation is candle's way to a mutable slice.
struct Edit<T, F> {
    write: Cell<Option<F>>,
    element: std::marker::PhantomData<T>,
}

impl<T: Real, F: FnOnce(&mut [T]) -> Result<()>> InplaceOp1 for Edit<T, F> {
    fn name(&self) -> &'static str {
        "edit"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("a CPU kernel was given a strided tensor") };
        match (T::slice_mut(storage), self.write.take()) {
            (Some(values), Some(write)) => write(&mut values[start..end]),
            _ => bail!("a CPU kernel was given a tensor of another type"),
        }
    }
}
