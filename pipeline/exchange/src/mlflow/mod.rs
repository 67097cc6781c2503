//! An MLflow tracking store in SQLite, which MLflow's client and server open: studies are experiments, every step of every metric is there.
//!
//! A store that does not exist is made with the tables of MLflow 3.17 (`schema.sql`). One that does is added to, whatever version made it:
//! only the tables that every version has are written. What an export wrote before is replaced, so exporting again changes nothing; what
//! was set in MLflow since (tags, notes) stays.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, params};
use serde_json::Value;
use spec::record::Outcome;
use tracker::dump::{Chosen, Datum, EVALS, MEASUREMENTS, POSITIONS, STEPS};
use tracker::read::RunRecord;
use tracker::{Reader, Temporary};

use crate::error::Error;

const SCHEMA: &str = include_str!("schema.sql");
/// The migration that it stands at.
const REVISION: &str = "dc11669786a5";
/// Longest value of a parameter, and of a tag.
const MAX_PARAMETER: usize = 6000;
const MAX_TAG: usize = 5000;
/// Of the table of metrics, whose index is in another order than the rows come in.
const CACHE_KIB: i64 = 256 * 1024;

/// Writes the runs; returns the number of values.
pub(crate) fn export(reader: &Reader, chosen: &Chosen, target: &Path) -> Result<u64, Error> {
    let parent = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(Error::file(parent))?;
    if target.is_dir() {
        return Err(Error::NoStore(target.to_owned()));
    }
    if target.exists() {
        return write(reader, chosen, target, target);
    }
    let temporary = Temporary::beside(target)?;
    let values = write(reader, chosen, target, temporary.path())?;
    if temporary.publish(target, false)? { Ok(values) } else { Err(Error::Exists(target.to_owned())) }
}

/// Writes the runs into the store `file`, which will have the name `target`. All or nothing: what fails leaves a store as it was.
fn write(reader: &Reader, chosen: &Chosen, target: &Path, file: &Path) -> Result<u64, Error> {
    let failed = |e: rusqlite::Error| match e.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => Error::NoStore(target.to_owned()),
        _ => Error::Store { path: target.to_owned(), why: why(&e) },
    };
    // A URI would be taken for one otherwise.
    let mut connection =
        Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
    connection.busy_timeout(std::time::Duration::from_secs(10)).map_err(failed)?;
    if file != target {
        // One in the making is thrown away if it fails, and synced when it is done.
        connection.pragma_update(None, "journal_mode", "MEMORY").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "OFF").map_err(failed)?;
    }
    connection.pragma_update(None, "cache_size", -CACHE_KIB).map_err(failed)?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(failed)?;
    prepare(&transaction, target)?;
    let mut store = Store { reader, target, transaction, values: 0 };
    for (study, runs) in &chosen.studies {
        let experiment = store.experiment(study).map_err(failed)?;
        for run in runs {
            store.run(experiment, study, run)?;
        }
    }
    let Store { transaction, values, .. } = store;
    transaction.commit().map_err(failed)?;
    Ok(values)
}

fn why(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    }
}

/// Makes the tables of a new store; refuses what is none.
fn prepare(store: &Transaction<'_>, target: &Path) -> Result<(), Error> {
    let error = |why: String| Error::Store { path: target.to_owned(), why };
    let has = |name: &str| store.query_row("SELECT 1 FROM sqlite_schema WHERE name = ?", [name], |_| Ok(())).is_ok();
    let tables: u64 = store.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |r| r.get(0)).map_err(|e| error(why(&e)))?;
    if tables == 0 {
        let make = || {
            store.execute_batch(SCHEMA)?;
            store.execute("INSERT INTO alembic_version VALUES (?)", [REVISION])?;
            store.execute("INSERT INTO workspaces (name, description) VALUES ('default', 'Default workspace for legacy resources')", [])?;
            let sql = "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time)
                       VALUES (0, 'Default', ?, 'active', 0, 0)";
            store.execute(sql, [artifacts(target, 0)])
        };
        return make().map(drop).map_err(|e| error(why(&e)));
    }
    if ["alembic_version", "experiments", "runs", "metrics", "latest_metrics", "params", "tags"].into_iter().all(has) {
        return Ok(());
    }
    Err(Error::NoStore(target.to_owned()))
}

/// Where MLflow would put files of an experiment; we write none.
fn artifacts(target: &Path, experiment: i64) -> String {
    let folder = std::path::absolute(target).ok().and_then(|path| path.parent().map(Path::to_owned)).unwrap_or_default();
    folder.join("mlruns").join(experiment.to_string()).display().to_string()
}

/// `1795652412964`
#[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970")]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1e3).round() as i64
}

/// As much of a text as MLflow takes.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

struct Store<'a> {
    reader: &'a Reader,
    target: &'a Path,
    transaction: Transaction<'a>,
    values: u64,
}

impl Store<'_> {
    fn failed(&self, error: &rusqlite::Error) -> Error {
        Error::Store { path: self.target.to_owned(), why: why(error) }
    }

    /// The number of the experiment for a study, which is made if there is none.
    fn experiment(&self, study: &str) -> rusqlite::Result<i64> {
        let find = || self.transaction.query_row("SELECT experiment_id FROM experiments WHERE name = ?", [study], |r| r.get(0));
        if let Ok(id) = find() {
            // It may have been deleted in MLflow; it is asked for again.
            self.transaction.execute("UPDATE experiments SET lifecycle_stage = 'active' WHERE experiment_id = ?", [id])?;
            return Ok(id);
        }
        let id: i64 = self.transaction.query_row("SELECT COALESCE(MAX(experiment_id), 0) + 1 FROM experiments", [], |r| r.get(0))?;
        let now = "CAST(unixepoch('now', 'subsec') * 1000 AS INTEGER)";
        let sql = format!(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time)
             VALUES (?, ?, ?, 'active', {now}, {now})"
        );
        self.transaction.execute(&sql, params![id, study, artifacts(self.target, id)])?;
        Ok(id)
    }

    fn run(&mut self, experiment: i64, study: &str, run: &RunRecord) -> Result<(), Error> {
        // 32 digits, as a UUID has; a run of two studies stands in both experiments.
        let uuid = format!("{}{}", run.id, spec::fingerprint(study.as_bytes()));
        let (started, ended) = self.reader.times(run)?;
        self.describe(experiment, study, run, &uuid, [started, ended]).map_err(|e| self.failed(&e))?;
        self.metrics(run, &uuid, started.unwrap_or(0.0))
    }

    /// The run with its parameters and tags.
    fn describe(&self, experiment: i64, study: &str, run: &RunRecord, uuid: &str, times: [Option<f64>; 2]) -> rusqlite::Result<()> {
        let store = &self.transaction;
        // Tags that somebody set in MLflow stay.
        for table in ["metrics", "latest_metrics", "params"] {
            store.execute(&format!("DELETE FROM {table} WHERE run_uuid = ?"), [uuid])?;
        }
        let status = match run.outcome {
            // A diverged run is a result; the tag `outcome` says so.
            Some(Outcome::Completed | Outcome::StoppedEarly | Outcome::Diverged) => "FINISHED",
            Some(Outcome::Failed) => "FAILED",
            Some(Outcome::Interrupted) => "KILLED",
            None if run.started => "RUNNING",
            None => "SCHEDULED",
        };
        let name = format!("{} seed={}", run.arm, run.seed);
        let name = cut(&name, 250);
        let commit = run.git_commit.as_deref().unwrap_or_default();
        let [started, ended] = times.map(|time| time.map(milliseconds));
        let place = format!("{}/{uuid}/artifacts", artifacts(self.target, experiment));
        store.execute(
            "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time,
                               source_version, lifecycle_stage, artifact_uri, experiment_id)
             VALUES (?, ?, 'LOCAL', 'pipeline', '', '', ?, ?, ?, ?, 'active', ?, ?)
             ON CONFLICT (run_uuid) DO UPDATE SET name = excluded.name, status = excluded.status, start_time = excluded.start_time,
                 end_time = excluded.end_time, source_version = excluded.source_version, lifecycle_stage = 'active'",
            params![uuid, name, status, started, ended, cut(commit, 50), cut(&place, 200), experiment],
        )?;
        let config: serde_json::Map<String, Value> = serde_json::from_str(&run.config).unwrap_or_default();
        let seed = ("seed".to_owned(), Value::from(run.seed));
        let mut parameter = store.prepare_cached("INSERT OR IGNORE INTO params (key, value, run_uuid) VALUES (?, ?, ?)")?;
        for (key, value) in config.into_iter().chain([seed]) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            parameter.execute(params![cut(&key, 250), cut(&value, MAX_PARAMETER), uuid])?;
        }
        let seed = run.seed.to_string();
        let tags = [
            ("mlflow.runName", name),
            ("mlflow.source.name", "pipeline"),
            ("mlflow.source.type", "LOCAL"),
            ("mlflow.source.git.commit", commit),
            ("study", study),
            ("arm", &run.arm),
            ("seed", &seed),
            ("run_id", &run.id),
            ("device", run.device.as_deref().unwrap_or_default()),
            ("version", run.version.as_deref().unwrap_or_default()),
            ("outcome", run.state()),
            ("error", run.error.as_deref().unwrap_or_default()),
        ];
        let mut tag = store.prepare_cached("INSERT OR REPLACE INTO tags (key, value, run_uuid) VALUES (?, ?, ?)")?;
        for (key, value) in tags.into_iter().filter(|(_, value)| !value.is_empty()) {
            tag.execute(params![key, cut(value, MAX_TAG), uuid])?;
        }
        Ok(())
    }

    /// Every value of every metric, and the last of each.
    fn metrics(&mut self, run: &RunRecord, uuid: &str, started: f64) -> Result<(), Error> {
        let (reader, path, mut values) = (self.reader, self.target.to_owned(), 0);
        let failed = |e: rusqlite::Error| Error::Store { path: path.clone(), why: why(&e) };
        let sql = "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)";
        let mut insert = self.transaction.prepare_cached(sql).map_err(failed)?;
        let mut put = |key: &str, datum: &Datum<'_>, step: i64, elapsed_ms: f64| -> Result<(), Error> {
            let Datum::Real(x) = datum else { return Ok(()) };
            values += 1;
            // MLflow keeps NaN as 0 with a mark, and infinity as the largest number.
            let value = if x.is_nan() { 0.0 } else { x.clamp(f64::MIN, f64::MAX) };
            let at = milliseconds(started) + milliseconds(elapsed_ms / 1e3);
            insert.execute(params![key, value, at, uuid, step, x.is_nan()]).map(drop).map_err(failed)
        };
        reader.records(&STEPS, run, |row| {
            let [Datum::Integer(step), _, _, metrics @ .., Datum::Real(elapsed), _] = row else { return Ok(()) };
            ["loss", "accuracy", "lr", "grad_norm"].into_iter().zip(metrics).try_for_each(|(name, x)| put(name, x, *step, *elapsed))
        })?;
        reader.records(&EVALS, run, |row| {
            let [Datum::Text(split), Datum::Integer(step), _, _, loss, accuracy, noise, Datum::Real(elapsed), _] = row else {
                return Ok(());
            };
            let named = [("loss", loss), ("accuracy", accuracy), ("noise_scale", noise)];
            named.into_iter().try_for_each(|(name, x)| put(&format!("{split}_{name}"), x, *step, *elapsed))
        })?;
        reader.records(&POSITIONS, run, |row| {
            let [Datum::Integer(step), x, y] = row else { return Ok(()) };
            put("position_x", x, *step, 0.0)?;
            put("position_y", y, *step, 0.0)
        })?;
        reader.records(&MEASUREMENTS, run, |row| {
            let [Datum::Text(name), value] = row else { return Ok(()) };
            // A name of its own may be that of a curve.
            put(cut(&format!("measurement/{name}"), 250), value, 0, 0.0)
        })?;
        // The last is that of the highest step, as MLflow has it.
        let latest = "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid)
                      SELECT key, value, timestamp, step, is_nan, run_uuid FROM (
                          SELECT *, ROW_NUMBER() OVER (PARTITION BY key ORDER BY step DESC, timestamp DESC, value DESC) AS place
                          FROM metrics WHERE run_uuid = ?
                      ) WHERE place = 1";
        self.transaction.execute(latest, [uuid]).map_err(failed)?;
        drop(insert);
        self.values += values;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("größe", 3), "gr");
        assert_eq!(cut("größe", 4), "grö");
        assert_eq!(cut("abc", 10), "abc");
    }
}
