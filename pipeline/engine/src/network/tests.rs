//! Networks on our kernels, against their composition of candle operations and against finite differences in double precision;
//! and, in files beside this one, short trainings of every kind of network against PyTorch, and what does not fit.
#![allow(clippy::cast_possible_truncation, reason = "small numbers in test cases")]

use proptest::prelude::*;
use spec::Value;
use spec::model::{Padding, Units, Window};

use super::*;
use crate::kernel::tests::Record;

mod misfits;
mod pytorch;

fn random(len: usize, index: u64) -> Vec<f64> {
    let mut stream = Stream::new(Purpose::Init, 99, index);
    (0..len).map(|_| 2.0 * stream.unit() - 1.0).collect()
}

fn values(t: &Tensor) -> Vec<f64> {
    t.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

fn assert_close(got: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        assert!((g - e).abs() <= tolerance * (1.0 + e.abs()), "{what} [{i}]: {g} instead of {e}");
    }
}

/// Output and gradients (to the data, then to each parameter) of a network on our kernels.
fn on_kernels(graph: &Graph, input: &[usize], batch: usize, x: &[f64], parameters: &[Vec<f64>], dy: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let mut network = Kernels::<f64>::new(&Structure::of(graph, input, 3).unwrap(), 0, 1).unwrap();
    network.want_input_gradient();
    for (var, values) in network.parameters().iter().zip(parameters) {
        var.set(&Tensor::from_slice(values, var.shape(), &Device::Cpu).unwrap()).unwrap();
    }
    network.input(batch).copy_from_slice(x);
    network.run(true).unwrap();
    let y = network.output().to_vec();
    network.backward_from(dy, Some(&Record)).unwrap();
    let mut gradients = vec![network.input_gradient().to_vec()];
    gradients.extend(network.states().iter().map(|state| values(&state[0])));
    (y, gradients)
}

/// The same by candle.
fn composed(graph: &Graph, input: &[usize], batch: usize, x: &[f64], parameters: &[Vec<f64>], dy: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let structure = Structure::of(graph, input, 3).unwrap();
    let mut network = Composed::new(structure, 0, DType::F64, &Device::Cpu, 0).unwrap();
    for (var, values) in network.parameters().iter().zip(parameters) {
        var.set(&Tensor::from_slice(values, var.shape(), &Device::Cpu).unwrap()).unwrap();
    }
    let x = Var::from_slice(x, [&[batch], input].concat(), &Device::Cpu).unwrap();
    let y = network.run(x.as_tensor().clone(), true).unwrap();
    let gradients = (&y * Tensor::from_slice(dy, y.shape(), &Device::Cpu).unwrap()).unwrap().sum_all().unwrap().backward().unwrap();
    let gradient = |var: &Var| gradients.get(var).map_or_else(|| vec![0.0; var.elem_count()], values);
    let all = std::iter::once(&x).chain(network.parameters()).map(gradient).collect();
    (values(&y), all)
}

/// Checks kernels and composition against each other and against central differences of Σ y·dy.
fn check(layers: Vec<Layer>, input: &[usize], batch: usize) {
    check_graph(&Graph::chain(layers), input, batch);
}

fn check_graph(graph: &Graph, input: &[usize], batch: usize) {
    let structure = Structure::of(graph, input, 3).unwrap();
    let parameters = structure.ops.iter().flat_map(|op| op.parameters());
    let parameters: Vec<Vec<f64>> = parameters.enumerate().map(|(i, p)| random(p.shape.iter().product(), 10 + i as u64)).collect();
    let x = random(batch * input.iter().product::<usize>(), 1);
    let dy = random(batch * structure.shapes[structure.ops.len()].iter().product::<usize>(), 2);
    let (y, kernels) = on_kernels(graph, input, batch, &x, &parameters, &dy);
    let (composed_y, by_candle) = composed(graph, input, batch, &x, &parameters, &dy);
    assert_close(&composed_y, &y, 1e-11, "composed output");
    assert_eq!(kernels.len(), by_candle.len());
    for (k, (kernel, candle)) in kernels.iter().zip(&by_candle).enumerate() {
        assert_close(candle, kernel, 1e-10, &format!("composed gradient {k}"));
        // A sample of elements keeps random shapes affordable.
        let stride = kernel.len().div_ceil(12);
        for i in (0..kernel.len()).step_by(stride) {
            let h = 1e-6;
            let shifted = |d: f64| -> f64 {
                let (mut x, mut parameters) = (x.clone(), parameters.clone());
                if k == 0 {
                    x[i] += d;
                } else {
                    parameters[k - 1][i] += d;
                }
                let (y, _) = on_kernels(graph, input, batch, &x, &parameters, &dy);
                y.iter().zip(&dy).map(|(y, dy)| y * dy).sum()
            };
            let numeric = (shifted(h) - shifted(-h)) / (2.0 * h);
            let analytic = kernel[i];
            assert!((numeric - analytic).abs() < 1e-5 * (1.0 + analytic.abs()), "operand {k} [{i}]: {analytic}, numerically {numeric}");
        }
    }
}

fn windows(rank: usize) -> impl Strategy<Value = Window> {
    let list = move |high: usize| prop::collection::vec(1..high, rank);
    (list(4), list(4), 0usize..3).prop_map(|(size, stride, kind)| {
        let half = size.iter().map(|size| size / 2).collect();
        let padding = [Padding::Valid, Padding::Same, Padding::Each(half)].into_iter().nth(kind).unwrap();
        Window { size, stride, padding }
    })
}

/// A window over 1, 2 or 3 dimensions and an input that it fits into.
fn windowed() -> impl Strategy<Value = (Window, Vec<usize>)> {
    (1usize..4).prop_flat_map(|rank| (windows(rank), prop::collection::vec(3usize..7, rank), 1usize..4)).prop_map(
        |(window, mut input, channels)| {
            input.push(channels);
            (window, input)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn dense(inputs in 1usize..20, units in 1usize..20, batch in 1usize..5, bias: bool, relu: bool) {
        check(vec![Layer::Dense { units: Units::Fixed(units), bias, relu }], &[inputs], batch);
    }

    #[test]
    fn conv((window, input) in windowed(), channels in 1usize..5, batch in 1usize..3, relu: bool) {
        check(vec![Layer::Conv { channels, window, groups: 1, bias: true, relu }], &input, batch);
    }

    #[test]
    fn conv_in_groups((window, mut input) in windowed(), groups in 1usize..4, own in 1usize..4, batch in 1usize..3, bias: bool, relu: bool) {
        *input.last_mut().unwrap() *= groups;
        check(vec![Layer::Conv { channels: groups * own, window, groups, bias, relu }], &input, batch);
    }

    #[test]
    fn depthwise_conv((window, input) in windowed(), own in 1usize..3, batch in 1usize..3, bias: bool, relu: bool) {
        let groups = *input.last().unwrap();
        check(vec![Layer::Conv { channels: groups * own, window, groups, bias, relu }], &input, batch);
    }

    #[test]
    fn windows_over_each_frame(window in windows(2), mut input in prop::collection::vec(3usize..6, 4), groups in 1usize..3, relu: bool) {
        input[3] = 2;
        let pools = [Layer::MaxPool { window: window.clone() }, Layer::AvgPool { window: window.clone() }];
        for layer in [Layer::Conv { channels: 4, window, groups, bias: true, relu }].into_iter().chain(pools) {
            check(vec![layer], &input, 2);
        }
    }

    #[test]
    fn global_max_pool(input in prop::collection::vec(1usize..6, 2..4), batch in 1usize..3) {
        check(vec![Layer::GlobalMaxPool], &input, batch);
    }

    #[test]
    fn stack_frames(input in prop::collection::vec(1usize..5, 4), batch in 1usize..3) {
        check(vec![Layer::StackFrames], &input, batch);
    }

    #[test]
    fn dropout(input in prop::collection::vec(1usize..6, 1..4), rate in 0.0f64..0.99, batch in 1usize..4) {
        check(vec![Layer::Dropout { rate }], &input, batch);
    }

    #[test]
    fn activation(input in prop::collection::vec(1usize..6, 1..4), kind in 0usize..7, batch in 1usize..4) {
        let slope = 0.1;
        let all = [
            Activation::Relu,
            Activation::LeakyRelu { slope },
            Activation::Gelu,
            Activation::Silu,
            Activation::Tanh,
            Activation::Sigmoid,
            Activation::Elu { alpha: 0.7 },
        ];
        check(vec![Layer::Activation(all[kind])], &input, batch);
    }

    #[test]
    fn max_pool((window, input) in windowed(), batch in 1usize..3) {
        check(vec![Layer::MaxPool { window }], &input, batch);
    }

    #[test]
    fn avg_pool((window, input) in windowed(), batch in 1usize..3) {
        check(vec![Layer::AvgPool { window }], &input, batch);
    }

    #[test]
    fn global_avg_pool(input in prop::collection::vec(1usize..6, 2..4), batch in 1usize..3) {
        check(vec![Layer::GlobalAvgPool], &input, batch);
    }

    #[test]
    fn batch_norm(input in prop::collection::vec(1usize..6, 1..4), batch in 3usize..6, relu: bool) {
        check(vec![Layer::BatchNorm { relu }], &input, batch);
    }
}

#[test]
fn branches_add_up_their_gradients() {
    let conv = |channels, size| Layer::Conv { channels, window: Window::square(size, 1, Padding::Same), groups: 1, bias: true, relu: true };
    let mut graph = Graph::default();
    let a = graph.add(conv(3, 3), &[0]);
    let b = graph.add(conv(2, 1), &[a]);
    let c = graph.add(Layer::MaxPool { window: Window::square(3, 1, Padding::Same) }, &[a]);
    let d = graph.add(Layer::Concat, &[a, b, c]);
    let e = graph.add(Layer::Flatten, &[d]);
    graph.add(Layer::Dense { units: Units::Classes, bias: true, relu: false }, &[e]);
    check_graph(&graph, &[4, 5, 2], 2);
}

#[test]
fn residual_networks_add_up_their_gradients() {
    let conv = |groups, bias| {
        let window = Window::square(3, 1, Padding::Each(vec![1, 1]));
        Layer::Conv { channels: 4, window, groups, bias, relu: false }
    };
    let mut graph = Graph::default();
    let a = graph.add(conv(2, false), &[0]);
    let norm = graph.add(Layer::BatchNorm { relu: false }, &[a]);
    let b = graph.add(Layer::Activation(Activation::Silu), &[norm]);
    let c = graph.add(conv(4, true), &[b]);
    let d = graph.add(Layer::Add, &[b, c]);
    let e = graph.add(Layer::Dropout { rate: 0.3 }, &[d]);
    let f = graph.add(conv(1, true), &[e]);
    let g = graph.add(Layer::Add, &[f, d, a]);
    let h = graph.add(Layer::Activation(Activation::Gelu), &[g]);
    let i = graph.add(Layer::GlobalMaxPool, &[h]);
    let j = graph.add(Layer::Dropout { rate: 0.5 }, &[i]);
    graph.add(Layer::Dense { units: Units::Classes, bias: false, relu: false }, &[j]);
    check_graph(&graph, &[4, 5, 2], 3);
}

/// What a dropout lets through of ones, in training, batch by batch.
fn masks(batches: &[usize], threads: usize) -> Vec<Vec<f64>> {
    let graph = Graph::chain([Layer::Dropout { rate: 0.3 }, Layer::Dropout { rate: 0.0 }]);
    let mut network = Kernels::<f64>::new(&Structure::of(&graph, &[50, 50, 1], 3).unwrap(), 7, 0).unwrap();
    network.resize_team(threads);
    let mut run = |batch: usize, training| {
        network.input(batch).fill(1.0);
        network.run(training).unwrap();
        network.output().to_vec()
    };
    batches
        .iter()
        .map(|batch| {
            let masks = run(*batch, true);
            // Evaluations in between change nothing, and drop nothing.
            assert!(run(3, false).iter().all(|x| (x - 1.0).abs() < f64::EPSILON));
            masks
        })
        .collect()
}

#[test]
fn masks_depend_on_the_example_alone() {
    let whole = masks(&[32, 32], 1);
    assert_eq!(whole, masks(&[32, 32], 3));
    assert_eq!(whole.concat(), masks(&[10, 22, 1, 31], 2).concat());
    let images: Vec<&[f64]> = whole.iter().flat_map(|masks| masks.chunks_exact(2500)).collect();
    assert!((1..images.len()).all(|i| !images[..i].contains(&images[i])), "every example has its own mask");
    // 160 000 numbers are kept with probability 0.7: sd 183.
    let kept = whole.concat().iter().filter(|x| **x > 0.0).count();
    assert!(kept.abs_diff(112_000) < 5 * 183, "{kept}");
    assert!(whole.concat().iter().all(|x| *x == 0.0 || (x - 1.0 / 0.7).abs() < 1e-12));
}

#[test]
fn layers_and_seeds_have_their_own_masks() {
    let drop = Layer::Dropout { rate: 0.5 };
    let mask = |layers: Vec<Layer>, seed| {
        let mut network = Kernels::<f64>::new(&Structure::of(&Graph::chain(layers), &[400], 3).unwrap(), seed, 0).unwrap();
        network.input(1).fill(1.0);
        network.run(true).unwrap();
        network.output().iter().map(|x| *x > 0.0).collect::<Vec<_>>()
    };
    let first = mask(vec![drop.clone()], 1);
    assert_ne!(first, mask(vec![drop.clone()], 2));
    assert_ne!(first, mask(vec![Layer::Flatten, drop.clone()], 1));
    // The same mask twice would let half through.
    let both = mask(vec![drop.clone(), drop], 1).iter().filter(|kept| **kept).count();
    assert!(both.abs_diff(100) < 50, "{both}");
}

#[test]
fn layers_before_functions_like_relu_start_with_larger_weights() {
    let conv = |relu| Layer::Conv { channels: 6, window: Window::square(3, 1, Padding::Same), groups: 2, bias: true, relu };
    let init = |layers: Vec<Layer>| {
        let structure = Structure::of(&Graph::chain(layers), &[8, 8, 4], 3).unwrap();
        structure.ops[0].parameters().remove(0).init
    };
    let weights = |is_rectified| layer::Init::Weights { fan_in: 18, fan_out: 27, is_rectified };
    let (he, glorot) = (weights(true), weights(false));
    assert_eq!(init(vec![conv(true)]), he);
    assert_eq!(init(vec![conv(false)]), glorot);
    assert_eq!(init(vec![conv(false), Layer::Activation(Activation::Gelu)]), he);
    assert_eq!(init(vec![conv(false), Layer::Activation(Activation::Tanh)]), glorot);
    assert_eq!(init(vec![conv(false), Layer::BatchNorm { relu: true }]), glorot);
    assert_eq!(init(vec![conv(false), Layer::BatchNorm { relu: false }, Layer::Activation(Activation::Relu)]), glorot);
    let width = |init: layer::Init, scheme: &str| {
        let mut config = spec::Config::default();
        config.insert("init", Value::Text(scheme.to_owned().into()));
        init.interval(Scheme::of(&config)).1.powi(2)
    };
    // 6/18 and 6/45.
    assert!([(he, "auto"), (he, "he"), (glorot, "he")].iter().all(|(init, scheme)| (width(*init, scheme) - 1.0 / 3.0).abs() < 1e-12));
    assert!([(glorot, "auto"), (he, "glorot")].iter().all(|(init, scheme)| (width(*init, scheme) - 2.0 / 15.0).abs() < 1e-12));
}

#[test]
fn parameters_and_operations_are_counted() {
    let size = |model: &'static str, shape: &[usize], norm: bool| {
        let mut config = spec::Config::default();
        config.insert("model", Value::Text(model.into()));
        config.insert("model.hidden", Value::Int(128));
        config.insert("model.batch_norm", Value::Bool(norm));
        let s = Structure::new(&spec::model::Library::built_in().graph(&config).unwrap().unwrap(), shape, 10).unwrap();
        (s.parameters(), s.flops())
    };
    assert_eq!(size("mlp", &[28, 28, 1], false).0, 101_770);
    assert_eq!(size("small-cnn", &[28, 28, 1], false).0, 105_866);
    // The course's count. 137 GFLOP for 32 examples.
    let (parameters, flops) = size("stacked-cnn", &[32, 32, 3], false);
    assert_eq!((parameters, (32 * flops).div_ceil(1_000_000_000)), (89_508_042, 137));
    // By hand: stem 320; module 1: 1056 + 792 + 6944 + 264 + 3216 + 528; module 2: 3104 + 2328 + 6944 + 776 + 3216 + 1552; 970.
    assert_eq!(size("inception", &[28, 28, 1], false).0, 32_010);
    // Twice the channels of all convolutions: 32 + 2 · (32 + 24 + 32 + 8 + 16 + 16).
    assert_eq!(size("inception", &[28, 28, 1], true).0, 32_010 + 2 * 288);
}

/// Networks whose sizes would not fit into 64 bits, or whose kernels alone would fill the memory.
#[test]
fn absurd_networks_are_refused_before_anything_is_allocated() {
    let conv = |channels, size: [usize; 2], padding: usize| {
        let window = Window::new(size.to_vec(), vec![1; 2], Padding::Each(vec![padding; 2]));
        Layer::Conv { channels, window, groups: 1, bias: true, relu: false }
    };
    let pool = |size: Vec<usize>| Layer::MaxPool {
        window: Window::new(size.clone(), size.iter().map(|_| 1).collect(), Padding::Each(size.iter().map(|n| n / 2).collect())),
    };
    let dense = |units| Layer::Dense { units: Units::Fixed(units), bias: false, relu: false };
    let refused = |layers: Vec<Layer>, input: &[usize], why: &str| {
        let error = Structure::of(&Graph::chain(layers), input, 3).err().unwrap_or_else(|| panic!("accepted: {why}")).to_string();
        assert!(error.contains(why), "{error}");
    };
    refused(vec![Layer::Flatten], &[65_536; 4], "comes to more than 10^19 numbers for one example");
    refused(vec![conv(65_536, [3; 2], 1024)], &[28, 28, 1], "`conv2d_1` (conv3x3 65536 pad 1024x1024): comes to 281901531136 numbers");
    refused(vec![conv(1, [1; 2], 1024); 9000], &[28, 28, 1], "layer `conv2d_8` (conv1x1 1 pad 1024x1024): comes to 269353744 numbers");
    refused(
        vec![pool(vec![3; 2]); 300],
        &[1024, 1024, 16],
        "layer `max_pool2d_256` (maxpool 3x3 stride 1x1 pad 1x1): with the layers before it",
    );
    refused(vec![dense(65_536); 9000], &[784], "with the layers before it, has 68770856960 parameters");
    refused(vec![conv(65_536, [1024; 2], 512)], &[8, 8, 8], "parameters; the limit is");
    refused(vec![conv(4096, [72; 2], 36)], &[250, 250, 16], "multiply-adds for one example");
    refused(vec![conv(1, [1024; 2], 1024)], &[4096, 4096, 1], "a window of 1024×1024 over 4096×4096 is too large");
    refused(vec![pool(vec![1024; 3])], &[8, 8, 8, 1], "a window of 1024×1024×1024 over 8×8×8 is too large");
    // Each doubles the channels.
    let mut graph = Graph::default();
    for i in 0..100 {
        graph.add(Layer::Activation(Activation::Tanh), &[2 * i]);
        graph.add(Layer::Concat, &[2 * i, 2 * i + 1]);
    }
    let error = Structure::of(&graph, &[4], 3).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.contains("layer `concat_27` (concat): comes to 536870912 numbers"), "{error}");
    // The most layers that a model file may have.
    let deep = Structure::of(&Graph::chain(vec![dense(2); 10_000]), &[2], 3).unwrap();
    assert_eq!(deep.parameters(), 40_000);
    // What is allowed and can't be trained has a size that is true.
    let large = Structure::of(&Graph::chain(vec![dense(65_536); 15]), &[784], 3).unwrap();
    assert_eq!(large.training_bytes(usize::MAX >> 20, usize::MAX >> 20), u64::MAX);
}
