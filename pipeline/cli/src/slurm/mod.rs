//! `pipeline slurm`: a grid as a job array of shards, and a job behind it that merges them and writes the reports.
//!
//! The engine is Slurm's. What is ours is a folder that all nodes see: the grids as they were submitted, the ids of the runs, one script for
//! the tasks and one for the end, and what the tasks publish.

mod folder;
mod script;

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use tracker::Tracker;

use crate::args::{Resources, Slurm};
use crate::environment;
use crate::error::Expected;
use crate::output::tell;
use crate::plan::Planned;

pub use folder::Folder;

/// By how much Slurm may send a signal too early, in seconds (`man sbatch`, `--signal`).
const LATITUDE: u64 = 60;

pub fn submit(db: &Path, quiet: bool, args: &Slurm) -> Result<ExitCode> {
    if args.selection.shard.is_some() {
        return Err(Expected::Usage("--shard: `pipeline slurm` divides the runs itself; --tasks says into how many shards".into()).into());
    }
    if let Some(limit) = args.time.as_deref().and_then(seconds_of)
        && limit <= u64::from(args.signal_before) + LATITUDE
    {
        let what = format!(
            "--time {}: a task is told to stop {} s before that, and Slurm may do so {LATITUDE} s earlier, so it would never get on; give \
             it more time, or a shorter --signal-before",
            args.time.as_deref().unwrap_or_default(),
            args.signal_before
        );
        return Err(Expected::Usage(what).into());
    }
    let planned = Planned::new(db, &args.selection, &Resources::ELSEWHERE)?;
    planned.skipped.iter().filter(|_| !quiet).for_each(|line| tell(line));
    let runs = planned.to_run().count();
    if runs == 0 {
        return Err(Expected::NothingSelected("nothing to train; `pipeline plan` says why".into()).into());
    }
    let tasks = args.tasks.min(runs as u64);
    if tasks < args.tasks && !quiet {
        tell(&format!("{runs} to train, so {tasks} tasks rather than {}", args.tasks));
    }
    let folder = Folder::make(db, args, &planned, tasks)?;
    let (array, end) = (folder.path().join("task.sh"), folder.path().join("merge.sh"));
    if args.dry_run {
        tell(&format!("{}: not submitted; with Slurm, these would be run:", folder.path().display()));
        tell(&format!("  sbatch --parsable {}", script::quoted(&array)));
        tell(&format!("  sbatch --parsable --dependency=afterany:JOB {}", script::quoted(&end)));
        return Ok(ExitCode::SUCCESS);
    }
    // As it is now, so that what comes later is merged into it, and not into what was known of it before.
    Tracker::open(db, &planned.studies, environment::current())?.close()?;
    let job = sbatch(&[array.as_os_str()]).inspect_err(|_| {
        // Nothing was submitted: a folder that nobody named is no use to anybody.
        if args.folder.is_none() {
            folder.discard();
        }
    })?;
    folder.note_job(&job)?;
    let dependency = format!("--dependency=afterany:{job}");
    let last = sbatch(&[dependency.as_ref(), end.as_os_str()])
        .with_context(|| format!("the array is submitted as job {job}; when it is done, run `bash {}`", end.display()))?;
    if !quiet {
        tell(&format!("job {job}: {tasks} tasks for {runs} runs; job {last} merges and reports when they have ended"));
        tell(&format!(
            "{}: scripts, logs, and what the tasks publish; `pipeline merge {}` says what is missing",
            folder.path().display(),
            folder.path().display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// The length of a time limit, as sbatch reads it: minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes or
/// days-hours:minutes:seconds. Nothing for what is none; sbatch judges that.
fn seconds_of(limit: &str) -> Option<u64> {
    let (days, rest) = limit.split_once('-').map_or((None, limit), |(days, rest)| (Some(days), rest));
    let numbers = rest.split(':').map(|n| n.parse::<u32>().ok()).collect::<Option<Vec<_>>>()?;
    let units = match (days, numbers.len()) {
        (Some(_), 1..=3) | (None, 3) => &[3600, 60, 1][..],
        (None, 1 | 2) => &[60, 1],
        _ => return None,
    };
    let days: u32 = days.map_or(Some(0), |days| days.parse().ok())?;
    let sum = u64::from(days) * 86_400 + numbers.iter().zip(units).map(|(n, unit)| u64::from(*n) * unit).sum::<u64>();
    // Zero is no limit.
    Some(sum).filter(|sum| *sum > 0)
}

/// Submits a script; gives the number of its job. What sbatch says is shown as it is.
fn sbatch(args: &[&std::ffi::OsStr]) -> Result<String> {
    let output = match Command::new("sbatch").arg("--parsable").args(args).output() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let what = "there is no `sbatch` here: run this where jobs are submitted; --dry-run makes the scripts all the same";
            return Err(Expected::Usage(what.into()).into());
        }
        other => other.context("running sbatch")?,
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if !output.status.success() {
        anyhow::bail!("sbatch refused: {}", text(&output.stderr));
    }
    // `--parsable`: the number, and behind a semicolon the cluster's name, if there are several.
    let out = text(&output.stdout);
    let job = out.split(';').next().unwrap_or_default().to_owned();
    if job.is_empty() || !job.bytes().all(|b| b.is_ascii_digit()) {
        anyhow::bail!("sbatch gave no number of a job: {out}");
    }
    Ok(job)
}

#[cfg(test)]
mod tests {
    use super::seconds_of;

    #[test]
    fn time_limits_are_read_as_sbatch_reads_them() {
        let limits =
            ["5", "5:30", "1:00:00", "2-0", "1-12:30", "1-0:0:1", "0", "UNLIMITED", "1:2:3:4", "x-1", "-1", "99999999999999999999"];
        let seconds = [300, 330, 3600, 172_800, 131_400, 86_401].map(Some);
        assert_eq!(limits.map(seconds_of)[..6], seconds);
        assert!(limits.map(seconds_of)[6..].iter().all(Option::is_none));
    }
}
