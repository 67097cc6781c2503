//! Legends: line swatches with labels, or a stepped colour scale for ordered values.
//! Called by the files that lay figures out; it knows nothing of axes or panels.

use super::frame::{EDGE, SMALL};
use super::marks::Shape;
use super::palette::{Color, Dash};
use super::svg::{Anchor, Stroke, Svg, Text, WIDTH, real};
use super::text::{fit, squeeze, text_width, wrap};

/// Where a legend goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Place {
    /// In a column beside the panels.
    Right,
    /// In rows under the panels, which then have the full width.
    #[default]
    Below,
}

/// How a figure explains its colours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Legend {
    /// Not at all.
    #[default]
    None,
    /// A swatch and a label per distinct series label.
    Categorical {
        /// Where it goes.
        place: Place,
    },
    /// A stepped colour scale that names every value in order: ascending if all labels are numbers,
    /// else as the series come.
    Ramp {
        /// The quantity that the colours stand for.
        title: String,
        /// Where it goes.
        place: Place,
    },
}

/// What one line of a legend shows.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub label: String,
    pub color: Color,
    pub dash: Option<Dash>,
    pub shape: Option<Shape>,
    pub band: bool,
    /// Of its line.
    pub width: f64,
}

const ROW: f64 = 16.0;
const SWATCH: f64 = 22.0;
const GAP: f64 = 6.0;
/// Widest column that a legend at the right may take.
const COLUMN: f64 = 190.0;

/// A legend with its entries, ready to be measured and drawn.
#[derive(Debug)]
pub(super) struct Key<'a> {
    legend: &'a Legend,
    entries: Vec<Entry>,
}

impl<'a> Key<'a> {
    /// Keeps the first of the entries with equal labels, and none without a label.
    pub(super) fn new(legend: &'a Legend, all: impl IntoIterator<Item = Entry>) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        for entry in all {
            let known = entries.iter_mut().find(|known| known.label == entry.label);
            match known {
                Some(known) => known.band |= entry.band,
                None if !entry.label.is_empty() && *legend != Legend::None => entries.push(entry),
                None => {}
            }
        }
        if matches!(legend, Legend::Ramp { .. }) {
            let value = |entry: &Entry| entry.label.trim().parse::<f64>().ok();
            if entries.iter().all(|entry| value(entry).is_some()) {
                entries.sort_by(|a, b| value(a).unwrap_or(0.0).total_cmp(&value(b).unwrap_or(0.0)));
            }
        }
        Self { legend, entries }
    }

    fn place(&self) -> Option<Place> {
        match self.legend {
            Legend::Categorical { place } | Legend::Ramp { place, .. } if !self.entries.is_empty() => Some(*place),
            _ => None,
        }
    }

    fn widest(&self) -> f64 {
        self.entries.iter().map(|entry| text_width(&entry.label, SMALL)).fold(0.0, f64::max)
    }

    fn title_lines(&self) -> Vec<String> {
        match self.legend {
            Legend::Ramp { title, .. } => wrap(title, SMALL, COLUMN / 2.0),
            _ => Vec::new(),
        }
    }

    /// Size of a legend at the right; zero if there is none there.
    pub(super) fn right_size(&self) -> (f64, f64) {
        if self.place() != Some(Place::Right) {
            return (0.0, 0.0);
        }
        let title = self.title_lines();
        let headings = title.iter().map(|line| text_width(line, SMALL)).fold(0.0, f64::max);
        let width = (SWATCH + GAP + self.widest()).min(COLUMN).max(headings);
        (width, ROW * real(title.len() + self.entries.len()))
    }

    /// Draws a legend at the right from its top left corner.
    pub(super) fn draw_right(&self, svg: &mut Svg, x: f64, top: f64) {
        if self.place() != Some(Place::Right) {
            return;
        }
        let mut y = top;
        for line in self.title_lines() {
            svg.text(&Text::new(x, y + 11.0, &line));
            y += ROW;
        }
        let ramp = matches!(self.legend, Legend::Ramp { .. });
        // A vertical colour scale ascends from the bottom, like an axis.
        let order: Vec<&Entry> = if ramp { self.entries.iter().rev().collect() } else { self.entries.iter().collect() };
        for entry in order {
            if ramp {
                svg.rect([x, y, SWATCH - 6.0, ROW + 0.3], entry.color, 1.0);
            } else {
                swatch(svg, entry, x, y + ROW / 2.0);
            }
            let offset = if ramp { SWATCH - 6.0 } else { SWATCH } + GAP;
            let label = squeeze(&entry.label, SMALL, COLUMN - offset);
            svg.text(&Text::new(x + offset, y + 12.0, &label));
            y += ROW;
        }
    }

    /// Draws a legend below, from `left` to the figure's edge; returns the y below it.
    pub(super) fn draw_below(&self, svg: &mut Svg, left: f64, top: f64) -> f64 {
        if self.place() != Some(Place::Below) {
            return top;
        }
        let room = WIDTH - EDGE - left;
        match self.legend {
            Legend::Ramp { title, .. } => self.ramp_below(svg, title, left, top, room),
            _ => self.swatches_below(svg, left, top, room),
        }
    }

    fn swatches_below(&self, svg: &mut Svg, left: f64, top: f64, room: f64) -> f64 {
        let cell = (SWATCH + GAP + self.widest() + 18.0).min(room);
        let (rows, columns) = rows_and_columns(self.entries.len(), cell, room);
        for (index, entry) in self.entries.iter().enumerate() {
            let (x, y) = (left + real(index % columns) * cell, top + real(index / columns) * ROW);
            swatch(svg, entry, x, y + ROW / 2.0);
            let label = squeeze(&entry.label, SMALL, cell - SWATCH - GAP);
            svg.text(&Text::new(x + SWATCH + GAP, y + 12.0, &label));
        }
        top + real(rows) * ROW
    }

    fn ramp_below(&self, svg: &mut Svg, title: &str, left: f64, top: f64, room: f64) -> f64 {
        const BLOCK: f64 = 10.0;
        const HIGH: f64 = BLOCK + 20.0;
        let cell = (self.widest() + 8.0).max(34.0).min(room);
        let beside = text_width(title, SMALL) + 12.0;
        let one_line = beside + cell * real(self.entries.len()) <= room;
        let (x0, y0) = if one_line { (left + beside, top) } else { (left, top + ROW) };
        let (rows, columns) = rows_and_columns(self.entries.len(), cell, room);
        svg.text(&Text::new(left, top + 10.0, &fit(title, SMALL, room)));
        for (index, entry) in self.entries.iter().enumerate() {
            let (x, y) = (x0 + real(index % columns) * cell, y0 + real(index / columns) * HIGH);
            // The slight overlap hides the seams that renderers leave between touching areas.
            let last = index % columns == columns - 1 || index + 1 == self.entries.len();
            svg.rect([x, y, if last { cell } else { cell + 0.3 }, BLOCK], entry.color, 1.0);
            let label = squeeze(&entry.label, SMALL, cell);
            svg.text(&Text { anchor: Anchor::Middle, ..Text::new(x + cell / 2.0, y + BLOCK + 13.0, &label) });
        }
        y0 + real(rows) * HIGH
    }
}

/// Rows and columns for `n` cells, as few rows as fit and then evenly filled.
fn rows_and_columns(n: usize, cell: f64, room: f64) -> (usize, usize) {
    let most = (1..=n.max(1)).rev().find(|columns| real(*columns) * cell <= room).unwrap_or(1);
    let rows = n.max(1).div_ceil(most);
    (rows, n.max(1).div_ceil(rows))
}

fn swatch(svg: &mut Svg, entry: &Entry, x: f64, middle: f64) {
    if entry.band {
        svg.rect([x, middle - 5.0, SWATCH, 10.0], entry.color, 0.18);
    }
    svg.line((x, middle), (x + SWATCH, middle), &Stroke { color: entry.color, width: entry.width, dash: entry.dash });
    if let Some(shape) = entry.shape {
        shape.draw(svg, (x + SWATCH / 2.0, middle), 3.2, entry.color, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(labels: &[&str]) -> Vec<Entry> {
        let entry = |label: &&str| Entry {
            label: (*label).to_owned(),
            color: Color::rgb(1, 2, 3),
            dash: None,
            shape: None,
            band: false,
            width: 2.0,
        };
        labels.iter().map(entry).collect()
    }

    #[test]
    fn equal_labels_share_an_entry_and_numbers_are_sorted() {
        let ramp = Legend::Ramp { title: "rate".into(), place: Place::Below };
        let key = Key::new(&ramp, entries(&["0.1", "10", "0.1", "", "2e-3"]));
        let labels: Vec<_> = key.entries.iter().map(|entry| entry.label.as_str()).collect();
        assert_eq!(labels, ["2e-3", "0.1", "10"]);
    }

    #[test]
    fn cells_fill_rows_evenly_and_fit() {
        assert_eq!(rows_and_columns(24, 120.0, 720.0), (4, 6));
        assert_eq!(rows_and_columns(7, 120.0, 720.0), (2, 4));
        assert_eq!(rows_and_columns(3, 900.0, 720.0), (3, 1));
        assert_eq!(rows_and_columns(0, 10.0, 720.0), (1, 1));
    }

    #[test]
    fn no_legend_takes_no_room() {
        let key = Key::new(&Legend::None, entries(&["a"]));
        let mut svg = Svg::default();
        assert!(key.right_size().0 < 0.1 && (key.draw_below(&mut svg, 0.0, 5.0) - 5.0).abs() < 0.1);
    }
}
