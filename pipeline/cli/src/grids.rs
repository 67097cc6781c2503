//! From grid files to studies.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use engine::Catalog;
use spec::{Limits, Study};

use crate::error::Expected;

/// A grid file has no business being larger than this.
const MAX_BYTES: u64 = 1 << 20;

/// Reads the given grid files, or every `experiments/*.toml`.
pub fn load(paths: &[PathBuf], catalog: &Catalog, limits: Limits) -> Result<Vec<Study>> {
    let found;
    let paths = if paths.is_empty() {
        found = in_folder(Path::new("experiments"))?;
        &found[..]
    } else {
        paths
    };
    let mut studies: Vec<Study> = vec![];
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        // Reports are folders, and some disks don't tell A from a.
        if let Some(other) = studies.iter().position(|s| s.name.eq_ignore_ascii_case(&name)) {
            let (a, b) = (paths[other].display(), path.display());
            return Err(Expected::Usage(format!("{a} and {b} would both be the study `{name}`; rename one")).into());
        }
        let text = read(path)?;
        studies.push(Study::parse(&name, &path.display().to_string(), &text, catalog, limits)?);
    }
    Ok(studies)
}

/// A folder that is not there is a typo, not a place without data.
pub fn check_data_dir(data_dir: Option<&PathBuf>) -> Result<()> {
    match data_dir {
        Some(dir) if !dir.is_dir() => Err(Expected::Usage(format!("--data-dir: {} is not a folder", dir.display())).into()),
        _ => Ok(()),
    }
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| {
        Expected::Usage(format!("{}: {e}; run this where your experiments/ folder is, or name grid files", folder.display()))
    })?;
    let mut paths: Vec<PathBuf> = vec![];
    for entry in entries {
        let path = entry.context("reading experiments/")?.path();
        if path.is_file() && path.extension().is_some_and(|e| e == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(Expected::NothingSelected(format!("there is no grid file (*.toml) in {}", folder.display())).into());
    }
    Ok(paths)
}

fn read(path: &Path) -> Result<String> {
    let usage = |what: String| Expected::Usage(format!("{}: {what}", path.display()));
    let size = std::fs::metadata(path).map_err(|e| usage(e.to_string()))?.len();
    if size > MAX_BYTES {
        return Err(usage(format!("a grid file of {size} bytes is too large; the limit is {MAX_BYTES}")).into());
    }
    Ok(std::fs::read_to_string(path).map_err(|e| usage(e.to_string()))?)
}
