//! Fully connected layer: `y = act(x · w + b)`, with or without b, with x \[batch, inputs\], w \[inputs, outputs\], b \[outputs\].
//!
//! The weights are read once per pass, in stretches of rows. The backward pass takes a stretch of rows, gets the gradients to
//! its inputs and weights, and learns, before it goes on to the next: a large layer is bound by memory, and this way the
//! gradient to its weights never leaves the cache.

use super::Real;
use super::elementwise::{mask_and_sum, sum_parts};
use super::learn::{Parameter, Target};
use super::memory::room;
use super::panels::Panels;
use super::simd::prefetch;
use super::team::{Parts, Team};
use super::tile::{Left, Right, Segment, Size, Start, panel_product};

/// The inputs are cut into at most this many parts, whose sums are added in order: never by the number of threads.
const PARTS: usize = 16;
/// Fewest inputs in such a part.
const PART: usize = 128;
/// Rows of weights that are multiplied at a time; with 512 outputs they fill half of the first-level cache of most processors.
const DEPTH: usize = 64;
/// Rows of x further apart than this many numbers are copied together, because they would fall on the same cache lines.
const FAR: usize = 1024;
/// Weights that are learned at a time.
const BLOCK: usize = 16_384;
/// Most blocks that are one task.
const BLOCKS: usize = 8;
/// Examples that are multiplied at a time for the gradient to the weights.
const EXAMPLES: usize = 256;

const WHOLE: [Segment; 1] = [Segment { a: 0, b: 0 }];

/// A dense layer with optional bias and ReLU, and the memory that it works in.
pub(crate) struct Dense<T> {
    inputs: usize,
    outputs: usize,
    relu: bool,
    partial: Vec<T>,
    /// The gradient to the bias; zeros in the forward pass of a layer without one.
    bias: Vec<T>,
    /// The gradient behind the ReLU, outputs first.
    turned: Vec<T>,
    squares: Vec<f64>,
}

impl<T: Real> Dense<T> {
    pub(crate) fn new(inputs: usize, outputs: usize, relu: bool) -> Self {
        Dense { inputs, outputs, relu, partial: vec![], bias: vec![], turned: vec![], squares: vec![] }
    }

    /// Numbers of memory for a batch in training.
    pub(crate) fn memory(&self, batch: usize) -> usize {
        PARTS.min(self.inputs.div_ceil(PART)) * batch * self.outputs + 2 * BLOCK
    }

    pub(crate) fn forward(&mut self, team: &Team, batch: usize, x: &[T], w: &[T], b: Option<&[T]>, y: &mut [T]) {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let part = inputs.div_ceil(PARTS).max(PART);
        let parts = inputs.div_ceil(part);
        let len = batch * outputs;
        let partial = room(&mut self.partial, parts * len);
        let sums = Parts::new(&mut *partial);
        let panels = Panels::<T>::new(outputs);
        team.run(parts, len * inputs, |task| {
            // SAFETY: every task has its own sums.
            let sums = unsafe { sums.range(task * len, len) };
            let (start, end) = (task * part, ((task + 1) * part).min(inputs));
            let depth = if inputs > FAR { DEPTH } else { end - start };
            for from in (start..end).step_by(depth) {
                let depth = depth.min(end - from);
                let start = if from > start { Start::Output } else { Start::Zero };
                gathered(x, inputs, batch, from, depth, |left| {
                    for (first, columns) in panels.iter() {
                        // Each panel asks for its share of the next stretch of rows.
                        prefetch(w, (from + depth) * outputs + first * depth, columns * depth);
                        let right = Right { values: &w[from * outputs + first..], pitch: outputs };
                        let size = Size { rows: batch, columns, depth };
                        panel_product(&mut sums[first..], outputs, size, left, right, &WHOLE, start, false);
                    }
                });
            }
        });
        let sums = sum_parts(partial, len);
        let relu = self.relu;
        let b = b.unwrap_or_else(|| {
            let zeros = room(&mut self.bias, outputs);
            zeros.fill(T::zero());
            zeros
        });
        for (y, sums) in y.chunks_exact_mut(outputs).zip(sums.chunks_exact(outputs)) {
            for ((y, sum), b) in y.iter_mut().zip(sums).zip(b) {
                let z = *sum + *b;
                *y = if relu && z <= T::zero() { T::zero() } else { z };
            }
        }
    }

    /// Gradients after a forward pass on the same `x`, which gave `y`; learns and returns the gradients' sum of squares.
    /// `dy` is overwritten.
    #[expect(clippy::too_many_arguments, reason = "the operands of one operation")]
    pub(crate) fn backward(
        &mut self,
        team: &Team,
        batch: usize,
        x: &[T],
        y: &[T],
        dy: &mut [T],
        dx: Option<Target<'_, T>>,
        w: &mut Parameter<'_, T>,
        b: Option<&mut Parameter<'_, T>>,
    ) -> f64 {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let bias = room(&mut self.bias, outputs);
        bias.fill(T::zero());
        mask_and_sum(self.relu.then_some(y), dy, bias);
        let dz = &*dy;
        // Whole vectors of inputs, where there are enough.
        let block = (BLOCK / outputs).next_multiple_of(32).min(inputs);
        // Neighbouring blocks are one task, so that the next one can be fetched while this one is worked on.
        let task = (block * (inputs.div_ceil(block) / PARTS).clamp(1, BLOCKS)).min(inputs);
        let tasks = inputs.div_ceil(task);
        if self.squares.len() < tasks {
            self.squares.resize(tasks, 0.0);
        }
        let squares = &mut self.squares[..tasks];
        let (add, dx) = match dx {
            Some(target) => (target.add, Some(Parts::new(target.to))),
            None => (false, None),
        };
        let turned = if dx.is_some() { turn(dz, outputs, room(&mut self.turned, batch * outputs)) } else { &[] };
        let work = batch * inputs * outputs;
        let (squares_parts, weights) = (Parts::new(&mut *squares), &*w);
        team.run(tasks, if dx.is_some() { 2 * work } else { work } + 4 * inputs * outputs, |at| {
            let mut sum = 0.0;
            let end = ((at + 1) * task).min(inputs);
            for start in (at * task..end).step_by(block) {
                let rows = block.min(end - start);
                let next = start + rows..(start + 2 * rows).min(end);
                weights.prefetch(next.start * outputs, next.len() * outputs);
                if let Some(dx) = &dx {
                    // SAFETY: every task has its own rows of weights, and so its own inputs.
                    let w = unsafe { weights.block(start * outputs, rows * outputs) };
                    input_gradient(w, outputs, batch, turned, add, |i, first, len| {
                        // SAFETY: as above.
                        unsafe { dx.range(i * inputs + start + first, len) }
                    });
                }
                T::with(rows * outputs, |gradient| {
                    weight_gradient(x, inputs, start, rows, dz, outputs, batch, gradient);
                    // SAFETY: as above.
                    sum += unsafe { weights.learn_block(start * outputs, gradient) };
                });
            }
            // SAFETY: every task has its own sum.
            unsafe { squares_parts.range(at, 1)[0] = sum };
        });
        squares.iter().sum::<f64>() + b.map_or(0.0, |b| b.learn(team, bias))
    }
}

/// Calls `body` with columns `from..from + depth` of x as the left operand, copied together if rows are far apart.
fn gathered<T: Real>(x: &[T], inputs: usize, batch: usize, from: usize, depth: usize, body: impl FnOnce(Left<'_, T>)) {
    if inputs <= FAR {
        return body(Left { values: &x[from..], row: inputs, step: 1 });
    }
    T::with(batch * depth, |near| {
        for (near, x) in near.chunks_exact_mut(depth).zip(x.chunks_exact(inputs)) {
            near.copy_from_slice(&x[from..from + depth]);
        }
        body(Left { values: near, row: depth, step: 1 });
    });
}

/// Writes dz \[batch, outputs\] as \[outputs, batch\].
fn turn<'t, T: Real>(dz: &[T], outputs: usize, to: &'t mut [T]) -> &'t [T] {
    let batch = dz.len() / outputs;
    for (i, dz) in dz.chunks_exact(outputs).enumerate() {
        for (to, dz) in to[i..].iter_mut().step_by(batch).zip(dz) {
            *to = *dz;
        }
    }
    to
}

/// Gradient to the inputs whose rows of weights are `w`, from the turned dz; `to(example, first, len)` is where it goes.
///
/// Computed as w · dzᵀ, so that the weights are read as they are, and only this small product is turned.
fn input_gradient<'d, T: Real + 'd>(
    w: &[T],
    outputs: usize,
    batch: usize,
    turned: &[T],
    add: bool,
    to: impl Fn(usize, usize, usize) -> &'d mut [T],
) {
    let rows = w.len() / outputs;
    let panels = Panels::<T>::new(batch);
    T::with(rows * panels.width(), |products| {
        for (first, columns) in panels.iter() {
            let depth = if outputs > FAR { DEPTH } else { outputs };
            for from in (0..outputs).step_by(depth) {
                let depth = depth.min(outputs - from);
                let start = if from > 0 { Start::Output } else { Start::Zero };
                gathered(w, outputs, rows, from, depth, |left| {
                    let right = Right { values: &turned[from * batch + first..], pitch: batch };
                    panel_product(products, columns, Size { rows, columns, depth }, left, right, &WHOLE, start, false);
                });
            }
            for i in 0..columns {
                let products = products[i..].iter().step_by(columns);
                let to = to(first + i, 0, rows).iter_mut();
                if add {
                    to.zip(products).for_each(|(to, x)| *to += *x);
                } else {
                    to.zip(products).for_each(|(to, x)| *to = *x);
                }
            }
        }
    });
}

/// Gradient to the weights of the inputs `start..start + rows`.
#[expect(clippy::too_many_arguments, reason = "the operands of one operation")]
fn weight_gradient<T: Real>(x: &[T], inputs: usize, start: usize, rows: usize, dz: &[T], outputs: usize, batch: usize, gradient: &mut [T]) {
    let panels = Panels::<T>::new(outputs);
    for from in (0..batch).step_by(EXAMPLES) {
        let depth = EXAMPLES.min(batch - from);
        gathered(&x[from * inputs..], inputs, depth, start, rows, |left| {
            let left = Left { values: left.values, row: 1, step: left.row };
            for (first, columns) in panels.iter() {
                let right = Right { values: &dz[from * outputs + first..], pitch: outputs };
                let add = if from > 0 { Start::Output } else { Start::Zero };
                panel_product(&mut gradient[first..], outputs, Size { rows, columns, depth }, left, right, &WHOLE, add, false);
            }
        });
    }
}
