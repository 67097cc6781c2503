//! Folders, zip and tar archives as a sequence of named files.
//!
//! An archive is read as a stream with bounds, and its names are only compared and shown: none is ever a path on this machine.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use spec::visible;
use tar::EntryType;
use zip::ZipArchive;

use super::DataError;

/// What an archive or folder may hold; more is an error.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub files: usize,
    /// Of one file, unpacked.
    pub file_bytes: u64,
    /// Of all of them together.
    pub total_bytes: u64,
}

/// A tar archive's headers of one file: names and attributes.
const MAX_HEADERS: u64 = 1 << 20;
/// Bytes of a name, and of as many names as there may be on average: they are kept, and take no room in a compressed file.
const MAX_NAME: usize = 4096;
const MEAN_NAME: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Folder,
    Zip,
    Tar,
    TarGz,
}

/// How a folder and its archives are called, in the order of search.
const SUFFIXES: [(&str, Kind); 5] =
    [("", Kind::Folder), (".zip", Kind::Zip), (".tar", Kind::Tar), (".tar.gz", Kind::TarGz), (".tgz", Kind::TarGz)];

/// A folder or an archive.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    kind: Kind,
    bounds: Bounds,
}

/// What there is under a name. A file is read by calling the function, if it is wanted.
pub(super) enum Item<'a> {
    Folder,
    File(&'a mut dyn FnMut() -> io::Result<Vec<u8>>),
}

type Visit<'a> = dyn FnMut(&str, Item<'_>) -> Result<(), DataError> + 'a;

impl Archive {
    /// The folder or archive of that name in a place, if there is one.
    pub(super) fn find(place: &Path, name: &str, bounds: Bounds) -> Option<Self> {
        SUFFIXES.into_iter().find_map(|(suffix, kind)| {
            let path = place.join(format!("{name}{suffix}"));
            let is_there = if kind == Kind::Folder { path.is_dir() } else { path.is_file() };
            is_there.then_some(Archive { path, kind, bounds })
        })
    }

    /// What messages call it.
    pub(super) fn place(&self) -> String {
        self.path.display().to_string()
    }

    /// An error in the archive as a whole.
    pub(super) fn error(&self, what: impl Into<String>) -> DataError {
        DataError::File { place: self.place(), what: visible(&what.into()).into_owned() }
    }

    /// An error in one of its files.
    pub(super) fn error_in(&self, name: &str, what: impl std::fmt::Display) -> DataError {
        // A name may hold anything, such as commands for a terminal; so may what readers of archives quote from them.
        let shown: String = name.escape_debug().take(300).collect();
        DataError::File { place: format!("{}: {shown}", self.place()), what: visible(&what.to_string()).into_owned() }
    }

    /// SHA-256 of the archive, or of a folder's names and contents.
    pub(super) fn digest(&self) -> Result<String, DataError> {
        let mut hash = Sha256::new();
        if self.kind == Kind::Folder {
            self.walk(&mut |name, item| {
                if let Item::File(read) = item {
                    let content = read().map_err(|e| self.error_in(name, e))?;
                    hash.update((name.len() as u64).to_le_bytes());
                    hash.update(name);
                    hash.update(Sha256::digest(content));
                }
                Ok(())
            })?;
        } else {
            let mut file = self.open()?;
            let mut buffer = vec![0; 1 << 16];
            loop {
                match file.read(&mut buffer).map_err(|e| self.error(format!("can't be read: {e}")))? {
                    0 => break,
                    n => hash.update(&buffer[..n]),
                }
            }
        }
        Ok(spec::hex(&hash.finalize()))
    }

    /// Visits all files and folders: those of a folder in the order of their names, those of an archive as they lie there.
    ///
    /// Names are relative, with `/` between folders. What is hidden (a leading `.`, `__MACOSX`) is passed over.
    ///
    /// # Errors
    /// When the archive is damaged or exceeds its bounds, a name is not a plain relative one, something is neither file nor folder, or `visit` fails.
    pub(super) fn walk(&self, visit: &mut Visit) -> Result<(), DataError> {
        match self.kind {
            Kind::Folder => self.walk_folder(visit),
            Kind::Zip => self.walk_zip(self.open()?, visit),
            Kind::Tar => self.walk_tar(self.open()?, visit),
            Kind::TarGz => self.walk_tar(MultiGzDecoder::new(self.open()?), visit),
        }
    }

    /// As [`Archive::walk`], of an archive in memory whose name ends so.
    #[cfg(fuzzing)]
    pub(super) fn walk_bytes(bytes: &[u8], ending: &str, bounds: Bounds, visit: &mut Visit) -> Result<(), DataError> {
        let kind = SUFFIXES.into_iter().find(|(suffix, _)| *suffix == ending).map_or(Kind::Zip, |(_, kind)| kind);
        let archive = Archive { path: PathBuf::from(format!("fuzz{ending}")), kind, bounds };
        match kind {
            Kind::Folder | Kind::Zip => archive.walk_zip(io::Cursor::new(bytes), visit),
            Kind::Tar => archive.walk_tar(bytes, visit),
            Kind::TarGz => archive.walk_tar(MultiGzDecoder::new(bytes), visit),
        }
    }

    /// An archive without files, for what only asks its name.
    #[cfg(fuzzing)]
    pub(super) fn none() -> Self {
        let bounds = Bounds { files: 0, file_bytes: 0, total_bytes: 0 };
        Archive { path: "fuzz".into(), kind: Kind::Folder, bounds }
    }

    fn open(&self) -> Result<BufReader<File>, DataError> {
        File::open(&self.path).map(BufReader::new).map_err(|e| self.error(format!("can't be read: {e}")))
    }

    fn walk_folder(&self, visit: &mut Visit) -> Result<(), DataError> {
        let total = Cell::new(0);
        for (name, is_folder) in self.list_folder()? {
            if is_folder {
                visit(&name, Item::Folder)?;
                continue;
            }
            let path = self.path.join(&name);
            visit(&name, Item::File(&mut || self.read(File::open(&path)?, &total)))?;
        }
        Ok(())
    }

    /// What is in a folder and the folders in it, sorted by name, with whether it is a folder.
    fn list_folder(&self) -> Result<Vec<(String, bool)>, DataError> {
        let mut found = vec![];
        let mut open = vec![String::new()];
        while let Some(folder) = open.pop() {
            let failed = |e: io::Error| self.error_in(&folder, format!("can't be read: {e}"));
            for entry in fs::read_dir(self.path.join(&folder)).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let name = entry.file_name();
                let shown = name.to_string_lossy();
                let name = name.to_str().ok_or_else(|| self.error_in(&shown, "is not named in UTF-8"))?;
                let name = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
                let Some(name) = tidy(&name).map_err(|what| self.error_in(&name, what))? else { continue };
                let kind = entry.file_type().map_err(failed)?;
                if !kind.is_dir() && !kind.is_file() {
                    return Err(self.error_in(&name, NEITHER));
                }
                if kind.is_dir() {
                    open.push(name.clone());
                }
                found.push((name, kind.is_dir()));
                self.check_count(found.len())?;
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn walk_zip(&self, stream: impl Read + Seek, visit: &mut Visit) -> Result<(), DataError> {
        let mut zip = ZipArchive::new(stream).map_err(|e| self.error(format!("is no whole zip archive: {e}")))?;
        self.check_count(zip.len())?;
        if zip.has_duplicate_names() {
            return Err(self.error("holds several files of the same name"));
        }
        let total = Cell::new(0);
        for i in 0..zip.len() {
            let entry = zip.by_index_data(i).map_err(|e| self.error(e.to_string()))?;
            let (is_folder, is_link) = (entry.is_dir(), entry.is_symlink());
            let name = entry.name().map_err(|e| self.error(format!("file {i} has no readable name: {e}")))?.into_owned();
            let Some(name) = tidy(&name).map_err(|what| self.error_in(&name, what))? else { continue };
            if is_link {
                return Err(self.error_in(&name, NEITHER));
            } else if is_folder {
                visit(&name, Item::Folder)?;
                continue;
            }
            let mut read = || self.read(zip.by_index(i).map_err(io::Error::other)?, &total);
            visit(&name, Item::File(&mut read))?;
        }
        Ok(())
    }

    fn walk_tar(&self, stream: impl Read, visit: &mut Visit) -> Result<(), DataError> {
        let damaged = |e: io::Error| self.error(format!("is truncated or no whole tar archive: {e}"));
        let meter = Rc::new(Meter::default());
        let mut tar = tar::Archive::new(Metered { stream, meter: Rc::clone(&meter) });
        let mut entries = tar.entries().map_err(damaged)?;
        let (mut rest, mut total, mut names) = (0, 0u64, 0);
        for count in 1.. {
            // What is left of the last file is skipped first.
            meter.left.set(MAX_HEADERS + rest);
            let Some(entry) = entries.next() else { break };
            let mut entry = entry.map_err(damaged)?;
            self.check_count(count)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            rest = entry.size();
            // What is not read is unpacked all the same.
            total = total.saturating_add(rest);
            if rest > self.bounds.file_bytes {
                return Err(self.error_in(&name, too_large(self.bounds.file_bytes)));
            }
            if total > self.bounds.total_bytes {
                return Err(self.error_in(&name, too_much(self.bounds.total_bytes)));
            }
            if entry.header().entry_type() == EntryType::XGlobalHeader {
                continue;
            }
            if name.contains(char::REPLACEMENT_CHARACTER) {
                return Err(self.error_in(&name, "is not named in UTF-8"));
            }
            let Some(name) = tidy(&name).map_err(|what| self.error_in(&name, what))? else { continue };
            names += name.len();
            let most = self.bounds.files.saturating_mul(MEAN_NAME);
            if names > most {
                return Err(self.error(format!("has names of more than {most} bytes in all")));
            }
            match entry.header().entry_type() {
                EntryType::Directory => visit(&name, Item::Folder)?,
                EntryType::Regular | EntryType::Continuous => {
                    let mut read = || {
                        meter.left.set(MAX_HEADERS + rest);
                        let bytes = read_bounded(&mut entry, self.bounds.file_bytes)?;
                        let is_whole = bytes.len() as u64 == rest;
                        if is_whole { Ok(bytes) } else { Err(io::Error::other("the archive ends within it")) }
                    };
                    visit(&name, Item::File(&mut read))?;
                }
                _ => return Err(self.error_in(&name, NEITHER)),
            }
        }
        if meter.is_at_end.get() {
            return Err(self.error("has no end mark; it is truncated"));
        }
        // The checksum of a gzip file stands behind all else.
        meter.left.set(MAX_HEADERS);
        io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(damaged)?;
        Ok(())
    }

    /// Reads a file and adds its length to the total.
    fn read(&self, stream: impl Read, total: &Cell<u64>) -> io::Result<Vec<u8>> {
        let bytes = read_bounded(stream, self.bounds.file_bytes)?;
        total.set(total.get().saturating_add(bytes.len() as u64));
        let limit = self.bounds.total_bytes;
        if total.get() > limit { Err(io::Error::other(too_much(limit))) } else { Ok(bytes) }
    }

    fn check_count(&self, count: usize) -> Result<(), DataError> {
        let limit = self.bounds.files;
        if count > limit { Err(self.error(format!("holds more than {limit} files and folders"))) } else { Ok(()) }
    }
}

const NEITHER: &str = "is neither a file nor a folder; links and devices are not followed";

fn too_large(max_bytes: u64) -> String {
    format!("is larger than {} MiB", max_bytes >> 20)
}

fn too_much(max_bytes: u64) -> String {
    format!("is one too many: with the files before it, it makes more than {} MiB", max_bytes >> 20)
}

/// A name without empty parts; `None` for what is hidden.
fn tidy(name: &str) -> Result<Option<String>, &'static str> {
    if name.len() > MAX_NAME {
        return Err("has a name that is too long");
    }
    if name.starts_with('/') {
        return Err("has an absolute name; names in an archive must be relative");
    }
    if name.contains('\\') || name.contains(char::is_control) {
        return Err("has a backslash or a control character in its name; folders are separated by /");
    }
    let parts: Vec<&str> = name.split('/').filter(|p| !matches!(*p, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err("has a name that leads out of the archive");
    }
    let is_hidden = parts.is_empty() || parts.iter().any(|p| p.starts_with('.') || *p == "__MACOSX");
    Ok((!is_hidden).then(|| parts.join("/")))
}

fn read_bounded(stream: impl Read, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![];
    stream.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes { Err(io::Error::other(too_large(max_bytes))) } else { Ok(bytes) }
}

/// How much of a stream may still be read, and whether its end was seen.
#[derive(Default)]
struct Meter {
    left: Cell<u64>,
    is_at_end: Cell<bool>,
}

/// A stream that ends in an error when its meter has run out: the tar reader keeps names in memory, however long they are.
struct Metered<R> {
    stream: R,
    meter: Rc<Meter>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(to)?;
        let left = self.meter.left.get().checked_sub(n as u64);
        self.meter.left.set(left.ok_or_else(|| io::Error::other("a name or what follows the last file is too long"))?);
        self.meter.is_at_end.set(n == 0 && !to.is_empty());
        Ok(n)
    }
}

#[cfg(test)]
mod tests;
