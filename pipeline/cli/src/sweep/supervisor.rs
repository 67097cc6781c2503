//! What a thread can't survive: a sweep trains in a process of its own, watched by a small one that holds nothing worth killing it for.
//!
//! When the trainer dies (killed for want of memory, aborted because some could not be had, crashed), the supervisor starts it again.
//! The runs that it was training are under suspicion and are trained one at a time first, each from its checkpoint; one that takes its
//! process with it when it is alone has failed, and the others go on.

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use anyhow::{Context, Result};
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;

use crate::output::tell;
use crate::signals::{SIGNALS, Stop};

/// Tells a process that it is the trainer, and what became of those before it.
const VARIABLE: &str = "PIPELINE_TRAINER";

/// What a trainer knows of the sweep that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trainer {
    /// When the sweep was started, UTC.
    pub since: String,
    /// The trainer before this one, if it died.
    pub before: Option<Death>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    pub process: u32,
    /// Trainers of this sweep that have died so far.
    pub count: u64,
    pub why: String,
}

impl Trainer {
    /// What this process is told by its supervisor; `None`: it has none.
    pub fn of_this_process() -> Option<Self> {
        std::env::var(VARIABLE).ok().and_then(|text| Trainer::parse(&text))
    }

    fn parse(text: &str) -> Option<Self> {
        let (since, rest) = text.split_once(';')?;
        let before = rest.splitn(3, ';').collect::<Vec<_>>();
        let before = match before[..] {
            [process, count, why] => Some(Death { process: process.parse().ok()?, count: count.parse().ok()?, why: why.to_owned() }),
            _ => None,
        };
        Some(Trainer { since: since.to_owned(), before })
    }

    fn text(&self) -> String {
        let before = self.before.as_ref().map_or(String::new(), |d| format!("{};{};{}", d.process, d.count, d.why));
        format!("{};{before}", self.since)
    }
}

/// Runs this very command in a trainer, and in another when it dies. The exit code is the trainer's.
pub fn supervise() -> Result<ExitCode> {
    let mut signals = Signals::new(SIGNALS).context("listening to signals")?;
    let mut trainer = Trainer { since: tracker::now()?, before: None };
    // What the trainer is told: signals that may have come to this process only.
    let line = Arc::new(std::sync::Mutex::new(None::<std::process::ChildStdin>));
    let asked = Arc::new(AtomicI32::new(0));
    let (to_trainer, first) = (Arc::clone(&line), Arc::clone(&asked));
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let is_second = first.swap(signal, Ordering::SeqCst) != 0;
            if let Some(line) = to_trainer.lock().unwrap_or_else(std::sync::PoisonError::into_inner).as_mut() {
                let _ = line.write_all(&[u8::try_from(signal).unwrap_or(0)]);
            }
            if is_second {
                std::process::exit(128 + signal);
            }
        }
    });
    loop {
        let kills = memory_kills();
        let mut child = Command::new(program())
            .arg0(std::env::args_os().next().unwrap_or_else(|| "pipeline".into()))
            .args(std::env::args_os().skip(1))
            .env(VARIABLE, trainer.text())
            .stdin(Stdio::piped())
            .spawn()
            .context("starting the process that trains")?;
        let process = child.id();
        *line.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = child.stdin.take();
        let status = child.wait().context("waiting for the process that trains")?;
        if let Some(code) = status.code() {
            return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
        }
        let why = death(status, memory_kills() > kills);
        if asked.load(Ordering::SeqCst) != 0 {
            tell(&format!("the process that trains was {why} before it had stopped; the next `pipeline sweep` goes on where it was"));
            return Ok(ExitCode::from(u8::try_from(128 + asked.load(Ordering::SeqCst)).unwrap_or(1)));
        }
        let count = trainer.before.as_ref().map_or(0, |death| death.count) + 1;
        tell(&format!("the process that trains was {why}; going on with another"));
        trainer.before = Some(Death { process, count, why });
    }
}

/// Listens to the supervisor: the first signal it got asks to stop, as its own end does; the second stops at once.
pub fn listen(stop: &Stop) {
    let stop = stop.clone();
    std::thread::spawn(move || {
        let next = || {
            let mut signal = [0];
            std::io::stdin().read_exact(&mut signal).is_ok().then(|| i32::from(signal[0]))
        };
        stop.ask(next().unwrap_or(SIGTERM));
        if let Some(signal) = next() {
            std::process::exit(128 + signal);
        }
    });
}

/// This program, also when its file has been replaced by a newer build: then by the system's own name for it.
fn program() -> PathBuf {
    let running = PathBuf::from("/proc/self/exe");
    let file = std::env::current_exe().unwrap_or_else(|_| "pipeline".into());
    let identity = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    if identity(&running).is_none() || identity(&running) == identity(&file) { file } else { running }
}

/// How often the kernel has killed a process for want of memory, if it says so.
fn memory_kills() -> u64 {
    let counters = std::fs::read_to_string("/proc/vmstat").unwrap_or_default();
    counters.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()).unwrap_or(0)
}

/// How a process came to its end, to be read behind "it was".
fn death(status: ExitStatus, for_want_of_memory: bool) -> String {
    match status.signal().unwrap_or(0) {
        9 if for_want_of_memory => "killed by the kernel for want of memory (signal 9)".into(),
        9 => "killed (signal 9), which the kernel does for want of memory".into(),
        6 => "aborted (signal 6), as when memory can't be had".into(),
        signal @ (4 | 7 | 8 | 11) => format!("ended by a crash (signal {signal})"),
        signal => format!("ended by signal {signal}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trainer_learns_what_its_supervisor_knows() {
        let first = Trainer { since: "2026-01-02T03:04:05.678Z".into(), before: None };
        assert_eq!(Trainer::parse(&first.text()), Some(first.clone()));
        let why = death(ExitStatus::from_raw(9), true);
        let later = Trainer { before: Some(Death { process: 7, count: 2, why: format!("{why}; again") }), ..first };
        assert_eq!(Trainer::parse(&later.text()), Some(later));
        assert_eq!(Trainer::parse("1"), None);
    }
}
