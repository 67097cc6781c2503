//! `pipeline slurm`: a grid as a job array of shards, and a job behind it that merges them and writes the reports.
//!
//! The engine is Slurm's. What is ours is a folder that all nodes see: the grids as they were submitted, the ids of the runs, one script for
//! the tasks and one for the end, and what the tasks publish.

mod folder;
mod script;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use engine::device::DeviceChoice;
use tracker::Tracker;

use crate::args::{Selection, Size};
use crate::environment;
use crate::error::Expected;
use crate::output::tell;
use crate::plan::Planned;

pub use folder::Folder;

/// By how much Slurm may send a signal too early, in seconds (`man sbatch`, `--signal`).
const LATITUDE: u64 = 60;

#[derive(Debug, clap::Args)]
pub struct Slurm {
    #[command(flatten)]
    pub selection: Selection,

    /// Tasks of the array, each with a shard of the runs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub tasks: u64,

    /// Tasks at the same time at most [default: as many as the cluster gives]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_parallel: Option<u64>,

    /// As sbatch has it: the partition
    #[arg(long, value_name = "NAME")]
    pub partition: Option<String>,

    /// As sbatch has it: the time limit of a task, such as 4:00:00; a task that reaches it keeps a checkpoint and is queued again
    #[arg(long, value_name = "TIME")]
    pub time: Option<String>,

    /// As sbatch has it: GPUs of a task
    #[arg(long, value_name = "GPUS")]
    pub gpus: Option<String>,

    /// As sbatch has it: memory of a task, such as 4G
    #[arg(long, value_name = "SIZE")]
    pub mem: Option<String>,

    /// As sbatch has it: cores of a task
    #[arg(long, value_name = "N")]
    pub cpus_per_task: Option<u64>,

    /// As sbatch has it: the account
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,

    /// As sbatch has it: the quality of service
    #[arg(long, value_name = "NAME")]
    pub qos: Option<String>,

    /// As sbatch has it: features that a node must have
    #[arg(long, value_name = "LIST")]
    pub constraint: Option<String>,

    /// Anything else for sbatch, such as --sbatch-arg=--nice=100; may stand several times
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub sbatch_arg: Vec<String>,

    /// Seconds before the end of its time at which a task is told to stop
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub signal_before: u32,

    /// How often a task that reached its time is queued again at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub requeues: u32,

    /// How often a task publishes what it has, in seconds: what a node that fails can cost
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0, value_parser = crate::args::seconds)]
    pub publish_every: f64,

    /// A folder that all nodes see [default: a new one in slurm/ beside the database]
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,

    /// A disk of the node's own [default: $SLURM_TMPDIR, $TMPDIR or /tmp there]
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,

    /// Where reports go
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub out: PathBuf,

    /// Make the folder with its scripts, and print the commands instead of running them
    #[arg(long)]
    pub dry_run: bool,
}

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
    // What this machine has says nothing of the nodes'.
    let anywhere = Selection { device: DeviceChoice::Cpu, max_memory: Some(Size(u64::MAX)), ..args.selection.clone() };
    let planned = Planned::new(db, &anywhere)?;
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
/// days-hours:minutes:seconds. Nothing for what it isn't; sbatch judges that.
fn seconds_of(limit: &str) -> Option<u64> {
    let numbers = |text: &str| text.split(':').map(|n| n.parse().ok()).collect::<Option<Vec<u64>>>();
    let [days, hours, minutes, seconds] = match limit.split_once('-') {
        Some((days, rest)) => match (days.parse().ok()?, &numbers(rest)?[..]) {
            (d, &[h]) => [d, h, 0, 0],
            (d, &[h, m]) => [d, h, m, 0],
            (d, &[h, m, s]) => [d, h, m, s],
            _ => return None,
        },
        None => match numbers(limit)?[..] {
            [m] => [0, 0, m, 0],
            [m, s] => [0, 0, m, s],
            [h, m, s] => [0, h, m, s],
            _ => return None,
        },
    };
    // Zero is no limit.
    [(days, 86_400), (hours, 3600), (minutes, 60), (seconds, 1)]
        .iter()
        .try_fold(0_u64, |sum, &(n, unit)| sum.checked_add(u64::checked_mul(n, unit)?))
        .filter(|&sum| sum > 0)
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
