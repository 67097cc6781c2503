//! The command line. Doc comments here are the help texts.

mod data;
mod selection;
mod slurm;
mod values;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use engine::Catalog;
use engine::device::{Device, DeviceChoice};
use spec::{Filter, Metric};

use crate::error::Expected;
use crate::grids;

pub use data::{Data, DataCommand, DataFetch, DataList, DataShow, Part};
pub use selection::{Grids, Resources, Selection};
pub use slurm::Slurm;
pub use values::Shard;
use values::{Listen, Shape, interval, metric, pair, positive, seconds, study_name};

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
    /// Count the runs of every study by outcome; --watch shows how training goes
    Status(Status),
    /// Write reports: tables (Markdown, CSV) and figures (SVG) for every study
    Report(Report),
    /// Ask the database: any reading SQL; its tables and views are in docs/querying.md
    Query(Query),
    /// Write results as files of others: Parquet, CSV, JSON, TensorBoard, MLflow, or a copy; also while a sweep writes
    Export(Export),
    /// Bring the results of other databases, such as those of --shard, into this one
    Merge {
        /// Databases to merge, which stay as they are; or the folder of a `pipeline slurm`, whose gaps are named
        #[arg(value_name = "DB", required = true)]
        sources: Vec<PathBuf>,

        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take results from elsewhere, a CSV file or a folder of TensorBoard's, into a study beside the others
    Import(Import),
    /// Train on a Slurm cluster: submit a job array of shards, and a job that merges them and writes the reports
    Slurm(Box<Slurm>),
    /// Show studies, runs and curves in a browser, while they train
    Serve(Serve),
    /// Show a run: configuration, outcome, diagnosis, learning curves; or compare the curves of several
    Show(Show),
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
    /// Print the completion script of a shell: `source <(pipeline completions bash)`
    Completions {
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Write the completion scripts and the man pages into a folder, for packages
    Assets {
        /// Gets the folders completions/ and man/man1/
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub struct Plan {
    #[command(flatten)]
    pub selection: Selection,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Print the grid file that the overrides make, to be saved or read; plan nothing
    #[arg(long, conflicts_with = "json")]
    pub print_grid: bool,
}

#[derive(Debug, clap::Args)]
pub struct Status {
    /// Only runs that match, such as 'study=optimizers and outcome=failed'; see docs/filter.md
    #[arg(long, value_name = "EXPR")]
    pub filter: Option<Filter>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Show progress, and the runs in training with their loss, until q or Ctrl-C; without a terminal, print the counts again and again
    #[arg(long, conflicts_with = "json")]
    pub watch: bool,

    /// How often --watch looks, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = interval, requires = "watch")]
    pub interval: f64,
}

#[derive(Debug, clap::Args)]
pub struct Show {
    /// Ids of runs, or enough of their beginnings; the curves of several are drawn into one picture
    #[arg(value_name = "RUN", required_unless_present = "filter")]
    pub runs: Vec<String>,

    /// Runs that match, such as 'study=momentum seed=0'; see docs/filter.md
    #[arg(long, value_name = "EXPR", conflicts_with = "runs")]
    pub filter: Option<Filter>,

    /// Columns of the curves [default: those of the terminal, else 80]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(40..=500))]
    pub width: Option<u16>,

    /// Print JSON, with every step
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

    /// Keep a copy of the database and its checkpoints here, on a disk that other machines see, and go on from it at the start
    #[arg(long, value_name = "FILE")]
    pub publish: Option<PathBuf>,

    /// How often, in seconds; 0: only at the end, and when it is stopped by a signal
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0, value_parser = seconds, requires = "publish")]
    pub publish_every: f64,

    /// Where reports go
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub out: PathBuf,

    /// Write no reports at the end
    #[arg(long)]
    pub no_report: bool,

    /// Print a line of JSON on stdout for every run that ends
    #[arg(long)]
    pub json: bool,
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

    /// Print JSON: the studies with their best arms, or what is stale, or what was traced
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct Query {
    /// One SELECT statement; - reads it from standard input
    #[arg(allow_hyphen_values = true)]
    pub sql: String,

    /// How to print the answer
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: Format,

    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,

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

    /// Print JSON: what was written
    #[arg(long)]
    pub json: bool,
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
    /// Where to listen: an address, a port or both, such as 127.0.0.1:8080 [default port: 7878, or the next that is free]; addresses other
    /// than this machine's own need a token
    #[arg(long, visible_alias = "port", value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub listen: Listen,

    /// A name that the server is reached by, besides its address and localhost
    #[arg(long, value_name = "NAME")]
    pub host_name: Vec<String>,

    /// Read the token from this file [default: a new one, printed with the address, where one is needed]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
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

    /// The metric that decides between arms [default: validation accuracy, validation loss or what there is, in this order]
    #[arg(long, value_name = "METRIC", value_parser = metric)]
    pub metric: Option<Metric>,

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

    /// Print JSON: what came of it
    #[arg(long)]
    pub json: bool,
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

    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
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
