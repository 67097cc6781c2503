//! End-to-end tests: the real binary on small real data. One binary, so that it is linked once.

#![allow(clippy::unwrap_used, reason = "a test that can't go on panics")]

mod archives;
mod book;
mod browser;
mod data;
mod database;
mod documents;
mod exchange;
// What it does to processes, disks and memory, it does by Linux's means.
#[cfg(target_os = "linux")]
mod faults;
mod hostile;
mod merge;
mod models;
mod objectives;
mod plan;
mod query;
mod report;
mod reproduce;
mod slurm;
mod summary;
mod sweep;
mod terminal;
mod workspace;
