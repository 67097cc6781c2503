//! Decoded datasets on disk, as decoding takes long. What is there can be deleted at any time.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use super::Part;

/// Also the version of the file format and of everything that decides what examples a source is decoded to.
const MAGIC: &[u8; 21] = b"pipeline decoded 1\r\n\0";

/// What a source of examples was decoded to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Decoded {
    pub shape: Vec<usize>,
    pub class_names: Vec<String>,
    pub train: Part,
    /// `None` when the source is not divided.
    pub test: Option<Part>,
}

/// The identity of a decoded dataset: all that it is a function of.
pub(super) fn key(parts: &[&str]) -> String {
    let mut hash = Sha256::new_with_prefix(MAGIC);
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    spec::hex(&hash.finalize())
}

/// A folder with a file for each key; none when this machine has no place for it.
pub(super) struct Cache {
    folder: Option<PathBuf>,
}

impl Cache {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Cache { folder }
    }

    /// What is kept under a key. When there is nothing, or it is damaged, it is decoded and kept; that it can't be kept is no
    /// error.
    ///
    /// # Errors
    /// Those of `decode`.
    pub(super) fn get_or<E>(&self, key: &str, decode: impl FnOnce() -> Result<Decoded, E>) -> Result<Decoded, E> {
        let Some(folder) = &self.folder else { return decode() };
        let path = folder.join(format!("{key}.bin"));
        if let Ok(found) = read(&path) {
            return Ok(found);
        }
        let decoded = decode()?;
        let _ = write(folder, &path, &decoded);
        Ok(decoded)
    }
}

/// Writes beside the file and then puts it in place, so that nobody sees half of it.
fn write(folder: &Path, path: &Path, decoded: &Decoded) -> io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    fs::create_dir_all(folder)?;
    let unique = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let temporary = path.with_extension(format!("{unique}.tmp"));
    let written = write_to(&temporary, decoded).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_to(path: &Path, decoded: &Decoded) -> io::Result<()> {
    let header = header(decoded);
    let mut file = BufWriter::new(File::create_new(path)?);
    file.write_all(MAGIC)?;
    file.write_all(&checksum(&header, decoded))?;
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    for part in [Some(&decoded.train), decoded.test.as_ref()].into_iter().flatten() {
        file.write_all(&part.labels)?;
        file.write_all(&part.examples)?;
    }
    // Not forced onto the disk: after a crash the checksum tells.
    file.flush()
}

/// Counts of training and test examples (2^64 − 1: not divided), the shape, the names of the classes.
fn header(decoded: &Decoded) -> Vec<u8> {
    let mut header = vec![];
    let mut number = |n: u64| header.extend(n.to_le_bytes());
    number(decoded.train.labels.len() as u64);
    number(decoded.test.as_ref().map_or(u64::MAX, |t| t.labels.len() as u64));
    number(decoded.shape.len() as u64);
    decoded.shape.iter().for_each(|size| number(*size as u64));
    // A name has no control characters.
    header.extend(decoded.class_names.join("\n").as_bytes());
    header
}

fn checksum(header: &[u8], decoded: &Decoded) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(header);
    for part in [Some(&decoded.train), decoded.test.as_ref()].into_iter().flatten() {
        hash.update(&part.labels);
        hash.update(&part.examples);
    }
    hash.finalize().into()
}

fn damaged() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// Reads what was written, checking all sizes against the file's before memory is allocated, and then the content.
fn read(path: &Path) -> io::Result<Decoded> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut file = BufReader::new(file);
    let (mut magic, mut expected) = ([0; MAGIC.len()], [0; 32]);
    file.read_exact(&mut magic)?;
    file.read_exact(&mut expected)?;
    let header_len = number(&mut file)?;
    if magic != *MAGIC || header_len > size.min(1 << 20) {
        return Err(damaged());
    }
    let mut header = vec![];
    file.by_ref().take(header_len).read_to_end(&mut header)?;
    let mut fields = &header[..];
    let (train, test, dimensions) = (number(&mut fields)?, number(&mut fields)?, number(&mut fields)?);
    let shape: io::Result<Vec<u64>> = (0..dimensions.min(16)).map(|_| number(&mut fields)).collect();
    let shape = shape?;
    let names = str::from_utf8(fields).map_err(|_| damaged())?;
    let test = (test != u64::MAX).then_some(test);
    // A label and the bytes of the example.
    let each = shape.iter().try_fold(1u64, |n, s| n.checked_mul(*s)).and_then(|n| n.checked_add(1));
    let claimed = train.checked_add(test.unwrap_or(0)).zip(each).and_then(|(n, each)| n.checked_mul(each));
    let before = (MAGIC.len() + expected.len() + 8) as u64 + header_len;
    if claimed.and_then(|n| n.checked_add(before)) != Some(size) {
        return Err(damaged());
    }
    let shape: Vec<usize> = shape.iter().map(|s| usize::try_from(*s)).collect::<Result<_, _>>().map_err(|_| damaged())?;
    let len = shape.iter().product();
    let mut part = |n: u64| read_part(&mut file, n, len);
    let (train, test) = (part(train)?, test.map(part).transpose()?);
    let decoded = Decoded { shape, class_names: names.split('\n').map(str::to_owned).collect(), train, test };
    if checksum(&header, &decoded) == expected { Ok(decoded) } else { Err(damaged()) }
}

fn number(from: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn read_part(file: &mut impl Read, n: u64, len: usize) -> io::Result<Part> {
    let n = usize::try_from(n).map_err(|_| damaged())?;
    let mut part = Part { labels: vec![0; n], examples: vec![0; n * len] };
    file.read_exact(&mut part.labels)?;
    file.read_exact(&mut part.examples)?;
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(test: Option<Part>) -> Decoded {
        let train = Part { examples: (0..12).collect(), labels: vec![0, 1] };
        Decoded { shape: vec![1, 2, 3], class_names: vec!["a".into(), "b c".into()], train, test }
    }

    #[test]
    fn what_was_kept_is_read_back_without_decoding() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(Some(dir.path().join("new/folder")));
        for test in [None, Some(Part::default()), Some(Part { examples: vec![9; 6], labels: vec![1] })] {
            let key = key(&[&format!("{test:?}")]);
            let fresh = || Ok::<_, ()>(decoded(test.as_ref().map(|t| Part { examples: t.examples.clone(), labels: t.labels.clone() })));
            assert_eq!(cache.get_or(&key, fresh), fresh());
            assert_eq!(cache.get_or(&key, || Err(())), fresh());
        }
        // No temporary file is left.
        assert_eq!(fs::read_dir(dir.path().join("new/folder")).unwrap().count(), 3);
    }

    #[test]
    fn a_damaged_file_is_decoded_anew_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(Some(dir.path().into()));
        let fresh = || Ok::<_, ()>(decoded(None));
        cache.get_or("k", fresh).unwrap();
        let path = dir.path().join("k.bin");
        let whole = fs::read(&path).unwrap();
        let mut cases: Vec<Vec<u8>> = (0..whole.len()).map(|n| whole[..n].to_vec()).collect();
        for i in 0..whole.len() {
            cases.push(whole.clone());
            cases.last_mut().unwrap()[i] ^= 0x80;
        }
        cases.push([&whole[..], b"x"].concat());
        for case in cases {
            fs::write(&path, &case).unwrap();
            let was_decoded = std::cell::Cell::new(false);
            let found = cache.get_or("k", || {
                was_decoded.set(true);
                fresh()
            });
            assert!(was_decoded.get() && found == fresh());
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn a_folder_that_can_t_be_written_is_no_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for folder in [Some(file.path().join("sub")), None] {
            assert_eq!(Cache::new(folder).get_or("k", || Ok::<_, ()>(decoded(None))), Ok(decoded(None)));
        }
    }

    #[test]
    fn keys_tell_their_parts_apart() {
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_eq!(key(&["a"]).len(), 64);
    }
}
