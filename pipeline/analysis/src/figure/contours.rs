//! Paths on contour lines: small multiples of a function of x and y with the ways that were taken on it.
//! Called by report code; it knows nothing of optimizers.

use super::axis::{Axis, Ticks};
use super::captions::{header, paragraph};
use super::frame::{EDGE, Frame, MEDIUM, SMALL, TICK_ROOM, label_width};
use super::legend::{Entry, Key, Legend, Place};
use super::palette::{Color, Dash};
use super::svg::{AXIS, INK, PAPER, Stroke, Svg, Text, WIDTH, real};
use super::text::{squeeze_apart, text_width};

/// Cells of the grid on which the function is looked at, per side.
const CELLS: usize = 72;
const LEVELS: usize = 14;
/// Points that a path is drawn with, at most.
const POINTS: usize = 400;
/// Room between panels beside the tick labels, and between rows beside the titles.
const GAP: f64 = 16.0;
const TITLE: f64 = 22.0;
/// Largest side of a panel.
const SIDE: f64 = 260.0;
/// Widths of the lines of the first way in the legend and of the last.
const WIDTHS: (f64, f64) = (3.2, 1.1);
const CONTOUR: Color = Color::rgb(0xcf, 0xd4, 0xdb);

/// Panels with their own axes, and one legend.
pub struct Contours<'a> {
    pub title: String,
    pub subtitle: String,
    /// Panels side by side.
    pub columns: usize,
    pub panels: Vec<Landscape<'a>>,
    /// What the ways are, in the order in which they are drawn.
    pub legend: Vec<(String, Color)>,
}

/// A function with paths on it.
pub struct Landscape<'a> {
    pub title: String,
    /// Panels of the same function share their limits.
    pub function: usize,
    pub height: &'a dyn Fn([f64; 2]) -> f64,
    /// Marked as places of note, such as minima.
    pub notes: Vec<[f64; 2]>,
    /// Each with its place in the legend.
    pub paths: Vec<(usize, Vec<[f64; 2]>)>,
}

impl Contours<'_> {
    /// The figure as a complete SVG document.
    ///
    /// Ways that lie on each other stay visible: the first are drawn wide, later ones narrower on top of them, every other one dashed.
    #[must_use]
    pub fn svg(&self) -> String {
        let mut svg = Svg::default();
        let top = header(&mut svg, &self.title, Some(&self.subtitle)) + 8.0;
        let columns = self.columns.clamp(1, self.panels.len().max(1));
        // The widest tick labels of all panels take their room in each, so that the panels form a grid.
        let limits: Vec<[f64; 4]> = self.panels.iter().map(|panel| self.limits(panel.function)).collect();
        let labels = limits.iter().map(|limits| label_width(&y_ticks(&place(*limits, [0.0, 0.0], 140.0)))).fold(10.0, f64::max) + 8.0;
        let side = ((WIDTH - 2.0 * EDGE) / real(columns) - labels - GAP).clamp(20.0, SIDE);
        let titles: Vec<&str> = self.panels.iter().map(|panel| panel.title.as_str()).collect();
        let room = side + labels + GAP - 8.0;
        let size = [MEDIUM, SMALL, 10.0].into_iter().find(|size| titles.iter().all(|title| text_width(title, *size) <= room));
        let size = size.unwrap_or(9.5);
        let titles = squeeze_apart(&titles, size, room);
        let mut bottom = top;
        for (i, (panel, title)) in self.panels.iter().zip(&titles).enumerate() {
            let left = EDGE + labels + real(i % columns) * (side + labels + GAP);
            let top = top + TITLE + real(i / columns) * (side + TICK_ROOM + TITLE + 6.0);
            svg.text(&Text { size, ..Text::new(left, top - 7.0, title) });
            panel.draw(&mut svg, limits[i], &place(limits[i], [left, top], side), &self.looks());
            bottom = top + side + TICK_ROOM;
        }
        let entry = |(label, look): (String, Look)| Entry {
            label,
            color: look.color,
            dash: look.dash,
            shape: None,
            band: false,
            width: look.width,
        };
        let entries = self.legend.iter().map(|(label, _)| label.clone()).zip(self.looks()).map(entry);
        let legend = Legend::Categorical { place: Place::Below };
        let bottom = Key::new(&legend, entries).draw_below(&mut svg, EDGE + labels, bottom + 10.0);
        let note = "Where paths lie on each other, the narrower lines lie on top.";
        let bottom = paragraph(&mut svg, if self.legend.len() > 1 { note } else { "" }, bottom + 6.0);
        svg.finish(bottom + 8.0, &self.title, &format!("Contour lines with paths: {}.", titles.join("; ")))
    }

    /// x and y limits of all panels of a function: those of the paths and the places of note, but not where a path has run off to.
    fn limits(&self, function: usize) -> [f64; 4] {
        let panels = || self.panels.iter().filter(move |panel| panel.function == function);
        let limits = |axis: usize| {
            let within = |panel: &Landscape<'_>| {
                let mut values: Vec<f64> =
                    panel.paths.iter().flat_map(|(_, path)| path).map(|p| p[axis]).filter(|v| v.is_finite()).collect();
                values.sort_by(f64::total_cmp);
                let ends = [0.002, 0.998].into_iter().filter_map(|share| super::limits::quantile(&values, share));
                let start = panel.paths.first().and_then(|(_, path)| path.first());
                ends.chain(panel.notes.iter().chain(start).map(|p| p[axis])).collect::<Vec<f64>>()
            };
            let all: Vec<f64> = panels().flat_map(within).filter(|v| v.is_finite()).collect();
            let (low, high) = all.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)));
            if low.is_finite() && high.is_finite() { (low, high) } else { (-1.0, 1.0) }
        };
        let ((x0, x1), (y0, y1)) = (limits(0), limits(1));
        // One scale for both, or circles would look like ellipses.
        let half = 0.58 * (x1 - x0).max(y1 - y0).max(0.1);
        let (cx, cy) = (f64::midpoint(x0, x1), f64::midpoint(y0, y1));
        [cx - half, cx + half, cy - half, cy + half]
    }

    /// Of every entry of the legend.
    fn looks(&self) -> Vec<Look> {
        let last = real(self.legend.len().saturating_sub(1).max(1));
        let look = |(i, (_, color)): (usize, &(String, Color))| {
            let dash = [None, Some(Dash::Dashed)][i % 2];
            Look { color: *color, dash, width: WIDTHS.0 + (WIDTHS.1 - WIDTHS.0) * real(i) / last }
        };
        self.legend.iter().enumerate().map(look).collect()
    }
}

/// How the paths of one entry are drawn.
#[derive(Clone, Copy)]
struct Look {
    color: Color,
    dash: Option<Dash>,
    width: f64,
}

impl Landscape<'_> {
    fn draw(&self, svg: &mut Svg, limits: [f64; 4], frame: &Frame, looks: &[Look]) {
        let (left, top, side) = (frame.left, frame.top, frame.width);
        let pixel = |p: [f64; 2]| frame.x.at(p[0]).zip(frame.y.at(p[1])).map(|(x, y)| (tenth(x), tenth(y)));
        svg.begin_clip([left, top, side, side]);
        for segments in contours(self.height, limits) {
            let lines = segments.into_iter().filter_map(|[from, to]| Some([pixel(from)?, pixel(to)?]));
            svg.segments(lines, &Stroke::solid(CONTOUR, 0.8));
        }
        for (x, y) in self.notes.iter().filter_map(|note| pixel(*note)) {
            let lines = [[(x - 4.5, y), (x + 4.5, y)], [(x, y - 4.5), (x, y + 4.5)]];
            svg.segments(lines, &Stroke::solid(PAPER, 3.2));
            svg.segments(lines, &Stroke::solid(INK, 1.3));
        }
        let mut ordered: Vec<&(usize, Vec<[f64; 2]>)> = self.paths.iter().collect();
        ordered.sort_by_key(|(entry, _)| *entry);
        let look = |entry: usize| looks.get(entry).copied().unwrap_or(Look { color: INK, dash: None, width: 1.0 });
        for (entry, path) in &ordered {
            let Look { color, dash, width } = look(*entry);
            let every = path.len().div_ceil(POINTS).max(1);
            let points = path.iter().step_by(every).chain(path.last()).filter_map(|p| pixel(*p));
            svg.polyline(&points.collect::<Vec<_>>(), &Stroke { color, width, dash });
        }
        // Ends lie on each other as paths do.
        for (entry, path) in &ordered {
            let Look { color, width, .. } = look(*entry);
            if let Some(end) = path.iter().rev().find_map(|p| pixel(*p)) {
                svg.circle(end, 2.2 + 0.9 * width, PAPER, 1.0);
                svg.circle(end, 1.4 + 0.9 * width, color, 1.0);
            }
        }
        if let Some((x, y)) = self.paths.first().and_then(|(_, path)| pixel(*path.first()?)) {
            svg.rect([x - 3.5, y - 3.5, 7.0, 7.0], INK, 1.0);
        }
        svg.end_clip();
        svg.outlined([left, top, side, side], &Stroke::solid(AXIS, 1.0));
        let (x_ticks, y_ticks) = (frame.x_ticks(), y_ticks(frame));
        let mark = Stroke::solid(AXIS, 1.0);
        let below = x_ticks.major.iter().filter_map(|(value, _)| frame.x.at(*value)).map(|x| [(x, top + side), (x, top + side + 4.0)]);
        let beside = y_ticks.major.iter().filter_map(|(value, _)| frame.y.at(*value)).map(|y| [(left - 4.0, y), (left, y)]);
        svg.segments(below.chain(beside), &mark);
        frame.x_tick_labels(svg, &x_ticks);
        frame.y_tick_labels(svg, &y_ticks);
    }
}

/// The axes of a panel.
fn place([x0, x1, y0, y1]: [f64; 4], [left, top]: [f64; 2], side: f64) -> Frame {
    let axis = Axis::linear("");
    Frame::new([left, top, side, side], (&axis, (x0, x1)), (&axis, (y0, y1)))
}

/// At least three or so even in a small panel, which has no other numbers.
fn y_ticks(frame: &Frame) -> Ticks {
    frame.y.ticks(if frame.height < 220.0 { 3 } else { 5 })
}

/// Contour lines have many points; a tenth of a pixel is fine enough.
fn tenth(pixel: f64) -> f64 {
    (pixel * 10.0).round() / 10.0
}

/// For levels at evenly spaced shares of all heights, the segments of their lines (marching squares).
fn contours(height: &dyn Fn([f64; 2]) -> f64, [x0, x1, y0, y1]: [f64; 4]) -> Vec<Vec<[[f64; 2]; 2]>> {
    let at = |i: usize, j: usize| [x0 + (x1 - x0) * i as f64 / CELLS as f64, y0 + (y1 - y0) * j as f64 / CELLS as f64];
    let heights: Vec<Vec<f64>> = (0..=CELLS).map(|i| (0..=CELLS).map(|j| height(at(i, j))).collect()).collect();
    let mut sorted: Vec<f64> = heights.iter().flatten().copied().filter(|h| h.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let level = |k: usize| super::limits::quantile(&sorted, (k as f64 + 0.5) / LEVELS as f64);
    let crossing = |a: ([f64; 2], f64), b: ([f64; 2], f64), level: f64| {
        let t = (level - a.1) / (b.1 - a.1);
        [a.0[0] + t * (b.0[0] - a.0[0]), a.0[1] + t * (b.0[1] - a.0[1])]
    };
    let lines = |level: f64| {
        let mut segments = vec![];
        for i in 0..CELLS {
            for j in 0..CELLS {
                let corners = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)].map(|(i, j)| (at(i, j), heights[i][j]));
                let edges = (0..4).map(|k| (corners[k], corners[(k + 1) % 4]));
                let cut: Vec<[f64; 2]> =
                    edges.filter(|(a, b)| (a.1 < level) != (b.1 < level)).map(|(a, b)| crossing(a, b, level)).collect();
                segments.extend(cut.chunks_exact(2).map(|pair| [pair[0], pair[1]]));
            }
        }
        segments
    };
    (0..LEVELS).filter_map(level).map(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contour_lines_of_a_bowl_are_circles() {
        let lines = contours(&|[x, y]| x * x + y * y, [-1.0, 1.0, -1.0, 1.0]);
        assert_eq!(lines.len(), LEVELS);
        for segments in &lines {
            let radii: Vec<f64> = segments.iter().flatten().map(|p| p[0].hypot(p[1])).collect();
            let (low, high) = radii.iter().fold((f64::INFINITY, 0.0f64), |(l, h), r| (l.min(*r), h.max(*r)));
            assert!(!radii.is_empty() && high - low < 0.01, "{low} {high}");
        }
    }

    #[test]
    fn a_figure_has_a_path_per_way_and_is_escaped() {
        let height = |[x, y]: [f64; 2]| x * x - y * y;
        let path = vec![[0.5, 0.0], [0.1, 0.2], [0.0, f64::INFINITY]];
        let panel = Landscape { title: "a<b".into(), function: 0, height: &height, notes: vec![[0.0, 0.0]], paths: vec![(0, path)] };
        let legend = vec![("x & y".to_owned(), Color::rgb(0, 0, 0))];
        let figure = Contours { title: "t".into(), subtitle: "s".into(), columns: 3, panels: vec![panel], legend };
        let svg = figure.svg();
        assert!(svg.contains("a&lt;b") && svg.contains("x &amp; y") && !svg.contains("inf") && !svg.contains("NaN"), "{svg}");
        assert_eq!(svg, figure.svg());
    }
}
