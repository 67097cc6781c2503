//! `pipeline`: parses the command line, calls the command, turns its result into an exit code.

mod args;
mod assets;
mod chart;
mod commands;
mod data;
mod environment;
mod error;
mod export;
mod find_lr;
mod grids;
mod import;
mod output;
mod plan;
mod png;
mod reproduce;
mod runs;
mod serve;
mod show;
mod signals;
mod slurm;
mod status;
mod summary;
mod sweep;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

/// Keeps freed pages instead of returning them to the system after every tensor: halves the time of small networks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    engine::single_threaded_tensors();
    let args = Args::parse();
    output::set_color(args.color);
    match run(&args) {
        Ok(code) => code,
        Err(e) if error::is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            output::complain(&error::message(&e, &args.db));
            error::exit_code(&e)
        }
    }
}

fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Plan(plan) => commands::plan(&args.db, plan),
        Command::Sweep(sweep) => sweep::run(&args.db, args.quiet, sweep),
        Command::Status(of) => status::status(&args.db, of),
        Command::Report(report) => commands::report(&args.db, args.quiet, report),
        Command::Query(query) => commands::query(&args.db, query),
        Command::Export(export) => export::export(&args.db, args.quiet, export),
        Command::Import(import) => import::import(&args.db, args.quiet, import),
        Command::Merge { sources, json } => commands::merge(&args.db, args.quiet, sources, *json),
        Command::Serve(serve) => serve::serve(&args.db, serve),
        Command::Slurm(of) => slurm::submit(&args.db, args.quiet, of),
        Command::Show(of) => show::show(&args.db, of),
        Command::Reproduce(of) => reproduce::reproduce(&args.db, args.quiet, of),
        Command::Data(data) => data::data(args.quiet, data),
        Command::Summary(of) => summary::summary(of),
        Command::FindLr(find) => find_lr::find_lr(args.quiet, find),
        Command::Schema { format } => commands::schema(*format),
        Command::Completions { shell } => assets::completions(*shell),
        Command::Assets { out } => assets::assets(args.quiet, out),
    }
}
