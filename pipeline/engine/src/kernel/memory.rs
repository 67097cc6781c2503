//! Memory that is used again and again.

use std::cell::RefCell;

use super::Real;

/// The first `len` numbers of a buffer that grows when it must and is never cleared.
pub(crate) fn room<T: Real>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, T::zero());
    }
    &mut buffer[..len]
}

thread_local! {
    static SCRATCH_F32: RefCell<Vec<Vec<f32>>> = const { RefCell::new(vec![]) };
    static SCRATCH_F64: RefCell<Vec<Vec<f64>>> = const { RefCell::new(vec![]) };
}

/// Numbers that have scratch memory on every thread.
pub(crate) trait Scratch: Sized {
    /// Lends `len` numbers that hold whatever was left there. Loans may be nested.
    fn with<R>(len: usize, body: impl FnOnce(&mut [Self]) -> R) -> R;
}

macro_rules! scratch {
    ($real:ty, $stack:ident) => {
        impl Scratch for $real {
            fn with<R>(len: usize, body: impl FnOnce(&mut [$real]) -> R) -> R {
                let mut buffer = $stack.with_borrow_mut(Vec::pop).unwrap_or_default();
                let result = body(room(&mut buffer, len));
                $stack.with_borrow_mut(|stack| stack.push(buffer));
                result
            }
        }
    };
}
scratch!(f32, SCRATCH_F32);
scratch!(f64, SCRATCH_F64);
