//! The single writer of a process: one thread owns its connection; running trainings hand it records through a bounded channel.
//!
//! A training pushes a step into a buffer of its own; the channel only sees whole buffers. The writer gathers what comes and commits it
//! a few times per second, and at the end of every run, in transactions so short that other sweeps on the same file find their turn.
//! What a killed sweep loses is what its unfinished runs logged in the last moments; they go on from their checkpoints.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use spec::record::{Confusion, Eval, Facts, LayerFacts, Measurement, Outcome, Picture, Position, SinkError, Step};
use spec::{RunSpec, Study};

use crate::checkpoint::{Folder, Header};
use crate::error::Error;
use crate::import;
use crate::lease::{self, Claim, Wanted};
use crate::process::Process;
use crate::read::{Known, known};
use crate::register::register;
use crate::sink::{Checkpoints, Lease, RunSink};
use crate::store;

/// Messages in flight; a training that outruns the disk waits here instead of filling the memory.
const CHANNEL: usize = 256;
/// Records that are gathered for a commit at most; the longest transaction is as long as writing them takes.
const GATHERED: usize = 64;
/// Longest that records wait for a commit.
const COMMIT_EVERY: Duration = Duration::from_millis(250);
/// Commits survive the end of the process at once, a power cut after this time at the latest.
const SYNC_EVERY: Duration = Duration::from_secs(5);
/// How often a run keeps a checkpoint, unless told otherwise.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(30);

/// A results file, open for a sweep.
pub struct Tracker {
    line: Line,
    writer: JoinHandle<Result<Connection, Error>>,
    checkpoints: Folder,
    checkpoint_every: Option<Duration>,
}

/// The way to the writer.
#[derive(Clone)]
pub(crate) struct Line {
    sender: SyncSender<Message>,
    failure: Failure,
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

/// What came of asking for a run.
pub enum Claimed {
    /// It is ours to train.
    Own(Box<Start>),
    /// Another sweep trains it now.
    Elsewhere,
    /// Another sweep has ended it.
    Done,
}

/// A run to be trained.
pub struct Start {
    pub sink: RunSink,
    /// The state that it goes on from; without one it starts at its beginning.
    pub checkpoint: Option<Vec<u8>>,
}

/// What a dead process has left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buried {
    /// Runs that have failed, because the process died with each of them alone, again and again.
    pub failed: Vec<String>,
    /// Runs that may have been the reason.
    pub suspects: Vec<String>,
    /// Whether the process had not trained anything.
    pub is_idle: bool,
}

pub(crate) enum Record {
    Facts(Facts),
    Steps(Vec<Step>),
    Positions(Vec<Position>),
    Eval(Eval),
    Measurement(Measurement),
    Picture(Picture),
    Confusion(Confusion),
    End(Ended),
}

enum Message {
    Record(Arc<Lease>, Record),
    Ask(Question),
}

/// What is answered when everything before it is committed.
enum Question {
    Claim {
        run: RunSpec,
        wanted: Wanted,
        reply: SyncSender<(Claim, bool)>,
    },
    Prepare {
        lease: Arc<Lease>,
        checkpoint: Option<Header>,
        reply: SyncSender<u64>,
    },
    /// The reply: whether the claim still holds.
    Sync {
        lease: Arc<Lease>,
        reply: SyncSender<bool>,
    },
    Bury {
        process: u32,
        why: String,
        limit: u64,
        reply: SyncSender<Buried>,
    },
}

impl Line {
    fn send(&self, message: Message) -> Result<(), SinkError> {
        self.sender.send(message).map_err(|_| self.broken())
    }

    fn broken(&self) -> SinkError {
        let reason = self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        SinkError(format!("the results could not be written: {}", reason.unwrap_or_else(|| "the writer has stopped".into())))
    }

    pub(crate) fn record(&self, lease: &Arc<Lease>, record: Record) -> Result<(), SinkError> {
        self.send(Message::Record(Arc::clone(lease), record))
    }

    fn ask<T>(&self, question: impl FnOnce(SyncSender<T>) -> Question) -> Result<T, SinkError> {
        let (reply, answer) = sync_channel(1);
        self.send(Message::Ask(question(reply)))?;
        answer.recv().map_err(|_| self.broken())
    }

    /// Waits until all that was sent is on disk. Whether the claim still holds.
    pub(crate) fn sync(&self, lease: &Arc<Lease>) -> Result<bool, SinkError> {
        self.ask(|reply| Question::Sync { lease: Arc::clone(lease), reply })
    }
}

impl Tracker {
    /// Opens a results file for a sweep, and writes down its studies and their planned runs.
    ///
    /// A study that was swept before is replaced by its present form; runs that no study asks for any more stay, unless they
    /// never started.
    ///
    /// # Errors
    /// When the file is not ours, or can't be written.
    pub fn open(path: &Path, studies: &[Study], environment: Environment) -> Result<Self, Error> {
        let mut connection = store::open_for_writing(path)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        import::refuse_names(&transaction, studies)?;
        register(&transaction, studies)?;
        let sweep = lease::enter(&transaction, &Process::current(), environment.host.as_deref())?;
        transaction.commit()?;
        let checkpoints = Folder::of(path);
        tidy(&connection, &checkpoints)?;
        let (sender, receiver) = sync_channel(CHANNEL);
        let failure = Failure::default();
        let seen = Arc::clone(&failure);
        let now = Instant::now();
        let folder = checkpoints.clone();
        let mut writer =
            Writer { connection, sweep, environment, folder, gathered: vec![], since: None, beaten: now, synced: now, syncs: false };
        let writer = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || {
                writer.run(&receiver).map(|()| writer.connection).inspect_err(|e| {
                    *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(e.to_string());
                })
            })
            .map_err(|source| Error::file(path, source))?;
        Ok(Tracker { line: Line { sender, failure }, writer, checkpoints, checkpoint_every: Some(CHECKPOINT_EVERY) })
    }

    /// How often runs keep a checkpoint; `None`: only when they are interrupted.
    #[must_use]
    pub fn with_checkpoints_every(self, every: Option<Duration>) -> Self {
        Tracker { checkpoint_every: every, ..self }
    }

    /// Asks for a run. No other sweep gets it until it ends, this process does, or falls silent.
    ///
    /// # Errors
    /// When the writer has failed.
    pub fn claim(&self, run: &RunSpec, wanted: &Wanted) -> Result<Claimed, SinkError> {
        let (claim, is_prepared) = self.line.ask(|reply| Question::Claim { run: run.clone(), wanted: wanted.clone(), reply })?;
        let (key, attempt, resumable) = match claim {
            Claim::Own { key, attempt, resumable, .. } => (key, attempt, resumable),
            Claim::Elsewhere => return Ok(Claimed::Elsewhere),
            Claim::Done => return Ok(Claimed::Done),
        };
        let lease = Arc::new(Lease { run: run.id.clone(), key, attempt, lost: AtomicBool::new(false) });
        let kept = if resumable && !is_prepared { self.checkpoints.read(&run.id) } else { None };
        Ok(Claimed::Own(Box::new(if is_prepared { self.begin(lease, None) } else { self.prepare(lease, kept)? })))
    }

    /// Has the logs of a run made ready to go on from a checkpoint, or, where it is of no use or there is none, from the start.
    fn prepare(&self, lease: Arc<Lease>, kept: Option<(Header, Vec<u8>)>) -> Result<Start, SinkError> {
        let checkpoint = kept.as_ref().map(|(header, _)| header.clone());
        let after = self.line.ask(|reply| Question::Prepare { lease: Arc::clone(&lease), checkpoint, reply })?;
        let kept = kept.filter(|(header, _)| header.step == after);
        // Unless it is another sweep's by now.
        if kept.is_none() && !lease.lost.load(Ordering::Relaxed) {
            self.checkpoints.remove(&lease.run);
        }
        Ok(self.begin(lease, kept))
    }

    fn begin(&self, lease: Arc<Lease>, kept: Option<(Header, Vec<u8>)>) -> Start {
        let before = kept.as_ref().map(|(header, _)| header);
        let checkpoints = Checkpoints::new(self.checkpoints.clone(), self.checkpoint_every, before);
        Start { sink: RunSink::new(self.line.clone(), lease, checkpoints), checkpoint: kept.map(|(_, state)| state) }
    }

    /// Takes a run that no other sweep is training, from its start, whatever is known of it.
    ///
    /// # Errors
    /// When the writer has failed, or another sweep trains it.
    pub fn start(&self, run: &RunSpec) -> Result<RunSink, SinkError> {
        match self.claim(run, &Wanted::Always)? {
            Claimed::Own(start) => Ok(start.sink),
            Claimed::Elsewhere | Claimed::Done => Err(SinkError(format!("another sweep is training run {}", run.id))),
        }
    }

    /// Starts a run over whose checkpoint was of no use.
    ///
    /// # Errors
    /// When the writer has failed.
    pub fn start_over(&self, sink: RunSink) -> Result<RunSink, SinkError> {
        Ok(self.prepare(sink.into_lease(), None)?.sink)
    }

    /// Gives up the runs of a process on this machine that died. One that it was training alone, and that was lost in the same way
    /// `limit` times without coming any further, has failed.
    ///
    /// # Errors
    /// When the writer has failed.
    pub fn bury(&self, process: u32, why: &str, limit: u64) -> Result<Buried, SinkError> {
        self.line.ask(|reply| Question::Bury { process, why: why.to_owned(), limit, reply })
    }

    /// Waits until everything is written, and leaves one self-contained file behind, if no other sweep is at work.
    ///
    /// # Errors
    /// When the writer has failed.
    pub fn close(self) -> Result<(), Error> {
        drop(self.line);
        let connection = self.writer.join().map_err(|_| Error::Writer("the writer panicked".into()))??;
        // Others may have died in the meantime.
        tidy(&connection, &self.checkpoints)?;
        store::settle(&connection)
    }

    /// What a results file knows of runs, by id, without opening it for a sweep. A file that does not exist knows nothing.
    ///
    /// # Errors
    /// When the file is not ours or can't be read.
    pub fn known(path: &Path, ids: &[&str]) -> Result<Vec<Option<Known>>, Error> {
        match store::open_for_reading(path) {
            Ok(connection) => known(&connection, &Folder::of(path), ids),
            Err(Error::Missing(_)) => Ok(vec![None; ids.len()]),
            Err(e) => Err(e),
        }
    }
}

/// Removes the checkpoints of runs that have ended.
pub(crate) fn tidy(connection: &Connection, folder: &Folder) -> Result<(), Error> {
    let mut unfinished = connection.prepare("SELECT id FROM run WHERE outcome IS NULL OR outcome = 'interrupted'")?;
    let unfinished: BTreeSet<String> = unfinished.query_map([], |r| r.get(0))?.collect::<Result<_, _>>()?;
    folder.tidy(&|run| unfinished.contains(run));
    Ok(())
}

/// The thread that owns the connection.
struct Writer {
    connection: Connection,
    sweep: i64,
    environment: Environment,
    folder: Folder,
    gathered: Vec<(Arc<Lease>, Record)>,
    /// When the first of them came.
    since: Option<Instant>,
    beaten: Instant,
    synced: Instant,
    /// Whether commits wait for the disk.
    syncs: bool,
}

impl Writer {
    /// Until all senders are gone.
    fn run(&mut self, receiver: &Receiver<Message>) -> Result<(), Error> {
        loop {
            let commit_in = self.since.map_or(lease::HEARTBEAT, |since| COMMIT_EVERY.saturating_sub(since.elapsed()));
            let wait = commit_in.min(lease::HEARTBEAT.saturating_sub(self.beaten.elapsed()));
            let mut question = None;
            match receiver.recv_timeout(wait) {
                Ok(Message::Record(lease, record)) => {
                    self.since.get_or_insert_with(Instant::now);
                    let is_end = matches!(record, Record::End(_));
                    self.gathered.push((lease, record));
                    if !is_end && self.gathered.len() < GATHERED && self.since.is_none_or(|since| since.elapsed() < COMMIT_EVERY) {
                        continue;
                    }
                }
                Ok(Message::Ask(asked)) => question = Some(asked),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.commit(question)?;
        }
        self.commit(None)?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        lease::leave(&transaction, self.sweep)?;
        Ok(transaction.commit()?)
    }

    /// Writes what was gathered, and answers a question, in one transaction.
    fn commit(&mut self, question: Option<Question>) -> Result<(), Error> {
        let syncs = matches!(question, Some(Question::Sync { .. })) || self.synced.elapsed() >= SYNC_EVERY;
        if syncs != self.syncs {
            self.connection.pragma_update(None, "synchronous", if syncs { "FULL" } else { "NORMAL" })?;
            self.syncs = syncs;
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if self.beaten.elapsed() >= lease::HEARTBEAT {
            lease::beat(&transaction, self.sweep)?;
            self.beaten = Instant::now();
        }
        let mut ended = vec![];
        for (lease, record) in self.gathered.drain(..) {
            if !holds(&transaction, &lease)? {
                continue;
            }
            if let Record::End(end) = &record
                && end.outcome != Outcome::Interrupted
            {
                ended.push(lease.run.clone());
            }
            store_record(&transaction, &lease, record)?;
        }
        let answer = question.map(|question| answer_to(&transaction, self.sweep, &self.environment, question)).transpose()?;
        transaction.commit()?;
        self.since = None;
        if syncs {
            self.synced = Instant::now();
        }
        for run in ended {
            self.folder.remove(&run);
        }
        if let Some(answer) = answer {
            answer();
        }
        Ok(())
    }
}

/// Whether a claim still holds; where it doesn't, the run is told.
fn holds(connection: &Connection, lease: &Lease) -> Result<bool, Error> {
    let holds = !lease.lost.load(Ordering::Relaxed) && lease::holds(connection, lease.key, lease.attempt)?;
    if !holds {
        lease.lost.store(true, Ordering::Relaxed);
    }
    Ok(holds)
}

/// What answers a question once the transaction is committed. Nobody may be waiting any more.
fn answer_to(transaction: &Transaction<'_>, sweep: i64, environment: &Environment, question: Question) -> Result<Box<dyn FnOnce()>, Error> {
    fn reply<T: 'static>(to: SyncSender<T>, answer: T) -> Box<dyn FnOnce()> {
        Box::new(move || {
            let _ = to.send(answer);
        })
    }
    Ok(match question {
        Question::Claim { run, wanted, reply: to } => {
            let claim = lease::claim(transaction, sweep, &run, &wanted)?;
            // It has nothing to go on from and nothing to remove.
            let is_first = matches!(claim, Claim::Own { is_new: true, .. });
            if let Claim::Own { key, attempt, .. } = claim
                && is_first
            {
                lease::prepare(transaction, key, attempt, None, environment)?;
            }
            reply(to, (claim, is_first))
        }
        Question::Prepare { lease, checkpoint, reply: to } => {
            let after = if holds(transaction, &lease)? {
                lease::prepare(transaction, lease.key, lease.attempt, checkpoint.as_ref(), environment)?
            } else {
                0
            };
            reply(to, after)
        }
        Question::Sync { lease, reply: to } => reply(to, holds(transaction, &lease)?),
        Question::Bury { process, why, limit, reply: to } => reply(to, lease::bury(transaction, process, &why, limit)?),
    })
}

fn store_record(connection: &Connection, lease: &Lease, record: Record) -> Result<(), Error> {
    let key = lease.key;
    match record {
        Record::Facts(f) => {
            let layers = Some(LayerFacts::to_json(&f.layers)).filter(|_| !f.layers.is_empty());
            let classes = Some(serde_json::Value::from(f.classes).to_string()).filter(|text| text != "[]");
            let sql =
                "UPDATE run SET planned_steps = ?, parameters = ?, flops_per_step = ?, layers = ?, classes = ?, device = ?, threads = ?
                       WHERE key = ?";
            let mut update = connection.prepare_cached(sql)?;
            update.execute(params![f.planned_steps, f.parameters, f.flops_per_step, layers, classes, f.device, f.threads, key])?;
        }
        Record::Steps(steps) => {
            let mut insert = connection.prepare_cached("INSERT INTO step_log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
            for s in steps {
                let finite = [s.loss, s.accuracy.unwrap_or(0.0), s.lr, s.grad_norm].iter().all(|x| x.is_finite());
                let us = microseconds(s.elapsed_ms);
                insert.execute(params![key, s.step, s.epoch, s.examples, s.loss, s.accuracy, s.lr, s.grad_norm, us, finite])?;
            }
        }
        Record::Eval(e) => {
            let finite = e.loss.is_finite() && e.accuracy.is_none_or(f64::is_finite);
            let us = microseconds(e.elapsed_ms);
            let mut insert = connection.prepare_cached("INSERT INTO eval_log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
            insert.execute(params![key, e.split.name(), e.step, e.epoch, e.examples, e.loss, e.accuracy, us, finite, e.noise_scale])?;
        }
        Record::Positions(positions) => {
            let mut insert = connection.prepare_cached("INSERT INTO position_log VALUES (?, ?, ?, ?)")?;
            for p in positions {
                insert.execute(params![key, p.step, p.x, p.y])?;
            }
        }
        Record::Measurement(m) => {
            connection.prepare_cached("INSERT INTO measurement_log VALUES (?, ?, ?)")?.execute(params![key, m.name, m.value])?;
        }
        Record::Picture(p) => {
            let mut insert = connection.prepare_cached("INSERT INTO picture_log VALUES (?, ?, ?, ?, ?, ?)")?;
            insert.execute(params![key, p.name, p.height, p.width, p.channels, p.pixels])?;
        }
        Record::Confusion(confusion) => {
            let mut insert = connection.prepare_cached("INSERT INTO confusion_log VALUES (?, ?, ?, ?)")?;
            for (at, examples) in confusion.examples.iter().enumerate().filter(|(_, examples)| **examples > 0) {
                insert.execute(params![key, at / confusion.classes, at % confusion.classes, examples])?;
            }
        }
        Record::End(ended) => lease::end(connection, key, lease.attempt, &ended)?,
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "a training of 300 000 years would be cut")]
fn microseconds(ms: f64) -> i64 {
    (ms * 1e3).round() as i64
}

#[cfg(test)]
pub(crate) mod tests;
