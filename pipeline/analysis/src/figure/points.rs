//! Dot plot of a final metric: one row per arm, one dot per seed, diverged runs in a column of their own.
//! Called by the report code through [`Strip::svg`]; it knows nothing of how arms are named or ordered.

use std::fmt::Write as _;

use super::axis::{Axis, Scale, Ticks};
use super::captions::{header, paragraph, x_label};
use super::frame::{EDGE, Frame, SMALL, TICK_ROOM};
use super::limits::{MARGIN, of_axis, quartiles};
use super::marks::{Shape, Side};
use super::palette::Color;
use super::svg::{Anchor, INK, MUTED, SHADE, Stroke, Svg, Text, WIDTH, real};
use super::text::{squeeze_apart, text_width, wrap};

/// The final metric of every run, by arm.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Strip {
    /// What the figure shows.
    pub title: String,
    /// How to read it, or on what data it rests.
    pub subtitle: Option<String>,
    /// The horizontal axis.
    pub metric: Axis,
    /// One row each, from the top.
    pub groups: Vec<Group>,
}

/// The runs of one arm.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Row label.
    pub label: String,
    /// Colour of dots, quartile bar and diverged marks.
    pub color: Color,
    /// The metric of each completed run, one per seed. A value that is not finite counts as diverged.
    pub values: Vec<f64>,
    /// Diverged runs, beyond those that `values` shows to be.
    pub failed: usize,
}

impl Group {
    fn diverged(&self) -> usize {
        self.failed + self.values.iter().filter(|value| !value.is_finite()).count()
    }
}

/// Widest that row labels may get.
const LABELS: f64 = 300.0;
/// Size and line height of labels that need two lines.
const FINE: f64 = 9.5;
const LINE: f64 = 11.0;
/// Distance of neighbouring ✕ marks, and the most that are drawn one by one.
const CROSS: f64 = 10.0;
const CROSSES: usize = 8;
const HEADING: &str = "diverged";

impl Strip {
    /// The figure as a complete SVG document.
    #[must_use]
    pub fn svg(&self) -> String {
        let mut svg = Svg::default();
        let mut top = header(&mut svg, &self.title, self.subtitle.as_deref()) + 8.0;
        let most = self.groups.iter().map(Group::diverged).max().unwrap_or(0);
        let column = if most == 0 { 0.0 } else { (real(most.min(CROSSES)) * CROSS).max(text_width(HEADING, SMALL)) + 12.0 };
        let (written, size) = self.labels();
        let labels = written.iter().flatten().map(|line| text_width(line, size)).fold(0.0, f64::max);
        let pitch = if self.groups.len() > 24 { 17.0 } else { 20.0 };
        // Rows with their tops and heights.
        let mut rows: Vec<(f64, f64)> = vec![];
        for lines in &written {
            let from = rows.last().map_or(0.0, |(top, height)| top + height);
            rows.push((from, pitch + LINE * real(lines.len().saturating_sub(1)) * 0.75));
        }
        let left = EDGE + labels + 14.0;
        let width = WIDTH - EDGE - left - if most == 0 { 6.0 } else { column + 10.0 };
        let height = rows.last().map_or(80.0, |(top, height)| top + height);
        if most > 0 {
            let text = Text::new(WIDTH - EDGE - column / 2.0, top + 11.0, HEADING);
            svg.text(&Text { anchor: Anchor::Middle, color: MUTED, ..text });
            top += 18.0;
        }

        let limits = of_axis(&self.metric, self.groups.iter().flat_map(|group| group.values.iter().copied()), MARGIN);
        let unit = if self.metric.scale == Scale::Log { (1.0, 10.0) } else { (0.0, 1.0) };
        // Rows are no axis; the frame gets a unit one that no tick or mark is placed on.
        let frame = Frame::new([left, top, width, height], (&self.metric, limits.unwrap_or(unit)), (&Axis::default(), (0.0, 1.0)));
        let ticks = if limits.is_some() { frame.x_ticks() } else { Ticks::default() };

        for (from, height) in rows.iter().step_by(2) {
            svg.rect([EDGE - 4.0, top + from, left + width - EDGE + 4.0, *height], SHADE, 1.0);
            if most > 0 {
                svg.rect([WIDTH - EDGE - column, top + from, column, *height], SHADE, 1.0);
            }
        }
        frame.grid(&mut svg, &ticks, &Ticks::default());
        frame.x_tick_labels(&mut svg, &ticks);
        for ((group, lines), (from, height)) in self.groups.iter().zip(&written).zip(&rows) {
            let middle = top + from + height / 2.0;
            let mut y = middle + 4.0 - LINE / 2.0 * real(lines.len() - 1);
            for line in lines {
                svg.text(&Text { anchor: Anchor::End, size, ..Text::new(left - 8.0, y, line) });
                y += LINE;
            }
            group.dots(&mut svg, &frame, middle);
            group.crosses(&mut svg, WIDTH - EDGE - column / 2.0, middle);
        }
        if limits.is_none() && most == 0 {
            frame.no_data(&mut svg);
        }

        let mut bottom = top + height + TICK_ROOM + 16.0;
        x_label(&mut svg, &self.metric.label, left, width, bottom);
        bottom = paragraph(&mut svg, &self.note(most, &frame), bottom + 10.0);
        svg.finish(bottom + 8.0, &self.title, &self.description())
    }

    /// The lines of each row's label, and their size: smaller print where one is too long, then a second line; if that is too little,
    /// the words that all labels share are left out, and then its middle.
    fn labels(&self) -> (Vec<Vec<String>>, f64) {
        let labels: Vec<&str> = self.groups.iter().map(|group| group.label.as_str()).collect();
        let fit = |size: f64| labels.iter().all(|label| text_width(label, size) <= LABELS);
        let size = if fit(SMALL) { SMALL } else { FINE };
        let short = squeeze_apart(&labels, FINE, 1.8 * LABELS);
        let lines = |(label, short): (&&str, &String)| {
            let few = |text: &str| Some(wrap(text, size, LABELS)).filter(|lines| (1..=2).contains(&lines.len()));
            few(label).or_else(|| few(short)).unwrap_or_else(|| squeeze_apart(&[short], size, LABELS))
        };
        (labels.iter().zip(&short).map(lines).collect(), size)
    }

    fn note(&self, most: usize, frame: &Frame) -> String {
        let mut note = String::from("Dot: one seed; vertical tick: median; bar: interquartile range");
        if most > 0 {
            note.push_str("; ×: diverged run, left out of median and range");
        }
        let fails = |value: &&f64| value.is_finite() && self.metric.scale.forward(**value).is_none();
        let hidden = self.groups.iter().flat_map(|group| &group.values).filter(fails).count();
        if hidden > 0 {
            let _ = write!(note, "; not shown on the logarithmic axis: {hidden} non-positive");
        }
        let beyond = |value: &&f64| frame.x.held(**value).is_some_and(|held| held.1 != 0);
        if self.groups.iter().flat_map(|group| &group.values).any(|value| beyond(&value)) {
            note.push_str("; triangle: beyond the axis, with the number of runs if several");
        }
        note.push('.');
        note
    }

    fn description(&self) -> String {
        let mut text = format!("Dot plot of {} per arm.", self.metric.label);
        for group in &self.groups {
            let _ = write!(
                text,
                " {}: {} completed, {} diverged.",
                group.label,
                group.values.len() + group.failed - group.diverged(),
                group.diverged()
            );
        }
        text
    }
}

impl Group {
    fn dots(&self, svg: &mut Svg, frame: &Frame, middle: f64) {
        let quartiles = quartiles(&self.values);
        if let Some([low, _, high]) = quartiles
            && let Some(((low, low_side), (high, high_side))) = frame.x.held(low).zip(frame.x.held(high))
            && low_side * high_side != 1
        {
            svg.rect([low, middle - 2.5, (high - low).max(1.0), 5.0], self.color, 0.3);
        }
        // A small spread by seed keeps equal values apart.
        for (seed, value) in self.values.iter().enumerate() {
            let y = middle + (real(seed % 5) - 2.0) * 1.3;
            if let Some((x, 0)) = frame.x.held(*value) {
                Shape::Circle.draw(svg, (x, y), 3.1, self.color, 0.55);
            }
        }
        for (outside, edge, side, anchor, inward) in
            [(-1, frame.left, Side::Left, Anchor::Start, 10.0), (1, frame.left + frame.width, Side::Right, Anchor::End, -10.0)]
        {
            let n = self.values.iter().filter(|value| matches!(frame.x.held(**value), Some((_, s)) if s == outside)).count();
            if n > 0 {
                side.draw(svg, (edge, middle), self.color);
            }
            if n > 1 {
                let (count, place) = (n.to_string(), edge + inward);
                svg.text(&Text { anchor, size: 10.0, halo: true, ..Text::new(place, middle + 3.5, &count) });
            }
        }
        if let Some([_, median, _]) = quartiles
            && let Some((x, 0)) = frame.x.held(median)
        {
            svg.line((x, middle - 7.0), (x, middle + 7.0), &Stroke::solid(INK, 2.4));
        }
    }

    fn crosses(&self, svg: &mut Svg, center: f64, middle: f64) {
        let n = self.diverged();
        if n > CROSSES {
            svg.text(&Text { anchor: Anchor::End, ..Text::new(center + 3.0, middle + 4.0, &n.to_string()) });
            svg.cross((center + 10.0, middle), 3.2, self.color);
            return;
        }
        for index in 0..n {
            let x = center + (real(index) - (real(n) - 1.0) / 2.0) * CROSS;
            svg.cross((x, middle), 3.2, self.color);
        }
    }
}

#[cfg(test)]
#[path = "points_tests.rs"]
mod tests;
