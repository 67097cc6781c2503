//! Every operation that a model can use: against PyTorch's numbers, against finite differences in double precision over
//! random shapes, and kernels against compositions.
#![allow(clippy::cast_possible_truncation, reason = "small numbers in test cases")]

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::kernel::{Geometry, conv2d_backward, conv2d_forward, max_pool2d_backward, max_pool2d_forward};
use crate::loss::softmax_cross_entropy;
use crate::random::{Purpose, Stream};

fn random(shape: &[usize], index: u64) -> Tensor {
    let mut stream = Stream::new(Purpose::Init, 99, index);
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| 2.0 * stream.unit() - 1.0).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
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

/// Forward and backward of an operation with a given gradient to its output.
fn run(op: Box<dyn Op>, path: Path, x: &Tensor, parameters: &[Tensor], dy: &Tensor) -> (Tensor, Gradients) {
    let parameters = parameters.iter().map(|p| Var::from_tensor(p).unwrap()).collect();
    let mut layer = Layer::new(op, parameters, path);
    let y = layer.forward(x, true).unwrap();
    let gradients = layer.backward(dy, true).unwrap();
    (y, gradients)
}

/// Checks kernels and composition of an operation against central differences of Σ y·dy.
fn check_gradients(make: &dyn Fn() -> Box<dyn Op>, input: &[usize], batch: usize) {
    let shape = [&[batch], input].concat();
    let x = random(&shape, 1);
    let parameters: Vec<Tensor> = make().parameters().iter().enumerate().map(|(i, p)| random(&p.shape, 10 + i as u64)).collect();
    let dy = random(&[&[batch], &make().output()[..]].concat(), 2);
    let objective = |x: &Tensor, parameters: &[Tensor]| -> f64 {
        let (y, _) = run(make(), Path::Kernels, x, parameters, &dy);
        (y * &dy).unwrap().sum_all().unwrap().to_scalar().unwrap()
    };
    let (y, kernels) = run(make(), Path::Kernels, &x, &parameters, &dy);
    let (composed_y, composed) = run(make(), Path::Composed, &x, &parameters, &dy);
    assert_close(&values(&composed_y), &values(&y), 1e-12, "composed output");
    let all = |g: &Gradients| -> Vec<Tensor> { g.input.iter().chain(&g.parameters).cloned().collect() };
    let operands: Vec<Tensor> = std::iter::once(x).chain(parameters).collect();
    for (k, gradient) in all(&kernels).iter().enumerate() {
        assert_eq!(gradient.shape(), operands[k].shape(), "operand {k}");
        assert_close(&values(&all(&composed)[k]), &values(gradient), 1e-11, "composed gradient");
        let flat = values(&operands[k]);
        // A sample of elements keeps random shapes affordable.
        let stride = flat.len().div_ceil(24);
        for i in (0..flat.len()).step_by(stride) {
            let h = 1e-6;
            let shifted = |d: f64| {
                let mut v = flat.clone();
                v[i] += d;
                let mut o = operands.clone();
                o[k] = Tensor::from_vec(v, operands[k].shape(), &Device::Cpu).unwrap();
                objective(&o[0], &o[1..])
            };
            let numeric = (shifted(h) - shifted(-h)) / (2.0 * h);
            let analytic = values(gradient)[i];
            assert!((numeric - analytic).abs() < 1e-6 * (1.0 + analytic.abs()), "operand {k} [{i}]: {analytic}, numerically {numeric}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn dense_gradients(inputs in 1usize..20, units in 1usize..20, batch in 1usize..5, relu: bool) {
        check_gradients(&|| Box::new(dense::Dense::new(&[inputs], units, relu).unwrap()), &[inputs], batch);
    }

    #[test]
    fn conv2d_gradients(channels in 1usize..4, h in 1usize..8, w in 1usize..8, filters in 1usize..5, half in 0usize..3, batch in 1usize..4, relu: bool) {
        let kernel = 2 * half + 1;
        check_gradients(&|| Box::new(conv2d::Conv2d::new(&[channels, h, w], filters, kernel, relu).unwrap()), &[channels, h, w], batch);
    }

    #[test]
    fn max_pool2d_gradients(channels in 1usize..4, size in 1usize..4, h in 3usize..9, w in 3usize..9, batch in 1usize..4) {
        check_gradients(&|| Box::new(max_pool2d::MaxPool2d::new(&[channels, h, w], size).unwrap()), &[channels, h, w], batch);
    }

    #[test]
    fn flatten_gradients(a in 1usize..4, b in 1usize..4, batch in 1usize..4) {
        check_gradients(&|| Box::new(flatten::Flatten::new(&[a, b])), &[a, b], batch);
    }

    #[test]
    fn cross_entropy_gradients(batch in 1usize..6, classes in 2usize..12, spread in 0.1f64..30.0) {
        let logits = random(&[batch, classes], 3).affine(spread, 0.0).unwrap();
        let labels: Vec<u32> = (0..batch).map(|i| (i * 7 % classes) as u32).collect();
        let n = batch as f64;
        let kernel = softmax_cross_entropy(&logits, &labels, Path::Kernels, true).unwrap();
        let composed = softmax_cross_entropy(&logits, &labels, Path::Composed, true).unwrap();
        assert_close(&[composed.sum], &[kernel.sum], 1e-12, "loss");
        prop_assert_eq!(kernel.correct, composed.correct);
        let analytic = values(&kernel.gradient.unwrap());
        assert_close(&values(&composed.gradient.unwrap()), &analytic, 1e-12, "gradient");
        let flat = values(&logits);
        for i in 0..flat.len() {
            let shifted = |d: f64| {
                let mut v = flat.clone();
                v[i] += d;
                let t = Tensor::from_vec(v, (batch, classes), &Device::Cpu).unwrap();
                softmax_cross_entropy(&t, &labels, Path::Kernels, false).unwrap().sum / n
            };
            let numeric = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
            prop_assert!((numeric - analytic[i]).abs() < 1e-7, "{} {}", numeric, analytic[i]);
        }
    }
}

struct Case(Json);

impl Case {
    fn tensor(json: &Json) -> (Vec<usize>, Vec<f64>) {
        let list = |key: &str| json[key].as_array().unwrap().clone();
        (list("shape").iter().map(|n| n.as_u64().unwrap() as usize).collect(), list("data").iter().map(|x| x.as_f64().unwrap()).collect())
    }
    fn get(&self, key: &str) -> (Vec<usize>, Vec<f64>) {
        Case::tensor(&self.0[key])
    }
    fn list(&self, key: &str) -> Vec<(Vec<usize>, Vec<f64>)> {
        self.0[key].as_array().unwrap().iter().map(Case::tensor).collect()
    }
    fn pair(&self, key: &str) -> [usize; 2] {
        [0, 1].map(|i| self.0["config"][key][i].as_u64().unwrap() as usize)
    }
    fn geometry(&self, kernel: [usize; 2]) -> (Geometry, [usize; 2]) {
        let (shape, _) = self.get("input");
        let g = Geometry {
            channels: shape[1],
            input: [shape[2], shape[3]],
            kernel,
            stride: self.pair("stride"),
            padding: self.pair("padding"),
        };
        let (out, _) = self.get("output");
        assert_eq!(g.output(), Some([out[2], out[3]]));
        (g, [out[2], out[3]])
    }
}

/// PyTorch keeps dense weights as \[outputs, inputs\], we as \[inputs, outputs\].
fn transposed((shape, data): &(Vec<usize>, Vec<f64>)) -> Tensor {
    Tensor::from_vec(data.clone(), &shape[..], &Device::Cpu).unwrap().t().unwrap().contiguous().unwrap()
}

#[test]
fn agrees_with_pytorch() {
    let cases: Json = serde_json::from_str(include_str!("../../tests/reference/layers.json")).unwrap();
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for case in cases.as_array().unwrap().iter().cloned().map(Case) {
        let op = case.0["op"].as_str().unwrap().to_owned();
        *seen.entry(op.clone()).or_default() += 1;
        let ((shape, x), (_, y), (_, dy), (_, dx)) =
            (case.get("input"), case.get("output"), case.get("grad_output"), case.get("grad_input"));
        match op.as_str() {
            "conv2d" => {
                let (p, gp) = (case.list("params"), case.list("grad_params"));
                let (g, out) = case.geometry([p[0].0[2], p[0].0[3]]);
                let got = conv2d_forward(&g, out, &x, &p[0].1, &p[1].1, false);
                assert_close(&got, &y, 1e-12, "conv2d output");
                let (gx, gw, gb) = conv2d_backward(&g, out, &x, &p[0].1, &got, &dy, false, true);
                assert_close(&gx.unwrap(), &dx, 1e-12, "conv2d input gradient");
                assert_close(&gw, &gp[0].1, 1e-12, "conv2d weight gradient");
                assert_close(&gb, &gp[1].1, 1e-12, "conv2d bias gradient");
            }
            "max_pool2d" => {
                let (g, out) = case.geometry(case.pair("kernel"));
                let (got, places) = max_pool2d_forward(&g, out, &x);
                assert_close(&got, &y, 0.0, "max_pool2d output");
                assert_close(&max_pool2d_backward(&g, out, &places, &dy), &dx, 1e-15, "max_pool2d gradient");
            }
            "dense" => {
                let (p, gp) = (case.list("params"), case.list("grad_params"));
                let x = Tensor::from_vec(x, &shape[..], &Device::Cpu).unwrap();
                let layer = dense::Dense::new(&shape[1..], p[1].0[0], false).unwrap();
                let bias = Tensor::from_vec(p[1].1.clone(), &p[1].0[..], &Device::Cpu).unwrap();
                let dy = Tensor::from_vec(dy, &case.get("output").0[..], &Device::Cpu).unwrap();
                let (got, g) = run(Box::new(layer), Path::Kernels, &x, &[transposed(&p[0]), bias], &dy);
                assert_close(&values(&got), &y, 1e-12, "dense output");
                assert_close(&values(&g.input.unwrap()), &dx, 1e-12, "dense input gradient");
                assert_close(&values(&g.parameters[0]), &values(&transposed(&gp[0])), 1e-12, "dense weight gradient");
                assert_close(&values(&g.parameters[1]), &gp[1].1, 1e-12, "dense bias gradient");
            }
            "relu" => {
                let x = Var::from_vec(x, &shape[..], &Device::Cpu).unwrap();
                let out = activation::relu_if(true, x.as_tensor().clone()).unwrap();
                assert_close(&values(&out), &y, 0.0, "relu output");
                let dy = Tensor::from_vec(dy, &shape[..], &Device::Cpu).unwrap();
                let grads = (out * dy).unwrap().sum_all().unwrap().backward().unwrap();
                assert_close(&values(grads.get(&x).unwrap()), &dx, 0.0, "relu gradient");
            }
            "softmax_cross_entropy" => {
                let labels: Vec<u32> = case.0["config"]["labels"].as_array().unwrap().iter().map(|l| l.as_u64().unwrap() as u32).collect();
                let x = Tensor::from_vec(x, &shape[..], &Device::Cpu).unwrap();
                let got = softmax_cross_entropy(&x, &labels, Path::Kernels, true).unwrap();
                assert_close(&[got.sum / labels.len() as f64], &y, 1e-12, "cross-entropy");
                assert_close(&values(&got.gradient.unwrap()), &dx, 1e-12, "cross-entropy gradient");
            }
            other => panic!("no test for {other}"),
        }
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
}

#[test]
fn broken_numbers_are_passed_on() {
    let nan = f32::NAN;
    let x = [nan, 1.0, 2.0, 3.0];
    let g = Geometry { channels: 1, input: [2, 2], kernel: [2, 2], stride: [2, 2], padding: [0, 0] };
    assert!(max_pool2d_forward(&g, [1, 1], &x).0[0].is_nan());
    let y = crate::kernel::dense_forward(&[nan, 1.0], &[1.0, 1.0], &[0.0], 1, true);
    assert!(y[0].is_nan());
}

#[test]
fn layers_that_do_not_fit_are_named() {
    use model::{Layer as L, Units};
    let error = |layers: &[L]| build(layers, &[1, 28, 28], 10).err().unwrap();
    let dense = |units| L::Dense { units, relu: false };
    assert_eq!(error(&[dense(Units::Classes)]), "layer 1 (dense classes): takes one dimension, not [1, 28, 28]; put a flatten before it");
    assert_eq!(error(&[L::Flatten, L::MaxPool2d { size: 2 }]), "layer 2 (maxpool 2): takes [channels, height, width], not [784]");
    assert_eq!(error(&[L::MaxPool2d { size: 29 }]), "layer 1 (maxpool 29): a window of 29×29 does not fit into 28×28");
    assert_eq!(error(&[L::Flatten]), "the network ends with shape [784], and 10 classes need [10]");
    let even = L::Conv2d { channels: 2, kernel: 2, relu: false };
    assert!(error(&[even]).contains("use an odd one"));
}
