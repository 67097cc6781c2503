//! Archives made here, whole and hostile.

use std::io::{Cursor, Write};

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

const BOUNDS: Bounds = Bounds { files: 10, file_bytes: 1 << 20, total_bytes: 4 << 20 };

/// An archive of that name with these bytes.
fn archive(ending: &str, bytes: &[u8]) -> (tempfile::TempDir, Archive) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(format!("a{ending}")), bytes).unwrap();
    let archive = Archive::find(dir.path(), "a", BOUNDS).unwrap();
    (dir, archive)
}

/// Names with contents; folders have none.
type Contents = Vec<(String, Option<Vec<u8>>)>;

fn contents(archive: &Archive) -> Result<Contents, String> {
    let mut found = vec![];
    let walked = archive.walk(&mut |name, item| {
        let content = match item {
            Item::Folder => None,
            Item::File(read) => Some(read().map_err(|e| archive.error_in(name, e))?),
        };
        found.push((name.to_owned(), content));
        Ok(())
    });
    walked.map(|()| found).map_err(|e| e.to_string())
}

fn error_of(ending: &str, bytes: &[u8]) -> String {
    contents(&archive(ending, bytes).1).unwrap_err()
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    for (name, content) in files {
        if name.ends_with('/') {
            zip.add_directory(*name, SimpleFileOptions::default()).unwrap();
        } else {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}

/// A tar entry with any name, which the tar crate would refuse to write.
fn tar_entry(name: &str, kind: EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn tar(files: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(vec![]);
    for (name, kind, content) in files {
        tar.append(&tar_entry(name, *kind, content.len() as u64), *content).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gz(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

const FILE: EntryType = EntryType::Regular;

#[test]
fn every_kind_gives_the_same_files() {
    let expected = vec![("d".to_owned(), None), ("d/x".to_owned(), Some(b"hello".to_vec())), ("e".to_owned(), Some(vec![]))];
    let zipped = zip(&[("d/", b""), ("d/x", b"hello"), ("e", b""), ("__MACOSX/d/x", b"no"), ("d/.DS_Store", b"no")]);
    let long = "./././././././././././././././././d/x";
    let tarred = tar(&[("./d/", EntryType::Directory, b""), (long, FILE, b"hello"), ("e", FILE, b""), (".git/x", FILE, b"no")]);
    for (ending, bytes) in [(".zip", &zipped), (".tar", &tarred), (".tar.gz", &gz(&tarred)), (".tgz", &gz(&tarred))] {
        assert_eq!(contents(&archive(ending, bytes).1).as_ref(), Ok(&expected), "{ending}");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("a/d/.hidden")).unwrap();
    fs::write(dir.path().join("a/e"), "").unwrap();
    fs::write(dir.path().join("a/d/x"), "hello").unwrap();
    let folder = Archive::find(dir.path(), "a", BOUNDS).unwrap();
    assert_eq!(contents(&folder), Ok(expected));
    let before = folder.digest().unwrap();
    assert_eq!(folder.digest().unwrap(), before);
    fs::write(dir.path().join("a/d/x"), "hellO").unwrap();
    assert_ne!(folder.digest().unwrap(), before);
}

#[test]
fn long_names_are_whole() {
    let name = format!("{}/x", "long".repeat(100));
    let mut builder = tar::Builder::new(vec![]);
    builder.append_data(&mut tar_entry("", FILE, 1), &name, &b"1"[..]).unwrap();
    let (_dir, archive) = archive(".tar", &builder.into_inner().unwrap());
    assert_eq!(contents(&archive), Ok(vec![(name, Some(b"1".to_vec()))]));
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for (name, expected) in [
        ("../x", "../x: has a name that leads out of the archive"),
        ("d/../../x", "has a name that leads out of the archive"),
        ("/etc/passwd", "/etc/passwd: has an absolute name; names in an archive must be relative"),
        ("d\\x", "has a backslash or a control character in its name"),
        ("\x1b[31mx", r"\u{1b}[31mx: has a backslash or a control character"),
    ] {
        for (ending, bytes) in [(".zip", zip(&[(name, b"x")])), (".tar", tar(&[(name, FILE, b"x")]))] {
            let error = error_of(ending, &bytes);
            assert!(error.contains(expected), "{ending}: {error}, not {expected}");
        }
    }
}

#[test]
fn links_and_devices_are_refused() {
    let expected = "a.tar: l: is neither a file nor a folder; links and devices are not followed";
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Block, EntryType::Fifo] {
        let error = error_of(".tar", &tar(&[("l", kind, b"")]));
        assert!(error.ends_with(expected), "{kind:?}: {error}");
    }
    let mut linked = ZipWriter::new(Cursor::new(vec![]));
    linked.add_symlink("l", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    assert!(error_of(".zip", &linked.finish().unwrap().into_inner()).contains("l: is neither a file nor a folder"));
    #[cfg(unix)]
    {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("a/l")).unwrap();
        let error = contents(&Archive::find(dir.path(), "a", BOUNDS).unwrap()).unwrap_err();
        assert!(error.contains("l: is neither a file nor a folder"), "{error}");
    }
}

#[test]
fn bombs_are_stopped() {
    let zeros = vec![0; 2 << 20];
    for (ending, bytes) in [(".zip", zip(&[("x", &zeros)])), (".tar.gz", gz(&tar(&[("x", FILE, &zeros)])))] {
        let error = error_of(ending, &bytes);
        assert!(error.contains("x: is larger than 1 MiB"), "{error}");
    }
    // The size in the headers is a lie; what counts is what is unpacked.
    let mut lying = zip(&[("x", &zeros)]);
    let real = (2u32 << 20).to_le_bytes();
    let places: Vec<usize> = (0..lying.len() - 4).filter(|i| lying[*i..*i + 4] == real).collect();
    assert_eq!(places.len(), 2);
    for i in places {
        lying[i..i + 4].copy_from_slice(&5u32.to_le_bytes());
    }
    assert!(error_of(".zip", &lying).contains("x: "));
    // The tar reader would keep this name in memory.
    let name = vec![b'n'; 4 << 20];
    let error = error_of(".tar.gz", &gz(&tar(&[("././@LongLink", EntryType::GNULongName, &name), ("x", FILE, b"")])));
    assert!(error.contains("a name or what follows the last file is too long"), "{error}");
    // Names that the caller would keep, too.
    let named = |count: usize, len: usize| {
        let mut builder = tar::Builder::new(vec![]);
        for i in 0..count {
            builder.append_data(&mut tar_entry("", FILE, 0), format!("{i}{}", "n/".repeat(len / 2)) + "x", &b""[..]).unwrap();
        }
        error_of(".tgz", &gz(&builder.into_inner().unwrap()))
    };
    let error = named(1, 5000);
    assert!(error.contains("has a name that is too long") && error.len() < 500, "{error}");
    assert!(named(8, 400).contains("has names of more than 2560 bytes in all"));
}

/// The same files in every form.
fn every_form(files: &[(&str, &[u8])]) -> Vec<(&'static str, tempfile::TempDir, Archive)> {
    let tarred = tar(&files.iter().map(|(name, content)| (*name, FILE, *content)).collect::<Vec<_>>());
    let packed = [(".zip", zip(files)), (".tar.gz", gz(&tarred)), (".tar", tarred)];
    let mut forms: Vec<_> = packed.iter().map(|(ending, bytes)| (*ending, archive(ending, bytes))).map(|(e, (d, a))| (e, d, a)).collect();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("a")).unwrap();
    for (name, content) in files {
        fs::write(dir.path().join("a").join(name), content).unwrap();
    }
    let folder = Archive::find(dir.path(), "a", BOUNDS).unwrap();
    forms.push(("", dir, folder));
    forms
}

#[test]
fn files_are_counted() {
    let names: Vec<String> = (10..21).map(|i| format!("f{i}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
    for (ending, _dir, archive) in every_form(&files[..10]) {
        assert_eq!(contents(&archive).unwrap().len(), 10, "{ending}");
    }
    for (ending, _dir, archive) in every_form(&files) {
        assert!(contents(&archive).unwrap_err().ends_with(&format!("a{ending}: holds more than 10 files and folders")), "{ending}");
    }
}

#[test]
fn bytes_are_counted_over_all_files() {
    // Each file is as large as is allowed, and so are four together.
    let zeros = vec![0; 1 << 20];
    let files = ["f1", "f2", "f3", "f4", "f5"].map(|name| (name, &zeros[..]));
    for (ending, _dir, archive) in every_form(&files[..4]) {
        assert_eq!(contents(&archive).unwrap().len(), 4, "{ending}");
    }
    for (ending, _dir, archive) in every_form(&files) {
        let expected = format!("a{ending}: f5: is one too many: with the files before it, it makes more than 4 MiB");
        assert!(contents(&archive).unwrap_err().ends_with(&expected), "{ending}");
        // A file that is passed over is unpacked only in a tar archive.
        let skipped = archive.walk(&mut |_, _| Ok(()));
        assert_eq!(skipped.is_err(), ending.starts_with(".tar"), "{ending}");
    }
}

#[test]
fn damaged_archives_give_one_clear_error() {
    let noise: Vec<u8> = (0..20_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let (zipped, tarred) = (zip(&[("x", &noise)]), tar(&[("x", FILE, &noise), ("y", FILE, b"y")]));
    assert!(error_of(".zip", &zipped[..zipped.len() / 2]).contains("a.zip: is no whole zip archive"));
    assert!(error_of(".zip", b"hello").contains("is no whole zip archive"));
    assert!(error_of(".tar", &tarred[..10_000]).contains("x: the archive ends within it"));
    // Cut between two files, which the tar format alone would not show.
    assert!(error_of(".tar", &tarred[..512 + 20_480]).contains("has no end mark; it is truncated"));
    assert!(error_of(".tar", &[7; 1024]).contains("is truncated or no whole tar archive"));
    assert!(error_of(".tar", b"").contains("has no end mark"));
    let packed = gz(&tarred);
    assert!(error_of(".tar.gz", &packed[..packed.len() / 2]).contains("x: "));
    assert!(error_of(".tar.gz", &packed[..packed.len() - 4]).contains("is truncated or no whole tar archive"));
    assert!(error_of(".tgz", b"hello").contains("is truncated or no whole tar archive"));
    let mut flipped = zip(&[("x", &noise)]);
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    assert!(error_of(".zip", &flipped).contains("x: "));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8), which in 0..3usize) {
        let files = [("d/x", FILE, &b"hello"[..]), ("e", FILE, &b""[..])];
        let (ending, mut bytes) = match which {
            0 => (".zip", zip(&[("d/x", b"hello"), ("e", b"")])),
            1 => (".tar", tar(&files)),
            _ => (".tar.gz", gz(&tar(&files))),
        };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = contents(&archive(ending, &bytes).1);
    }
}

/// The reader of tar archives quotes what it can't read.
#[test]
fn what_a_header_holds_instead_of_numbers_is_written_out() {
    let mut header = tar_entry("a", EntryType::Regular, 0);
    header.as_old_mut().cksum = *b"\x1b[2J\xff\0\0\0";
    let error = error_of(".tar", &[header.as_bytes(), &[0; 1024][..]].concat());
    assert!(error.contains(r"\u{1b}[2J") && !error.contains('\x1b'), "{error:?}");
}
