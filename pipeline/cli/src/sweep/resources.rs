//! Who may train when, and on how many threads: runs in their order, as many as there are jobs and memory for; cores are
//! shared evenly between the runs that are there, so that the last ones get those that the others have left.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After which time a run that another sweep is training is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What a sweep may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Runs at a time.
    pub jobs: usize,
    /// Threads of all runs together.
    pub cores: usize,
    /// Threads of each run, if they are fixed.
    pub threads: Option<usize>,
    /// Bytes that the estimates of all running runs may add up to.
    pub memory: u64,
}

/// The runs that wait, by the memory that each needs, and what the running ones hold.
pub struct Resources {
    limits: Limits,
    needs: Vec<u64>,
    state: Mutex<State>,
    freed: Condvar,
    /// Threads of each slot's run.
    shares: Vec<AtomicUsize>,
}

struct State {
    waiting: VecDeque<usize>,
    /// Runs that other sweeps are training, and when to look at them again.
    elsewhere: Vec<(Instant, usize)>,
    /// Slots with a run, in the order in which they came.
    running: Vec<usize>,
    used: u64,
}

/// A run that has been let in; it gives back what it holds when it is dropped.
pub struct Admitted<'a> {
    resources: &'a Resources,
    slot: usize,
    /// Which of the waiting runs it is.
    pub run: usize,
}

impl Resources {
    pub fn new(limits: Limits, needs: Vec<u64>) -> Self {
        let jobs = limits.jobs.clamp(1, needs.len().max(1));
        let limits = Limits { jobs, ..limits };
        let state = State { waiting: (0..needs.len()).collect(), elsewhere: vec![], running: vec![], used: 0 };
        Resources {
            limits,
            needs,
            state: Mutex::new(state),
            freed: Condvar::new(),
            shares: (0..jobs).map(|_| AtomicUsize::new(1)).collect(),
        }
    }

    /// Slots to run in.
    pub fn slots(&self) -> usize {
        self.limits.jobs
    }

    /// Waits until the next run fits and lets it in; `None` when none is left or `stopped` says so.
    ///
    /// A run that is alone is always let in: what can never fit was refused before.
    pub fn next(&self, slot: usize, stopped: &dyn Fn() -> bool) -> Option<Admitted<'_>> {
        let mut state = self.state();
        loop {
            if stopped() {
                return None;
            }
            let now = Instant::now();
            if let Some(due) = state.elsewhere.iter().position(|(at, _)| *at <= now) {
                let (_, run) = state.elsewhere.swap_remove(due);
                state.waiting.push_back(run);
            }
            match state.waiting.front().copied() {
                None if state.elsewhere.is_empty() => return None,
                Some(run) if state.running.is_empty() || state.used + self.needs[run] <= self.limits.memory => {
                    state.waiting.pop_front();
                    state.used += self.needs[run];
                    state.running.push(slot);
                    self.share(&state);
                    return Some(Admitted { resources: self, slot, run });
                }
                _ => {}
            }
            // Woken by a run that ends; looks up from time to time for a signal.
            state = self.freed.wait_timeout(state, Duration::from_millis(100)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// How many threads the run in a slot may use now.
    pub fn threads(&self, slot: usize) -> usize {
        self.shares[slot].load(Ordering::Relaxed)
    }

    /// Divides the cores among the running runs and those that will join them at once.
    fn share(&self, state: &State) {
        let mut used = state.used;
        let fits = |need: &&u64| {
            used += **need;
            used <= self.limits.memory
        };
        let free = self.limits.jobs - state.running.len();
        let waiting = state.waiting.iter().map(|run| &self.needs[*run]);
        let runs = (state.running.len() + waiting.take(free).take_while(fits).count()).max(1);
        for (rank, slot) in state.running.iter().enumerate() {
            let even = self.limits.cores / runs + usize::from(rank < self.limits.cores % runs);
            self.shares[*slot].store(self.limits.threads.unwrap_or(even).max(1), Ordering::Relaxed);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted<'_> {
    /// Another sweep is training it: it comes again after a while.
    pub fn put_back(self) {
        self.resources.state().elsewhere.push((Instant::now() + LOOK_AGAIN, self.run));
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        let mut state = self.resources.state();
        state.running.retain(|slot| *slot != self.slot);
        state.used -= self.resources.needs[self.run];
        self.resources.share(&state);
        drop(state);
        self.resources.freed.notify_all();
    }
}

/// Cores that are this process's own. Where Slurm does not confine a job to its cores, it says how many it has.
pub fn cores() -> usize {
    let here = std::thread::available_parallelism().map_or(1, usize::from);
    allotted("SLURM_CPUS_ON_NODE").and_then(|n| usize::try_from(n).ok()).map_or(here, |n| n.min(here))
}

/// A number in a job's environment.
fn allotted(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok().filter(|n| *n > 0)
}

/// Memory that is to be had: nine tenths of what the system (or the container, or Slurm) has left.
pub fn available_memory() -> u64 {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let free = system.available_memory().max(system.free_memory());
    let free = system.cgroup_limits().map_or(free, |limits| free.min(limits.free_memory));
    let free = allotted("SLURM_MEM_PER_NODE").map_or(free, |mib| free.min(mib << 20));
    // A system that does not say is taken to have enough.
    if free == 0 { u64::MAX } else { free / 10 * 9 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { jobs: 2, cores: 2, threads: None, memory: 100 };

    fn next(resources: &Resources, slot: usize) -> Option<Admitted<'_>> {
        resources.next(slot, &|| false)
    }

    #[test]
    fn the_last_run_gets_the_cores_that_are_left() {
        let resources = Resources::new(LIMITS, vec![1; 3]);
        let first = next(&resources, 0).unwrap();
        // The second will join at once, so the first does not get both cores for a moment.
        assert_eq!(resources.threads(0), 1);
        let second = next(&resources, 1).unwrap();
        assert_eq!((resources.threads(0), resources.threads(1)), (1, 1));
        drop(first);
        let third = next(&resources, 0).unwrap();
        assert_eq!((third.run, resources.threads(0), resources.threads(1)), (2, 1, 1));
        drop(second);
        assert_eq!(resources.threads(0), 2);
        assert!(next(&resources, 1).is_none());
    }

    #[test]
    fn fewer_runs_than_cores_share_them_evenly() {
        let resources = Resources::new(Limits { jobs: 8, cores: 8, ..LIMITS }, vec![1; 3]);
        assert_eq!(resources.slots(), 3);
        let runs: Vec<_> = (0..3).map(|slot| next(&resources, slot).unwrap()).collect();
        assert_eq!([0, 1, 2].map(|slot| resources.threads(slot)), [3, 3, 2]);
        drop(runs);
        let resources = Resources::new(Limits { threads: Some(5), ..LIMITS }, vec![1]);
        let _run = next(&resources, 0).unwrap();
        assert_eq!(resources.threads(0), 5);
    }

    #[test]
    fn what_another_sweep_trains_comes_again() {
        let resources = Resources::new(LIMITS, vec![1; 2]);
        next(&resources, 0).unwrap().put_back();
        assert_eq!(next(&resources, 0).unwrap().run, 1);
        let started = Instant::now();
        let again = next(&resources, 0).unwrap();
        assert_eq!((again.run, started.elapsed() > LOOK_AGAIN / 2), (0, true));
        drop(again);
        assert!(next(&resources, 0).is_none());
    }

    #[test]
    fn runs_wait_until_there_is_memory() {
        let resources = Resources::new(LIMITS, vec![60, 60, 1000]);
        let first = next(&resources, 0).unwrap();
        assert_eq!(resources.threads(0), 2, "what waits for memory gets no core");
        let looked = std::cell::Cell::new(0);
        // Does not fit beside the first: waits until the signal of the second look.
        assert!(resources.next(1, &|| looked.replace(looked.get() + 1) > 0).is_none());
        drop(first);
        let second = next(&resources, 1).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| next(&resources, 0).map(|admitted| admitted.run));
            drop(second);
            assert_eq!(waiting.join().unwrap(), Some(2), "alone, a run is let in whatever it needs");
        });
    }
}
