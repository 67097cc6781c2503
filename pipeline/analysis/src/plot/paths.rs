//! Figure `paths`: the ways of optimizers on their surfaces.
//! Listed in `PLOTS`; only for studies that descend on surfaces.

use std::collections::BTreeMap;

use serde_json::Value;
use spec::surface::Surface;

use super::Plot;
use crate::Analysis;
use crate::figure::{Color, Contours, Landscape, categorical};

/// More panels than this would be too small to read.
const MOST_PANELS: usize = 12;

/// Paths with their colours.
type Ways = Vec<(Color, Vec<[f64; 2]>)>;

pub(super) fn plot(a: &Analysis<'_>) -> Option<Plot> {
    let positions = &a.data.positions;
    let mut paths: BTreeMap<usize, Vec<[f64; 2]>> = BTreeMap::new();
    for i in 0..positions.run.len() {
        paths.entry(positions.run[i] as usize).or_default().push([positions.x[i], positions.y[i]]);
    }
    // One seed stands for all: without noise they are the same.
    let seed = *a.seed_values().first()?;
    let mut panels: Vec<(String, Surface, Ways)> = vec![];
    let mut legend: Vec<(String, Color)> = vec![];
    for (index, run) in a.data.runs.iter().enumerate().filter(|(_, run)| run.seed == seed) {
        let Some(path) = paths.remove(&index) else { continue };
        let config: Value = serde_json::from_str(&run.config).ok()?;
        let number = |key: &str| config[key].as_f64();
        let surface = Surface::named(config["surface"].as_str()?, number("condition").unwrap_or(1.0))?;
        let noise = number("gradient_noise").map_or(String::new(), |n| format!(", noise {n}"));
        let (x, y) = (number("start_x").unwrap_or(0.0), number("start_y").unwrap_or(0.0));
        let title = format!("{} from ({x}, {y}){noise}", config["surface"].as_str()?);
        let label = optimizer(&config);
        let known = legend.iter().find(|(known, _)| *known == label).map(|(_, color)| *color);
        let color = known.unwrap_or_else(|| categorical(legend.len()).0);
        if known.is_none() {
            legend.push((label, color));
        }
        match panels.iter_mut().find(|(known, ..)| *known == title) {
            Some((.., ways)) => ways.push((color, path)),
            None => panels.push((title, surface, vec![(color, path)])),
        }
    }
    if panels.is_empty() {
        return None;
    }
    let left_out = panels.len().saturating_sub(MOST_PANELS);
    panels.truncate(MOST_PANELS);
    let heights: Vec<_> = panels
        .iter()
        .map(|(_, surface, _)| {
            let surface = *surface;
            move |at| surface.height(at)
        })
        .collect();
    let drawn = panels.iter().zip(&heights).map(|((title, surface, ways), height)| Landscape {
        title: title.clone(),
        height,
        notes: surface.minima(),
        paths: ways.clone(),
    });
    let figure = Contours {
        title: "Paths on the surfaces".into(),
        subtitle: format!("Square: start. Dot: end. Cross: minimum. Seed {seed}."),
        panels: drawn.collect(),
        legend,
    };
    let rest = if left_out > 0 { format!(" {left_out} more are not shown.") } else { String::new() };
    Some(Plot {
        name: "paths",
        alt: format!("Contour lines of {} surfaces with the path of every optimizer", figure.panels.len()),
        caption: format!(
            "Every step's position on contour lines of the surface, from the square to the dot; crosses are minima. Lines are at evenly \
             spaced shares of the heights in the panel. Of arms that differ in their rate alone, all paths have one colour.{rest}"
        ),
        svg: figure.svg(),
    })
}

/// `sgd`, `momentum`, `nesterov`, `adam`, …
fn optimizer(config: &Value) -> String {
    let name = config["optimizer"].as_str().unwrap_or("optimizer");
    match config["momentum"].as_f64() {
        Some(_) if config["nesterov"] == true => "nesterov".into(),
        Some(momentum) if momentum > 0.0 => "momentum".into(),
        _ => name.into(),
    }
}
