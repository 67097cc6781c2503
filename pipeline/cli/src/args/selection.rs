//! Which runs a command is about: grid files, overrides, filters, shards, and what they may use of the machine.

use std::path::PathBuf;

use engine::device::DeviceChoice;
use spec::Filter;
use spec::grid::Override;

use crate::error::Expected;

/// Which runs a command is about.
#[derive(Clone, Debug, clap::Args)]
pub struct Selection {
    /// Grid files [default: every experiments/*.toml] and overrides such as lr=0.1,0.01, which make a study of their own; see
    /// docs/guide.md
    #[arg(value_name = "GRID|KEY=VALUE")]
    pub words: Vec<PathBuf>,

    /// Name of the study that overrides make [default: made of the file and the overridden keys]
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

/// One of so many parts of the runs, written `1/4`, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u64,
    count: u64,
}

impl Shard {
    /// All of so many.
    pub fn all(count: u64) -> impl Iterator<Item = Shard> {
        (1..=count).map(move |index| Shard { index, count })
    }

    /// Whether a run is in it: by its id, so that it does not depend on what else there is to run.
    pub fn holds(self, id: &str) -> bool {
        // An id is 16 hexadecimal digits.
        u64::from_str_radix(id, 16).unwrap_or(0) % self.count == self.index - 1
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let error = || "expected a shard and how many there are, from 1/N to N/N, such as 1/4".to_owned();
        let (index, count) = s.split_once('/').ok_or_else(error)?;
        let number = |text: &str| text.parse::<u64>().map_err(|_| error());
        let (index, count) = (number(index)?, number(count)?);
        if (1..=count).contains(&index) { Ok(Shard { index, count }) } else { Err(error()) }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// A number of bytes, written `512MiB`, `6GiB` or `1.5GB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl std::str::FromStr for Size {
    type Err = String;

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size; what is beyond 2^64 is as good as 2^64")]
    fn from_str(s: &str) -> Result<Self, String> {
        let error = || "expected a number and a unit, such as 512MiB, 6GiB or 1.5GB".to_owned();
        let (number, unit) = s.split_at(s.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(error)?);
        let unit = match unit.to_ascii_lowercase().as_str() {
            "kb" => 1e3,
            "mb" => 1e6,
            "gb" => 1e9,
            "tb" => 1e12,
            "k" | "kib" => 1024f64,
            "m" | "mib" => 1024f64.powi(2),
            "g" | "gib" => 1024f64.powi(3),
            "t" | "tib" => 1024f64.powi(4),
            _ => return Err(error()),
        };
        let number: f64 = number.trim().parse().map_err(|_| error())?;
        if number > 0.0 && number.is_finite() { Ok(Size((number * unit) as u64)) } else { Err(error()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let parse = |s: &str| s.parse::<Size>().map(|s| s.0).ok();
        assert_eq!(
            ["512MiB", "6GiB", "1.5GB", "2g", "1k"].map(parse),
            [536_870_912, 6_442_450_944, 1_500_000_000, 2_147_483_648, 1024].map(Some)
        );
        assert_eq!(["", "6", "GiB", "-1GiB", "infGiB", "6 parsecs"].map(parse), [None; 6]);
    }

    #[test]
    fn shards_partition_the_runs() {
        for wrong in ["", "x", "1", "0/4", "5/4", "1/0", "0/0", "-1/4", "1/4/4", "1 / 4", "1/99999999999999999999"] {
            assert!(wrong.parse::<Shard>().is_err_and(|e| e.contains("such as 1/4")), "{wrong}");
        }
        let ids: Vec<String> = (0..1000).map(|i: u32| spec::fingerprint(&i.to_le_bytes())).collect();
        for count in [1, 2, 3, 7, 64] {
            let shards: Vec<Shard> = (1..=count).map(|i| format!("{i}/{count}").parse().unwrap()).collect();
            for id in &ids {
                assert_eq!(shards.iter().filter(|shard| shard.holds(id)).count(), 1, "{id}");
            }
            let sizes = shards.iter().map(|shard| ids.iter().filter(|id| shard.holds(id)).count());
            let fair = 1000 / count;
            assert!(sizes.clone().all(|size| size > fair / 4 && size < 3 * fair), "{:?}", sizes.collect::<Vec<_>>());
        }
        assert!("2/2".parse::<Shard>().unwrap().holds("8000000000000001"));
    }
}
