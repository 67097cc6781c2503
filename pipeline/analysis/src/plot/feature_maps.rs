//! Figure `feature-maps`: the pictures that a run made of a layer's output.
//! Listed in `PLOTS`; only for studies whose runs kept pictures.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use spec::record::Picture;

use super::Plot;
use crate::Analysis;
use crate::figure::{Band, Mosaic, Tile};
use crate::number::count;

/// Arms that are shown; of a study with more, only the first is.
const MOST_ARMS: usize = 4;
/// Pictures shown of each layer; more would make a page of noise.
const MOST_MAPS: usize = 64;

pub(super) fn plot(a: &Analysis<'_>) -> Option<Plot> {
    let mut shown = first_runs(a);
    let arms = shown.len();
    if arms > MOST_ARMS {
        shown.truncate(1);
    }
    let (mut bands, mut left_out) = (vec![], 0);
    for run in &shown {
        for (layer, mut tiles) in layers(a.data.pictures.iter().filter(|(of, _)| of == run).map(|(_, picture)| picture)) {
            left_out += tiles.len().saturating_sub(MOST_MAPS);
            tiles.truncate(MOST_MAPS);
            let title = if shown.len() > 1 { format!("{}: {layer}", a.data.runs[*run].arm) } else { layer };
            bands.push(Band { title: Some(title), tiles });
        }
    }
    let first = a.data.runs.get(*shown.first()?)?;
    let n: usize = bands.iter().map(|band| band.tiles.len()).sum();
    if n == 0 {
        return None;
    }
    let whose = match shown.len() {
        1 => format!("arm {}, seed {} (run {})", first.arm, first.seed, first.id),
        many => {
            let runs: Vec<String> =
                shown.iter().map(|run| &a.data.runs[*run]).map(|run| format!("seed {} (run {})", run.seed, run.id)).collect();
            format!("{}, in the order of the grid: {}", count(many, "arm"), runs.join(", "))
        }
    };
    let mut rest = String::new();
    if arms > shown.len() {
        rest = format!(" The other {} are not shown.", count(arms - shown.len(), "arm"));
    }
    if left_out > 0 {
        let _ = write!(rest, " {left_out} more pictures are not shown.");
    }
    let figure = Mosaic { title: "Feature maps".into(), subtitle: Some(format!("From {whose}.")), bands };
    Some(Plot {
        name: "feature-maps",
        alt: format!("{n} small pictures: an image, and what a layer makes of it, channel by channel"),
        caption: format!(
            "A layer's output for the first test image, a picture per channel, with the image itself, from {}. Each picture is scaled by \
             itself from its smallest number (black) to its largest (white), so that brightness can't be compared between pictures.{rest}",
            crate::table::escape(&whose)
        ),
        svg: figure.svg(),
    })
}

/// Of every arm that has pictures, the run with the lowest seed.
fn first_runs(a: &Analysis<'_>) -> Vec<usize> {
    let mut first: BTreeMap<usize, usize> = BTreeMap::new();
    for (run, _) in &a.data.pictures {
        let Some(record) = a.data.runs.get(*run) else { continue };
        let kept = first.entry(record.position).or_insert(*run);
        if record.seed < a.data.runs[*kept].seed {
            *kept = *run;
        }
    }
    first.into_values().collect()
}

/// Pictures named `layer 2 channel 003` under their layer, in the order they come in; a name without a channel is a layer of its own.
fn layers<'p>(pictures: impl Iterator<Item = &'p Picture>) -> Vec<(String, Vec<Tile>)> {
    let mut layers: Vec<(String, Vec<Tile>)> = vec![];
    for picture in pictures {
        let (layer, channel) = match picture.name.rsplit_once(" channel ") {
            Some((layer, channel)) => (layer, format!("channel {}", channel.trim_start_matches('0'))),
            None => (picture.name.as_str(), picture.name.clone()),
        };
        let Some(tile) = Tile::picture(channel, [picture.height, picture.width, picture.channels], &picture.pixels) else { continue };
        match layers.iter_mut().find(|(known, _)| known == layer) {
            Some((_, tiles)) => tiles.push(tile),
            None => layers.push((layer.to_owned(), vec![tile])),
        }
    }
    layers
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::StudyData;
    use crate::figure::mosaic::tests::pictures;
    use crate::fixture::study;

    fn picture(name: &str, pixel: u8) -> Picture {
        Picture { name: name.into(), height: 2, width: 2, channels: 1, pixels: vec![0, 255, pixel, 9] }
    }

    fn drawn(data: &StudyData) -> Option<Plot> {
        plot(&Analysis::of(data).unwrap())
    }

    #[test]
    fn the_lowest_seed_of_each_arm_is_shown() {
        let mut data = study("maps", &["lr"]);
        for (position, seed) in [(0, 3), (0, 1), (1, 3), (1, 1)] {
            let run = data.add(&format!("lr=0.{position}"), position, &[json!(position)], seed);
            for name in ["input channel 001", "layer 2 channel 001", "layer 2 channel 010"] {
                data.pictures.push((run as usize, picture(name, u8::try_from(run).unwrap())));
            }
        }
        let plot = drawn(&data).unwrap();
        let found: Vec<u8> = pictures(&plot.svg).iter().map(|(.., pixels)| pixels[2]).collect();
        assert_eq!(found, [1, 1, 1, 3, 3, 3]);
        for word in ["lr=0.0: input", "lr=0.1: layer 2", "channel 10<"] {
            assert!(plot.svg.contains(word), "{word}");
        }
        assert!(plot.caption.contains("seed 1 (run 0000000100000001), seed 1 (run 0000000200000001)"), "{}", plot.caption);
    }

    #[test]
    fn of_many_arms_the_first_is_shown() {
        let mut data = study("maps", &["lr"]);
        for position in 0..6 {
            let run = data.add(&format!("lr=0.{position}"), position, &[json!(position)], 0);
            if position > 0 {
                data.pictures.extend((0..70).map(|i| (run as usize, picture(&format!("layer 1 channel {i:03}"), 5))));
            }
        }
        let plot = drawn(&data).unwrap();
        assert_eq!(pictures(&plot.svg).len(), 64);
        assert!(plot.caption.contains("from arm lr=0.1, seed 0 (run "), "{}", plot.caption);
        assert!(plot.caption.ends_with("The other 4 arms are not shown. 6 more pictures are not shown."), "{}", plot.caption);
    }

    #[test]
    fn without_pictures_there_is_no_figure() {
        let mut data = study("none", &[]);
        let run = data.add("base", 0, &[], 0) as usize;
        assert_eq!(drawn(&data), None);
        data.pictures.push((run, Picture { channels: 2, ..picture("layer 1 channel 001", 0) }));
        assert_eq!(drawn(&data), None);
        data.pictures.push((run, picture("noise", 0)));
        assert!(drawn(&data).is_some_and(|plot| pictures(&plot.svg).len() == 1));
    }
}
