//! Convolution (cross-correlation, as everywhere in deep learning) over 1, 2 or 3 dimensions, channels last.
//!
//! x is \[batch, depth, height, width, channels\], the weights \[window depth, height, width, channels, filters\], y \[batch,
//! depth, height, width, filters\]. A row of a window is one stretch of an image row, so an output row is a panel product
//! straight from the image: there is no im2col. The gradient to the input is such a product too, of the gradient to the output
//! with turned weights. Rows of padding are left out of the sums; only the ends of rows are padded with zeros.
//!
//! With groups, each group of filters sees its own share of the channels; the weights are \[window…, channels / groups,
//! filters\]. A stretch is then the group's channels of one pixel, and each group has its own panel products.

use super::Real;
use super::elementwise::{mask_and_sum, sum_parts};
use super::geometry::Geometry;
use super::images::{Image, each, groups};
use super::learn::{Parameter, Target};
use super::memory::room;
use super::panels::Panels;
use super::team::{Parts, Team};
use super::tile::{Left, Right, Segment, Size, Start, panel_product};

/// Weights up to this many get partial gradients by groups of images; larger ones are cut by window instead.
const SMALL: usize = 65_536;
/// Window places whose gradient one task computes; each task reads the whole batch.
const ROWS: usize = 160;
/// Numbers in a panel of weights beyond which it is taken in parts.
const LARGE: usize = 65_536;

/// A convolution with optional bias and ReLU, and the memory that it works in.
pub(crate) struct Conv<T> {
    g: Geometry,
    filters: usize,
    groups: usize,
    relu: bool,
    /// The input with padded rows, kept for the backward pass.
    padded: Vec<T>,
    /// The weights in panels of columns, one after another.
    packed: Vec<T>,
    /// The turned weights, likewise.
    turned: Vec<T>,
    partial: Vec<T>,
    partial_bias: Vec<T>,
    /// For each output row: the rows of the input that its windows see, and where their weights start in a panel.
    forward_rows: Vec<Vec<Segment>>,
    /// For each input row: the output rows whose windows see it, and where their turned weights start in a panel.
    input_rows: Vec<Vec<Segment>>,
    /// For each stretch of the window: the input rows that it sees, and the output rows that see them.
    window_rows: Vec<Vec<Segment>>,
}

impl<T: Real> Conv<T> {
    /// `groups` must divide channels and filters.
    pub(crate) fn new(g: &Geometry, filters: usize, groups: usize, relu: bool) -> Self {
        let g = g.clone().flattened();
        let (source_row, out_row, spread_row) = (padded_width(&g) * g.channels, g.output[2] * filters, spread_width(&g) * filters);
        let cut = Cut::new(&g, filters, groups);
        let stretches = g.kernel[2] / cut.pixels;
        let panel_step = cut.pixels * cut.channels * Panels::<T>::new(cut.filters).pitch();
        let turned_step = cut.pixels * cut.filters * Panels::<T>::new(cut.channels).pitch();
        // Stretches of a window row, with where they start in pixels.
        let along = |w: usize| (0..stretches).map(move |s| (w * stretches + s, s * cut.pixels));
        // The input row that a row of the window sees from an output row, if it is none of padding.
        let seen = |(kz, ky): (usize, usize), (oz, oy): (usize, usize)| {
            let z = (oz * g.stride[0] + kz).checked_sub(g.before[0]).filter(|z| *z < g.input[0])?;
            let y = (oy * g.stride[1] + ky).checked_sub(g.before[1]).filter(|y| *y < g.input[1])?;
            Some(z * g.input[1] + y)
        };
        let window_of = || pairs(g.kernel[0], g.kernel[1]).enumerate();
        let outputs = || pairs(g.output[0], g.output[1]).enumerate();
        let mut input_rows = vec![vec![]; g.input[0] * g.input[1]];
        for ((w, window), (o, output)) in outputs().flat_map(|o| window_of().map(move |w| (w, o))) {
            if let Some(row) = seen(window, output) {
                let stretches = along(w).map(|(s, pixel)| Segment { a: o * spread_row + pixel * filters, b: s * turned_step });
                input_rows[row].extend(stretches);
            }
        }
        let forward_rows = outputs().map(|(_, output)| {
            let rows = window_of().filter_map(|(w, window)| Some((w, seen(window, output)? * source_row)));
            rows.flat_map(|(w, a)| along(w).map(move |(s, pixel)| Segment { a: a + pixel * g.channels, b: s * panel_step })).collect()
        });
        let window_rows = window_of().flat_map(|(w, window)| along(w).map(move |(_, pixel)| (window, pixel))).map(|(window, pixel)| {
            let row = |(o, output)| Some(Segment { a: seen(window, output)? * source_row + pixel * g.channels, b: o * out_row });
            outputs().filter_map(row).collect()
        });
        let (forward_rows, window_rows) = (forward_rows.collect(), window_rows.collect());
        let (padded, packed, turned, partial, partial_bias) = Default::default();
        Conv { g, filters, groups, relu, padded, packed, turned, partial, partial_bias, forward_rows, input_rows, window_rows }
    }

    /// Numbers in an image with padded rows.
    fn source_len(&self) -> usize {
        self.g.input[0] * self.g.input[1] * padded_width(&self.g) * self.g.channels
    }

    /// Numbers in the weights.
    fn weights(&self) -> usize {
        self.g.window_len() / self.groups * self.filters
    }

    /// Whether the gradient to the weights is summed up image by image; else [`Conv::finish`] needs all of `dz`.
    pub(crate) fn has_few_weights(&self) -> bool {
        self.weights() <= SMALL
    }

    fn out_len(&self) -> usize {
        self.g.output_pixels() * self.filters
    }

    /// Numbers of memory for a batch in training.
    pub(crate) fn memory(&self, batch: usize) -> usize {
        let weights = self.weights();
        let padded = if is_padded(&self.g) { batch * self.source_len() } else { 0 };
        let partial = if weights <= SMALL { groups(batch).0 * weights } else { weights };
        padded + 2 * weights + partial + batch * self.filters
    }

    /// Multiply-adds of one pass over a batch.
    fn work(&self, batch: usize) -> usize {
        batch * self.g.output_pixels() * self.weights()
    }

    /// The forward pass of this layer by itself.
    pub(crate) fn forward(&mut self, team: &Team, batch: usize, x: &[T], w: &[T], b: Option<&[T]>, y: &mut [T]) {
        let (work, image, out) = (self.work(batch), x.len() / batch, self.out_len());
        let y = Parts::new(y);
        let run = self.forward_images(batch, w, b);
        // SAFETY: every image has its own output.
        each(team, batch, work, |Image { index: i, .. }| run(i, &x[i * image..(i + 1) * image], unsafe { y.range(i * out, out) }));
    }

    /// The backward pass of this layer by itself; learns and returns the gradients' sum of squares. `dy` is overwritten.
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
        let (work, image, out) = (2 * self.work(batch), x.len() / batch, self.out_len());
        let (add, dx) = dx.map_or((false, None), |dx| (dx.add, Some(Parts::new(dx.to))));
        let dy_parts = Parts::new(&mut *dy);
        let run = self.backward_images(team, batch, w.weights(), dx.is_some());
        each(team, batch, work, |at| {
            let i = at.index;
            // SAFETY: every image has its own gradients.
            let to = dx.as_ref().map(|dx| Target { to: unsafe { dx.range(i * image, image) }, add });
            // SAFETY: as above.
            run(at, &x[i * image..(i + 1) * image], &y[i * out..(i + 1) * out], unsafe { dy_parts.range(i * out, out) }, to);
        });
        drop(run);
        self.finish(team, batch, x, dy, w, b)
    }

    /// What computes the output of one image.
    pub(crate) fn forward_images<'a>(
        &'a mut self,
        batch: usize,
        w: &'a [T],
        b: Option<&'a [T]>,
    ) -> impl Fn(usize, &[T], &mut [T]) + Sync + 'a {
        let (source, filters) = (self.source_len(), self.filters);
        let cut = Cut::new(&self.g, filters, self.groups);
        let panels = Panels::<T>::new(cut.filters);
        let weight_rows = self.g.window_len() / self.groups;
        let is_padded = is_padded(&self.g);
        let padded = Parts::new(if is_padded { room(&mut self.padded, batch * source) } else { &mut [] });
        let weights = panels.pack_groups(w, weight_rows, self.groups, &mut self.packed);
        let (g, relu, rows) = (&self.g, self.relu, &self.forward_rows);
        move |i, x, y| {
            let mut from = x;
            if is_padded {
                // SAFETY: every image has its own part.
                let to = unsafe { padded.range(i * source, source) };
                pad(g, x, to);
                from = to;
            }
            let size = |columns| Size { rows: g.output[2], columns, depth: cut.pixels * cut.channels };
            for (group, weights) in weights.chunks_exact(panels.packed_len(weight_rows)).enumerate() {
                let left = Left { values: &from[group * cut.channels..], row: g.stride[2] * g.channels, step: 1 };
                for (first, columns) in panels.iter() {
                    let right = Right { values: panels.panel(weights, first, weight_rows), pitch: panels.pitch() };
                    let to = group * cut.filters + first;
                    let start = b.map_or(Start::Zero, |b| Start::Bias(&b[to..]));
                    image_product(y, filters, to, size(columns), left, right, rows, start, relu);
                }
            }
        }
    }

    /// What computes the gradient to one image, and, if the weights are few, adds up the gradients to weights and bias.
    /// `dy` is overwritten by the gradient behind the ReLU. Images of a group have to come in order, on one thread.
    #[expect(clippy::type_complexity, reason = "a function that nobody names")]
    pub(crate) fn backward_images<'a>(
        &'a mut self,
        team: &Team,
        batch: usize,
        w: &[T],
        is_inner: bool,
    ) -> impl Fn(Image, &[T], &[T], &mut [T], Option<Target<'_, T>>) + Sync + 'a {
        let (source, filters) = (self.source_len(), self.filters);
        let cut = Cut::new(&self.g, filters, self.groups);
        if is_inner {
            turn(team, &self.g, filters, cut, w, &mut self.turned);
        }
        let (groups, weights) = (groups(batch).0, w.len());
        let is_small = self.has_few_weights();
        let bias = Parts::new(room(&mut self.partial_bias, groups * filters));
        let partial = Parts::new(room(&mut self.partial, if is_small { groups * weights } else { weights }));
        let (g, relu, turned, padded) = (&self.g, self.relu, &self.turned, &self.padded);
        let (window_rows, input_rows) = (&self.window_rows, &self.input_rows);
        let gradient = WeightGradient { g, filters, cut };
        move |image, x, y, dy, dx| {
            // SAFETY: every group has its own sums.
            let bias = unsafe { bias.range(image.group * filters, filters) };
            if image.is_first {
                bias.fill(T::zero());
            }
            mask_and_sum(relu.then_some(y), dy, bias);
            if let Some(Target { to, add }) = dx {
                input_gradient(g, filters, cut, turned, input_rows, dy, to, add);
            }
            if is_small {
                // SAFETY: as above.
                let partial = unsafe { partial.range(image.group * weights, weights) };
                let places = cut.pixels * cut.channels;
                let from = if is_padded(g) { &padded[image.index * source..(image.index + 1) * source] } else { x };
                for (segments, to) in window_rows.iter().zip(partial.chunks_exact_mut(places * filters)) {
                    gradient.of_image(from, dy, segments, to, places, !image.is_first);
                }
            }
        }
    }

    /// Learns, when all images have been through [`Conv::backward_images`]; `dz` is what that has left in `dy`, and is not read
    /// if the weights are few. Returns the gradients' sum of squares.
    pub(crate) fn finish(
        &mut self,
        team: &Team,
        batch: usize,
        x: &[T],
        dz: &[T],
        w: &mut Parameter<'_, T>,
        b: Option<&mut Parameter<'_, T>>,
    ) -> f64 {
        let (source, out, filters, weights) = (self.source_len(), self.out_len(), self.filters, w.len());
        let work = self.work(batch);
        let groups = groups(batch).0;
        let is_small = self.has_few_weights();
        let partial_bias = &mut self.partial_bias[..groups * filters];
        let partial = &mut self.partial[..if is_small { groups * weights } else { weights }];
        if !is_small {
            let (g, window_rows) = (&self.g, &self.window_rows);
            let cut = Cut::new(g, filters, self.groups);
            let gradient = WeightGradient { g, filters, cut };
            let sources = if is_padded(g) { &self.padded[..batch * source] } else { x };
            let places = cut.pixels * cut.channels;
            let blocks = places.div_ceil(ROWS);
            let parts = Parts::new(&mut *partial);
            team.run(window_rows.len() * blocks, work, |task| {
                let (row, block) = (task / blocks, task % blocks);
                let (start, end) = (block * ROWS, ((block + 1) * ROWS).min(places));
                // SAFETY: every task has its own places of the window.
                let to = unsafe { parts.range((row * places + start) * filters, (end - start) * filters) };
                for i in 0..batch {
                    let from = &sources[i * source + start..(i + 1) * source];
                    gradient.of_image(from, &dz[i * out..(i + 1) * out], &window_rows[row], to, end - start, i > 0);
                }
            });
        }
        let squares = w.learn(team, sum_parts(partial, weights));
        squares + b.map_or(0.0, |b| b.learn(team, sum_parts(partial_bias, filters)))
    }
}

/// What one panel product takes of a window row: all of it, or with groups, the channels of one group from one pixel.
#[derive(Clone, Copy)]
struct Cut {
    /// Neighbouring pixels of a window row.
    pixels: usize,
    /// Channels that a filter sees.
    channels: usize,
    /// Filters that see them.
    filters: usize,
}

impl Cut {
    fn new(g: &Geometry, filters: usize, groups: usize) -> Self {
        Cut { pixels: if groups == 1 { g.kernel[2] } else { 1 }, channels: g.channels / groups, filters: filters / groups }
    }
}

/// All pairs of numbers below two limits.
fn pairs(a: usize, b: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..a).flat_map(move |i| (0..b).map(move |j| (i, j)))
}

/// Pixels in an input row with its padding.
fn padded_width(g: &Geometry) -> usize {
    g.before[2] + g.input[2] + g.after[2]
}

fn is_padded(g: &Geometry) -> bool {
    padded_width(g) > g.input[2]
}

/// Pixels in a row of output gradients as the turned window sees it from every input pixel.
fn spread_width(g: &Geometry) -> usize {
    g.input[2] + g.kernel[2] - 1
}

/// Copies the rows of an image into the middle of their padding.
fn pad<T: Real>(g: &Geometry, image: &[T], to: &mut [T]) {
    let (row, left) = (g.input[2] * g.channels, g.before[2] * g.channels);
    for (to, image) in to.chunks_exact_mut(padded_width(g) * g.channels).zip(image.chunks_exact(row)) {
        to[..left].fill(T::zero());
        to[left..left + row].copy_from_slice(image);
        to[left + row..].fill(T::zero());
    }
}

/// Writes the weights with the rows of the window reversed and with channels and filters exchanged: for each group \[window,
/// filters, channels\] in panels.
fn turn<T: Real>(team: &Team, g: &Geometry, filters: usize, cut: Cut, w: &[T], memory: &mut Vec<T>) {
    let (width, places) = (g.kernel[2], g.kernel.iter().product::<usize>());
    let panels = Panels::<T>::new(cut.channels);
    let (rows, groups) = (places * cut.filters, filters / cut.filters);
    let turned = Parts::new(room(memory, groups * panels.packed_len(rows)));
    team.run(places, 2 * w.len(), |place| {
        let first = (place / width * width + width - 1 - place % width) * cut.filters;
        let w = &w[place * cut.channels * filters..(place + 1) * cut.channels * filters];
        for (group, (start, columns)) in (0..groups).flat_map(|group| panels.iter().map(move |panel| (group, panel))) {
            let at = group * panels.packed_len(rows) + panels.index(first, start, rows);
            // SAFETY: every task has its own rows of each panel.
            let to = unsafe { turned.range(at, (cut.filters - 1) * panels.pitch() + columns) };
            for (c, w) in w[start * filters..(start + columns) * filters].chunks_exact(filters).enumerate() {
                for (f, w) in w[group * cut.filters..(group + 1) * cut.filters].iter().enumerate() {
                    to[f * panels.pitch() + c] = *w;
                }
            }
        }
    });
}

/// Gradient to one image, given the gradient `dy` to its output.
#[expect(clippy::too_many_arguments, reason = "the operands of one operation")]
fn input_gradient<T: Real>(g: &Geometry, filters: usize, cut: Cut, turned: &[T], rows: &[Vec<Segment>], dy: &[T], dx: &mut [T], add: bool) {
    let is_plain = g.kernel[2] == 1 && g.stride[2] == 1 && !is_padded(g);
    let len = if is_plain { 0 } else { g.output[0] * g.output[1] * spread_width(g) * filters };
    T::with(len, |spread| {
        let from = if is_plain {
            dy
        } else {
            spread_out(g, filters, dy, spread);
            &*spread
        };
        let panels = Panels::<T>::new(cut.channels);
        let turned_rows = g.kernel.iter().product::<usize>() * cut.filters;
        let start = if add { Start::Output } else { Start::Zero };
        let size = |columns| Size { rows: g.input[2], columns, depth: cut.pixels * cut.filters };
        let turned = turned.chunks_exact(panels.packed_len(turned_rows)).take(filters / cut.filters);
        for (group, turned) in turned.enumerate() {
            let left = Left { values: &from[group * cut.filters..], row: filters, step: 1 };
            for (first, columns) in panels.iter() {
                let right = Right { values: panels.panel(turned, first, turned_rows), pitch: panels.pitch() };
                image_product(dx, g.channels, group * cut.channels + first, size(columns), left, right, rows, start, false);
            }
        }
    });
}

/// The panel products of all rows of an image, for the columns from `first` on.
///
/// A panel that would leave the second-level cache between two rows is taken window row by window row.
#[expect(clippy::too_many_arguments, reason = "the operands of one operation")]
fn image_product<T: Real>(
    out: &mut [T],
    pitch: usize,
    first: usize,
    size: Size,
    left: Left<'_, T>,
    right: Right<'_, T>,
    rows: &[Vec<Segment>],
    start: Start<'_, T>,
    relu: bool,
) {
    let step = size.depth * right.pitch;
    let window_rows = right.values.len().div_ceil(step);
    if right.values.len() <= LARGE || window_rows == 1 {
        for (segments, out) in rows.iter().zip(out.chunks_exact_mut(size.rows * pitch)) {
            panel_product(&mut out[first..], pitch, size, left, right, segments, start, relu);
        }
        return;
    }
    for window_row in 0..window_rows {
        for (segments, out) in rows.iter().zip(out.chunks_exact_mut(size.rows * pitch)) {
            match segments.iter().position(|segment| segment.b == window_row * step) {
                Some(at) => {
                    let start = if at == 0 { start } else { Start::Output };
                    let relu = relu && at + 1 == segments.len();
                    panel_product(&mut out[first..], pitch, size, left, right, &segments[at..=at], start, relu);
                }
                None if segments.is_empty() && window_row == 0 => {
                    panel_product(&mut out[first..], pitch, size, left, right, &[], start, relu);
                }
                None => {}
            }
        }
    }
}

/// Places each gradient of an output row where the turned window finds it: output o at o · stride + kernel − 1 − padding, zeros
/// between.
fn spread_out<T: Real>(g: &Geometry, filters: usize, dy: &[T], to: &mut [T]) {
    let (kernel, stride, out_row) = (g.kernel[2], g.stride[2], g.output[2] * filters);
    for (to, row) in to.chunks_exact_mut(spread_width(g) * filters).zip(dy.chunks_exact(out_row)) {
        if stride == 1 && g.before[2].max(g.after[2]) < kernel {
            let left = (kernel - 1 - g.before[2]) * filters;
            to[..left].fill(T::zero());
            to[left..left + out_row].copy_from_slice(row);
            to[left + out_row..].fill(T::zero());
        } else {
            for (at, to) in to.chunks_exact_mut(filters).enumerate() {
                let output = (at + g.before[2] + 1).checked_sub(kernel).filter(|at| at.is_multiple_of(stride)).map(|at| at / stride);
                match output.filter(|o| *o < g.output[2]) {
                    Some(o) => to.copy_from_slice(&row[o * filters..(o + 1) * filters]),
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
    cut: Cut,
}

impl WeightGradient<'_> {
    /// Gradient to `places` neighbouring places of a stretch, over one image that is given from the first of them on.
    fn of_image<T: Real>(&self, from: &[T], dy: &[T], rows: &[Segment], to: &mut [T], places: usize, add: bool) {
        let start = if add { Start::Output } else { Start::Zero };
        for group in 0..self.filters / self.cut.filters {
            let left = Left { values: &from[group * self.cut.channels..], row: 1, step: self.g.stride[2] * self.g.channels };
            for (first, columns) in Panels::<T>::new(self.cut.filters).iter() {
                let first = group * self.cut.filters + first;
                let size = Size { rows: places, columns, depth: self.g.output[2] };
                let right = Right { values: &dy[first..], pitch: self.filters };
                panel_product(&mut to[first..], self.filters, size, left, right, rows, start, false);
            }
        }
    }
}
