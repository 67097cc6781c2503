//! The two scripts. All that is clever is in the program; what is left to bash is to pass a signal on and to read exit codes.

use std::fmt::Write;
use std::path::Path;

use crate::args::Slurm;

/// A word for a shell, whatever is in it.
pub fn quoted(path: &Path) -> String {
    word(&path.to_string_lossy())
}

fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// What the script of a task is made of.
pub struct Task<'a> {
    pub args: &'a Slurm,
    pub program: &'a Path,
    pub folder: &'a Path,
    pub tasks: u64,
    /// The sweep's own options, as words.
    pub options: &'a [String],
}

/// A path in which sbatch sees no pattern; behind it, one may follow.
fn pattern(folder: &Path, name: &str) -> String {
    format!("{}/{name}", folder.to_string_lossy().replace('%', "%%"))
}

/// An `#SBATCH` line. sbatch reads these lines as a shell does words, so what is in them is quoted.
fn line(text: &mut String, option: &str, value: Option<&str>) {
    if let Some(value) = value {
        let _ = writeln!(text, "#SBATCH --{option}={}", word(value));
    }
}

fn options(text: &mut String, args: &Slurm) {
    line(text, "partition", args.partition.as_deref());
    line(text, "account", args.account.as_deref());
    line(text, "qos", args.qos.as_deref());
    for arg in &args.sbatch_arg {
        let _ = writeln!(text, "#SBATCH {}", word(arg));
    }
}

pub fn task(of: &Task<'_>) -> String {
    let (args, folder) = (of.args, of.folder);
    let mut text = "#!/usr/bin/env bash\n".to_owned();
    let most = args.max_parallel.map_or(String::new(), |k| format!("%{k}"));
    let _ = writeln!(text, "#SBATCH --job-name=pipeline\n#SBATCH --array=1-{}{most}", of.tasks);
    let _ = writeln!(text, "#SBATCH --requeue\n#SBATCH --open-mode=append\n#SBATCH --signal=B:USR1@{}", args.signal_before);
    line(&mut text, "output", Some(&pattern(folder, "log/%a.txt")));
    line(&mut text, "time", args.time.as_deref());
    line(&mut text, "gpus", args.gpus.as_deref());
    line(&mut text, "mem", args.mem.as_deref());
    line(&mut text, "cpus-per-task", args.cpus_per_task.map(|n| n.to_string()).as_deref());
    line(&mut text, "constraint", args.constraint.as_deref());
    options(&mut text, args);
    let scratch = args.scratch.as_ref().map_or_else(|| "\"${SLURM_TMPDIR:-${TMPDIR:-/tmp}}\"".to_owned(), |dir| quoted(dir));
    let _ = write!(
        text,
        r#"
# One shard of the runs, trained on the node's own disk and published to a folder that all nodes see. It may be stopped and started again at
# any moment, also elsewhere: it goes on from what was published last.
set -u
folder={folder}
shard=$SLURM_ARRAY_TASK_ID
scratch=$(mktemp -d -p {scratch} pipeline.XXXXXX) || exit 1
trap 'rm -rf "$scratch"' EXIT

{program} sweep "$folder"/grids/*.toml --runs "$folder/runs.txt" --shard "$shard/{tasks}" \
    --db "$scratch/shard.db" --publish "$folder/shard-$shard.db" --publish-every {every} --no-report --quiet{options} &
sweep=$!
# Slurm tells this shell that the time is nearly over; when a job is cancelled, it tells all processes itself.
trap 'kill -USR1 $sweep' USR1
trap : TERM
while kill -0 $sweep 2>/dev/null; do wait $sweep; done
wait $sweep
code=$?
# 138: stopped by USR1, with a checkpoint.
if [ $code = 138 ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {requeues} ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
"#,
        folder = quoted(folder),
        program = quoted(of.program),
        tasks = of.tasks,
        every = args.publish_every,
        options = of.options.iter().fold(String::new(), |all, option| format!("{all} {}", word(option))),
        requeues = args.requeues,
    );
    text
}

pub fn merge(args: &Slurm, program: &Path, folder: &Path, db: &Path, out: &Path) -> String {
    let mut text = "#!/usr/bin/env bash\n#SBATCH --job-name=pipeline-merge\n#SBATCH --open-mode=append\n".to_owned();
    line(&mut text, "output", Some(&pattern(folder, "log/merge.txt")));
    options(&mut text, args);
    let (program, folder, db, out) = (quoted(program), quoted(folder), quoted(db), quoted(out));
    let _ = write!(
        text,
        r"
# Brings what the tasks have published into the database, names what is missing, and writes the reports. May be run again at any time.
set -u
{program} merge {folder} --db {db}
code=$?
{program} report --db {db} --out {out} || code=$?
exit $code
"
    );
    text
}
