//! The kernels by definition: slow, plain, in double precision.

use spec::model::Activation;

use super::{EPSILON, Geometry, Pooling, Results, Shape};

/// y, dx, dw, db of a convolution by definition; `y` decides where a ReLU lets `dy` through.
pub(super) fn naive_conv(shape: Shape<'_>, x: &[f64], w: &[f64], b: &[f64], dy: &[f64]) -> Results<f64> {
    let Shape { g, filters, groups, bias, relu } = shape;
    let (c, batch) = (g.channels, x.len() / (g.input_pixels() * g.channels));
    let mut y = vec![0.0; batch * g.output_pixels() * filters];
    let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; filters]);
    let input =
        |i: usize, at: [usize; 3], c: usize| (((i * g.input[0] + at[0]) * g.input[1] + at[1]) * g.input[2] + at[2]) * g.channels + c;
    for backward in [false, true] {
        for o in 0..y.len() {
            let (f, pixel, i) = (o % filters, o / filters % g.output_pixels(), o / filters / g.output_pixels());
            let at = [pixel / (g.output[1] * g.output[2]), pixel / g.output[2] % g.output[1], pixel % g.output[2]];
            let dz = if relu && y[o] <= 0.0 { 0.0 } else { dy[o] };
            let mut sum = if bias { b[f] } else { 0.0 };
            for k in 0..g.window_len() {
                let (place, channel) = (k / c, k % c);
                if channel / (c / groups) != f / (filters / groups) {
                    continue;
                }
                let tap = [place / (g.kernel[1] * g.kernel[2]), place / g.kernel[2] % g.kernel[1], place % g.kernel[2]];
                let from = [0, 1, 2].map(|d| (at[d] * g.stride[d] + tap[d]).wrapping_sub(g.before[d]));
                if (0..3).all(|d| from[d] < g.input[d]) {
                    let x_at = input(i, from, channel);
                    let w_at = (place * (c / groups) + channel % (c / groups)) * filters + f;
                    if backward {
                        dx[x_at] += dz * w[w_at];
                        dw[w_at] += dz * x[x_at];
                    } else {
                        sum += x[x_at] * w[w_at];
                    }
                }
            }
            if backward {
                db[f] += dz;
            } else {
                y[o] = if relu { sum.max(0.0) } else { sum };
            }
        }
    }
    (y, dx, dw, db)
}

pub(super) fn naive_pool(g: &Geometry, pooling: Pooling, x: &[f64], dy: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let c = g.channels;
    let mut dx = vec![0.0; x.len()];
    let y = (0..dy.len()).map(|o| {
        let (k, pixel, i) = (o % c, o / c % g.output_pixels(), o / c / g.output_pixels());
        let at = [pixel / (g.output[1] * g.output[2]), pixel / g.output[2] % g.output[1], pixel % g.output[2]];
        let mut inside = vec![];
        for place in 0..g.kernel.iter().product() {
            let tap = [place / (g.kernel[1] * g.kernel[2]), place / g.kernel[2] % g.kernel[1], place % g.kernel[2]];
            let from = [0, 1, 2].map(|d| (at[d] * g.stride[d] + tap[d]).wrapping_sub(g.before[d]));
            if (0..3).all(|d| from[d] < g.input[d]) {
                inside.push((((i * g.input[0] + from[0]) * g.input[1] + from[1]) * g.input[2] + from[2]) * c + k);
            }
        }
        match pooling {
            Pooling::Max => {
                let Some(first) = inside.iter().copied().reduce(|best, at| if x[at] > x[best] { at } else { best }) else {
                    return f64::NEG_INFINITY;
                };
                dx[first] += dy[o];
                x[first]
            }
            Pooling::Mean => {
                let n = inside.len().max(1) as f64;
                for at in &inside {
                    dx[*at] += dy[o] / n;
                }
                inside.iter().map(|at| x[*at]).sum::<f64>() / n
            }
        }
    });
    (y.collect(), dx)
}

/// By the chain rule as in the paper, with explicit gradients to variance and mean.
pub(super) fn naive_batch_norm(
    c: usize,
    relu: bool,
    x: &[f64],
    gamma: &[f64],
    beta: &[f64],
    dy: &[f64],
) -> (Vec<f64>, Vec<f64>, Vec<f64>, Vec<f64>) {
    let n = (x.len() / c) as f64;
    let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let (mut dgamma, mut dbeta) = (vec![0.0; c], vec![0.0; c]);
    for k in 0..c {
        let column = |v: &[f64]| -> Vec<f64> { v.iter().skip(k).step_by(c).copied().collect() };
        let (x, dy) = (column(x), column(dy));
        let mean = x.iter().sum::<f64>() / n;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let root = (variance + EPSILON).sqrt();
        let hat: Vec<f64> = x.iter().map(|x| (x - mean) / root).collect();
        let z: Vec<f64> = hat.iter().map(|h| gamma[k] * h + beta[k]).collect();
        let dz: Vec<f64> = z.iter().zip(&dy).map(|(z, dy)| if relu && *z <= 0.0 { 0.0 } else { *dy }).collect();
        dgamma[k] = dz.iter().zip(&hat).map(|(d, h)| d * h).sum();
        dbeta[k] = dz.iter().sum();
        let dhat: Vec<f64> = dz.iter().map(|d| d * gamma[k]).collect();
        let dvariance: f64 = dhat.iter().zip(&x).map(|(d, x)| d * (x - mean)).sum::<f64>() * -0.5 / root.powi(3);
        let dmean = -dhat.iter().sum::<f64>() / root;
        for i in 0..x.len() {
            dx[i * c + k] = dhat[i] / root + dvariance * 2.0 * (x[i] - mean) / n + dmean / n;
            y[i * c + k] = if relu { z[i].max(0.0) } else { z[i] };
        }
    }
    (y, dx, dgamma, dbeta)
}

/// Value and slope by definition, with Φ as an integral of the normal density.
pub(super) fn naive_activation(activation: Activation, x: f64) -> (f64, f64) {
    let sigmoid = 1.0 / (1.0 + (-x).exp());
    match activation {
        Activation::Relu => (x.max(0.0), f64::from(u8::from(x > 0.0))),
        Activation::LeakyRelu { slope } => (if x > 0.0 { x } else { slope * x }, if x > 0.0 { 1.0 } else { slope }),
        Activation::Gelu => {
            let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
            // Simpson's rule; its error is far below that of double precision.
            let (n, h) = (2000, x / 2000.0);
            let weight = |i: i32| if i == 0 || i == n { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
            let phi = 0.5 + (0..=n).map(|i| weight(i) * density(f64::from(i) * h)).sum::<f64>() * h / 3.0;
            (x * phi, phi + x * density(x))
        }
        Activation::Silu => (x * sigmoid, sigmoid * (1.0 + x * (1.0 - sigmoid))),
        Activation::Tanh => (x.tanh(), 1.0 / x.cosh().powi(2)),
        Activation::Sigmoid => (sigmoid, sigmoid * (1.0 - sigmoid)),
        Activation::Elu { alpha } => (if x > 0.0 { x } else { alpha * (x.exp() - 1.0) }, if x > 0.0 { 1.0 } else { alpha * x.exp() }),
    }
}
