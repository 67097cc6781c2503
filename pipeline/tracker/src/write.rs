//! The single writer: one thread owns the database; running trainings hand it records through a bounded channel.
//!
//! A training pushes a step into a buffer of its own; the channel only sees whole buffers. The writer commits a few times per
//! second, and at the end of every run. What a killed sweep loses is what its unfinished runs logged in the last moments, and
//! those runs are run again. A run that is started again loses what it logged before.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use spec::record::{Confusion, Eval, Facts, LayerFacts, Measurement, Outcome, Picture, Position, Sink, SinkError, Step};
use spec::{RunSpec, Study};

use crate::error::Error;
use crate::read::{Known, known};
use crate::store;

/// Steps that a run buffers before it hands them over.
const BUFFER: usize = 128;
/// Longest that a step waits in a buffer, in milliseconds of training.
const BUFFER_MS: f64 = 250.0;
/// Messages in flight; a training that outruns the disk waits here instead of filling the memory.
const CHANNEL: usize = 256;
/// Longest that records wait for a commit.
const COMMIT_EVERY: Duration = Duration::from_millis(250);

/// A results file, open for a sweep.
pub struct Tracker {
    sender: SyncSender<Message>,
    writer: JoinHandle<Result<Connection, Error>>,
    failure: Failure,
    /// Held while the sweep writes.
    _lock: File,
}

/// Why the writer gave up, for those who still send.
type Failure = Arc<Mutex<Option<String>>>;

/// Where and with what a sweep runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    pub host: Option<String>,
    pub cpu: Option<String>,
    pub os: String,
    pub version: String,
    pub git_commit: Option<String>,
    pub git_dirty: Option<bool>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub outcome: Outcome,
    pub steps: u64,
    /// Why, for an outcome that needs a reason.
    pub error: Option<String>,
}

enum Message {
    Begin { run: String, environment: Arc<Environment>, facts: Option<Facts> },
    Steps { run: String, steps: Vec<Step> },
    Positions { run: String, positions: Vec<Position> },
    Eval { run: String, eval: Eval },
    Measurement { run: String, measurement: Measurement },
    Picture { run: String, picture: Picture },
    Confusion { run: String, confusion: Confusion },
    End { run: String, ended: Ended },
}

impl Tracker {
    /// Opens a results file for a sweep, and writes down its studies and their planned runs.
    ///
    /// A study that was swept before is replaced by its present form; runs that no study asks for any more stay, unless they
    /// never started.
    ///
    /// # Errors
    /// When another sweep writes to the file, it is not ours, or it can't be written.
    pub fn open(path: &Path, studies: &[Study]) -> Result<Self, Error> {
        let lock = lock(path)?;
        let mut connection = store::open_for_writing(path)?;
        register(&mut connection, studies)?;
        let (sender, receiver) = sync_channel(CHANNEL);
        let failure = Failure::default();
        let seen = Arc::clone(&failure);
        let writer = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || {
                write(&connection, &receiver).map(|()| connection).inspect_err(|e| {
                    *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(e.to_string());
                })
            })
            .map_err(|source| Error::File { path: path.to_owned(), source })?;
        Ok(Tracker { sender, writer, failure, _lock: lock })
    }

    /// Where a run's records go. What an earlier try logged is removed.
    ///
    /// # Errors
    /// When the writer has failed.
    pub fn start(&self, run: &RunSpec, environment: &Arc<Environment>) -> Result<RunSink, SinkError> {
        let sink = RunSink {
            run: run.id.clone(),
            sender: self.sender.clone(),
            failure: Arc::clone(&self.failure),
            environment: Arc::clone(environment),
            buffer: Vec::with_capacity(BUFFER),
            positions: vec![],
            handed_over_ms: 0.0,
        };
        sink.send(Message::Begin { run: run.id.clone(), environment: Arc::clone(environment), facts: None })?;
        Ok(sink)
    }

    /// Waits until everything is written, and leaves one self-contained file behind.
    ///
    /// # Errors
    /// When the writer has failed.
    pub fn close(self) -> Result<(), Error> {
        drop(self.sender);
        let connection = self.writer.join().map_err(|_| Error::Writer("the writer panicked".into()))??;
        store::settle(&connection)
    }
}

fn lock_path(path: &Path) -> PathBuf {
    // Two names of one file share its lock.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut name = path.into_os_string();
    name.push(".lock");
    PathBuf::from(name)
}

/// One sweep per file. The operating system releases the lock when the process ends, however it ends; the lock's own file stays,
/// because removing it would let two sweeps lock two files of the same name.
fn lock(path: &Path) -> Result<File, Error> {
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|source| Error::File { path: folder.to_owned(), source })?;
    }
    let lock_path = lock_path(path);
    let file_error = |source| Error::file(path, source);
    let file = File::create(&lock_path).map_err(file_error)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Busy(path.to_owned())),
        Err(std::fs::TryLockError::Error(e)) => Err(file_error(e)),
    }
}

/// Writes down studies and their runs, in one transaction.
fn register(connection: &mut Connection, studies: &[Study]) -> Result<(), Error> {
    let transaction = connection.transaction()?;
    for study in studies {
        let axes = serde_json::Value::from(study.axes.clone()).to_string();
        transaction.execute("DELETE FROM study WHERE name = ?", [&study.name])?;
        transaction.execute(
            "INSERT INTO study (name, question, hypothesis, metric, axes, source, analysis) VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![study.name, study.question, study.hypothesis, study.metric.name(), axes, study.source, study.analysis.to_json()],
        )?;
        let mut target = transaction.prepare("INSERT OR IGNORE INTO study_target (study, metric, value) VALUES (?, ?, ?)")?;
        for (metric, value) in &study.targets {
            target.execute(params![study.name, metric.name(), value])?;
        }
        let mut run = transaction.prepare("INSERT OR IGNORE INTO run (id, arm, seed, config) VALUES (?, ?, ?, ?)")?;
        let mut member = transaction.prepare("INSERT INTO study_run (study, run_id, arm, position, axes) VALUES (?, ?, ?, ?, ?)")?;
        for (position, arm) in study.arms.iter().enumerate() {
            let (config, arm_id) = (arm.config.json(), arm.config.arm_id());
            let axes: Vec<String> = arm.axes.iter().map(|(k, v)| format!("{}:{}", serde_json::Value::from(k.as_str()), v.json())).collect();
            let axes = format!("{{{}}}", axes.join(","));
            for &seed in &study.seeds {
                let id = arm.config.run_id(seed);
                run.execute(params![id, arm_id, seed, config])?;
                member.execute(params![study.name, id, arm.label, position, axes])?;
            }
        }
    }
    transaction.execute("DELETE FROM run WHERE started_at IS NULL AND id NOT IN (SELECT run_id FROM study_run)", [])?;
    transaction.commit()?;
    Ok(())
}

impl Tracker {
    /// Whether a sweep is writing to a results file now.
    pub fn is_busy(path: &Path) -> bool {
        File::open(lock_path(path)).is_ok_and(|file| matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
    }

    /// What a results file knows of runs, by id, without opening it for a sweep. A file that does not exist knows nothing.
    ///
    /// # Errors
    /// When the file is not ours or can't be read.
    pub fn known(path: &Path, ids: &[&str]) -> Result<Vec<Option<Known>>, Error> {
        match store::open_for_reading(path) {
            Ok(connection) => known(&connection, ids),
            Err(Error::Missing(_)) => Ok(vec![None; ids.len()]),
            Err(e) => Err(e),
        }
    }
}

/// Takes a run's records.
pub struct RunSink {
    run: String,
    sender: SyncSender<Message>,
    failure: Failure,
    environment: Arc<Environment>,
    buffer: Vec<Step>,
    positions: Vec<Position>,
    handed_over_ms: f64,
}

impl RunSink {
    fn send(&self, message: Message) -> Result<(), SinkError> {
        self.sender.send(message).map_err(|_| {
            let reason = self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
            SinkError(format!("the results could not be written: {}", reason.unwrap_or_else(|| "the writer has stopped".into())))
        })
    }

    fn hand_over(&mut self) -> Result<(), SinkError> {
        if !self.positions.is_empty() {
            let positions = std::mem::take(&mut self.positions);
            self.send(Message::Positions { run: self.run.clone(), positions })?;
        }
        if self.buffer.is_empty() {
            return Ok(());
        }
        let steps = std::mem::replace(&mut self.buffer, Vec::with_capacity(BUFFER));
        self.send(Message::Steps { run: self.run.clone(), steps })
    }

    /// Writes down how the run ended.
    ///
    /// # Errors
    /// When the writer has failed.
    pub fn end(mut self, ended: Ended) -> Result<(), SinkError> {
        self.hand_over()?;
        self.send(Message::End { run: self.run.clone(), ended })
    }
}

impl Sink for RunSink {
    fn begin(&mut self, facts: &Facts) -> Result<(), SinkError> {
        let environment = Arc::clone(&self.environment);
        self.send(Message::Begin { run: self.run.clone(), environment, facts: Some(facts.clone()) })
    }

    fn step(&mut self, step: &Step) -> Result<(), SinkError> {
        self.buffer.push(*step);
        if self.buffer.len() == BUFFER || step.elapsed_ms - self.handed_over_ms > BUFFER_MS {
            self.handed_over_ms = step.elapsed_ms;
            self.hand_over()?;
        }
        Ok(())
    }

    fn eval(&mut self, eval: &Eval) -> Result<(), SinkError> {
        self.hand_over()?;
        self.send(Message::Eval { run: self.run.clone(), eval: *eval })
    }

    fn position(&mut self, position: &Position) -> Result<(), SinkError> {
        self.positions.push(*position);
        if self.positions.len() == BUFFER { self.hand_over() } else { Ok(()) }
    }

    fn measurement(&mut self, measurement: &Measurement) -> Result<(), SinkError> {
        self.send(Message::Measurement { run: self.run.clone(), measurement: measurement.clone() })
    }

    fn picture(&mut self, picture: &Picture) -> Result<(), SinkError> {
        self.send(Message::Picture { run: self.run.clone(), picture: picture.clone() })
    }

    fn confusion(&mut self, confusion: &Confusion) -> Result<(), SinkError> {
        self.send(Message::Confusion { run: self.run.clone(), confusion: confusion.clone() })
    }
}

/// The writer's loop: until all senders are gone.
fn write(connection: &Connection, receiver: &Receiver<Message>) -> Result<(), Error> {
    let mut since: Option<Instant> = None;
    loop {
        let wait = since.map_or(Duration::from_hours(1), |s| COMMIT_EVERY.saturating_sub(s.elapsed()));
        let message = match receiver.recv_timeout(wait) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let mut commit = since.is_some_and(|s| s.elapsed() >= COMMIT_EVERY);
        if let Some(message) = message {
            if since.is_none() {
                connection.execute_batch("BEGIN IMMEDIATE")?;
                since = Some(Instant::now());
            }
            commit |= matches!(message, Message::End { .. });
            store_message(connection, message)?;
        }
        if commit && since.take().is_some() {
            connection.execute_batch("COMMIT")?;
        }
    }
    if since.is_some() {
        connection.execute_batch("COMMIT")?;
    }
    Ok(())
}

const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

fn store_message(connection: &Connection, message: Message) -> Result<(), Error> {
    let key = |run: &str| connection.prepare_cached("SELECT key FROM run WHERE id = ?")?.query_row([run], |r| r.get::<_, i64>(0));
    match message {
        Message::Begin { run, environment: e, facts: None } => {
            let key = key(&run)?;
            for log in ["step_log", "eval_log", "position_log", "measurement_log", "picture_log", "confusion_log"] {
                connection.prepare_cached(&format!("DELETE FROM {log} WHERE run_key = ?"))?.execute([key])?;
            }
            let sql = format!(
                "UPDATE run SET outcome = NULL, error = NULL, steps = 0, host = ?, cpu = ?, os = ?, version = ?, git_commit = ?, git_dirty = ?,
                 started_at = {NOW}, ended_at = NULL WHERE key = ?"
            );
            connection.prepare_cached(&sql)?.execute(params![e.host, e.cpu, e.os, e.version, e.git_commit, e.git_dirty, key])?;
        }
        Message::Begin { run, facts: Some(f), .. } => {
            let layers = Some(LayerFacts::to_json(&f.layers)).filter(|_| !f.layers.is_empty());
            let classes = Some(serde_json::Value::from(f.classes).to_string()).filter(|text| text != "[]");
            let sql =
                "UPDATE run SET planned_steps = ?, parameters = ?, flops_per_step = ?, layers = ?, classes = ?, device = ?, threads = ?
                       WHERE id = ?";
            let mut update = connection.prepare_cached(sql)?;
            update.execute(params![f.planned_steps, f.parameters, f.flops_per_step, layers, classes, f.device, f.threads, run])?;
        }
        Message::Steps { run, steps } => {
            let key = key(&run)?;
            let mut insert = connection.prepare_cached("INSERT INTO step_log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
            for s in steps {
                let finite = [s.loss, s.accuracy.unwrap_or(0.0), s.lr, s.grad_norm].iter().all(|x| x.is_finite());
                let us = microseconds(s.elapsed_ms);
                insert.execute(params![key, s.step, s.epoch, s.examples, s.loss, s.accuracy, s.lr, s.grad_norm, us, finite])?;
            }
        }
        Message::Eval { run, eval: e } => {
            let finite = e.loss.is_finite() && e.accuracy.is_none_or(f64::is_finite);
            let us = microseconds(e.elapsed_ms);
            let mut insert = connection.prepare_cached("INSERT INTO eval_log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
            let key = key(&run)?;
            insert.execute(params![key, e.split.name(), e.step, e.epoch, e.examples, e.loss, e.accuracy, us, finite, e.noise_scale])?;
        }
        Message::Positions { run, positions } => {
            let key = key(&run)?;
            let mut insert = connection.prepare_cached("INSERT INTO position_log VALUES (?, ?, ?, ?)")?;
            for p in positions {
                insert.execute(params![key, p.step, p.x, p.y])?;
            }
        }
        Message::Measurement { run, measurement: m } => {
            connection.prepare_cached("INSERT INTO measurement_log VALUES (?, ?, ?)")?.execute(params![key(&run)?, m.name, m.value])?;
        }
        Message::Picture { run, picture: p } => {
            let mut insert = connection.prepare_cached("INSERT INTO picture_log VALUES (?, ?, ?, ?, ?, ?)")?;
            insert.execute(params![key(&run)?, p.name, p.height, p.width, p.channels, p.pixels])?;
        }
        Message::Confusion { run, confusion } => {
            let key = key(&run)?;
            let mut insert = connection.prepare_cached("INSERT INTO confusion_log VALUES (?, ?, ?, ?)")?;
            for (at, examples) in confusion.examples.iter().enumerate().filter(|(_, examples)| **examples > 0) {
                insert.execute(params![key, at / confusion.classes, at % confusion.classes, examples])?;
            }
        }
        Message::End { run, ended } => {
            let sql = format!("UPDATE run SET outcome = ?, error = ?, steps = ?, ended_at = {NOW} WHERE id = ?");
            connection.prepare_cached(&sql)?.execute(params![ended.outcome.name(), ended.error, ended.steps, run])?;
        }
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "a training of 300 000 years would be cut")]
fn microseconds(ms: f64) -> i64 {
    (ms * 1e3).round() as i64
}

#[cfg(test)]
pub(crate) mod tests;
