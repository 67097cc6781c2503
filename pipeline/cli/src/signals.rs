//! Ctrl-C and termination: the first signal finishes the batch and commits, the second stops at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

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
        for signal in [SIGINT, SIGTERM] {
            // Order matters: the shutdown sees the flag as the signal before left it.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&armed))?;
            flag::register(signal, Arc::clone(&armed))?;
            flag::register_usize(signal, Arc::clone(&stop.signal), usize::try_from(signal).unwrap_or(1))?;
        }
        Ok(stop)
    }

    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    pub fn requested(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed) || self.signal.load(Ordering::Relaxed) != 0
    }

    /// The exit code that a signal asks for: 130 for Ctrl-C, 143 for termination.
    pub fn exit_code(&self) -> Option<u8> {
        match self.signal.load(Ordering::Relaxed) {
            0 => None,
            signal => u8::try_from(128 + signal).ok(),
        }
    }
}
