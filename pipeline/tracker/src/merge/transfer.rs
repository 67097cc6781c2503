//! Writing what a merge brings into its target. Keys are names within a file, so they change on the way.

use std::collections::BTreeMap;

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension, Params, params};

use super::{Content, LOGS, Plan, Side, columns};
use crate::error::Error;

/// Writes what is planned, inside a transaction. `now` is what the target holds, `blank` a database of its schema.
pub(super) fn write(plan: &Plan, sources: &[Side<'_>], target: &Connection, now: &Content, blank: &Connection) -> Result<(), Error> {
    let tables = ["run", "sweep", "attempt", "study", "study_target", "study_run"].into_iter().chain(LOGS.iter().map(|log| log.table));
    let columns = tables.map(|table| Ok((table, columns(blank, table)?))).collect::<Result<BTreeMap<_, _>, Error>>()?;
    let mut sweeps = BTreeMap::new();
    for (place, id) in &plan.runs {
        let (source, from) = (&sources[*place], sources[*place].content.runs[id].key);
        if let Some(there) = now.runs.get(id) {
            for table in LOGS.iter().map(|log| log.table).chain(["attempt"]) {
                target.prepare_cached(&format!("DELETE FROM {table} WHERE run_key = ?"))?.execute([there.key])?;
            }
        }
        let key = write_run(source, from, target, now.runs.get(id).map(|there| there.key), &columns["run"])?;
        for log in &LOGS {
            let to = To { target, table: log.table, columns: &columns[log.table], replace: &[("run_key", key)] };
            to.take(source, "run_key = ?", [from])?;
        }
        // One without an end is a lease, or was: it means nothing in another file.
        let blame = |e: rusqlite::Error| Error::from(e).at(source.path);
        let mut statement = source
            .connection
            .prepare_cached("SELECT DISTINCT sweep_key FROM attempt WHERE run_key = ? AND ended_at IS NOT NULL ORDER BY 1")
            .map_err(blame)?;
        let tried: Vec<i64> = statement.query_map([from], |r| r.get(0)).and_then(Iterator::collect).map_err(blame)?;
        for theirs in tried {
            let ours = match sweeps.get(&(*place, theirs)) {
                Some(known) => *known,
                None => write_sweep(source, theirs, target, &columns["sweep"])?,
            };
            sweeps.insert((*place, theirs), ours);
            let replace = [("run_key", key), ("sweep_key", ours)];
            let to = To { target, table: "attempt", columns: &columns["attempt"], replace: &replace };
            to.take(source, "run_key = ? AND sweep_key = ? AND ended_at IS NOT NULL", [from, theirs])?;
        }
    }
    for (place, name) in &plan.studies {
        for (table, condition) in [("study", "name = ?"), ("study_target", "study = ?"), ("study_run", "study = ?")] {
            To { target, table, columns: &columns[table], replace: &[] }.take(&sources[*place], condition, [name])?;
        }
    }
    Ok(())
}

/// Writes a run's row, in the place of the target's if it has one. Returns its key there.
fn write_run(source: &Side<'_>, from: i64, target: &Connection, there: Option<i64>, columns: &[String]) -> Result<i64, Error> {
    let Some(key) = there else {
        To { target, table: "run", columns: &without_key(columns), replace: &[] }.take(source, "key = ?", [from])?;
        return Ok(target.last_insert_rowid());
    };
    let blame = |e: rusqlite::Error| Error::from(e).at(source.path);
    let mut select = source.connection.prepare_cached(&format!("SELECT {} FROM run WHERE key = ?", columns.join(", "))).map_err(blame)?;
    let mut rows = select.query([from]).map_err(blame)?;
    if let Some(row) = rows.next().map_err(blame)? {
        let set: Vec<String> = columns.iter().map(|name| format!("{name} = ?")).collect();
        let mut update = target.prepare_cached(&format!("UPDATE run SET {} WHERE key = {key}", set.join(", ")))?;
        for (i, name) in columns.iter().enumerate() {
            let value = row.get_ref(i).map_err(blame)?;
            let value = if name == "key" { ToSqlOutput::from(key) } else { ToSqlOutput::Borrowed(value) };
            update.raw_bind_parameter(i + 1, value)?;
        }
        update.raw_execute()?;
    }
    Ok(key)
}

/// Writes down a sweep, unless the target knows it. One that did not say goodbye ended when it was last heard of. Returns its key.
fn write_sweep(source: &Side<'_>, key: i64, target: &Connection, columns: &[String]) -> Result<i64, Error> {
    let sql = "SELECT place, pid, process_started, started_at FROM sweep WHERE key = ?";
    let (place, pid, process_started, started_at): (String, i64, i64, String) = source
        .connection
        .query_row(sql, [key], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))
        .map_err(|e| Error::from(e).at(source.path))?;
    let known = "SELECT key FROM sweep WHERE place = ? AND pid = ? AND process_started = ? AND started_at = ?";
    let known = target.query_row(known, params![place, pid, process_started, started_at], |r| r.get(0)).optional()?;
    if let Some(known) = known {
        return Ok(known);
    }
    To { target, table: "sweep", columns: &without_key(columns), replace: &[] }.take(source, "key = ?", [key])?;
    let ours = target.last_insert_rowid();
    let sql = "UPDATE sweep SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', heartbeat, 'unixepoch') WHERE key = ? AND ended_at IS NULL";
    target.execute(sql, [ours])?;
    Ok(ours)
}

/// The file gives the next key.
fn without_key(columns: &[String]) -> Vec<String> {
    columns.iter().filter(|name| *name != "key").cloned().collect()
}

/// Where rows go.
struct To<'a> {
    target: &'a Connection,
    table: &'a str,
    columns: &'a [String],
    /// Columns that get another value on the way.
    replace: &'a [(&'a str, i64)],
}

impl To<'_> {
    /// Takes over the rows of a source that fulfil a condition.
    fn take(&self, source: &Side<'_>, condition: &str, parameters: impl Params) -> Result<(), Error> {
        let blame = |e: rusqlite::Error| Error::from(e).at(source.path);
        let (table, columns) = (self.table, self.columns.join(", "));
        let sql = format!("SELECT {columns} FROM {table} WHERE {condition}");
        let mut select = source.connection.prepare_cached(&sql).map_err(blame)?;
        let marks = vec!["?"; self.columns.len()].join(", ");
        let mut insert = self.target.prepare_cached(&format!("INSERT INTO {table} ({columns}) VALUES ({marks})"))?;
        let replaced: Vec<Option<i64>> =
            self.columns.iter().map(|name| self.replace.iter().find(|(column, _)| column == name).map(|(_, value)| *value)).collect();
        let mut rows = select.query(parameters).map_err(blame)?;
        while let Some(row) = rows.next().map_err(blame)? {
            for (i, other) in replaced.iter().enumerate() {
                match other {
                    Some(value) => insert.raw_bind_parameter(i + 1, value)?,
                    None => insert.raw_bind_parameter(i + 1, ToSqlOutput::Borrowed(row.get_ref(i).map_err(blame)?))?,
                }
            }
            insert.raw_execute()?;
        }
        Ok(())
    }
}
