//! What a viewer asks while a sweep writes: all runs at once, without their logs, and one run's curve, step by step.

use rusqlite::{OptionalExtension, Row, params};
use spec::Split;
use spec::record::Outcome;

use crate::error::Error;
use crate::lease;
use crate::read::Reader;

/// A run as it stands, whatever studies it is of.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveRun {
    pub id: String,
    pub seed: u64,
    /// Canonical JSON.
    pub config: String,
    pub outcome: Option<Outcome>,
    pub started: bool,
    pub error: Option<String>,
    pub steps: u64,
    pub planned_steps: Option<u64>,
    pub parameters: Option<u64>,
    pub device: Option<String>,
    pub host: Option<String>,
    /// Seconds since 1970.
    pub started_at: Option<f64>,
    /// Seconds since 1970.
    pub ended_at: Option<f64>,
}

/// A run's place in a study.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub study: String,
    pub run: String,
    /// Label of the arm.
    pub arm: String,
    /// Of the arm, from 0.
    pub position: usize,
    /// JSON object.
    pub axes: String,
}

/// Loss and accuracy of a split, by [`Split`]; `None` where it was not evaluated, NaN stands for NaN.
pub type Finals = [Option<(f64, f64)>; 3];

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    pub step: u64,
    /// Of the last step.
    pub loss: f64,
    /// Of its last steps; `None` before the second.
    pub ms_per_step: Option<f64>,
}

/// A sweep at work.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
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
pub struct Training {
    pub id: String,
    /// A study that it is of, and its arm's label there.
    pub study: Option<String>,
    pub arm: Option<String>,
    pub seed: u64,
    pub planned_steps: Option<u64>,
    /// `None` before its first step.
    pub progress: Option<Progress>,
}

/// A metric that is logged at every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepMetric {
    Loss,
    Accuracy,
    Lr,
    GradNorm,
}

impl StepMetric {
    pub const ALL: [StepMetric; 4] = [StepMetric::Loss, StepMetric::Accuracy, StepMetric::Lr, StepMetric::GradNorm];

    /// The column's name.
    pub fn name(self) -> &'static str {
        match self {
            StepMetric::Loss => "loss",
            StepMetric::Accuracy => "accuracy",
            StepMetric::Lr => "lr",
            StepMetric::GradNorm => "grad_norm",
        }
    }
}

/// A point of a curve. `value` may be non-finite; NaN where SQLite keeps NULL.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub step: u64,
    pub epoch: u64,
    pub examples: u64,
    pub elapsed_ms: f64,
    pub value: f64,
}

/// Steps that the speed of a run is taken from.
const RECENT: u64 = 200;

impl Reader {
    /// Every run, by id.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn all_runs(&self) -> Result<Vec<LiveRun>, Error> {
        let mut statement = self.connection().prepare(
            "SELECT id, seed, config, outcome, started_at IS NOT NULL, error, steps, planned_steps, parameters, device, host,
                    unixepoch(started_at, 'subsec'), unixepoch(ended_at, 'subsec')
             FROM run ORDER BY id",
        )?;
        let run = |r: &Row<'_>| {
            Ok(LiveRun {
                id: r.get(0)?,
                seed: r.get(1)?,
                config: r.get(2)?,
                outcome: r.get::<_, Option<String>>(3)?.and_then(|name| Outcome::from_name(&name)),
                started: r.get(4)?,
                error: r.get(5)?,
                steps: r.get(6)?,
                planned_steps: r.get(7)?,
                parameters: r.get(8)?,
                device: r.get(9)?,
                host: r.get(10)?,
                started_at: r.get(11)?,
                ended_at: r.get(12)?,
            })
        };
        Ok(statement.query_map([], run)?.collect::<Result<_, _>>()?)
    }

    /// Every run's place in every study: study by study, arm by arm.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn members(&self) -> Result<Vec<Member>, Error> {
        let mut statement =
            self.connection().prepare("SELECT study, run_id, arm, position, axes FROM study_run ORDER BY study, position, run_id")?;
        let member = |r: &Row<'_>| Ok(Member { study: r.get(0)?, run: r.get(1)?, arm: r.get(2)?, position: r.get(3)?, axes: r.get(4)? });
        Ok(statement.query_map([], member)?.collect::<Result<_, _>>()?)
    }

    /// The final metrics of a run, as `run_summary` has them: of the weights that were tested, or else the last.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn finals(&self, run: &str) -> Result<Finals, Error> {
        let mut last = self.connection().prepare_cached(
            "SELECT step, loss, accuracy FROM eval_log WHERE run_key = (SELECT key FROM run WHERE id = ?) AND split = ?
             AND step <= ? ORDER BY step DESC LIMIT 1",
        )?;
        let mut of = |split: Split, until: u64| {
            let number = |r: &Row<'_>, i| Ok::<_, rusqlite::Error>(r.get::<_, Option<f64>>(i)?.unwrap_or(f64::NAN));
            last.query_row(params![run, split.name(), until], |r| Ok((r.get::<_, u64>(0)?, number(r, 1)?, number(r, 2)?))).optional()
        };
        let most = i64::MAX.cast_unsigned();
        let test = of(Split::Test, most)?;
        let until = test.map_or(most, |(step, ..)| step);
        let values = |found: Option<(u64, f64, f64)>| found.map(|(_, loss, accuracy)| (loss, accuracy));
        Ok([values(of(Split::Train, until)?), values(of(Split::Validation, until)?), values(test)])
    }

    /// How far a run has come; `None` before its first step.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn progress(&self, run: &str) -> Result<Option<Progress>, Error> {
        let mut statement = self.connection().prepare_cached(
            "SELECT step, loss, elapsed_us FROM step_log WHERE run_key = (SELECT key FROM run WHERE id = ?1) AND step <= ?2
             ORDER BY step DESC LIMIT 1",
        )?;
        let mut at = |step: u64| {
            let row = |r: &Row<'_>| Ok((r.get::<_, u64>(0)?, r.get::<_, Option<f64>>(1)?.unwrap_or(f64::NAN), r.get::<_, f64>(2)?));
            statement.query_row(params![run, step], row).optional()
        };
        let Some((step, loss, us)) = at(i64::MAX.cast_unsigned())? else { return Ok(None) };
        let before = at(step.saturating_sub(RECENT).max(1))?;
        let ms_per_step = before.filter(|(other, ..)| *other < step).map(|(other, _, then)| (us - then) / 1e3 / (step - other) as f64);
        Ok(Some(Progress { step, loss, ms_per_step }))
    }

    /// The runs in training, those that were started last at the end.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn training(&self) -> Result<Vec<Training>, Error> {
        let mut statement = self.connection().prepare_cached(
            "SELECT run.started_at, run.seed, run.planned_steps,
                    (SELECT study FROM study_run WHERE run_id = run.id ORDER BY study LIMIT 1),
                    (SELECT arm FROM study_run WHERE run_id = run.id ORDER BY study LIMIT 1)
             FROM run WHERE id = ?",
        )?;
        let mut runs: Vec<(Option<String>, Training)> = vec![];
        for id in self.in_training()? {
            let progress = self.progress(&id)?;
            runs.push(statement.query_row([&id], |r| {
                let (seed, planned_steps, study, arm) = (r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?);
                Ok((r.get(0)?, Training { id: id.clone(), study, arm, seed, planned_steps, progress }))
            })?);
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

    /// The sweeps that are at work.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn sweeps(&self) -> Result<Vec<Sweep>, Error> {
        let mut statement = self.connection().prepare(
            "SELECT key, host, pid, started_at, MAX(0, unixepoch('subsec') - heartbeat),
                    (SELECT COUNT(*) FROM attempt WHERE sweep_key = sweep.key AND ended_at IS NULL)
             FROM sweep WHERE ended_at IS NULL ORDER BY key",
        )?;
        let sweep = |r: &Row<'_>| {
            let sweep = Sweep { host: r.get(1)?, pid: r.get(2)?, started_at: r.get(3)?, silent_s: r.get(4)?, training: r.get(5)? };
            Ok((r.get::<_, i64>(0)?, sweep))
        };
        let all = statement.query_map([], sweep)?.collect::<Result<Vec<_>, _>>()?;
        let mut live = vec![];
        for (key, sweep) in all {
            if lease::is_live(self.connection(), key)? {
                live.push(sweep);
            }
        }
        Ok(live)
    }

    /// How often a run was begun: what was read of its log holds as long as this does not change.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn begun(&self, run: &str) -> Result<u64, Error> {
        let sql = "SELECT COUNT(*) FROM attempt WHERE run_key = (SELECT key FROM run WHERE id = ?)";
        Ok(self.connection().prepare_cached(sql)?.query_row([run], |r| r.get(0))?)
    }

    /// Hands over a metric of every step (after one), in order.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn each_step(&self, run: &str, metric: StepMetric, after: Option<u64>, mut take: impl FnMut(Point)) -> Result<(), Error> {
        let sql = format!(
            "SELECT step, epoch, examples, elapsed_us, {} FROM step_log
             WHERE run_key = (SELECT key FROM run WHERE id = ?) AND step > ? ORDER BY step",
            metric.name()
        );
        let mut statement = self.connection().prepare_cached(&sql)?;
        let after = after.map_or(-1, |step| i64::try_from(step).unwrap_or(i64::MAX));
        let mut rows = statement.query(params![run, after])?;
        while let Some(r) = rows.next()? {
            take(point(r)?);
        }
        Ok(())
    }

    /// Hands over loss or accuracy of every evaluation of a split, in order.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn each_eval(&self, run: &str, split: Split, accuracy: bool, mut take: impl FnMut(Point)) -> Result<(), Error> {
        let sql = format!(
            "SELECT step, epoch, examples, elapsed_us, {} FROM eval_log
             WHERE run_key = (SELECT key FROM run WHERE id = ?) AND split = ? ORDER BY step",
            if accuracy { "accuracy" } else { "loss" }
        );
        let mut statement = self.connection().prepare_cached(&sql)?;
        let mut rows = statement.query(params![run, split.name()])?;
        while let Some(r) = rows.next()? {
            take(point(r)?);
        }
        Ok(())
    }
}

fn point(r: &Row<'_>) -> rusqlite::Result<Point> {
    Ok(Point {
        step: r.get(0)?,
        epoch: r.get(1)?,
        examples: r.get(2)?,
        elapsed_ms: r.get::<_, f64>(3)? / 1e3,
        value: r.get::<_, Option<f64>>(4)?.unwrap_or(f64::NAN),
    })
}
