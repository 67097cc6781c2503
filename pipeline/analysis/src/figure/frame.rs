//! A panel's frame: grid, axis lines, tick labels, and data drawn within it. Called by the files that
//! lay figures out; it knows nothing of titles and legends or of how many panels there are.

use super::axis::{Axis, Mapping, Scale, Ticks};
use super::marks::{Mark, Side};
use super::palette::{Color, Dash};
use super::svg::{AXIS, Anchor, GRID, Stroke, Svg, Text, WIDTH, real};
use super::text::text_width;
use super::thin;

/// Free space around a figure.
pub(super) const EDGE: f64 = 14.0;
/// Size of tick labels, row labels and legend entries.
pub(super) const SMALL: f64 = 11.0;
/// Size of axis labels and panel titles.
pub(super) const MEDIUM: f64 = 12.0;
/// Opacity of a band, and of one among many that overlap.
pub(super) const BAND: f64 = 0.18;
pub(super) const FAINT_BAND: f64 = 0.12;
/// Height that tick labels take below a panel.
pub(super) const TICK_ROOM: f64 = 18.0;

/// A plotting area in pixels with its two axes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
    pub x: Mapping,
    pub y: Mapping,
}

impl Frame {
    pub(super) fn new([left, top, width, height]: [f64; 4], x: (&Axis, (f64, f64)), y: (&Axis, (f64, f64))) -> Self {
        let x = Mapping::of(x.0, x.1, (left, left + width));
        let y = Mapping::of(y.0, y.1, (top + height, top));
        Self { left, top, width, height, x, y }
    }

    pub(super) fn right(&self) -> f64 {
        self.left + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// Ticks of the vertical axis, for its height.
    pub(super) fn y_ticks(&self) -> Ticks {
        let each = if self.y.scale() == Scale::Log { 38.0 } else { 45.0 };
        let target = (2..=8).rev().find(|n| real(*n) * each <= self.height);
        self.y.ticks(target.unwrap_or(2))
    }

    /// As many ticks of the horizontal axis as have room for their labels.
    pub(super) fn x_ticks(&self) -> Ticks {
        let fitting = (2..=8).rev().map(|target| self.x.ticks(target)).find(|ticks| self.has_room(ticks));
        let mut ticks = fitting.unwrap_or_else(|| self.x.ticks(2));
        // What still collides, or would leave the figure at the right, keeps its mark but no label.
        let mut kept = Ticks { major: Vec::new(), minor: ticks.minor };
        for tick in ticks.major.drain(..) {
            kept.major.push(tick);
            let over = self.x_extent(kept.major.last()).is_some_and(|extent| extent.1 > WIDTH - 2.0);
            if over || !self.has_room(&kept) {
                kept.minor.extend(kept.major.pop().map(|tick| tick.0));
            }
        }
        kept
    }

    /// Pixels from which to which the label of a horizontal tick reaches.
    fn x_extent(&self, tick: Option<&(f64, String)>) -> Option<(f64, f64)> {
        let (value, label) = tick?;
        let (center, half) = (self.x.at(*value)?, text_width(label, SMALL) / 2.0);
        Some((center - half, center + half))
    }

    /// Whether the labels of these horizontal ticks stay clear of each other.
    pub(super) fn has_room(&self, ticks: &Ticks) -> bool {
        let mut free = f64::NEG_INFINITY;
        ticks.major.iter().filter_map(|tick| self.x_extent(Some(tick))).all(|(start, end)| {
            let clear = start >= free;
            free = end + 8.0;
            clear
        })
    }

    /// Grid lines, tick marks and axis lines.
    pub(super) fn grid(&self, svg: &mut Svg, x_ticks: &Ticks, y_ticks: &Ticks) {
        let (grid, axis) = (Stroke::solid(GRID, 1.0), Stroke::solid(AXIS, 1.0));
        let (right, bottom) = (self.right(), self.bottom());
        let majors = |ticks: &Ticks, on: Mapping| -> Vec<f64> { ticks.major.iter().filter_map(|(value, _)| on.at(*value)).collect() };
        let minors = |ticks: &Ticks, on: Mapping| -> Vec<f64> { ticks.minor.iter().filter_map(|value| on.at(*value)).collect() };
        for x in majors(x_ticks, self.x) {
            svg.line((x, self.top), (x, bottom), &grid);
            svg.line((x, bottom), (x, bottom + 4.0), &axis);
        }
        for y in majors(y_ticks, self.y) {
            svg.line((self.left, y), (right, y), &grid);
            svg.line((self.left - 4.0, y), (self.left, y), &axis);
        }
        for x in minors(x_ticks, self.x) {
            svg.line((x, bottom), (x, bottom + 2.5), &axis);
        }
        for y in minors(y_ticks, self.y) {
            svg.line((self.left - 2.5, y), (self.left, y), &axis);
        }
        svg.polyline(&[(self.left, self.top), (self.left, bottom), (right, bottom)], &axis);
    }

    pub(super) fn x_tick_labels(&self, svg: &mut Svg, ticks: &Ticks) {
        for (value, label) in &ticks.major {
            if let Some(x) = self.x.at(*value) {
                let text = Text::new(x, self.bottom() + 16.0, label);
                svg.text(&Text { anchor: Anchor::Middle, ..text });
            }
        }
    }

    pub(super) fn y_tick_labels(&self, svg: &mut Svg, ticks: &Ticks) {
        for (value, label) in &ticks.major {
            if let Some(y) = self.y.at(*value) {
                let text = Text::new(self.left - 7.0, y + 4.0, label);
                svg.text(&Text { anchor: Anchor::End, ..text });
            }
        }
    }

    /// A line, broken wherever a point has no place; what lies outside is clipped by the caller.
    pub(super) fn line(&self, svg: &mut Svg, points: impl IntoIterator<Item = (f64, f64)>, color: Color, dash: Option<Dash>, width: f64) {
        for run in runs(points.into_iter().map(|(x, y)| self.x.at(x).zip(self.y.at(y)))) {
            let dense = run.len() > thin::FEW;
            let stroke = Stroke { color, width: if dense { width.min(1.0) } else { width }, dash };
            svg.polyline(&thin::line(&run), &stroke);
        }
    }

    /// A translucent band of `(x, low, high)`, broken wherever `high` has no place. A `low` without one
    /// (zero on a logarithmic axis) reaches down to the edge.
    pub(super) fn band(&self, svg: &mut Svg, points: impl IntoIterator<Item = (f64, f64, f64)>, color: Color, opacity: f64) {
        let edge = self.bottom() + 10.0;
        let place = |(x, low, high): (f64, f64, f64)| {
            let low = if low.is_nan() { None } else { Some(self.y.at(low).unwrap_or(edge)) };
            Some((self.x.at(x)?, low?, self.y.at(high)?))
        };
        for run in runs(points.into_iter().map(place)) {
            let run = thin::band(&run);
            let upper = run.iter().map(|(x, _, high)| (*x, *high));
            let lower = run.iter().rev().map(|(x, low, _)| (*x, *low));
            svg.polygon(&upper.chain(lower).collect::<Vec<_>>(), color, opacity);
        }
    }

    /// A single point; outside the limits it becomes a triangle at the edge.
    pub(super) fn mark(&self, svg: &mut Svg, (x, y): (f64, f64), mark: &Mark) {
        if let Some(((x, x_side), (y, y_side))) = self.x.held(x).zip(self.y.held(y)) {
            match Side::of(x_side, y_side) {
                None => mark.draw(svg, (x, y)),
                Some(side) => side.draw(svg, (x, y), mark.color),
            }
        }
    }

    /// The rectangle to clip data to, a little wider than the frame so that lines along it keep their width.
    pub(super) fn clip(&self) -> [f64; 4] {
        [self.left - 1.0, self.top - 1.0, self.width + 2.0, self.height + 2.0]
    }
}

/// Width of the widest tick label.
pub(super) fn label_width(ticks: &Ticks) -> f64 {
    ticks.major.iter().map(|(_, label)| text_width(label, SMALL)).fold(0.0, f64::max)
}

/// The stretches without gaps.
fn runs<T>(items: impl Iterator<Item = Option<T>>) -> Vec<Vec<T>> {
    let mut out = vec![Vec::new()];
    for item in items {
        match (item, out.last_mut()) {
            (Some(item), Some(run)) => run.push(item),
            (None, Some(run)) if !run.is_empty() => out.push(Vec::new()),
            _ => {}
        }
    }
    out.retain(|run| !run.is_empty());
    out
}

#[cfg(test)]
mod tests {
    use super::super::svg::INK;
    use super::*;

    fn frame(y: &Axis, limits: (f64, f64)) -> Frame {
        Frame::new([0.0, 0.0, 100.0, 100.0], (&Axis::linear("x"), (0.0, 10.0)), (y, limits))
    }

    #[test]
    fn gaps_break_lines_and_bands() {
        let frame = frame(&Axis::log("y"), (0.1, 10.0));
        let mut svg = Svg::default();
        let points = [(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0), (4.0, 0.0), (5.0, 1.0), (6.0, 1.0)];
        frame.line(&mut svg, points, INK, None, 1.0);
        frame.band(&mut svg, points.map(|(x, y)| (x, y - 1.0, y)), INK, BAND);
        let text = svg.finish(100.0, "t", "d");
        assert_eq!((text.matches("fill=\"none\"").count(), text.matches("<circle").count()), (2, 1));
        assert_eq!(text.matches('Z').count(), 2, "{text}");
        assert!(!text.contains("NaN") && !text.contains("inf"));
    }

    #[test]
    fn tick_labels_do_not_touch() {
        let axis = Axis::linear("y");
        let frame = Frame::new([0.0, 0.0, 90.0, 50.0], (&axis, (0.0, 123_456.0)), (&axis, (0.0, 1.0)));
        let ticks = frame.x_ticks();
        assert!(ticks.major.len() >= 2 && frame.has_room(&ticks), "{ticks:?}");
    }
}
