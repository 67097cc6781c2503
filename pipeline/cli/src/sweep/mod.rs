//! `pipeline sweep`: trains what has no result yet, on all cores, and writes the reports.

mod progress;
mod publish;
pub mod resources;
mod supervisor;
mod worker;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use spec::record::Outcome;
use tracker::{Reader, Tracker};

use crate::args::Sweep;
use crate::commands::count_of;
use crate::output::{complain, duration, tell};
use crate::plan::{Item, Planned};
use crate::signals::Stop;
use crate::{environment, error};
use progress::Progress;
use resources::{Limits, Resources};
use supervisor::{Death, Trainer};
use worker::{Shared, Trained};

/// A run that kills its process, which trains nothing else, as many times without coming any further has failed.
const DEATHS: u64 = 2;

/// Runs the sweep in a process of its own, or, being that, trains. The process around it publishes what there is.
pub fn run(db: &Path, quiet: bool, args: &Sweep) -> Result<ExitCode> {
    match Trainer::of_this_process() {
        None => publish::around(db, args, supervisor::supervise),
        Some(trainer) => train(db, quiet, args, &trainer),
    }
}

fn train(db: &Path, quiet: bool, args: &Sweep, trainer: &Trainer) -> Result<ExitCode> {
    let stop = Stop::on_signals().context("listening to signals")?;
    supervisor::listen(&stop);
    let mut planned = Planned::new(db, &args.selection, &args.selection.resources)?;
    let say = |text: String| {
        if !quiet {
            tell(&text);
        }
    };
    let is_first = trainer.before.is_none();
    planned.skipped.iter().filter(|_| is_first).for_each(|line| say(line.clone()));
    let started = Instant::now();
    let checkpoint_every = Some(Duration::from_secs_f64(args.checkpoint_every)).filter(|every| !every.is_zero());
    let tracker = Tracker::open(db, &planned.studies, environment::current())?.with_checkpoints_every(checkpoint_every);
    let suspects = trainer.before.as_ref().map_or(Ok(vec![]), |death| bury(&tracker, death, args))?;
    planned.look_up(db, &args.selection, trainer.before.as_ref().map(|_| &trainer.since[..]))?;
    let queue: Vec<&Item> = planned.to_run().chain(planned.to_wait_for()).collect();
    let skipped = planned.items.len() - queue.len() - planned.refused().count();
    let mut outcomes = vec![];
    if queue.is_empty() {
        say(format!("nothing to train: {} to skip (`pipeline plan` says why)", count_of(skipped, "run")));
    } else {
        let estimate = planned.estimate_s().map_or(String::new(), |s| format!(", about {}", duration(s)));
        say(format!("{} to train, {skipped} skipped, {} at a time{estimate}", count_of(queue.len(), "run"), planned.limits.jobs));
        let (alone, together): (Vec<&Item>, Vec<&Item>) = queue.into_iter().partition(|item| suspects.contains(&item.run.id));
        for (queue, jobs) in [(alone, 1), (together, planned.limits.jobs)] {
            let limits = Limits { jobs, ..planned.limits };
            outcomes.extend(train_all(&planned, &queue, limits, &tracker, &stop, quiet, args));
        }
    }
    tracker.close().context("closing the results")?;
    if !outcomes.is_empty() {
        say(format!("{} in {} ({skipped} skipped)", counts(&outcomes), duration(started.elapsed().as_secs_f64())));
    }
    // Who sends a signal may not wait for reports.
    if !args.no_report && stop.exit_code().is_none() {
        write_reports(db, args, &planned, &say)?;
    }
    let failed = planned_failures(db, &planned)?;
    if let Some(code) = stop.exit_code() {
        say(format!("stopped by a signal; what was trained is kept, and this goes on where it was:\n  {}", same_command()));
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
    let lost = outcomes.contains(&Trained::Lost);
    Ok(if failed + refused > 0 || lost { ExitCode::from(error::FAILED) } else { ExitCode::SUCCESS })
}

/// Takes up what the trainer before has left. Returns the runs that may have been its end.
fn bury(tracker: &Tracker, death: &Death, args: &Sweep) -> Result<Vec<String>> {
    let why = format!("the process that trained it was {}", death.why);
    let buried = tracker.bury(death.process, &why, DEATHS + u64::from(args.retries))?;
    for run in &buried.failed {
        tell(&format!("run {run} has failed: {why}, whenever it was trained alone"));
    }
    if buried.is_idle && death.count > 1 {
        anyhow::bail!("the process that trains was {} without training anything, again", death.why);
    }
    Ok(buried.suspects)
}

/// What was typed, to be typed again; but for `--force`, with which nothing goes on.
fn same_command() -> String {
    let quoted = |word: String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,".contains(c);
        if word.chars().all(plain) && !word.is_empty() { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    let words = std::env::args_os().skip(1).filter(|word| word != "--force").map(|word| quoted(word.to_string_lossy().into_owned()));
    format!("pipeline {}", words.collect::<Vec<_>>().join(" "))
}

/// Trains the queue, as many runs at a time as there are jobs and memory for. Returns what came of every run that is over.
fn train_all(
    planned: &Planned,
    queue: &[&Item],
    limits: Limits,
    tracker: &Tracker,
    stop: &Stop,
    quiet: bool,
    args: &Sweep,
) -> Vec<Trained> {
    if queue.is_empty() {
        return vec![];
    }
    let resources = Resources::new(limits, queue.iter().map(|item| item.facts.memory_bytes).collect());
    let progress = Progress::new(queue, resources.slots(), quiet, args.json);
    let shared = Shared { planned, tracker, stop, progress: &progress, retries: args.retries };
    let waits = AtomicBool::new(false);
    worker::quiet_panics();
    std::thread::scope(|scope| {
        let work = |slot: usize| {
            let (shared, resources, waits) = (&shared, &resources, &waits);
            move || {
                let mut all = vec![];
                while let Some(admitted) = resources.next(slot, &|| stop.requested()) {
                    let trained = shared.train(queue[admitted.run], slot, &|| resources.threads(slot));
                    match trained {
                        Trained::Elsewhere => {
                            admitted.put_back();
                            if !waits.swap(true, Ordering::Relaxed) {
                                shared.progress.say("another sweep trains some of these runs; they are taken over if it dies");
                            }
                            continue;
                        }
                        Trained::Lost => stop.abandon(),
                        Trained::Ended(Outcome::Failed) if args.fail_fast => stop.abandon(),
                        Trained::Ended(_) | Trained::Done => {}
                    }
                    all.push(trained);
                }
                shared.progress.idle(slot);
                all
            }
        };
        let workers: Vec<_> = (0..resources.slots()).map(|slot| scope.spawn(work(slot))).collect();
        let all = workers.into_iter().flat_map(|w| w.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect();
        progress.finish();
        all
    })
}

/// `105 completed, 5 diverged, 3 trained by another sweep`.
fn counts(all: &[Trained]) -> String {
    let mut counts: BTreeMap<Outcome, usize> = BTreeMap::new();
    for trained in all {
        if let Trained::Ended(outcome) = trained {
            *counts.entry(*outcome).or_default() += 1;
        }
    }
    let elsewhere = all.iter().filter(|trained| **trained == Trained::Done).count();
    let elsewhere = (elsewhere > 0).then(|| format!("{elsewhere} trained by another sweep"));
    let counts: Vec<String> = counts.iter().map(|(o, n)| format!("{n} {}", o.name())).chain(elsewhere).collect();
    if counts.is_empty() { "nothing trained".into() } else { counts.join(", ") }
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
