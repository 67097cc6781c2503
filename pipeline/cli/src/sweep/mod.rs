//! `pipeline sweep`: trains what has no result yet, on all cores, and writes the reports.

mod progress;
pub mod resources;
mod worker;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use spec::record::Outcome;
use tracker::{Environment, Reader, Tracker};

use crate::args::Sweep;
use crate::commands::count_of;
use crate::output::{complain, duration, tell};
use crate::plan::{Item, Planned};
use crate::signals::Stop;
use crate::{environment, error};
use progress::Progress;
use resources::Resources;

pub fn run(db: &Path, quiet: bool, args: &Sweep) -> Result<ExitCode> {
    let mut planned = Planned::new(db, &args.selection)?;
    let say = |text: String| {
        if !quiet {
            tell(&text);
        }
    };
    planned.skipped.iter().for_each(|line| say(line.clone()));
    let stop = Stop::on_signals().context("listening to signals")?;
    let started = Instant::now();
    let tracker = Tracker::open(db, &planned.studies)?;
    planned.look_up(db, &args.selection, false)?;
    let queue: Vec<&Item> = planned.to_run().collect();
    let skipped = planned.items.len() - queue.len() - planned.refused().count();
    let outcomes = if queue.is_empty() {
        say(format!("nothing to train: {} to skip (`pipeline plan` says why)", count_of(skipped, "run")));
        vec![]
    } else {
        let estimate = planned.estimate_s().map_or(String::new(), |s| format!(", about {}", duration(s)));
        say(format!("{} to train, {skipped} skipped, {} at a time{estimate}", count_of(queue.len(), "run"), planned.limits.jobs));
        train_all(&planned, &queue, &tracker, &stop, &Arc::new(environment::current()), quiet, args.fail_fast)
    };
    tracker.close().context("closing the results")?;
    if !outcomes.is_empty() {
        say(format!("{} in {} ({skipped} skipped)", counts(&outcomes), duration(started.elapsed().as_secs_f64())));
    }
    if !args.no_report {
        write_reports(db, args, &planned, &say)?;
    }
    let failed = planned_failures(db, &planned)?;
    if let Some(code) = stop.exit_code() {
        say("stopped by a signal; the next `pipeline sweep` keeps finished runs and starts the others again".into());
        return Ok(ExitCode::from(code));
    }
    let refused = planned.refused().count();
    for item in planned.refused().take(3) {
        complain(&format!("{} · {} · seed {} {}", item.study, item.arm, item.run.seed, item.action.why()));
    }
    if refused > 3 {
        complain(&format!("{} more do not fit into memory; `pipeline plan` lists them", refused - 3));
    }
    if failed > 0 {
        complain(&format!("{} failed; `pipeline plan` says why, `pipeline sweep --retry-failed` runs them again", count_of(failed, "run")));
    }
    Ok(if failed + refused > 0 { ExitCode::from(error::FAILED) } else { ExitCode::SUCCESS })
}

/// Trains the queue, as many runs at a time as there are jobs and memory for. Returns the outcome of every run that ended.
fn train_all(
    planned: &Planned,
    queue: &[&Item],
    tracker: &Tracker,
    stop: &Stop,
    environment: &Arc<Environment>,
    quiet: bool,
    fail_fast: bool,
) -> Vec<Outcome> {
    let resources = Resources::new(planned.limits, queue.iter().map(|item| item.facts.memory_bytes).collect());
    let progress = Progress::new(queue, resources.slots(), quiet);
    worker::quiet_panics();
    std::thread::scope(|scope| {
        let work = |slot: usize| {
            let (progress, resources, environment) = (&progress, &resources, environment);
            move || {
                let mut outcomes = vec![];
                while let Some(admitted) = resources.next(slot, &|| stop.requested()) {
                    let threads = || resources.threads(slot);
                    let outcome = worker::train(queue[admitted.run], planned, tracker, environment, stop, progress, slot, &threads);
                    if outcome.is_none() || (fail_fast && outcome == Some(Outcome::Failed)) {
                        stop.abandon();
                    }
                    outcomes.extend(outcome);
                }
                progress.idle(slot);
                outcomes
            }
        };
        let workers: Vec<_> = (0..resources.slots()).map(|slot| scope.spawn(work(slot))).collect();
        let outcomes = workers.into_iter().flat_map(|w| w.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect();
        progress.finish();
        outcomes
    })
}

/// `105 completed, 5 diverged`.
fn counts(outcomes: &[Outcome]) -> String {
    let mut counts: BTreeMap<Outcome, usize> = BTreeMap::new();
    for outcome in outcomes {
        *counts.entry(*outcome).or_default() += 1;
    }
    counts.iter().map(|(o, n)| format!("{n} {}", o.name())).collect::<Vec<_>>().join(", ")
}

fn write_reports(db: &Path, args: &Sweep, planned: &Planned, say: &dyn Fn(String)) -> Result<()> {
    let names: Vec<String> = planned.studies.iter().map(|s| s.name.clone()).collect();
    let reports = analysis::update(&Reader::open(db)?, &names, &args.out).context("writing the reports")?;
    for study in reports.studies.iter().filter(|s| names.contains(&s.name)) {
        say(crate::commands::summary_line(study, &args.out));
    }
    Ok(())
}

/// Failed runs in the selection, from this sweep or an earlier one.
fn planned_failures(db: &Path, planned: &Planned) -> Result<usize> {
    let ids: Vec<&str> = planned.items.iter().map(|i| i.run.id.as_str()).collect();
    let known = Tracker::known(db, &ids)?;
    Ok(known.iter().flatten().filter(|k| k.outcome == Some(Outcome::Failed)).count())
}

#[cfg(test)]
mod tests;
