//! `pipeline slurm`

use std::path::PathBuf;

use super::Selection;

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
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0, value_parser = super::values::seconds)]
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
