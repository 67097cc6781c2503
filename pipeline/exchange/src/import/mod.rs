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
use spec::{Arm, Config, Metric, Quantity, Split, Study, Value, visible};
use tracker::import::{IMPORTED, Imported, ImportedRun};

use crate::error::Error;
use curves::{Curves, Records, RunKey};
use names::Names;

/// What the user says about results from elsewhere.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the study.
    pub study: String,
    /// What it was about.
    pub question: String,
    /// The metric that decides between arms; `None`: of those that were evaluated, the one that says most.
    pub metric: Option<Metric>,
    /// Columns that tell arms apart; `None`: all that have no other meaning.
    pub axes: Option<Vec<String>>,
    /// Names in the file, with what they mean here.
    pub names: Vec<(String, String)>,
    /// Whether runs that were imported before with other values get these.
    pub replace: bool,
}

/// What came of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub imported: Imported,
    /// Columns and tags that have no place in our tables.
    pub left_out: Vec<String>,
}

/// Keys that every imported configuration has: what it is about, and the study that it came as.
const OBJECTIVE: &str = "objective";
const STUDY: &str = "imported_as";

/// Runs of one study at most: what `--max-runs` is for grids.
const MAX_RUNS: usize = 10_000;

/// Reads a CSV file, or a folder of TensorBoard's, and writes its runs down.
///
/// # Errors
/// When the source is not what it should be, or the database can't be written.
pub fn import(source: &Path, options: &Options, db: &Path) -> Result<Done, Error> {
    let names = Names::new(&options.names, options.axes.as_deref())?;
    let mut curves = if source.is_dir() { tensorboard::read(source, &names) } else { csv::read(source, &names) }?;
    let left_out = std::mem::take(&mut curves.left_out).into_iter().collect();
    let (study, runs) = study(curves, options, source)?;
    Ok(Done { imported: tracker::import::import(db, &study, &runs, options.replace)?, left_out })
}

/// Makes arms and runs of what was read.
fn study(curves: Curves, options: &Options, source: &Path) -> Result<(Study, Vec<ImportedRun>), Error> {
    let wrong = |why: String| Error::Input(format!("{}: {}", source.display(), visible(&why)));
    let mut found: Vec<(RunKey, Records)> = curves.runs.into_iter().filter(|(_, records)| !records.is_empty()).collect();
    if found.is_empty() {
        return Err(wrong("there is no run with a value in it".into()));
    }
    if found.len() > MAX_RUNS {
        let n = found.len();
        return Err(wrong(format!("it comes to {n} runs, and {MAX_RUNS} are the most; name the columns that tell arms apart with --axes")));
    }
    for (key, _) in &mut found {
        for (axis, _) in key.axes.iter_mut().filter(|(axis, _)| [OBJECTIVE, STUDY].contains(&axis.as_str())) {
            *axis = format!("their_{axis}");
        }
        // Of what nothing else is known, the name is the arm.
        if let (true, Some(name)) = (key.axes.is_empty(), &key.name) {
            key.axes.push(("run".to_owned(), csv::value(name)));
        }
    }
    let axes = varied(&found);
    let mut arms: Vec<Arm> = vec![];
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut seeds: BTreeMap<(usize, u64), Option<String>> = BTreeMap::new();
    let mut next: BTreeMap<usize, u64> = BTreeMap::new();
    let mut runs = vec![];
    for (key, records) in found {
        let arm = arm(&key, &axes, &options.study);
        let place = *places.entry(arm.config.json()).or_insert(arms.len());
        if place == arms.len() {
            arms.push(unlike(arm, &arms));
        }
        // Replicates without a seed are counted.
        let free = next.entry(place).or_insert(0);
        while key.seed.is_none() && seeds.contains_key(&(place, *free)) {
            *free += 1;
        }
        let seed = key.seed.unwrap_or(*free);
        if let Some(other) = seeds.insert((place, seed), key.name.clone()) {
            let names = [other, key.name].map(|name| name.unwrap_or_else(|| "without a name".into()));
            return Err(wrong(format!(
                "the runs `{}` and `{}` have the same arm ({}) and seed {seed}; what tells them apart must be a column or a hyper-parameter",
                names[0], names[1], arms[place].label
            )));
        }
        runs.push(run(arms[place].config.run_id(seed), records));
    }
    let study = Study {
        name: options.study.clone(),
        question: options.question.clone(),
        hypothesis: None,
        metric: options.metric.unwrap_or_else(|| deciding(&runs)),
        targets: vec![],
        analysis: spec::analysis::Settings::default(),
        axes,
        arms,
        seeds: seeds.into_keys().map(|(_, seed)| seed).collect::<BTreeSet<_>>().into_iter().collect(),
        source: format!("# imported from {}\n", source.file_name().unwrap_or_default().to_string_lossy()),
    };
    Ok((study, runs))
}

/// The keys that tell arms apart, in the order in which they come: what all runs share does not.
fn varied(found: &[(RunKey, Records)]) -> Vec<String> {
    let mut values: Vec<(&String, BTreeSet<Option<String>>)> = vec![];
    for (axis, _) in found.iter().flat_map(|(key, _)| &key.axes) {
        if !values.iter().any(|(known, _)| *known == axis) {
            values.push((axis, found.iter().map(|(key, _)| key.value(axis).map(Value::json)).collect()));
        }
    }
    values.into_iter().filter(|(_, values)| values.len() > 1).map(|(axis, _)| axis.clone()).collect()
}

fn arm(key: &RunKey, varied: &[String], study: &str) -> Arm {
    let mut config = Config::default();
    for (key, value) in &key.axes {
        config.insert(key.clone(), value.clone());
    }
    config.insert(OBJECTIVE, Value::Text(IMPORTED.into()));
    config.insert(STUDY, Value::Text(study.to_owned().into()));
    let axes: Vec<(String, Value)> = key.axes.iter().filter(|(key, _)| varied.contains(key)).cloned().collect();
    let words: Vec<String> = axes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Arm { label: if words.is_empty() { IMPORTED.to_owned() } else { words.join(" ") }, axes, config, graph: None }
}

/// The arm with a label of its own: texts with spaces and signs in them may make those of two arms the same.
fn unlike(arm: Arm, others: &[Arm]) -> Arm {
    let is_free = |label: &String| !others.iter().any(|other| other.label == *label);
    let numbered = (2..).map(|n| format!("{} ({n})", arm.label));
    let label = std::iter::once(arm.label.clone()).chain(numbered).find(is_free).unwrap_or_default();
    Arm { label, ..arm }
}

fn run(id: String, records: Records) -> ImportedRun {
    let (steps, evals) = records.finish();
    let last =
        steps.last().map(|s| s.loss).or_else(|| evals.iter().filter(|e| e.loss.is_some()).max_by_key(|e| e.step).and_then(|e| e.loss));
    let diverged = last.is_some_and(|loss| !loss.is_finite());
    let outcome = if diverged { Outcome::Diverged } else { Outcome::Completed };
    ImportedRun { id, outcome, error: diverged.then(|| "its last loss is not finite".to_owned()), steps, evals }
}

/// Validation before training, accuracy before loss, as far as there is any.
fn deciding(runs: &[ImportedRun]) -> Metric {
    let order = [(Split::Validation, Quantity::Accuracy), (Split::Validation, Quantity::Loss), (Split::Train, Quantity::Accuracy)];
    let is_there = |(split, quantity): &(Split, Quantity)| {
        let mut evals = runs.iter().flat_map(|run| &run.evals).filter(|eval| eval.split == *split);
        evals.any(|eval| if *quantity == Quantity::Loss { eval.loss } else { eval.accuracy }.is_some())
    };
    let (split, quantity) = order.into_iter().find(is_there).unwrap_or((Split::Train, Quantity::Loss));
    Metric { split, quantity }
}

#[cfg(fuzzing)]
pub mod fuzzing {
    //! Both readers on any bytes.

    use super::{Names, csv, tensorboard};
    use crate::tensorboard::record;

    /// # Errors
    /// Why they are no CSV file of results.
    pub fn csv(bytes: &[u8]) -> Result<(), String> {
        let read = || csv::parse(bytes, "fuzz", &Names::new(&[], None)?);
        read().map(drop).map_err(|e| e.to_string())
    }

    /// # Errors
    /// Why they are no event file.
    pub fn events(bytes: &[u8]) -> Result<(), String> {
        tensorboard::events(&mut &bytes[..]).map(drop)
    }

    /// An event file of one record.
    pub fn framed(event: &[u8]) -> Vec<u8> {
        let mut file = vec![];
        record::write(&mut file, event).expect("memory takes it");
        file
    }
}
