//! Reports on disk: written file by file, or compared with what is there.
//! Called by `pipeline report` and its `--check`; it knows nothing of what the files hold.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::Reports;
use crate::error::Error;

/// Files of a study's folder with other endings are none of ours.
const OURS: [&str; 3] = ["md", "csv", "svg"];

impl Reports {
    /// Writes every file, each first under another name and then renamed, so that a reader never sees half of one; removes
    /// reports, tables and figures that the studies reported on no longer have.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        for (name, bytes) in &self.files {
            let path = folder.join(name);
            if fs::read(&path).is_ok_and(|old| old == *bytes) {
                continue;
            }
            let parent = path.parent().unwrap_or(folder);
            fs::create_dir_all(parent).map_err(at(parent))?;
            let mut partial = path.clone().into_os_string();
            partial.push(".partial");
            let partial = PathBuf::from(partial);
            fs::write(&partial, bytes).map_err(at(&partial))?;
            fs::rename(&partial, &path).map_err(at(&path))?;
        }
        for name in self.leftovers(folder)? {
            let path = folder.join(name);
            fs::remove_file(&path).map_err(at(&path))?;
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
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(at(&path)(e)),
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
                entries => entries.map_err(at(&path))?,
            };
            for entry in entries {
                let entry = entry.map_err(at(&path))?;
                let name = format!("{study}/{}", entry.file_name().to_string_lossy());
                let ours = Path::new(&name).extension().is_some_and(|end| OURS.iter().any(|our| end == *our));
                if ours && !self.files.contains_key(&name) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
                    leftovers.push(name);
                }
            }
        }
        leftovers.sort();
        Ok(leftovers)
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File { path, source }
}
