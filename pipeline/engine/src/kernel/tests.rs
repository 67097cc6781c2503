//! Every kernel in single precision, on every instruction set of this processor, against a naive reference in double precision
//! over random shapes; and, in the file beside this one, in double precision against PyTorch's numbers.
#![allow(clippy::cast_possible_truncation, clippy::float_cmp, reason = "small numbers in test cases, and infinities")]

use proptest::prelude::*;
use spec::model::{Activation, Padding, Window};

use super::conv::Conv;
use super::images::{Image, groups};
use super::simd::{FORCED, Isa};
use super::*;

mod naive;
mod pytorch;

use naive::{naive_activation, naive_batch_norm, naive_conv, naive_pool};
pub(crate) use pytorch::{channels_last, weights_last};

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

/// What a convolution is, besides its numbers.
#[derive(Clone, Copy)]
struct Shape<'a> {
    g: &'a Geometry,
    filters: usize,
    groups: usize,
    bias: bool,
    relu: bool,
}

impl<'a> Shape<'a> {
    fn plain(g: &'a Geometry, filters: usize, relu: bool) -> Self {
        Shape { g, filters, groups: 1, bias: true, relu }
    }

    fn weights(&self) -> usize {
        self.g.window_len() / self.groups * self.filters
    }
}

/// Gradients of a convolution: y, dx, dw, db.
type Results<T> = (Vec<T>, Vec<T>, Vec<T>, Vec<T>);

/// y, dx, dw, db of a kernel. The gradient to the input is added to ones, to see that it is.
fn conv<T: Real>(shape: Shape<'_>, x: &[T], w: &[T], b: &[T], dy: &[T], threads: usize) -> Results<T> {
    let Shape { g, filters, groups, bias, relu } = shape;
    let mut team = Team::new();
    team.resize(threads);
    let batch = x.len() / (g.input_pixels() * g.channels);
    let mut kernel = Conv::new(g, filters, groups, relu);
    let mut y = vec![T::of(f64::NAN); dy.len()];
    kernel.forward(&team, batch, x, w, bias.then_some(b), &mut y);
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
        bias.then_some(&mut Parameter::new(&mut b, vec![&mut db], Some(&Record))),
    );
    for dx in &mut dx {
        *dx -= T::one();
    }
    (y, dx, dw, db)
}

/// The same of a depthwise kernel.
fn depthwise<T: Real>(shape: Shape<'_>, x: &[T], w: &[T], b: &[T], dy: &[T]) -> Results<T> {
    let Shape { g, filters, bias, relu, .. } = shape;
    let (image, out) = (g.input_pixels() * g.channels, g.output_pixels() * filters);
    let batch = x.len() / image;
    let mut kernel = Depthwise::new(g, filters, relu);
    let mut y = vec![T::of(f64::NAN); dy.len()];
    let run = kernel.forward_images(w, bias.then_some(b));
    x.chunks_exact(image).zip(y.chunks_exact_mut(out)).for_each(|(x, y)| run(x, y));
    drop(run);
    let (mut w, mut b, mut dy) = (w.to_vec(), b.to_vec(), dy.to_vec());
    let (mut dw, mut db, mut dx) = (vec![T::zero(); w.len()], vec![T::zero(); b.len()], vec![T::one(); x.len()]);
    let size = groups(batch).1;
    let run = kernel.backward_images(batch, &w);
    for index in 0..batch {
        let (inside, outside) = (index * image..(index + 1) * image, index * out..(index + 1) * out);
        let at = Image { index, group: index / size, is_first: index % size == 0 };
        let to = Target { to: &mut dx[inside.clone()], add: true };
        run(at, &x[inside], &y[outside.clone()], &mut dy[outside], Some(to));
    }
    drop(run);
    let mut w = Parameter::new(&mut w, vec![&mut dw], Some(&Record));
    let mut b = Parameter::new(&mut b, vec![&mut db], Some(&Record));
    kernel.finish(&Team::new(), batch, &mut w, bias.then_some(&mut b));
    for dx in &mut dx {
        *dx -= T::one();
    }
    (y, dx, dw, db)
}

fn check_conv(shape: Shape<'_>, batch: usize) {
    let Shape { g, filters, groups, bias, .. } = shape;
    let x = numbers(batch * g.input_pixels() * g.channels, 1);
    let (w, b) = (numbers(shape.weights(), 2), numbers(filters, 3));
    let dy = numbers(batch * g.output_pixels() * filters, 4);
    let (y, dx, dw, db) = naive_conv(shape, &x, &w, &b, &dy);
    let close = |got: &Results<f32>| {
        assert_close(&got.0, &y, 1e-5, "y");
        assert_close(&got.1, &dx, 1e-5, "dx");
        assert_close(&got.2, &dw, 1e-5, "dw");
        if bias {
            assert_close(&got.3, &db, 1e-5, "db");
        }
    };
    let close_in_double = |got: &Results<f64>| {
        assert_close(&got.0, &y, 1e-13, "y in double precision");
        assert_close(&got.1, &dx, 1e-13, "dx in double precision");
        assert_close(&got.2, &dw, 1e-13, "dw in double precision");
    };
    let (narrow_x, narrow_w, narrow_b, narrow_dy) = (narrow(&x), narrow(&w), narrow(&b), narrow(&dy));
    on_each(|| {
        close(&conv(shape, &narrow_x, &narrow_w, &narrow_b, &narrow_dy, 1));
        if groups == g.channels {
            close(&depthwise(shape, &narrow_x, &narrow_w, &narrow_b, &narrow_dy));
        }
    });
    close_in_double(&conv(shape, &x, &w, &b, &dy, 1));
    if groups == g.channels {
        close_in_double(&depthwise(shape, &x, &w, &b, &dy));
    }
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

/// Every activation, from its parameter if it has one.
const ACTIVATIONS: [fn(f64) -> Activation; 7] = [
    |_| Activation::Relu,
    |slope| Activation::LeakyRelu { slope },
    |_| Activation::Gelu,
    |_| Activation::Silu,
    |_| Activation::Tanh,
    |_| Activation::Sigmoid,
    |alpha| Activation::Elu { alpha },
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn convolutions(g in geometries(), filters in 1usize..40, relu: bool, batch in 1usize..4) {
        check_conv(Shape::plain(&g, filters, relu), batch);
    }

    #[test]
    fn convolutions_in_groups(mut g in geometries(), groups in 1usize..20, share in 1usize..20, own in 1usize..20, depthwise: bool,
                              bias: bool, relu: bool, batch in 1usize..4) {
        let (groups, share, own) = if depthwise { (groups, 1, own % 3 + 1) } else { (groups % 4 + 1, share, own) };
        g.channels = groups * share;
        check_conv(Shape { g: &g, filters: groups * own, groups, bias, relu }, batch);
    }

    #[test]
    fn activations(len in 1usize..100, kind in 0usize..7, parameter in 0.0f64..2.0, add: bool) {
        let activation = ACTIVATIONS[kind](parameter);
        let x: Vec<f64> = numbers(len, 11).iter().map(|x| 6.0 * x).collect();
        let dy = numbers(len, 12);
        let (y, slopes): (Vec<f64>, Vec<f64>) = x.iter().map(|x| naive_activation(activation, *x)).unzip();
        let start = f64::from(u8::from(add));
        let dx: Vec<f64> = slopes.iter().zip(&dy).map(|(slope, dy)| start + slope * dy).collect();
        on_each(|| {
            let (x, dy, mut got, mut got_dx) = (narrow(&x), narrow(&dy), vec![f32::NAN; len], vec![1.0f32; len]);
            activate(activation, &x, &mut got);
            activate_backward(activation, &x, &got, &dy, Target { to: &mut got_dx, add });
            assert_close(&got, &y, 1e-6, "y");
            assert_close(&got_dx, &dx, 1e-6, "dx");
        });
        let (mut got, mut got_dx) = (vec![f64::NAN; len], vec![1.0f64; len]);
        activate(activation, &x, &mut got);
        activate_backward(activation, &x, &got, &dy, Target { to: &mut got_dx, add });
        assert_close(&got, &y, 1e-14, "y in double precision");
        assert_close(&got_dx, &dx, 1e-14, "dx in double precision");
    }

    #[test]
    fn sums(len in 1usize..100, count in 1usize..4, add: bool) {
        let inputs: Vec<Vec<f64>> = (0..count).map(|i| numbers(len, 20 + i)).collect();
        let expected: Vec<f64> = (0..len).map(|i| inputs.iter().map(|x| x[i]).sum()).collect();
        let dy = numbers(len, 30);
        let dx: Vec<f64> = dy.iter().map(|dy| dy + f64::from(u8::from(add))).collect();
        on_each(|| {
            let inputs: Vec<Vec<f32>> = inputs.iter().map(|x| narrow(x)).collect();
            let mut y = vec![f32::NAN; len];
            sum(&inputs.iter().map(|x| &x[..]).collect::<Vec<_>>(), &mut y);
            assert_close(&y, &expected, 1e-6, "y");
            let mut got = vec![1.0f32; len];
            sum_backward(&narrow(&dy), &mut [None, Some(Target { to: &mut got, add })]);
            assert_close(&got, &dx, 1e-6, "dx");
        });
    }

    #[test]
    fn masks(len in 1usize..100, batch in 1usize..4, add: bool) {
        let (x, dy) = (numbers(batch * len, 1), numbers(batch * len, 2));
        let mask = |i: usize, at: usize| if (i + at).is_multiple_of(3) { 0.0 } else { 1.5 };
        let times = |x: &[f64], start: f64| -> Vec<f64> { x.iter().enumerate().map(|(at, x)| start + x * mask(at / len, at % len)).collect() };
        let (y, dx) = (times(&x, 0.0), times(&dy, f64::from(u8::from(add))));
        on_each(|| {
            let (x, dy, mut got, mut got_dx) = (narrow(&x), narrow(&dy), vec![f32::NAN; batch * len], vec![1.0f32; batch * len]);
            let mut dropout = Dropout::<f32>::new(len);
            let run = dropout.forward_images(batch, |i, to| to.iter_mut().enumerate().for_each(|(at, to)| *to = mask(i, at) as f32));
            (0..batch).for_each(|i| run(i, &x[i * len..(i + 1) * len], &mut got[i * len..(i + 1) * len]));
            drop(run);
            for i in 0..batch {
                dropout.backward_image(i, &dy[i * len..(i + 1) * len], Target { to: &mut got_dx[i * len..(i + 1) * len], add });
            }
            assert_close(&got, &y, 1e-6, "y");
            assert_close(&got_dx, &dx, 1e-6, "dx");
        });
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
        check_conv(Shape::plain(&g, filters, true), 2);
    };
    image(28, 1, 16, 3, Padding::Same);
    image(14, 16, 32, 3, Padding::Same);
    image(7, 64, 64, 1, Padding::Valid);
    image(6, 8, 16, 5, Padding::Same);
    // Weights above `SMALL` are cut by window, and panels above `LARGE` are taken in parts.
    image(5, 300, 40, 3, Padding::Same);
    image(7, 64, 130, 3, Padding::Valid);
    // The same in groups, and in panels.
    let grouped = |size: usize, channels: usize, filters: usize, groups: usize| {
        let g = Geometry::new(&[size, size, channels], &Window::square(3, 1, Padding::Same)).unwrap();
        check_conv(Shape { g: &g, filters, groups, bias: true, relu: true }, 2);
    };
    grouped(5, 360, 80, 2);
    grouped(5, 16, 140, 2);
    grouped(6, 480, 48, 3);
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
    let (y, dx, dw, db) = naive_conv(Shape::plain(&g, outputs, relu), &x, &w, &b, &dy);
    on_each(|| {
        let team = Team::new();
        let mut kernel = Dense::<f32>::new(inputs, outputs, relu);
        let (x, mut w, mut b, mut dy) = (narrow(&x), narrow(&w), narrow(&b), narrow(&dy));
        let mut got = vec![f32::NAN; batch * outputs];
        kernel.forward(&team, batch, &x, &w, Some(&b), &mut got);
        let (mut got_dw, mut got_db, mut got_dx) = (vec![0.0; w.len()], vec![0.0; b.len()], vec![1.0; x.len()]);
        let squares = kernel.backward(
            &team,
            batch,
            &x,
            &got,
            &mut dy,
            Some(Target { to: &mut got_dx, add: true }),
            &mut Parameter::new(&mut w, vec![&mut got_dw], Some(&Record)),
            Some(&mut Parameter::new(&mut b, vec![&mut got_db], Some(&Record))),
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

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let g = Geometry::new(&[14, 14, 16], &Window::square(3, 1, Padding::Same)).unwrap();
    let batch = 13;
    let (x, w, b) = (narrow(&numbers(batch * 196 * 16, 1)), narrow(&numbers(144 * 32, 2)), narrow(&numbers(32, 3)));
    let dy = narrow(&numbers(batch * 196 * 32, 4));
    let bits = |threads| {
        let (y, dx, dw, db) = conv::<f32>(Shape::plain(&g, 32, true), &x, &w, &b, &dy, threads);
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
            Conv::new(&g, 1, 1, true).forward(&Team::new(), 1, &x, &[1.0; 4], Some(&[0.0]), &mut y);
            assert!(y[0].is_nan(), "NaN at {place}");
            let mut y = [0.0];
            Dense::new(4, 1, true).forward(&Team::new(), 1, &x, &[1.0; 4], None, &mut y);
            assert!(y[0].is_nan(), "NaN at {place}");
        }
        for activation in ACTIVATIONS {
            let mut y = [0.0f32];
            activate(activation(0.5), &[f32::NAN], &mut y);
            assert!(y[0].is_nan(), "NaN through {}", activation(0.5));
            // Far out, nothing overflows.
            let (mut y, mut dx) = ([0.0f32; 2], [0.0; 2]);
            activate(activation(0.5), &[-1e4, 1e4], &mut y);
            activate_backward(activation(0.5), &[-1e4, 1e4], &y, &[1.0; 2], Target { to: &mut dx, add: false });
            assert!(y.iter().chain(&dx).all(|y| y.is_finite()), "{y:?} and {dx:?} of {}", activation(0.5));
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
    let loss = cross_entropy(&[1000.0, 0.0, -1000.0], &[0], 0.0, Some(&mut gradient));
    assert_eq!((loss.sum, loss.correct, gradient), (0.0, 1, [0.0; 3]));
    let loss = cross_entropy(&[f64::NAN, 0.0, 1.0], &[0], 0.0, None);
    assert!(loss.sum.is_nan() && loss.correct == 0);
}
