//! Convolution (cross-correlation, as everywhere in deep learning) over 1, 2 or 3 dimensions, channels last.
//!
//! x is \[batch, depth, height, width, channels\], the weights \[window depth, height, width, channels, filters\], y \[batch,
//! depth, height, width, filters\]. A row of a window is one stretch of an image row, so an output row is a panel product
//! straight from the image: there is no im2col. The gradient to the input is the convolution of the padded gradient to the
//! output with the turned weights.

use super::Real;
use super::elementwise::{mask_and_sum, sum_parts};
use super::geometry::Geometry;
use super::learn::{Parameter, Target};
use super::memory::room;
use super::panels::Panels;
use super::team::{Parts, Team};
use super::tile::{Left, Right, Segment, Size, Start, panel_product};

/// Weights up to this many get partial gradients by groups of images; larger ones are cut by window instead.
const SMALL: usize = 65_536;
/// Groups of images with a partial gradient each. Fixed, so that sums don't depend on the number of threads.
const GROUPS: usize = 8;
/// Window places whose gradient one task computes.
const ROWS: usize = 48;

/// A convolution with bias and optional ReLU, and the memory that it works in.
pub(crate) struct Conv<T> {
    g: Geometry,
    filters: usize,
    relu: bool,
    /// The input with its padding, kept for the backward pass.
    padded: Vec<T>,
    /// The weights in panels of columns, one after another.
    packed: Vec<T>,
    /// The turned weights, likewise.
    turned: Vec<T>,
    partial: Vec<T>,
    partial_bias: Vec<T>,
    /// Where each window row starts: in the padded input, and in the weights of a panel.
    window_rows: Vec<Segment>,
    /// Where each output row starts: in the padded input, and in the output.
    output_rows: Vec<Segment>,
}

impl<T: Real> Conv<T> {
    pub(crate) fn new(g: &Geometry, filters: usize, relu: bool) -> Self {
        let g = g.clone().flattened();
        let [_, height, width] = g.padded();
        let row = width * g.channels;
        let window_rows = pairs(g.kernel[0], g.kernel[1]).map(|(z, y)| Segment { a: (z * height + y) * row, b: 0 }).collect();
        let output_rows = pairs(g.output[0], g.output[1])
            .enumerate()
            .map(|(i, (z, y))| Segment { a: (z * g.stride[0] * height + y * g.stride[1]) * row, b: i * g.output[2] * filters })
            .collect();
        let (padded, packed, turned, partial, partial_bias) = Default::default();
        Conv { g, filters, relu, padded, packed, turned, partial, partial_bias, window_rows, output_rows }
    }

    fn image_len(&self) -> usize {
        self.g.input_pixels() * self.g.channels
    }

    /// Numbers in an image with its padding.
    fn source_len(&self) -> usize {
        self.g.padded().iter().product::<usize>() * self.g.channels
    }

    fn out_len(&self) -> usize {
        self.g.output_pixels() * self.filters
    }

    /// Numbers of memory for a batch in training.
    pub(crate) fn memory(&self, batch: usize) -> usize {
        let weights = self.g.window_len() * self.filters;
        let padded = if self.g.is_padded() { batch * self.source_len() } else { 0 };
        let partial = if weights <= SMALL { batch.min(GROUPS) * weights } else { weights };
        padded + 2 * weights + partial + batch * self.filters
    }

    /// Multiply-adds of one pass over a batch.
    fn work(&self, batch: usize) -> usize {
        batch * self.out_len() * self.g.window_len()
    }

    pub(crate) fn forward(&mut self, team: &Team, batch: usize, x: &[T], w: &[T], b: &[T], y: &mut [T]) {
        let (image, source, out, filters) = (self.image_len(), self.source_len(), self.out_len(), self.filters);
        let panels = Panels::<T>::new(filters);
        let depth = self.g.kernel[2] * self.g.channels;
        let is_padded = self.g.is_padded();
        let padded = if is_padded { room(&mut self.padded, batch * source) } else { &mut [] };
        let weights = panels.pack(w, self.g.window_len(), &mut self.packed);
        let segments = with_depth(&self.window_rows, depth * panels.pitch());
        let (g, relu, output_rows) = (&self.g, self.relu, &self.output_rows);
        let work = batch * out * g.window_len();
        let (padded, y) = (Parts::new(padded), Parts::new(y));
        team.run(batch, work, |i| {
            let mut from = &x[i * image..(i + 1) * image];
            if is_padded {
                // SAFETY: every task has its own image.
                let to = unsafe { padded.range(i * source, source) };
                pad(g, from, to);
                from = to;
            }
            // SAFETY: every task has its own image.
            let y = unsafe { y.range(i * out, out) };
            for (first, columns) in panels.iter() {
                let right = Right { values: panels.panel(weights, first, g.window_len()), pitch: panels.pitch() };
                let size = Size { rows: g.output[2], columns, depth };
                for row in output_rows {
                    let left = Left { values: &from[row.a..], row: g.stride[2] * g.channels, step: 1 };
                    panel_product(&mut y[row.b + first..], filters, size, left, right, &segments, Start::Bias(&b[first..]), relu);
                }
            }
        });
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
        b: &mut Parameter<'_, T>,
    ) -> f64 {
        let (image, source, out, filters) = (self.image_len(), self.source_len(), self.out_len(), self.filters);
        let work = self.work(batch);
        let turned_panels = Panels::<T>::new(self.g.channels);
        if dx.is_some() {
            turn(team, &self.g, filters, &turned_panels, w.weights(), &mut self.turned);
        }
        let weights = w.len();
        let group = if weights <= SMALL { batch.div_ceil(GROUPS) } else { 1 };
        let groups = batch.div_ceil(group);
        let sources = if self.g.is_padded() { &self.padded[..batch * source] } else { x };
        let partial_bias = room(&mut self.partial_bias, groups * filters);
        partial_bias.fill(T::zero());
        let partial = room(&mut self.partial, if weights <= SMALL { groups * weights } else { weights });
        let (g, relu, turned) = (&self.g, self.relu, &self.turned);
        let (window_rows, output_rows) = (&self.window_rows, &self.output_rows);
        let gradient = WeightGradient { g, filters, output_rows };

        let (add, dx) = match dx {
            Some(target) => (target.add, Some(Parts::new(target.to))),
            None => (false, None),
        };
        let (dy_parts, bias_parts, partial_parts) = (Parts::new(&mut *dy), Parts::new(&mut *partial_bias), Parts::new(&mut *partial));
        team.run(groups, if dx.is_some() { 2 * work } else { work }, |task| {
            // SAFETY: every task has its own group of images.
            let bias = unsafe { bias_parts.range(task * filters, filters) };
            for i in task * group..((task + 1) * group).min(batch) {
                // SAFETY: as above.
                let dy = unsafe { dy_parts.range(i * out, out) };
                mask_and_sum(relu.then(|| &y[i * out..(i + 1) * out]), dy, bias);
                if let Some(dx) = &dx {
                    // SAFETY: as above.
                    let dx = unsafe { dx.range(i * image, image) };
                    input_gradient(g, filters, &turned_panels, turned, dy, dx, add);
                }
                if weights <= SMALL {
                    // SAFETY: as above.
                    let partial = unsafe { partial_parts.range(task * weights, weights) };
                    for (row, segment) in window_rows.iter().enumerate() {
                        let places = g.kernel[2] * g.channels;
                        let from = &sources[i * source + segment.a..(i + 1) * source];
                        let to = &mut partial[row * places * filters..(row + 1) * places * filters];
                        gradient.of_image(from, dy, to, places, i > task * group);
                    }
                }
            }
        });
        if weights > SMALL {
            let dy = &*dy;
            let places = g.kernel[2] * g.channels;
            let blocks = places.div_ceil(ROWS);
            team.run(window_rows.len() * blocks, work, |task| {
                let (row, block) = (task / blocks, task % blocks);
                let (start, end) = (block * ROWS, ((block + 1) * ROWS).min(places));
                // SAFETY: every task has its own places of the window.
                let to = unsafe { partial_parts.range((row * places + start) * filters, (end - start) * filters) };
                for i in 0..batch {
                    let from = &sources[i * source + window_rows[row].a + start..(i + 1) * source];
                    gradient.of_image(from, &dy[i * out..(i + 1) * out], to, end - start, i > 0);
                }
            });
        }
        w.learn(team, sum_parts(partial, weights)) + b.learn(team, sum_parts(partial_bias, filters))
    }
}

/// All pairs of numbers below two limits.
fn pairs(a: usize, b: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..a).flat_map(move |i| (0..b).map(move |j| (i, j)))
}

/// The same left offsets, with right offsets that follow each other.
fn with_depth(rows: &[Segment], step: usize) -> Vec<Segment> {
    rows.iter().enumerate().map(|(i, s)| Segment { a: s.a, b: i * step }).collect()
}

/// Copies an image into the middle of its padding.
fn pad<T: Real>(g: &Geometry, image: &[T], to: &mut [T]) {
    let (row, [_, height, width]) = (g.input[2] * g.channels, g.padded());
    let (left, pitch) = (g.before[2] * g.channels, width * g.channels);
    for (i, to) in to.chunks_exact_mut(pitch).enumerate() {
        let (z, y) = ((i / height).wrapping_sub(g.before[0]), (i % height).wrapping_sub(g.before[1]));
        if z < g.input[0] && y < g.input[1] {
            let from = (z * g.input[1] + y) * row;
            to[..left].fill(T::zero());
            to[left..left + row].copy_from_slice(&image[from..from + row]);
            to[left + row..].fill(T::zero());
        } else {
            to.fill(T::zero());
        }
    }
}

/// Writes the weights turned by 180° and with channels and filters exchanged: \[window, filters, channels\] in panels.
fn turn<T: Real>(team: &Team, g: &Geometry, filters: usize, panels: &Panels<T>, w: &[T], memory: &mut Vec<T>) {
    let taps: usize = g.kernel.iter().product();
    let rows = taps * filters;
    let turned = Parts::new(room(memory, panels.packed_len(rows)));
    team.run(taps, 2 * w.len(), |tap| {
        let first = (taps - 1 - tap) * filters;
        let w = &w[tap * g.channels * filters..(tap + 1) * g.channels * filters];
        for (start, columns) in panels.iter() {
            // SAFETY: every task has its own rows of each panel.
            let to = unsafe { turned.range(panels.index(first, start, rows), (filters - 1) * panels.pitch() + columns) };
            for (c, w) in w[start * filters..(start + columns) * filters].chunks_exact(filters).enumerate() {
                for (f, w) in w.iter().enumerate() {
                    to[f * panels.pitch() + c] = *w;
                }
            }
        }
    });
}

/// Gradient to one image, given the gradient `dy` to its output.
fn input_gradient<T: Real>(g: &Geometry, filters: usize, panels: &Panels<T>, turned: &[T], dy: &[T], dx: &mut [T], add: bool) {
    let size = [0, 1, 2].map(|d| g.input[d] + g.kernel[d] - 1);
    let is_plain = g.kernel == [1; 3] && g.stride == [1; 3];
    let len = if is_plain { 0 } else { size.iter().product::<usize>() * filters };
    T::with(len, |spread| {
        let from = if is_plain {
            dy
        } else {
            spread_out(g, filters, size, dy, spread);
            &*spread
        };
        let (row, depth) = (size[2] * filters, g.kernel[2] * filters);
        let step = depth * panels.pitch();
        let segments: Vec<Segment> =
            pairs(g.kernel[0], g.kernel[1]).enumerate().map(|(i, (z, y))| Segment { a: (z * size[1] + y) * row, b: i * step }).collect();
        let rows = g.kernel.iter().product::<usize>() * filters;
        let start = if add { Start::Output } else { Start::Zero };
        for (first, columns) in panels.iter() {
            let right = Right { values: panels.panel(turned, first, rows), pitch: panels.pitch() };
            let product = Size { rows: g.input[2], columns, depth };
            for (i, (z, y)) in pairs(g.input[0], g.input[1]).enumerate() {
                let left = Left { values: &from[(z * size[1] + y) * row..], row: filters, step: 1 };
                let to = &mut dx[i * g.input[2] * g.channels + first..];
                panel_product(to, g.channels, product, left, right, &segments, start, false);
            }
        }
    });
}

/// Places each output gradient where the turned window finds it: output o at o · stride + kernel − 1 − padding, zeros between.
fn spread_out<T: Real>(g: &Geometry, filters: usize, size: [usize; 3], dy: &[T], to: &mut [T]) {
    // The output that stands at place `at` of dimension `d`.
    let output = |d: usize, at: usize| {
        let shifted = (at + g.before[d] + 1).checked_sub(g.kernel[d])?;
        (shifted.is_multiple_of(g.stride[d]) && shifted / g.stride[d] < g.output[d]).then(|| shifted / g.stride[d])
    };
    let out_row = g.output[2] * filters;
    for (i, to) in to.chunks_exact_mut(size[2] * filters).enumerate() {
        let (Some(z), Some(y)) = (output(0, i / size[1]), output(1, i % size[1])) else {
            to.fill(T::zero());
            continue;
        };
        let row = &dy[(z * g.output[1] + y) * out_row..][..out_row];
        if g.stride[2] == 1 && g.before[2].max(g.after[2]) < g.kernel[2] {
            let left = (g.kernel[2] - 1 - g.before[2]) * filters;
            to[..left].fill(T::zero());
            to[left..left + out_row].copy_from_slice(row);
            to[left + out_row..].fill(T::zero());
        } else {
            for (at, to) in to.chunks_exact_mut(filters).enumerate() {
                match output(2, at) {
                    Some(x) => to.copy_from_slice(&row[x * filters..(x + 1) * filters]),
                    None => to.fill(T::zero()),
                }
            }
        }
    }
}

/// What the gradient to the weights needs besides images.
struct WeightGradient<'a> {
    g: &'a Geometry,
    filters: usize,
    output_rows: &'a [Segment],
}

impl WeightGradient<'_> {
    /// Gradient to `places` neighbouring places of a window row, over one image that is given from the first of them on.
    fn of_image<T: Real>(&self, from: &[T], dy: &[T], to: &mut [T], places: usize, add: bool) {
        let left = Left { values: from, row: 1, step: self.g.stride[2] * self.g.channels };
        let start = if add { Start::Output } else { Start::Zero };
        for (first, columns) in Panels::<T>::new(self.filters).iter() {
            let size = Size { rows: places, columns, depth: self.g.output[2] };
            let right = Right { values: &dy[first..], pitch: self.filters };
            panel_product(&mut to[first..], self.filters, size, left, right, self.output_rows, start, false);
        }
    }
}
