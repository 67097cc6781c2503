//! Runs from elsewhere, written down beside our own.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior, params};
use spec::record::Outcome;
use spec::{Split, Study};

use crate::error::Error;
use crate::register::register;
use crate::store;

/// What a configuration has as its objective when the run was not trained here.
pub const IMPORTED: &str = "imported";

/// A run that was trained elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedRun {
    /// See [`spec::Config::run_id`]; one of the study's.
    pub id: String,
    pub outcome: Outcome,
    pub error: Option<String>,
    pub steps: Vec<ImportedStep>,
    pub evals: Vec<ImportedEval>,
}

/// An optimizer update, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImportedStep {
    pub step: u64,
    pub epoch: u64,
    pub examples: u64,
    /// May be non-finite.
    pub loss: f64,
    pub accuracy: Option<f64>,
    pub lr: Option<f64>,
    pub grad_norm: Option<f64>,
    pub elapsed_ms: f64,
}

/// Metrics on a split, as far as they are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImportedEval {
    pub split: Split,
    pub step: u64,
    pub epoch: u64,
    pub examples: u64,
    /// May be non-finite.
    pub loss: Option<f64>,
    pub accuracy: Option<f64>,
    pub elapsed_ms: f64,
}

/// What came of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    pub new: u64,
    /// Runs that were there already, with the same records.
    pub known: u64,
    /// Runs that were there with other records.
    pub replaced: u64,
}

/// Whether a study is there whose runs were imported (`true`) or trained here (`false`).
const HAS: &str = "SELECT EXISTS (SELECT 1 FROM study_run JOIN run ON run.id = run_id
                   WHERE study = ?1 AND (config ->> 'objective' IS ?2) = ?3)";

/// Writes down a study whose runs were trained elsewhere, all of it or nothing. A study of that name is replaced, if it was imported, too.
///
/// # Errors
/// When the file is not ours or can't be written, the name is that of a study of our own, or a run is there with other records and not
/// to be replaced.
pub fn import(path: &Path, study: &Study, runs: &[ImportedRun], replace: bool) -> Result<Imported, Error> {
    let mut connection = store::open_for_writing(path)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if transaction.query_row(HAS, params![study.name, IMPORTED, false], |r| r.get(0))? {
        return Err(Error::Taken(format!("the study `{}` is one of this database's own; give the import another name", study.name)));
    }
    register(&transaction, std::slice::from_ref(study))?;
    let mut imported = Imported::default();
    for run in runs {
        let sql = "SELECT key, outcome IS NOT NULL FROM run WHERE id = ?";
        let (key, is_there): (i64, bool) = transaction.query_row(sql, [&run.id], |r| Ok((r.get(0)?, r.get(1)?)))?;
        if is_there && logged(&transaction, key)? == records(run) {
            imported.known += 1;
            continue;
        }
        if is_there {
            if !replace {
                let what = "was imported before with other values; --force replaces them, another --study keeps both";
                return Err(Error::Taken(format!("run {} of the study `{}` {what}", run.id, study.name)));
            }
            transaction.execute("DELETE FROM step_log WHERE run_key = ?", [key])?;
            transaction.execute("DELETE FROM eval_log WHERE run_key = ?", [key])?;
            imported.replaced += 1;
        } else {
            imported.new += 1;
        }
        write(&transaction, key, run)?;
        let last = run.steps.last().map(|s| s.step).max(run.evals.iter().map(|e| e.step).max()).unwrap_or(0);
        let now = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";
        let sql =
            format!("UPDATE run SET outcome = ?, error = ?, steps = ?, version = ?, started_at = {now}, ended_at = {now} WHERE key = ?");
        transaction.execute(&sql, params![run.outcome.name(), run.error, last, IMPORTED, key])?;
    }
    // A grid has every seed in every arm; what comes from elsewhere need not.
    transaction.execute("DELETE FROM study_run WHERE study = ? AND run_id IN (SELECT id FROM run WHERE outcome IS NULL)", [&study.name])?;
    transaction.execute("DELETE FROM run WHERE started_at IS NULL AND config ->> 'objective' IS ?", [IMPORTED])?;
    transaction.commit()?;
    store::settle(&connection)?;
    Ok(imported)
}

/// Refuses to sweep a study of a name that an import has: its runs would be in no study any more.
pub(crate) fn refuse_names(connection: &Connection, studies: &[Study]) -> Result<(), Error> {
    for Study { name, .. } in studies {
        if connection.query_row(HAS, params![name, IMPORTED, true], |r| r.get(0))? {
            let what = "was imported into this database; give the grid file another name, or name another database with --db";
            return Err(Error::Taken(format!("the study `{name}` {what}")));
        }
    }
    Ok(())
}

fn write(connection: &Connection, key: i64, run: &ImportedRun) -> Result<(), Error> {
    let is_finite = |values: &[Option<f64>]| values.iter().flatten().all(|x| x.is_finite());
    let mut insert = connection.prepare_cached("INSERT INTO step_log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    for s in &run.steps {
        let (us, finite) = (microseconds(s.elapsed_ms), is_finite(&[Some(s.loss), s.accuracy, s.lr, s.grad_norm]));
        insert.execute(params![key, s.step, s.epoch, s.examples, s.loss, s.accuracy, s.lr, s.grad_norm, us, finite])?;
    }
    let mut insert = connection.prepare_cached("INSERT INTO eval_log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)")?;
    for e in &run.evals {
        let (us, finite) = (microseconds(e.elapsed_ms), is_finite(&[e.loss, e.accuracy]));
        insert.execute(params![key, e.split.name(), e.step, e.epoch, e.examples, e.loss, e.accuracy, us, finite])?;
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "a training of 300 000 years would be cut")]
fn microseconds(ms: f64) -> i64 {
    (ms * 1e3).round() as i64
}

/// The records of a run as they are logged, in order: numbers by their bits, NaN as SQLite keeps it.
type Records = Vec<(String, u64, Vec<Option<u64>>)>;

fn bits(x: f64) -> Option<u64> {
    (!x.is_nan()).then(|| x.to_bits())
}

fn records(run: &ImportedRun) -> Records {
    let steps = run.steps.iter().map(|s| {
        let values = [Some(s.loss), s.accuracy, s.lr, s.grad_norm].map(|x| x.and_then(bits));
        (String::new(), s.step, values.to_vec())
    });
    let evals = run.evals.iter().map(|e| (e.split.name().to_owned(), e.step, [e.loss, e.accuracy].map(|x| x.and_then(bits)).to_vec()));
    let mut all: Records = steps.chain(evals).collect();
    all.sort();
    all
}

fn logged(connection: &Connection, key: i64) -> Result<Records, Error> {
    let mut all: Records = vec![];
    for sql in [
        "SELECT '', step, loss, accuracy, lr, grad_norm FROM step_log WHERE run_key = ?",
        "SELECT split, step, loss, accuracy FROM eval_log WHERE run_key = ?",
    ] {
        let mut statement = connection.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query([key])?;
        while let Some(r) = rows.next()? {
            let values = (2..columns).map(|i| Ok(r.get::<_, Option<f64>>(i)?.and_then(bits)));
            all.push((r.get(0)?, r.get(1)?, values.collect::<rusqlite::Result<_>>()?));
        }
    }
    all.sort();
    Ok(all)
}
