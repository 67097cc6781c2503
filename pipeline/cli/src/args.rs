//! The command line. Doc comments here are the help texts.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use engine::Catalog;
use engine::device::{Device, DeviceChoice};
use spec::{Filter, Metric, Split};

use crate::error::Expected;
use crate::grids;

/// Describe a grid of experiments in a text file, train it, and get a database with every step and a report.
#[derive(Debug, Parser)]
#[command(name = "pipeline", version, disable_help_subcommand = true)]
pub struct Args {
    /// The results database
    #[arg(long, global = true, value_name = "FILE", default_value = "results/results.db")]
    pub db: PathBuf,

    /// Print results and errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// When to color messages; NO_COLOR is respected
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what a sweep would run, what it would skip and why, and how long it would take
    Plan(Plan),
    /// Train every run that has no result yet, then write the reports
    Sweep(Sweep),
    /// Count the runs of every study by outcome
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write reports: tables (Markdown, CSV) and figures (SVG) for every study
    Report(Report),
    /// Ask the database: any reading SQL; its tables and views are in docs/querying.md
    Query(Query),
    /// Write results as files of others: Parquet, CSV, JSON, TensorBoard, MLflow, or a copy; also while a sweep writes
    Export(Export),
    /// Bring the results of other databases, such as those of --shard, into this one
    Merge {
        /// Databases to merge; they stay as they are
        #[arg(value_name = "DB", required = true)]
        sources: Vec<PathBuf>,
    },
    /// Take results from elsewhere, a CSV file or a folder of TensorBoard's, into a study beside the others
    Import(Import),
    /// Show studies, runs and curves in a browser, while they train
    Serve(Serve),
    /// Show one run: configuration, outcome, learning curve
    Show {
        /// The run's id, or enough of its beginning
        run: String,
    },
    /// Train a finished run again and compare everything with what was logged
    Reproduce(Reproduce),
    /// List, download and look at datasets
    Data(Data),
    /// Show the layers of a model: output shapes, parameters, multiply-adds, memory; or draw it
    Summary(Summary),
    /// Find a learning rate: train one arm with the rate rising until the loss explodes
    FindLr(FindLr),
    /// Print the JSON Schema of grid files, for editors; or the reference, for people
    Schema {
        /// json: the JSON Schema; markdown: docs/grid.md
        #[arg(long, value_name = "FORMAT", default_value = "json")]
        format: SchemaFormat,
    },
}

/// Which runs a command is about.
#[derive(Debug, clap::Args)]
pub struct Selection {
    /// Grid files [default: every experiments/*.toml]
    #[arg(value_name = "GRID")]
    pub grids: Vec<PathBuf>,

    /// Only runs that match, such as 'optimizer=adam and (lr<0.1 or seed=0)'; see docs/filter.md
    #[arg(long, value_name = "EXPR")]
    pub filter: Option<Filter>,

    /// Only the I-th of N parts, such as 1/4; every run that --filter leaves is in one of them
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,

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

/// One of so many parts of the runs, written `1/4`, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u64,
    count: u64,
}

impl Shard {
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

#[derive(Debug, clap::Args)]
pub struct Plan {
    #[command(flatten)]
    pub selection: Selection,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct Sweep {
    #[command(flatten)]
    pub selection: Selection,

    /// Try a run that fails so many times more
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub retries: u32,

    /// Stop at the first failed run
    #[arg(long)]
    pub fail_fast: bool,

    /// How often an unfinished run keeps a checkpoint, in seconds; 0: only when it is stopped by a signal
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = seconds)]
    pub checkpoint_every: f64,

    /// Where reports go
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub out: PathBuf,

    /// Write no reports at the end
    #[arg(long)]
    pub no_report: bool,
}

#[derive(Debug, clap::Args)]
pub struct Report {
    /// Studies [default: all in the database]
    #[arg(value_name = "STUDY")]
    pub studies: Vec<String>,

    /// Where reports go
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub out: PathBuf,

    /// Write nothing; fail if a report on disk differs from what the database gives
    #[arg(long)]
    pub check: bool,

    /// Write each figure as PNG, too
    #[arg(long, conflicts_with = "check")]
    pub png: bool,

    /// Print the query and the runs behind a table or figure (learning_rate/arms), or behind all of a study; write nothing
    #[arg(long, value_name = "STUDY[/NAME]", conflicts_with_all = ["studies", "check"])]
    pub trace: Option<String>,
}

#[derive(Debug, clap::Args)]
pub struct Query {
    /// One SELECT statement; - reads it from standard input
    #[arg(allow_hyphen_values = true)]
    pub sql: String,

    /// How to print the answer
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: Format,

    /// Stop a statement that takes longer; 0 lets it take any time
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u32,
}

#[derive(Debug, clap::Args)]
pub struct Export {
    /// As what
    #[arg(long, value_name = "FORMAT")]
    pub to: ExportFormat,

    /// Where it goes: a file for sqlite and mlflow, a folder for the others
    #[arg(value_name = "TARGET")]
    pub target: PathBuf,

    /// Only runs of this study; may stand several times
    #[arg(long = "study", value_name = "NAME")]
    pub studies: Vec<String>,

    /// Only runs that match, such as 'optimizer=adam and outcome=completed'; keys: study, arm, run, seed, outcome and those of grid files
    #[arg(long, value_name = "EXPR")]
    pub filter: Option<Filter>,

    /// Replace an earlier export
    #[arg(long)]
    pub force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One file with everything as it is at this moment, which reads on a read-only disk too
    Sqlite,
    /// A folder of Parquet files, for DuckDB, pandas, polars, Spark
    Parquet,
    /// A folder of CSV files
    Csv,
    /// A folder of JSON Lines files
    Json,
    /// A folder of event files, for `tensorboard --logdir`
    Tensorboard,
    /// A tracking store, for `mlflow ui --backend-store-uri sqlite:///FILE`; one that is there is added to
    Mlflow,
}

#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Where to listen: an address, with a port or without (then 7878, or the next that is free); others than this machine's own need a token
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub listen: Listen,

    /// A name that the server is reached by, besides its address and localhost
    #[arg(long, value_name = "NAME")]
    pub host_name: Vec<String>,

    /// Read the token from this file [default: a new one, printed with the address, where one is needed]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// An address to listen at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    pub ip: std::net::IpAddr,
    /// `None`: whichever is free.
    pub port: Option<u16>,
}

impl std::str::FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.replace("localhost", "127.0.0.1");
        let with_port = text.parse::<std::net::SocketAddr>().map(|address| Listen { ip: address.ip(), port: Some(address.port()) });
        let alone = text.trim_matches(['[', ']']).parse().map(|ip| Listen { ip, port: None });
        with_port.or(alone).map_err(|_| "expected an address, such as 127.0.0.1, 0.0.0.0:8080 or [::1]:8080".to_owned())
    }
}

#[derive(Debug, clap::Args)]
pub struct Import {
    /// A CSV file with a row per step or epoch of a run, or a folder with event files
    #[arg(value_name = "SOURCE")]
    pub source: PathBuf,

    /// Name of the study that it becomes
    #[arg(long, value_name = "NAME", value_parser = study_name)]
    pub study: String,

    /// The question that it answers
    #[arg(long, value_name = "TEXT", default_value = "What did the imported runs come to?")]
    pub question: String,

    /// The metric that decides between arms
    #[arg(long, value_name = "METRIC", default_value = "validation_accuracy", value_parser = metric)]
    pub metric: Metric,

    /// Columns (or hyper-parameters) that tell arms apart, such as optimizer,lr [default: all that are no metric]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub axes: Option<Vec<String>>,

    /// The column that holds the seed, if it has another name
    #[arg(long, value_name = "COLUMN")]
    pub seed: Option<String>,

    /// Replace runs that were imported before with other values
    #[arg(long)]
    pub force: bool,

    /// What a column or tag means, such as val_acc=validation_accuracy or note=ignore; the usual names are known
    #[arg(long = "map", value_name = "THEIRS=OURS", value_parser = pair)]
    pub names: Vec<(String, String)>,
}

/// A name that can be a folder's.
fn study_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let fits = (1..=100).contains(&text.len()) && text.chars().all(plain);
    if fits { Ok(text.to_owned()) } else { Err("must be 1 to 100 letters, digits, `_` and `-`".to_owned()) }
}

fn metric(text: &str) -> Result<Metric, String> {
    let metrics = || Metric::ALL.iter().filter(|m| m.split != Split::Test);
    metrics()
        .find(|m| m.name() == text)
        .copied()
        .ok_or_else(|| format!("must be one of {}", metrics().map(|m| m.name()).collect::<Vec<_>>().join(", ")))
}

/// `theirs=ours`
fn pair(text: &str) -> Result<(String, String), String> {
    text.rsplit_once('=')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .ok_or_else(|| "must be THEIRS=OURS, such as val_acc=validation_accuracy".to_owned())
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Data {
    /// Without one, `list`
    #[command(subcommand)]
    pub command: Option<DataCommand>,

    #[command(flatten)]
    pub list: DataList,
}

#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// List the datasets: what they are, whether they are here, and how to get them
    List(DataList),
    /// Download the files of a dataset, and check them
    Fetch(DataFetch),
    /// Draw examples of a dataset, with the names of their classes
    Show(DataShow),
}

#[derive(Debug, clap::Args)]
pub struct DataList {
    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Look for datasets here first
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct DataFetch {
    /// A dataset's name
    pub name: String,

    /// Where a mirror has the files, such as `http://mirror.local/mnist` [default: where they are published]; they are checked all the same
    #[arg(long, value_name = "URL")]
    pub from: Option<String>,

    /// Put them into a folder of the dataset's name in this one [default: the cache folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct DataShow {
    /// A dataset's name
    pub name: String,

    /// Write the picture here, as PNG or SVG [default: NAME.png]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// How many examples
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub count: u32,

    /// Which part of it
    #[arg(long, value_name = "SPLIT", default_value = "train")]
    pub split: Part,

    /// Draw examples at random with this seed [default: the first ones, a class after the other]
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,

    /// Set a key of the dataset as a grid file does
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// Look for datasets here first
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// A part of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    Train,
    Test,
}

#[derive(Debug, clap::Args)]
pub struct Summary {
    /// A model's name, or a model file
    pub model: String,

    /// The folder of model files
    #[arg(long, value_name = "DIR", default_value = "experiments/models")]
    pub models: PathBuf,

    /// Set a parameter of the model, such as hidden=32 or blocks.inception.reduce=8
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,

    /// Shape of an example, such as 28x28x1 or 500x7 [default: the model's own, else 28x28x1]
    #[arg(long, value_name = "SHAPE")]
    pub input: Option<Shape>,

    /// Number of classes [default: the model's own, else 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub classes: Option<u16>,

    /// Take shape and classes from this dataset
    #[arg(long, value_name = "NAME")]
    pub dataset: Option<String>,

    /// Look for datasets here first
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: SummaryFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SummaryFormat {
    Table,
    Csv,
    Json,
    Markdown,
    /// A drawing for Graphviz
    Dot,
    /// A drawing
    Svg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SchemaFormat {
    Json,
    Markdown,
}

/// Sizes, written `28x28x1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(pub Vec<usize>);

impl std::str::FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = |s: &str| s.trim().parse().ok().filter(|n| (1..=1 << 16).contains(n));
        let sizes: Option<Vec<usize>> = text.split(['x', '×']).map(size).collect();
        sizes.filter(|s| s.len() <= 4).map(Shape).ok_or_else(|| "must be one to four positive sizes, such as 28x28x1".to_owned())
    }
}

#[derive(Debug, clap::Args)]
pub struct FindLr {
    /// A grid file
    #[arg(value_name = "GRID")]
    pub grid: PathBuf,

    /// Label of the arm to test, as `pipeline plan` shows it [default: the first]
    #[arg(long, value_name = "ARM")]
    pub arm: Option<String>,

    /// The first step's rate
    #[arg(long, value_name = "RATE", default_value_t = 1e-5, value_parser = positive)]
    pub from: f64,

    /// The last step's rate
    #[arg(long, value_name = "RATE", default_value_t = 10.0, value_parser = positive)]
    pub to: f64,

    /// Optimizer updates
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(30..=1_000_000))]
    pub steps: u32,

    /// Seed of initial weights and order
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub seed: u64,

    /// Write the figure (SVG) here
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Print JSON, with the rate and the loss of every step
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub on: Machine,
}

/// What a single run is trained on.
#[derive(Debug, clap::Args)]
pub struct Machine {
    /// Look for datasets here first
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// auto, cpu, cuda, cuda:N or metal
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: DeviceChoice,

    /// Threads, which change no bit [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<std::num::NonZeroUsize>,
}

impl Machine {
    /// # Errors
    /// When there is no such folder of datasets.
    pub fn catalog(&self) -> anyhow::Result<Catalog> {
        grids::check_data_dir(self.data_dir.as_ref())?;
        Ok(Catalog::new(self.data_dir.clone()))
    }

    /// # Errors
    /// When there is no such device.
    pub fn device(&self) -> Result<Device, Expected> {
        self.device.open().map_err(|e| Expected::Usage(e.to_string()))
    }

    pub fn threads(&self) -> usize {
        self.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
    }
}

/// A time.
fn seconds(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x: &f64| (0.0..=1e9).contains(x)).ok_or_else(|| "must be a number of seconds".to_owned())
}

#[derive(Debug, clap::Args)]
pub struct Reproduce {
    /// The run's id, or enough of its beginning
    pub run: String,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub on: Machine,
}

/// A learning rate.
fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x: &f64| x.is_finite() && *x > 0.0).ok_or_else(|| "must be a positive number".to_owned())
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    Table,
    Csv,
    Json,
    Markdown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
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
