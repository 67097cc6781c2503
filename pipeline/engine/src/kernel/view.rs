//! Between candle's tensors and slices.

use std::cell::Cell;

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Storage, Tensor, bail};

use super::Real;

/// Calls `read` with the values of contiguous CPU tensors.
pub(crate) fn slices<T: Real, R>(tensors: &[&Tensor], read: impl FnOnce(&[&[T]]) -> R) -> Result<R> {
    let guards: Vec<_> = tensors.iter().map(|t| t.storage_and_layout()).collect();
    let mut values: Vec<&[T]> = Vec::with_capacity(tensors.len());
    for (storage, layout) in &guards {
        let Storage::Cpu(cpu) = &**storage else { bail!("a CPU kernel was given a tensor on another device") };
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("a CPU kernel was given a strided tensor") };
        values.push(&T::cpu_storage_as_slice(cpu)?[start..end]);
    }
    Ok(read(&values))
}

/// Calls `write` with the values of contiguous CPU tensors, to be changed in place. All must be different.
pub(crate) fn edit_all<T: Real, R>(tensors: &[&Tensor], write: impl FnOnce(Vec<&mut [T]>) -> R) -> Result<R> {
    fn go<T: Real, R>(tensors: &[&Tensor], open: Vec<&mut [T]>, write: impl FnOnce(Vec<&mut [T]>) -> R) -> Result<R> {
        let Some((first, rest)) = tensors.split_first() else { return Ok(write(open)) };
        let mut result = None;
        let next = |values: &mut [T]| {
            let mut open: Vec<&mut [T]> = open;
            open.push(values);
            result = Some(go(rest, open, write)?);
            Ok(())
        };
        first.inplace_op1(&Edit { write: Cell::new(Some(next)), element: std::marker::PhantomData::<T> })?;
        result.ok_or_else(|| candle_core::Error::Msg("an in-place operation did nothing".into()))
    }
    go(tensors, Vec::with_capacity(tensors.len()), write)
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
