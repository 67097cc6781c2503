//! The figures of a report: each is one file here with its function, listed once in [`PLOTS`].
//! Called by the report; they fill in `figure`'s plain data and know nothing of files or of how a figure is drawn.

mod accuracy;
mod confusion;
mod feature_maps;
mod final_metric;
mod heat_map;
mod learning_curves;
mod look;
mod loss_per_step;
mod paths;
mod sensitivity;
mod smoothness;
mod survival;

use crate::Analysis;

/// All figures, in the order of a report. One that has nothing to show gives `None`.
pub const PLOTS: [fn(&Analysis<'_>) -> Option<Plot>; 11] = [
    paths::plot,
    feature_maps::plot,
    sensitivity::plot,
    heat_map::plot,
    learning_curves::plot,
    accuracy::plot,
    loss_per_step::plot,
    smoothness::plot,
    survival::plot,
    final_metric::plot,
    confusion::plot,
];

/// Names of all figures; what a study's folder holds under other names is none of ours.
pub(crate) const NAMES: [&str; 11] = [
    "paths",
    "feature-maps",
    "sensitivity",
    "heat-map",
    "learning-curves",
    "accuracy",
    "loss-per-step",
    "smoothness",
    "survival",
    "final-metric",
    "confusion",
];

/// A figure with what its page says about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// Stem of its file.
    pub name: &'static str,
    /// What it shows, for readers who can't see it.
    pub alt: String,
    /// What it shows and how it was made.
    pub caption: String,
    /// The SVG document.
    pub svg: String,
}
