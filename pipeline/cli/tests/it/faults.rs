//! Whatever happens to a sweep, what was logged stays, the next one goes on where it was, and the tables are the same bits as without
//! the fault. Random moments come from a generator with a seed, printed when a test fails; what they meet differs from run to run.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::workspace::{Outcome, TINY, Workspace};

/// Studies that together have all that a checkpoint must hold: moments of the optimizer, batch statistics, dropout, augmentation,
/// averaged weights, the best epoch's weights, a descent with noise, a run that diverges and a check without steps.
fn everything(w: &Workspace) {
    w.write(
        "experiments/tiny.toml",
        &TINY
            .replace("lr = [0.1, 1000]", "optimizer = [\"adam\", \"adagrad\"]")
            .replace("optimizer = \"sgd\"\n", "lr = 0.01\nema_decay = 0.9\n")
            .replace("epochs = 2", "epochs = 12\npatience = 3")
            .replace("validation_fraction = 0.01", "validation_fraction = 0.1"),
    );
    std::fs::create_dir_all(w.path("experiments/models")).unwrap();
    w.write(
        "experiments/models/deep.toml",
        r#"
about = "a convolution with batch norm, and dropout"
layers = [
  { layer = "conv2d", filters = 8, kernel = 3, stride = 2 },
  { layer = "batch_norm" },
  { layer = "relu" },
  { layer = "flatten" },
  { layer = "dropout", rate = 0.3 },
  { layer = "dense", units = "classes" },
]
"#,
    );
    w.write(
        "experiments/deep.toml",
        r#"
[study]
question = "?"
[base]
dataset = "fashion-mnist-mini"
model = "deep"
optimizer = "sgd"
momentum = 0.9
lr = 0.05
schedule = "cosine"
augment_flip = true
augment_crop = 2
train_examples = 200
batch_size = 20
accumulate = 2
epochs = 3
[grid]
label_smoothing = [0.0, 0.1]
[replicates]
seeds = 2
"#,
    );
    w.write(
        "experiments/descent.toml",
        r#"
[study]
question = "?"
metric = "train_loss"
[base]
objective = "surface"
surface = "rosenbrock"
start_x = -1.2
start_y = 1.0
gradient_noise = 0.1
optimizer = "adam"
steps = 20000
[grid]
lr = [0.001, 0.01]
[replicates]
seeds = 2
"#,
    );
}

/// A workspace that nothing has happened to.
fn undisturbed(prepare: fn(&Workspace)) -> Workspace {
    let w = Workspace::new(TINY);
    prepare(&w);
    w.ok(&["sweep", "--no-report"]);
    w
}

/// Random numbers for choosing moments (Vigna's SplitMix64).
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let seed = u64::try_from(now.as_micros()).unwrap();
        eprintln!("moments from seed {seed}");
        Moments(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn within(&mut self, ms: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(ms.start + self.next() % (ms.end - ms.start))
    }
}

/// A sweep in a process group of its own, which keeps checkpoints all the time.
fn start(w: &Workspace, args: &[&str]) -> Child {
    let mut command = w.command(&[&["sweep", "--checkpoint-every", "0.001", "--no-report"], args].concat());
    command.process_group(0).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(name: &str, to: &str) {
    // One that has ended in the meantime is no mistake.
    let _ = Command::new("kill").args([name, "--", to]).stderr(Stdio::null()).status().unwrap();
}

/// The supervisor and the trainer at once, as when the machine goes down.
fn kill_all(child: &Child) {
    signal("-KILL", &format!("-{}", child.id()));
}

fn trainer_of(child: &Child) -> Option<String> {
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).ok()?;
    children.split_whitespace().next().map(str::to_owned)
}

/// Waits until a query answers with something other than 0.
fn wait_for(w: &Workspace, sql: &str) {
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let answer = w.run(&["query", "--format", "csv", sql]);
        if answer.code == Some(0) && answer.stdout.lines().nth(1).is_some_and(|n| n != "0") {
            return;
        }
        assert!(Instant::now() < deadline, "{sql} stays 0; {}", answer.stderr);
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// All tables, and that none holds more or less than it should.
fn assert_same(w: &Workspace, undisturbed: &Workspace) {
    assert_eq!(w.rows("SELECT COUNT(*) FROM run WHERE outcome IS NULL OR outcome = 'interrupted'"), ["0"]);
    let (ours, theirs) = (w.tables(), undisturbed.tables());
    assert_eq!(ours.len(), theirs.len());
    for (table, rows) in &theirs {
        assert!(ours[table] == *rows, "{table} differs");
    }
    assert_eq!(w.rows("PRAGMA integrity_check"), ["ok"]);
    assert!(!w.path("results/results.db-checkpoints").exists(), "checkpoints stay behind");
    assert!(!w.path("results/results.db-wal").exists(), "one file is left");
}

/// Ends a sweep and runs another until one comes to its end by itself.
fn disturb(w: &Workspace, mut moments: Moments, kills: usize, sweeps: usize) -> usize {
    let mut done = 0;
    while done < kills {
        let mut children: Vec<Child> = (0..sweeps).map(|_| start(w, &["-q"])).collect();
        for child in &mut children {
            std::thread::sleep(moments.within(20..400) / u32::try_from(sweeps).unwrap());
            if child.try_wait().unwrap().is_none() {
                kill_all(child);
                done += 1;
            }
        }
        let outcomes: Vec<Outcome> = children.into_iter().map(|child| Outcome::of(&child.wait_with_output().unwrap())).collect();
        if outcomes.iter().any(|o| o.code == Some(0)) {
            break;
        }
        for outcome in outcomes {
            assert!(outcome.code.is_none(), "{:?}: {}", outcome.code, outcome.stderr);
        }
    }
    done
}

#[test]
fn fifty_kills_at_random_moments_change_nothing() {
    let calm = undisturbed(everything);
    let mut kills = 0;
    while kills < 50 {
        let w = Workspace::new(TINY);
        everything(&w);
        kills += disturb(&w, Moments::new(), 50 - kills, 1);
        w.ok(&["sweep", "--no-report"]);
        assert_same(&w, &calm);
    }
}

#[test]
fn two_and_four_sweeps_share_a_database_and_survive_each_others_deaths() {
    let calm = undisturbed(everything);
    for sweeps in [2, 4] {
        let w = Workspace::new(TINY);
        everything(&w);
        let mut moments = Moments::new();
        // Some die, each at its moment; the others take their runs over and come to the end.
        let mut children: Vec<Child> = (0..sweeps).map(|_| start(&w, &["-q", "-j", "1"])).collect();
        for child in children.iter().skip(1) {
            std::thread::sleep(moments.within(50..500));
            kill_all(child);
        }
        let codes: Vec<_> = children.iter_mut().map(|child| child.wait().unwrap().code()).collect();
        assert_eq!(codes[0], Some(0), "{codes:?}");
        assert_same(&w, &calm);
        // Nobody has trained what another had.
        let twice = "SELECT COUNT(*) FROM (SELECT run_key FROM attempt WHERE outcome != 'lost' GROUP BY run_key HAVING COUNT(*) > 1)";
        assert_eq!(w.rows(twice), ["0"]);
    }
}

#[test]
fn two_sweeps_at_once_train_no_run_twice_and_both_see_the_end() {
    let w = Workspace::new(TINY);
    everything(&w);
    let children = [start(&w, &[]), start(&w, &[])];
    for child in children {
        let outcome = Outcome::of(&child.wait_with_output().unwrap());
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    }
    assert_same(&w, &undisturbed(everything));
    assert_eq!(w.rows("SELECT COUNT(*) - (SELECT COUNT(*) FROM run) FROM attempt"), ["0"]);
}

/// One run of some seconds.
fn long(w: &Workspace) {
    let grid = TINY.replace("lr = [0.1, 1000]", "lr = [0.01]").replace("hidden = 8", "hidden = 64").replace("seeds = 2", "seeds = 1");
    w.write("experiments/tiny.toml", &grid.replace("epochs = 2", "epochs = 400").replace("batch_size = 32", "batch_size = 2"));
}

const LOGS: &str = "SELECT COUNT(*) FROM step";

#[test]
fn signals_finish_the_step_keep_a_checkpoint_and_say_how_to_go_on() {
    let calm = undisturbed(long);
    for (name, code) in [("-INT", 130), ("-TERM", 143), ("-USR1", 138)] {
        // To the supervisor, as from a batch system; to both, as from a terminal.
        for group in [false, true] {
            let w = Workspace::new(TINY);
            long(&w);
            let child = start(&w, &[]);
            wait_for(&w, LOGS);
            signal(name, &if group { format!("-{}", child.id()) } else { child.id().to_string() });
            let outcome = Outcome::of(&child.wait_with_output().unwrap());
            assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
            assert!(outcome.stderr.contains("this goes on where it was:\n  pipeline sweep --checkpoint-every 0.001"), "{}", outcome.stderr);
            let steps: u64 = w.rows(LOGS)[0].parse().unwrap();
            assert_eq!(w.rows("SELECT outcome, steps FROM run"), [format!("interrupted,{steps}")]);
            let plan = w.ok(&["plan"]);
            assert!(plan.contains(&format!("was interrupted; goes on after step {steps}")), "{plan}");
            assert!(!w.path("results/results.db-wal").exists(), "a stopped sweep leaves one file, too");
            w.ok(&["sweep", "--no-report"]);
            assert_eq!(w.rows("SELECT after_step FROM attempt WHERE outcome = 'completed'"), [steps.to_string()]);
            assert_same(&w, &calm);
        }
    }
}

#[test]
fn the_second_signal_stops_at_once_and_nothing_is_lost() {
    let w = Workspace::new(TINY);
    // A step of seconds: the first signal can't be obeyed before the second comes.
    let grid = TINY.replace("hidden = 8", "hidden = 16384").replace("lr = [0.1, 1000]", "lr = [0.01]").replace("seeds = 2", "seeds = 1");
    w.write("experiments/tiny.toml", &grid.replace("train_examples = 300", "train_examples = 2000").replace("= 32", "= \"full\""));
    let mut child = start(&w, &["--threads", "1"]);
    wait_for(&w, "SELECT COUNT(*) FROM attempt");
    let trainer = trainer_of(&child).unwrap();
    signal("-TERM", &child.id().to_string());
    std::thread::sleep(Duration::from_millis(100));
    signal("-TERM", &child.id().to_string());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    // The trainer goes, too.
    let deadline = Instant::now() + Duration::from_mins(1);
    while std::fs::read_to_string(format!("/proc/{trainer}/stat")).is_ok_and(|stat| !stat.contains(") Z")) {
        assert!(Instant::now() < deadline, "the trainer goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(w.rows("SELECT COUNT(*), outcome IS NULL, (SELECT COUNT(*) FROM step) FROM run"), ["1,1,0"], "it finished the step");
    assert_eq!(w.rows("PRAGMA integrity_check"), ["ok"]);
    assert!(w.ok(&["plan"]).contains("was cut off; starts over"));
}

#[test]
fn a_trainer_that_is_killed_is_replaced_and_its_runs_go_on() {
    let calm = undisturbed(long);
    let w = Workspace::new(TINY);
    long(&w);
    let child = start(&w, &[]);
    wait_for(&w, "SELECT COUNT(*) FROM step WHERE step > 1000");
    signal("-KILL", &trainer_of(&child).unwrap());
    let outcome = Outcome::of(&child.wait_with_output().unwrap());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("the process that trains was killed (signal 9)"), "{}", outcome.stderr);
    let attempts = w.rows("SELECT outcome, after_step > 0, COALESCE(error, '') FROM attempt");
    assert_eq!(attempts.len(), 2);
    assert!(attempts[0].starts_with("lost,0,\"the process that trained it was killed"), "{attempts:?}");
    assert_eq!(attempts[1], "completed,1,");
    assert_same(&w, &calm);
}

#[test]
fn without_its_supervisor_a_trainer_stops_as_if_asked_to() {
    let w = Workspace::new(TINY);
    long(&w);
    let mut child = start(&w, &[]);
    wait_for(&w, LOGS);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for(&w, "SELECT COUNT(*) FROM run WHERE outcome = 'interrupted'");
    assert!(w.ok(&["plan"]).contains("was interrupted; goes on after step"));
}

/// Three runs, of which the second wants `width`² weights.
fn one_is_wide(w: &Workspace, width: u32) {
    std::fs::create_dir_all(w.path("experiments/models")).unwrap();
    w.write(
        "experiments/models/wide.toml",
        "layers = [{ layer = \"flatten\" }, { layer = \"dense\", units = \"$width\" }, { layer = \"dense\", units = \"$width\" },
         { layer = \"dense\", units = \"classes\" }]\n[parameters]\nwidth = 8\n",
    );
    let widths = format!("model.width = [8, {width}, 9]");
    let grid = TINY.replace("{ name = \"mlp\", hidden = 8 }", "\"wide\"\nlr = 0.01").replace("lr = [0.1, 1000]", &widths);
    w.write("experiments/tiny.toml", &grid.replace("seeds = 2", "seeds = 1"));
}

/// Runs a sweep behind a shell command, and checks that the wide run alone has failed, and why.
fn assert_one_fails(w: &Workspace, before: &str, width: u32, why: &str) {
    let sweep = format!("{before}; exec {} sweep -j 2 --max-memory 64GiB --no-report", env!("CARGO_BIN_EXE_pipeline"));
    let sweep = Command::new("sh").args(["-c", &sweep]).current_dir(w.path("")).env("NO_COLOR", "1").output().unwrap();
    let sweep = Outcome::of(&sweep);
    assert_eq!(sweep.code, Some(1), "{}", sweep.stderr);
    let outcomes = w.rows("SELECT arm, outcome, COALESCE(error, '') FROM run_summary ORDER BY position");
    let failure = format!("width={width},failed,\"the process that trained it was {why}, 2 times\"");
    assert_eq!(outcomes, ["width=8,completed,", &failure, "width=9,completed,"], "{}", sweep.stderr);
    assert!(w.ok(&["plan"]).contains(&format!("{why}, 2 times); --retry-failed runs it again")));
}

#[test]
fn memory_that_cannot_be_had_is_the_failure_of_the_run_that_asked_for_it() {
    let w = Workspace::new(TINY);
    // 60 000² weights take 14 GB, where 3 are to be had.
    one_is_wide(&w, 60_000);
    assert_one_fails(&w, "ulimit -v 3000000", 60_000, "aborted (signal 6), as when memory can't be had");
}

/// A group of processes with little memory; `None` where none can be made (that takes root), loudly.
struct Cramped(std::path::PathBuf);

impl Cramped {
    fn new(bytes: u64) -> Option<Self> {
        // Where the second and the first version of control groups have them.
        for (groups, limit) in [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")] {
            let group = std::path::Path::new(groups).join(format!("pipeline-test-{}", std::process::id()));
            if std::fs::create_dir(&group).is_err() {
                continue;
            }
            let group = Cramped(group);
            let limit = group.0.join(limit);
            if limit.exists() && std::fs::write(limit, bytes.to_string()).is_ok() {
                return Some(group);
            }
        }
        eprintln!("SKIPPED: no group of processes with little memory can be made here");
        None
    }
}

impl Drop for Cramped {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn the_kernels_memory_killer_takes_the_run_that_is_too_large_and_no_other() {
    let w = Workspace::new(TINY);
    // 16 000² weights take 1 GB, where 0.4 are to be had.
    one_is_wide(&w, 16_000);
    let Some(cramped) = Cramped::new(400 << 20) else { return };
    let join = format!("echo $$ > {}", cramped.0.join("cgroup.procs").display());
    assert_one_fails(&w, &join, 16_000, "killed by the kernel for want of memory (signal 9)");
}

/// A file system of a given size, to be filled; `None` where none can be made (that takes root), loudly.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: std::path::PathBuf, options: &str) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&at).output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(SmallDisk(at));
        }
        eprintln!("SKIPPED: no file system can be mounted here");
        None
    }

    fn remount(&self, options: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_ends_the_sweep_with_its_reason_and_space_lets_it_go_on() {
    let w = Workspace::new(TINY);
    long(&w);
    let Some(disk) = SmallDisk::mount(w.path("results"), "size=1m") else { return };
    let sweep = w.run(&["sweep", "--no-report", "--checkpoint-every", "0.1"]);
    assert_eq!(sweep.code, Some(1), "{}", sweep.stderr);
    assert!(sweep.stderr.contains("full"), "{}", sweep.stderr);
    assert!(!sweep.stderr.contains("panicked"), "{}", sweep.stderr);
    disk.remount("size=200m");
    assert_eq!(w.rows("PRAGMA integrity_check"), ["ok"]);
    w.ok(&["sweep", "--no-report"]);
    assert_same(&w, &undisturbed(long));
}

#[test]
fn a_folder_that_cannot_be_written_is_named_and_reading_goes_on() {
    let w = Workspace::new(TINY);
    let Some(disk) = SmallDisk::mount(w.path("results"), "size=50m") else { return };
    w.ok(&["sweep", "--no-report"]);
    let before = w.tables();
    disk.remount("ro");
    assert_eq!(w.tables(), before, "a finished sweep can be read where nothing can be written");
    let sweep = w.run(&["sweep", "--force", "--no-report"]);
    assert_eq!(sweep.code, Some(1), "{}", sweep.stderr);
    assert!(
        sweep.stderr.contains("results/results.db: it can't be written: the file, its folder or its disk is read-only"),
        "{}",
        sweep.stderr
    );
    disk.remount("rw");
    assert_eq!(w.tables(), before);
}

/// For as long as it is asked to: sweeps that are killed at random moments, alone and together, until they come to the end, and the
/// tables compared each time.
#[test]
#[ignore = "takes as many minutes as SOAK_MINUTES says: `just soak`"]
fn soak() {
    let minutes: u64 = std::env::var("SOAK_MINUTES").ok().and_then(|m| m.parse().ok()).unwrap_or(30);
    let calm = undisturbed(everything);
    let (started, mut rounds, mut kills) = (Instant::now(), 0, 0);
    while started.elapsed() < Duration::from_mins(minutes) {
        let w = Workspace::new(TINY);
        everything(&w);
        let sweeps = 1 + rounds % 4;
        kills += disturb(&w, Moments::new(), 40, sweeps);
        w.ok(&["sweep", "--no-report"]);
        assert_same(&w, &calm);
        rounds += 1;
        eprintln!("{rounds} sweeps came to the same tables after {kills} kills, {} minutes", started.elapsed().as_secs() / 60);
    }
}
