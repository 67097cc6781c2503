//! The one matrix kernel that everything with multiply-adds is made of.
//!
//! A *panel product* is `out[i, j] = start[i, j] + Σ_s Σ_k a[s.a + i·a_row + k·a_step] · b[s.b + k·b_pitch + j]` for a panel of at
//! most two vectors of columns j. With images stored channels last, it serves convolutions without im2col: a window of an
//! image row is one stretch of memory, so the rows i are neighbouring output pixels, k runs over a window row, and the
//! segments s are the window's rows. Gradients to weights take rows i from inside the window, k over the pixels of an output
//! row, and segments over output rows. A dense layer is the case of one segment.
//!
//! Each element is summed in the order of s, then k, whatever the tile it falls into.

use super::Real;
use super::simd::{Isa, Program, Vector};

/// Offsets of a segment into `a` and `b`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Segment {
    pub a: usize,
    pub b: usize,
}

/// The left operand: element (i, k) of a segment is at `segment.a + i · row + k · step`.
#[derive(Clone, Copy)]
pub(super) struct Left<'a, T> {
    pub values: &'a [T],
    pub row: usize,
    pub step: usize,
}

/// The right operand: element (k, j) of a segment is at `segment.b + k · pitch + j`.
#[derive(Clone, Copy)]
pub(super) struct Right<'a, T> {
    pub values: &'a [T],
    pub pitch: usize,
}

/// What the sums start from.
#[derive(Clone, Copy)]
pub(super) enum Start<'a, T> {
    Zero,
    /// One number per column.
    Bias(&'a [T]),
    /// What the output holds.
    Output,
}

/// Widest panel for this type on this processor.
pub(super) fn panel_width<T: Real>() -> usize {
    2 * T::lanes(Isa::best())
}

/// Size of a panel product.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub rows: usize,
    /// At most [`panel_width`].
    pub columns: usize,
    /// Length of every segment.
    pub depth: usize,
}

/// Computes a panel product into `out[i · out_pitch + j]`; `relu` rectifies the result.
#[expect(clippy::too_many_arguments, reason = "the operands of one operation")]
pub(super) fn panel_product<T: Real>(
    out: &mut [T],
    out_pitch: usize,
    size: Size,
    a: Left<'_, T>,
    b: Right<'_, T>,
    segments: &[Segment],
    start: Start<'_, T>,
    relu: bool,
) {
    let isa = Isa::best();
    let Size { rows, columns, depth } = size;
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(columns <= 2 * T::lanes(isa), "a panel is at most two vectors wide");
    assert!((rows - 1) * out_pitch + columns <= out.len(), "the output of a panel product");
    assert!(a.step == 1 || a.row == 1, "the left operand is contiguous in one direction");
    if depth > 0 {
        let (a_last, b_last) = ((rows - 1) * a.row + (depth - 1) * a.step, (depth - 1) * b.pitch + columns - 1);
        let (a_most, b_most) = segments.iter().fold((0, 0), |(x, y), s| (x.max(s.a), y.max(s.b)));
        assert!(segments.is_empty() || a_most + a_last < a.values.len(), "the left operand of a panel product");
        assert!(segments.is_empty() || b_most + b_last < b.values.len(), "the right operand of a panel product");
    }
    if let Start::Bias(bias) = start {
        assert!(columns <= bias.len(), "the bias of a panel product");
    }
    let job = Job {
        out: out.as_mut_ptr(),
        out_pitch,
        rows,
        columns,
        depth: if segments.is_empty() { 0 } else { depth },
        a: a.values.as_ptr(),
        a_row: a.row,
        a_step: a.step,
        b: b.values.as_ptr(),
        b_pitch: b.pitch,
        segments,
        bias: if let Start::Bias(bias) = start { bias.as_ptr() } else { std::ptr::null() },
        load: matches!(start, Start::Output),
        relu,
    };
    // SAFETY: the assertions above show that every element of a, b, bias and out that the job names lies in its slice; `out` is
    // borrowed mutably and so overlaps none of the others. `best` found the instruction set.
    unsafe { T::run(isa, job) }
}

/// A panel product with raw pointers.
struct Job<'a, T> {
    out: *mut T,
    out_pitch: usize,
    rows: usize,
    columns: usize,
    depth: usize,
    a: *const T,
    a_row: usize,
    a_step: usize,
    b: *const T,
    b_pitch: usize,
    segments: &'a [Segment],
    bias: *const T,
    load: bool,
    relu: bool,
}

impl<T: Real> Program<T> for Job<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Vector<T>>(self) {
        // SAFETY: passed on from the caller; `panel_product` has checked the job.
        unsafe { run_in::<T, V>(&self) }
    }
}

/// Cuts a job into tiles of nearly equal height.
#[inline(always)]
unsafe fn run_in<T: Real, V: Vector<T>>(job: &Job<'_, T>) {
    let tiles = job.rows.div_ceil(V::ROWS);
    let (height, taller) = (job.rows / tiles, job.rows % tiles);
    let mut row = 0;
    for tile in 0..tiles {
        let rows = height + usize::from(tile < taller);
        // SAFETY: passed on from the caller; rows `row..row + rows` are among the job's.
        unsafe {
            match (job.columns > V::LANES, job.a_step == 1) {
                (true, true) => with_rows::<T, V, 2, false>(job, row, rows),
                (true, false) => with_rows::<T, V, 2, true>(job, row, rows),
                (false, true) => with_rows::<T, V, 1, false>(job, row, rows),
                (false, false) => with_rows::<T, V, 1, true>(job, row, rows),
            }
        }
        row += rows;
    }
}

/// Picks the tile that was compiled for this number of rows.
#[inline(always)]
unsafe fn with_rows<T: Real, V: Vector<T>, const N: usize, const ALONG: bool>(job: &Job<'_, T>, row: usize, rows: usize) {
    macro_rules! pick {
        ($($m:literal)*) => {
            match rows {
                // SAFETY: passed on from the caller.
                $($m if $m <= V::ROWS => unsafe { tile::<T, V, $m, N, ALONG>(job, row) },)*
                _ => unreachable!("a tile has 1 to {} rows", V::ROWS),
            }
        };
    }
    pick!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
}

/// `M` rows by `N` vectors, accumulated in registers. `ALONG`: the rows of the left operand are neighbours in memory.
#[inline(always)]
unsafe fn tile<T: Real, V: Vector<T>, const M: usize, const N: usize, const ALONG: bool>(job: &Job<'_, T>, row: usize) {
    // SAFETY: `job` names only valid elements, see `panel_product`; rows row..row + M are among its rows. The last vector covers
    // `last` columns, and is read and written with a mask.
    unsafe {
        let last = job.columns - (N - 1) * V::LANES;
        let out = job.out.add(row * job.out_pitch);
        let mut sums = [[V::zero(); N]; M];
        if job.load {
            for (i, sums) in sums.iter_mut().enumerate() {
                *sums = vectors(out.add(i * job.out_pitch), last);
            }
        } else if !job.bias.is_null() {
            sums = [vectors(job.bias, last); M];
        }
        if job.depth > 0 {
            for segment in job.segments {
                let mut b = job.b.add(segment.b);
                let a = job.a.add(segment.a + row * job.a_row);
                // Every third row gets a pointer; the two after it are one and two strides on, which an address can express.
                let mut starts: [*const T; 5] = std::array::from_fn(|g| a.wrapping_add(3 * g * job.a_row));
                for _ in 0..job.depth {
                    let bs: [V; N] = vectors(b, last);
                    for i in 0..M {
                        let at = if ALONG { starts[0].wrapping_add(i) } else { starts[i / 3].wrapping_add(i % 3 * job.a_row) };
                        let x = V::splat(*at);
                        for j in 0..N {
                            sums[i][j] = x.mul_add(bs[j], sums[i][j]);
                        }
                    }
                    b = b.wrapping_add(job.b_pitch);
                    for start in &mut starts {
                        *start = start.wrapping_add(job.a_step);
                    }
                }
            }
        }
        for (i, sums) in sums.into_iter().enumerate() {
            let to = out.add(i * job.out_pitch);
            for (j, sum) in sums.into_iter().enumerate() {
                let to = to.add(j * V::LANES);
                let sum = if job.relu { sum.rectify() } else { sum };
                if j + 1 < N { sum.store(to) } else { sum.store_first(to, last) }
            }
        }
    }
}

/// Reads `N` vectors, of the last one only the first `last` numbers.
#[inline(always)]
unsafe fn vectors<T: Real, V: Vector<T>, const N: usize>(from: *const T, last: usize) -> [V; N] {
    // SAFETY: passed on from the caller.
    unsafe {
        let mut vectors = [V::zero(); N];
        for (j, vector) in vectors.iter_mut().enumerate() {
            let from = from.add(j * V::LANES);
            *vector = if j + 1 < N { V::load(from) } else { V::load_first(from, last) };
        }
        vectors
    }
}
