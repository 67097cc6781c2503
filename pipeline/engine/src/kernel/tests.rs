//! Every kernel in single precision, on every instruction set of this processor, against a naive reference in double precision
//! over random shapes; and in double precision against PyTorch's numbers.
#![allow(clippy::cast_possible_truncation, clippy::float_cmp, reason = "small numbers in test cases, and infinities")]

use proptest::prelude::*;
use serde_json::Value as Json;
use spec::model::{Padding, Window};

use super::conv::Conv;
use super::simd::{FORCED, Isa};
use super::*;

/// "Learns" a gradient by writing it down.
pub(crate) struct Record;

impl<T: Real> Apply<T> for Record {
    fn apply(&self, _: &mut [T], gradient: &[T], state: &mut [&mut [T]]) {
        state[0].copy_from_slice(gradient);
    }
}

/// Numbers in ±1 that depend on `salt`, short enough to be exact in single precision.
fn numbers(len: usize, salt: usize) -> Vec<f64> {
    (0..len).map(|i| ((i * 7919 + salt * 104_729 + 13) * 2_654_435_761 % 4093) as f64 / 2048.0 - 1.0).collect()
}

fn narrow(x: &[f64]) -> Vec<f32> {
    x.iter().map(|x| *x as f32).collect()
}

/// Differences are measured against the size of the largest number: sums cancel.
fn assert_close<T: Real>(got: &[T], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0f64, |m, e| m.max(e.abs()));
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        assert!((g.wide() - e).abs() <= tolerance * scale, "{what} [{i}]: {} instead of {e}", g.wide());
    }
}

/// Runs a test on every instruction set that this processor has.
fn on_each(test: impl Fn()) {
    for isa in Isa::available() {
        FORCED.set(Some(*isa));
        test();
    }
    FORCED.set(None);
}

/// y, dx, dw, db of a convolution by definition; `y` decides where a ReLU lets `dy` through.
fn naive_conv(
    g: &Geometry,
    filters: usize,
    relu: bool,
    x: &[f64],
    w: &[f64],
    b: &[f64],
    dy: &[f64],
) -> (Vec<f64>, Vec<f64>, Vec<f64>, Vec<f64>) {
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
            let mut sum = b[f];
            for k in 0..g.window_len() {
                let place = k / c;
                let tap = [place / (g.kernel[1] * g.kernel[2]), place / g.kernel[2] % g.kernel[1], place % g.kernel[2]];
                let from = [0, 1, 2].map(|d| (at[d] * g.stride[d] + tap[d]).wrapping_sub(g.before[d]));
                if (0..3).all(|d| from[d] < g.input[d]) {
                    let x_at = input(i, from, k % c);
                    if backward {
                        dx[x_at] += dz * w[k * filters + f];
                        dw[k * filters + f] += dz * x[x_at];
                    } else {
                        sum += x[x_at] * w[k * filters + f];
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

/// y, dx, dw, db of a kernel. The gradient to the input is added to ones, to see that it is.
#[expect(clippy::too_many_arguments, reason = "the operands of one operation")]
fn conv<T: Real>(
    g: &Geometry,
    filters: usize,
    relu: bool,
    x: &[T],
    w: &[T],
    b: &[T],
    dy: &[T],
    threads: usize,
) -> (Vec<T>, Vec<T>, Vec<T>, Vec<T>) {
    let mut team = Team::new();
    team.resize(threads);
    let batch = x.len() / (g.input_pixels() * g.channels);
    let mut kernel = Conv::new(g, filters, relu);
    let mut y = vec![T::of(f64::NAN); dy.len()];
    kernel.forward(&team, batch, x, w, b, &mut y);
    let (mut w, mut b, mut dy) = (w.to_vec(), b.to_vec(), dy.to_vec());
    let (mut dw, mut db, mut dx) = (vec![T::zero(); w.len()], vec![T::zero(); b.len()], vec![T::one(); x.len()]);
    kernel.backward(
        &team,
        batch,
        x,
        &y,
        &mut dy,
        Some(Target { to: &mut dx, add: true }),
        &mut Parameter::new(&mut w, vec![&mut dw], Some(&Record)),
        &mut Parameter::new(&mut b, vec![&mut db], Some(&Record)),
    );
    for dx in &mut dx {
        *dx -= T::one();
    }
    (y, dx, dw, db)
}

fn check_conv(g: &Geometry, filters: usize, relu: bool, batch: usize) {
    let x = numbers(batch * g.input_pixels() * g.channels, 1);
    let (w, b) = (numbers(g.window_len() * filters, 2), numbers(filters, 3));
    let dy = numbers(batch * g.output_pixels() * filters, 4);
    let (y, dx, dw, db) = naive_conv(g, filters, relu, &x, &w, &b, &dy);
    on_each(|| {
        let got = conv::<f32>(g, filters, relu, &narrow(&x), &narrow(&w), &narrow(&b), &narrow(&dy), 1);
        assert_close(&got.0, &y, 1e-5, "y");
        assert_close(&got.1, &dx, 1e-5, "dx");
        assert_close(&got.2, &dw, 1e-5, "dw");
        assert_close(&got.3, &db, 1e-5, "db");
    });
    let got = conv::<f64>(g, filters, relu, &x, &w, &b, &dy, 1);
    assert_close(&got.1, &dx, 1e-13, "dx in double precision");
    assert_close(&got.2, &dw, 1e-13, "dw in double precision");
}

/// A geometry with any padding.
fn geometry(
    channels: usize,
    input: [usize; 3],
    kernel: [usize; 3],
    stride: [usize; 3],
    before: [usize; 3],
    after: [usize; 3],
) -> Option<Geometry> {
    let mut output = [0; 3];
    for d in 0..3 {
        output[d] = (input[d] + before[d] + after[d]).checked_sub(kernel[d])? / stride[d] + 1;
    }
    Some(Geometry { channels, input, kernel, stride, before, after, output })
}

fn geometries() -> impl Strategy<Value = Geometry> {
    let sizes = |low: usize, high: usize| prop::array::uniform3(low..high);
    // Half of them are images, with a depth of 1.
    let parts = (any::<bool>(), 1usize..20, sizes(1, 9), sizes(1, 6), sizes(1, 4), sizes(0, 4), sizes(0, 4));
    parts.prop_filter_map("a window that fits", |(flat, channels, mut input, mut kernel, stride, mut before, mut after)| {
        if flat {
            (input[0], kernel[0], before[0], after[0]) = (1, 1, 0, 0);
        }
        geometry(channels, input, kernel, stride, before, after)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn convolutions(g in geometries(), filters in 1usize..40, relu: bool, batch in 1usize..4) {
        check_conv(&g, filters, relu, batch);
    }

    #[test]
    fn dense_layers(inputs in 1usize..300, outputs in 1usize..70, batch in 1usize..40, relu: bool) {
        check_dense(inputs, outputs, batch, relu);
    }

    #[test]
    fn pools(g in geometries(), mean: bool, batch in 1usize..3) {
        let pooling = if mean { Pooling::Mean } else { Pooling::Max };
        let (inputs, outputs) = (batch * g.input_pixels() * g.channels, batch * g.output_pixels() * g.channels);
        let (x, dy) = (numbers(inputs, 5), numbers(outputs, 6));
        // Coarse numbers have ties.
        let x: Vec<f64> = x.iter().map(|x| (x * 4.0).round() / 4.0).collect();
        let (y, dx) = naive_pool(&g, pooling, &x, &dy);
        on_each(|| {
            let mut pool = Pool::<f32>::new(&g, pooling);
            let mut got = vec![f32::NAN; outputs];
            pool.forward(&Team::new(), batch, &narrow(&x), &mut got);
            for (got, y) in got.iter().zip(&y) {
                let both_empty = *got == f32::NEG_INFINITY && *y == f64::NEG_INFINITY;
                assert!(both_empty || (f64::from(*got) - y).abs() < 1e-6, "{got} instead of {y}");
            }
            for add in [false, true] {
                let mut got = vec![1.0f32; inputs];
                pool.backward(&Team::new(), batch, &narrow(&dy), Target { to: &mut got, add });
                let expected: Vec<f64> = dx.iter().map(|x| x + f64::from(u8::from(add))).collect();
                assert_close(&got, &expected, 1e-6, "dx");
            }
        });
    }

    #[test]
    fn batch_norms(pixels in 1usize..30, channels in 1usize..20, batch in 2usize..9, relu: bool) {
        let x: Vec<f64> = numbers(batch * pixels * channels, 7).iter().map(|x| 3.0 * x + 5.0).collect();
        let (gamma, beta, dy) = (numbers(channels, 8), numbers(channels, 9), numbers(x.len(), 10));
        let (y, dx, dgamma, dbeta) = naive_batch_norm(channels, relu, &x, &gamma, &beta, &dy);
        // A value close to the ReLU's edge may fall on either side in single precision.
        prop_assume!(!relu || y.iter().all(|y| *y == 0.0 || *y > 1e-4));
        on_each(|| {
            let team = Team::new();
            let mut norm = BatchNorm::<f32>::new(pixels, channels, relu);
            let (x, mut gamma, mut beta, dy) = (narrow(&x), narrow(&gamma), narrow(&beta), narrow(&dy));
            let (mut got, mut got_dx) = (vec![f32::NAN; x.len()], vec![0.0f32; x.len()]);
            norm.forward(&team, batch, &x, &gamma, &beta, &mut got, true);
            let (mut dg, mut db) = (vec![0.0f32; channels], vec![0.0f32; channels]);
            norm.backward(&team, batch, &x, &got, &dy, Some(Target { to: &mut got_dx, add: false }),
                &mut Parameter::new(&mut gamma, vec![&mut dg], Some(&Record)), &mut Parameter::new(&mut beta, vec![&mut db], Some(&Record)));
            assert_close(&got, &y, 1e-4, "y");
            assert_close(&got_dx, &dx, 1e-3, "dx");
            assert_close(&dg, &dgamma, 1e-4, "dgamma");
            assert_close(&db, &dbeta, 1e-4, "dbeta");
        });
    }
}

#[test]
fn convolutions_of_the_models() {
    let image = |size: usize, channels: usize, filters: usize, kernel: usize, padding| {
        let g = Geometry::new(&[size, size, channels], &Window::square(kernel, 1, padding)).unwrap();
        check_conv(&g, filters, true, 2);
    };
    image(28, 1, 16, 3, Padding::Same);
    image(14, 16, 32, 3, Padding::Same);
    image(7, 64, 64, 1, Padding::Valid);
    image(6, 8, 16, 5, Padding::Same);
    // Weights above `SMALL` are cut by window, and panels above `LARGE` are taken in parts.
    image(5, 300, 40, 3, Padding::Same);
    image(7, 64, 130, 3, Padding::Valid);
}

#[test]
fn large_dense_layers_in_parts_and_blocks() {
    check_dense(3000, 40, 5, true);
    check_dense(200, 1100, 3, false);
    check_dense(70, 10, 600, true);
}

fn check_dense(inputs: usize, outputs: usize, batch: usize, relu: bool) {
    let (x, w, b) = (numbers(batch * inputs, 1), numbers(inputs * outputs, 2), numbers(outputs, 3));
    let dy = numbers(batch * outputs, 4);
    // A dense layer is a convolution over images of one pixel.
    let g = geometry(inputs, [1; 3], [1; 3], [1; 3], [0; 3], [0; 3]).unwrap();
    let (y, dx, dw, db) = naive_conv(&g, outputs, relu, &x, &w, &b, &dy);
    on_each(|| {
        let team = Team::new();
        let mut kernel = Dense::<f32>::new(inputs, outputs, relu);
        let (x, mut w, mut b, mut dy) = (narrow(&x), narrow(&w), narrow(&b), narrow(&dy));
        let mut got = vec![f32::NAN; batch * outputs];
        kernel.forward(&team, batch, &x, &w, &b, &mut got);
        let (mut got_dw, mut got_db, mut got_dx) = (vec![0.0; w.len()], vec![0.0; b.len()], vec![1.0; x.len()]);
        let squares = kernel.backward(
            &team,
            batch,
            &x,
            &got,
            &mut dy,
            Some(Target { to: &mut got_dx, add: true }),
            &mut Parameter::new(&mut w, vec![&mut got_dw], Some(&Record)),
            &mut Parameter::new(&mut b, vec![&mut got_db], Some(&Record)),
        );
        let plus_one: Vec<f64> = dx.iter().map(|x| x + 1.0).collect();
        assert_close(&got, &y, 1e-5, "y");
        assert_close(&got_dx, &plus_one, 1e-5, "dx");
        assert_close(&got_dw, &dw, 1e-5, "dw");
        assert_close(&got_db, &db, 1e-5, "db");
        let expected: f64 = dw.iter().chain(&db).map(|x| x * x).sum();
        assert!((squares - expected).abs() <= 1e-4 * expected, "{squares} instead of {expected}");
    });
}

fn naive_pool(g: &Geometry, pooling: Pooling, x: &[f64], dy: &[f64]) -> (Vec<f64>, Vec<f64>) {
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
fn naive_batch_norm(c: usize, relu: bool, x: &[f64], gamma: &[f64], beta: &[f64], dy: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<f64>, Vec<f64>) {
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

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let g = Geometry::new(&[14, 14, 16], &Window::square(3, 1, Padding::Same)).unwrap();
    let batch = 13;
    let (x, w, b) = (narrow(&numbers(batch * 196 * 16, 1)), narrow(&numbers(144 * 32, 2)), narrow(&numbers(32, 3)));
    let dy = narrow(&numbers(batch * 196 * 32, 4));
    let bits = |threads| {
        let (y, dx, dw, db) = conv::<f32>(&g, 32, true, &x, &w, &b, &dy, threads);
        [y, dx, dw, db].concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    let one = bits(1);
    assert!(one == bits(2) && one == bits(3));
}

#[test]
fn broken_numbers_are_passed_on() {
    let window = Window::square(2, 2, Padding::Valid);
    on_each(|| {
        for place in 0..4 {
            let mut x = [1.0f32, 2.0, 3.0, 4.0];
            x[place] = f32::NAN;
            let mut y = [0.0];
            Pool::new(&Geometry::new(&[2, 2, 1], &window).unwrap(), Pooling::Max).forward(&Team::new(), 1, &x, &mut y);
            assert!(y[0].is_nan(), "NaN at {place}");
            let g = Geometry::new(&[2, 2, 1], &window).unwrap();
            let mut y = [0.0];
            Conv::new(&g, 1, true).forward(&Team::new(), 1, &x, &[1.0; 4], &[0.0], &mut y);
            assert!(y[0].is_nan(), "NaN at {place}");
            let mut y = [0.0];
            Dense::new(4, 1, true).forward(&Team::new(), 1, &x, &[1.0; 4], &[0.0], &mut y);
            assert!(y[0].is_nan(), "NaN at {place}");
        }
        let mut y = [0.0];
        let g = Geometry::new(&[2, 2, 1], &window).unwrap();
        Pool::new(&g, Pooling::Max).forward(&Team::new(), 1, &[f32::NEG_INFINITY; 4], &mut y);
        assert!(y[0] == f32::NEG_INFINITY);
    });
}

#[test]
fn cross_entropy_of_extreme_logits() {
    let mut gradient = [0.0f64; 3];
    let loss = cross_entropy(&[1000.0, 0.0, -1000.0], &[0], Some(&mut gradient));
    assert_eq!((loss.sum, loss.correct, gradient), (0.0, 1, [0.0; 3]));
    let loss = cross_entropy(&[f64::NAN, 0.0, 1.0], &[0], None);
    assert!(loss.sum.is_nan() && loss.correct == 0);
}

// PyTorch's numbers.

struct Case(Json);

/// A tensor as PyTorch stores it.
type Stored = (Vec<usize>, Vec<f64>);

impl Case {
    fn tensor(json: &Json) -> Stored {
        let list = |key: &str| json[key].as_array().unwrap().clone();
        (list("shape").iter().map(|n| n.as_u64().unwrap() as usize).collect(), list("data").iter().map(|x| x.as_f64().unwrap()).collect())
    }
    fn get(&self, key: &str) -> Stored {
        Case::tensor(&self.0[key])
    }
    /// Numbers with the channels last.
    fn images(&self, key: &str) -> Vec<f64> {
        channels_last(&self.get(key))
    }
    fn list(&self, key: &str) -> Vec<Stored> {
        self.0[key].as_array().unwrap().iter().map(Case::tensor).collect()
    }
    /// One size per dimension, led by `fill`.
    fn sizes(&self, key: &str, fill: usize) -> [usize; 3] {
        let given: Vec<usize> = self.0["config"][key].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
        lead(&given, fill)
    }
    fn geometry(&self, kernel: [usize; 3]) -> Geometry {
        let (shape, _) = self.get("input");
        let padding = self.sizes("padding", 0);
        geometry(shape[1], lead(&shape[2..], 1), kernel, self.sizes("stride", 1), padding, padding).unwrap()
    }
}

fn lead(sizes: &[usize], fill: usize) -> [usize; 3] {
    let mut lifted = [fill; 3];
    lifted[3 - sizes.len()..].copy_from_slice(sizes);
    lifted
}

/// \[n, channels, …\] → \[n, …, channels\]
pub(crate) fn channels_last((shape, data): &Stored) -> Vec<f64> {
    let (c, pixels) = (shape[1], shape[2..].iter().product::<usize>());
    (0..data.len()).map(|i| data[(i / (c * pixels) * c + i % c) * pixels + i / c % pixels]).collect()
}

/// Weights \[filters, channels, …\] → \[…, channels, filters\]; dense weights \[outputs, inputs\] → \[inputs, outputs\].
pub(crate) fn weights_last((shape, data): &Stored) -> Vec<f64> {
    let (f, c, places) = (shape[0], shape[1], shape[2..].iter().product::<usize>());
    (0..data.len()).map(|i| data[(i % f * c + i / f % c) * places + i / f / c]).collect()
}

#[test]
fn agrees_with_pytorch() {
    let cases: Json = serde_json::from_str(include_str!("../../tests/reference/layers.json")).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for case in cases.as_array().unwrap().iter().cloned().map(Case) {
        let op = case.0["op"].as_str().unwrap().to_owned();
        seen.insert(op.clone());
        let (shape, _) = case.get("input");
        let batch = shape[0];
        match op.as_str() {
            "conv1d" | "conv2d" | "conv3d" => {
                let (p, gp) = (case.list("params"), case.list("grad_params"));
                let g = case.geometry(lead(&p[0].0[2..], 1));
                let (x, dy) = (case.images("input"), case.images("grad_output"));
                let (y, dx, dw, db) = conv(&g, p[0].0[0], false, &x, &weights_last(&p[0]), &p[1].1, &dy, 1);
                assert_close(&y, &case.images("output"), 1e-12, &op);
                assert_close(&dx, &case.images("grad_input"), 1e-12, &op);
                assert_close(&dw, &weights_last(&gp[0]), 1e-12, &op);
                assert_close(&db, &gp[1].1, 1e-12, &op);
            }
            "max_pool2d" | "avg_pool2d" => {
                let g = case.geometry(case.sizes("kernel", 1));
                let mut pool = Pool::new(&g, if op == "max_pool2d" { Pooling::Max } else { Pooling::Mean });
                let (x, dy, dx) = (case.images("input"), case.images("grad_output"), case.images("grad_input"));
                let (mut y, mut got) = (vec![0.0; dy.len()], vec![0.0; dx.len()]);
                pool.forward(&Team::new(), batch, &x, &mut y);
                assert_close(&y, &case.images("output"), 1e-15, &op);
                pool.backward(&Team::new(), batch, &dy, Target { to: &mut got, add: false });
                assert_close(&got, &dx, 1e-15, &op);
            }
            "dense" => {
                let (p, gp) = (case.list("params"), case.list("grad_params"));
                let (outputs, team) = (p[0].0[0], Team::new());
                let mut dense = Dense::new(shape[1], outputs, false);
                let (x, (_, mut dy)) = (case.get("input").1, case.get("grad_output"));
                let (mut w, mut b, mut y) = (weights_last(&p[0]), p[1].1.clone(), vec![0.0; batch * outputs]);
                dense.forward(&team, batch, &x, &w, &b, &mut y);
                assert_close(&y, &case.get("output").1, 1e-12, &op);
                let (mut dw, mut db, mut dx) = (vec![0.0; w.len()], vec![0.0; outputs], vec![0.0; x.len()]);
                let (mut w, mut b) =
                    (Parameter::new(&mut w, vec![&mut dw], Some(&Record)), Parameter::new(&mut b, vec![&mut db], Some(&Record)));
                dense.backward(&team, batch, &x, &y, &mut dy, Some(Target { to: &mut dx, add: false }), &mut w, &mut b);
                assert_close(&dx, &case.get("grad_input").1, 1e-12, &op);
                assert_close(&dw, &weights_last(&gp[0]), 1e-12, &op);
                assert_close(&db, &gp[1].1, 1e-12, &op);
            }
            "batch_norm" => {
                let (p, gp) = (case.list("params"), case.list("grad_params"));
                let (mut gamma, mut beta, team) = (p[0].1.clone(), p[1].1.clone(), Team::new());
                let mut norm = BatchNorm::new(shape[2..].iter().product(), shape[1], false);
                let (x, dy) = (case.images("input"), case.images("grad_output"));
                let mut y = vec![0.0; x.len()];
                norm.forward(&team, batch, &x, &gamma, &beta, &mut y, true);
                assert_close(&y, &case.images("output"), 1e-12, &op);
                let mut eval = vec![0.0; x.len()];
                norm.forward(&team, batch, &x, &gamma, &beta, &mut eval, false);
                assert_close(&eval, &case.images("eval_output"), 1e-12, "running statistics");
                let (mut dg, mut db, mut dx) = (vec![0.0; shape[1]], vec![0.0; shape[1]], vec![0.0; x.len()]);
                let (mut gamma, mut beta) =
                    (Parameter::new(&mut gamma, vec![&mut dg], Some(&Record)), Parameter::new(&mut beta, vec![&mut db], Some(&Record)));
                norm.backward(&team, batch, &x, &y, &dy, Some(Target { to: &mut dx, add: false }), &mut gamma, &mut beta);
                assert_close(&dx, &case.images("grad_input"), 1e-12, &op);
                assert_close(&dg, &gp[0].1, 1e-12, &op);
                assert_close(&db, &gp[1].1, 1e-12, &op);
            }
            "relu" => {
                // A ReLU stands behind a layer: here a 1×1 convolution by 1.
                let g = geometry(1, [1, 1, shape[1]], [1; 3], [1; 3], [0; 3], [0; 3]).unwrap();
                let (y, dx, _, _) = conv(&g, 1, true, &case.get("input").1, &[1.0], &[0.0], &case.get("grad_output").1, 1);
                assert_close(&y, &case.get("output").1, 0.0, &op);
                assert_close(&dx, &case.get("grad_input").1, 1e-15, &op);
            }
            "softmax_cross_entropy" => {
                let labels: Vec<u32> = case.0["config"]["labels"].as_array().unwrap().iter().map(|l| l.as_u64().unwrap() as u32).collect();
                let (_, x) = case.get("input");
                let mut gradient = vec![0.0; x.len()];
                let got = cross_entropy(&x, &labels, Some(&mut gradient));
                assert_close(&[got.sum / labels.len() as f64], &case.get("output").1, 1e-12, &op);
                assert_close(&gradient, &case.get("grad_input").1, 1e-12, &op);
            }
            other => panic!("no test for {other}"),
        }
    }
    for op in ["conv1d", "conv2d", "conv3d", "max_pool2d", "avg_pool2d", "dense", "batch_norm", "relu", "softmax_cross_entropy"] {
        assert!(seen.contains(op), "reference numbers for {op}");
    }
}
