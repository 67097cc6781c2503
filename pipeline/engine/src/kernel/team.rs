//! The threads of one run.
//!
//! A step has dozens of parallel stretches of a few microseconds to a few milliseconds, so the threads spin for a moment
//! before they sleep; a pool that sleeps at once costs more than it brings on small networks. What is computed never depends
//! on how many threads there are: work is cut into tasks by shape alone, and each task's result is the same wherever it runs.

use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Looks at the next job this many times before sleeping: about 50 µs.
const SPINS: u32 = 4000;

/// Multiply-adds (or moves of about their cost) below which a stretch is not worth a second thread: a few microseconds.
const WORTH_SHARING: usize = 400_000;

/// Threads that work together; the one that owns the team is the first.
pub(crate) struct Team {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

type Body<'a> = dyn Fn(usize) + Sync + 'a;

struct Shared {
    /// Which job this is (from bit 8 up), whether it may still be joined (bit 7), and how many workers are at it (the rest).
    word: AtomicU64,
    /// The job's body, its lifetime forgotten; valid while the word is open or workers are at it.
    body: Mutex<Option<&'static Body<'static>>>,
    tasks: AtomicUsize,
    next: AtomicUsize,
    sleeping: AtomicUsize,
    quit: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

const OPEN: u64 = 1 << 7;
const COUNT: u64 = OPEN - 1;
const JOB: u64 = 1 << 8;

impl Team {
    /// A team of one.
    pub(crate) fn new() -> Self {
        let shared = Shared {
            word: AtomicU64::new(0),
            body: Mutex::new(None),
            tasks: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            sleeping: AtomicUsize::new(0),
            quit: AtomicBool::new(false),
            panic: Mutex::new(None),
        };
        Team { shared: Arc::new(shared), workers: vec![] }
    }

    /// How many threads it has.
    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Makes it a team of `threads` (1 to 100), or of as many as the system grants.
    pub(crate) fn resize(&mut self, threads: usize) {
        let threads = threads.clamp(1, 100);
        if threads < self.threads() {
            self.dismiss();
        }
        while self.threads() < threads {
            let shared = Arc::clone(&self.shared);
            let Ok(worker) = std::thread::Builder::new().name("kernel".into()).spawn(move || shared.work()) else { break };
            self.workers.push(worker);
        }
    }

    fn dismiss(&mut self) {
        self.shared.quit.store(true, Ordering::SeqCst);
        for worker in &self.workers {
            worker.thread().unpark();
        }
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
        self.shared.quit.store(false, Ordering::SeqCst);
    }

    /// Calls `body` once with every number below `tasks`, on all threads if `work` (multiply-adds, all tasks together) is
    /// worth it. Returns when all calls have.
    pub(crate) fn run(&self, tasks: usize, work: usize, body: impl Fn(usize) + Sync) {
        if self.workers.is_empty() || tasks < 2 || work < WORTH_SHARING {
            (0..tasks).for_each(body);
        } else {
            self.share(tasks, &body);
        }
    }

    fn share(&self, tasks: usize, body: &Body<'_>) {
        let shared = &*self.shared;
        // SAFETY: only the lifetime is changed. Workers use the body only between joining an open job and leaving it, and this
        // function closes the job and waits until all have left before it returns or unwinds.
        let body: &'static Body<'static> = unsafe { std::mem::transmute::<&Body<'_>, &'static Body<'static>>(body) };
        *lock(&shared.body) = Some(body);
        shared.tasks.store(tasks, Ordering::Relaxed);
        shared.next.store(0, Ordering::Relaxed);
        let job = (shared.word.load(Ordering::Relaxed) & !(COUNT | OPEN)) + JOB;
        shared.word.store(job | OPEN, Ordering::SeqCst);
        if shared.sleeping.load(Ordering::SeqCst) > 0 {
            for worker in &self.workers {
                worker.thread().unpark();
            }
        }
        shared.take_part(body);
        shared.word.fetch_and(!OPEN, Ordering::AcqRel);
        let mut spins = 0u32;
        while shared.word.load(Ordering::Acquire) & COUNT > 0 {
            pause(&mut spins);
        }
        if let Some(panic) = lock(&shared.panic).take() {
            resume_unwind(panic);
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.dismiss();
    }
}

impl Shared {
    /// Runs tasks until none is left. A panic ends the job and is kept for the owner.
    fn take_part(&self, body: &Body<'_>) {
        let tasks = self.tasks.load(Ordering::Relaxed);
        let run = AssertUnwindSafe(|| {
            loop {
                let task = self.next.fetch_add(1, Ordering::Relaxed);
                if task >= tasks {
                    break;
                }
                body(task);
            }
        });
        if let Err(panic) = catch_unwind(run) {
            self.next.store(tasks, Ordering::Relaxed);
            lock(&self.panic).get_or_insert(panic);
        }
    }

    /// The life of a worker.
    fn work(&self) {
        let mut done = 0;
        let mut spins = 0;
        while !self.quit.load(Ordering::SeqCst) {
            let word = self.word.load(Ordering::SeqCst);
            let job = word & !(COUNT | OPEN);
            if word & OPEN != 0 && job != done {
                if self.word.compare_exchange(word, word + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                    if let Some(body) = *lock(&self.body) {
                        self.take_part(body);
                    }
                    self.word.fetch_sub(1, Ordering::AcqRel);
                    done = job;
                    spins = 0;
                }
            } else if spins < SPINS {
                pause(&mut spins);
            } else {
                self.sleeping.fetch_add(1, Ordering::SeqCst);
                // Looked at again, because a job that opened before the count went up has woken nobody.
                if self.word.load(Ordering::SeqCst) == word && !self.quit.load(Ordering::SeqCst) {
                    std::thread::park();
                }
                self.sleeping.fetch_sub(1, Ordering::SeqCst);
                spins = 0;
            }
        }
    }
}

/// Waits a moment; now and then lets another thread have the core, in case there are more threads than cores.
fn pause(spins: &mut u32) {
    *spins += 1;
    if spins.is_multiple_of(256) { std::thread::yield_now() } else { std::hint::spin_loop() }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A slice whose parts the tasks of a team write, each its own.
pub(super) struct Parts<'a, T> {
    start: *mut T,
    len: usize,
    whole: PhantomData<&'a mut [T]>,
}

// SAFETY: it hands out parts only through `range`, whose callers keep them apart.
unsafe impl<T: Send> Sync for Parts<'_, T> {}

impl<'a, T> Parts<'a, T> {
    pub(super) fn new(slice: &'a mut [T]) -> Self {
        Parts { start: slice.as_mut_ptr(), len: slice.len(), whole: PhantomData }
    }

    /// `len` numbers from `start` on.
    ///
    /// # Safety
    /// While it is in use, no other part that overlaps it may be.
    #[expect(clippy::mut_from_ref, reason = "tasks of one team write parts of one slice")]
    pub(super) unsafe fn range(&self, start: usize, len: usize) -> &mut [T] {
        assert!(start + len <= self.len, "a part lies inside its slice");
        // SAFETY: inside the slice (checked above), which is borrowed mutably for 'a; the caller keeps parts apart.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}

impl<T> Parts<'_, T> {
    /// Asks for numbers that will be used soon.
    pub(super) fn prefetch(&self, start: usize, len: usize) {
        let len = len.min(self.len.saturating_sub(start));
        super::simd::prefetch_from(self.start.wrapping_add(start.min(self.len)), len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_whatever_the_number_of_threads() {
        let mut team = Team::new();
        for threads in [1, 3, 2, 4, 1] {
            team.resize(threads);
            for round in 0..200 {
                let counts: Vec<AtomicUsize> = (0..round % 17).map(|_| AtomicUsize::new(0)).collect();
                team.run(counts.len(), usize::MAX, |i| {
                    counts[i].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn workers_that_sleep_are_woken() {
        let mut team = Team::new();
        team.resize(3);
        for _ in 0..3 {
            std::thread::sleep(std::time::Duration::from_millis(20));
            let sum = AtomicUsize::new(0);
            team.run(100, usize::MAX, |i| {
                sum.fetch_add(i, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 4950);
        }
    }

    #[test]
    fn a_panic_reaches_the_owner_and_the_team_lives_on() {
        let mut team = Team::new();
        team.resize(2);
        let panicked = catch_unwind(AssertUnwindSafe(|| team.run(10, usize::MAX, |i| assert!(i != 7, "seven"))));
        assert!(panicked.is_err());
        let mut squares = [0; 10];
        let parts = Parts::new(&mut squares);
        // SAFETY: every task has its own element.
        team.run(10, usize::MAX, |i| unsafe { parts.range(i, 1)[0] = i * i });
        assert_eq!(squares[9], 81);
    }
}
