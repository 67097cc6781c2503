//! Checkpoint files: what an unfinished run can go on from, in a folder beside the database.
//!
//! A file is one line of JSON, filled up with spaces to 512 bytes, and the state of the training as the engine writes it. It appears
//! under its name only when all of it is on disk, so that there is always either the one before or the new one.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use spec::record::WriteState;

use crate::error::Error;
use crate::store::{Temporary, clear_all};

const HEADER: usize = 512;
const SUFFIX: &str = ".checkpoint";

/// What stands before the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) run: String,
    /// Steps that were taken, and evaluations and places that were recorded, up to here.
    pub(crate) step: u64,
    pub(crate) evals: u64,
    pub(crate) positions: u64,
}

/// The checkpoints of a results file.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn of(database: &Path) -> Self {
        // Two names of one file share its checkpoints.
        let mut name = database.canonicalize().unwrap_or_else(|_| database.to_owned()).into_os_string();
        name.push("-checkpoints");
        Folder(PathBuf::from(name))
    }

    fn file(&self, run: &str) -> PathBuf {
        self.0.join(format!("{run}{SUFFIX}"))
    }

    /// Puts a checkpoint in the place of the one before.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn write(&self, header: &Header, state: &mut WriteState<'_>) -> Result<(), Error> {
        std::fs::create_dir_all(&self.0).map_err(|e| Error::file(&self.0, e))?;
        let path = self.file(&header.run);
        let temporary = Temporary::beside(&path)?;
        put(temporary.file(), header, state).map_err(|e| Error::file(&path, e))?;
        temporary.publish(&path, true).map(|_| ())
    }

    /// A run's checkpoint, if it has one that is whole.
    pub(crate) fn read(&self, run: &str) -> Option<(Header, Vec<u8>)> {
        let file = File::open(self.file(run)).ok()?;
        let length = file.metadata().ok()?.len();
        read(file, length, run)
    }

    /// The step that a run's checkpoint is of, if it has one. Whether it is whole is seen when it is read.
    pub(crate) fn step(&self, run: &str) -> Option<u64> {
        let (header, ..) = read_header(&mut File::open(self.file(run)).ok()?)?;
        (header.run == run).then_some(header.step)
    }

    /// Copies of checkpoints that another folder has not or that are ahead of its own, each with the path that it is to have there.
    ///
    /// # Errors
    /// When the other folder can't be written.
    pub(crate) fn bring_to(&self, other: &Folder) -> Result<Vec<(Temporary, PathBuf)>, Error> {
        let mut copies = vec![];
        for entry in std::fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // What is replaced or removed while it is copied is read to its end all the same.
            let Some((run, mut file)) = name.strip_suffix(SUFFIX).zip(File::open(entry.path()).ok()) else { continue };
            if self.step(run).is_none_or(|step| other.step(run).is_some_and(|there| there >= step)) {
                continue;
            }
            std::fs::create_dir_all(&other.0).map_err(|e| Error::file(&other.0, e))?;
            let path = other.file(run);
            let copy = Temporary::beside(&path)?;
            io::copy(&mut file, &mut copy.file()).map_err(|e| Error::file(&path, e))?;
            copies.push((copy, path));
        }
        Ok(copies)
    }

    /// Removes a run's checkpoint, and the folder when it was the last.
    pub(crate) fn remove(&self, run: &str) {
        if std::fs::remove_file(self.file(run)).is_ok() {
            let _ = std::fs::remove_dir(&self.0);
        }
    }

    /// Removes what a sweep that was cut off has left: checkpoints that `is_unfinished` does not know, and halves of some.
    pub(crate) fn tidy(&self, is_unfinished: &dyn Fn(&str) -> bool) {
        let Ok(files) = std::fs::read_dir(&self.0) else { return };
        for path in files.flatten().map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.strip_suffix(SUFFIX).is_some_and(|run| !is_unfinished(run)) {
                let _ = std::fs::remove_file(&path);
            }
        }
        clear_all(&self.0, ".");
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// The checksum's beginning: it covers what the header says.
fn start(header: &Header) -> Sha256 {
    Sha256::new().chain_update(format!("{} {} {} {}\n", header.run, header.step, header.evals, header.positions))
}

/// Counts and hashes what goes through.
struct Hashing<W> {
    to: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.to.write(bytes)?;
        self.hash.update(&bytes[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn put(mut file: impl Write + Seek, header: &Header, state: &mut WriteState<'_>) -> io::Result<()> {
    file.write_all(&[b' '; HEADER])?;
    let (bytes, checksum) = {
        let mut hashing = Hashing { to: io::BufWriter::with_capacity(1 << 16, &mut file), hash: start(header), bytes: 0 };
        state(&mut hashing)?;
        hashing.flush()?;
        (hashing.bytes, spec::hex(&hashing.hash.finalize()))
    };
    let line = serde_json::json!({
        "format": "pipeline checkpoint 1", "run": header.run, "step": header.step, "evals": header.evals, "positions": header.positions,
        "bytes": bytes, "sha256": checksum,
    })
    .to_string();
    file.seek(SeekFrom::Start(0))?;
    file.write_all(line.as_bytes())?;
    file.seek(SeekFrom::Start(HEADER as u64 - 1))?;
    file.write_all(b"\n")
}

/// The checkpoint of a run in a file of this length, if it is whole.
fn read(mut file: impl Read, length: u64, run: &str) -> Option<(Header, Vec<u8>)> {
    let (header, bytes, checksum) = read_header(&mut file)?;
    // A header that lies may say any number.
    if header.run != run || length.checked_sub(HEADER as u64) != Some(bytes) {
        return None;
    }
    let mut state = Vec::with_capacity(usize::try_from(bytes).ok()?);
    file.take(bytes).read_to_end(&mut state).ok()?;
    let found = start(&header).chain_update(&state).finalize();
    (spec::hex(&found) == checksum).then_some((header, state))
}

/// The header, how many bytes follow, and their checksum.
fn read_header(file: &mut impl Read) -> Option<(Header, u64, String)> {
    let mut line = [0; HEADER];
    file.read_exact(&mut line).ok()?;
    let json: serde_json::Value = serde_json::from_slice(&line).ok()?;
    if json["format"] != "pipeline checkpoint 1" {
        return None;
    }
    let count = |key: &str| json[key].as_u64();
    let text = |key: &str| json[key].as_str().map(str::to_owned);
    let header = Header { run: text("run")?, step: count("step")?, evals: count("evals")?, positions: count("positions")? };
    Some((header, count("bytes")?, text("sha256")?))
}

/// What fuzzers call.
#[cfg(fuzzing)]
pub mod fuzzing {
    use super::{Header, put, read};

    /// A checkpoint file of a run, with its step and how many evaluations and places were recorded.
    pub fn write_checkpoint(run: &str, [step, evals, positions]: [u64; 3], state: &[u8]) -> Vec<u8> {
        let mut file = std::io::Cursor::new(vec![]);
        let header = Header { run: run.to_owned(), step, evals, positions };
        put(&mut file, &header, &mut |to| to.write_all(state)).map(|()| file.into_inner()).unwrap_or_default()
    }

    /// What [`write_checkpoint`] was given, if the file is whole.
    pub fn read_checkpoint(file: &[u8], run: &str) -> Option<([u64; 3], Vec<u8>)> {
        let (header, state) = read(file, file.len() as u64, run)?;
        Some(([header.step, header.evals, header.positions], state))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Trouble;

    fn header() -> Header {
        Header { run: "56ccd4e6571e54a7".into(), step: 7, evals: 2, positions: 0 }
    }

    fn written(state: &[u8]) -> (tempfile::TempDir, Folder) {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::of(&place.path().join("r.db"));
        folder.write(&header(), &mut |to| to.write_all(state)).unwrap();
        (place, folder)
    }

    #[test]
    fn a_checkpoint_reads_back_and_goes() {
        let (place, folder) = written(b"state");
        let run = header().run;
        assert_eq!(folder.read(&run), Some((header(), b"state".to_vec())));
        assert_eq!((folder.step(&run), folder.step("other")), (Some(7), None));
        let later = Header { step: 9, ..header() };
        folder.write(&later, &mut |to| to.write_all(b"later")).unwrap();
        assert_eq!(folder.read(&run), Some((later, b"later".to_vec())));
        folder.remove(&run);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "nothing stays behind");
    }

    #[test]
    fn one_that_could_not_be_written_leaves_the_one_before() {
        let (place, folder) = written(b"state");
        let broken = folder.write(&Header { step: 9, ..header() }, &mut |to| {
            to.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(matches!(broken, Err(Error::Database { trouble: Trouble::Full, .. })));
        assert_eq!(folder.read(&header().run), Some((header(), b"state".to_vec())));
        assert_eq!(std::fs::read_dir(place.path().join("r.db-checkpoints")).unwrap().count(), 1);
    }

    #[test]
    fn what_is_left_of_other_sweeps_goes_and_what_can_be_used_stays() {
        let (place, folder) = written(b"state");
        let inside = |name: &str| place.path().join("r.db-checkpoints").join(name);
        for name in ["done.checkpoint", ".run.checkpoint.1-0.new", "mine.txt"] {
            std::fs::write(inside(name), "x").unwrap();
        }
        let at_work = Temporary::beside(&folder.file("other")).unwrap();
        folder.tidy(&|run| run == header().run);
        let left = |name: &str| inside(name).exists();
        assert!(!left("done.checkpoint") && !left(".run.checkpoint.1-0.new"));
        assert!(at_work.path().exists() && left("mine.txt") && folder.read(&header().run).is_some());
    }

    /// The largest made a sum overflow, where sums are checked.
    #[test]
    fn a_header_may_say_any_length() {
        let line =
            format!(r#"{{"format":"pipeline checkpoint 1","run":"r","step":1,"evals":0,"positions":0,"bytes":{},"sha256":""}}"#, u64::MAX);
        let file = format!("{line:HEADER$}");
        assert_eq!(read(file.as_bytes(), HEADER as u64, "r"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        /// Whatever happens to a byte, the end or the length, the checkpoint is whole or it is none.
        #[test]
        fn damage_is_noticed(state in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<bool>()) {
            let (_place, folder) = written(&state);
            let path = folder.file(&header().run);
            let mut bytes = std::fs::read(&path).unwrap();
            let at = at.index(bytes.len());
            let before = bytes.clone();
            if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
            std::fs::write(&path, &bytes).unwrap();
            match folder.read(&header().run) {
                None => {}
                // A space that became another kind of white space changes nothing.
                Some(found) => prop_assert!(found == (header(), state) && before[at].is_ascii_whitespace() && !cut),
            }
        }
    }
}
