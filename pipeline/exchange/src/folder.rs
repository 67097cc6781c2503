//! Folders that appear whole or not at all: filled under another name beside their place, synced, and renamed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::Format;
use crate::error::Error;

/// Says that an export made a folder, and what is in it.
const MARK: &str = "export.json";

/// A folder in the making; gone when it is dropped before it is published.
pub(crate) struct NewFolder {
    path: PathBuf,
    target: PathBuf,
    replace: bool,
}

impl NewFolder {
    /// # Errors
    /// When there is something in its place that is not to be replaced, or the disk refuses.
    pub(crate) fn for_target(target: &Path, replace: bool) -> Result<Self, Error> {
        let is_empty = |folder: &Path| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
        if target.exists() && !is_empty(target) {
            if !replace {
                return Err(Error::Exists(target.to_owned()));
            }
            if !target.join(MARK).is_file() {
                return Err(Error::NotOurs(target.to_owned()));
            }
        }
        let parent = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(Error::file(parent))?;
        let name = target.file_name().ok_or_else(|| Error::Exists(target.to_owned()))?.to_string_lossy();
        let path = parent.join(format!(".{name}.{}.new", std::process::id()));
        if path.exists() {
            // Of a process that had this number before, and was killed.
            fs::remove_dir_all(&path).map_err(Error::file(&path))?;
        }
        fs::create_dir(&path).map_err(Error::file(&path))?;
        Ok(NewFolder { path, target: target.to_owned(), replace })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the folder its name, when all of it is on disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn publish(self, format: Format, runs: u64, rows: u64) -> Result<(), Error> {
        let mark = serde_json::json!({ "format": format.name(), "runs": runs, "rows": rows, "version": env!("CARGO_PKG_VERSION") });
        let file = self.path.join(MARK);
        fs::write(&file, format!("{mark:#}\n")).map_err(Error::file(&file))?;
        sync(&self.path)?;
        if self.replace && self.target.exists() {
            let old = self.path.with_extension("old");
            fs::rename(&self.target, &old).map_err(Error::file(&self.target))?;
            fs::rename(&self.path, &self.target).map_err(Error::file(&self.target))?;
            fs::remove_dir_all(&old).map_err(Error::file(&old))?;
        } else {
            // An empty folder in its place is replaced, too.
            fs::rename(&self.path, &self.target).map_err(Error::file(&self.target))?;
        }
        Ok(())
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn sync(folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::file(folder))? {
        let path = entry.map_err(Error::file(folder))?.path();
        if path.is_dir() {
            sync(&path)?;
        } else {
            File::open(&path).and_then(|file| file.sync_all()).map_err(Error::file(&path))?;
        }
    }
    // Where folders can't be synchronized, there is no more to do.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on panics")]

    use super::*;

    fn make(target: &Path, replace: bool, text: &str) -> Result<(), Error> {
        let new = NewFolder::for_target(target, replace)?;
        fs::write(new.path().join("a.csv"), text).unwrap();
        new.publish(Format::Csv, 1, 2)
    }

    #[test]
    fn only_what_an_export_made_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("deep/out");
        make(&target, false, "1").unwrap();
        assert!(matches!(make(&target, false, "2"), Err(Error::Exists(_))));
        make(&target, true, "3").unwrap();
        assert_eq!(fs::read_to_string(target.join("a.csv")).unwrap(), "3");
        let foreign = folder.path().join("mine");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("thesis.tex"), "x").unwrap();
        assert!(matches!(make(&foreign, true, "4"), Err(Error::NotOurs(_))));
        drop(NewFolder::for_target(&folder.path().join("never"), false).unwrap());
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "nothing half made is left: {names:?}");
    }
}
