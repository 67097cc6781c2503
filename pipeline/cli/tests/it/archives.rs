//! Archives from elsewhere as `dataset = "images"`: each that is hostile or damaged gets one clear error, and nothing is left behind.

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::EntryType;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::workspace::Workspace;

const GRID: &str = r#"
[study]
question = "Whose images are these?"

[base]
dataset = "images"
images = "theirs"
model = "mlp"
optimizer = "sgd"
lr = 0.1
batch_size = 2
epochs = 1
"#;

/// The whole stderr of a sweep on an archive with these bytes.
fn error(file: &str, bytes: &[u8]) -> String {
    let w = Workspace::new(GRID);
    std::fs::create_dir(w.path("data")).unwrap();
    std::fs::write(w.path("data").join(file), bytes).unwrap();
    let outcome = w.run(&["sweep"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{}", outcome.stderr);
    // Nothing is unpacked, and nothing kept.
    let left = |folder: &str| std::fs::read_dir(w.path(folder)).map_or(0, Iterator::count);
    assert_eq!((left("."), left("data"), left("cache/pipeline/decoded")), (2 + left("cache").min(1), 1, 0));
    outcome.stderr
}

/// An error where the grid names the dataset.
fn said(what: &str) -> String {
    format!("error: {what}\n --> experiments/tiny.toml:6:1\n  |\n6 | dataset = \"images\"\n  | ^^^^^^^^^^^^^^^^^^\n")
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    for (name, content) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn tar_gz(files: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(vec![], Compression::fast()));
    for (name, kind, content) in files {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        if *kind == EntryType::Symlink {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        tar.append(&header, *content).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

#[test]
fn a_name_that_leads_out_of_a_zip() {
    let packed = zip(&[("cats/1.png", b"x"), ("../dogs/1.png", b"x")]);
    assert_eq!(error("theirs.zip", &packed), said("data/theirs.zip: ../dogs/1.png: has a name that leads out of the archive"));
}

#[test]
fn a_link_in_a_tar() {
    let packed = tar_gz(&[("cats/1.png", EntryType::Regular, b"x"), ("cats/2.png", EntryType::Symlink, b"")]);
    let what = "data/theirs.tar.gz: cats/2.png: is neither a file nor a folder; links and devices are not followed";
    assert_eq!(error("theirs.tar.gz", &packed), said(what));
}

#[test]
fn a_bomb() {
    let zeros = vec![0; (64 << 20) + 1];
    let packed = zip(&[("cats/1.png", &zeros)]);
    assert!(packed.len() < 1 << 17);
    assert_eq!(error("theirs.zip", &packed), said("data/theirs.zip: cats/1.png: is larger than 64 MiB"));
    let packed = tar_gz(&[("cats/1.png", EntryType::Regular, &zeros)]);
    assert_eq!(error("theirs.tgz", &packed), said("data/theirs.tgz: cats/1.png: is larger than 64 MiB"));
}

#[test]
fn a_picture_of_too_many_pixels() {
    // A header that promises 100 000 × 100 000 of them, with its checksum.
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\x01\x86\xa0\0\x01\x86\xa0\x08\x02\0\0\0".to_vec();
    let mut crc = flate2::Crc::new();
    crc.update(&png[12..]);
    png.extend(crc.sum().to_be_bytes());
    png.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e\0\0\0\0IEND\xae\x42\x60\x82");
    let what = "data/theirs.zip: cats/1.png: has 100000×100000 pixels; at most 67108864 are read";
    assert_eq!(error("theirs.zip", &zip(&[("cats/1.png", &png)])), said(what));
}

#[test]
fn a_truncated_archive() {
    let noise: Vec<u8> = (0..20_000u32).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let packed = zip(&[("cats/1.png", &noise)]);
    let what = "data/theirs.zip: is no whole zip archive: invalid Zip archive: Could not find EOCD";
    assert_eq!(error("theirs.zip", &packed[..packed.len() / 2]), said(what));
    let packed = tar_gz(&[("cats/1.png", EntryType::Regular, &noise)]);
    let what = "data/theirs.tar.gz: is truncated or no whole tar archive: incomplete deflate stream";
    assert_eq!(error("theirs.tar.gz", &packed[..packed.len() / 2]), said(what));
}
