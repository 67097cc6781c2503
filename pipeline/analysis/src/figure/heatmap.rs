//! Tables of numbers as coloured cells, one or more side by side that share their rows, columns and colour scale.
//! Called by report code through [`HeatMap::svg`]; it knows nothing of what is compared or counted.

use super::axis::{Axis, Mapping, Ticks};
use super::captions::{header, paragraph, x_label, y_label};
use super::frame::{EDGE, MEDIUM, SMALL, TICK_ROOM};
use super::limits::of_axis;
use super::palette::{Color, SHADE_STEPS, readable_on, shade};
use super::svg::{AXIS, Anchor, GRID, INK, MUTED, PAPER, Stroke, Svg, Text, WIDTH, real};
use super::text::{squeeze_apart, text_width, wrap};

/// Cells with a number and its colour each.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HeatMap {
    /// What the figure shows.
    pub title: String,
    /// How to read it, or on what data it rests.
    pub subtitle: Option<String>,
    /// What the columns are.
    pub x: String,
    /// What the rows are.
    pub y: String,
    /// One per column, from the left.
    pub columns: Vec<String>,
    /// One per row, from the top.
    pub rows: Vec<String>,
    /// What the colours stand for. Numbers beyond fixed limits have the colour of the end.
    pub value: Axis,
    /// Tables with the same rows and columns.
    pub panels: Vec<HeatPanel>,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HeatPanel {
    /// What sets this table apart from the others.
    pub title: Option<String>,
    /// Row by row; what is missing is a cell without data.
    pub cells: Vec<Vec<Cell>>,
}

/// One cell; the default has no data.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cell {
    /// What decides its colour, if anything is known of it.
    pub value: Option<f64>,
    /// What is written on it.
    pub text: String,
    /// Diverged runs, marked with a ✕.
    pub diverged: usize,
}

impl Cell {
    fn color(&self, axis: &Axis, limits: (f64, f64)) -> Option<Color> {
        let (position, _) = Mapping::new(axis.scale, limits, (0.0, real(SHADE_STEPS))).held(self.value?)?;
        (0..=SHADE_STEPS).find(|step| real(*step) + 0.5 > position).map(shade)
    }

    /// Width of what is written on it.
    fn width(&self, size: f64) -> f64 {
        text_width(&self.text, size).max(if self.diverged > 0 { text_width(&self.count(), size) + CROSS } else { 0.0 })
    }

    /// How many runs a ✕ stands for; one needs no number.
    fn count(&self) -> String {
        if self.diverged > 1 { self.diverged.to_string() } else { String::new() }
    }
}

/// Room between tables.
const BETWEEN: f64 = 22.0;
/// Widest that row labels and highest that upright column labels may get.
const LABELS: f64 = 170.0;
const UPRIGHT: f64 = 150.0;
/// A wider cell would set numbers apart that belong together, unless its label needs it; with less than the least, a table stands
/// alone in its row.
const WIDEST: (f64, f64) = (72.0, 110.0);
const LEAST: f64 = 36.0;
/// Height of a row with one line, and with a number and a ✕.
const LOW: f64 = 27.0;
const HIGH: f64 = 38.0;
/// Room that a ✕ takes beside its number.
const CROSS: f64 = 11.0;
/// The bar that explains the colours.
const BAR: f64 = 220.0;
const THICK: f64 = 10.0;

/// Where everything goes.
struct Plan {
    left: f64,
    cell: (f64, f64),
    across: usize,
    size: f64,
}

impl HeatMap {
    /// The figure as a complete SVG document.
    #[must_use]
    pub fn svg(&self) -> String {
        let mut svg = Svg::default();
        let mut top = header(&mut svg, &self.title, self.subtitle.as_deref()) + 8.0;
        if self.columns.is_empty() || self.rows.is_empty() || self.panels.is_empty() {
            svg.text(&Text { size: MEDIUM, color: MUTED, ..Text::new(EDGE, top + 14.0, "no data") });
            return svg.finish(top + 30.0, &self.title, &self.description());
        }
        let numbers = self.cells().filter_map(|cell| cell.value);
        let limits = of_axis(&self.value, numbers, 0.0);
        let (plan, rows) = (self.plan(), squeeze_apart(&texts(&self.rows), SMALL, LABELS));
        let width = plan.cell.0 * real(self.columns.len());
        let (first, mut end) = (top, top);
        for (index, panels) in self.panels.chunks(plan.across).enumerate() {
            if index > 0 {
                top += 12.0;
            }
            if panels.iter().any(|panel| panel.title.is_some()) {
                top += 18.0;
            }
            let titles: Vec<&str> = panels.iter().map(|panel| panel.title.as_deref().unwrap_or_default()).collect();
            let titles = squeeze_apart(&titles, MEDIUM, width + BETWEEN - 8.0);
            let height = plan.cell.1 * real(self.rows.len());
            for (row, label) in rows.iter().enumerate() {
                let text = Text::new(plan.left - 7.0, top + (real(row) + 0.5) * plan.cell.1 + 4.0, label);
                svg.text(&Text { anchor: Anchor::End, ..text });
            }
            let mut below: f64 = 0.0;
            for (column, (panel, title)) in panels.iter().zip(&titles).enumerate() {
                let left = plan.left + real(column) * (width + BETWEEN);
                if !title.is_empty() {
                    svg.text(&Text { size: MEDIUM, ..Text::new(left, top - 7.0, title) });
                }
                self.draw(&mut svg, panel, &plan, (left, top), limits);
                below = below.max(self.column_labels(&mut svg, plan.cell.0, (left, top + height)));
            }
            end = top + height;
            top = end + below;
        }
        y_label(&mut svg, &self.y, first, end - first);
        let across = real(plan.across.min(self.panels.len())) * (width + BETWEEN) - BETWEEN;
        x_label(&mut svg, &self.x, plan.left, across, top + 14.0);
        let mut bottom = top + 26.0;
        if let Some(limits) = limits {
            bottom = self.bar(&mut svg, limits, plan.left, bottom);
        }
        let bottom = paragraph(&mut svg, &self.note(), bottom + 4.0);
        svg.finish(bottom + 8.0, &self.title, &self.description())
    }

    fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.panels.iter().flat_map(|panel| panel.cells.iter().flatten())
    }

    fn plan(&self) -> Plan {
        let labels = self.rows.iter().map(|label| text_width(label, SMALL)).fold(0.0, f64::max).min(LABELS);
        let left = EDGE + 20.0 + labels + 7.0;
        let room = WIDTH - EDGE - left;
        let widest = |size: f64| self.cells().map(|cell| cell.width(size)).fold(0.0, f64::max) + 8.0;
        let needed = widest(SMALL).max(LEAST);
        let cell = |across: usize| (room - real(across - 1) * BETWEEN) / real(across * self.columns.len());
        let across = (1..=self.panels.len()).rev().find(|across| cell(*across) >= needed).unwrap_or(1);
        // Rows of tables are filled evenly.
        let across = self.panels.len().div_ceil(self.panels.len().div_ceil(across));
        let word = |label: &String| label.split_whitespace().map(|word| text_width(word, SMALL)).fold(0.0, f64::max);
        let words = self.columns.iter().map(word).fold(0.0, f64::max) + 6.0;
        let width = cell(across).min(words.clamp(WIDEST.0, WIDEST.1));
        let both = self.cells().any(|cell| cell.diverged > 0 && cell.value.is_some());
        let size = [SMALL, 10.0, 9.0].into_iter().find(|size| widest(*size) <= width).unwrap_or(8.0);
        Plan { left, cell: (width, if both { HIGH } else { LOW }), across, size }
    }

    fn draw(&self, svg: &mut Svg, panel: &HeatPanel, plan: &Plan, (left, top): (f64, f64), limits: Option<(f64, f64)>) {
        let (width, height) = plan.cell;
        let nothing = Cell::default();
        for row in 0..self.rows.len() {
            for column in 0..self.columns.len() {
                let cell = panel.cells.get(row).and_then(|cells| cells.get(column)).unwrap_or(&nothing);
                let area = [left + real(column) * width, top + real(row) * height, width, height];
                let color = limits.and_then(|limits| cell.color(&self.value, limits));
                cell.draw(svg, area, color, plan.size);
            }
        }
        // Lines on top, so that neighbours of one colour stay cells.
        let (right, bottom) = (left + real(self.columns.len()) * width, top + real(self.rows.len()) * height);
        let between = Stroke::solid(PAPER, 1.0);
        let across = (1..self.rows.len()).map(|row| top + real(row) * height).map(|y| [(left, y), (right, y)]);
        let down = (1..self.columns.len()).map(|column| left + real(column) * width).map(|x| [(x, top), (x, bottom)]);
        svg.segments(across.chain(down), &between);
        svg.outlined([left, top, right - left, bottom - top], &Stroke::solid(AXIS, 1.0));
    }

    /// Below a table; returns the height they take.
    fn column_labels(&self, svg: &mut Svg, cell: f64, (left, top): (f64, f64)) -> f64 {
        // Broken at spaces if that is enough; else they stand upright.
        let broken: Vec<Vec<String>> = self.columns.iter().map(|label| wrap(label, SMALL, cell - 4.0)).collect();
        let flat = broken.iter().zip(&self.columns).all(|(lines, label)| lines.len() <= 2 && lines.join(" ") == *label);
        let center = |column: usize| left + (real(column) + 0.5) * cell;
        if flat {
            for (column, lines) in broken.iter().enumerate() {
                for (line, text) in lines.iter().enumerate() {
                    svg.text(&Text { anchor: Anchor::Middle, ..Text::new(center(column), top + 15.0 + 13.0 * real(line), text) });
                }
            }
            let lines = broken.iter().map(Vec::len).max().unwrap_or(1).max(1);
            return TICK_ROOM + 2.0 + 13.0 * real(lines - 1);
        }
        let labels = squeeze_apart(&texts(&self.columns), SMALL, UPRIGHT);
        for (column, label) in labels.iter().enumerate() {
            svg.text(&Text { anchor: Anchor::End, upward: true, ..Text::new(center(column) + 4.0, top + 6.0, label) });
        }
        labels.iter().map(|label| text_width(label, SMALL)).fold(0.0, f64::max) + 10.0
    }

    /// The colours with the numbers they stand for; returns the y below.
    fn bar(&self, svg: &mut Svg, limits: (f64, f64), left: f64, top: f64) -> f64 {
        const PIECES: usize = 64;
        let from = left + text_width(&self.value.label, SMALL) + 12.0;
        svg.text(&Text::new(left, top + 9.5, &self.value.label));
        let piece = BAR / real(PIECES);
        for index in 0..PIECES {
            // The slight overlap hides the seams that renderers leave between touching areas.
            let wide = if index + 1 == PIECES { piece } else { piece + 0.3 };
            svg.rect([from + real(index) * piece, top, wide, THICK], shade(index * SHADE_STEPS / (PIECES - 1)), 1.0);
        }
        svg.outlined([from, top, BAR, THICK], &Stroke::solid(AXIS, 0.6));
        let along = Mapping::of(&self.value, limits, (from, from + BAR));
        let Ticks { major, .. } = (2..=5).rev().map(|n| along.ticks(n)).find(|ticks| apart(&along, ticks)).unwrap_or_default();
        for (value, label) in &major {
            if let Some(x) = along.at(*value) {
                svg.line((x, top + THICK), (x, top + THICK + 3.0), &Stroke::solid(AXIS, 1.0));
                svg.text(&Text { anchor: Anchor::Middle, ..Text::new(x, top + THICK + 14.0, label) });
            }
        }
        top + THICK + 20.0
    }

    fn note(&self) -> String {
        let whole =
            |panel: &HeatPanel| panel.cells.len() >= self.rows.len() && panel.cells.iter().all(|row| row.len() >= self.columns.len());
        let mut notes: Vec<&str> = vec![];
        if self.cells().any(|cell| cell.diverged > 0) {
            notes.push("×: diverged runs, with their number if several");
        }
        if !self.panels.iter().all(whole) || self.cells().any(|cell| cell.value.is_none() && cell.diverged == 0) {
            notes.push("hatched: no data");
        }
        match notes.join("; ") {
            note if note.is_empty() => note,
            note => format!("{note}."),
        }
    }

    fn description(&self) -> String {
        let size = format!("{} rows and {} columns", self.rows.len(), self.columns.len());
        let titles: Vec<&str> = self.panels.iter().filter_map(|panel| panel.title.as_deref()).collect();
        let panels = if titles.is_empty() { String::new() } else { format!(" Panels: {}.", titles.join(", ")) };
        format!("Heat map of {} for {} (across) and {} (down): {size}.{panels}", self.value.label, self.x, self.y)
    }
}

impl Cell {
    fn draw(&self, svg: &mut Svg, area: [f64; 4], color: Option<Color>, size: f64) {
        let [left, top, width, height] = area;
        let (x, y) = (left + width / 2.0, top + height / 2.0);
        let ground = color.unwrap_or(PAPER);
        let ink = if color.is_some() { readable_on(ground) } else { INK };
        svg.rect(area, ground, 1.0);
        // A number without a place on the scale has no colour, and still is one.
        let written = self.value.is_some();
        if !written && self.diverged == 0 {
            svg.hatched(area, &Stroke::solid(GRID, 1.2));
            svg.text(&Text { anchor: Anchor::Middle, size, color: MUTED, halo: true, ..Text::new(x, y + 4.0, "–") });
            return;
        }
        let line = |svg: &mut Svg, text: &str, x: f64, y: f64| {
            svg.text(&Text { anchor: Anchor::Middle, size, color: ink, ..Text::new(x, y + 0.36 * size, text) });
        };
        let lower = if written && self.diverged > 0 { 8.5 } else { 0.0 };
        if written {
            line(svg, &self.text, x, y - lower);
        }
        if self.diverged > 0 {
            let count = self.count();
            let beside = if count.is_empty() { 0.0 } else { CROSS / 2.0 };
            let half = text_width(&count, size) / 2.0;
            if !count.is_empty() {
                line(svg, &count, x - beside, y + lower);
            }
            svg.cross((x + if count.is_empty() { 0.0 } else { half + 1.0 }, y + lower), 3.2, ink);
        }
    }
}

/// Whether the labels along the bar stay clear of each other.
fn apart(along: &Mapping, ticks: &Ticks) -> bool {
    let mut free = f64::NEG_INFINITY;
    ticks.major.iter().filter_map(|(value, label)| Some((along.at(*value)?, text_width(label, SMALL) / 2.0))).all(|(x, half)| {
        let clear = x - half >= free;
        free = x + half + 6.0;
        clear
    })
}

fn texts(labels: &[String]) -> Vec<&str> {
    labels.iter().map(String::as_str).collect()
}

#[cfg(test)]
#[path = "heatmap_tests.rs"]
mod tests;
