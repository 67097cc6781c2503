//! Who trains what: sweeps that share a file claim runs, and take over those of a sweep that has died.
//!
//! All of it runs inside transactions that begin by locking the file for writing, so that no two claim the same run. A sweep that was
//! only held up (a closed laptop, a stopped process) finds its runs taken over when it wakes, and drops them.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use spec::RunSpec;
use spec::record::Outcome;

use crate::checkpoint::Header;
use crate::error::Error;
use crate::process::Process;
use crate::write::{Buried, Ended, Environment};

/// How often a sweep says that it lives.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(5);
/// A sweep that has been silent for so many seconds is taken for dead. Where its process can be seen to be gone, nobody waits.
const EXPIRY_S: f64 = 60.0;

/// Why an attempt is lost that nobody saw the end of.
const TAKEN_OVER: &str = "its sweep died or fell silent";

pub(crate) const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";
const SECONDS: &str = "unixepoch('subsec')";

/// The time as it is written down, UTC.
///
/// # Errors
/// When SQLite can't be had.
pub fn now() -> Result<String, Error> {
    Ok(Connection::open_in_memory()?.query_row(&format!("SELECT {NOW}"), [], |r| r.get(0))?)
}

/// Under which conditions a run is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// If it has no result; it goes on from its checkpoint.
    Unfinished,
    /// If it has failed or has no result.
    Failed,
    /// From its start, unless another sweep has ended it since it was seen to have ended then.
    Again { ended_at: Option<String> },
    /// From its start, whatever is known of it.
    Always,
}

/// What came of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The run is the sweep's own. `resumable`: it may have a checkpoint to go on from; `is_new`: nothing was ever logged of it.
    Own { key: i64, attempt: i64, resumable: bool, is_new: bool },
    /// Another sweep trains it.
    Elsewhere,
    /// It has ended in the meantime.
    Done,
}

/// Enters this process into the file. Returns its key.
pub(crate) fn enter(connection: &Connection, process: &Process, host: Option<&str>) -> Result<i64, Error> {
    let sql = format!(
        "INSERT INTO sweep (host, place, pid, process_started, started_at, heartbeat) VALUES (?, ?, ?, ?, {NOW}, {SECONDS}) RETURNING key"
    );
    Ok(connection.query_row(&sql, params![host, process.place, process.pid, process.started], |r| r.get(0))?)
}

pub(crate) fn beat(connection: &Connection, sweep: i64) -> Result<(), Error> {
    connection.prepare_cached(&format!("UPDATE sweep SET heartbeat = {SECONDS} WHERE key = ?"))?.execute([sweep])?;
    Ok(())
}

/// Takes a sweep out again. What it has not ended it has dropped.
pub(crate) fn leave(connection: &Connection, sweep: i64) -> Result<(), Error> {
    let sql = format!("UPDATE attempt SET ended_at = {NOW}, outcome = 'interrupted' WHERE sweep_key = ? AND ended_at IS NULL");
    connection.execute(&sql, [sweep])?;
    connection.execute(&format!("UPDATE sweep SET ended_at = {NOW} WHERE key = ?"), [sweep])?;
    Ok(())
}

/// Whether a sweep is at work.
pub(crate) fn is_live(connection: &Connection, sweep: i64) -> Result<bool, Error> {
    let sql = format!("SELECT place, pid, process_started, ended_at IS NULL AND heartbeat > {SECONDS} - ? FROM sweep WHERE key = ?");
    let (process, beats) = connection.prepare_cached(&sql)?.query_row(params![EXPIRY_S, sweep], |r| {
        Ok((Process { place: r.get(0)?, pid: r.get(1)?, started: r.get(2)? }, r.get::<_, bool>(3)?))
    })?;
    Ok(beats && process.is_alive() != Some(false))
}

/// Runs that sweeps are training now, by id.
pub(crate) fn in_training(connection: &Connection) -> Result<Vec<String>, Error> {
    let mut statement = connection.prepare(
        "SELECT run.id, attempt.sweep_key FROM attempt JOIN run ON run.key = attempt.run_key WHERE attempt.ended_at IS NULL ORDER BY 2, 1",
    )?;
    let open: Vec<(String, i64)> = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut live = std::collections::BTreeMap::new();
    for (_, sweep) in &open {
        if !live.contains_key(sweep) {
            live.insert(*sweep, is_live(connection, *sweep)?);
        }
    }
    Ok(open.into_iter().filter(|(_, sweep)| live[sweep]).map(|(run, _)| run).collect())
}

/// Claims a run for a sweep.
pub(crate) fn claim(connection: &Connection, sweep: i64, run: &RunSpec, wanted: &Wanted) -> Result<Claim, Error> {
    // Another sweep, of a grid that does not ask for the run any more, may have removed it.
    connection.prepare_cached("INSERT OR IGNORE INTO run (id, arm, seed, config) VALUES (?, ?, ?, ?)")?.execute(params![
        run.id,
        run.config.arm_id(),
        run.seed,
        run.config.json()
    ])?;
    let mut find = connection
        .prepare_cached("SELECT key, outcome, ended_at, (SELECT MAX(number) FROM attempt WHERE run_key = run.key), started_at IS NULL FROM run WHERE id = ?")?;
    let (key, outcome, ended_at, last, is_new): (i64, Option<String>, Option<String>, Option<i64>, bool) =
        find.query_row([&run.id], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)))?;
    if let Some(last) = last {
        let open: Option<i64> = connection
            .prepare_cached("SELECT sweep_key FROM attempt WHERE run_key = ? AND number = ? AND ended_at IS NULL")?
            .query_row([key, last], |r| r.get(0))
            .optional()?;
        if let Some(owner) = open {
            if owner == sweep || is_live(connection, owner)? {
                return Ok(Claim::Elsewhere);
            }
            lose(connection, key, last, TAKEN_OVER)?;
        }
    }
    let is_unfinished = matches!(outcome.as_deref(), None | Some("interrupted"));
    let is_wanted = is_unfinished
        || match wanted {
            Wanted::Unfinished => false,
            Wanted::Failed => outcome.as_deref() == Some(Outcome::Failed.name()),
            Wanted::Again { ended_at: seen } => ended_at == *seen,
            Wanted::Always => true,
        };
    if !is_wanted {
        return Ok(Claim::Done);
    }
    let attempt = last.unwrap_or(0) + 1;
    let sql = format!("INSERT INTO attempt (run_key, number, sweep_key, started_at) VALUES (?, ?, ?, {NOW})");
    connection.prepare_cached(&sql)?.execute([key, attempt, sweep])?;
    // What was merged from elsewhere may have begun without an attempt that is known here.
    let is_new = is_new && last.is_none();
    Ok(Claim::Own { key, attempt, resumable: is_unfinished && matches!(wanted, Wanted::Unfinished | Wanted::Failed), is_new })
}

fn lose(connection: &Connection, key: i64, attempt: i64, why: &str) -> Result<(), Error> {
    let sql = format!("UPDATE attempt SET ended_at = {NOW}, outcome = 'lost', error = ? WHERE run_key = ? AND number = ?");
    connection.prepare_cached(&sql)?.execute(params![why, key, attempt])?;
    Ok(())
}

/// Whether a claim still holds.
pub(crate) fn holds(connection: &Connection, key: i64, attempt: i64) -> Result<bool, Error> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM attempt WHERE run_key = ? AND number = ? AND ended_at IS NULL")?;
    Ok(statement.exists([key, attempt])?)
}

/// Prepares the logs of a run for an attempt: what was logged after its checkpoint is removed, or everything if there is none, or if
/// the logs up to it are not all there. Returns the step that it goes on from.
pub(crate) fn prepare(
    connection: &Connection,
    key: i64,
    attempt: i64,
    checkpoint: Option<&Header>,
    environment: &Environment,
) -> Result<u64, Error> {
    let count = |log: &str, step: u64| {
        let sql = format!("SELECT COUNT(*) FROM {log} WHERE run_key = ? AND step <= ?");
        connection.prepare_cached(&sql)?.query_row(params![key, step], |r| r.get::<_, u64>(0))
    };
    let mut after = 0;
    if let Some(c) = checkpoint
        && count("step_log", c.step)? == c.step
        && count("eval_log", c.step)? == c.evals
        && count("position_log", c.step)? == c.positions
    {
        after = c.step;
    }
    for log in ["step_log", "eval_log", "position_log"] {
        let sql =
            if after > 0 { "DELETE FROM {log} WHERE run_key = ? AND step > ?" } else { "DELETE FROM {log} WHERE run_key = ? AND ? = 0" };
        connection.prepare_cached(&sql.replace("{log}", log))?.execute(params![key, after])?;
    }
    // Recorded at the end of a run only.
    for log in ["measurement_log", "picture_log", "confusion_log"] {
        connection.prepare_cached(&format!("DELETE FROM {log} WHERE run_key = ?"))?.execute([key])?;
    }
    connection
        .prepare_cached("UPDATE attempt SET after_step = ? WHERE run_key = ? AND number = ?")?
        .execute(params![after, key, attempt])?;
    let e = environment;
    let sql = format!(
        "UPDATE run SET outcome = NULL, error = NULL, steps = 0, host = ?, cpu = ?, os = ?, version = ?, git_commit = ?, git_dirty = ?,
         started_at = CASE WHEN ? THEN started_at ELSE {NOW} END, ended_at = NULL WHERE key = ?"
    );
    let resumed = after > 0;
    connection.prepare_cached(&sql)?.execute(params![e.host, e.cpu, e.os, e.version, e.git_commit, e.git_dirty, resumed, key])?;
    Ok(after)
}

/// Writes down how a run ended.
pub(crate) fn end(connection: &Connection, key: i64, attempt: i64, ended: &Ended) -> Result<(), Error> {
    let (outcome, error) = (ended.outcome.name(), &ended.error);
    let sql = format!("UPDATE run SET outcome = ?, error = ?, steps = ?, ended_at = {NOW} WHERE key = ?");
    connection.prepare_cached(&sql)?.execute(params![outcome, error, ended.steps, key])?;
    let sql = format!("UPDATE attempt SET outcome = ?, error = ?, ended_at = {NOW} WHERE run_key = ? AND number = ?");
    connection.prepare_cached(&sql)?.execute(params![outcome, error, key, attempt])?;
    Ok(())
}

/// A process has died with its runs: they are lost. If it was training one alone, which was lost so `limit` times running and has not
/// come to another checkpoint in between, the run has failed.
pub(crate) fn bury(connection: &Connection, process: u32, why: &str, limit: u64) -> Result<Buried, Error> {
    let mut statement = connection.prepare(
        "SELECT run.id, a.run_key, a.number, a.sweep_key FROM attempt AS a
         JOIN sweep ON sweep.key = a.sweep_key JOIN run ON run.key = a.run_key
         WHERE a.ended_at IS NULL AND sweep.pid = ? AND sweep.place = ? ORDER BY 1",
    )?;
    let place = Process::current().place;
    let open: Vec<(String, i64, i64, i64)> =
        statement.query_map(params![process, place], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?.collect::<Result<_, _>>()?;
    let attempts = "SELECT 1 FROM attempt JOIN sweep ON sweep.key = sweep_key WHERE sweep.pid = ? AND sweep.place = ?";
    let is_idle = !connection.prepare(attempts)?.exists(params![process, place])?;
    let mut buried = Buried { is_idle, ..Buried::default() };
    let mut dead = vec![];
    for (run, key, attempt, sweep) in open {
        if is_live(connection, sweep)? {
            continue;
        }
        lose(connection, key, attempt, why)?;
        dead.push((run, key, attempt));
    }
    let is_alone = dead.len() == 1;
    for (run, key, attempt) in dead {
        let sql = "SELECT COUNT(*) FROM attempt WHERE run_key = ?1 AND outcome = 'lost' AND error != ?3
                   AND after_step = (SELECT after_step FROM attempt WHERE run_key = ?1 AND number = ?2)
                   AND number > (SELECT COALESCE(MAX(number), 0) FROM attempt WHERE run_key = ?1 AND outcome != 'lost')";
        let losses: u64 = connection.query_row(sql, params![key, attempt, TAKEN_OVER], |r| r.get(0))?;
        if !is_alone || losses < limit {
            buried.suspects.push(run);
            continue;
        }
        let steps = connection.query_row("SELECT COUNT(*) FROM step_log WHERE run_key = ?", [key], |r| r.get(0))?;
        let error = format!("{why}, {losses} times");
        end(connection, key, attempt, &Ended { outcome: Outcome::Failed, steps, error: Some(error) })?;
        buried.failed.push(run);
    }
    Ok(buried)
}
