//! Where a sweep runs: recorded with every run, never part of its identity.

use std::process::Command;

use tracker::Environment;

pub fn current() -> Environment {
    let commit = git(&["rev-parse", "HEAD"]);
    // Results and reports change with every sweep; they don't make the code dirty.
    let changes = git(&["status", "--porcelain", "--untracked-files=no", "--", ":/", ":(exclude,top)reports", ":(exclude,top)results"]);
    Environment {
        host: std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| output("hostname", &[])).map(|s| s.trim().to_owned()),
        cpu: cpu(),
        os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        git_dirty: commit.is_some().then(|| changes.is_some_and(|c| !c.is_empty())),
        git_commit: commit,
    }
}

/// The processor, as its maker calls it.
pub fn cpu() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok();
    let name = info.as_deref().and_then(|i| i.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':')));
    name.map(|(_, n)| n.trim().to_owned()).or_else(|| output("sysctl", &["-n", "machdep.cpu.brand_string"]))
}

fn git(args: &[&str]) -> Option<String> {
    output("git", args)
}

/// What a program prints, if it exists and succeeds.
fn output(program: &str, args: &[&str]) -> Option<String> {
    let out = Command::new(program).args(args).stdin(std::process::Stdio::null()).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}
