//! `pipeline slurm`: against a real Slurm on this machine, and what its scripts say with one that only writes down what it is told.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::workspace::{Outcome, TINY, Workspace, repository};

/// A grid whose tasks take some seconds each, so that they can be disturbed, with a run that diverges.
fn slow() -> String {
    TINY.replace("[0.1, 1000]", "[0.05, 0.1, 0.2, 1000]").replace("epochs = 2", "epochs = 3000").replace("seeds = 2", "seeds = 4")
}

/// A cluster of two nodes, if Slurm is here; says what is skipped otherwise.
struct Cluster(PathBuf);

impl Cluster {
    fn up(w: &Workspace) -> Option<Self> {
        let is_there = ["slurmctld", "slurmd", "munged", "sbatch"]
            .iter()
            .all(|program| ["/usr/sbin", "/usr/bin"].iter().any(|folder| PathBuf::from(folder).join(program).exists()));
        // As root: Slurm starts jobs as their users.
        let is_root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout == b"0\n");
        if !is_there || !is_root {
            eprintln!(
                "SKIPPED: needs root and Slurm: apt-get install --no-install-recommends slurm-wlm slurmctld slurmd slurm-client munge"
            );
            return None;
        }
        let cluster = Cluster(w.path("cluster"));
        let output = cluster.command("up").output().unwrap();
        if !output.status.success() {
            // A sandbox may forbid what Slurm's daemons need.
            eprintln!("SKIPPED: Slurm does not start here: {}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
        Some(cluster)
    }

    fn command(&self, what: &str) -> Command {
        let mut command = Command::new("bash");
        command.arg(repository().join("pipeline/cli/tests/slurm/cluster.sh")).args([what, self.0.to_str().unwrap()]);
        command
    }

    /// A program of Slurm's.
    fn slurm(&self, program: &str, args: &[&str]) -> String {
        let output = Command::new(program).args(args).env("SLURM_CONF", self.0.join("slurm.conf")).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Waits until something is so.
    fn wait(&self, what: &str, seconds: u64, is_so: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(seconds);
        while !is_so() {
            assert!(Instant::now() < end, "{what}: not within {seconds} s\n{}", self.slurm("squeue", &[]));
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.command("down").output();
    }
}

#[test]
fn an_array_survives_a_dead_node_and_a_cancelled_task_and_comes_to_the_same_tables() {
    let w = Workspace::new(&slow());
    let Some(cluster) = Cluster::up(&w) else { return };
    let alone = Workspace::new(&slow());
    alone.ok(&["sweep", "--quiet", "--no-report"]);

    let submit = ["slurm", "--tasks", "4", "--mem", "400M", "--publish-every", "0.5", "--folder", "shared 5%"];
    let mut command = w.command(&submit);
    let outcome = Outcome::of(
        &command.env("SLURM_CONF", cluster.0.join("slurm.conf")).env("PATH", std::env::var_os("PATH").unwrap()).output().unwrap(),
    );
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let job = outcome.stderr.split("job ").nth(1).unwrap().split(':').next().unwrap().to_owned();
    let running = || cluster.slurm("squeue", &["-h", "-r", "-j", &job, "-t", "R", "-o", "%K %N"]);
    cluster.wait("tasks on both nodes", 30, || running().contains("n1") && running().contains("n2"));
    // Something was published, so that there is something to go on from.
    cluster.wait("something published", 30, || (1..=4).all(|shard| w.path(&format!("shared 5%/shard-{shard}.db")).exists()));
    // The time of a task is nearly over: it keeps a checkpoint and is queued again.
    let on_n2 = || running().lines().find(|line| line.ends_with("n2")).map(|line| line.split(' ').next().unwrap().to_owned());
    let requeued = on_n2().unwrap();
    cluster.slurm("scancel", &["--batch", "--signal=USR1", &format!("{job}_{requeued}")]);
    let restarts = || cluster.slurm("scontrol", &["--oneliner", "show", "job", &format!("{job}_{requeued}")]);
    cluster.wait("a task queued again", 30, || restarts().contains("Restarts=1"));
    cluster.wait("tasks on both nodes", 30, || running().contains("n1") && running().contains("n2"));
    let on_n2 = on_n2();
    // The grid is changed after it was submitted: what is queued stays as it was.
    w.write("experiments/tiny.toml", "not a grid any more");
    let mut kill = cluster.command("kill-node");
    assert!(kill.arg("n1").output().unwrap().status.success());
    let cancelled = on_n2.is_some_and(|task| {
        Command::new("scancel").arg(format!("{job}_{task}")).env("SLURM_CONF", cluster.0.join("slurm.conf")).status().unwrap().success()
    });
    cluster.wait("the end of the array", 240, || cluster.slurm("squeue", &["-h"]).trim().is_empty());
    // The last job names what the cancelled task has left; submitting the script again trains it.
    let log = w.read("shared 5%/log/merge.txt");
    if cancelled && !log.contains("16 of 16 runs have a result") {
        assert!(log.contains("have no result") && log.contains(&format!("(job {job}: cancelled")), "{log}");
        cluster.slurm("sbatch", &["--parsable", w.path("shared 5%/task.sh").to_str().unwrap()]);
        cluster.wait("the end of the second array", 240, || cluster.slurm("squeue", &["-h"]).trim().is_empty());
    }
    let merged = w.run(&["merge", "shared 5%"]);
    assert_eq!(merged.code, Some(0), "{}", merged.stderr);
    assert!(merged.stderr.contains("16 of 16 runs have a result"), "{}", merged.stderr);
    assert_eq!(w.tables(), alone.tables());
}

#[test]
fn scripts_keep_every_name_whole_and_what_sbatch_says_is_shown() {
    let w = Workspace::new(TINY);
    let folder = "sha'red 5% \"$(touch pwned)\" folder";
    let args = [
        "slurm",
        "--tasks",
        "9",
        "--folder",
        folder,
        "--partition",
        "a b",
        "--sbatch-arg",
        "--comment=it's $HOME",
        "--time",
        "1:00:00",
        "--max-parallel",
        "2",
        "--gpus",
        "1",
        "--max-memory",
        "2GiB",
        "--device",
        "cpu",
    ];
    // Without Slurm, the scripts are made all the same.
    let outcome = w.run(&[&args[..], &["--dry-run"]].concat());
    assert!(outcome.code == Some(0) && outcome.stderr.contains("4 to train, so 4 tasks rather than 9"), "{}", outcome.stderr);
    let script = w.read(&format!("{folder}/task.sh"));
    for line in [
        "--array=1-4%2",
        "--partition='a b'",
        "'--comment=it'\\''s $HOME'",
        "--time=1:00:00",
        "--gpus=1",
        "--signal=B:USR1@120",
        "--requeue",
        "--max-memory=2147483648B",
        "--device=cpu",
        "5%% ",
    ] {
        assert!(script.contains(line), "{line} is not in\n{script}");
    }
    for name in ["task.sh", "merge.sh"] {
        let checked = Command::new("bash").arg("-n").arg(w.path(folder).join(name)).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
    // The script does what a task is to do; the folder's name is no command.
    for shard in 1..=4 {
        let mut task = Command::new("bash");
        task.arg(w.path(folder).join("task.sh")).env("SLURM_ARRAY_TASK_ID", shard.to_string()).env("TMPDIR", w.path("")).current_dir("/");
        let output = task.env("XDG_CACHE_HOME", w.path("cache")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(!w.path("pwned").exists());
    let merged = w.run(&["merge", folder]);
    assert!(merged.code == Some(0) && merged.stderr.contains("4 of 4 runs have a result"), "{}", merged.stderr);
    assert_eq!(w.run(&args).code, Some(4), "there is nothing left to train");
    // Tasks that would be told to stop as soon as they start.
    let short = w.run(&["slurm", "--tasks", "2", "--time", "0:02:30", "--folder", "short", "--dry-run"]);
    assert!(short.code == Some(2) && short.stderr.contains("--signal-before"), "{}", short.stderr);

    // A sbatch that refuses, one that takes it, and none.
    let other = Workspace::new(TINY);
    let submit = |sbatch: Option<&str>, folder: &str| {
        if let Some(text) = sbatch {
            std::fs::create_dir_all(other.path("bin")).unwrap();
            other.write("bin/sbatch", &format!("#!/bin/sh\n{text}\n"));
            std::fs::set_permissions(other.path("bin/sbatch"), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = if sbatch.is_some() { format!("{}:/usr/bin:/bin", other.path("bin").display()) } else { "/nowhere".to_owned() };
        Outcome::of(&other.command(&["slurm", "--tasks", "2", "--folder", folder]).env("PATH", path).output().unwrap())
    };
    let refused = submit(Some("echo 'sbatch: error: invalid partition specified' >&2; exit 1"), "a");
    assert!(refused.code == Some(1) && refused.stderr.contains("invalid partition specified"), "{}", refused.stderr);
    let taken = submit(Some("echo \"$@\" >> told; echo '42;cluster'"), "b");
    assert_eq!(taken.code, Some(0), "{}", taken.stderr);
    let told = other.read("told");
    assert!(told.lines().count() == 2 && told.contains("--dependency=afterany:42"), "{told}");
    let none = submit(None, "c");
    assert!(none.code == Some(2) && none.stderr.contains("there is no `sbatch` here"), "{}", none.stderr);
    // Nothing was trained: the gaps are named, and the exit code says so.
    let gaps = other.run(&["merge", "b"]);
    assert!(
        gaps.code == Some(1) && gaps.stderr.contains("4 of 4 runs have no result") && gaps.stderr.contains("not published"),
        "{}",
        gaps.stderr
    );
    let foreign = other.run(&["merge", "experiments"]);
    assert!(foreign.code == Some(2) && foreign.stderr.contains("was not made by `pipeline slurm`"), "{}", foreign.stderr);
}

#[test]
fn what_was_published_is_gone_on_from_on_another_disk() {
    let w = Workspace::new(&TINY.replace("epochs = 2", "epochs = 20000").replace("[0.1, 1000]", "[0.1]").replace("seeds = 2", "seeds = 1"));
    let sweep = |db: &str| {
        let mut command = w.command(&[
            "sweep",
            "--quiet",
            "--no-report",
            "--db",
            db,
            "--publish",
            "shared/shard.db",
            "--publish-every",
            "0.3",
            "--checkpoint-every",
            "0.2",
        ]);
        command.spawn().unwrap()
    };
    let mut first = sweep("node1/results.db");
    let steps = |db: &str| -> u64 {
        let outcome = w.run(&["query", "--db", db, "--format", "csv", "SELECT MAX(step) FROM step"]);
        outcome.stdout.lines().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
    };
    let end = Instant::now() + Duration::from_secs(30);
    while steps("shared/shard.db") < 5000 {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(50));
    }
    // The node and its disk are gone.
    first.kill().unwrap();
    first.wait().unwrap();
    // What trained ends a moment after its supervisor, and may still write until then.
    while std::fs::remove_dir_all(w.path("node1")).is_err() {
        assert!(Instant::now() < end);
    }
    let published = steps("shared/shard.db");
    assert!(sweep("node2/results.db").wait().unwrap().success());
    let attempts = w.ok(&["query", "--db", "shared/shard.db", "--format", "csv", "SELECT MAX(after_step) FROM attempt"]);
    let after: u64 = attempts.lines().nth(1).unwrap().parse().unwrap();
    assert!(after > 0 && after <= published, "{after} of {published}");
    let alone = w.run(&["sweep", "--quiet", "--no-report", "--db", "alone.db"]);
    assert_eq!(alone.code, Some(0));
    let rows =
        |db: &str| w.ok(&["query", "--timeout", "0", "--db", db, "--format", "csv", "SELECT step, loss, accuracy FROM step ORDER BY step"]);
    assert!(rows("shared/shard.db") == rows("alone.db"), "the same bits as without the break");
}
