//! Where two results of one run differ, for people.

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Row};

use super::{Held, LOGS, Log, Side, columns};
use crate::error::Error;
use crate::store;

/// So many are shown in full.
const SHOWN: usize = 5;

/// What a run's row says that is no time and no place.
const FACTS: [&str; 9] = ["outcome", "error", "steps", "planned_steps", "parameters", "classes", "arm", "seed", "config"];

/// Columns of logs that two trainings of one run need not share.
const FREE: [&str; 2] = ["run_key", "elapsed_us"];

/// The columns of each log that two results of a run must share, those of its key first. Found out once: runs are many.
pub(super) struct Compared(Vec<Vec<String>>);

impl Compared {
    pub(super) fn new() -> Result<Self, Error> {
        let blank = store::blank()?;
        let of = |log: &Log| {
            let free = columns(&blank, log.table)?.into_iter().filter(|name| !FREE.contains(&name.as_str()));
            let rest = free.filter(|name| !log.key.contains(&name.as_str()));
            Ok(log.key.iter().map(|&name| name.to_owned()).chain(rest).collect())
        };
        Ok(Compared(LOGS.iter().map(of).collect::<Result<_, Error>>()?))
    }
}

/// What to say of a run with two results, if they differ.
pub(super) fn between(compared: &Compared, id: &str, a: (&Side<'_>, &Held), b: (&Side<'_>, &Held)) -> Result<Option<String>, Error> {
    let Some(first) = first(compared, a, b)? else { return Ok(None) };
    let (name, lines) = (name(id, b.0)?, [describe(a)?, describe(b)?]);
    Ok(Some(format!("  run {id}{name}\n    {}\n    {}\n    first difference: {first}", lines[0], lines[1])))
}

/// The error for all of them.
pub(super) fn message(conflicts: &[String]) -> String {
    let runs = if conflicts.len() == 1 { "1 run has".into() } else { format!("{} runs have", conflicts.len()) };
    let more = conflicts.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    format!(
        "{runs} different results in two files; nothing was merged\n{}{more}\n  = `pipeline reproduce RUN --db FILE` says which of them \
         this machine finds, too; leave out the other file",
        conflicts[..conflicts.len().min(SHOWN)].join("\n")
    )
}

/// The first of all that differs, with both values.
fn first(compared: &Compared, a: (&Side<'_>, &Held), b: (&Side<'_>, &Held)) -> Result<Option<String>, Error> {
    for (log, columns) in LOGS.iter().zip(&compared.0) {
        if let Some(found) = first_in(log, columns, a, b)? {
            return Ok(Some(found));
        }
    }
    let facts = Log { table: "run", noun: "the run", key: &[] };
    first_in(&facts, &FACTS.map(str::to_owned), a, b)
}

/// The first difference in a log, or in a run's own row. Rows are looked at one by one: there may be millions.
fn first_in(log: &Log, columns: &[String], (a, in_a): (&Side<'_>, &Held), (b, in_b): (&Side<'_>, &Held)) -> Result<Option<String>, Error> {
    let (blame_a, blame_b) = (|e: rusqlite::Error| Error::from(e).at(a.path), |e: rusqlite::Error| Error::from(e).at(b.path));
    let of_run = if log.table == "run" { "key" } else { "run_key" };
    let order = if log.key.is_empty() { "1".into() } else { log.key.join(", ") };
    let sql = format!("SELECT {} FROM {} WHERE {of_run} = ? ORDER BY {order}", columns.join(", "), log.table);
    let mut of_a = a.connection.prepare_cached(&sql).map_err(blame_a)?;
    let mut of_b = b.connection.prepare_cached(&sql).map_err(blame_b)?;
    let mut rows_a = of_a.query([in_a.key]).map_err(blame_a)?;
    let mut rows_b = of_b.query([in_b.key]).map_err(blame_b)?;
    let place = |row: &Row<'_>, keys: usize| -> rusqlite::Result<String> {
        (0..keys).try_fold(log.noun.to_owned(), |place, i| Ok(format!("{place} {}", shown(row.get_ref(i)?))))
    };
    let keys = log.key.len();
    let only = |row: &Row<'_>, side: &Side<'_>| {
        let place = place(row, keys).map_err(|e| Error::from(e).at(side.path))?;
        Ok(Some(format!("{place} is in {} only", side.path.display())))
    };
    loop {
        let (x, y) = match (rows_a.next().map_err(blame_a)?, rows_b.next().map_err(blame_b)?) {
            (None, None) => return Ok(None),
            (Some(row), None) => return only(row, a),
            (None, Some(row)) => return only(row, b),
            (Some(x), Some(y)) => (x, y),
        };
        for (i, name) in columns.iter().enumerate() {
            let (in_a, in_b) = (x.get_ref(i).map_err(blame_a)?, y.get_ref(i).map_err(blame_b)?);
            if in_a != in_b {
                let place = place(x, keys.min(i)).map_err(blame_a)?;
                return Ok(Some(format!("{place}, {name}: {} against {}", shown(in_a), shown(in_b))));
            }
        }
    }
}

/// A value with all its digits.
fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "nothing".into(),
        ValueRef::Integer(i) => i.to_string(),
        ValueRef::Real(x) => x.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => format!("{} bytes ({})", bytes.len(), spec::fingerprint(bytes)),
    }
}

/// Study, arm and seed of a run, in brackets; nothing where no study asks for it.
fn name(id: &str, side: &Side<'_>) -> Result<String, Error> {
    let sql = "SELECT ' (' || sr.study || ' · ' || sr.arm || ' · seed ' || run.seed || ')'
               FROM study_run AS sr JOIN run ON run.id = sr.run_id WHERE run.id = ? ORDER BY sr.study LIMIT 1";
    let found = side.connection.query_row(sql, [id], |r| r.get(0)).optional();
    Ok(found.map_err(|e| Error::from(e).at(side.path))?.unwrap_or_default())
}

/// A file's result, with what it was found with.
fn describe((side, held): (&Side<'_>, &Held)) -> Result<String, Error> {
    let sql = "SELECT outcome || ', ' || steps || ' steps',
               (SELECT loss FROM step_log WHERE run_key = run.key ORDER BY step DESC LIMIT 1),
               concat_ws(', ', device, cpu, host, 'version ' || version, substr(ended_at, 1, 10)) FROM run WHERE key = ?";
    let described = side.connection.query_row(sql, [held.key], |r| {
        let (result, loss, with): (String, Option<f64>, String) = (r.get(0)?, r.get(1)?, r.get(2)?);
        let loss = loss.map_or(String::new(), |loss| format!(", last loss {loss}"));
        Ok(format!("{}: {result}{loss} ({with})", side.path.display()))
    });
    described.map_err(|e| Error::from(e).at(side.path))
}
