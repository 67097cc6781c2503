//! One run on one thread: whatever happens in it becomes its outcome.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use engine::Error;
use spec::record::{Confusion, Eval, Facts, Measurement, Outcome, Picture, Position, Sink, SinkError, Step};
use tracker::{Ended, Environment, RunSink, Tracker};

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

/// Trains a run and records how it ended. `None`: the results can't be written, so the sweep can't go on.
#[expect(clippy::too_many_arguments, reason = "what all runs of a sweep share")]
pub fn train(
    item: &Item,
    planned: &Planned,
    tracker: &Tracker,
    environment: &Arc<Environment>,
    stop: &Stop,
    progress: &Progress,
    slot: usize,
    threads: &dyn Fn() -> usize,
) -> Option<Outcome> {
    progress.begin(slot, item);
    let sink = match tracker.start(&item.run, environment) {
        Ok(sink) => sink,
        Err(e) => return lost(progress, &e),
    };
    let mut watched = Watched { sink, stop, progress, slot, steps: 0, shown_ms: 0.0, last_eval: None };
    IN_RUN.set(true);
    let result = catch_unwind(AssertUnwindSafe(|| engine::run(&item.run, item.dataset.as_deref(), &planned.device, threads, &mut watched)));
    IN_RUN.set(false);
    let failed = |error: String, steps| Ended { outcome: Outcome::Failed, steps, error: Some(error) };
    let ended = match result {
        Ok(Ok(ending)) => Ended { outcome: ending.outcome, steps: ending.steps, error: ending.reason },
        Ok(Err(Error::Sink(e))) => return lost(progress, &e),
        Ok(Err(e)) => failed(e.to_string(), watched.steps),
        Err(panic) => failed(format!("panicked{}: {}", PANIC_PLACE.with_borrow(Clone::clone), message(panic.as_ref())), watched.steps),
    };
    let (last_eval, sink) = (watched.last_eval, watched.sink);
    if let Err(e) = sink.end(ended.clone()) {
        return lost(progress, &e);
    }
    progress.end(slot, item, &ended, last_eval.as_ref());
    Some(ended.outcome)
}

fn lost(progress: &Progress, error: &SinkError) -> Option<Outcome> {
    progress.complain(&error.to_string());
    None
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "without a message".into())
}

/// A sink that also shows progress and looks for signals.
struct Watched<'a> {
    sink: RunSink,
    stop: &'a Stop,
    progress: &'a Progress,
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
            self.progress.at(self.slot, step);
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

    fn interrupted(&self) -> bool {
        self.stop.requested()
    }
}
