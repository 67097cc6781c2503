//! Results from elsewhere, as a study that stands beside our own.
//!
//! [`csv`] and [`tensorboard`] read files into [`Curves`]; [`study`] makes arms of them, and the tracker writes them down.

mod csv;
mod curves;
mod names;
mod tensorboard;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use spec::record::Outcome;
use spec::{Arm, Config, Metric, Study, Value};
use tracker::import::{IMPORTED, Imported, ImportedRun};

use crate::error::Error;
use curves::Curves;
use names::Names;

/// What the user says about results from elsewhere.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the study.
    pub study: String,
    /// What it was about.
    pub question: String,
    /// The metric that decides between arms.
    pub metric: Metric,
    /// Columns that tell arms apart; `None`: all that have no other meaning.
    pub axes: Option<Vec<String>>,
    /// Names in the file, with what they mean here.
    pub names: Vec<(String, String)>,
}

/// Runs of one study at most: what `--max-runs` is for grids.
const MAX_RUNS: usize = 10_000;

/// Reads a CSV file, or a folder of TensorBoard's, and writes its runs down.
///
/// # Errors
/// When the source is not what it should be, or the database can't be written.
pub fn import(source: &Path, options: &Options, db: &Path) -> Result<Imported, Error> {
    let names = Names::new(&options.names, options.axes.as_deref())?;
    let curves = if source.is_dir() { tensorboard::read(source, &names) } else { csv::read(source, &names) }?;
    let (study, runs) = study(curves, options, source)?;
    Ok(tracker::import::import(db, &study, &runs, "imported")?)
}

/// Makes arms and runs of what was read.
fn study(curves: Curves, options: &Options, source: &Path) -> Result<(Study, Vec<ImportedRun>), Error> {
    let wrong = |why: String| Error::Input(format!("{}: {why}", source.display()));
    if curves.is_empty() {
        return Err(wrong("there is no run with a value in it".into()));
    }
    if curves.len() > MAX_RUNS {
        return Err(wrong(format!(
            "it comes to {} runs, and {MAX_RUNS} are the most; name the columns that tell arms apart with --axes",
            curves.len()
        )));
    }
    let mut axes: Vec<String> = vec![];
    for (key, _) in curves.keys().flat_map(|run| &run.axes) {
        if !axes.contains(key) {
            axes.push(key.clone());
        }
    }
    // What all runs share tells no arms apart; it stays in the configuration.
    let varies = |axis: &String| {
        let values: BTreeSet<Option<String>> = curves.keys().map(|run| run.value(axis).map(Value::json)).collect();
        values.len() > 1
    };
    let varied: Vec<String> = axes.into_iter().filter(varies).collect();
    let mut arms: Vec<Arm> = vec![];
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut seeds = BTreeSet::new();
    let mut runs = vec![];
    for (run, records) in curves.into_iter() {
        let mut config = Config::default();
        for (key, value) in &run.axes {
            config.insert(key.clone(), value.clone());
        }
        config.insert("objective", Value::Text(IMPORTED.into()));
        config.insert("imported_as", Value::Text(options.study.clone().into()));
        let id = config.run_id(run.seed);
        if let std::collections::btree_map::Entry::Vacant(place) = places.entry(config.json()) {
            place.insert(arms.len());
            let axes: Vec<(String, Value)> = run.axes.iter().filter(|(key, _)| varied.contains(key)).cloned().collect();
            let words: Vec<String> = axes.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let label = if words.is_empty() { "imported".to_owned() } else { words.join(" ") };
            arms.push(Arm { label, axes, config, graph: None });
        }
        seeds.insert(run.seed);
        let (steps, evals) = records.finish();
        let last = steps.last().map(|s| s.loss).or_else(|| evals.iter().max_by_key(|e| e.step).and_then(|e| e.loss));
        let diverged = last.is_some_and(|loss| !loss.is_finite());
        let (outcome, error) =
            if diverged { (Outcome::Diverged, Some("its last loss is not finite".to_owned())) } else { (Outcome::Completed, None) };
        runs.push(ImportedRun { id, outcome, error, steps, evals });
    }
    let study = Study {
        name: options.study.clone(),
        question: options.question.clone(),
        hypothesis: None,
        metric: options.metric,
        targets: vec![],
        analysis: spec::analysis::Settings::default(),
        axes: varied,
        arms,
        seeds: seeds.into_iter().collect(),
        source: format!("# imported from {}\n", source.file_name().unwrap_or_default().to_string_lossy()),
    };
    Ok((study, runs))
}

#[cfg(fuzzing)]
pub mod fuzzing {
    //! Both readers on any bytes.

    use super::{Names, csv, tensorboard};

    /// Whether they are a CSV file of results.
    pub fn csv(bytes: &[u8]) -> bool {
        Names::new(&[], None).is_ok_and(|names| csv::parse(bytes, "fuzz", &names).is_ok())
    }

    /// Whether they are an event file.
    pub fn events(bytes: &[u8]) -> bool {
        tensorboard::events(&mut &bytes[..]).is_ok()
    }
}
