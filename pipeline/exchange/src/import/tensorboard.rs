//! Results in a folder of TensorBoard's: each folder with event files is a run, its hyper-parameters and its path tell arms apart.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use spec::{Split, Value, visible};

use super::csv::value;
use super::curves::{At, Curves, RunKey};
use super::names::{self, Names, Role};
use crate::error::Error;
use crate::tensorboard::proto::{Field, fields};
use crate::tensorboard::record;

/// Folders within each other, and files in all of them.
const MAX_DEPTH: usize = 20;
const MAX_FILES: usize = 100_000;

/// What event files say: values by tag and step, each with its time, and hyper-parameters.
#[derive(Debug, Default)]
pub(crate) struct Events {
    scalars: BTreeMap<String, BTreeMap<u64, (f64, f64)>>,
    hparams: Vec<(String, Value)>,
    started: Option<f64>,
}

pub(crate) fn read(folder: &Path, names: &Names) -> Result<Curves, Error> {
    let mut places: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    let mut files = 0;
    collect(folder, 0, &mut files, &mut places)?;
    if places.is_empty() {
        return Err(Error::Input(format!("{}: no file in it has `tfevents` in its name", folder.display())));
    }
    let mut runs: Vec<(PathBuf, Events)> = vec![];
    for (place, files) in places {
        let mut all = Events::default();
        for file in files {
            let mut input = BufReader::new(File::open(&file).map_err(Error::file(&file))?);
            let part = events(&mut input).map_err(|why| Error::Input(format!("{}: {why}", file.display())))?;
            all.started = all.started.or(part.started);
            all.hparams.extend(part.hparams);
            // A file that goes on where one was cut off repeats its last steps; the later one counts, as in TensorBoard.
            for (tag, values) in part.scalars {
                all.scalars.entry(tag).or_default().extend(values);
            }
        }
        // PyTorch's `add_hparams` puts them into a folder of their own, within that of the run.
        let is_part = !all.hparams.is_empty() && !all.scalars.keys().any(|tag| names.metric(tag).is_some());
        match runs.iter_mut().find(|(run, _)| is_part && place.parent() == Some(run)) {
            Some((_, run)) => run.hparams.extend(all.hparams),
            None => runs.push((place, all)),
        }
    }
    // The folders of a run, training and validation, share its hyper-parameters, whichever has them.
    let whole = |place: &Path| match place.file_name().and_then(|name| names::split(&name.to_string_lossy())) {
        Some(_) => place.parent().map_or_else(|| place.to_owned(), Path::to_owned),
        None => place.to_owned(),
    };
    let mut known: BTreeMap<PathBuf, Vec<(String, Value)>> = BTreeMap::new();
    for (place, events) in &runs {
        known.entry(whole(place)).or_default().extend(events.hparams.iter().cloned());
    }
    let mut curves = Curves::default();
    for (place, mut events) in runs {
        events.hparams = known.get(&whole(&place)).cloned().unwrap_or_default();
        take(&place, folder, events, names, &mut curves)?;
    }
    Ok(curves)
}

/// Finds event files, by folder.
fn collect(folder: &Path, depth: usize, files: &mut usize, places: &mut BTreeMap<PathBuf, Vec<PathBuf>>) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::Input(format!("{}: more than {MAX_DEPTH} folders within each other", folder.display())));
    }
    let mut entries: Vec<_> = fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<_>>).map_err(Error::file(folder))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        // Links are not followed: they may lead in a circle.
        let kind = entry.file_type().map_err(Error::file(folder))?;
        if kind.is_dir() {
            collect(&entry.path(), depth + 1, files, places)?;
        } else if kind.is_file() && entry.file_name().to_string_lossy().contains("tfevents") {
            *files += 1;
            if *files > MAX_FILES {
                return Err(Error::Input(format!("{}: more than {MAX_FILES} event files", folder.display())));
            }
            places.entry(folder.to_owned()).or_default().push(entry.path());
        }
    }
    Ok(())
}

/// Puts the values of a place in the folder to their run.
fn take(place: &Path, folder: &Path, events: Events, names: &Names, curves: &mut Curves) -> Result<(), Error> {
    let path = place.strip_prefix(folder).unwrap_or(place);
    let mut parts: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    // Keras and others put training and validation into folders of their own.
    let split = parts.last().and_then(|part| names::split(part));
    if split.is_some() {
        parts.pop();
    }
    let mut key = RunKey::default();
    parts.retain(|part| {
        let number = ["seed-", "seed_", "seed="].into_iter().find_map(|start| part.strip_prefix(start)).and_then(|n| n.parse().ok());
        key.seed = key.seed.or(number);
        number.is_none()
    });
    for (name, value) in events.hparams {
        match value.number() {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a seed is a whole number")]
            Some(x) if names.column(&name) == Role::Seed && x >= 0.0 && x.fract() == 0.0 => key.seed = key.seed.or(Some(x as u64)),
            _ if names.axes().is_none_or(|wanted| wanted.contains(&name)) && key.value(&name).is_none() => key.axes.push((name, value)),
            _ => {}
        }
    }
    key.name = Some(parts.join("/")).filter(|name| !name.is_empty());
    for tag in events.scalars.keys() {
        if names.metric(tag).is_none() && !names.is_named(tag) {
            curves.left_out.insert(tag.clone());
        }
    }
    let records = curves.run(key);
    // Training and validation of a run begin together.
    let started = *records.started.get_or_insert(events.started.unwrap_or(0.0));
    for (tag, values) in events.scalars {
        let Some(metric) = names.metric(&tag) else { continue };
        let metric = match split {
            // What stands beside validation without a word of epochs is of steps.
            None => metric,
            Some(Split::Train) if !tag.to_lowercase().contains("epoch") => metric,
            Some(split) => metric.on(split),
        };
        for (step, (x, wall)) in values {
            let elapsed_ms = Some((wall - started) * 1e3).filter(|ms| ms.is_finite()).map_or(0.0, |ms| ms.max(0.0));
            if !records.put(step, metric, x, At { elapsed_ms, ..At::default() }) {
                let what = format!(
                    "the tag `{tag}` has another value at step {step} than one that means the same; --map '{tag}=ignore' leaves it out"
                );
                return Err(Error::Input(format!("{}: {}", place.display(), visible(&what))));
            }
        }
    }
    Ok(())
}

/// Reads the events of a file.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn events(file: &mut impl Read) -> Result<Events, String> {
    let mut events = Events::default();
    while let Some(data) = record::read(file)? {
        let (mut wall, mut step, mut summary) = (0.0, 0, None);
        for field in fields(&data) {
            match field.ok_or("a record is no event")? {
                (1, Field::Double(x)) => wall = x,
                (2, Field::Number(x)) => step = x,
                (5, Field::Data(bytes)) => summary = Some(bytes),
                _ => {}
            }
        }
        if events.started.is_none() && wall.is_finite() {
            events.started = Some(wall);
        }
        // A negative step is one that was not set.
        if step > i64::MAX.cast_unsigned() {
            continue;
        }
        for field in summary.into_iter().flat_map(fields) {
            if let (1, Field::Data(value)) = field.ok_or("a record is no summary")? {
                of_summary(value, step, wall, &mut events)?;
            }
        }
    }
    Ok(events)
}

/// A `Summary.Value`.
fn of_summary(bytes: &[u8], step: u64, wall: f64, events: &mut Events) -> Result<(), String> {
    let (mut tag, mut number, mut plugin) = (String::new(), None, None);
    for field in fields(bytes) {
        match field.ok_or("a record is no summary")? {
            (1, Field::Data(text)) => tag = String::from_utf8_lossy(text).into_owned(),
            (2, Field::Float(x)) => number = Some(f64::from(x)),
            (8, Field::Data(tensor)) => number = scalar(tensor),
            (9, Field::Data(metadata)) => plugin = of_plugin(metadata),
            _ => {}
        }
    }
    match (plugin, number) {
        (Some((b"hparams", content)), _) if tag == "_hparams_/session_start_info" => hparams(content, &mut events.hparams),
        (Some((name, _)), _) if name != b"scalars" && !name.is_empty() => {}
        (_, Some(x)) => {
            events.scalars.entry(tag).or_default().insert(step, (x, wall));
        }
        _ => {}
    }
    Ok(())
}

/// The number of a tensor that is one: `TensorProto` with a float or double.
fn scalar(tensor: &[u8]) -> Option<f64> {
    let (mut kind, mut content, mut value) = (0, None, None);
    for field in fields(tensor) {
        match field? {
            (1, Field::Number(x)) => kind = x,
            (4, Field::Data(bytes)) => content = Some(bytes),
            (5, Field::Float(x)) => value = Some(f64::from(x)),
            (6, Field::Double(x)) => value = Some(x),
            (5, Field::Data(bytes)) => value = bytes.try_into().ok().map(|bytes| f64::from(f32::from_le_bytes(bytes))),
            (6, Field::Data(bytes)) => value = bytes.try_into().ok().map(f64::from_le_bytes),
            _ => {}
        }
    }
    value.or_else(|| match (kind, content?) {
        (1, bytes) => bytes.try_into().ok().map(|bytes| f64::from(f32::from_le_bytes(bytes))),
        (2, bytes) => bytes.try_into().ok().map(f64::from_le_bytes),
        _ => None,
    })
}

/// Name and content of the plugin that a `SummaryMetadata` is for.
fn of_plugin(metadata: &[u8]) -> Option<(&[u8], &[u8])> {
    let data = fields(metadata).find_map(|field| match field {
        Some((1, Field::Data(bytes))) => Some(bytes),
        _ => None,
    })?;
    let (mut name, mut content): (&[u8], &[u8]) = (&[], &[]);
    for field in fields(data) {
        match field? {
            (1, Field::Data(bytes)) => name = bytes,
            (2, Field::Data(bytes)) => content = bytes,
            _ => {}
        }
    }
    Some((name, content))
}

/// The hyper-parameters of an `HParamsPluginData`.
fn hparams(content: &[u8], into: &mut Vec<(String, Value)>) {
    let data = |bytes, wanted| {
        fields(bytes).filter_map(move |field| match field {
            Some((number, Field::Data(bytes))) if number == wanted => Some(bytes),
            _ => None,
        })
    };
    for entry in data(content, 3).flat_map(|start| data(start, 1)) {
        let Some(key) = data(entry, 1).next().map(|key| String::from_utf8_lossy(key).into_owned()) else { continue };
        let Some(found) = data(entry, 2).next() else { continue };
        let found = fields(found).find_map(|field| match field? {
            (2, Field::Double(x)) if x.is_finite() => Some(value(&x.to_string())),
            (3, Field::Data(text)) => Some(Value::Text(String::from_utf8_lossy(text).into_owned().into())),
            (4, Field::Number(x)) => Some(Value::Bool(x != 0)),
            _ => None,
        });
        into.extend(found.map(|value| (key, value)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = events(&mut &bytes[..]);
            // Behind a checksum that is right, too.
            let mut file = vec![];
            record::write(&mut file, &bytes).unwrap_or_default();
            let _ = events(&mut &file[..]);
        }
    }
}
