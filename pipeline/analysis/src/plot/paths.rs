//! Figure `paths`: the ways of optimizers on their surfaces.
//! Listed in `PLOTS`; only for studies that descend on surfaces.

use std::collections::BTreeMap;

use serde_json::Value;
use spec::surface::Surface;

use super::Plot;
use crate::Analysis;
use crate::escape::optimizer;
use crate::figure::{Contours, Landscape, categorical};

/// More panels than this would be too small to read.
const MOST_PANELS: usize = 12;

/// A surface with a start, under one noise.
struct Panel {
    place: String,
    surface: Surface,
    noise: f64,
    /// Each with its optimizer's place in the legend.
    ways: Vec<(usize, Vec<[f64; 2]>)>,
}

pub(super) fn plot(a: &Analysis<'_>) -> Option<Plot> {
    let positions = &a.data.positions;
    let mut paths: BTreeMap<usize, Vec<[f64; 2]>> = BTreeMap::new();
    for i in 0..positions.run.len() {
        paths.entry(positions.run[i] as usize).or_default().push([positions.x[i], positions.y[i]]);
    }
    // One seed stands for all: without noise they are the same.
    let seed = *a.seed_values().first()?;
    let mut panels: Vec<Panel> = vec![];
    let (mut optimizers, mut places): (Vec<String>, Vec<String>) = (vec![], vec![]);
    for (index, run) in a.data.runs.iter().enumerate().filter(|(_, run)| run.seed == seed) {
        let Some(path) = paths.remove(&index) else { continue };
        let config: Value = serde_json::from_str(&run.config).ok()?;
        let number = |key: &str| config[key].as_f64().unwrap_or(0.0);
        let name = config["surface"].as_str()?;
        let surface = Surface::named(name, config["condition"].as_f64().unwrap_or(1.0))?;
        let (place, noise) = (format!("{name} from ({}, {})", number("start_x"), number("start_y")), number("gradient_noise"));
        if !places.contains(&place) {
            places.push(place.clone());
        }
        let way = (index_of(&mut optimizers, optimizer(&config)), path);
        match panels.iter_mut().find(|panel| panel.place == place && panel.noise.total_cmp(&noise).is_eq()) {
            Some(panel) => panel.ways.push(way),
            None => panels.push(Panel { place, surface, noise, ways: vec![way] }),
        }
    }
    if panels.is_empty() {
        return None;
    }
    // Start by start as they come, and for each from no noise to the most.
    let function = |panel: &Panel| places.iter().position(|place| *place == panel.place).unwrap_or(0);
    panels.sort_by(|one, other| function(one).cmp(&function(other)).then(one.noise.total_cmp(&other.noise)));
    let noises = places.iter().map(|place| panels.iter().filter(|panel| panel.place == *place).count()).max().unwrap_or(1);
    let left_out = panels.len().saturating_sub(MOST_PANELS);
    panels.truncate(MOST_PANELS);
    let heights: Vec<_> = panels.iter().map(|panel| panel.surface).map(|surface| move |at| surface.height(at)).collect();
    let columns = columns(panels.len(), noises);
    let title = |i: usize| match &panels[i] {
        Panel { place, noise: 0.0, .. } => place.clone(),
        // Beside its neighbour.
        Panel { place, noise, .. } if !i.is_multiple_of(columns) && panels[i - 1].place == *place => format!("the same with noise {noise}"),
        Panel { place, noise, .. } => format!("{place}, noise {noise}"),
    };
    let drawn = panels.iter().zip(&heights).enumerate().map(|(i, (panel, height))| Landscape {
        title: title(i),
        function: function(panel),
        height,
        notes: panel.surface.minima(),
        paths: panel.ways.clone(),
    });
    let figure = Contours {
        title: "Paths on the surfaces".into(),
        subtitle: format!("Square: start. Dot: end. Cross: minimum. Seed {seed}."),
        columns,
        panels: drawn.collect(),
        legend: optimizers.into_iter().enumerate().map(|(i, label)| (label, categorical(i).0)).collect(),
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

/// The panels of one start, which differ in their noise, stand side by side.
fn columns(panels: usize, noises: usize) -> usize {
    match noises {
        1 => 3,
        2 if panels > 6 => 4,
        several => several.min(4),
    }
}

/// The place of a name in a list, at its end if it is new.
fn index_of(names: &mut Vec<String>, name: String) -> usize {
    names.iter().position(|known| *known == name).unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    })
}
