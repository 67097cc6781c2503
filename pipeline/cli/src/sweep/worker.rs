//! One run on one thread: whatever happens in it becomes its outcome.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

use engine::{Checkpoint, Error};
use spec::record::{Confusion, Eval, Facts, Measurement, Outcome, Picture, Position, Sink, SinkError, Step, WriteState};
use tracker::{Claimed, Ended, RunSink, Start, Tracker, Wanted};

use super::progress::Progress;
use crate::plan::{Item, Planned};
use crate::signals::Stop;

thread_local! {
    /// Where the last panic of this thread happened; the panic itself only carries its message.
    static PANIC_PLACE: RefCell<String> = const { RefCell::new(String::new()) };
    /// Whether this thread is training, so that a panic is the run's.
    static IN_RUN: Cell<bool> = const { Cell::new(false) };
}

/// Keeps panics of runs off the terminal: they are recorded with their place instead.
pub fn quiet_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !IN_RUN.get() {
            return usual(info);
        }
        let place = info.location().map_or(String::new(), |l| format!(" at {}:{}", l.file(), l.line()));
        PANIC_PLACE.with_borrow_mut(|p| *p = place);
    }));
}

/// What came of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trained {
    Ended(Outcome),
    /// Another sweep is training it.
    Elsewhere,
    /// Another sweep has ended it.
    Done,
    /// The results can't be written, so the sweep can't go on.
    Lost,
}

/// What all runs of a sweep share.
pub struct Shared<'a> {
    pub planned: &'a Planned,
    pub tracker: &'a Tracker,
    pub stop: &'a Stop,
    pub progress: &'a Progress,
    /// How many times more a failed run is tried.
    pub retries: u32,
}

impl Shared<'_> {
    /// Trains a run, if it is to be had, and records how it ended.
    pub fn train(&self, item: &Item, slot: usize, threads: &dyn Fn() -> usize) -> Trained {
        self.progress.begin(slot, item);
        let mut wanted = item.wanted.clone();
        for tries_left in (0..=self.retries).rev() {
            let start = match self.tracker.claim(&item.run, &wanted) {
                Ok(Claimed::Own(start)) => *start,
                Ok(Claimed::Elsewhere) => {
                    self.progress.leave(slot, false);
                    return Trained::Elsewhere;
                }
                Ok(Claimed::Done) => {
                    self.progress.leave(slot, true);
                    return Trained::Done;
                }
                Err(e) => return self.lost(&e),
            };
            let (ended, eval) = match self.attempt(item, start, slot, threads) {
                Ok(attempt) => attempt,
                Err(over) => return over,
            };
            if ended.outcome == Outcome::Failed && tries_left > 0 && !self.stop.requested() {
                let why = ended.error.as_deref().unwrap_or_default();
                let again = if tries_left == 1 { "once more".into() } else { format!("up to {tries_left} times more") };
                let name = format!("{} · {} · seed {}", item.study, item.arm, item.run.seed);
                self.progress.say(&format!("{name} failed at step {}: {why}; it is tried {again}", ended.steps));
                wanted = Wanted::Failed;
                continue;
            }
            self.progress.end(slot, item, &ended, eval.as_ref());
            return Trained::Ended(ended.outcome);
        }
        unreachable!("the last try returns")
    }

    /// One try: how the run ended, with its last evaluation; or what else came of it.
    fn attempt(&self, item: &Item, start: Start, slot: usize, threads: &dyn Fn() -> usize) -> Result<(Ended, Option<Eval>), Trained> {
        let mut watched = Watched { sink: start.sink, of: self, slot, steps: 0, shown_ms: 0.0, last_eval: None };
        let run = |watched: &mut Watched<'_>, checkpoint: Option<&Checkpoint>| {
            IN_RUN.set(true);
            let dataset = item.dataset.as_deref();
            let device = &self.planned.devices[slot % self.planned.devices.len()];
            let result = catch_unwind(AssertUnwindSafe(|| engine::run(&item.run, dataset, device, threads, checkpoint, watched)));
            IN_RUN.set(false);
            result
        };
        let mut result = match start.checkpoint.map(Checkpoint::parse).transpose() {
            Ok(checkpoint) => run(&mut watched, checkpoint.as_ref()),
            Err(e) => Ok(Err(e)),
        };
        if let Ok(Err(Error::Checkpoint(why))) = &result {
            self.progress.say(&format!("run {} starts over: {why}", item.run.id));
            let sink = self.tracker.start_over(watched.sink).map_err(|e| self.lost(&e))?;
            watched = Watched { sink, of: self, slot, steps: 0, shown_ms: 0.0, last_eval: None };
            result = run(&mut watched, None);
        }
        let failed = |error: String, steps| Ended { outcome: Outcome::Failed, steps, error: Some(error) };
        let ended = match result {
            Ok(Ok(ending)) => Ended { outcome: ending.outcome, steps: ending.steps, error: ending.reason },
            Ok(Err(Error::Sink(e))) => return Err(self.over(&watched.sink, slot, &e)),
            Ok(Err(e)) => failed(e.to_string(), watched.steps),
            Err(panic) => failed(format!("panicked{}: {}", PANIC_PLACE.with_borrow(Clone::clone), message(panic.as_ref())), watched.steps),
        };
        let Watched { sink, last_eval, .. } = watched;
        sink.end(ended.clone()).map_err(|e| self.lost(&e))?;
        Ok((ended, last_eval))
    }

    /// The run's records were not taken.
    fn over(&self, sink: &RunSink, slot: usize, error: &SinkError) -> Trained {
        if !sink.is_lost() {
            return self.lost(error);
        }
        self.progress.leave(slot, false);
        Trained::Elsewhere
    }

    fn lost(&self, error: &SinkError) -> Trained {
        self.progress.complain(&error.to_string());
        Trained::Lost
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "without a message".into())
}

/// A sink that also shows progress and looks for signals.
struct Watched<'a> {
    sink: RunSink,
    of: &'a Shared<'a>,
    slot: usize,
    steps: u64,
    shown_ms: f64,
    last_eval: Option<Eval>,
}

impl Sink for Watched<'_> {
    fn begin(&mut self, facts: &Facts) -> Result<(), SinkError> {
        self.sink.begin(facts)
    }

    fn step(&mut self, step: &Step) -> Result<(), SinkError> {
        self.steps = step.step;
        // Drawing costs more than a small step; ten times a second is enough for the eye.
        if step.elapsed_ms - self.shown_ms > 100.0 {
            self.shown_ms = step.elapsed_ms;
            self.of.progress.at(self.slot, step);
        }
        self.sink.step(step)
    }

    fn eval(&mut self, eval: &Eval) -> Result<(), SinkError> {
        if eval.split == spec::Split::Validation || eval.accuracy.is_none() {
            self.last_eval = Some(*eval);
        }
        self.sink.eval(eval)
    }

    fn position(&mut self, position: &Position) -> Result<(), SinkError> {
        self.sink.position(position)
    }

    fn measurement(&mut self, measurement: &Measurement) -> Result<(), SinkError> {
        self.sink.measurement(measurement)
    }

    fn picture(&mut self, picture: &Picture) -> Result<(), SinkError> {
        self.sink.picture(picture)
    }

    fn confusion(&mut self, confusion: &Confusion) -> Result<(), SinkError> {
        self.sink.confusion(confusion)
    }

    fn wants_checkpoint(&self, at_epoch_end: bool) -> bool {
        self.sink.wants_checkpoint(at_epoch_end)
    }

    fn checkpoint(&mut self, step: u64, write: &mut WriteState<'_>) -> Result<(), SinkError> {
        self.sink.checkpoint(step, write)?;
        if let Some(trouble) = self.sink.trouble() {
            self.of.progress.say(&format!("warning: {trouble}; the run goes on without"));
        }
        Ok(())
    }

    fn interrupted(&self) -> bool {
        self.of.stop.requested()
    }
}
