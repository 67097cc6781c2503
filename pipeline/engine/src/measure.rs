//! What benchmarks run: whole training steps on made-up data, single kernels, and the matrix product that they are held
//! against. Not for training.

use candle_core::Device;
use spec::{Config, Value, model};

use crate::error::Error;
use crate::kernel::{BatchNorm, Conv, Dense, Geometry, Parameter, Pool, Pooling, Target, Team, library_product};
use crate::layer::Path;
use crate::network::{self, Learn, Network, Structure};
use crate::optim::{self, Optimizer};

/// A network with a batch of made-up images, to be trained on it again and again.
pub struct TrainingStep {
    network: Box<dyn Network>,
    optimizer: Box<dyn Optimizer>,
    labels: Vec<u32>,
    /// Floating-point operations of one step.
    pub flops: u64,
    pub parameters: u64,
}

impl TrainingStep {
    /// `model` is a built-in one, or `inception-bn`; `stacked-cnn` gets images of 32×32×3, the others of
    /// 28×28×1. The optimizer has its default settings.
    ///
    /// # Errors
    /// When there is no such model or optimizer, or a tensor operation fails.
    pub fn new(model: &str, batch: usize, optimizer: &str, threads: usize) -> Result<Self, Error> {
        let mut config = Config::default();
        for key in optim::choices().into_iter().filter(|c| optimizer == c.name).flat_map(|c| c.keys) {
            if let spec::vocabulary::Absent::Is(value) = key.default {
                config.insert(key.name, value);
            }
        }
        let name = model.strip_suffix("-bn").unwrap_or(model);
        config.insert("model.batch_norm", Value::Bool(name != model));
        config.insert("model", Value::Text(name.to_owned().into()));
        config.insert("optimizer", Value::Text(optimizer.to_owned().into()));
        let shape = if name == "stacked-cnn" { [32, 32, 3] } else { [28, 28, 1] };
        let unknown = || Error::Mismatch(format!("there is no model `{model}`"));
        let graph =
            model::Library::built_in().graph(&config).ok_or_else(unknown)?.map_err(|e| Error::Mismatch(e.diagnostic.to_string()))?;
        let structure = Structure::new(&graph, &shape, 10)?;
        let (flops, parameters) = (structure.flops() * batch as u64, structure.parameters());
        let optimizer = optim::new(&config)?;
        let mut network = network::new(structure, 0, &Device::Cpu, Path::Kernels, &*optimizer, 0.0)?;
        network.set_threads(threads);
        fill(network.input(batch));
        let labels = (0..10).cycle().take(batch).collect();
        Ok(TrainingStep { network, optimizer, labels, flops, parameters })
    }

    /// One update; returns the sum of the losses.
    ///
    /// # Errors
    /// When a tensor operation fails.
    pub fn run(&mut self) -> Result<f64, Error> {
        let loss = self.network.forward(&self.labels, true)?;
        self.optimizer.begin(1e-4);
        self.network.backward(Learn::Now(&*self.optimizer))?;
        Ok(loss.sum)
    }
}

/// A kernel at work, forward and backward.
pub struct Work {
    pub name: String,
    /// Floating-point operations of one call; 0 for a kernel that only moves numbers.
    pub flops: u64,
    /// Bytes that one call reads and writes at least.
    pub bytes: u64,
    pub run: Box<dyn FnMut()>,
}

/// A matrix product of 2048×2048 single-precision numbers by the gemm library, on one thread: what the machine can do.
pub fn ceiling() -> Work {
    const SIDE: usize = 2048;
    let (a, mut product) = (filled(SIDE * SIDE), vec![0.0; SIDE * SIDE]);
    work("matrix product 2048×2048×2048", 2 * SIDE.pow(3), 3 * SIDE * SIDE, move || library_product(SIDE, &a, &a, &mut product))
}

/// The kernels as the models use them, on one thread.
pub fn kernels() -> Vec<Work> {
    let same = |size| model::Window::square(size, 1, model::Padding::Same);
    let valid = |size| model::Window::square(size, 1, model::Padding::Valid);
    let mut all = vec![
        conv("conv 3×3, 28×28×1 → 16", [28, 28, 1], &same(3), 16, 32, false),
        conv("conv 3×3, 14×14×16 → 32", [14, 14, 16], &same(3), 32, 32, true),
        conv("conv 1×1, 14×14×96 → 32", [14, 14, 96], &same(1), 32, 32, true),
        conv("conv 5×5, 28×28×8 → 16", [28, 28, 8], &same(5), 16, 32, true),
        conv("conv 3×3, 32×32×64 → 128", [32, 32, 64], &valid(3), 128, 4, true),
        conv("conv 5×5, 30×30×128 → 256", [30, 30, 128], &valid(5), 256, 2, true),
        dense("dense 784 → 128", 784, 128, 32, false),
        dense("dense 1568 → 64", 1568, 64, 32, true),
        dense("dense 173056 → 512", 173_056, 512, 32, true),
    ];
    all.push(pool("max-pool 2×2, 28×28×16", [28, 28, 16], &model::Window::square(2, 2, model::Padding::Valid), 32));
    all.push(pool("max-pool 3×3 stride 1, 28×28×32", [28, 28, 32], &same(3), 32));
    all.push(batch_norm("batch norm 28×28×32", 28 * 28, 32, 32));
    all.extend(optim::choices().iter().filter_map(|choice| update(choice.name)));
    all
}

/// Numbers in ±1 that follow no pattern.
fn fill(values: &mut [f32]) {
    let mut state = 1u32;
    for v in values {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *v = f32::from(u16::try_from(state >> 16).unwrap_or(0)) / 32_768.0 - 1.0;
    }
}

fn filled(len: usize) -> Vec<f32> {
    let mut values = vec![0.0; len];
    fill(&mut values);
    values
}

fn work(name: &str, flops: usize, numbers: usize, run: impl FnMut() + 'static) -> Work {
    Work { name: name.to_owned(), flops: flops as u64, bytes: 4 * numbers as u64, run: Box::new(run) }
}

/// Forward and backward with a batch; `inner`: with the gradient to the input, which the first layer does not need.
fn conv(name: &str, input: [usize; 3], window: &model::Window, filters: usize, batch: usize, inner: bool) -> Work {
    let Ok(g) = Geometry::new(&input, window) else { unreachable!("windows that fit") };
    let (inputs, outputs) = (batch * g.input_pixels() * g.channels, batch * g.output_pixels() * filters);
    let weights = g.window_len() * filters;
    let flops = 2 * outputs * g.window_len() * if inner { 3 } else { 2 };
    let (x, mut w, mut b, dy) = (filled(inputs), filled(weights), filled(filters), filled(outputs));
    let (mut y, mut dz, mut dx) = (vec![0.0; outputs], vec![0.0; outputs], vec![0.0; inputs]);
    let (mut kernel, team) = (Conv::new(&g, filters, 1, true), Team::new());
    work(name, flops, 2 * (inputs + outputs + weights), move || {
        kernel.forward(&team, batch, &x, &w, Some(&b), &mut y);
        dz.copy_from_slice(&dy);
        let target = inner.then(|| Target { to: &mut dx[..], add: false });
        let (mut w, mut b) = (Parameter::new(&mut w, vec![], None), Parameter::new(&mut b, vec![], None));
        kernel.backward(&team, batch, &x, &y, &mut dz, target, &mut w, Some(&mut b));
    })
}

fn dense(name: &str, inputs: usize, outputs: usize, batch: usize, inner: bool) -> Work {
    let flops = 2 * batch * inputs * outputs * if inner { 3 } else { 2 };
    let (x, mut w, mut b, dy) = (filled(batch * inputs), filled(inputs * outputs), filled(outputs), filled(batch * outputs));
    let (mut y, mut dz, mut dx) = (vec![0.0; batch * outputs], vec![0.0; batch * outputs], vec![0.0; batch * inputs]);
    let (mut kernel, team) = (Dense::new(inputs, outputs, true), Team::new());
    work(name, flops, 2 * (batch * inputs + batch * outputs + inputs * outputs), move || {
        kernel.forward(&team, batch, &x, &w, Some(&b), &mut y);
        dz.copy_from_slice(&dy);
        let target = inner.then(|| Target { to: &mut dx[..], add: false });
        let (mut w, mut b) = (Parameter::new(&mut w, vec![], None), Parameter::new(&mut b, vec![], None));
        kernel.backward(&team, batch, &x, &y, &mut dz, target, &mut w, Some(&mut b));
    })
}

fn pool(name: &str, input: [usize; 3], window: &model::Window, batch: usize) -> Work {
    let Ok(g) = Geometry::new(&input, window) else { unreachable!("windows that fit") };
    let (inputs, outputs) = (batch * g.input_pixels() * g.channels, batch * g.output_pixels() * g.channels);
    let (x, dy, mut y, mut dx) = (filled(inputs), filled(outputs), vec![0.0; outputs], vec![0.0; inputs]);
    let (mut kernel, team) = (Pool::new(&g, Pooling::Max), Team::new());
    work(name, 0, 2 * inputs + 4 * outputs, move || {
        kernel.forward(&team, batch, &x, &mut y);
        kernel.backward(&team, batch, &dy, Target { to: &mut dx, add: false });
    })
}

fn batch_norm(name: &str, pixels: usize, channels: usize, batch: usize) -> Work {
    let len = batch * pixels * channels;
    let (x, dy, mut y, mut dx) = (filled(len), filled(len), vec![0.0; len], vec![0.0; len]);
    let (mut gamma, mut beta) = (vec![1.0; channels], vec![0.0; channels]);
    let (mut kernel, team) = (BatchNorm::new(pixels, channels, true), Team::new());
    work(name, 0, 4 * len, move || {
        kernel.forward(&team, batch, &x, &gamma, &beta, &mut y, true);
        let (mut gamma, mut beta) = (Parameter::new(&mut gamma, vec![], None), Parameter::new(&mut beta, vec![], None));
        kernel.backward(&team, batch, &x, &y, &dy, Some(Target { to: &mut dx, add: false }), &mut gamma, &mut beta);
    })
}

/// An update of 2²⁰ weights in place.
fn update(optimizer: &str) -> Option<Work> {
    let mut config = Config::default();
    config.insert("optimizer", Value::Text(optimizer.to_owned().into()));
    for key in optim::choices().into_iter().filter(|c| c.name == optimizer).flat_map(|c| c.keys) {
        if let spec::vocabulary::Absent::Is(value) = key.default {
            config.insert(key.name, value);
        }
    }
    let mut rule = optim::new(&config).ok()?;
    let len = 1 << 20;
    let (mut w, g) = (filled(len), filled(len));
    let mut states = vec![vec![0.0f32; len]; rule.states()];
    let numbers = (3 + 2 * states.len()) * len;
    Some(work(&format!("{optimizer} update of 2^20 weights"), 0, numbers, move || {
        rule.begin(1e-4);
        let mut open: Vec<&mut [f32]> = states.iter_mut().map(|s| &mut s[..]).collect();
        rule.apply(&mut w, &g, &mut open);
    }))
}
