//! A training that was cut short and goes on: what is kept of it, and how it comes back.

use std::io::{self, Write};
use std::time::Duration;

use spec::RunSpec;

use super::{Best, Training};
use crate::checkpoint::{self, Checkpoint, Scalars};
use crate::error::Error;
use crate::network::Slot;
use crate::optim::Optimizer;

/// How far a training has come.
pub(super) struct SoFar {
    pub step: u64,
    /// Examples that were trained on.
    pub examples: u64,
    /// The loss above which it has diverged.
    pub limit: f64,
    pub best: Option<Best>,
}

impl Training<'_> {
    /// Writes all that the training needs to go on.
    pub(super) fn write_checkpoint(
        &mut self,
        to: &mut dyn Write,
        run: &RunSpec,
        on: &str,
        so_far: &SoFar,
        optimizer: &mut dyn Optimizer,
    ) -> io::Result<()> {
        let SoFar { step, examples, limit, best } = so_far;
        let clock_ns = u64::try_from(self.clock.total.as_nanos()).unwrap_or(u64::MAX);
        let mut scalars = Scalars::new(run, on, *step).count("examples", *examples).count("clock_ns", clock_ns);
        scalars = scalars.count("optimizer_steps", *optimizer.steps()).count("seen", *self.network.seen()).count("turns", self.turns);
        scalars = scalars.float("limit", *limit);
        if let Some(best) = best {
            let worse = best.worse as u64;
            scalars = scalars.float("best_loss", best.loss).count("best_step", best.step).count("best_worse", worse);
        }
        checkpoint::write(to, &scalars, &mut |visit| self.network.each_number(visit))
    }

    /// Puts back what was written, over a training that has not begun.
    pub(super) fn go_on_from(&mut self, checkpoint: &Checkpoint, so_far: &mut SoFar, optimizer: &mut dyn Optimizer) -> Result<(), Error> {
        so_far.step = checkpoint.step();
        so_far.examples = checkpoint.count("examples")?;
        so_far.limit = checkpoint.float("limit")?;
        if let Some(best) = &mut so_far.best {
            (best.loss, best.step) = (checkpoint.float("best_loss")?, checkpoint.count("best_step")?);
            best.worse = usize::try_from(checkpoint.count("best_worse")?).unwrap_or(usize::MAX);
            if best.loss.is_finite() {
                // Makes the room that the best weights come back into.
                self.network.save(Slot::Best)?;
            }
        }
        *optimizer.steps() = checkpoint.count("optimizer_steps")?;
        *self.network.seen() = checkpoint.count("seen")?;
        self.turns = checkpoint.count("turns")?;
        self.clock.total = Duration::from_nanos(checkpoint.count("clock_ns")?);
        checkpoint.restore(&mut |visit| self.network.each_number(visit))
    }
}
