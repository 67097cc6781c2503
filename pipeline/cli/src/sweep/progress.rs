//! What a sweep shows on stderr: bars on a terminal, one plain line per run elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;
use spec::record::{Eval, Outcome, Step};
use tracker::Ended;

use crate::output::{self, colors_messages, complain, duration, error_line, tell, visible};
use crate::plan::Item;

pub struct Progress {
    view: View,
    /// Whether a line of JSON on stdout tells of every run that ends.
    json: bool,
    total: usize,
    done: AtomicUsize,
    /// Expected work of all runs and of each running one.
    work: f64,
    state: Mutex<State>,
    started: Instant,
}

enum View {
    Bars { all: MultiProgress, total: ProgressBar, slots: Vec<ProgressBar> },
    Lines,
    Silent,
}

struct State {
    finished_work: f64,
    /// Per slot: the run's work, and the part of it that is done.
    running: Vec<(f64, f64)>,
}

/// What a run costs relative to others: its arithmetic, and a fixed cost per step.
fn work(item: &Item) -> f64 {
    const STEP_OVERHEAD_FLOPS: f64 = 2e6;
    item.estimate_ms.unwrap_or_else(|| item.facts.planned_steps as f64 * (item.facts.flops_per_step as f64 + STEP_OVERHEAD_FLOPS) / 2e7)
}

impl Progress {
    pub fn new(queue: &[&Item], jobs: usize, quiet: bool, json: bool) -> Self {
        let slots = jobs.min(queue.len());
        let view = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => View::Silent,
            (false, false) => View::Lines,
            (false, true) => {
                let all = MultiProgress::new();
                let style = |bar: &str, colors: &str, rest: &str| {
                    let colors = if colors_messages() { colors } else { "" };
                    ProgressStyle::with_template(&format!("{{{bar}{colors}}} {rest}")).unwrap_or_else(|_| ProgressStyle::default_bar())
                };
                let slot_style = style("bar:20", ".cyan/dim", "{pos:>6}/{len:<6} {wide_msg}");
                let total_style = style("bar:24", ".green/dim", "{wide_msg}");
                let bars = (0..slots).map(|_| all.add(ProgressBar::new(1).with_style(slot_style.clone()))).collect();
                let total = all.add(ProgressBar::new(1000).with_style(total_style));
                total.enable_steady_tick(Duration::from_millis(500));
                View::Bars { all, total, slots: bars }
            }
        };
        let work = queue.iter().map(|i| work(i)).sum();
        let state = Mutex::new(State { finished_work: 0.0, running: vec![(0.0, 0.0); slots] });
        Progress { view, json, total: queue.len(), done: AtomicUsize::new(0), work, state, started: Instant::now() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A run starts in a slot.
    pub fn begin(&self, slot: usize, item: &Item) {
        self.state().running[slot] = (work(item), 0.0);
        if let View::Bars { slots, .. } = &self.view {
            slots[slot].set_length(item.facts.planned_steps);
            slots[slot].set_position(0);
            slots[slot].set_message(visible(&format!("{} · {} · seed {}", item.study, item.arm, item.run.seed)).into_owned());
        }
        self.draw_total();
    }

    /// A run has come to a step.
    pub fn at(&self, slot: usize, step: &Step) {
        if let View::Bars { slots, .. } = &self.view {
            slots[slot].set_position(step.step);
            let share = step.step as f64 / slots[slot].length().unwrap_or(1).max(1) as f64;
            self.state().running[slot].1 = share;
            self.draw_total();
        }
    }

    /// A run has ended.
    pub fn end(&self, slot: usize, item: &Item, ended: &Ended, eval: Option<&Eval>) {
        let n = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if self.json {
            let eval = eval.map(|e| {
                json!({ "split": e.split.name(), "step": e.step, "epoch": e.epoch, "loss": output::number(e.loss), "accuracy": e.accuracy.map(output::number) })
            });
            let line = json!({ "run_id": item.run.id, "study": item.study, "arm": item.arm, "seed": item.run.seed,
                "outcome": ended.outcome.name(), "steps": ended.steps, "error": ended.error, "eval": eval });
            // A reader that has gone is no reason to lose results.
            let _ = writeln!(std::io::stdout(), "{}", output::inert(&line.to_string()));
        }
        {
            let mut state = self.state();
            state.finished_work += state.running[slot].0;
            state.running[slot] = (0.0, 0.0);
        }
        let line = || {
            let result = match (ended.outcome, &ended.error, eval) {
                (Outcome::Completed, _, Some(e)) => match e.accuracy {
                    Some(accuracy) => format!("{} loss {:.4}, accuracy {accuracy:.3}", e.split.name(), e.loss),
                    None => format!("loss {:.4}", e.loss),
                },
                (_, Some(reason), _) => format!("step {}: {reason}", ended.steps),
                _ => format!("{} steps", ended.steps),
            };
            format!("[{n}/{}] {:<11} {} · {} · seed {} · {result}", self.total, ended.outcome.name(), item.study, item.arm, item.run.seed)
        };
        match &self.view {
            View::Lines => tell(&line()),
            View::Bars { all, .. } if ended.outcome == Outcome::Failed => {
                let _ = all.println(visible(&line()));
            }
            _ => {}
        }
        self.draw_total();
    }

    /// A run was not for us to train: another sweep has ended it (`done`), or is at it and will be looked at again.
    pub fn leave(&self, slot: usize, done: bool) {
        self.done.fetch_add(usize::from(done), Ordering::Relaxed);
        let mut state = self.state();
        state.finished_work += if done { state.running[slot].0 } else { 0.0 };
        state.running[slot] = (0.0, 0.0);
    }

    /// A slot has nothing left to do.
    pub fn idle(&self, slot: usize) {
        if let View::Bars { slots, .. } = &self.view {
            slots[slot].finish_and_clear();
        }
    }

    /// An error that must not be torn apart by bars.
    pub fn complain(&self, text: &str) {
        match &self.view {
            View::Bars { all, .. } => {
                let _ = all.println(error_line(text));
            }
            View::Lines | View::Silent => complain(text),
        }
    }

    /// A message that must not be torn apart by bars.
    pub fn say(&self, text: &str) {
        match &self.view {
            View::Bars { all, .. } => {
                let _ = all.println(&*visible(text));
            }
            View::Lines => tell(text),
            View::Silent => {}
        }
    }

    pub fn finish(&self) {
        if let View::Bars { all, total, .. } = &self.view {
            total.finish_and_clear();
            let _ = all.clear();
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 1000")]
    fn draw_total(&self) {
        let View::Bars { total, .. } = &self.view else { return };
        let state = self.state();
        let done = state.finished_work + state.running.iter().map(|(work, share)| work * share).sum::<f64>();
        drop(state);
        let share = if self.work > 0.0 { (done / self.work).min(1.0) } else { 0.0 };
        let elapsed = self.started.elapsed().as_secs_f64();
        // The first seconds say little about the rest.
        let left =
            if share > 0.01 && elapsed > 2.0 { format!(", {} left", duration(elapsed * (1.0 - share) / share)) } else { String::new() };
        total.set_position((share * 1000.0) as u64);
        total.set_message(format!("{}/{} runs · {}{left}", self.done.load(Ordering::Relaxed), self.total, duration(elapsed)));
    }
}
