//! Folders that appear whole or not at all: filled under another name beside their place, synced, and renamed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Format;
use crate::error::Error;

/// Says that an export made a folder, and what is in it.
const MARK: &str = "export.json";
/// Locked as long as a folder is in the making: tells it from one whose process was killed.
const LOCK: &str = ".lock";

/// A folder in the making; gone when it is dropped before it is published.
pub(crate) struct NewFolder {
    path: PathBuf,
    target: PathBuf,
    _lock: File,
}

impl NewFolder {
    /// # Errors
    /// When there is something in its place that is not to be replaced, or the disk refuses.
    pub(crate) fn for_target(target: &Path, replace: bool) -> Result<Self, Error> {
        let Some(name) = target.file_name() else { return Err(Error::Nameless(target.to_owned())) };
        let parent = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(Error::file(parent))?;
        let start = format!(".{}.", name.to_string_lossy());
        clear(parent, &start, target);
        check(target, replace)?;
        let path = parent.join(format!("{start}{}.new", std::process::id()));
        fs::create_dir(&path).map_err(Error::file(&path))?;
        let lock = File::create_new(path.join(LOCK)).map_err(Error::file(&path))?;
        // Where there are no locks, nothing is taken for left over either.
        let _ = lock.lock();
        Ok(NewFolder { path, target: target.to_owned(), _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the folder its name, when all of it is on disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn publish(self, format: Format, runs: u64, rows: u64) -> Result<(), Error> {
        let lock = self.path.join(LOCK);
        fs::remove_file(&lock).map_err(Error::file(&lock))?;
        let (version, files) = (env!("CARGO_PKG_VERSION"), files(&self.path)?);
        let mark = serde_json::json!({ "format": format.name(), "runs": runs, "rows": rows, "version": version, "files": files });
        let file = self.path.join(MARK);
        fs::write(&file, format!("{mark:#}\n")).map_err(Error::file(&file))?;
        sync(&self.path)?;
        let failed = || Error::file(&self.target);
        let old = self.path.with_extension("old");
        let is_there = self.target.exists();
        if is_there {
            fs::rename(&self.target, &old).map_err(failed())?;
        }
        if let Err(e) = fs::rename(&self.path, &self.target) {
            if is_there {
                let _ = fs::rename(&old, &self.target);
            }
            return Err(failed()(e));
        }
        if is_there {
            fs::remove_dir_all(&old).map_err(Error::file(&old))?;
        }
        // The name, too, must be on disk; where folders can't be synchronized, there is no more to do.
        let _ = self.path.parent().map(File::open).map(|folder| folder.and_then(|folder| folder.sync_all()));
        Ok(())
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Whether a folder may be put there: nothing is, or what is was all made by an export and is to be replaced.
fn check(target: &Path, replace: bool) -> Result<(), Error> {
    if !target.exists() || fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_none()) {
        return Ok(());
    }
    if !replace {
        return Err(Error::Exists(target.to_owned()));
    }
    let mark = fs::read_to_string(target.join(MARK)).map_err(|_| Error::NotOurs(target.to_owned()))?;
    let mark: Value = serde_json::from_str(&mark).map_err(|_| Error::NotOurs(target.to_owned()))?;
    let ours: BTreeSet<&str> = mark["files"].as_array().into_iter().flatten().filter_map(Value::as_str).chain([MARK]).collect();
    match files(target)?.into_iter().find(|file| !ours.contains(file.as_str())) {
        Some(other) => Err(Error::Added(target.join(other))),
        None => Ok(()),
    }
}

/// The files in a folder and in those within it, by their paths from there.
fn files(folder: &Path) -> Result<Vec<String>, Error> {
    fn collect(folder: &Path, start: &str, found: &mut Vec<String>) -> Result<(), Error> {
        for entry in fs::read_dir(folder).map_err(Error::file(folder))? {
            let entry = entry.map_err(Error::file(folder))?;
            let name = format!("{start}{}", entry.file_name().to_string_lossy());
            if entry.file_type().map_err(Error::file(folder))?.is_dir() {
                collect(&entry.path(), &format!("{name}/"), found)?;
            } else {
                found.push(name);
            }
        }
        Ok(())
    }
    let mut found = vec![];
    collect(folder, "", &mut found)?;
    found.sort();
    Ok(found)
}

/// Removes what killed exports left, and brings back what one of them had moved away.
fn clear(parent: &Path, start: &str, target: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(start)) else { continue };
        let is_free = || File::open(path.join(LOCK)).map_or(true, |lock| lock.try_lock().is_ok());
        match rest.split_once('.') {
            Some((pid, "old")) if pid.parse::<u32>().is_ok() && !target.exists() => drop(fs::rename(&path, target)),
            Some((pid, "new" | "old")) if pid.parse::<u32>().is_ok() && is_free() => drop(fs::remove_dir_all(&path)),
            _ => {}
        }
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
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on panics")]

    use super::*;

    fn make(target: &Path, replace: bool, text: &str) -> Result<(), Error> {
        let new = NewFolder::for_target(target, replace)?;
        fs::create_dir(new.path().join("deep")).unwrap();
        fs::write(new.path().join("deep/a.csv"), text).unwrap();
        new.publish(Format::Csv, 1, 2)
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn only_what_an_export_made_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out");
        make(&target, false, "1").unwrap();
        assert!(matches!(make(&target, false, "2"), Err(Error::Exists(_))));
        make(&target, true, "3").unwrap();
        assert_eq!(fs::read_to_string(target.join("deep/a.csv")).unwrap(), "3");
        // Somebody's own file among ours.
        fs::write(target.join("deep/notes.md"), "x").unwrap();
        assert!(matches!(make(&target, true, "4"), Err(Error::Added(path)) if path.ends_with("out/deep/notes.md")));
        let foreign = folder.path().join("mine");
        fs::create_dir(&foreign).unwrap();
        make(&foreign, false, "in an empty folder").unwrap();
        fs::remove_file(foreign.join(MARK)).unwrap();
        assert!(matches!(make(&foreign, true, "5"), Err(Error::NotOurs(_))));
        drop(NewFolder::for_target(&folder.path().join("never"), false).unwrap());
        assert_eq!(names(folder.path()), ["mine", "out"], "nothing half made is left");
    }

    #[test]
    fn what_a_killed_export_left_is_put_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out");
        make(&target, false, "1").unwrap();
        // Killed between the two renamings.
        fs::rename(&target, folder.path().join(".out.1.old")).unwrap();
        fs::create_dir(folder.path().join(".out.1.new")).unwrap();
        fs::write(folder.path().join(".out.1.new/half"), "").unwrap();
        // Not one of these, and one that is at work.
        fs::create_dir(folder.path().join(".out.mine.old")).unwrap();
        let at_work = NewFolder::for_target(&folder.path().join("out"), true).unwrap();
        assert_eq!(fs::read_to_string(target.join("deep/a.csv")).unwrap(), "1");
        assert!(matches!(make(&target, false, "2"), Err(Error::Exists(_))));
        assert!(at_work.path().is_dir());
        drop(at_work);
        assert_eq!(names(folder.path()), [".out.mine.old", "out"]);
    }
}
