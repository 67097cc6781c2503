//! Which pixels of an image and of what a window makes of it belong together.

use std::ops::Range;

use super::geometry::Geometry;

/// Which pixels of one image belong to a pixel of the other.
pub(super) struct Reach {
    /// For every row of pixels (of all depths): the rows that belong to it.
    pub(super) rows: Vec<Vec<Row>>,
    /// Along a row: the columns that belong to each pixel, and the place of the first of them in its window row. Along
    /// inputs places go up by one, along outputs down by the stride.
    pub(super) columns: Vec<(Range<usize>, usize)>,
}

#[derive(Clone, Copy)]
pub(super) struct Row {
    /// Number of its first pixel.
    pub(super) start: usize,
    /// Number of the first place in this row of the window.
    pub(super) place: usize,
}

impl Reach {
    /// From outputs to the input pixels that their windows cover, for a forward pass.
    pub(super) fn windows(g: &Geometry) -> Self {
        Reach {
            rows: pairs(g.output[0], g.output[1])
                .map(|(oz, oy)| {
                    let inside = covered(g, 0, oz).flat_map(|iz| covered(g, 1, oy).map(move |iy| (iz, iy)));
                    let row = |(iz, iy)| Row {
                        start: (iz * g.input[1] + iy) * g.input[2],
                        place: row_place(g, place(g, 0, iz, oz), place(g, 1, iy, oy)),
                    };
                    inside.map(row).collect()
                })
                .collect(),
            columns: (0..g.output[2])
                .map(|ox| {
                    let inside = covered(g, 2, ox);
                    let first = if inside.is_empty() { 0 } else { place(g, 2, inside.start, ox) };
                    (inside, first)
                })
                .collect(),
        }
    }

    /// From input pixels to the outputs whose windows cover them, for a backward pass.
    pub(super) fn outputs(g: &Geometry) -> Self {
        Reach {
            rows: pairs(g.input[0], g.input[1])
                .map(|(iz, iy)| {
                    let inside = covering(g, 0, iz).flat_map(|oz| covering(g, 1, iy).map(move |oy| (oz, oy)));
                    let row = |(oz, oy)| Row {
                        start: (oz * g.output[1] + oy) * g.output[2],
                        place: row_place(g, place(g, 0, iz, oz), place(g, 1, iy, oy)),
                    };
                    inside.map(row).collect()
                })
                .collect(),
            columns: (0..g.input[2])
                .map(|ix| {
                    let inside = covering(g, 2, ix);
                    let first = if inside.is_empty() { 0 } else { place(g, 2, ix, inside.start) };
                    (inside, first)
                })
                .collect(),
        }
    }

    /// Calls `body(first number, lanes, rows, columns, pixel)` for each group of channels of each pixel.
    #[inline(always)]
    pub(super) fn each_group(
        &self,
        channels: usize,
        lanes: usize,
        mut body: impl FnMut(usize, usize, &[Row], &(Range<usize>, usize), usize),
    ) {
        let mut pixel = 0;
        for rows in &self.rows {
            for columns in &self.columns {
                let mut first = 0;
                while first < channels {
                    body(first, lanes.min(channels - first), rows, columns, pixel);
                    first += lanes;
                }
                pixel += 1;
            }
        }
    }
}

fn pairs(a: usize, b: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..a).flat_map(move |i| (0..b).map(move |j| (i, j)))
}

/// Number of the first place in a row of the window.
fn row_place(g: &Geometry, z: usize, y: usize) -> usize {
    (z * g.kernel[1] + y) * g.kernel[2]
}

/// Place of input pixel `i` in the window of output `o`, along dimension `d`.
fn place(g: &Geometry, d: usize, i: usize, o: usize) -> usize {
    i + g.before[d] - o * g.stride[d]
}

/// Input pixels along dimension `d` that the window of output `o` covers.
fn covered(g: &Geometry, d: usize, o: usize) -> Range<usize> {
    let start = o * g.stride[d];
    start.saturating_sub(g.before[d])..(start + g.kernel[d]).saturating_sub(g.before[d]).min(g.input[d])
}

/// Outputs along dimension `d` whose windows cover input pixel `i`.
fn covering(g: &Geometry, d: usize, i: usize) -> Range<usize> {
    let reach = i + g.before[d];
    let first = (reach + 1).saturating_sub(g.kernel[d]).div_ceil(g.stride[d]);
    first..(reach / g.stride[d] + 1).min(g.output[d])
}
