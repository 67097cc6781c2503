//! Completion scripts and man pages, made from the definition of the command line, so that they never say anything else.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Args;
use crate::output::tell;

/// The shells that packages bring scripts for, with the names that they look for.
const SCRIPTS: [(Shell, &str); 3] = [(Shell::Bash, "pipeline.bash"), (Shell::Zsh, "_pipeline"), (Shell::Fish, "pipeline.fish")];

fn script(shell: Shell) -> Vec<u8> {
    // Made in memory: the generator panics where it can't write.
    let mut script = vec![];
    clap_complete::generate(shell, &mut Args::command(), "pipeline", &mut script);
    script
}

pub fn completions(shell: Shell) -> Result<ExitCode> {
    std::io::stdout().write_all(&script(shell))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes `completions/` and `man/man1/` into a folder.
pub fn assets(quiet: bool, out: &Path) -> Result<ExitCode> {
    let (scripts, man) = (out.join("completions"), out.join("man/man1"));
    for folder in [&scripts, &man] {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    for (shell, name) in SCRIPTS {
        let path = scripts.join(name);
        std::fs::write(&path, script(shell)).with_context(|| path.display().to_string())?;
    }
    clap_mangen::generate_to(Args::command(), &man).with_context(|| man.display().to_string())?;
    if !quiet {
        tell(&format!("{} and {}", scripts.display(), man.display()));
    }
    Ok(ExitCode::SUCCESS)
}
