//! Networks on our kernels, against their composition of candle operations and against finite differences in double precision;
//! and short trainings of every kind of network against PyTorch.
#![allow(clippy::cast_possible_truncation, reason = "small numbers in test cases")]

use proptest::prelude::*;
use serde_json::Value as Json;
use spec::Value;
use spec::model::{Layer, Padding, Units, Window};

use super::*;
use crate::kernel::tests::{Record, channels_last, weights_last};
use crate::optim::tests::config_from;

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
    (list(4), list(4), any::<bool>()).prop_map(|(size, stride, same)| Window {
        size,
        stride,
        padding: if same { Padding::Same } else { Padding::Valid },
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
    fn dense(inputs in 1usize..20, units in 1usize..20, batch in 1usize..5, relu: bool) {
        check(vec![Layer::Dense { units: Units::Fixed(units), relu }], &[inputs], batch);
    }

    #[test]
    fn conv((window, input) in windowed(), channels in 1usize..5, batch in 1usize..3, relu: bool) {
        check(vec![Layer::Conv { channels, window, relu }], &input, batch);
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
    let conv = |channels, size| Layer::Conv { channels, window: Window::square(size, 1, Padding::Same), relu: true };
    let mut graph = Graph::default();
    let a = graph.add(conv(3, 3), &[0]);
    let b = graph.add(conv(2, 1), &[a]);
    let c = graph.add(Layer::MaxPool { window: Window::square(3, 1, Padding::Same) }, &[a]);
    let d = graph.add(Layer::Concat, &[a, b, c]);
    let e = graph.add(Layer::Flatten, &[d]);
    graph.add(Layer::Dense { units: Units::Classes, relu: false }, &[e]);
    check_graph(&graph, &[4, 5, 2], 2);
}

#[test]
fn parameters_and_operations_are_counted() {
    let size = |model: &'static str, shape: &[usize], norm: bool| {
        let mut config = spec::Config::default();
        config.insert("model", Value::Text(model.into()));
        config.insert("hidden", Value::Int(128));
        config.insert("batch_norm", Value::Bool(norm));
        let s = Structure::new(&spec::model::graph(&config).unwrap(), shape, 10).unwrap();
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

#[test]
fn layers_that_do_not_fit_are_named() {
    let error = |layers: Vec<Layer>| Structure::new(&Graph::chain(layers), &[28, 28, 1], 10).err().unwrap().to_string();
    let dense = |units| Layer::Dense { units, relu: false };
    let pool = |size| Layer::MaxPool { window: Window::square(size, size, Padding::Valid) };
    assert_eq!(
        error(vec![dense(Units::Classes)]),
        "layer 1 (dense classes): takes one dimension, not [28, 28, 1]; put a flatten before it"
    );
    assert_eq!(error(vec![Layer::Flatten, pool(2)]), "layer 2 (maxpool 2): takes [height, width, channels], not [784]");
    assert_eq!(error(vec![pool(29)]), "layer 1 (maxpool 29): a window of 29×29 does not fit into 28×28");
    assert_eq!(error(vec![Layer::Flatten]), "the network ends with shape [784], and 10 classes need [10]");
    let mut graph = Graph::chain([pool(2), pool(2)]);
    graph.add(Layer::Concat, &[1, 2]);
    let text = Structure::new(&graph, &[28, 28, 1], 10).err().unwrap().to_string();
    assert_eq!(text, "layer 3 (concat): takes inputs that differ in channels alone, not [14, 14, 1] and [7, 7, 1]");
    let mut graph = Graph::chain([Layer::Flatten, dense(Units::Classes)]);
    graph.add(dense(Units::Classes), &[1]);
    assert_eq!(Structure::new(&graph, &[28, 28, 1], 10).err().unwrap().to_string(), "nothing takes from layer 2 (dense classes)");
    let mut twice = Graph::chain([pool(2)]);
    twice.add(Layer::Concat, &[1, 1]);
    let text = Structure::new(&twice, &[28, 28, 1], 10).err().unwrap().to_string();
    assert_eq!(text, "layer 2 (concat): takes twice from the same layer");
    graph.nodes[0].inputs = vec![3];
    let text = Structure::new(&graph, &[28, 28, 1], 10).err().unwrap().to_string();
    assert_eq!(text, "layer 1 (flatten): takes from layer 3, which does not stand before it");
}

// PyTorch's trainings.

fn floats(json: &Json) -> Vec<f64> {
    json.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn sizes(json: &Json) -> Vec<usize> {
    json.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect()
}

/// The networks of `tests/reference/make.py`.
fn reference_network(name: &str) -> Graph {
    let relu = |units| Layer::Dense { units: Units::Fixed(units), relu: true };
    let conv = |channels, size, padding| Layer::Conv { channels, window: Window::square(size, 1, padding), relu: true };
    let halve = || Layer::MaxPool { window: Window::square(2, 2, Padding::Valid) };
    let keep = || Layer::MaxPool { window: Window::square(3, 1, Padding::Same) };
    let last = Layer::Dense { units: Units::Classes, relu: false };
    let (same, valid) = (Padding::Same, Padding::Valid);
    match name {
        "mlp" => Graph::chain([Layer::Flatten, relu(8), last]),
        "cnn" => Graph::chain([conv(4, 3, same), halve(), conv(5, 3, same), halve(), Layer::Flatten, relu(6), last]),
        "stacked" => {
            let convs = [conv(3, 1, valid), conv(3, 1, valid), conv(4, 3, valid), conv(5, 3, valid)];
            Graph::chain(convs.into_iter().chain([keep(), Layer::Flatten, relu(6), last]))
        }
        _ => {
            let norm = name == "inception_bn";
            let mut graph = Graph::default();
            let conv = |graph: &mut Graph, from, channels, size| {
                let conv = Layer::Conv { channels, window: Window::square(size, 1, same), relu: !norm };
                let conv = graph.add(conv, &[from]);
                if norm { graph.add(Layer::BatchNorm { relu: true }, &[conv]) } else { conv }
            };
            let module = |graph: &mut Graph, from| {
                let a = conv(graph, from, 4, 1);
                let b = conv(graph, from, 3, 1);
                let b = conv(graph, b, 4, 3);
                let c = conv(graph, from, 2, 1);
                let c = conv(graph, c, 3, 5);
                let d = graph.add(keep(), &[from]);
                let d = conv(graph, d, 3, 1);
                graph.add(Layer::Concat, &[a, b, c, d])
            };
            let stem = conv(&mut graph, 0, 4, 3);
            let first = module(&mut graph, stem);
            let halved = graph.add(halve(), &[first]);
            module(&mut graph, halved);
            graph.then(Layer::GlobalAvgPool);
            graph.then(last);
            graph
        }
    }
}

/// A parameter of PyTorch's in our order; flattened images are \[height, width, channels\] here and \[channels, height, width\]
/// there, which `flattened` (the shape of one such image, if this is the layer behind the flattening) sets right.
fn ours(json: &Json, flattened: Option<&[usize]>) -> Vec<f64> {
    let (shape, data) = (sizes(&json["shape"]), floats(&json["data"]));
    match (shape.len(), flattened) {
        (1, _) => data,
        (2, Some(image)) => {
            let (pixels, c) = (image[..image.len() - 1].iter().product::<usize>(), image[image.len() - 1]);
            let rows = shape[0];
            let reordered = (0..data.len()).map(|i| data[i / (pixels * c) * pixels * c + i % c * pixels + i / c % pixels]).collect();
            weights_last(&(vec![rows, pixels * c], reordered))
        }
        _ => weights_last(&(shape, data)),
    }
}

#[test]
fn fifty_steps_of_each_kind_of_network_agree_with_pytorch() {
    let reference: Json = serde_json::from_str(include_str!("../../tests/reference/training.json")).unwrap();
    let images = channels_last(&(sizes(&reference["images"]["shape"]), floats(&reference["images"]["data"])));
    let labels = sizes(&reference["labels"]);
    let mut seen = std::collections::BTreeSet::new();
    for case in reference["cases"].as_array().unwrap() {
        let (net, optimizer) = (case["net"].as_str().unwrap(), case["optimizer"].as_str().unwrap());
        seen.insert(net);
        let structure = || Structure::new(&reference_network(net), &[6, 6, 1], 3).unwrap();
        let flatten = reference_network(net).nodes.iter().position(|node| node.layer == Layer::Flatten);
        let image = flatten.map(|i| structure().shapes[i].clone());
        let stored = case["params"].as_array().unwrap();
        let behind = stored.iter().position(|json| sizes(&json["shape"]).len() == 2);
        let initial = stored.iter().enumerate().map(|(i, json)| ours(json, image.as_deref().filter(|_| behind == Some(i))));
        let initial: Vec<Vec<f64>> = initial.collect();
        let mut config = config_from(&case["config"]);
        config.insert("optimizer", Value::Text(optimizer.to_owned().into()));
        for path in [Path::Kernels, Path::Composed] {
            let mut rule = crate::optim::new(&config).unwrap();
            let mut kernels = Kernels::<f64>::new(&structure(), 0, rule.states()).unwrap();
            let mut composed = Composed::new(structure(), 0, DType::F64, &Device::Cpu, rule.states()).unwrap();
            let parameters = if path == Path::Kernels { kernels.parameters() } else { composed.parameters() };
            assert_eq!(parameters.len(), initial.len(), "{net}");
            for (var, values) in parameters.iter().zip(&initial) {
                var.set(&Tensor::from_slice(values, var.shape(), &Device::Cpu).unwrap()).unwrap();
            }
            let batches = case["batches"].as_array().unwrap();
            assert_eq!(batches.len(), 50);
            for (t, batch) in batches.iter().enumerate() {
                let indices = sizes(batch);
                let x: Vec<f64> = indices.iter().flat_map(|i| images[i * 36..(i + 1) * 36].to_vec()).collect();
                let labels: Vec<u32> = indices.iter().map(|i| labels[*i] as u32).collect();
                rule.begin(case["lr"].as_f64().unwrap());
                let (loss, norm) = if path == Path::Kernels {
                    kernels.input(indices.len()).copy_from_slice(&x);
                    let loss = kernels.forward(&labels, true).unwrap();
                    let apply: &dyn crate::kernel::Apply<f64> = &*rule;
                    (loss, kernels.backward(Some(apply)).unwrap())
                } else {
                    let x = Tensor::from_vec(x, (indices.len(), 6, 6, 1), &Device::Cpu).unwrap();
                    (composed.forward(x, &labels, true).unwrap(), Network::backward(&mut composed, Some(&*rule)).unwrap())
                };
                let got = [loss.sum / indices.len() as f64, norm];
                let expected = [floats(&case["loss"])[t], floats(&case["grad_norm"])[t]];
                for (g, e) in got.iter().zip(expected) {
                    assert!((g - e).abs() < 1e-7 * (1.0 + e), "{net} {optimizer} {path:?} step {t}: {g} {e}");
                }
            }
        }
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
}
