//! `--publish`: a copy of the database where other machines find it, kept by the supervisor, who outlives whatever happens to the training.

use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result};
use tracker::Publication;

use crate::args::Sweep;
use crate::error::FAILED;
use crate::output::complain;

/// Takes up what was published, lets a sweep run, and publishes now and then, and when it has ended.
pub fn around(db: &Path, args: &Sweep, sweep: impl FnOnce() -> Result<ExitCode>) -> Result<ExitCode> {
    let Some(target) = &args.publish else { return sweep() };
    let failed = || format!("publishing {}", target.display());
    let mut publication = Publication::take_up(db, target).with_context(failed)?;
    let every = Some(args.publish_every).filter(|s| *s > 0.0).map(Duration::from_secs_f64);
    let (ended, end) = channel::<()>();
    let (code, publication) = std::thread::scope(|scope| {
        let publisher = scope.spawn(move || {
            while let Some(every) = every {
                if end.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
                // What can't be published now may be later; what was published before is still there.
                if let Err(e) = publication.publish() {
                    complain(&format!("{:#}", anyhow::Error::from(e).context(failed())));
                }
            }
            publication
        });
        let code = sweep();
        drop(ended);
        (code, publisher.join())
    });
    let mut publication = publication.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    if let Err(e) = publication.publish() {
        complain(&format!("{:#}", anyhow::Error::from(e).context(failed())));
        return Ok(ExitCode::from(FAILED));
    }
    code
}
