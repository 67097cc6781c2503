//! Vectors of the instruction set that the processor has, found out at run time.
//!
//! A [`Program`] is written in [`Vector`]s and compiled once per instruction set; [`vectorized`] does the same for a plain loop
//! and leaves its vectorization to the compiler. Both work on any x86-64 and on AArch64 (where NEON is always there) without
//! build flags.

use std::sync::OnceLock;

use super::Real;

/// A register of [`Vector::LANES`] numbers.
///
/// # Safety
/// All methods may be called only on a processor that has the implementation's instructions.
pub(crate) trait Vector<T>: Copy {
    const LANES: usize;
    /// Rows of accumulators, two vectors wide, that the register file holds beside the operands.
    const ROWS: usize;

    unsafe fn zero() -> Self;
    unsafe fn splat(x: T) -> Self;
    /// Reads `LANES` numbers.
    unsafe fn load(from: *const T) -> Self;
    unsafe fn store(self, to: *mut T);
    /// Reads the first `n` numbers (1 to `LANES`); the other lanes are zero.
    unsafe fn load_first(from: *const T, n: usize) -> Self;
    unsafe fn store_first(self, to: *mut T, n: usize);
    /// `self · b + c`
    unsafe fn mul_add(self, b: Self, c: Self) -> Self;
    unsafe fn add(self, b: Self) -> Self;
    unsafe fn mul(self, b: Self) -> Self;
    /// max(x, 0), NaN stays NaN.
    unsafe fn rectify(self) -> Self;
    /// For each pair (a, b) and lane: a if `self` exceeds `other`, or is NaN while `other` is none; else b.
    unsafe fn if_exceeds(self, other: Self, ab: [(Self, Self); 2]) -> [Self; 2];
    /// For each lane `a` if `self` equals `other`, else zero.
    unsafe fn if_equal(self, other: Self, a: Self) -> Self;
}

/// Something to be computed with vectors of any instruction set.
pub(crate) trait Program<T> {
    /// To be marked `inline(always)`, with everything that it calls, so that it is compiled for the instruction set.
    ///
    /// # Safety
    /// Only on a processor that has the vector's instructions.
    unsafe fn run<V: Vector<T>>(self);
}

/// An element type that programs work on.
pub(crate) trait Lanes: Sized {
    /// Numbers in a vector.
    fn lanes(isa: Isa) -> usize;

    /// Runs a program.
    ///
    /// # Safety
    /// The processor must have the instruction set.
    unsafe fn run(isa: Isa, program: impl Program<Self>);
}

impl Lanes for f32 {
    #[inline]
    fn lanes(isa: Isa) -> usize {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Avx512::LANES,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Avx2::LANES,
            Isa::Baseline => <Portable<f32> as Vector<f32>>::LANES,
        }
    }

    #[inline]
    unsafe fn run(isa: Isa, program: impl Program<f32>) {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        unsafe fn avx512(program: impl Program<f32>) {
            // SAFETY: passed on from the caller.
            unsafe { program.run::<Avx512>() }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        unsafe fn avx2(program: impl Program<f32>) {
            // SAFETY: passed on from the caller.
            unsafe { program.run::<Avx2>() }
        }
        // SAFETY: passed on from the caller.
        unsafe {
            match isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => avx512(program),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => avx2(program),
                Isa::Baseline => program.run::<Portable<f32>>(),
            }
        }
    }
}

impl Lanes for f64 {
    #[inline]
    fn lanes(_: Isa) -> usize {
        <Portable<f64> as Vector<f64>>::LANES
    }

    unsafe fn run(_: Isa, program: impl Program<f64>) {
        // SAFETY: the portable vectors need no special instructions.
        unsafe { program.run::<Portable<f64>>() }
    }
}

/// For every processor, and for `f64`, which only tests use: the compiler makes of it what the target has.
#[derive(Clone, Copy)]
pub(crate) struct Portable<T>([T; 4]);

impl<T: Real> Vector<T> for Portable<T> {
    const LANES: usize = 4;
    const ROWS: usize = if cfg!(target_arch = "aarch64") { 12 } else { 6 };

    #[inline(always)]
    unsafe fn zero() -> Self {
        Portable([T::zero(); 4])
    }
    #[inline(always)]
    unsafe fn splat(x: T) -> Self {
        Portable([x; 4])
    }
    #[inline(always)]
    unsafe fn load(from: *const T) -> Self {
        // SAFETY: the caller grants four readable numbers.
        Portable(unsafe { from.cast::<[T; 4]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut T) {
        // SAFETY: the caller grants four writable numbers.
        unsafe { to.cast::<[T; 4]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const T, n: usize) -> Self {
        // SAFETY: the caller grants `n` readable numbers, and no other is read.
        Portable(std::array::from_fn(|i| if i < n { unsafe { *from.add(i) } } else { T::zero() }))
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut T, n: usize) {
        for (i, x) in self.0.into_iter().enumerate().take(n) {
            // SAFETY: the caller grants `n` writable numbers.
            unsafe { *to.add(i) = x };
        }
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        Portable(std::array::from_fn(|i| self.0[i].mul_add_or_two(b.0[i], c.0[i])))
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        Portable(std::array::from_fn(|i| self.0[i] + b.0[i]))
    }
    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        Portable(std::array::from_fn(|i| self.0[i] * b.0[i]))
    }
    #[inline(always)]
    unsafe fn if_exceeds(self, other: Self, [(a, b), (c, d)]: [(Self, Self); 2]) -> [Self; 2] {
        let is_nan = |x: T| x.partial_cmp(&x).is_none();
        let exceeds = |i: usize| self.0[i] > other.0[i] || (is_nan(self.0[i]) && !is_nan(other.0[i]));
        [(a, b), (c, d)].map(|(a, b)| Portable(std::array::from_fn(|i| if exceeds(i) { a.0[i] } else { b.0[i] })))
    }
    #[inline(always)]
    unsafe fn if_equal(self, other: Self, a: Self) -> Self {
        Portable(std::array::from_fn(|i| if self.0[i] == other.0[i] { a.0[i] } else { T::zero() }))
    }
    #[inline(always)]
    unsafe fn rectify(self) -> Self {
        Portable(self.0.map(|x| if x <= T::zero() { T::zero() } else { x }))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    #[allow(clippy::wildcard_imports, reason = "intrinsics carry their module in their names")]
    use std::arch::x86_64::*;

    use super::Vector;

    /// AVX-512: 16 numbers, 32 registers.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512(__m512);

    // SAFETY of all methods: the trait's contract grants the instructions, and pointers are valid for as many numbers as the
    // method's documentation says.
    impl Vector<f32> for Avx512 {
        const LANES: usize = 16;
        const ROWS: usize = 12;

        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: see above.
            Avx512(unsafe { _mm512_setzero_ps() })
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: see above.
            Avx512(unsafe { _mm512_set1_ps(x) })
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: see above.
            Avx512(unsafe { _mm512_loadu_ps(from) })
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: see above.
            unsafe { _mm512_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        unsafe fn load_first(from: *const f32, n: usize) -> Self {
            // SAFETY: see above; masked lanes are not read.
            Avx512(unsafe { if n == 16 { _mm512_loadu_ps(from) } else { _mm512_maskz_loadu_ps(first(n), from) } })
        }
        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, n: usize) {
            // Masked stores are slow on some processors.
            // SAFETY: see above; masked lanes are not written.
            unsafe { if n == 16 { _mm512_storeu_ps(to, self.0) } else { _mm512_mask_storeu_ps(to, first(n), self.0) } }
        }
        #[inline(always)]
        unsafe fn mul_add(self, b: Self, c: Self) -> Self {
            // SAFETY: see above.
            Avx512(unsafe { _mm512_fmadd_ps(self.0, b.0, c.0) })
        }
        #[inline(always)]
        unsafe fn add(self, b: Self) -> Self {
            // SAFETY: see above.
            Avx512(unsafe { _mm512_add_ps(self.0, b.0) })
        }
        #[inline(always)]
        unsafe fn mul(self, b: Self) -> Self {
            // SAFETY: see above.
            Avx512(unsafe { _mm512_mul_ps(self.0, b.0) })
        }
        #[inline(always)]
        unsafe fn if_exceeds(self, other: Self, [(a, b), (c, d)]: [(Self, Self); 2]) -> [Self; 2] {
            // SAFETY: see above.
            unsafe {
                let is_number = _mm512_cmp_ps_mask::<_CMP_ORD_Q>(other.0, other.0);
                let exceeds = _mm512_mask_cmp_ps_mask::<_CMP_NLE_UQ>(is_number, self.0, other.0);
                [Avx512(_mm512_mask_blend_ps(exceeds, b.0, a.0)), Avx512(_mm512_mask_blend_ps(exceeds, d.0, c.0))]
            }
        }
        #[inline(always)]
        unsafe fn if_equal(self, other: Self, a: Self) -> Self {
            // SAFETY: see above.
            Avx512(unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self.0, other.0), a.0) })
        }
        #[inline(always)]
        unsafe fn rectify(self) -> Self {
            // SAFETY: see above. `maxps` gives its second operand when one is NaN.
            Avx512(unsafe { _mm512_max_ps(_mm512_setzero_ps(), self.0) })
        }
    }

    #[inline(always)]
    fn first(n: usize) -> __mmask16 {
        0xffff >> (16 - n)
    }

    /// AVX2 with fused multiply-add: 8 numbers, 16 registers.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2(__m256);

    // SAFETY of all methods: as for `Avx512`.
    impl Vector<f32> for Avx2 {
        const LANES: usize = 8;
        const ROWS: usize = 6;

        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: see above.
            Avx2(unsafe { _mm256_setzero_ps() })
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: see above.
            Avx2(unsafe { _mm256_set1_ps(x) })
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: see above.
            Avx2(unsafe { _mm256_loadu_ps(from) })
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: see above.
            unsafe { _mm256_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        unsafe fn load_first(from: *const f32, n: usize) -> Self {
            // SAFETY: see above; masked lanes are not read.
            Avx2(unsafe { if n == 8 { _mm256_loadu_ps(from) } else { _mm256_maskload_ps(from, mask(n)) } })
        }
        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, n: usize) {
            // SAFETY: see above; masked lanes are not written.
            unsafe { if n == 8 { _mm256_storeu_ps(to, self.0) } else { _mm256_maskstore_ps(to, mask(n), self.0) } }
        }
        #[inline(always)]
        unsafe fn mul_add(self, b: Self, c: Self) -> Self {
            // SAFETY: see above.
            Avx2(unsafe { _mm256_fmadd_ps(self.0, b.0, c.0) })
        }
        #[inline(always)]
        unsafe fn add(self, b: Self) -> Self {
            // SAFETY: see above.
            Avx2(unsafe { _mm256_add_ps(self.0, b.0) })
        }
        #[inline(always)]
        unsafe fn mul(self, b: Self) -> Self {
            // SAFETY: see above.
            Avx2(unsafe { _mm256_mul_ps(self.0, b.0) })
        }
        #[inline(always)]
        unsafe fn if_exceeds(self, other: Self, [(a, b), (c, d)]: [(Self, Self); 2]) -> [Self; 2] {
            // SAFETY: see above.
            unsafe {
                let is_number = _mm256_cmp_ps::<_CMP_ORD_Q>(other.0, other.0);
                let exceeds = _mm256_and_ps(is_number, _mm256_cmp_ps::<_CMP_NLE_UQ>(self.0, other.0));
                [Avx2(_mm256_blendv_ps(b.0, a.0, exceeds)), Avx2(_mm256_blendv_ps(d.0, c.0, exceeds))]
            }
        }
        #[inline(always)]
        unsafe fn if_equal(self, other: Self, a: Self) -> Self {
            // SAFETY: see above.
            Avx2(unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_EQ_OQ>(self.0, other.0), a.0) })
        }
        #[inline(always)]
        unsafe fn rectify(self) -> Self {
            // SAFETY: see above. `maxps` gives its second operand when one is NaN.
            Avx2(unsafe { _mm256_max_ps(_mm256_setzero_ps(), self.0) })
        }
    }

    /// All bits set in the first `n` lanes.
    #[inline(always)]
    unsafe fn mask(n: usize) -> __m256i {
        const BITS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
        // SAFETY: n is 1 to 8, so eight numbers from 8 − n on are inside the table.
        unsafe { _mm256_loadu_si256(BITS.as_ptr().add(8 - n).cast()) }
    }
}

#[cfg(target_arch = "x86_64")]
use x86::{Avx2, Avx512};

/// The instruction sets that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What every processor of the target has.
    Baseline,
}

impl Isa {
    /// What this processor has, best first.
    pub(super) fn available() -> &'static [Isa] {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("fma")
            {
                return &[Isa::Avx512, Isa::Avx2, Isa::Baseline];
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return &[Isa::Avx2, Isa::Baseline];
            }
        }
        &[Isa::Baseline]
    }

    /// The best that this processor has.
    #[inline]
    pub(super) fn best() -> Isa {
        static BEST: OnceLock<Isa> = OnceLock::new();
        #[cfg(test)]
        if let Some(isa) = FORCED.get() {
            return isa;
        }
        *BEST.get_or_init(|| Isa::available()[0])
    }
}

#[cfg(test)]
thread_local! {
    /// What tests of this thread take for the best, among what is available.
    pub(super) static FORCED: std::cell::Cell<Option<Isa>> = const { std::cell::Cell::new(None) };
}

/// Runs a program on the best instruction set of this processor.
#[inline]
pub(super) fn run<T: Lanes>(program: impl Program<T>) {
    // SAFETY: `best` found the instructions on this processor.
    unsafe { T::run(Isa::best(), program) }
}

/// Asks for numbers (as far as there are so many) that will be used soon: what is far apart, the processor does not foresee.
pub(super) fn prefetch<T>(values: &[T], start: usize, len: usize) {
    let start = start.min(values.len());
    prefetch_from(values[start..].as_ptr(), len.min(values.len() - start));
}

/// Asks for `len` numbers, into the second-level cache.
pub(super) fn prefetch_from<T>(start: *const T, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..len * size_of::<T>()).step_by(64) {
        // SAFETY: a prefetch reads nothing; it may name any address.
        unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(start.cast::<i8>().wrapping_add(line)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, len);
}

/// Runs a loop that was compiled for the best instruction set of this processor.
///
/// Multiplications and additions are never fused in it, so the result has the same bits on all of them.
#[inline(always)]
pub(crate) fn vectorized<R>(body: impl FnOnce() -> R) -> R {
    match Isa::best() {
        // SAFETY: `best` found the instructions on this processor.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { with_avx512(body) },
        // SAFETY: `best` found the instructions on this processor.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { with_avx2(body) },
        Isa::Baseline => body(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn with_avx512<R>(body: impl FnOnce() -> R) -> R {
    body()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2<R>(body: impl FnOnce() -> R) -> R {
    body()
}
