//! Reading results back as typed columns.

use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use spec::analysis::Settings;
use spec::record::{LayerFacts, Measurement, Outcome, Picture};
use spec::{Metric, Split};

use crate::checkpoint::Folder;
use crate::error::Error;
use crate::lease;
use crate::store;

/// A results file, open for reading. Works while a sweep writes to it.
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

/// A study as it was last swept.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyRecord {
    pub name: String,
    pub question: String,
    pub hypothesis: Option<String>,
    pub metric: Metric,
    pub targets: Vec<(Metric, f64)>,
    /// The varied keys, in the order of the file.
    pub axes: Vec<String>,
    /// How its arms are compared and its runs judged.
    pub analysis: Settings,
    /// The grid file.
    pub source: String,
}

/// A run of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    pub id: String,
    /// Label of its arm within the study.
    pub arm: String,
    /// Position of the arm within the study, from 0.
    pub position: usize,
    /// The arm's axis values as JSON scalars, in the order of [`StudyRecord::axes`]; `None` where an axis does not exist for it.
    pub axes: Vec<Option<serde_json::Value>>,
    pub seed: u64,
    /// Canonical JSON.
    pub config: String,
    /// `None`: not started, or started and not ended.
    pub outcome: Option<Outcome>,
    pub started: bool,
    pub error: Option<String>,
    pub steps: u64,
    pub planned_steps: Option<u64>,
    pub parameters: Option<u64>,
    /// Floating-point operations of a step, forward and backward.
    pub flops_per_step: Option<u64>,
    /// Of its network, if it has one.
    pub layers: Vec<LayerFacts>,
    pub device: Option<String>,
    pub version: Option<String>,
    pub git_commit: Option<String>,
    pub git_dirty: Option<bool>,
    /// Names of the dataset's classes, if it has any.
    pub classes: Vec<String>,
}

impl RunRecord {
    /// The outcome's name; without one `pending` (not started) or `unfinished` (in training now, or cut off).
    pub fn state(&self) -> &'static str {
        self.outcome.map_or(if self.started { "unfinished" } else { "pending" }, Outcome::name)
    }
}

/// Steps of the runs of a study; `run` indexes the list that [`Reader::runs`] returns. NaN stands for NaN.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepColumns {
    pub run: Vec<u32>,
    pub step: Vec<u64>,
    pub epoch: Vec<u64>,
    pub examples: Vec<u64>,
    pub loss: Vec<f64>,
    pub accuracy: Vec<f64>,
    pub lr: Vec<f64>,
    pub grad_norm: Vec<f64>,
    pub elapsed_ms: Vec<f64>,
}

/// What curves and statistics need of the steps of one run, in order. NaN stands for NaN.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LossColumns {
    pub step: Vec<u32>,
    pub examples: Vec<u64>,
    pub loss: Vec<f64>,
    pub accuracy: Vec<f64>,
    /// The last step of the last epoch but one; 0 if there is none.
    pub before_last_epoch: u32,
}

impl LossColumns {
    /// Room for some steps, so that columns do not move while they grow. A record that promises very many is not believed.
    fn with_capacity(steps: usize) -> Self {
        let steps = steps.min(1 << 20);
        LossColumns {
            step: Vec::with_capacity(steps),
            examples: Vec::with_capacity(steps),
            loss: Vec::with_capacity(steps),
            accuracy: Vec::with_capacity(steps),
            before_last_epoch: 0,
        }
    }
}

/// Evaluations of the runs of a study; `run` indexes the list that [`Reader::runs`] returns. NaN stands for NaN.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EvalColumns {
    pub run: Vec<u32>,
    pub split: Vec<Split>,
    pub step: Vec<u64>,
    pub epoch: Vec<u64>,
    pub loss: Vec<f64>,
    pub accuracy: Vec<f64>,
    /// NaN where it was not measured.
    pub noise_scale: Vec<f64>,
    pub elapsed_ms: Vec<f64>,
}

/// Paths of the runs of a study on their surfaces; `run` indexes the list that [`Reader::runs`] returns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PositionColumns {
    pub run: Vec<u32>,
    pub step: Vec<u64>,
    pub x: Vec<f64>,
    pub y: Vec<f64>,
}

/// What the database knows of a run that a grid asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub outcome: Option<Outcome>,
    pub started: bool,
    pub ended_at: Option<String>,
    pub error: Option<String>,
    /// Whether a sweep is training it now.
    pub in_training: bool,
    /// The step that it can go on from, if it was cut off or interrupted and has a checkpoint.
    pub checkpoint: Option<u64>,
}

/// A try to train a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// From 1.
    pub number: u64,
    pub host: Option<String>,
    /// The step of the checkpoint that it went on from; 0: from the start.
    pub after_step: u64,
    pub started_at: String,
    pub ended_at: Option<String>,
    /// As a run's, or `lost`; `None`: it is under way, or was cut off.
    pub outcome: Option<String>,
    pub error: Option<String>,
}

/// How long a step of a finished run took.
#[derive(Clone, Debug, PartialEq)]
pub struct StepTime {
    pub config: String,
    pub device: String,
    pub ms: f64,
}

impl Reader {
    /// # Errors
    /// When the file is absent, not ours, or newer than this program.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Reader { connection: store::open_for_reading(path)?, path: path.to_owned() })
    }

    /// Another reader of the same file, for another thread. What is written to the file in between is seen by the other alone.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn another(&self) -> Result<Self, Error> {
        Reader::open(&self.path)
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// All studies, by name.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn studies(&self) -> Result<Vec<StudyRecord>, Error> {
        let mut statement =
            self.connection.prepare("SELECT name, question, hypothesis, metric, axes, analysis, source FROM study ORDER BY name")?;
        let mut studies = statement
            .query_map([], |r| {
                let axes: String = r.get(4)?;
                Ok(StudyRecord {
                    name: r.get(0)?,
                    question: r.get(1)?,
                    hypothesis: r.get(2)?,
                    metric: metric(r, 3)?,
                    targets: vec![],
                    axes: serde_json::from_str(&axes).unwrap_or_default(),
                    analysis: Settings::from_json(&r.get::<_, String>(5)?),
                    source: r.get(6)?,
                })
            })?
            .collect::<Result<Vec<_>, _>>()?;
        let mut statement = self.connection.prepare("SELECT metric, value FROM study_target WHERE study = ? ORDER BY metric, value")?;
        for study in &mut studies {
            study.targets = statement.query_map([&study.name], |r| Ok((metric(r, 0)?, r.get(1)?)))?.collect::<Result<_, _>>()?;
        }
        Ok(studies)
    }

    /// The runs of a study, arm by arm, then by seed.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn runs(&self, study: &StudyRecord) -> Result<Vec<RunRecord>, Error> {
        let mut statement = self.connection.prepare(
            "SELECT run.id, sr.arm, sr.position, sr.axes, run.seed, run.config, run.outcome, run.started_at IS NOT NULL, run.error, run.steps,
                    run.planned_steps, run.parameters, run.device, run.version, run.git_commit, run.git_dirty,
                    run.flops_per_step, run.layers, run.classes
             FROM study_run AS sr JOIN run ON run.id = sr.run_id WHERE sr.study = ? ORDER BY sr.position, run.seed",
        )?;
        let runs = statement
            .query_map([&study.name], |r| {
                let axes: String = r.get(3)?;
                let axes: serde_json::Value = serde_json::from_str(&axes).unwrap_or_default();
                Ok(RunRecord {
                    id: r.get(0)?,
                    arm: r.get(1)?,
                    position: r.get(2)?,
                    axes: study.axes.iter().map(|key| axes.get(key).cloned()).collect(),
                    seed: r.get(4)?,
                    config: r.get(5)?,
                    outcome: outcome(r, 6)?,
                    started: r.get(7)?,
                    error: r.get(8)?,
                    steps: r.get(9)?,
                    planned_steps: r.get(10)?,
                    parameters: r.get(11)?,
                    device: r.get(12)?,
                    version: r.get(13)?,
                    git_commit: r.get(14)?,
                    git_dirty: r.get(15)?,
                    flops_per_step: r.get(16)?,
                    layers: r.get::<_, Option<String>>(17)?.map(|layers| LayerFacts::from_json(&layers)).unwrap_or_default(),
                    classes: r.get::<_, Option<String>>(18)?.and_then(|list| serde_json::from_str(&list).ok()).unwrap_or_default(),
                })
            })?
            .collect::<Result<Vec<_>, _>>()?;
        Ok(runs)
    }

    /// A fingerprint of all that a report of a study is made from: the study itself, and how each of its runs stands. Two that are
    /// alike promise equal logs: a run's logs change only while it has no outcome, and then the times of its start and its end differ.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn digest(&self, study: &StudyRecord) -> Result<String, Error> {
        let mut statement = self.connection.prepare(
            "SELECT json_array(
                 run.id, sr.arm, sr.position, sr.axes, run.seed, run.outcome, run.error, run.steps, run.planned_steps, run.parameters,
                 run.flops_per_step, run.layers, run.classes, run.device, run.version, run.git_commit, run.git_dirty,
                 run.started_at, run.ended_at,
                 CASE WHEN run.outcome IS NULL THEN (SELECT COUNT(*) FROM eval_log WHERE run_key = run.key) END,
                 CASE WHEN run.outcome IS NULL THEN (SELECT COUNT(*) FROM measurement_log WHERE run_key = run.key) END
             )
             FROM study_run AS sr JOIN run ON run.id = sr.run_id WHERE sr.study = ? ORDER BY sr.position, run.seed, run.id",
        )?;
        let runs = statement.query_map([&study.name], |r| r.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
        Ok(spec::fingerprint(format!("{study:?}\n{}", runs.join("\n")).as_bytes()))
    }

    /// Every logged step of the given runs, run by run, in order.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn steps(&self, runs: &[RunRecord]) -> Result<StepColumns, Error> {
        let mut out = StepColumns::default();
        let mut statement = self.connection.prepare(
            "SELECT step, epoch, examples, loss, accuracy, lr, grad_norm, elapsed_us FROM step_log
             WHERE run_key = (SELECT key FROM run WHERE id = ?) ORDER BY step",
        )?;
        for (i, run) in (0..).zip(runs) {
            let mut rows = statement.query([&run.id])?;
            while let Some(r) = rows.next()? {
                out.run.push(i);
                out.step.push(r.get(0)?);
                out.epoch.push(r.get(1)?);
                out.examples.push(r.get(2)?);
                out.loss.push(nan(r, 3)?);
                out.accuracy.push(nan(r, 4)?);
                out.lr.push(nan(r, 5)?);
                out.grad_norm.push(nan(r, 6)?);
                out.elapsed_ms.push(r.get::<_, f64>(7)? / 1000.0);
            }
        }
        Ok(out)
    }

    /// What curves and statistics need of every logged step of a run, in order.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn losses(&self, run: &RunRecord) -> Result<LossColumns, Error> {
        let mut out = LossColumns::with_capacity(usize::try_from(run.steps).unwrap_or(0));
        out.before_last_epoch = self.before_last_epoch(run)?;
        let mut statement = self.connection.prepare_cached(
            "SELECT step, examples, loss, accuracy FROM step_log
             WHERE run_key = (SELECT key FROM run WHERE id = ?) ORDER BY step",
        )?;
        let mut rows = statement.query([&run.id])?;
        while let Some(r) = rows.next()? {
            out.step.push(whole(r, 0)?);
            out.examples.push(whole(r, 1)?);
            out.loss.push(real(r, 2)?);
            out.accuracy.push(real(r, 3)?);
        }
        Ok(out)
    }

    /// The last step of the last epoch but one, or 0. The other steps' epochs are not read: every column of every row counts.
    fn before_last_epoch(&self, run: &RunRecord) -> Result<u32, Error> {
        let mut statement = self.connection.prepare_cached(
            "WITH these AS (SELECT key FROM run WHERE id = ?), last AS (
                 SELECT epoch FROM step_log WHERE run_key = (SELECT key FROM these) ORDER BY step DESC LIMIT 1
             ), first AS (
                 SELECT epoch FROM step_log WHERE run_key = (SELECT key FROM these) ORDER BY step LIMIT 1
             )
             SELECT CASE WHEN (SELECT epoch FROM first) < (SELECT epoch FROM last) THEN (
                 SELECT step FROM step_log WHERE run_key = (SELECT key FROM these) AND epoch < (SELECT epoch FROM last)
                 ORDER BY step DESC LIMIT 1
             ) ELSE 0 END",
        )?;
        Ok(statement.query_row([&run.id], |r| r.get(0))?)
    }

    /// Examples that each of the given runs has seen.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn examples(&self, runs: &[&RunRecord]) -> Result<Vec<u64>, Error> {
        let mut statement = self.connection.prepare(
            "SELECT COALESCE((SELECT examples FROM step_log WHERE run_key = run.key ORDER BY step DESC LIMIT 1), 0) FROM run WHERE id = ?",
        )?;
        runs.iter().map(|run| Ok(statement.query_row([&run.id], |r| r.get(0))?)).collect()
    }

    /// What the examples of the test split were taken for: of each of the given runs that has such counts, its place in the list and
    /// them, row by row: label, prediction, examples.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn confusions(&self, runs: &[RunRecord]) -> Result<Vec<(usize, [u32; 3])>, Error> {
        let mut out = vec![];
        let mut statement = self.connection.prepare(
            "SELECT label, predicted, examples FROM confusion_log
             WHERE run_key = (SELECT key FROM run WHERE id = ?) ORDER BY label, predicted",
        )?;
        for (i, run) in runs.iter().enumerate() {
            let mut rows = statement.query([&run.id])?;
            while let Some(r) = rows.next()? {
                out.push((i, [r.get(0)?, r.get(1)?, r.get(2)?]));
            }
        }
        Ok(out)
    }

    /// Every evaluation of the given runs, run by run, split by split, in order.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn evals(&self, runs: &[RunRecord]) -> Result<EvalColumns, Error> {
        let mut out = EvalColumns::default();
        let mut statement = self.connection.prepare(
            "SELECT split, step, epoch, loss, accuracy, elapsed_us, noise_scale FROM eval_log
             WHERE run_key = (SELECT key FROM run WHERE id = ?) ORDER BY split, step",
        )?;
        for (i, run) in (0..).zip(runs) {
            let mut rows = statement.query([&run.id])?;
            while let Some(r) = rows.next()? {
                out.run.push(i);
                out.split.push(split(r, 0)?);
                out.step.push(r.get(1)?);
                out.epoch.push(r.get(2)?);
                out.loss.push(nan(r, 3)?);
                out.accuracy.push(nan(r, 4)?);
                out.elapsed_ms.push(r.get::<_, f64>(5)? / 1000.0);
                out.noise_scale.push(nan(r, 6)?);
            }
        }
        Ok(out)
    }

    /// Every place that the given runs went through, run by run, in order.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn positions(&self, runs: &[RunRecord]) -> Result<PositionColumns, Error> {
        let mut out = PositionColumns::default();
        let mut statement = self
            .connection
            .prepare("SELECT step, x, y FROM position_log WHERE run_key = (SELECT key FROM run WHERE id = ?) ORDER BY step")?;
        for (i, run) in (0..).zip(runs) {
            let mut rows = statement.query([&run.id])?;
            while let Some(r) = rows.next()? {
                out.run.push(i);
                out.step.push(r.get(0)?);
                out.x.push(nan(r, 1)?);
                out.y.push(nan(r, 2)?);
            }
        }
        Ok(out)
    }

    /// The measurements of the given runs, by name, each with the run's place in the list.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn measurements(&self, runs: &[RunRecord]) -> Result<Vec<(usize, Measurement)>, Error> {
        let mut out = vec![];
        let mut statement = self
            .connection
            .prepare("SELECT name, value FROM measurement_log WHERE run_key = (SELECT key FROM run WHERE id = ?) ORDER BY name")?;
        for (i, run) in runs.iter().enumerate() {
            let mut rows = statement.query([&run.id])?;
            while let Some(r) = rows.next()? {
                out.push((i, Measurement { name: r.get(0)?, value: nan(r, 1)? }));
            }
        }
        Ok(out)
    }

    /// The pictures of the given runs, by name, each with the run's place in the list.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn pictures(&self, runs: &[RunRecord]) -> Result<Vec<(usize, Picture)>, Error> {
        let mut out = vec![];
        let mut statement = self.connection.prepare(
            "SELECT name, height, width, channels, pixels FROM picture_log
             WHERE run_key = (SELECT key FROM run WHERE id = ?) ORDER BY name",
        )?;
        for (i, run) in runs.iter().enumerate() {
            let mut rows = statement.query([&run.id])?;
            while let Some(r) = rows.next()? {
                let (name, height, width, channels, pixels) = (r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?);
                out.push((i, Picture { name, height, width, channels, pixels }));
            }
        }
        Ok(out)
    }

    /// Every try to train a run, in order.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn attempts(&self, run: &str) -> Result<Vec<Attempt>, Error> {
        let mut statement = self.connection.prepare(
            "SELECT a.number, sweep.host, a.after_step, a.started_at, a.ended_at, a.outcome, a.error
             FROM attempt AS a JOIN sweep ON sweep.key = a.sweep_key
             WHERE a.run_key = (SELECT key FROM run WHERE id = ?) ORDER BY a.number",
        )?;
        let attempts = statement.query_map([run], |r| {
            Ok(Attempt {
                number: r.get(0)?,
                host: r.get(1)?,
                after_step: r.get(2)?,
                started_at: r.get(3)?,
                ended_at: r.get(4)?,
                outcome: r.get(5)?,
                error: r.get(6)?,
            })
        })?;
        Ok(attempts.collect::<Result<_, _>>()?)
    }

    /// The processor that a run was trained on, as its maker calls it; `None` where it is not known.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn cpu(&self, run: &str) -> Result<Option<String>, Error> {
        Ok(self.connection.query_row("SELECT cpu FROM run WHERE id = ?", [run], |r| r.get(0))?)
    }

    /// Ids of the runs that are being trained now.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn in_training(&self) -> Result<Vec<String>, Error> {
        lease::in_training(&self.connection)
    }

    /// Mean time per step of every finished run, for estimates.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn step_times(&self) -> Result<Vec<StepTime>, Error> {
        let mut statement = self.connection.prepare(
            "SELECT config, COALESCE(device, 'cpu'), (SELECT MAX(elapsed_us) FROM eval_log WHERE run_key = run.key) / 1000.0 / steps
             FROM run WHERE outcome = 'completed' AND steps > 0
               AND EXISTS (SELECT 1 FROM eval_log WHERE run_key = run.key)",
        )?;
        let times = statement.query_map([], |r| Ok(StepTime { config: r.get(0)?, device: r.get(1)?, ms: r.get(2)? }))?;
        Ok(times.collect::<Result<_, _>>()?)
    }
}

pub(crate) fn known(connection: &Connection, checkpoints: &Folder, ids: &[&str]) -> Result<Vec<Option<Known>>, Error> {
    let in_training = lease::in_training(connection)?;
    let mut statement = connection.prepare("SELECT outcome, started_at IS NOT NULL, ended_at, error FROM run WHERE id = ?")?;
    ids.iter()
        .map(|id| {
            let mut rows = statement.query([id])?;
            let Some(r) = rows.next()? else { return Ok(None) };
            let (outcome, started) = (outcome(r, 0)?, r.get(1)?);
            let is_open = started && matches!(outcome, None | Some(Outcome::Interrupted));
            let checkpoint = if is_open { checkpoints.step(id) } else { None };
            let in_training = in_training.iter().any(|run| run == id);
            Ok(Some(Known { outcome, started, ended_at: r.get(2)?, error: r.get(3)?, in_training, checkpoint }))
        })
        .collect()
}

fn outcome(row: &Row<'_>, i: usize) -> rusqlite::Result<Option<Outcome>> {
    let name: Option<String> = row.get(i)?;
    name.map(|n| Outcome::from_name(&n).ok_or_else(|| unknown(i, &n))).transpose()
}

fn split(row: &Row<'_>, i: usize) -> rusqlite::Result<Split> {
    let name: String = row.get(i)?;
    [Split::Train, Split::Validation, Split::Test].into_iter().find(|s| s.name() == name).ok_or_else(|| unknown(i, &name))
}

/// A name that this program never writes.
fn unknown(column: usize, name: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, format!("unknown name `{name}`").into())
}

fn metric(row: &Row<'_>, i: usize) -> rusqlite::Result<Metric> {
    let name: String = row.get(i)?;
    name.parse().map_err(|()| unknown(i, &name))
}

/// NULL is how SQLite keeps NaN.
fn nan(row: &Row<'_>, i: usize) -> rusqlite::Result<f64> {
    Ok(row.get::<_, Option<f64>>(i)?.unwrap_or(f64::NAN))
}

/// As [`nan`], for columns of millions of rows: looks at the value once.
fn real(row: &Row<'_>, i: usize) -> rusqlite::Result<f64> {
    match row.get_ref(i)? {
        ValueRef::Real(value) => Ok(value),
        ValueRef::Null => Ok(f64::NAN),
        other => Err(rusqlite::Error::InvalidColumnType(i, String::new(), other.data_type())),
    }
}

/// A whole number, looked at once, too.
fn whole<T: TryFrom<i64>>(row: &Row<'_>, i: usize) -> rusqlite::Result<T> {
    match row.get_ref(i)? {
        ValueRef::Integer(value) => T::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(i, value)),
        other => Err(rusqlite::Error::InvalidColumnType(i, String::new(), other.data_type())),
    }
}
