//! Paths on contour lines: small multiples of a function of x and y with the ways that were taken on it.
//! Called by report code; it knows nothing of optimizers.

use std::fmt::Write as _;

use super::palette::Color;
use super::svg::escape;

const SIDE: f64 = 225.0;
const GAP: f64 = 46.0;
/// Cells of the grid on which the function is looked at, per side.
const CELLS: usize = 72;
const LEVELS: usize = 14;
/// Points that a path is drawn with, at most.
const POINTS: usize = 400;
const COLUMNS: usize = 3;

/// Panels with their own axes, and one legend.
pub struct Contours<'a> {
    pub title: String,
    pub subtitle: String,
    pub panels: Vec<Landscape<'a>>,
    pub legend: Vec<(String, Color)>,
}

/// A function with paths on it.
pub struct Landscape<'a> {
    pub title: String,
    pub height: &'a dyn Fn([f64; 2]) -> f64,
    /// Marked as places of note, such as minima.
    pub notes: Vec<[f64; 2]>,
    pub paths: Vec<(Color, Vec<[f64; 2]>)>,
}

impl Contours<'_> {
    /// The figure as a complete SVG document.
    #[must_use]
    pub fn svg(&self) -> String {
        let columns = self.panels.len().clamp(1, COLUMNS);
        let rows = self.panels.len().div_ceil(COLUMNS);
        let width = (columns as f64 * (SIDE + GAP) + 34.0).max(560.0);
        let top = 58.0;
        let legend = top + rows as f64 * (SIDE + GAP);
        let height = legend + 22.0 * self.legend.len().div_ceil(4) as f64 + 10.0;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" \
             role=\"img\" font-family=\"system-ui, sans-serif\" font-size=\"11\">\n<title>{title}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"14\" y=\"22\" font-size=\"14\" font-weight=\"600\">{title}</text>\n\
             <text x=\"14\" y=\"40\" fill=\"#555\">{}</text>\n",
            escape(&self.subtitle),
            title = escape(&self.title),
        );
        for (i, panel) in self.panels.iter().enumerate() {
            let (left, top) = ((i % COLUMNS) as f64 * (SIDE + GAP) + 46.0, (i / COLUMNS) as f64 * (SIDE + GAP) + top + 16.0);
            panel.draw(&mut out, i, left, top);
        }
        for (i, (label, color)) in self.legend.iter().enumerate() {
            let (x, y) = (38.0 + (i % 4) as f64 * (width - 60.0) / 4.0, legend + 18.0 + 22.0 * (i / 4) as f64);
            let _ = writeln!(
                out,
                "<path d=\"M{x:.1} {:.1}h22\" stroke=\"{}\" stroke-width=\"2.4\"/><text x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
                y - 4.0,
                color.hex(),
                x + 28.0,
                escape(label)
            );
        }
        out.push_str("</svg>\n");
        out
    }
}

impl Landscape<'_> {
    fn draw(&self, out: &mut String, index: usize, left: f64, top: f64) {
        let frame = self.frame();
        let x = |value: f64| left + (value - frame[0]) / (frame[1] - frame[0]) * SIDE;
        let y = |value: f64| top + SIDE - (value - frame[2]) / (frame[3] - frame[2]) * SIDE;
        let _ = writeln!(
            out,
            "<clipPath id=\"panel{index}\"><rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{SIDE}\" height=\"{SIDE}\"/></clipPath>\n\
             <text x=\"{left:.1}\" y=\"{:.1}\" font-weight=\"600\">{}</text>\n<g clip-path=\"url(#panel{index})\" fill=\"none\">",
            top - 6.0,
            escape(&self.title)
        );
        for segments in contours(self.height, frame) {
            let mut d = String::new();
            for [from, to] in segments {
                let _ = write!(d, "M{:.1} {:.1}L{:.1} {:.1}", x(from[0]), y(from[1]), x(to[0]), y(to[1]));
            }
            let _ = writeln!(out, "<path d=\"{d}\" stroke=\"#c3c9d2\" stroke-width=\"0.8\"/>");
        }
        for note in &self.notes {
            let _ =
                writeln!(out, "<path d=\"M{:.1} {:.1}h8m-4 -4v8\" stroke=\"#222\" stroke-width=\"1.2\"/>", x(note[0]) - 4.0, y(note[1]));
        }
        for (color, path) in &self.paths {
            let every = path.len().div_ceil(POINTS).max(1);
            let points = path.iter().step_by(every).chain(path.last());
            // Far outside of the panel a line is cut; coordinates beyond all bounds would break viewers.
            let inside = |v: f64| v.clamp(-1e4, 1e4);
            let d: Vec<String> = points.map(|p| format!("{:.1} {:.1}", inside(x(p[0])), inside(y(p[1])))).collect();
            let _ = writeln!(out, "<path d=\"M{}\" stroke=\"{}\" stroke-width=\"1.7\" stroke-opacity=\"0.9\"/>", d.join("L"), color.hex());
            if let Some(end) = path.last() {
                let _ = writeln!(
                    out,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.4\" fill=\"{}\" stroke=\"#fff\"/>",
                    inside(x(end[0])),
                    inside(y(end[1])),
                    color.hex()
                );
            }
        }
        if let Some(start) = self.paths.first().and_then(|(_, path)| path.first()) {
            let _ = writeln!(
                out,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"7\" height=\"7\" fill=\"#000\"/>",
                x(start[0]) - 3.5,
                y(start[1]) - 3.5
            );
        }
        let _ =
            writeln!(out, "</g>\n<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"none\" stroke=\"#555\"/>");
        for k in 0..=2u8 {
            let part = f64::from(k) / 2.0;
            let (vx, vy) = (frame[0] + part * (frame[1] - frame[0]), frame[2] + part * (frame[3] - frame[2]));
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#444\">{}</text><text x=\"{:.1}\" y=\"{:.1}\" \
                 text-anchor=\"end\" fill=\"#444\">{}</text>",
                x(vx),
                top + SIDE + 14.0,
                short(vx),
                left - 5.0,
                y(vy) + 4.0,
                short(vy)
            );
        }
    }

    /// x and y limits: those of the paths and the places of note, but not where a path has run off to.
    fn frame(&self) -> [f64; 4] {
        let limits = |axis: usize| {
            let mut values: Vec<f64> = self.paths.iter().flat_map(|(_, path)| path).map(|p| p[axis]).filter(|v| v.is_finite()).collect();
            values.sort_by(f64::total_cmp);
            let at = |share: f64| super::limits::quantile(&values, share);
            let notes = || self.notes.iter().map(|note| note[axis]).chain(self.paths.first().and_then(|(_, p)| p.first()).map(|p| p[axis]));
            let low = notes().chain(at(0.005)).fold(f64::INFINITY, f64::min);
            let high = notes().chain(at(0.995)).fold(f64::NEG_INFINITY, f64::max);
            if low.is_finite() && high.is_finite() { (low, high) } else { (-1.0, 1.0) }
        };
        let ((x0, x1), (y0, y1)) = (limits(0), limits(1));
        // One scale for both, or circles would look like ellipses.
        let half = 0.58 * (x1 - x0).max(y1 - y0).max(0.1);
        let (cx, cy) = (f64::midpoint(x0, x1), f64::midpoint(y0, y1));
        [cx - half, cx + half, cy - half, cy + half]
    }
}

/// To two digits, without a needless end.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.replace('-', "\u{2212}") }
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
        let panel = Landscape { title: "a<b".into(), height: &height, notes: vec![[0.0, 0.0]], paths: vec![(Color::rgb(0, 0, 0), path)] };
        let legend = vec![("x & y".to_owned(), Color::rgb(0, 0, 0))];
        let figure = Contours { title: "t".into(), subtitle: "s".into(), panels: vec![panel], legend };
        let svg = figure.svg();
        assert!(svg.contains("a&lt;b") && svg.contains("x &amp; y") && !svg.contains("inf") && !svg.contains("NaN"), "{svg}");
        assert_eq!(svg, figure.svg());
    }
}
