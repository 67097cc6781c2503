//! Functions of every number, and their slopes. Where a function has a kink, its slope there is PyTorch's.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use spec::model::Activation;

use super::Real;
use super::learn::Target;
use super::simd::vectorized;

/// y = f(x)
pub(crate) fn activate<T: Real>(activation: Activation, x: &[T], y: &mut [T]) {
    match activation {
        Activation::Relu => map(
            x,
            y,
            #[inline(always)]
            // NaN is passed on.
            |x| if x <= T::zero() { T::zero() } else { x },
        ),
        Activation::LeakyRelu { slope } => {
            let slope = T::of(slope);
            map(
                x,
                y,
                #[inline(always)]
                |x| if x > T::zero() { x } else { slope * x },
            );
        }
        Activation::Gelu => map(
            x,
            y,
            #[inline(always)]
            |x| x * normal(x),
        ),
        Activation::Silu => map(
            x,
            y,
            #[inline(always)]
            |x| x * sigmoid(x),
        ),
        Activation::Tanh => map(x, y, T::tanh),
        Activation::Sigmoid => map(x, y, sigmoid),
        Activation::Elu { alpha } => {
            let alpha = T::of(alpha);
            map(
                x,
                y,
                #[inline(always)]
                |x| if x > T::zero() { x } else { alpha * below_zero(x).decay_less_one() },
            );
        }
    }
}

/// dx = dy · f′(x), given y = f(x).
pub(crate) fn activate_backward<T: Real>(activation: Activation, x: &[T], y: &[T], dy: &[T], dx: Target<'_, T>) {
    match activation {
        Activation::Relu => slope(
            [x, y, dy],
            dx,
            #[inline(always)]
            |_, y| if y <= T::zero() { T::zero() } else { T::one() },
        ),
        Activation::LeakyRelu { slope: below } => {
            let below = T::of(below);
            slope(
                [x, y, dy],
                dx,
                #[inline(always)]
                |x, _| if x > T::zero() { T::one() } else { below },
            );
        }
        // Φ(x) + x·φ(x)
        Activation::Gelu => slope(
            [x, y, dy],
            dx,
            #[inline(always)]
            |x, _| normal(x) + x * (T::of(-0.5) * x * x).decay() * T::of(1.0 / (2.0 * PI).sqrt()),
        ),
        // σ(x) + x·σ(x)·(1 − σ(x))
        Activation::Silu => slope(
            [x, y, dy],
            dx,
            #[inline(always)]
            |x, y| sigmoid(x) + y * (T::one() - sigmoid(x)),
        ),
        Activation::Tanh => slope(
            [x, y, dy],
            dx,
            #[inline(always)]
            |_, y| T::one() - y * y,
        ),
        Activation::Sigmoid => slope(
            [x, y, dy],
            dx,
            #[inline(always)]
            |_, y| y * (T::one() - y),
        ),
        // alpha·eˣ = y + alpha
        Activation::Elu { alpha } => {
            let alpha = T::of(alpha);
            slope(
                [x, y, dy],
                dx,
                #[inline(always)]
                |x, y| if x > T::zero() { T::one() } else { y + alpha },
            );
        }
    }
}

/// σ(x) = 1 / (1 + e⁻ˣ), without overflow.
#[inline(always)]
fn sigmoid<T: Real>(x: T) -> T {
    let decay = (T::zero() - magnitude(x)).decay();
    let above = T::one() / (T::one() + decay);
    if x < T::zero() { decay * above } else { above }
}

/// Φ(x) = (1 + erf(x / √2)) / 2
#[inline(always)]
fn normal<T: Real>(x: T) -> T {
    T::of(0.5) * (T::one() + (x * T::of(FRAC_1_SQRT_2)).erf())
}

#[inline(always)]
fn magnitude<T: Real>(x: T) -> T {
    if x < T::zero() { T::zero() - x } else { x }
}

#[inline(always)]
fn below_zero<T: Real>(x: T) -> T {
    if x > T::zero() { T::zero() } else { x }
}

#[inline(always)]
fn map<T: Real>(x: &[T], y: &mut [T], f: impl Fn(T) -> T) {
    vectorized(
        #[inline(always)]
        || {
            for (y, x) in y.iter_mut().zip(x) {
                *y = f(*x);
            }
        },
    );
}

#[inline(always)]
fn slope<T: Real>([x, y, dy]: [&[T]; 3], Target { to, add }: Target<'_, T>, f: impl Fn(T, T) -> T) {
    vectorized(
        #[inline(always)]
        || {
            let inputs = x.iter().zip(y).zip(dy);
            if add {
                to.iter_mut().zip(inputs).for_each(|(to, ((x, y), dy))| *to += *dy * f(*x, *y));
            } else {
                to.iter_mut().zip(inputs).for_each(|(to, ((x, y), dy))| *to = *dy * f(*x, *y));
            }
        },
    );
}
