//! Several results files into one: what sweeps on several machines have found, each run once.
//!
//! First every run and every study is decided on; then what comes is written in one transaction. So a conflict leaves no trace, and a
//! merge that finds nothing new writes nothing. The order in which files are named decides nothing: the one with the latest run is first.

mod difference;
mod transfer;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};
use spec::record::Outcome;

use crate::copy::same;
use crate::error::Error;
use crate::lease;
use crate::store::{self, Temporary};

/// What came of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Runs that the target did not have.
    pub new: u64,
    /// Runs that were there as good already, or came from another source.
    pub known: u64,
    /// Runs that took the place of what the target knew: they have a result, came further, or were tried later.
    pub better: u64,
    /// Studies that differ from the target's of the same name, which stays.
    pub different_studies: Vec<String>,
}

/// A log of a run.
struct Log {
    table: &'static str,
    /// What one of its rows is.
    noun: &'static str,
    /// What tells its rows from each other.
    key: &'static [&'static str],
}

/// In the order in which they tell best where two trainings part.
const LOGS: [Log; 6] = [
    Log { table: "step_log", noun: "step", key: &["step"] },
    Log { table: "eval_log", noun: "evaluation", key: &["split", "step"] },
    Log { table: "position_log", noun: "position", key: &["step"] },
    Log { table: "measurement_log", noun: "measurement", key: &["name"] },
    Log { table: "picture_log", noun: "picture", key: &["name"] },
    Log { table: "confusion_log", noun: "confusion", key: &["label", "predicted"] },
];

/// A file as it stands at one moment.
struct Side<'a> {
    path: &'a Path,
    connection: &'a Connection,
    content: &'a Content,
}

/// A source. Its copy, if it was of an earlier version, goes after its connection.
struct Source {
    place: usize,
    path: PathBuf,
    connection: Connection,
    content: Content,
    _copy: Option<Temporary>,
}

impl Source {
    fn open(place: usize, path: &Path, target: &Path) -> Result<Self, Error> {
        if same(path, target) {
            return Err(Error::IntoItself(path.to_owned()));
        }
        let (connection, copy) = store::open_untouched(path, target)?;
        let content = Content::read(&connection).map_err(|e| e.at(path))?;
        Ok(Source { place, path: path.to_owned(), connection, content, _copy: copy })
    }
}

/// What a file knows, as far as it decides.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Content {
    /// By id.
    runs: BTreeMap<String, Held>,
    /// By name.
    studies: BTreeMap<String, Asked>,
    /// Runs that are being trained.
    in_training: BTreeSet<String>,
}

/// A run in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    key: i64,
    outcome: Option<String>,
    started_at: Option<String>,
    ended_at: Option<String>,
    /// The last that is logged.
    step: i64,
}

/// A study in a file: its grid file, and position, run, label and axes of its cells.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Asked {
    source: String,
    cells: Vec<(i64, String, String, String)>,
}

impl Held {
    fn is_result(&self) -> bool {
        self.outcome.as_deref().and_then(Outcome::from_name).is_some_and(Outcome::is_result)
    }

    /// Of two that are not both results, the larger is the better one: what came further, or was tried last.
    fn standing(&self) -> (u8, i64, [Option<&str>; 2]) {
        let rank = match self.outcome.as_deref() {
            _ if self.is_result() => return (3, 0, [None; 2]),
            Some("failed") => 2,
            // Interrupted or cut off: it goes on where it came to.
            _ if self.started_at.is_some() => 1,
            _ => 0,
        };
        (rank, self.step, [self.ended_at.as_deref(), self.started_at.as_deref()])
    }
}

impl Content {
    fn read(connection: &Connection) -> Result<Self, Error> {
        let mut content = Content::default();
        let mut runs = connection.prepare(
            "SELECT id, key, outcome, started_at, ended_at, COALESCE((SELECT MAX(step) FROM step_log WHERE run_key = run.key), 0) FROM run",
        )?;
        let mut rows = runs.query([])?;
        while let Some(r) = rows.next()? {
            let held = Held { key: r.get(1)?, outcome: r.get(2)?, started_at: r.get(3)?, ended_at: r.get(4)?, step: r.get(5)? };
            content.runs.insert(r.get(0)?, held);
        }
        let mut studies = connection.prepare("SELECT name, source FROM study")?;
        let mut cells =
            connection.prepare("SELECT position, run_id, arm, axes FROM study_run WHERE study = ? ORDER BY position, run_id")?;
        let mut rows = studies.query([])?;
        while let Some(r) = rows.next()? {
            let name: String = r.get(0)?;
            let cells = cells.query_map([&name], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?.collect::<Result<_, _>>()?;
            content.studies.insert(name, Asked { source: r.get(1)?, cells });
        }
        Ok(content)
    }

    /// With the runs that sweeps are training: in a target they are not touched, unless it is a result that comes.
    fn of_target(connection: &Connection) -> Result<Self, Error> {
        let in_training = lease::in_training(connection)?.into_iter().collect();
        Ok(Content { in_training, ..Content::read(connection)? })
    }

    fn latest(&self) -> Option<&str> {
        self.runs.values().filter_map(|held| held.started_at.as_deref()).max()
    }
}

/// What is to be written, by sources in their order.
#[derive(Default)]
struct Plan {
    /// Place of the source, and the run's id.
    runs: Vec<(usize, String)>,
    studies: Vec<(usize, String)>,
    merged: Vec<Merged>,
}

impl Plan {
    /// Decides on every run and study.
    fn new(target: &Side<'_>, sources: &[Side<'_>]) -> Result<Self, Error> {
        let side = |holder: Option<usize>| holder.map_or(target, |i| &sources[i]);
        let mut plan = Plan { merged: vec![Merged::default(); sources.len()], ..Plan::default() };

        let mut studies: BTreeMap<&str, Option<usize>> = target.content.studies.keys().map(|name| (name.as_str(), None)).collect();
        for (i, source) in sources.iter().enumerate() {
            for (name, asked) in &source.content.studies {
                let holder = *studies.entry(name).or_insert(Some(i));
                if side(holder).content.studies[name] != *asked {
                    plan.merged[i].different_studies.push(name.clone());
                }
            }
        }
        let cells = |(name, holder): (&&str, &Option<usize>)| side(*holder).content.studies[*name].cells.iter().map(|(_, run, ..)| run);
        let asked_for: BTreeSet<&String> = studies.iter().flat_map(cells).collect();

        let mut runs: BTreeMap<&String, Option<usize>> = target.content.runs.keys().map(|id| (id, None)).collect();
        let compared = difference::Compared::new()?;
        let mut conflicts = vec![];
        for (i, source) in sources.iter().enumerate() {
            for (id, held) in &source.content.runs {
                // As in a sweep: what never started is there for the studies that ask for it.
                if held.started_at.is_none() && !asked_for.contains(id) {
                    continue;
                }
                let holder = runs.entry(id).or_insert(Some(i));
                if *holder == Some(i) {
                    continue;
                }
                let other = side(*holder);
                let there = &other.content.runs[id];
                if held.is_result() && there.is_result() {
                    conflicts.extend(difference::between(&compared, id, (other, there), (source, held))?);
                } else if held.standing() > there.standing() && (held.is_result() || !target.content.in_training.contains(id)) {
                    *holder = Some(i);
                }
            }
        }
        if !conflicts.is_empty() {
            return Err(Error::Conflict(difference::message(&conflicts)));
        }

        for (i, source) in sources.iter().enumerate() {
            for id in source.content.runs.keys() {
                let merged = &mut plan.merged[i];
                match runs.get(id) {
                    Some(holder) if *holder != Some(i) => merged.known += 1,
                    Some(_) if target.content.runs.contains_key(id) => merged.better += 1,
                    Some(_) => merged.new += 1,
                    None => {}
                }
            }
        }
        let held_by_source = |(name, holder): (&&str, Option<usize>)| holder.map(|i| (i, (*name).to_owned()));
        plan.studies = studies.iter().filter_map(|(name, holder)| held_by_source((name, *holder))).collect();
        plan.runs = runs.iter().filter_map(|(id, holder)| holder.map(|i| (i, (*id).clone()))).collect();
        Ok(plan)
    }

    fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.studies.is_empty()
    }
}

/// Brings what results files know into one, which is made if it is absent. The sources stay as they are. Says per source what came.
///
/// A run that several files have is taken once: a result before none, what came further before what did not.
///
/// # Errors
/// When a source can't be read or is the target, the target can't be written, or a run has one result here and another there; then
/// nothing is written.
pub fn merge(sources: &[PathBuf], target: &Path) -> Result<Vec<Merged>, Error> {
    bring(sources, target, &Content::of_target)
}

/// As [`merge`], into a copy that nobody trains in: claims that came with it are those of the original.
pub(crate) fn merge_into_copy(source: &Path, copy: &Path) -> Result<(), Error> {
    bring(&[source.to_owned()], copy, &Content::read).map(drop)
}

fn bring(sources: &[PathBuf], target: &Path, content_of: &dyn Fn(&Connection) -> Result<Content, Error>) -> Result<Vec<Merged>, Error> {
    let mut sources =
        sources.iter().enumerate().map(|(place, path)| Source::open(place, path, target)).collect::<Result<Vec<_>, Error>>()?;
    sources.sort_by(|a, b| b.content.latest().cmp(&a.content.latest()).then_with(|| a.content.cmp(&b.content)));
    let sides: Vec<Side<'_>> = sources.iter().map(|s| Side { path: &s.path, connection: &s.connection, content: &s.content }).collect();
    let blank = store::blank()?;

    let (reader, is_there) = match store::open_for_reading(target) {
        Ok(connection) => (Some(connection), true),
        Err(Error::Missing(_)) => (None, false),
        Err(e) => return Err(e),
    };
    let connection = reader.as_ref().unwrap_or(&blank);
    let content = content_of(connection).map_err(|e| e.at(target))?;
    let mut plan = Plan::new(&Side { path: target, connection, content: &content }, &sides)?;
    drop(reader);
    if !is_there || !plan.is_empty() {
        let mut connection = store::open_for_writing(target)?;
        let mut write = || {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            // A sweep may have written in the meantime; now none can.
            let now = content_of(&transaction)?;
            if now != content {
                plan = Plan::new(&Side { path: target, connection: &transaction, content: &now }, &sides)?;
            }
            transfer::write(&plan, &sides, &transaction, &now, &blank)?;
            Ok(transaction.commit()?)
        };
        let written: Result<(), Error> = write();
        // Also where nothing was written: what is there must be readable on a full disk.
        let settled = store::settle(&connection);
        written.and(settled).map_err(|e| e.at(target))?;
    }
    let mut merged: Vec<(usize, Merged)> = sources.iter().map(|s| s.place).zip(plan.merged).collect();
    merged.sort_by_key(|(place, _)| *place);
    Ok(merged.into_iter().map(|(_, merged)| merged).collect())
}

/// Names of a table's columns.
fn columns(blank: &Connection, table: &str) -> Result<Vec<String>, Error> {
    let statement = blank.prepare(&format!("SELECT * FROM {table}"))?;
    Ok(statement.column_names().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_log_is_merged_with_its_key() {
        let blank = store::blank().unwrap();
        let names = |sql: &str| {
            let mut statement = blank.prepare(sql).unwrap();
            statement.query_map([], |r| r.get(0)).unwrap().collect::<Result<BTreeSet<String>, _>>().unwrap()
        };
        let tables = names("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE '%\\_log' ESCAPE '\\'");
        assert_eq!(tables, LOGS.iter().map(|log| log.table.to_owned()).collect());
        for log in &LOGS {
            let key = names(&format!("SELECT name FROM pragma_table_info('{}') WHERE pk > 0 AND name != 'run_key'", log.table));
            assert_eq!(key, log.key.iter().map(|&column| column.to_owned()).collect());
        }
    }
}
