//! `pipeline data show`: examples of a dataset as a picture, with the names of their classes.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use analysis::figure::{Band, Mosaic, Tile};
use anyhow::{Context, Result};
use engine::Catalog;
use engine::data::{Dataset, augmented, defaults};
use spec::grid::Catalog as _;
use spec::vocabulary::{Absent, Key, Kind};
use spec::{Choice, Config, Value, Vocabulary};

use super::raster;
use crate::args::{DataShow, Part};
use crate::error::Expected;
use crate::output::shape;

/// Rows are not longer than this, unless classes fill them.
const COLUMNS: u32 = 10;
/// More classes than this don't get a column each.
const MOST_COLUMNS: usize = 14;

/// What the names of the keys begin with that change how training examples look.
const AUGMENT: &str = "augment_";

/// How a picture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Png,
    Svg,
}

pub fn show(args: &DataShow) -> Result<ExitCode> {
    crate::grids::check_data_dir(args.data_dir.as_ref())?;
    let catalog = Catalog::new(args.data_dir.clone());
    let choice = super::named(catalog.vocabulary(), &args.name)?;
    let (out, format) = place(args)?;
    let config = configuration(choice, catalog.vocabulary(), &args.set)?;
    let dataset = catalog.dataset(&config)?;
    let (part, split) = match args.split {
        Part::Train => (&dataset.train, "training"),
        Part::Test => (&dataset.test, "test"),
    };
    let chosen = chosen(&part.labels, args.count as usize, args.seed);
    if chosen.is_empty() {
        return Err(Expected::Usage(format!("{} has no {split} examples", dataset.name)).into());
    }
    if let (Part::Test, Some((key, _))) = (args.split, config.iter().find(|(key, _)| key.starts_with(AUGMENT))) {
        return Err(Expected::Usage(format!("`{key}` changes training examples only; leave out --split test")).into());
    }
    let mut tiles = vec![];
    for (turn, index) in (0..).zip(chosen) {
        let example = match args.split {
            Part::Train => augmented(&config, &dataset, u32::try_from(index)?, args.seed.unwrap_or(0), turn)
                .map_err(|e| Expected::Usage(e.to_string()))?,
            Part::Test => part.examples[index * dataset.example_len()..][..dataset.example_len()].to_vec(),
        };
        tiles.push(tile(&dataset, part.labels[index], &example)?);
    }
    let title = format!("{}: {} of {} {split} examples of {}", dataset.name, tiles.len(), part.labels.len(), shape(&dataset.shape));
    let bytes = match format {
        Format::Png => {
            // Where the classes come in turn, each has a column.
            let in_turn = args.seed.is_none() && dataset.classes() <= MOST_COLUMNS;
            raster::png(&title, &tiles, if in_turn { u32::try_from(dataset.classes())? } else { COLUMNS })?
        }
        Format::Svg => Mosaic { title, subtitle: None, bands: vec![Band { title: None, tiles }] }.svg().into_bytes(),
    };
    std::fs::write(&out, bytes).with_context(|| format!("writing {}", out.display()))?;
    writeln!(std::io::stdout(), "{}", out.display())?;
    Ok(ExitCode::SUCCESS)
}

/// Where the picture goes, and in which format its name says.
fn place(args: &DataShow) -> Result<(PathBuf, Format)> {
    let Some(out) = &args.out else { return Ok((PathBuf::from(format!("{}.png", args.name)), Format::Png)) };
    let extension = out.extension().unwrap_or_default().to_ascii_lowercase();
    match extension.to_str() {
        Some("png") => Ok((out.clone(), Format::Png)),
        Some("svg") => Ok((out.clone(), Format::Svg)),
        _ => Err(Expected::Usage(format!("--out {}: the name must end in .png or .svg", out.display())).into()),
    }
}

/// The dataset with its defaults and what `--set` says.
fn configuration(choice: &Choice, vocabulary: &Vocabulary, set: &[String]) -> Result<Config> {
    let usage = |what: String| Expected::Usage(what).into();
    let changes = vocabulary.keys().map(|(_, key)| key).filter(|key| key.name.starts_with(AUGMENT));
    let keys: Vec<&Key> = choice.keys.iter().chain(changes).collect();
    let mut config = defaults(choice);
    for text in set {
        let Some((name, value)) = text.split_once('=') else {
            return Err(usage(format!("--set {text}: write KEY=VALUE")));
        };
        let Some(key) = keys.iter().find(|key| key.name == name.trim()) else {
            let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
            return Err(usage(format!("--set {text}: {} has no key `{}`; it has {}", choice.name, name.trim(), names.join(", "))));
        };
        let value = value_of(key, value.trim()).map_err(|takes| usage(format!("--set {text}: `{}` must be {takes}", key.name)))?;
        config.insert(key.name, value);
    }
    if let Some(key) = choice.keys.iter().find(|key| key.default == Absent::Required && config.get(key.name).is_none()) {
        let what = format!("{} needs `{}` ({}); add --set {}=VALUE", choice.name, key.name, key.doc, key.name);
        return Err(usage(what));
    }
    Ok(config)
}

/// The value that a text stands for, or what the key takes instead.
fn value_of(key: &Key, text: &str) -> Result<Value, String> {
    let given = match (&key.kind, text.parse::<bool>(), text.parse::<i64>(), text.parse::<f64>()) {
        (Kind::Text(_), ..) => Value::Text(text.to_owned().into()),
        (_, Ok(b), ..) => Value::Bool(b),
        (_, _, Ok(i), _) => Value::Int(i),
        (.., Ok(x)) if x.is_finite() => Value::Float(x),
        _ => Value::Text(text.to_owned().into()),
    };
    let value = key.kind.fit(&given)?;
    match (&key.kind, &value) {
        (Kind::Int(range), Value::Int(i)) if !range.contains(i) => Err(format!("from {} to {}", range.start(), range.end())),
        (Kind::Float(range), Value::Float(x)) if !range.contains(x) => Err(format!("from {} to {}", range.start(), range.end())),
        (Kind::OpenFloat(low, high), Value::Float(x)) if x <= low || x >= high => Err(format!("between {low} and {high}, both excluded")),
        _ => Ok(value),
    }
}

/// Which examples are drawn: the first of each class, the second of each, and so on; or, with a seed, any, none of them twice.
fn chosen(labels: &[u8], count: usize, seed: Option<u64>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    if let Some(seed) = seed {
        order.sort_by_key(|index| scattered(seed, *index as u64));
    } else {
        let mut seen = [0u32; 256];
        let rank = labels.iter().map(|label| {
            let seen = &mut seen[usize::from(*label)];
            *seen += 1;
            (*seen, *label)
        });
        let rank: Vec<(u32, u8)> = rank.collect();
        order.sort_by_key(|index| rank[*index]);
    }
    order.truncate(count);
    order
}

/// A number that looks random, another one for each seed and index (SplitMix64; Steele, Lea & Flood 2014).
fn scattered(seed: u64, index: u64) -> u64 {
    let mut z = mixed(seed).wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed(z)
}

fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One example as it is drawn: images as they are, the frames of a clip side by side, signals as lines. Channels that are no colours
/// are side by side, too.
fn tile(dataset: &Dataset, label: u8, example: &[u8]) -> Result<Tile> {
    let name = dataset.class_names.get(usize::from(label)).map_or("", String::as_str);
    let tile = match dataset.shape[..] {
        [_] => Tile::signal(name, 1, example),
        [_, channels] => Tile::signal(name, channels, example),
        [height, width, channels] => row(name, [1, height, width, channels], example),
        [frames, height, width, channels] => row(name, [frames, height, width, channels], example),
        _ => None,
    };
    let what = || Expected::Usage(format!("examples of {} can't be drawn; signals, images and clips can", shape(&dataset.shape)));
    Ok(tile.ok_or_else(what)?)
}

/// Pictures of one example side by side, a white line between them.
fn row(name: &str, [frames, height, width, channels]: [usize; 4], example: &[u8]) -> Option<Tile> {
    let (colors, layers) = if matches!(channels, 1 | 3) { (channels, 1) } else { (1, channels) };
    let count = frames * layers;
    let mut pixels = Vec::with_capacity(height * count * (width + 1) * colors);
    for y in 0..height {
        for i in 0..count {
            let (frame, layer) = (i / layers, i % layers);
            let line = &example[(frame * height + y) * width * channels..][..width * channels];
            pixels.extend(line.chunks_exact(channels).flat_map(|pixel| &pixel[layer..layer + colors]));
            let between = if i + 1 < count { colors } else { 0 };
            pixels.extend(std::iter::repeat_n(255, between));
        }
    }
    let size = [height, count * (width + 1) - 1, colors].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    Tile::picture(name, size, &pixels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use analysis::figure::Content;

    #[test]
    fn classes_come_in_turn() {
        let labels = [2, 2, 0, 0, 0, 1, 2];
        assert_eq!(chosen(&labels, 5, None), [2, 5, 0, 3, 1]);
        assert_eq!(chosen(&labels, 100, None), [2, 5, 0, 3, 1, 4, 6]);
        assert_eq!(chosen(&[], 3, None), [0; 0]);
    }

    #[test]
    fn a_seed_draws_others_and_none_twice() {
        let labels = [0; 1000];
        let drawn = |seed| chosen(&labels, 200, Some(seed));
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        let mut sorted = drawn(1);
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 200);
        // The mean of 200 of 0..1000 drawn without repetition has a standard deviation of 18.
        for seed in 0..50 {
            let mean = drawn(seed).iter().sum::<usize>() as f64 / 200.0;
            assert!((mean - 499.5).abs() < 5.0 * 18.3, "{mean}");
        }
        // Other programs' SplitMix64 gives this first for the seed 0.
        assert_eq!(mixed(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf);
    }

    fn pixels(tile: &Tile) -> (u32, u32, u32, Vec<u8>) {
        match tile.content() {
            Content::Picture(p) => (p.height, p.width, p.channels, p.pixels.clone()),
            Content::Signal(_) => panic!("a signal"),
        }
    }

    #[test]
    fn frames_and_channels_lie_side_by_side() {
        // Two frames of 2×2 grey pixels.
        let clip = row("", [2, 2, 2, 1], &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        assert_eq!(pixels(&clip), (2, 5, 1, vec![1, 2, 255, 5, 6, 3, 4, 255, 7, 8]));
        // One image of 1×2 pixels with two channels that are no colours.
        let channels = row("", [1, 1, 2, 2], &[1, 2, 3, 4]).unwrap();
        assert_eq!(pixels(&channels), (1, 5, 1, vec![1, 3, 255, 2, 4]));
        let colors = row("", [1, 1, 2, 3], &[1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(pixels(&colors), (1, 2, 3, vec![1, 2, 3, 4, 5, 6]));
    }

    fn keys() -> (Choice, Vocabulary) {
        let keys = vec![
            Key::required("folder", Kind::Text(vec![]), "where it is"),
            Key::int("size", 1..=64, 8, "side"),
            Key::float("share", 0.0..=0.5, 0.1, "share"),
        ];
        (Choice { name: "own", doc: "of one's own", keys }, Vocabulary::new(vec![], vec![], vec![]))
    }

    #[test]
    fn settings_are_checked_as_in_a_grid() {
        let (choice, vocabulary) = keys();
        let set = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            configuration(&choice, &vocabulary, &texts).map_err(|e| e.to_string())
        };
        let config = set(&["folder=2024", "size=9", "share = 0"]).unwrap();
        assert_eq!(config.json(), r#"{"dataset":"own","folder":"2024","share":0.0,"size":9}"#);
        for (texts, message) in [
            (&[][..], "own needs `folder` (where it is); add --set folder=VALUE"),
            (&["folder"], "--set folder: write KEY=VALUE"),
            (&["colour=1"], "--set colour=1: own has no key `colour`; it has folder, size, share, augment_flip, "),
            (&["size=65"], "--set size=65: `size` must be from 1 to 64"),
            (&["size=1.5"], "--set size=1.5: `size` must be a whole number"),
            (&["share=0.6"], "--set share=0.6: `share` must be from 0 to 0.5"),
            (&["share=nan"], "--set share=nan: `share` must be a number"),
            (&["size="], "--set size=: `size` must be a whole number"),
        ] {
            assert!(set(texts).unwrap_err().starts_with(message), "{texts:?}: {}", set(texts).unwrap_err());
        }
    }
}
