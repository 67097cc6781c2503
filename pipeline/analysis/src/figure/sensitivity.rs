//! A metric against an ordered numeric setting (learning rate, batch size): medians over seeds, quartile
//! bands, single runs, and diverged runs in a strip on top. Called by the report code through
//! [`Sensitivity::svg`]; it knows nothing of which setting it shows.

use std::fmt::Write as _;

use super::Rule;
use super::axis::{Axis, Scale, Ticks, short};
use super::captions::{header, paragraph, x_label, y_label};
use super::frame::{BAND, EDGE, FAINT_BAND, Frame, SMALL, TICK_ROOM, label_width};
use super::legend::{Entry, Key, Legend, Place};
use super::limits::{MARGIN, of_axis, quartiles};
use super::marks::{Mark, Shape};
use super::palette::{Color, Dash};
use super::svg::{AXIS, Anchor, MUTED, SHADE, Stroke, Svg, Text, WIDTH, real};
use super::text::text_width;

/// A metric's dependence on a setting, for one or more series.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sensitivity {
    /// What the figure shows.
    pub title: String,
    /// How to read it, or on what data it rests.
    pub subtitle: Option<String>,
    /// The setting.
    pub x: Axis,
    /// The metric.
    pub y: Axis,
    /// What is compared, such as optimizers.
    pub series: Vec<SensitivitySeries>,
    /// Target lines.
    pub rules: Vec<Rule>,
    /// Settings that are labelled otherwise than by their number.
    pub names: Vec<(f64, String)>,
}

/// One compared series.
#[derive(Debug, Clone, PartialEq)]
pub struct SensitivitySeries {
    /// Legend entry.
    pub label: String,
    /// Colour of line, band and marks.
    pub color: Color,
    /// Pattern of the median line; `None` is solid.
    pub dash: Option<Dash>,
    /// In ascending order of the setting.
    pub points: Vec<SensitivityPoint>,
}

/// The runs of one series at one value of the setting.
#[derive(Debug, Clone, PartialEq)]
pub struct SensitivityPoint {
    /// The setting.
    pub x: f64,
    /// The metric of each completed run, one per seed. A value that is not finite counts as diverged.
    pub values: Vec<f64>,
    /// Diverged runs, beyond those that `values` shows to be.
    pub diverged: usize,
}

impl SensitivityPoint {
    fn lost(&self) -> usize {
        self.diverged + self.values.iter().filter(|value| !value.is_finite()).count()
    }
}

const HEIGHT: f64 = 300.0;
/// Height of one series' row of diverged runs, and the space around the rows.
const ROW: f64 = 12.0;
const PAD: f64 = 3.0;
const HEADING: &str = "diverged";
/// Most distinct settings that are labelled one by one instead of at round values.
const LABELLED: usize = 12;

impl Sensitivity {
    /// The figure as a complete SVG document.
    #[must_use]
    pub fn svg(&self) -> String {
        let mut svg = Svg::default();
        let top = header(&mut svg, &self.title, self.subtitle.as_deref()) + 10.0;
        let lossy: Vec<&SensitivitySeries> = self.series.iter().filter(|s| s.points.iter().any(|p| p.lost() > 0)).collect();
        let strip = if lossy.is_empty() { 0.0 } else { real(lossy.len()) * ROW + 2.0 * PAD };

        let seen = |point: &&SensitivityPoint| !point.values.is_empty() || point.diverged > 0;
        let points = || self.series.iter().flat_map(|series| &series.points).filter(seen);
        let x_limits = of_axis(&self.x, points().map(|point| point.x), MARGIN);
        let placed = points().filter(|point| self.x.scale.forward(point.x).is_some());
        let values = placed.flat_map(|point| point.values.iter().copied());
        let y_limits = of_axis(&self.y, values.chain(self.rules.iter().map(|rule| rule.value)), MARGIN);
        let unit = |scale: Scale| {
            if scale == Scale::Log { (1.0, 10.0) } else { (0.0, 1.0) }
        };
        let frame = |left: f64| {
            let area = [left, top + strip, WIDTH - 2.0 * EDGE - left + 8.0, HEIGHT];
            let (x, y) = (x_limits.unwrap_or(unit(self.x.scale)), y_limits.unwrap_or(unit(self.y.scale)));
            Frame::new(area, (&self.x, x), (&self.y, y))
        };
        let y_ticks = if y_limits.is_some() { frame(0.0).y_ticks() } else { Ticks::default() };
        let heading = if lossy.is_empty() { 0.0 } else { text_width(HEADING, SMALL) };
        let left = EDGE + 20.0 + label_width(&y_ticks).max(heading).max(10.0) + 8.0;
        let frame = frame(left);
        let x_ticks = if x_limits.is_some() { self.x_ticks(&frame) } else { Ticks::default() };

        frame.grid(&mut svg, &x_ticks, &y_ticks);
        frame.x_tick_labels(&mut svg, &x_ticks);
        frame.y_tick_labels(&mut svg, &y_ticks);
        self.contents(&mut svg, &frame);
        if !lossy.is_empty() {
            diverged(&mut svg, &frame, &lossy, strip);
        }
        if points().next().is_none() {
            frame.no_data(&mut svg);
        }

        y_label(&mut svg, &self.y.label, frame.top, frame.height);
        let bottom = frame.top + frame.height + TICK_ROOM + 16.0;
        x_label(&mut svg, &self.x.label, left, frame.width, bottom);
        let legend = if self.series.len() > 1 { Legend::Categorical { place: Place::Below } } else { Legend::None };
        let entries = self.series.iter().enumerate().map(|(index, series)| entry(index, series));
        let bottom = Key::new(&legend, entries).draw_below(&mut svg, left, bottom + 12.0);
        let mut note = String::from("Mark: one seed; line: median; band: interquartile range");
        note.push_str(if lossy.is_empty() { "." } else { "; ×: diverged run, left out of median and range." });
        let bottom = paragraph(&mut svg, &note, bottom + 8.0);
        svg.finish(bottom + 8.0, &self.title, &self.description())
    }

    /// Ticks at the settings that were run if they are few and their labels fit, else at round values.
    fn x_ticks(&self, frame: &Frame) -> Ticks {
        let mut settings: Vec<f64> = self.series.iter().flat_map(|series| series.points.iter().map(|point| point.x)).collect();
        settings.retain(|x| matches!(frame.x.held(*x), Some((_, 0))));
        settings.sort_by(f64::total_cmp);
        let mut major: Vec<(f64, String)> = settings.into_iter().map(|x| (x, self.name(x))).collect();
        // Settings that read the same are the same up to rounding.
        major.dedup_by(|a, b| a.1 == b.1);
        let ticks = Ticks { major, minor: Vec::new() };
        let few = (2..=LABELLED).contains(&ticks.major.len());
        if few && frame.has_room(&ticks) { ticks } else { frame.x_ticks() }
    }

    fn name(&self, x: f64) -> String {
        let named = self.names.iter().find(|(setting, _)| setting.total_cmp(&x).is_eq());
        named.map_or_else(|| short(x), |(_, name)| name.clone())
    }

    fn contents(&self, svg: &mut Svg, frame: &Frame) {
        let summary = |point: &SensitivityPoint| (point.x, quartiles(&point.values).unwrap_or([f64::NAN; 3]));
        let mut occupied = Vec::new();
        let opacity = if self.series.len() > 4 { FAINT_BAND } else { BAND };
        svg.begin_clip(frame.clip());
        for series in &self.series {
            let band = series.points.iter().map(summary).map(|(x, [low, _, high])| (x, low, high));
            frame.band(svg, band, series.color, opacity);
        }
        for series in &self.series {
            let medians: Vec<_> = series.points.iter().map(summary).map(|(x, [_, median, _])| (x, median)).collect();
            occupied.extend(between(&medians, frame));
            frame.line(svg, medians, series.color, series.dash, 2.0);
        }
        svg.end_clip();
        for (index, series) in self.series.iter().enumerate() {
            let (shape, color) = (Shape::nth(index), series.color);
            let mark = Mark { shape, radius: 2.9, color, opacity: 0.5, rimmed: false };
            for point in &series.points {
                for value in &point.values {
                    frame.mark(svg, (point.x, *value), &mark);
                    occupied.extend(frame.x.at(point.x).zip(frame.y.at(*value)));
                }
            }
        }
        frame.rules(svg, &self.rules, &occupied);
    }

    fn description(&self) -> String {
        let mut text = format!("{} against {}, median and interquartile range over seeds.", self.y.label, self.x.label);
        for series in &self.series {
            let lost: usize = series.points.iter().map(SensitivityPoint::lost).sum();
            let _ = write!(text, " {}: {} settings, {lost} diverged runs.", series.label, series.points.len());
        }
        text
    }
}

fn entry(index: usize, series: &SensitivitySeries) -> Entry {
    let shape = Some(Shape::nth(index));
    Entry { label: series.label.clone(), color: series.color, dash: series.dash, shape, band: true, width: 2.0 }
}

/// Pixels along the straight pieces of a line, so that text can keep clear of them.
fn between(points: &[(f64, f64)], frame: &Frame) -> Vec<(f64, f64)> {
    let place = |(x, y): (f64, f64)| frame.x.at(x).zip(frame.y.at(y));
    let piece = |pair: &[(f64, f64)]| Some((place(pair[0])?, place(pair[1])?));
    points
        .windows(2)
        .filter_map(piece)
        .flat_map(|(a, b)| (0..=8).map(move |k| (a.0 + (b.0 - a.0) * real(k) / 8.0, a.1 + (b.1 - a.1) * real(k) / 8.0)))
        .collect()
}

/// The strip of diverged runs: one row per series that has any, one ✕ per run, or a count and one ✕
/// where they would not fit beside those of the next setting.
fn diverged(svg: &mut Svg, frame: &Frame, lossy: &[&SensitivitySeries], height: f64) {
    const STEP: f64 = 7.5;
    let top = frame.top - height;
    svg.rect([frame.left, top, frame.width, height], SHADE, 1.0);
    svg.line((frame.left, frame.top), (frame.left + frame.width, frame.top), &Stroke::solid(AXIS, 0.8));
    let text = Text::new(frame.left - 7.0, top + height / 2.0 + 4.0, HEADING);
    svg.text(&Text { anchor: Anchor::End, color: MUTED, ..text });

    let mut places: Vec<f64> = lossy.iter().flat_map(|series| series.points.iter().filter_map(|p| frame.x.at(p.x))).collect();
    places.sort_by(f64::total_cmp);
    let gaps = places.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > 0.5);
    let room = gaps.fold(80.0, f64::min);
    for (row, series) in lossy.iter().enumerate() {
        let y = top + PAD + (real(row) + 0.5) * ROW;
        for point in &series.points {
            let n = point.lost();
            let Some((x, 0)) = frame.x.held(point.x) else {
                continue;
            };
            if real(n) * STEP <= room - 2.0 {
                for index in 0..n {
                    svg.cross((x + (real(index) - (real(n) - 1.0) / 2.0) * STEP, y), 2.6, series.color);
                }
            } else {
                let count = n.to_string();
                svg.text(&Text { anchor: Anchor::End, size: 10.0, ..Text::new(x + 1.0, y + 3.5, &count) });
                svg.cross((x + 6.0, y), 2.6, series.color);
            }
        }
    }
}

#[cfg(test)]
#[path = "sensitivity_tests.rs"]
mod tests;
