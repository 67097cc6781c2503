//! `pipeline data …`

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

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
