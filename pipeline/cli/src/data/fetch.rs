//! `pipeline data fetch`: downloads the files of a dataset into the folder where it is looked for.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use engine::Catalog;
use engine::data::{OfficialFile, home, official};
use indicatif::{ProgressBar, ProgressStyle};
use spec::Vocabulary;
use spec::grid::Catalog as _;

use super::download::{Client, Done, PATIENCE, Wanted};
use crate::args::DataFetch;
use crate::error::Expected;
use crate::output::{bytes, tell};

pub fn fetch(quiet: bool, args: &DataFetch) -> Result<ExitCode> {
    let catalog = Catalog::new(None);
    let choice = super::named(catalog.vocabulary(), &args.name)?;
    let files = official(choice.name);
    if files.is_empty() {
        return Err(Expected::Usage(nothing_to_fetch(choice, catalog.vocabulary())).into());
    }
    let mirror = args.from.as_deref().map(mirror).transpose()?;
    let folder = args.data_dir.as_ref().map_or_else(|| home(choice.name), |dir| dir.join(choice.name));
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let client = Client::new(mirror.is_none(), PATIENCE);
    let bar = bar(quiet, files.iter().map(|f| f.bytes).sum());
    for (i, file) in files.iter().enumerate() {
        let wanted = wanted(file, mirror);
        bar.set_message(wanted.name.clone());
        let done = client.fetch(&wanted, &folder, &bar);
        let done = done.map_err(|e| {
            bar.finish_and_clear();
            anyhow!("{e}\n{}", by_hand(choice.name, &folder, &files[i..]))
        })?;
        let what = match done {
            Done::Kept => "is there",
            Done::Downloaded => "downloaded",
        };
        if !quiet {
            bar.suspend(|| tell(&format!("{:<28} {:>8}  {what}", wanted.name, bytes(wanted.bytes))));
        }
    }
    bar.finish_and_clear();
    writeln!(std::io::stdout(), "{}", folder.display())?;
    Ok(ExitCode::SUCCESS)
}

/// A bar over the bytes of all files; none without a terminal.
fn bar(quiet: bool, bytes: u64) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "{bar:24.green/dim} {binary_bytes:>10} of {binary_total_bytes}, {binary_bytes_per_sec}  {wide_msg}";
    ProgressBar::new(bytes).with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn wanted(file: &OfficialFile, mirror: Option<&str>) -> Wanted {
    let url = mirror.map_or_else(|| file.url.to_owned(), |base| format!("{base}/{}", file.name));
    Wanted { name: file.name.to_owned(), url, sha256: file.sha256.to_owned(), bytes: file.bytes }
}

/// The address of a mirror, without a slash at its end.
fn mirror(url: &str) -> Result<&str> {
    let lower = url.to_ascii_lowercase();
    let rest = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
    let is_folder =
        |rest: &str| !rest.trim_matches('/').is_empty() && !rest.contains(|c: char| c.is_whitespace() || matches!(c, '?' | '#'));
    if rest.is_some_and(is_folder) {
        Ok(url.trim_end_matches('/'))
    } else {
        Err(Expected::Usage(format!("--from {url}: write the address of the folder that has the files, such as http://mirror.local/mnist"))
            .into())
    }
}

fn nothing_to_fetch(choice: &spec::Choice, vocabulary: &Vocabulary) -> String {
    let names = vocabulary.datasets.iter().map(|d| d.name).filter(|name| !official(name).is_empty());
    let names = names.collect::<Vec<_>>().join(", ");
    format!("`{}` has no files to download ({}); these datasets have: {names}", choice.name, choice.doc)
}

/// What to do when a server doesn't help.
fn by_hand(name: &str, folder: &Path, lacking: &[OfficialFile]) -> String {
    let mut text = format!(
        "  another server: `pipeline data fetch {name} --from URL`\n  or by hand: put these files into {}; the sums are SHA-256",
        folder.display()
    );
    for file in lacking {
        let _ = write!(text, "\n    {}  {}  {}", file.sha256, file.name, file.url);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_addresses_of_folders() {
        assert_eq!(mirror("http://localhost:8000/").unwrap(), "http://localhost:8000");
        assert_eq!(mirror("HTTPS://a.b/c/d").unwrap(), "HTTPS://a.b/c/d");
        for wrong in ["", "ftp://a.b", "mirror.local/mnist", "http://", "https:///", "http://a b", "http://a/?q=", "file:///etc"] {
            let error = mirror(wrong).unwrap_err();
            assert!(matches!(error.downcast_ref(), Some(Expected::Usage(_))), "{wrong}");
        }
    }

    #[test]
    fn a_mirror_has_the_files_under_their_names() {
        let file = official("mnist")[1];
        assert_eq!(wanted(&file, Some("http://m/x")).url, "http://m/x/train-labels-idx1-ubyte.gz");
        assert_eq!(wanted(&file, None).url, file.url);
    }
}
