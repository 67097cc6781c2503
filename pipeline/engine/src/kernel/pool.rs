//! Pooling over 1, 2 or 3 dimensions, channels last; padding is not part of any window.
//!
//! In a tie the first place of the window (row by row) is the maximum and takes the gradient, as in PyTorch; NaN wins, so that
//! it is passed on. Forward, each output pixel gathers from its window; backward, each input pixel gathers from the windows
//! that cover it, so that nothing is cleared first and sums stay in registers.

use super::Real;
use super::geometry::Geometry;
use super::images::{Image, each};
use super::learn::Target;
use super::memory::room;
use super::reach::{Reach, Row};
use super::simd::{Program, Vector, run};
use super::team::{Parts, Team};

/// What becomes of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pooling {
    Max,
    /// The mean of what the window covers of the image.
    Mean,
}

/// A pooling, and the memory that it works in.
pub(crate) struct Pool<T> {
    g: Geometry,
    pooling: Pooling,
    /// From outputs to the input pixels that their windows cover, for the forward pass.
    windows: Reach,
    /// From input pixels to the outputs whose windows cover them, for the backward pass.
    outputs: Reach,
    /// The numbers of the places in a window, as floats.
    numbers: Vec<T>,
    /// For every output, 1 / the number of pixels that its window covers.
    shares: Vec<T>,
    /// For every maximum of the last forward pass, where in its window it came from: the number of the place, row by row. A
    /// float, so that it is compared and selected in the lane of its maximum.
    places: Vec<T>,
}

impl<T: Real> Pool<T> {
    pub(crate) fn new(g: &Geometry, pooling: Pooling) -> Self {
        let (windows, outputs) = (Reach::windows(g), Reach::outputs(g));
        let numbers = (0..g.kernel.iter().product::<usize>()).map(|n| T::of(n as f64)).collect();
        let share = |rows: &Vec<Row>| {
            let rows = rows.len();
            windows.columns.iter().map(move |(columns, _)| T::of(1.0 / (rows * columns.len()).max(1) as f64))
        };
        let shares = windows.rows.iter().flat_map(share).collect();
        Pool { g: g.clone(), pooling, windows, outputs, numbers, shares, places: vec![] }
    }

    /// Numbers of memory for a batch in training.
    pub(crate) fn memory(&self, batch: usize) -> usize {
        if self.pooling == Pooling::Max { batch * self.g.output_pixels() * self.g.channels } else { 0 }
    }

    /// The forward pass of this layer by itself.
    pub(crate) fn forward(&mut self, team: &Team, batch: usize, x: &[T], y: &mut [T]) {
        let (image, out) = (x.len() / batch, y.len() / batch);
        let y = Parts::new(y);
        let run = self.forward_images(batch);
        // SAFETY: every image has its own output.
        each(team, batch, 0, |Image { index: i, .. }| run(i, &x[i * image..(i + 1) * image], unsafe { y.range(i * out, out) }));
    }

    /// The backward pass of this layer by itself.
    pub(crate) fn backward(&mut self, team: &Team, batch: usize, dy: &[T], Target { to, add }: Target<'_, T>) {
        let (image, out) = (to.len() / batch, dy.len() / batch);
        let to = Parts::new(to);
        let run = self.backward_images();
        each(team, batch, 0, |Image { index: i, .. }| {
            // SAFETY: every image has its own gradient.
            run(i, &dy[i * out..(i + 1) * out], Target { to: unsafe { to.range(i * image, image) }, add });
        });
    }

    /// What computes the output of one image.
    pub(crate) fn forward_images(&mut self, batch: usize) -> impl Fn(usize, &[T], &mut [T]) + Sync + '_ {
        let Pool { g, pooling, windows, numbers, shares, places, .. } = self;
        let (channels, out) = (g.channels, g.output_pixels() * g.channels);
        let places = Parts::new(room(places, if *pooling == Pooling::Max { batch * out } else { 0 }));
        move |i, x, y| match pooling {
            // SAFETY: every image has its own places.
            Pooling::Max => run(Maxima { channels, windows, numbers, x, y, places: unsafe { places.range(i * out, out) } }),
            Pooling::Mean => run(Means { channels, windows, shares, x, y }),
        }
    }

    /// What computes the gradient to one image of the last forward pass.
    pub(crate) fn backward_images(&self) -> impl Fn(usize, &[T], Target<'_, T>) + Sync + '_ {
        let Pool { g, pooling, windows, outputs, numbers, shares, places, .. } = self;
        let out = g.output_pixels() * g.channels;
        let is_tiling = g.kernel == g.stride && g.before == [0; 3] && (0..3).all(|d| g.output[d] * g.kernel[d] == g.input[d]);
        move |i, dy, Target { to, add }| {
            if is_tiling && *pooling == Pooling::Max {
                let places = &places[i * out..(i + 1) * out];
                return run(TileMaxima { channels: g.channels, windows, dy, places, numbers, dx: to, add });
            }
            let spread = Spread { channels: g.channels, outputs, dy, dx: to, add };
            match pooling {
                Pooling::Max => run(SpreadMaxima { spread, places: &places[i * out..(i + 1) * out], numbers, stride: g.stride[2] }),
                Pooling::Mean => run(SpreadMeans { spread, shares }),
            }
        }
    }
}

/// The maxima of all windows of an image, and their places.
struct Maxima<'a, T> {
    channels: usize,
    windows: &'a Reach,
    numbers: &'a [T],
    x: &'a [T],
    y: &'a mut [T],
    places: &'a mut [T],
}

impl<T: Real> Program<T> for Maxima<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Vector<T>>(self) {
        let Maxima { channels, windows, numbers, x, y, places } = self;
        windows.each_group(
            channels,
            V::LANES,
            #[inline(always)]
            // SAFETY: the caller grants the instructions; slicing checks that each group of channels lies inside its image.
            |first, lanes, rows, (columns, place), pixel| unsafe {
                // A window of nothing but padding has the maximum of the empty set, and its gradient goes nowhere.
                let (mut best, mut found) = (V::splat(T::of(f64::NEG_INFINITY)), V::splat(T::of(-1.0)));
                let mut is_first = true;
                for row in rows {
                    let mut from = (row.start + columns.start) * channels + first;
                    for number in &numbers[row.place + place..][..columns.len()] {
                        let value = V::load_first(x[from..from + lanes].as_ptr(), lanes);
                        let here = V::splat(*number);
                        from += channels;
                        if is_first {
                            (best, found, is_first) = (value, here, false);
                        } else {
                            [best, found] = value.if_exceeds(best, [(value, best), (here, found)]);
                        }
                    }
                }
                let to = pixel * channels + first;
                best.store_first(y[to..to + lanes].as_mut_ptr(), lanes);
                found.store_first(places[to..to + lanes].as_mut_ptr(), lanes);
            },
        );
    }
}

/// The means of all windows of an image.
struct Means<'a, T> {
    channels: usize,
    windows: &'a Reach,
    shares: &'a [T],
    x: &'a [T],
    y: &'a mut [T],
}

impl<T: Real> Program<T> for Means<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Vector<T>>(self) {
        let Means { channels, windows, shares, x, y } = self;
        windows.each_group(
            channels,
            V::LANES,
            #[inline(always)]
            // SAFETY: the caller grants the instructions; slicing checks that each group of channels lies inside its image.
            |first, lanes, rows, (columns, _), pixel| unsafe {
                let mut sum = V::zero();
                for row in rows {
                    let mut from = (row.start + columns.start) * channels + first;
                    for _ in columns.clone() {
                        sum = sum.add(V::load_first(x[from..from + lanes].as_ptr(), lanes));
                        from += channels;
                    }
                }
                let to = pixel * channels + first;
                sum.mul(V::splat(shares[pixel])).store_first(y[to..to + lanes].as_mut_ptr(), lanes);
            },
        );
    }
}

/// The gradient to an image.
struct Spread<'a, T> {
    channels: usize,
    outputs: &'a Reach,
    dy: &'a [T],
    dx: &'a mut [T],
    add: bool,
}

/// The gradient to an image of which maxima were taken.
struct SpreadMaxima<'a, T> {
    spread: Spread<'a, T>,
    places: &'a [T],
    numbers: &'a [T],
    stride: usize,
}

impl<T: Real> Program<T> for SpreadMaxima<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Vector<T>>(self) {
        let SpreadMaxima { spread: Spread { channels, outputs, dy, dx, add }, places, numbers, stride } = self;
        outputs.each_group(
            channels,
            V::LANES,
            #[inline(always)]
            // SAFETY: the caller grants the instructions; slicing checks that each group of channels lies inside its image.
            |first, lanes, rows, (columns, place), pixel| unsafe {
                let to = &mut dx[pixel * channels + first..][..lanes];
                let mut sum = if add { V::load_first(to.as_ptr(), lanes) } else { V::zero() };
                for row in rows {
                    let mut from = (row.start + columns.start) * channels + first;
                    let mut number = row.place + place;
                    for _ in columns.clone() {
                        let dy = V::load_first(dy[from..from + lanes].as_ptr(), lanes);
                        let found = V::load_first(places[from..from + lanes].as_ptr(), lanes);
                        sum = sum.add(found.if_equal(V::splat(numbers[number]), dy));
                        number = number.wrapping_sub(stride);
                        from += channels;
                    }
                }
                sum.store_first(to.as_mut_ptr(), lanes);
            },
        );
    }
}

/// The gradient to an image of which maxima were taken, by windows that cover each pixel once.
struct TileMaxima<'a, T> {
    channels: usize,
    windows: &'a Reach,
    dy: &'a [T],
    places: &'a [T],
    numbers: &'a [T],
    dx: &'a mut [T],
    add: bool,
}

impl<T: Real> Program<T> for TileMaxima<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Vector<T>>(self) {
        let TileMaxima { channels, windows, dy, places, numbers, dx, add } = self;
        windows.each_group(
            channels,
            V::LANES,
            #[inline(always)]
            // SAFETY: the caller grants the instructions; slicing checks that each group of channels lies inside its image.
            |first, lanes, rows, (columns, place), pixel| unsafe {
                let from = pixel * channels + first;
                let dy = V::load_first(dy[from..from + lanes].as_ptr(), lanes);
                let found = V::load_first(places[from..from + lanes].as_ptr(), lanes);
                for row in rows {
                    let mut to = (row.start + columns.start) * channels + first;
                    for number in &numbers[row.place + place..][..columns.len()] {
                        let to_here = &mut dx[to..to + lanes];
                        let gradient = found.if_equal(V::splat(*number), dy);
                        let gradient = if add { V::load_first(to_here.as_ptr(), lanes).add(gradient) } else { gradient };
                        gradient.store_first(to_here.as_mut_ptr(), lanes);
                        to += channels;
                    }
                }
            },
        );
    }
}

/// The gradient to an image of which means were taken.
struct SpreadMeans<'a, T> {
    spread: Spread<'a, T>,
    shares: &'a [T],
}

impl<T: Real> Program<T> for SpreadMeans<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Vector<T>>(self) {
        let SpreadMeans { spread: Spread { channels, outputs, dy, dx, add }, shares } = self;
        outputs.each_group(
            channels,
            V::LANES,
            #[inline(always)]
            // SAFETY: the caller grants the instructions; slicing checks that each group of channels lies inside its image.
            |first, lanes, rows, (columns, _), pixel| unsafe {
                let to = &mut dx[pixel * channels + first..][..lanes];
                let mut sum = if add { V::load_first(to.as_ptr(), lanes) } else { V::zero() };
                for row in rows {
                    let mut from = (row.start + columns.start) * channels + first;
                    for share in &shares[row.start + columns.start..row.start + columns.end] {
                        sum = sum.add(V::load_first(dy[from..from + lanes].as_ptr(), lanes).mul(V::splat(*share)));
                        from += channels;
                    }
                }
                sum.store_first(to.as_mut_ptr(), lanes);
            },
        );
    }
}
