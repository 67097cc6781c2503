//! A folder of event files for TensorBoard: every step and evaluation of every run, and its hyper-parameters.
//!
//! `STUDY/ARM/seed-N/` is a run. Formats: TFRecord framing and `event.proto`, `summary.proto` of TensorFlow; `plugin_data.proto` of
//! TensorBoard's hparams plugin.

pub(crate) mod proto;
pub(crate) mod record;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::Value;
use spec::record::Outcome;
use tracker::Reader;
use tracker::dump::{Chosen, Datum, EVALS, MEASUREMENTS, POSITIONS, STEPS};
use tracker::read::RunRecord;

use crate::error::Error;
use proto::Message;

/// Longest name of a folder, in bytes, with a hash where a name was cut or changed.
const MAX_NAME: usize = 120;

/// Writes the runs; returns the number of values.
pub(crate) fn export(reader: &Reader, chosen: &Chosen, folder: &Path) -> Result<u64, Error> {
    let mut values = 0;
    for (study, runs) in &chosen.studies {
        for run in runs {
            let place = folder.join(safe(study)).join(safe(&run.arm)).join(format!("seed-{}", run.seed));
            fs::create_dir_all(&place).map_err(Error::file(&place))?;
            values += write(reader, study, run, &place)?;
        }
    }
    Ok(values)
}

/// A name that is one folder's on every system, and different for different names.
fn safe(name: &str) -> String {
    let kept = |c: char| c.is_ascii_alphanumeric() || "_-=+. ".contains(c);
    let mut safe: String = name.chars().map(|c| if kept(c) { c } else { '_' }).collect();
    safe.truncate(MAX_NAME);
    let safe = safe.trim_matches(['.', ' ']);
    if safe == name && !name.is_empty() { safe.to_owned() } else { format!("{safe}-{}", spec::fingerprint(name.as_bytes())) }
}

fn write(reader: &Reader, study: &str, run: &RunRecord, place: &Path) -> Result<u64, Error> {
    let (started, ended) = reader.times(run)?;
    let started = started.unwrap_or(0.0);
    // TensorBoard reads the files of a folder in the order of their names, and takes those with `tfevents` in them.
    let path = place.join(format!("events.out.tfevents.{started:.0}.{}", run.id));
    let mut file = BufWriter::new(File::create_new(&path).map_err(Error::file(&path))?);
    let mut event = |event: &Message| record::write(&mut file, &event.bytes).map_err(Error::file(&path));
    event(&proto::event(started, 0).text(3, "brain.Event:2"))?;
    event(&proto::event(started, 0).message(5, &Message::default().message(1, &session_start(study, run, started))))?;
    let mut values = 0;
    let mut scalars = |wall: f64, step: i64, named: &[(String, &Datum<'_>)]| {
        let mut summary = Message::default();
        for (tag, datum) in named {
            if let Datum::Real(x) = datum {
                summary = summary.message(1, &proto::scalar(tag, *x));
                values += 1;
            }
        }
        event(&proto::event(wall, step).message(5, &summary))
    };
    reader.records(&STEPS, run, |row| {
        let [Datum::Integer(step), _, _, metrics @ .., Datum::Real(elapsed), _] = row else { return Ok(()) };
        let names = ["loss", "accuracy", "lr", "grad_norm"].map(str::to_owned);
        scalars(started + elapsed / 1e3, *step, &names.into_iter().zip(metrics).collect::<Vec<_>>())
    })?;
    reader.records(&EVALS, run, |row| {
        let [Datum::Text(split), Datum::Integer(step), _, _, loss, accuracy, noise, Datum::Real(elapsed), _] = row else { return Ok(()) };
        let named = [("loss", loss), ("accuracy", accuracy), ("noise_scale", noise)];
        scalars(started + elapsed / 1e3, *step, &named.map(|(name, datum)| (format!("{split}/{name}"), datum)))
    })?;
    reader.records(&POSITIONS, run, |row| {
        let [Datum::Integer(step), x, y] = row else { return Ok(()) };
        scalars(started, *step, &[("position/x".to_owned(), x), ("position/y".to_owned(), y)])
    })?;
    reader.records(&MEASUREMENTS, run, |row| {
        let [Datum::Text(name), value] = row else { return Ok(()) };
        scalars(started, 0, &[(format!("measurement/{name}"), value)])
    })?;
    let end = session_end(run, ended.unwrap_or(started));
    event(&proto::event(ended.unwrap_or(started), 0).message(5, &Message::default().message(1, &end)))?;
    file.flush().map_err(Error::file(&path))?;
    Ok(values)
}

/// `SessionStartInfo` of the hparams plugin: the configuration, with the arm as the group of its seeds.
fn session_start(study: &str, run: &RunRecord, started: f64) -> Message {
    let config: serde_json::Map<String, Value> = serde_json::from_str(&run.config).unwrap_or_default();
    let seed = ("seed".to_owned(), Value::from(run.seed));
    let mut info = Message::default();
    for (key, value) in config.into_iter().chain([seed]) {
        // `google.protobuf.Value`: the plugin knows numbers, texts and switches.
        let value = match value {
            Value::Bool(b) => Message::default().number(4, u64::from(b)),
            Value::Number(x) => Message::default().double(2, x.as_f64().unwrap_or(f64::NAN)),
            other => Message::default().text(3, other.as_str().unwrap_or_default()),
        };
        info = info.message(1, &Message::default().text(1, &key).message(2, &value));
    }
    let info = info.text(4, &format!("{study}: {}", run.arm)).double(5, started);
    proto::plugin("_hparams_/session_start_info", "hparams", &Message::default().number(1, 0).message(3, &info))
}

/// `SessionEndInfo`: how the run ended.
fn session_end(run: &RunRecord, ended: f64) -> Message {
    let status = match run.outcome {
        Some(Outcome::Completed | Outcome::StoppedEarly | Outcome::Diverged) => 1,
        Some(Outcome::Failed) => 2,
        Some(Outcome::Interrupted) | None => 3,
    };
    let info = Message::default().number(1, status).double(2, ended);
    proto::plugin("_hparams_/session_end_info", "hparams", &Message::default().number(1, 0).message(4, &info))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_and_tell_apart() {
        assert_eq!(safe("sgd lr=0.1 momentum=0.9"), "sgd lr=0.1 momentum=0.9");
        for hostile in ["..", "a/b", "../../etc/passwd", "", " ", "con:", "a\u{0}b", "ü", &"x".repeat(500)] {
            let name = safe(hostile);
            assert!(!name.contains(['/', '\\', ':', '\0']) && !name.starts_with('.') && (1..=140).contains(&name.len()), "{name:?}");
            assert_ne!(name, hostile);
        }
        assert_ne!(safe("a/b"), safe("a:b"));
    }
}
