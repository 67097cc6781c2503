//! The kernels in double precision against PyTorch's numbers, from `tests/reference/make.py`.

use serde_json::Value as Json;

use super::*;

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

fn check_convolution(case: &Case, op: &str) {
    let (p, gp) = (case.list("params"), case.list("grad_params"));
    let g = case.geometry(lead(&p[0].0[2..], 1));
    let (x, dy, w) = (case.images("input"), case.images("grad_output"), weights_last(&p[0]));
    let bias = p.get(1).map_or(vec![], |bias| bias.1.clone());
    let shape = Shape { g: &g, filters: p[0].0[0], groups: g.channels / p[0].0[1], bias: !bias.is_empty(), relu: false };
    let mut results = vec![conv(shape, &x, &w, &bias, &dy, 1)];
    if op == "depthwise_conv2d" {
        results.push(depthwise(shape, &x, &w, &bias, &dy));
    }
    for (y, dx, dw, db) in results {
        assert_close(&y, &case.images("output"), 1e-12, op);
        assert_close(&dx, &case.images("grad_input"), 1e-12, op);
        assert_close(&dw, &weights_last(&gp[0]), 1e-12, op);
        if shape.bias {
            assert_close(&db, &gp[1].1, 1e-12, op);
        }
    }
}

fn check_activation(case: &Case, op: &str) {
    let parameter = case.0["config"]["parameter"].as_f64().unwrap_or(0.0);
    let activation = ACTIVATIONS.map(|activation| activation(parameter)).into_iter().find(|a| a.kind() == op).unwrap();
    let (x, dy) = (case.get("input").1, case.get("grad_output").1);
    let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    activate(activation, &x, &mut y);
    activate_backward(activation, &x, &y, &dy, Target { to: &mut dx, add: false });
    assert_close(&y, &case.get("output").1, 1e-14, op);
    assert_close(&dx, &case.get("grad_input").1, 1e-14, op);
}

fn check_pool(case: &Case, op: &str, pool: &mut Pool<f64>) {
    let (x, dy, dx) = (case.images("input"), case.images("grad_output"), case.images("grad_input"));
    let (mut y, mut got, batch) = (vec![0.0; dy.len()], vec![0.0; dx.len()], case.get("input").0[0]);
    pool.forward(&Team::new(), batch, &x, &mut y);
    assert_close(&y, &case.images("output"), 1e-15, op);
    pool.backward(&Team::new(), batch, &dy, Target { to: &mut got, add: false });
    assert_close(&got, &dx, 1e-15, op);
}

#[test]
fn agrees_with_pytorch() {
    let cases: Json = serde_json::from_str(include_str!("../../../tests/reference/layers.json")).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for case in cases.as_array().unwrap().iter().cloned().map(Case) {
        let op = case.0["op"].as_str().unwrap().to_owned();
        seen.insert(op.clone());
        let (shape, _) = case.get("input");
        let batch = shape[0];
        match op.as_str() {
            "conv1d" | "conv2d" | "conv3d" | "grouped_conv2d" | "depthwise_conv2d" => check_convolution(&case, &op),
            "relu" | "leaky_relu" | "gelu" | "silu" | "tanh" | "sigmoid" | "elu" => check_activation(&case, &op),
            "global_max_pool" => {
                let size = lead(&shape[2..], 1);
                let g = geometry(shape[1], size, size, size, [0; 3], [0; 3]).unwrap();
                check_pool(&case, &op, &mut Pool::new(&g, Pooling::Max));
            }
            "max_pool2d" | "avg_pool2d" => {
                let g = case.geometry(case.sizes("kernel", 1));
                check_pool(&case, &op, &mut Pool::new(&g, if op == "max_pool2d" { Pooling::Max } else { Pooling::Mean }));
            }
            "dense" => {
                let (p, gp) = (case.list("params"), case.list("grad_params"));
                let (outputs, team) = (p[0].0[0], Team::new());
                let mut dense = Dense::new(shape[1], outputs, false);
                let (x, (_, mut dy)) = (case.get("input").1, case.get("grad_output"));
                let (mut w, mut b, mut y) = (weights_last(&p[0]), p[1].1.clone(), vec![0.0; batch * outputs]);
                dense.forward(&team, batch, &x, &w, Some(&b), &mut y);
                assert_close(&y, &case.get("output").1, 1e-12, &op);
                let (mut dw, mut db, mut dx) = (vec![0.0; w.len()], vec![0.0; outputs], vec![0.0; x.len()]);
                let (mut w, mut b) =
                    (Parameter::new(&mut w, vec![&mut dw], Some(&Record)), Parameter::new(&mut b, vec![&mut db], Some(&Record)));
                dense.backward(&team, batch, &x, &y, &mut dy, Some(Target { to: &mut dx, add: false }), &mut w, Some(&mut b));
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
            "softmax_cross_entropy" => {
                let labels: Vec<u32> = case.0["config"]["labels"].as_array().unwrap().iter().map(|l| l.as_u64().unwrap() as u32).collect();
                let (_, x) = case.get("input");
                let mut gradient = vec![0.0; x.len()];
                let got = cross_entropy(&x, &labels, 0.0, Some(&mut gradient));
                assert_close(&[got.sum / labels.len() as f64], &case.get("output").1, 1e-12, &op);
                assert_close(&gradient, &case.get("grad_input").1, 1e-12, &op);
            }
            other => panic!("no test for {other}"),
        }
    }
    let expected = [
        "avg_pool2d",
        "batch_norm",
        "conv1d",
        "conv2d",
        "conv3d",
        "dense",
        "depthwise_conv2d",
        "elu",
        "gelu",
        "global_max_pool",
        "grouped_conv2d",
        "leaky_relu",
        "max_pool2d",
        "relu",
        "sigmoid",
        "silu",
        "softmax_cross_entropy",
        "tanh",
    ];
    assert!(seen.iter().eq(expected), "reference numbers for {seen:?}");
}
