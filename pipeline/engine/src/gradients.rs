//! A convolution's gradients, derived by hand: one channel, a square filter, stride 1, no padding, global average pooling behind.
//!
//! With input X, filter W, output O\[i,j\] = Σ X\[i+a, j+b\] · W\[a,b\] and L = mean(O), the chain rule gives G = ∂L/∂O = 1/(number
//! of outputs) everywhere, and from it
//! - ∂L/∂W\[a,b\] = Σ G\[i,j\] · X\[i+a, j+b\]: the input correlated with the output gradient;
//! - ∂L/∂X\[i,j\] = Σ G\[i−a, j−b\] · W\[a,b\]: the output gradient, surrounded by zeros, correlated with the filter turned by 180°.
//!
//! Three others say the same: candle's autograd on a composition of its operations, the kernels that networks are trained with,
//! and central differences, which know nothing of derivatives.

use candle_core::{DType, Device, Tensor, Var};
use spec::model::{Graph, Layer, Padding, Window};
use spec::record::{Facts, Measurement, Outcome, Sink};
use spec::{Config, RunSpec};

use crate::error::Error;
use crate::network::{Composed, Kernels, Structure};
use crate::random::{Purpose, Stream};
use crate::train::Ending;

/// Matrices row by row.
#[derive(Clone, Debug, PartialEq)]
struct Matrix {
    side: usize,
    values: Vec<f64>,
}

impl Matrix {
    fn new(side: usize, value: impl FnMut((usize, usize)) -> f64) -> Self {
        Matrix { side, values: (0..side * side).map(|k| (k / side, k % side)).map(value).collect() }
    }

    /// The number at a place; 0 outside.
    fn at(&self, row: usize, column: usize) -> f64 {
        if row < self.side && column < self.side { self.values[row * self.side + column] } else { 0.0 }
    }
}

/// What the forward pass and the two rules give.
struct Derived {
    output: Matrix,
    loss: f64,
    to_output: Matrix,
    to_filter: Matrix,
    /// The output gradient, surrounded by zeros.
    padded: Matrix,
    /// The filter, turned by 180°.
    turned: Matrix,
    to_input: Matrix,
}

/// O = X correlated with W, as deep learning's convolution is.
fn correlate(x: &Matrix, w: &Matrix) -> Matrix {
    let places = || (0..w.side).flat_map(|a| (0..w.side).map(move |b| (a, b)));
    Matrix::new(x.side - w.side + 1, |(i, j)| places().map(|(a, b)| x.at(i + a, j + b) * w.at(a, b)).sum())
}

fn mean(m: &Matrix) -> f64 {
    m.values.iter().sum::<f64>() / m.values.len() as f64
}

fn derive(x: &Matrix, w: &Matrix) -> Derived {
    let output = correlate(x, w);
    let share = 1.0 / output.values.len() as f64;
    let to_output = Matrix::new(output.side, |_| share);
    let to_filter = correlate(x, &to_output);
    let turned = Matrix::new(w.side, |(a, b)| w.at(w.side - 1 - a, w.side - 1 - b));
    let border = w.side - 1;
    let padded = Matrix::new(to_output.side + 2 * border, |(i, j)| to_output.at(i.wrapping_sub(border), j.wrapping_sub(border)));
    let to_input = correlate(&padded, &turned);
    Derived { loss: mean(&output), output, to_output, to_filter, padded, turned, to_input }
}

/// Gradients of L to filter and input, found in some way.
struct Gradients {
    way: &'static str,
    to_filter: Vec<f64>,
    to_input: Vec<f64>,
}

/// (L(v + h) − L(v − h)) / 2h for every number. L is linear in each of them, so a large step costs no accuracy and little rounding.
fn central_differences(x: &Matrix, w: &Matrix) -> Gradients {
    const H: f64 = 0.5;
    let slopes = |count: usize, loss: &dyn Fn(usize, f64) -> f64| (0..count).map(|k| (loss(k, H) - loss(k, -H)) / (2.0 * H)).collect();
    let moved = |m: &Matrix, k: usize, h: f64| {
        let mut m = m.clone();
        m.values[k] += h;
        m
    };
    let to_filter = slopes(w.values.len(), &|k, h| mean(&correlate(x, &moved(w, k, h))));
    let to_input = slopes(x.values.len(), &|k, h| mean(&correlate(&moved(x, k, h), w)));
    Gradients { way: "central differences", to_filter, to_input }
}

/// The convolution and the pooling as a network in double precision.
fn structure(x: &Matrix, w: &Matrix) -> Result<Structure, Error> {
    let window = Window::square(w.side, 1, Padding::Valid);
    let convolution = Layer::Conv { channels: 1, window, groups: 1, bias: true, relu: false };
    Structure::new(&Graph::chain([convolution, Layer::GlobalAvgPool]), &[x.side, x.side, 1], 1)
}

fn autograd(x: &Matrix, w: &Matrix) -> Result<Gradients, Error> {
    let mut network = Composed::new(structure(x, w)?, 0, DType::F64, &Device::Cpu, 0)?;
    let filter = network.parameters()[0].clone();
    filter.set(&Tensor::from_slice(&w.values, filter.dims(), &Device::Cpu)?)?;
    let input = Var::from_slice(&x.values, (1, x.side, x.side, 1), &Device::Cpu)?;
    let gradients = network.run(input.as_tensor().clone(), true)?.sum_all()?.backward()?;
    let of = |var: &Var| match gradients.get(var) {
        Some(gradient) => gradient.flatten_all()?.to_vec1::<f64>(),
        None => candle_core::bail!("autograd has lost a variable"),
    };
    Ok(Gradients { way: "autograd", to_filter: of(&filter)?, to_input: of(&input)? })
}

fn kernels(x: &Matrix, w: &Matrix) -> Result<Gradients, Error> {
    let mut network = Kernels::<f64>::new(&structure(x, w)?, 0, 0)?;
    let filter = network.parameters()[0].clone();
    filter.set(&Tensor::from_slice(&w.values, filter.dims(), &Device::Cpu)?)?;
    network.want_input_gradient();
    network.input(1).copy_from_slice(&x.values);
    network.run(true)?;
    let to_filter = network.gradients_from(&[1.0])?.swap_remove(0);
    Ok(Gradients { way: "kernels", to_filter, to_input: network.input_gradient().to_vec() })
}

/// Input and filter of a configuration.
fn matrices(config: &Config, seed: u64) -> Result<(Matrix, Matrix), Error> {
    let (input, filter) = (config.count("input_size")?, config.count("filter_size")?);
    if filter > input {
        return Err(Error::Mismatch(format!("filter_size = {filter} does not fit into input_size = {input}")));
    }
    if !is_worked(config)? {
        let draw = |index, side| {
            let mut stream = Stream::new(Purpose::Matrix, seed, index);
            Matrix::new(side, |_| 2.0 * stream.unit() - 1.0)
        };
        return Ok((draw(0, input), draw(1, filter)));
    }
    // The worked examples: 1, 2, 3, … row by row, under a filter of the same, or one with 1 and −1 on its diagonals. That one is itself
    // when it is turned by 180°; the other is not.
    let counted = |side| Matrix::new(side, |(i, j)| (i * side + j + 1) as f64);
    if config.text("matrices")? == "worked-asymmetric" {
        return Ok((counted(input), counted(filter)));
    }
    let sign = |(a, b): (usize, usize)| {
        if a == b {
            1.0
        } else if a + b + 1 == filter {
            -1.0
        } else {
            0.0
        }
    };
    Ok((counted(input), Matrix::new(filter, sign)))
}

/// Whether the matrices are those of a worked example, whose derivation is shown step by step.
fn is_worked(config: &Config) -> Result<bool, Error> {
    Ok(config.text("matrices")? != "random")
}

/// What a check will do.
///
/// # Errors
/// When the filter is larger than the input.
pub(crate) fn facts(config: &Config) -> Result<Facts, Error> {
    let (x, w) = matrices(config, 0)?;
    let (parameters, memory_bytes) = (w.values.len() as u64, 8 * (x.values.len() + w.values.len()) as u64);
    Ok(Facts {
        parameters,
        flops_per_step: 0,
        memory_bytes,
        planned_steps: 0,
        device: "cpu".into(),
        threads: 1,
        layers: vec![],
        classes: vec![],
    })
}

/// Derives the gradients in all ways and records the largest deviation of each from the hand-derived ones, and the worked numbers.
///
/// # Errors
/// When a tensor operation or the sink fails.
pub(crate) fn check(run: &RunSpec, sink: &mut dyn Sink) -> Result<Ending, Error> {
    let (x, w) = matrices(&run.config, run.seed)?;
    sink.begin(&facts(&run.config)?)?;
    let derived = derive(&x, &w);
    let mut measure = |name: String, value| sink.measurement(&Measurement { name, value });
    for other in [autograd(&x, &w)?, kernels(&x, &w)?, central_differences(&x, &w)] {
        let pairs = [("filter", &derived.to_filter, &other.to_filter), ("input", &derived.to_input, &other.to_input)];
        for (what, ours, theirs) in pairs {
            let deviation = ours.values.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            measure(format!("deviation of {} from the formula, gradient to the {what}", other.way), deviation)?;
        }
    }
    measure("loss".into(), derived.loss)?;
    let mut matrices = vec![
        ("input", &x),
        ("filter", &w),
        ("output", &derived.output),
        ("gradient to output", &derived.to_output),
        ("gradient to filter", &derived.to_filter),
        ("gradient to input", &derived.to_input),
    ];
    if is_worked(&run.config)? {
        matrices.extend([("padded gradient to output", &derived.padded), ("turned filter", &derived.turned)]);
    }
    for (name, matrix) in matrices {
        for (k, value) in matrix.values.iter().enumerate() {
            measure(format!("{name} [{}, {}]", k / matrix.side, k % matrix.side), *value)?;
        }
    }
    Ok(Ending { outcome: Outcome::Completed, steps: 0, reason: None })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_worked_example_is_what_pencil_and_paper_give() {
        let x = Matrix::new(3, |(i, j)| (3 * i + j + 1) as f64);
        let w = Matrix { side: 2, values: vec![1.0, -1.0, -1.0, 1.0] };
        let d = derive(&x, &w);
        // Every 2 × 2 window of 1 … 9 has a − b − c + d = 0.
        assert_eq!((d.output.values, d.loss), (vec![0.0; 4], 0.0));
        assert_eq!(d.to_output.values, [0.25; 4]);
        // The means of the four 2 × 2 windows: (1+2+4+5)/4, (2+3+5+6)/4, …
        assert_eq!(d.to_filter.values, [3.0, 4.0, 6.0, 7.0]);
        // A quarter of the filter's overlap: corners see one number, edges two that cancel, the middle all four.
        assert_eq!(d.to_input.values, [0.25, 0.0, -0.25, 0.0, 0.0, 0.0, -0.25, 0.0, 0.25]);
    }

    #[test]
    fn a_filter_that_is_not_itself_when_turned_shows_the_turning() {
        let mut config = Config::default();
        config.insert("matrices", spec::Value::Text("worked-asymmetric".into()));
        config.insert("input_size", spec::Value::Int(3));
        config.insert("filter_size", spec::Value::Int(2));
        let (x, w) = matrices(&config, 0).unwrap();
        assert_eq!((&x.values[..], &w.values[..]), (&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0][..], &[1.0, 2.0, 3.0, 4.0][..]));
        let d = derive(&x, &w);
        // 1·1 + 2·2 + 4·3 + 5·4 = 37, 2·1 + 3·2 + 5·3 + 6·4 = 47, 4·1 + 5·2 + 7·3 + 8·4 = 67, 5·1 + 6·2 + 8·3 + 9·4 = 77.
        assert_eq!((&d.output.values[..], d.loss), (&[37.0, 47.0, 67.0, 77.0][..], 57.0));
        // As for the other filter: it does not matter there.
        assert_eq!(d.to_filter.values, [3.0, 4.0, 6.0, 7.0]);
        assert_eq!(d.padded.values[..8], [0.0, 0.0, 0.0, 0.0, 0.0, 0.25, 0.25, 0.0]);
        assert_eq!(d.padded.values[8..], [0.0, 0.25, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(d.turned.values, [4.0, 3.0, 2.0, 1.0]);
        // A quarter of the weights that meet each input: the first one meets W[0, 0] = 1 alone, which is last in the turned filter, the
        // middle one all four.
        let quarters = [1.0, 1.0 + 2.0, 2.0, 1.0 + 3.0, 10.0, 2.0 + 4.0, 3.0, 3.0 + 4.0, 4.0];
        assert_eq!(d.to_input.values, quarters.map(|sum| sum / 4.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn all_ways_agree(seed in 0u64..1000, input in 2usize..8, filter in 1usize..5) {
            prop_assume!(filter <= input);
            let draw = |index, side| {
                let mut stream = Stream::new(Purpose::Matrix, seed, index);
                Matrix::new(side, |_| 2.0 * stream.unit() - 1.0)
            };
            let (x, w) = (draw(0, input), draw(1, filter));
            let d = derive(&x, &w);
            for other in [autograd(&x, &w).unwrap(), kernels(&x, &w).unwrap(), central_differences(&x, &w)] {
                let close = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-13);
                prop_assert!(close(&d.to_filter.values, &other.to_filter), "{}: filter", other.way);
                prop_assert!(close(&d.to_input.values, &other.to_input), "{}: input", other.way);
            }
        }
    }
}
