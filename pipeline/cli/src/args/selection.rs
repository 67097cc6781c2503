//! Which runs a command is about: grid files, overrides, filters, shards; and what they may use of the machine.

use std::path::PathBuf;

use engine::device::DeviceChoice;
use spec::Filter;
use spec::grid::Override;

use super::values::{Shard, Size};
use crate::error::Expected;

/// Which runs a command is about.
#[derive(Debug, clap::Args)]
pub struct Selection {
    /// Grid files [default: every experiments/*.toml] and overrides such as lr=0.1,0.01, which make a study of their own; see
    /// docs/guide.md
    #[arg(value_name = "GRID|KEY=VALUE")]
    pub words: Vec<PathBuf>,

    /// Name of the study that overrides make [default: made of the file and what varies]
    #[arg(long, value_name = "STUDY")]
    pub name: Option<String>,

    /// Only runs that match, such as 'optimizer=adam and (lr<0.1 or seed=0)'; see docs/filter.md
    #[arg(long, value_name = "EXPR")]
    pub filter: Option<Filter>,

    /// Only the I-th of N parts, such as 1/4; every run that --filter leaves is in one of them
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,

    /// Only runs whose ids are in this file, one a line
    #[arg(long, value_name = "FILE")]
    pub runs: Option<PathBuf>,

    /// Run failed runs again
    #[arg(long)]
    pub retry_failed: bool,

    /// Run everything again, also what has a result; the old result is removed when its run starts
    #[arg(long)]
    pub force: bool,

    /// Refuse a grid with more runs than this
    #[arg(long, value_name = "N", default_value_t = spec::Limits::default().max_runs, value_parser = clap::value_parser!(u64).range(1..))]
    pub max_runs: u64,

    /// Look for datasets here first
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    #[command(flatten)]
    pub resources: Resources,
}

/// What runs may use of the machine.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Resources {
    /// auto, cpu, cuda (all GPUs), cuda:N or metal; auto is the GPUs of a binary built for them, else the CPU
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,

    /// Runs at the same time, on each GPU if there are any [default: the number of cores, divided by --threads; 1 on a GPU]
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,

    /// Threads per run [default: cores are shared evenly between the runs that are left]; results don't depend on it
    #[arg(long, value_name = "N")]
    pub threads: Option<std::num::NonZeroUsize>,

    /// Memory for all running runs together, such as 6GiB; a run that needs more is refused [default: 90 % of what is free]
    #[arg(long, value_name = "SIZE")]
    pub max_memory: Option<Size>,
}

impl Resources {
    /// Of a machine that isn't this one, so that nothing is refused for what this one lacks.
    pub const ELSEWHERE: Resources = Resources { device: DeviceChoice::Cpu, jobs: None, threads: None, max_memory: Some(Size(u64::MAX)) };
}

/// Grid files, and what is overridden in them.
#[derive(Debug, Default)]
pub struct Grids<'a> {
    pub files: Vec<PathBuf>,
    pub overrides: Vec<Override>,
    /// Of the study that overrides make.
    pub name: Option<&'a str>,
}

impl Selection {
    /// What the words name. A file that is there is a file, whatever its name.
    ///
    /// # Errors
    /// When an override is wrong, or a name has no use.
    pub fn grids(&self) -> Result<Grids<'_>, Expected> {
        let mut grids = Grids { name: self.name.as_deref(), ..Grids::default() };
        for word in &self.words {
            match word.to_str().filter(|text| Override::is_meant_by(text) && !word.is_file()) {
                Some(text) => grids.overrides.push(text.parse().map_err(Expected::Usage)?),
                None => grids.files.push(word.clone()),
            }
        }
        let usage = |why: &str| Err(Expected::Usage(why.to_owned()));
        match grids.name {
            Some(_) if grids.overrides.is_empty() => {
                usage("--name names the study that overrides make; a grid file's study has the file's name")
            }
            Some(_) if grids.files.len() > 1 => usage("--name names one study, and there are several grid files"),
            _ => Ok(grids),
        }
    }
}
