//! The matrix product, from the `gemm` crate (AVX-512, AVX2 or NEON chosen at run time).

use super::Real;

/// A matrix laid over a slice.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    values: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// `values` row by row.
    pub(crate) fn new(values: &'a [T], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "a matrix covers its slice");
        Matrix { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The transpose, without moving anything.
    pub(crate) fn t(self) -> Self {
        Matrix {
            values: self.values,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
}

/// `out = a · b`, or `out += a · b` when `accumulate`; `out` is stored row by row.
///
/// One thread, so that the order of summation depends on the shapes alone.
#[expect(unsafe_code, reason = "the gemm crate takes raw pointers")]
pub(crate) fn matmul<T: Real>(out: &mut [T], a: Matrix<T>, b: Matrix<T>, accumulate: bool) {
    assert_eq!(a.columns, b.rows, "inner dimensions of a matrix product");
    assert_eq!(out.len(), a.rows * b.columns, "size of a matrix product");
    let stride = |n: usize| isize::try_from(n).unwrap_or(isize::MAX);
    // SAFETY: each `Matrix` covers exactly its slice (checked in `new`; `t` only swaps both descriptions), so every element
    // that gemm reads at row·row_stride + column·column_stride is inside it. `out` holds rows × columns elements (checked
    // above) and is borrowed mutably, so it overlaps neither `a` nor `b`. f32 and f64 have a gemm and no padding bytes.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out.as_mut_ptr(),
            1,
            stride(b.columns),
            accumulate,
            a.values.as_ptr(),
            stride(a.column_stride),
            stride(a.row_stride),
            b.values.as_ptr(),
            stride(b.column_stride),
            stride(b.row_stride),
            T::one(),
            T::one(),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_the_definition(m in 1usize..40, k in 1usize..40, n in 1usize..40, ta: bool, tb: bool, acc: bool) {
            let value = |i: usize, f: f64| ((i as f64) * f).sin();
            let a: Vec<f64> = (0..m * k).map(|i| value(i, 0.7)).collect();
            let b: Vec<f64> = (0..k * n).map(|i| value(i, 1.3)).collect();
            let start: Vec<f64> = (0..m * n).map(|i| value(i, 0.3)).collect();
            let ma = if ta { Matrix::new(&a, k, m).t() } else { Matrix::new(&a, m, k) };
            let mb = if tb { Matrix::new(&b, n, k).t() } else { Matrix::new(&b, k, n) };
            let mut out = start.clone();
            matmul(&mut out, ma, mb, acc);
            for i in 0..m {
                for j in 0..n {
                    let at = |i: usize, l: usize| if ta { a[l * m + i] } else { a[i * k + l] };
                    let bt = |l: usize, j: usize| if tb { b[j * k + l] } else { b[l * n + j] };
                    let sum: f64 = (0..k).map(|l| at(i, l) * bt(l, j)).sum();
                    let expected = sum + if acc { start[i * n + j] } else { 0.0 };
                    prop_assert!((out[i * n + j] - expected).abs() < 1e-12);
                }
            }
        }
    }
}
