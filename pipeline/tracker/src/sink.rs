//! Where a run's records go on their way to the writer, and when it keeps a checkpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use spec::record::{Confusion, Eval, Facts, Measurement, Picture, Position, Sink, SinkError, Step, WriteState};

use crate::checkpoint::{Folder, Header};
use crate::write::{Ended, Line, Record};

/// Steps that a run buffers before it hands them over.
const BUFFER: usize = 128;
/// Longest that a step waits in a buffer, in milliseconds of training.
const BUFFER_MS: f64 = 250.0;
/// Checkpoints take one part in so many of a run's time at most, whatever its network weighs.
const SHARE: u32 = 20;
/// At the end of an epoch a checkpoint may come so many times earlier than within.
const SOONER_AT_EPOCH_END: u32 = 10;

/// A claim on a run.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) run: String,
    pub(crate) key: i64,
    pub(crate) attempt: i64,
    /// Another sweep has taken the run over.
    pub(crate) lost: AtomicBool,
}

/// When a run keeps checkpoints.
pub(crate) struct Checkpoints {
    folder: Folder,
    every: Option<Duration>,
    last: Instant,
    /// Time that the last one took.
    cost: Duration,
    /// Evaluations and places that were recorded, from the run's first step on.
    evals: u64,
    positions: u64,
    /// Why the last one could not be kept.
    trouble: Option<String>,
}

impl Checkpoints {
    /// `before`: the checkpoint that the run goes on from.
    pub(crate) fn new(folder: Folder, every: Option<Duration>, before: Option<&Header>) -> Self {
        let (evals, positions) = before.map_or((0, 0), |header| (header.evals, header.positions));
        Checkpoints { folder, every, last: Instant::now(), cost: Duration::ZERO, evals, positions, trouble: None }
    }

    fn are_due(&self, at_epoch_end: bool) -> bool {
        let Some(every) = self.every else { return false };
        let since = self.last.elapsed();
        since >= if at_epoch_end { every / SOONER_AT_EPOCH_END } else { every } && since >= self.cost * SHARE
    }
}

/// Takes a run's records.
pub struct RunSink {
    line: Line,
    lease: Arc<Lease>,
    checkpoints: Checkpoints,
    buffer: Vec<Step>,
    positions: Vec<Position>,
    handed_over_ms: f64,
}

impl RunSink {
    pub(crate) fn new(line: Line, lease: Arc<Lease>, checkpoints: Checkpoints) -> Self {
        RunSink { line, lease, checkpoints, buffer: Vec::with_capacity(BUFFER), positions: vec![], handed_over_ms: 0.0 }
    }

    /// Whether another sweep has taken the run over, because this one was held up for too long.
    pub fn is_lost(&self) -> bool {
        self.lease.lost.load(Ordering::Relaxed)
    }

    /// Why the last checkpoint could not be kept, once for each.
    pub fn trouble(&mut self) -> Option<String> {
        self.checkpoints.trouble.take()
    }

    pub(crate) fn into_lease(self) -> Arc<Lease> {
        self.lease
    }

    fn send(&self, record: Record) -> Result<(), SinkError> {
        if self.is_lost() {
            return Err(SinkError("another sweep has taken the run over".into()));
        }
        self.line.record(&self.lease, record)
    }

    fn hand_over(&mut self) -> Result<(), SinkError> {
        if !self.positions.is_empty() {
            let positions = std::mem::take(&mut self.positions);
            self.send(Record::Positions(positions))?;
        }
        if self.buffer.is_empty() {
            return Ok(());
        }
        let steps = std::mem::replace(&mut self.buffer, Vec::with_capacity(BUFFER));
        self.send(Record::Steps(steps))
    }

    /// Writes down how the run ended.
    ///
    /// # Errors
    /// When the writer has failed.
    pub fn end(mut self, ended: Ended) -> Result<(), SinkError> {
        self.hand_over()?;
        self.send(Record::End(ended))
    }
}

impl Sink for RunSink {
    fn begin(&mut self, facts: &Facts) -> Result<(), SinkError> {
        self.send(Record::Facts(facts.clone()))
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
        self.checkpoints.evals += 1;
        self.hand_over()?;
        self.send(Record::Eval(*eval))
    }

    fn position(&mut self, position: &Position) -> Result<(), SinkError> {
        self.checkpoints.positions += 1;
        self.positions.push(*position);
        if self.positions.len() == BUFFER { self.hand_over() } else { Ok(()) }
    }

    fn measurement(&mut self, measurement: &Measurement) -> Result<(), SinkError> {
        self.send(Record::Measurement(measurement.clone()))
    }

    fn picture(&mut self, picture: &Picture) -> Result<(), SinkError> {
        self.send(Record::Picture(picture.clone()))
    }

    fn confusion(&mut self, confusion: &Confusion) -> Result<(), SinkError> {
        self.send(Record::Confusion(confusion.clone()))
    }

    fn wants_checkpoint(&self, at_epoch_end: bool) -> bool {
        self.checkpoints.are_due(at_epoch_end)
    }

    fn checkpoint(&mut self, step: u64, write: &mut WriteState<'_>) -> Result<(), SinkError> {
        let started = Instant::now();
        // A checkpoint is of use only with all that was logged before it.
        self.hand_over()?;
        if !self.line.sync(&self.lease)? {
            return Err(SinkError("another sweep has taken the run over".into()));
        }
        let Checkpoints { folder, evals, positions, .. } = &self.checkpoints;
        let header = Header { run: self.lease.run.clone(), step, evals: *evals, positions: *positions };
        let written = folder.write(&header, write);
        self.checkpoints.trouble = written.err().map(|e| format!("the checkpoint of run {} could not be kept: {e}", self.lease.run));
        self.checkpoints.last = Instant::now();
        self.checkpoints.cost = started.elapsed();
        Ok(())
    }
}
