//! Lays out and draws a [`Figure`]: panels with shared axes, outer tick labels, one legend.
//! Called by `Figure::svg` only; it knows nothing of what the curves mean.

use std::fmt::Write as _;

use super::axis::{Scale, Ticks};
use super::captions::{header, x_label, y_label};
use super::frame::{BAND, EDGE, FAINT_BAND, Frame, MEDIUM, SMALL, TICK_ROOM, label_width};
use super::legend::{Entry, Key};
use super::limits::{MARGIN, of_axis};
use super::marks::{Mark, Shape};
use super::svg::{Svg, Text, WIDTH, real};
use super::text::{squeeze, text_width};
use super::{Figure, Panel, Series};

/// Space between neighbouring panels; room for half a tick label of each.
const BETWEEN: f64 = 26.0;
const LEGEND_GAP: f64 = 18.0;
/// Size of a title that would not fit otherwise.
const SMALLEST: f64 = 10.0;

pub(super) fn draw(figure: &Figure) -> String {
    let mut svg = Svg::default();
    let empty = [Panel::default()];
    let panels = if figure.panels.is_empty() { &empty[..] } else { &figure.panels[..] };
    let top = header(&mut svg, &figure.title, figure.subtitle.as_deref()) + 8.0;
    let key = Key::new(&figure.legend, all_series(panels).map(entry));
    let (beside, beside_height) = key.right_size();

    let titled = panels.iter().any(|panel| panel.title.is_some());
    let title_room = if titled { 20.0 } else { 4.0 };
    let columns = columns(panels.len());
    let rows = panels.len().div_ceil(columns);
    let mut height = [300.0, 235.0, 200.0, 180.0][columns.min(4) - 1];
    if rows == 1 {
        height = beside_height.clamp(height, 1.4 * height);
    }

    let limits = Limits::of(figure, panels);
    let shape = |left: f64, width: f64, row: usize, column: usize| {
        let y = top + title_room + real(row) * (height + title_room + 14.0);
        let x = left + real(column) * (width + BETWEEN);
        Frame::new([x, y, width, height], (&figure.x, limits.x), (&figure.y, limits.y))
    };
    // The vertical ticks depend on the height alone, so any width will do to measure their labels.
    let y_ticks = if limits.known { shape(0.0, 100.0, 0, 0).y_ticks() } else { Ticks::default() };
    let left = EDGE + 20.0 + label_width(&y_ticks).max(10.0) + 8.0;
    let right = if beside > 0.0 { beside + LEGEND_GAP } else { 4.0 };
    let width = (WIDTH - EDGE - left - right - real(columns - 1) * BETWEEN) / real(columns);
    let x_ticks = if limits.known { shape(left, width, 0, 0).x_ticks() } else { Ticks::default() };

    for (index, panel) in panels.iter().enumerate() {
        let (row, column) = (index / columns, index % columns);
        let frame = shape(left, width, row, column);
        frame.grid(&mut svg, &x_ticks, &y_ticks);
        if column == 0 {
            frame.y_tick_labels(&mut svg, &y_ticks);
        }
        if index + columns >= panels.len() {
            frame.x_tick_labels(&mut svg, &x_ticks);
        }
        if let Some(title) = &panel.title {
            let room = width + BETWEEN - 8.0;
            // A smaller title says more than a shortened one.
            let fits = |size: &f64| text_width(title, *size) <= room;
            let size = [MEDIUM, SMALL].into_iter().find(fits).unwrap_or(SMALLEST);
            let title = squeeze(title, size, room);
            svg.text(&Text { size, ..Text::new(frame.left, frame.top - 7.0, &title) });
        }
        contents(&mut svg, panel, &frame, limits.known);
    }

    let (first, last) = (shape(left, width, 0, 0), shape(left, width, rows - 1, columns - 1));
    let mut bottom = last.top + last.height;
    y_label(&mut svg, &figure.y.label, first.top, bottom - first.top);
    bottom += TICK_ROOM + 16.0;
    x_label(&mut svg, &figure.x.label, left, last.left + width - left, bottom);
    key.draw_right(&mut svg, last.left + width + LEGEND_GAP, first.top);
    bottom = key.draw_below(&mut svg, left, bottom + 12.0).max(first.top + beside_height);
    svg.finish(bottom + 6.0, &figure.title, &description(figure, panels))
}

fn contents(svg: &mut Svg, panel: &Panel, frame: &Frame, known: bool) {
    if !known || !panel.series.iter().any(|series| shows(series, frame)) {
        frame.no_data(svg);
        return;
    }
    let width = if panel.series.len() > 8 { 1.4 } else { 1.7 };
    let opacity = if panel.series.len() > 4 { FAINT_BAND } else { BAND };
    svg.begin_clip(frame.clip());
    for series in &panel.series {
        frame.band(svg, series.band.iter().copied(), series.color, opacity);
    }
    for series in &panel.series {
        frame.line(svg, series.line.iter().copied(), series.color, series.dash, width);
    }
    svg.end_clip();
    for series in &panel.series {
        let (shape, color) = (Shape::Circle, series.color);
        let mark = Mark { shape, radius: 3.0, color, opacity: 1.0, rimmed: true };
        for point in &series.marks {
            frame.mark(svg, *point, &mark);
        }
    }
    let pixel = |(x, y): &(f64, f64)| frame.x.at(*x).zip(frame.y.at(*y));
    let occupied: Vec<_> = panel.series.iter().flat_map(|series| series.line.iter().filter_map(pixel)).collect();
    frame.rules(svg, &panel.rules, &occupied);
}

fn shows(series: &Series, frame: &Frame) -> bool {
    let placed = |x: f64, y: f64| frame.x.at(x).is_some() && frame.y.at(y).is_some();
    series.line.iter().chain(&series.marks).any(|(x, y)| placed(*x, *y)) || series.band.iter().any(|(x, _, high)| placed(*x, *high))
}

/// Four and fewer panels go side by side; more are spread over rows of three or four.
fn columns(panels: usize) -> usize {
    match panels {
        0..=4 => panels.max(1),
        5 | 6 | 9 => 3,
        _ => 4,
    }
}

/// Limits common to all panels.
struct Limits {
    x: (f64, f64),
    y: (f64, f64),
    /// Whether there is anything to show; without it the limits are arbitrary.
    known: bool,
}

impl Limits {
    fn of(figure: &Figure, panels: &[Panel]) -> Self {
        // Only points with a place on both axes count: step 0 does not show on a logarithmic x axis,
        // so its loss must not stretch y.
        let placed = |x: f64, y: f64| figure.x.scale.forward(x).is_some() && figure.y.scale.forward(y).is_some();
        let points = || {
            all_series(panels).flat_map(|series| {
                let bands = series.band.iter().flat_map(|(x, low, high)| [(*x, *low), (*x, *high)]);
                series.line.iter().chain(&series.marks).copied().chain(bands).filter(|(x, y)| placed(*x, *y))
            })
        };
        let rules = panels.iter().flat_map(|panel| panel.rules.iter().map(|rule| rule.value));
        let any = points().next().is_some();
        let x = of_axis(&figure.x, points().map(|point| point.0), 0.0);
        let y = of_axis(&figure.y, points().map(|point| point.1).chain(rules), MARGIN);
        let unit = |scale: Scale| {
            if scale == Scale::Log { (1.0, 10.0) } else { (0.0, 1.0) }
        };
        Self { x: x.unwrap_or(unit(figure.x.scale)), y: y.unwrap_or(unit(figure.y.scale)), known: any }
    }
}

fn all_series(panels: &[Panel]) -> impl Iterator<Item = &Series> {
    panels.iter().flat_map(|panel| &panel.series)
}

fn entry(series: &Series) -> Entry {
    Entry { label: series.label.clone(), color: series.color, dash: series.dash, shape: None, band: !series.band.is_empty() }
}

fn description(figure: &Figure, panels: &[Panel]) -> String {
    let mut text = format!("Line chart of {} against {}.", figure.y.label, figure.x.label);
    let titles: Vec<&str> = panels.iter().filter_map(|panel| panel.title.as_deref()).collect();
    if !titles.is_empty() {
        let _ = write!(text, " Panels: {}.", titles.join(", "));
    }
    let mut labels: Vec<&str> = Vec::new();
    for series in all_series(panels) {
        if !series.label.is_empty() && !labels.contains(&series.label.as_str()) {
            labels.push(&series.label);
        }
    }
    if labels.is_empty() { text } else { format!("{text} Series: {}.", labels.join(", ")) }
}
