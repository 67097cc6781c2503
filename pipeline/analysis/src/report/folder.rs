//! Reports on disk: written file by file, or compared with what is there.
//! Called by `pipeline report` and its `--check`; it knows nothing of what the files hold.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use super::{Reports, index};
use crate::error::Error;
use crate::{plot, table};

/// How the name of a file ends that is being written.
const PARTIAL: &str = ".partial";

/// Whether a file is what a process that was cut off had begun to write; nobody writes for an hour.
fn is_abandoned(entry: &fs::DirEntry) -> bool {
    let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
    entry.file_name().to_string_lossy().ends_with(PARTIAL) && age().is_some_and(|age| age > Duration::from_hours(1))
}

/// Whether a file of a study's folder is one that a report may write, and so may remove.
fn is_ours(name: &str) -> bool {
    let with = |end: &str, names: &[&str]| name.strip_suffix(end).is_some_and(|stem| names.contains(&stem));
    let tables = table::TABLES.map(|(name, _)| name);
    name == "report.md" || with(".csv", &tables) || with(".tex", &tables) || with(".svg", &plot::NAMES)
}

impl Reports {
    /// Writes every file, each first under another name and then renamed, so that a reader never sees half of one; removes
    /// reports, tables and figures that the studies reported on no longer have.
    ///
    /// # Errors
    /// When the folder can't be written, or has a `README.md` that is not an index of reports.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let index = folder.join("README.md");
        if fs::read_to_string(&index).is_ok_and(|text| !text.starts_with(index::HEADER)) {
            return Err(Error::Foreign(index));
        }
        for (name, bytes) in &self.files {
            let path = folder.join(name);
            if fs::read(&path).is_ok_and(|old| old == *bytes) {
                continue;
            }
            let parent = path.parent().unwrap_or(folder);
            fs::create_dir_all(parent).map_err(writing(parent))?;
            // Another process may be writing the same report.
            let mut partial = path.clone().into_os_string();
            partial.push(format!(".{}{PARTIAL}", std::process::id()));
            let partial = PathBuf::from(partial);
            let written =
                fs::write(&partial, bytes).map_err(writing(&partial)).and_then(|()| fs::rename(&partial, &path).map_err(writing(&path)));
            if written.is_err() {
                let _ = fs::remove_file(&partial);
            }
            written?;
        }
        for name in self.leftovers(folder)? {
            let path = folder.join(name);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(at("removing", &path)(e)),
                _ => {}
            }
        }
        Ok(())
    }

    /// What [`Reports::write`] would change: paths that are missing, that differ, or that it would remove; sorted.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn stale(&self, folder: &Path) -> Result<Vec<String>, Error> {
        let mut stale = self.leftovers(folder)?;
        for (name, bytes) in &self.files {
            let path = folder.join(name);
            match fs::read(&path) {
                Ok(old) if old == *bytes => {}
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(reading(&path)(e)),
                _ => stale.push(name.clone()),
            }
        }
        stale.sort();
        Ok(stale)
    }

    /// Files in the folders of the studies reported on that are not among ours any more.
    fn leftovers(&self, folder: &Path) -> Result<Vec<String>, Error> {
        let studies: BTreeSet<&str> = self.files.keys().filter_map(|name| Some(name.split_once('/')?.0)).collect();
        let mut leftovers = vec![];
        for study in studies {
            let path = folder.join(study);
            let entries = match fs::read_dir(&path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                entries => entries.map_err(reading(&path))?,
            };
            for entry in entries {
                let entry = entry.map_err(reading(&path))?;
                let file = entry.file_name().to_string_lossy().into_owned();
                let name = format!("{study}/{file}");
                let is_left = is_ours(&file) || is_abandoned(&entry);
                if is_left && !self.files.contains_key(&name) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
                    leftovers.push(name);
                }
            }
        }
        leftovers.sort();
        Ok(leftovers)
    }
}

fn reading(path: &Path) -> impl FnOnce(io::Error) -> Error {
    at("reading", path)
}

fn writing(path: &Path) -> impl FnOnce(io::Error) -> Error {
    at("writing", path)
}

fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { doing, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_a_report_writes_is_ours() {
        let mut reports = Reports::default();
        reports.add(&crate::fixture::troubled(), true).unwrap();
        let files: Vec<&str> = reports.files.keys().filter_map(|name| Some(name.split_once('/')?.1)).collect();
        assert!(files.len() >= 8, "{files:?}");
        for file in files {
            assert!(is_ours(file), "{file} is not in NAMES");
        }
        assert!(!is_ours("notes.md") && !is_ours("old.svg"));
    }

    #[test]
    fn somebody_elses_readme_is_not_overwritten() {
        let folder = std::env::temp_dir().join(format!("analysis-foreign-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("README.md"), "# My project\n").unwrap();
        let mut reports = Reports::default();
        reports.add_index();
        let error = reports.write(&folder).unwrap_err().to_string();
        assert!(error.contains("will not be overwritten"), "{error}");
        assert_eq!(fs::read_to_string(folder.join("README.md")).unwrap(), "# My project\n");
        fs::remove_dir_all(&folder).unwrap();
    }
}
