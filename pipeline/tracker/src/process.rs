//! Whether a process that wrote its name into the file still lives.

use sysinfo::{Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System};

/// A process, as another one on the same machine can find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Where `pid` means something: a machine since it was started, and the namespace of its process numbers.
    pub(crate) place: String,
    pub(crate) pid: u32,
    /// Seconds since 1970: process numbers are used again.
    pub(crate) started: u64,
}

impl Process {
    pub(crate) fn current() -> Self {
        let pid = std::process::id();
        let started = find(pid).map_or(0, |(started, _)| started);
        Process { place: place(), pid, started }
    }

    /// Whether it lives; `None` if that can't be told from here.
    pub(crate) fn is_alive(&self) -> Option<bool> {
        // The time of a start is counted from that of the machine's, which the clock's corrections move a little.
        const SLACK_S: u64 = 2;
        let is_it = |(started, status): (u64, ProcessStatus)| {
            started.abs_diff(self.started) <= SLACK_S && !matches!(status, ProcessStatus::Zombie | ProcessStatus::Dead)
        };
        (self.place == place()).then(|| find(self.pid).is_some_and(is_it))
    }
}

/// When a process was started, and its state.
fn find(pid: u32) -> Option<(u64, ProcessStatus)> {
    let pid = Pid::from_u32(pid);
    let mut system = System::new();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, ProcessRefreshKind::nothing().without_tasks());
    system.process(pid).map(|process| (process.start_time(), process.status()))
}

fn place() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_else(|_| System::boot_time().to_string());
    let namespace = std::fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string()).unwrap_or_default();
    format!("{} {} {namespace}", System::host_name().unwrap_or_default(), boot.trim()).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_are_told_from_the_dead() {
        let me = Process::current();
        assert_eq!(me.is_alive(), Some(true));
        assert_eq!(Process { started: me.started - 100, ..me.clone() }.is_alive(), Some(false), "its number has been used again");
        assert_eq!(Process { place: "elsewhere".into(), ..me.clone() }.is_alive(), None);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let (started, _) = find(child.id()).unwrap();
        let process = Process { pid: child.id(), started, ..me };
        assert_eq!(process.is_alive(), Some(true));
        child.kill().unwrap();
        // Not waited for yet: a zombie.
        while process.is_alive() == Some(true) {
            std::thread::yield_now();
        }
        assert_eq!(process.is_alive(), Some(false));
        child.wait().unwrap();
        assert_eq!(process.is_alive(), Some(false));
    }
}
