//! Publication-quality SVG figures: curves in small multiples, dots per arm, sensitivity to a setting,
//! heat maps, paths on contour lines, small pictures side by side.
//! Called by the report code, which fills in plain data and writes the returned text to a file.
//! It knows nothing of experiments, the run database, or where a figure goes.
//!
//! Equal input gives equal bytes. Values that are not finite, or not positive on a logarithmic axis,
//! are never drawn: they break lines and bands, and a non-finite final metric counts as a diverged run.

mod axis;
mod captions;
mod contours;
mod frame;
mod heatmap;
mod legend;
mod limits;
mod marks;
pub(crate) mod mosaic;
mod palette;
mod panels;
mod points;
mod sensitivity;
mod svg;
#[cfg(test)]
mod tests;
mod text;
mod thin;

pub use axis::{Axis, Scale};
pub use contours::{Contours, Landscape};
pub use heatmap::{Cell, HeatMap, HeatPanel};
pub use legend::{Legend, Place};
pub use limits::robust_limits;
pub use mosaic::{Band, Content, Mosaic, Picture, Tile};
pub use palette::{Color, Dash, categorical, sequential};
pub use points::{Group, Strip};
pub use sensitivity::{Sensitivity, SensitivityPoint, SensitivitySeries};

/// Curves in one or more panels that share their axes, unless one has its own, and their legend.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Figure {
    /// What the figure shows.
    pub title: String,
    /// How to read it, or on what data it rests.
    pub subtitle: Option<String>,
    /// The horizontal axis of every panel.
    pub x: Axis,
    /// The vertical axis of every panel that has none of its own.
    pub y: Axis,
    /// Up to four side by side; more wrap into further rows.
    pub panels: Vec<Panel>,
    /// How lines are told apart; its entries are the distinct labels of the series.
    pub legend: Legend,
}

impl Figure {
    /// The figure as a complete SVG document.
    #[must_use]
    pub fn svg(&self) -> String {
        panels::draw(self)
    }
}

/// One of a figure's small multiples.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Panel {
    /// What sets this panel apart from the others.
    pub title: Option<String>,
    /// Curves, drawn in this order.
    pub series: Vec<Series>,
    /// Target lines.
    pub rules: Vec<Rule>,
    /// A vertical axis of its own, where the figure's would hide what this panel shows.
    pub y: Option<Axis>,
}

/// A curve with an optional band and marks. Series with the same label share a legend entry, so they
/// should share their colour and dash too.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Legend entry; an empty label has none.
    pub label: String,
    /// Colour of line, band and marks.
    pub color: Color,
    /// Pattern of the line; `None` is solid.
    pub dash: Option<Dash>,
    /// `(x, y)` in drawing order. Long lines are thinned so that their extremes survive.
    pub line: Vec<(f64, f64)>,
    /// `(x, low, high)` in ascending x, drawn as a translucent area.
    pub band: Vec<(f64, f64, f64)>,
    /// Single points of note; those outside fixed limits become triangles at the edge.
    pub marks: Vec<(f64, f64)>,
}

impl Series {
    /// A solid line without band or marks.
    #[must_use]
    pub fn line(label: impl Into<String>, color: Color, line: Vec<(f64, f64)>) -> Self {
        Self { label: label.into(), color, dash: None, line, band: Vec::new(), marks: Vec::new() }
    }
}

/// A dashed horizontal line at a value of the vertical axis, such as a target to reach.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Where it lies.
    pub value: f64,
    /// Written along it.
    pub label: String,
}
