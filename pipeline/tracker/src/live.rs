//! What is going on in a results file now: sweeps at work, and how far their runs are. Reads only, and never for long, so that a
//! sweep is not held up by those who watch it.

use rusqlite::Connection;

use crate::error::Error;
use crate::lease;
use crate::read::Reader;

/// A sweep that is at work.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveSweep {
    pub host: Option<String>,
    pub pid: u32,
    /// UTC.
    pub started_at: String,
    /// Seconds since it last said that it lives.
    pub silent_s: f64,
    /// Runs that it is training.
    pub training: u64,
}

/// A run that is being trained.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveRun {
    pub id: String,
    /// A study that it is of, and its arm's label there.
    pub study: Option<String>,
    pub arm: Option<String>,
    pub seed: u64,
    pub planned_steps: Option<u64>,
    /// The last step that was logged; 0 before the first.
    pub step: u64,
    /// NaN before the first step.
    pub loss: f64,
    /// Over the last steps; `None` before there are some.
    pub steps_per_s: Option<f64>,
}

/// Steps over which the speed of a run is measured.
const RECENT: u64 = 50;

impl Reader {
    /// The sweeps at work, the oldest first.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn live_sweeps(&self) -> Result<Vec<LiveSweep>, Error> {
        let connection = self.connection();
        let mut statement = connection.prepare(
            "SELECT key, host, pid, started_at, MAX(0, unixepoch('subsec') - heartbeat),
                    (SELECT COUNT(*) FROM attempt WHERE sweep_key = sweep.key AND ended_at IS NULL)
             FROM sweep WHERE ended_at IS NULL ORDER BY key",
        )?;
        let open: Vec<(i64, LiveSweep)> = statement
            .query_map([], |r| {
                let sweep = LiveSweep { host: r.get(1)?, pid: r.get(2)?, started_at: r.get(3)?, silent_s: r.get(4)?, training: r.get(5)? };
                Ok((r.get(0)?, sweep))
            })?
            .collect::<Result<_, _>>()?;
        let mut live = vec![];
        for (key, sweep) in open {
            if lease::is_live(connection, key)? {
                live.push(sweep);
            }
        }
        Ok(live)
    }

    /// The runs in training, those that were started last at the end.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn live_runs(&self) -> Result<Vec<LiveRun>, Error> {
        let connection = self.connection();
        let mut runs = vec![];
        for id in lease::in_training(connection)? {
            runs.push(live_run(connection, &id)?);
        }
        runs.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(runs.into_iter().map(|(_, run)| run).collect())
    }

    /// About so many losses of a run, evenly spaced over its steps, with the steps.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn sampled_losses(&self, id: &str, points: u64) -> Result<Vec<(u64, f64)>, Error> {
        let mut statement = self.connection().prepare(
            "WITH these AS (SELECT key FROM run WHERE id = ?1),
                  every AS (SELECT MAX(1, MAX(step) / ?2) AS n FROM step_log WHERE run_key = (SELECT key FROM these))
             SELECT step, loss FROM step_log
             WHERE run_key = (SELECT key FROM these) AND step % (SELECT n FROM every) = 0 ORDER BY step",
        )?;
        let rows = statement.query_map((id, points.max(1)), |r| Ok((r.get(0)?, r.get::<_, Option<f64>>(1)?.unwrap_or(f64::NAN))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// With the time when it was started, to sort by.
fn live_run(connection: &Connection, id: &str) -> Result<(Option<String>, LiveRun), Error> {
    let mut statement = connection.prepare_cached(
        "SELECT run.key, run.seed, run.planned_steps, run.started_at,
                (SELECT study FROM study_run WHERE run_id = run.id ORDER BY study LIMIT 1),
                (SELECT arm FROM study_run WHERE run_id = run.id ORDER BY study LIMIT 1)
         FROM run WHERE id = ?",
    )?;
    let (key, started, mut run): (i64, Option<String>, LiveRun) = statement.query_row([id], |r| {
        let run = LiveRun {
            id: id.to_owned(),
            study: r.get(4)?,
            arm: r.get(5)?,
            seed: r.get(1)?,
            planned_steps: r.get(2)?,
            step: 0,
            loss: f64::NAN,
            steps_per_s: None,
        };
        Ok((r.get(0)?, r.get(3)?, run))
    })?;
    let mut steps =
        connection.prepare_cached("SELECT step, loss, elapsed_us FROM step_log WHERE run_key = ?1 ORDER BY step DESC LIMIT ?2")?;
    let last: Vec<(u64, Option<f64>, f64)> =
        steps.query_map((key, RECENT + 1), |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?.collect::<Result<_, _>>()?;
    if let (Some(last), Some(first)) = (last.first(), last.last()) {
        run.step = last.0;
        run.loss = last.1.unwrap_or(f64::NAN);
        let seconds = (last.2 - first.2) / 1e6;
        run.steps_per_s = (seconds > 0.0).then(|| (last.0 - first.0) as f64 / seconds);
    }
    Ok((started, run))
}
