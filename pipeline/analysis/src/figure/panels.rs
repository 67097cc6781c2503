//! Lays out and draws a [`Figure`]: panels with shared axes, outer tick labels, one legend. Where a panel has a vertical axis of its
//! own, every panel shows its tick labels.
//! Called by `Figure::svg` only; it knows nothing of what the curves mean.

use std::fmt::Write as _;

use super::axis::{Scale, Ticks};
use super::captions::{header, x_label, y_label};
use super::frame::{BAND, EDGE, FAINT_BAND, Frame, MEDIUM, SMALL, TICK_ROOM, label_width};
use super::legend::{Entry, Key};
use super::limits::{MARGIN, of_axis};
use super::marks::{Mark, Shape};
use super::svg::{Svg, Text, WIDTH, real};
use super::text::{squeeze_apart, text_width};
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
    let own = panels.iter().any(|panel| panel.y.is_some());
    let axis = |index: usize| panels.get(index).and_then(|panel| panel.y.as_ref()).unwrap_or(&figure.y);
    let shape = |left: f64, width: f64, between: f64, index: usize| {
        let y = top + title_room + real(index / columns) * (height + title_room + 14.0);
        let x = left + real(index % columns) * (width + between);
        let vertical = limits.y.get(index).copied().unwrap_or((0.0, 1.0));
        Frame::new([x, y, width, height], (&figure.x, limits.x), (axis(index), vertical))
    };
    // The vertical ticks depend on the height alone, so any width will do to measure their labels.
    let y_ticks = |index: usize| if limits.known { shape(0.0, 100.0, 0.0, index).y_ticks() } else { Ticks::default() };
    let y_ticks: Vec<Ticks> = (0..panels.len()).map(y_ticks).collect();
    let labels = y_ticks.iter().map(label_width).fold(10.0, f64::max) + 8.0;
    let between = if own { labels.max(BETWEEN) + 10.0 } else { BETWEEN };
    let left = EDGE + 20.0 + labels;
    let right = if beside > 0.0 { beside + LEGEND_GAP } else { 4.0 };
    let width = (WIDTH - EDGE - left - right - real(columns - 1) * between) / real(columns);
    let shape = |index: usize| shape(left, width, between, index);
    let x_ticks = if limits.known { shape(0).x_ticks() } else { Ticks::default() };

    let titles: Vec<&str> = panels.iter().map(|panel| panel.title.as_deref().unwrap_or_default()).collect();
    let room = width + between - 8.0;
    // A smaller title says more than a shortened one.
    let fits = |size: &f64| titles.iter().all(|title| text_width(title, *size) <= room);
    let size = [MEDIUM, SMALL].into_iter().find(fits).unwrap_or(SMALLEST);
    let titles = squeeze_apart(&titles, size, room);
    for (index, panel) in panels.iter().enumerate() {
        let frame = shape(index);
        frame.grid(&mut svg, &x_ticks, &y_ticks[index]);
        if own || index % columns == 0 {
            frame.y_tick_labels(&mut svg, &y_ticks[index]);
        }
        if index + columns >= panels.len() {
            frame.x_tick_labels(&mut svg, &x_ticks);
        }
        if panel.title.is_some() {
            svg.text(&Text { size, ..Text::new(frame.left, frame.top - 7.0, &titles[index]) });
        }
        contents(&mut svg, panel, &frame, limits.known);
    }

    let (first, last) = (shape(0), shape(rows * columns - 1));
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

/// Limits common to all panels, or a panel's own.
struct Limits {
    x: (f64, f64),
    /// One per panel.
    y: Vec<(f64, f64)>,
    /// Whether there is anything to show; without it the limits are arbitrary.
    known: bool,
}

impl Limits {
    fn of(figure: &Figure, panels: &[Panel]) -> Self {
        // Only points with a place on both axes count: step 0 does not show on a logarithmic x axis,
        // so its loss must not stretch y.
        let points = |panel: &Panel| -> Vec<(f64, f64)> {
            let y = panel.y.as_ref().unwrap_or(&figure.y).scale;
            let placed = |point: &(f64, f64)| figure.x.scale.forward(point.0).is_some() && y.forward(point.1).is_some();
            let of_series = |series: &Series| -> Vec<(f64, f64)> {
                let bands = series.band.iter().flat_map(|(x, low, high)| [(*x, *low), (*x, *high)]);
                series.line.iter().chain(&series.marks).copied().chain(bands).filter(placed).collect()
            };
            panel.series.iter().flat_map(of_series).collect()
        };
        let points: Vec<Vec<(f64, f64)>> = panels.iter().map(points).collect();
        let values = |index: usize| points[index].iter().map(|point| point.1).chain(panels[index].rules.iter().map(|rule| rule.value));
        let shared: Vec<usize> = (0..panels.len()).filter(|index| panels[*index].y.is_none()).collect();
        let of_shared = of_axis(&figure.y, shared.iter().flat_map(|index| values(*index)), MARGIN);
        let unit = |scale: Scale| {
            if scale == Scale::Log { (1.0, 10.0) } else { (0.0, 1.0) }
        };
        let y = |index: usize| match &panels[index].y {
            Some(axis) => of_axis(axis, values(index), MARGIN).unwrap_or(unit(axis.scale)),
            None => of_shared.unwrap_or(unit(figure.y.scale)),
        };
        let x = of_axis(&figure.x, points.iter().flatten().map(|point| point.0), 0.0);
        Self {
            x: x.unwrap_or(unit(figure.x.scale)),
            y: (0..panels.len()).map(y).collect(),
            known: points.iter().any(|points| !points.is_empty()),
        }
    }
}

fn all_series(panels: &[Panel]) -> impl Iterator<Item = &Series> {
    panels.iter().flat_map(|panel| &panel.series)
}

fn entry(series: &Series) -> Entry {
    Entry { label: series.label.clone(), color: series.color, dash: series.dash, shape: None, band: !series.band.is_empty(), width: 2.0 }
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
