//! Results that survive the machine: a sweep on a disk of its own keeps a copy of its file, with its checkpoints, in a shared folder.
//!
//! The copy only grows. Two copies of one task may be at work at once (a batch system starts a task at least once): what another has
//! published is merged, never overwritten, so nothing goes back. A lock keeps the two apart; where the shared disk knows no locks, the
//! later of two at the same moment may hide what the other has just added, until that one publishes again.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::OpenFlags;

use crate::checkpoint::Folder;
use crate::copy::{same, snapshot};
use crate::error::Error;
use crate::merge::{merge, merge_into_copy};
use crate::store::{self, Temporary, folder};
use crate::write::tidy;

/// A task whose node is going down has little time; without the lock, all that can be lost is a moment's progress.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a sweep's results are published.
pub struct Publication {
    database: PathBuf,
    target: PathBuf,
    /// What the target was when all of it was known here.
    known: Option<Stamp>,
}

/// Tells a file from one that has taken its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let stamp = |m: Metadata| Stamp { inode: m.ino(), bytes: m.len(), modified: (m.mtime(), m.mtime_nsec()) };
        std::fs::metadata(path).ok().map(stamp)
    }
}

impl Publication {
    /// Of a results file, which need not be there yet. What was published earlier is brought into it, with the checkpoints to go on from.
    ///
    /// # Errors
    /// When what was published can't be read, is the results file itself, or has a result that differs from one here.
    pub fn take_up(database: &Path, target: &Path) -> Result<Self, Error> {
        if same(database, target) {
            return Err(Error::Itself(target.to_owned()));
        }
        let publication = Publication { database: database.to_owned(), target: target.to_owned(), known: Stamp::of(target) };
        if publication.known.is_some() {
            let published = publication.published()?;
            // The rows first: a checkpoint without those that lead to it is of no use.
            merge(&[published.path().to_owned()], database).map_err(|e| e.renamed(published.path(), target))?;
            name_all(Folder::of(target).bring_to(&Folder::of(database))?)?;
        }
        Ok(publication)
    }

    /// Publishes what is there now, also while a sweep writes. Where there is nothing yet, nothing is published.
    ///
    /// # Errors
    /// When the target can't be written, or has a result that differs from one here; then it stays as it is.
    pub fn publish(&mut self) -> Result<(), Error> {
        if !self.database.exists() {
            return Ok(());
        }
        let shared = folder(&self.target);
        std::fs::create_dir_all(shared).map_err(|e| Error::file(shared, e))?;
        let _lock = lock(&self.target);
        // Taken before the rows are, so that all that lead to them are among those.
        let checkpoints = Folder::of(&self.database).bring_to(&Folder::of(&self.target))?;
        let now = Stamp::of(&self.target);
        let all = if now.is_none() || now == self.known {
            let all = Temporary::beside(&self.database)?;
            snapshot(&self.database, &all)?;
            all
        } else {
            let all = self.published()?;
            merge_into_copy(&self.database, all.path()).map_err(|e| e.renamed(all.path(), &self.target))?;
            all
        };
        let there = Temporary::beside(&self.target)?;
        transfer(all.path(), &there).map_err(|e| Error::file(&self.target, e))?;
        there.publish(&self.target, true)?;
        self.known = Stamp::of(&self.target);
        name_all(checkpoints)?;
        let connection = store::connect(&self.database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        tidy(&connection, &Folder::of(&self.target))
    }

    /// What is published, beside the results file: SQLite needs locks and shared memory, which shared disks may lack.
    fn published(&self) -> Result<Temporary, Error> {
        store::inspect(&self.target)?;
        let here = folder(&self.database);
        std::fs::create_dir_all(here).map_err(|e| Error::file(here, e))?;
        let local = Temporary::beside(&self.database)?;
        transfer(&self.target, &local).map_err(|e| Error::file(&self.target, e))?;
        Ok(local)
    }
}

/// Copies bytes. A file that another takes the place of in the meantime is read to its end all the same.
fn transfer(from: &Path, to: &Temporary) -> io::Result<()> {
    io::copy(&mut File::open(from)?, &mut to.file()).map(|_| ())
}

/// Gives copies of checkpoints their names.
fn name_all(copies: Vec<(Temporary, PathBuf)>) -> Result<(), Error> {
    copies.into_iter().try_for_each(|(copy, path)| copy.publish(&path, true).map(|_| ()))
}

/// Held while one publishes; `None` where there are no locks, or another holds it for too long.
fn lock(target: &Path) -> Option<File> {
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name()?);
    name.push(".lock");
    let file = File::options().create(true).truncate(false).write(true).open(folder(target).join(name)).ok()?;
    let end = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Some(file),
            Err(std::fs::TryLockError::WouldBlock) if Instant::now() < end => std::thread::sleep(Duration::from_millis(50)),
            Err(_) => return None,
        }
    }
}
