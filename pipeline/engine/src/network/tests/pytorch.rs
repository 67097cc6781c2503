//! Short trainings of every kind of network against PyTorch's, from `tests/reference/make.py`.

use serde_json::Value as Json;

use super::*;
use crate::kernel::tests::{channels_last, weights_last};
use crate::optim::tests::config_from;

fn floats(json: &Json) -> Vec<f64> {
    json.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn sizes(json: &Json) -> Vec<usize> {
    json.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as usize).collect()
}

/// The networks of `tests/reference/make.py`.
fn reference_network(name: &str) -> Graph {
    let relu = |units| Layer::Dense { units: Units::Fixed(units), bias: true, relu: true };
    let conv = |channels, size, padding: &Padding| {
        let window = Window::square(size, 1, padding.clone());
        Layer::Conv { channels, window, groups: 1, bias: true, relu: true }
    };
    let halve = || Layer::MaxPool { window: Window::square(2, 2, Padding::Valid) };
    let keep = || Layer::MaxPool { window: Window::square(3, 1, Padding::Same) };
    let last = Layer::Dense { units: Units::Classes, bias: true, relu: false };
    let (same, valid) = (&Padding::Same, &Padding::Valid);
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
                let conv = Layer::Conv { channels, window: Window::square(size, 1, Padding::Same), groups: 1, bias: true, relu: !norm };
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
    let reference: Json = serde_json::from_str(include_str!("../../../tests/reference/training.json")).unwrap();
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
                    (composed.forward(x, &labels, true).unwrap(), Network::backward(&mut composed, Learn::Now(&*rule)).unwrap())
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
