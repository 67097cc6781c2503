//! Files that appear whole or not at all: made under a temporary name in the same folder, and then given their own.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::Error;

const END: &str = ".new";

/// A file in the making. Gone when it is dropped; when the process is killed, the next one that makes such a file removes it.
pub struct Temporary {
    path: PathBuf,
    /// Locked: tells it from one whose process was killed.
    held: File,
}

impl Temporary {
    /// An empty file in the folder of another.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn beside(path: &Path) -> Result<Self, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        clear(path);
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = folder(path).join(format!("{}{}-{count}{END}", start(path), std::process::id()));
            match File::options().read(true).write(true).create_new(true).open(&name) {
                Ok(held) => {
                    // Where there are no locks, nothing is taken for left over either.
                    let _ = held.lock();
                    // Until it was locked, another process could take it for left over.
                    if name.exists() {
                        return Ok(Temporary { path: name, held });
                    }
                }
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::file(path, e)),
            }
        }
    }

    /// Where it is until it is published.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// To be written to.
    pub fn file(&self) -> &File {
        &self.held
    }

    /// Gives the file its name, when it is safely on disk. Whether it did: not where there is a file already, unless that is to be
    /// replaced.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn publish(self, path: &Path, replace: bool) -> Result<bool, Error> {
        let failed = |e| Error::file(path, e);
        self.held.sync_all().map_err(failed)?;
        if replace {
            std::fs::rename(&self.path, path).map_err(failed)?;
        } else {
            match std::fs::hard_link(&self.path, path) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(false),
                Err(_) if path.exists() => return Ok(false),
                // Not every file system has links.
                Err(_) => std::fs::rename(&self.path, path).map_err(failed)?,
            }
        }
        // The name, too, must be on disk; where folders can't be synchronized, there is no more to do.
        let _ = File::open(folder(path)).and_then(|folder| folder.sync_all());
        Ok(true)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes what killed processes left in the making of a file.
pub(crate) fn clear(path: &Path) {
    clear_all(folder(path), &start(path));
}

/// Removes what killed processes left in the making of all files in a folder whose temporary names start so.
pub(crate) fn clear_all(folder: &Path, start: &str) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|n| n.starts_with(start) && n.ends_with(END));
        if ours && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn start(path: &Path) -> String {
    format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy())
}

pub(crate) fn folder(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
