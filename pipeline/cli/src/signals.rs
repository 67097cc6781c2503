//! Ctrl-C, termination and preemption: the first signal finishes the step, keeps a checkpoint and commits; the second stops at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;

/// What asks a sweep to stop. Batch systems send SIGUSR1 some time before they end a job.
pub const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGUSR1];

/// Tells whether the sweep was asked to stop.
#[derive(Clone, Default)]
pub struct Stop {
    signal: Arc<AtomicUsize>,
    /// Set by us, when a run failed and `--fail-fast` was given, or the results can't be written.
    abandoned: Arc<AtomicBool>,
}

impl Stop {
    /// Listens from now on.
    pub fn on_signals() -> std::io::Result<Self> {
        let stop = Stop::default();
        let armed = Arc::new(AtomicBool::new(false));
        for signal in SIGNALS {
            // Order matters: the shutdown sees the flag as the signal before left it.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&armed))?;
            flag::register(signal, Arc::clone(&armed))?;
            flag::register_usize(signal, Arc::clone(&stop.signal), usize::try_from(signal).unwrap_or(1))?;
        }
        Ok(stop)
    }

    /// As a first signal that another process has got; one that came here as well is still the first.
    pub fn ask(&self, signal: i32) {
        let _ = self.signal.compare_exchange(0, usize::try_from(signal).unwrap_or(1), Ordering::Relaxed, Ordering::Relaxed);
    }

    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    pub fn requested(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed) || self.signal.load(Ordering::Relaxed) != 0
    }

    /// The exit code that a signal asks for: 130 for Ctrl-C, 143 for termination, 138 for SIGUSR1.
    pub fn exit_code(&self) -> Option<u8> {
        match self.signal.load(Ordering::Relaxed) {
            0 => None,
            signal => u8::try_from(128 + signal).ok(),
        }
    }
}
