//! Archives that `tests/reference/cifar.py` wrote, and batches that are wrong.

use std::fs::{self, File};
use std::path::PathBuf;

use flate2::read::GzDecoder;
use proptest::prelude::*;

use super::*;

const FORMS_FOR_PYTHON: [&str; 8] =
    ["python2", "python3-2", "python3-3", "python3-4", "python3-5", "python3-bytes", "python3-fortran", "python3-fortran5"];

fn fixture(name: &str) -> PathBuf {
    format!("{}/tests/reference/cifar/{name}.tar.gz", env!("CARGO_MANIFEST_DIR")).into()
}

/// Reads a fixture under the name of a published archive.
fn load_as(fixture_name: &str, published: &str) -> Result<Dataset, DataError> {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(fixture(fixture_name), dir.path().join(published)).unwrap();
    load(&Places::new(Some(dir.path()), None, None))
}

/// The formulas of `cifar.py`.
fn check(set: &Dataset) {
    assert_eq!((set.train.labels.as_slice(), set.test.labels.as_slice()), (&[0, 1, 3, 4, 6, 7, 9, 0, 2, 3][..], &[5, 6][..]));
    assert_eq!((set.shape.as_slice(), set.class_names[9].as_str()), (&[32, 32, 3][..], "truck"));
    for (part, batches) in [(&set.train, 0..5), (&set.test, 5..6)] {
        let expected = batches.flat_map(|batch| (0..2).flat_map(move |record| image(batch, record)));
        assert!(part.examples.iter().copied().eq(expected));
    }
}

fn image(batch: usize, record: usize) -> impl Iterator<Item = u8> {
    let place = (0..32 * 32 * 3).map(|i| (i / 96, i / 3 % 32, i % 3));
    place.map(move |(y, x, channel)| ((batch * 40 + record * 20 + channel * 7 + y * 3 + x) % 256).try_into().unwrap())
}

#[test]
fn every_published_form_gives_the_same_images() {
    check(&load_as("binary", "cifar-10-binary.tar.gz").unwrap());
    for form in FORMS_FOR_PYTHON {
        check(&load_as(form, "cifar-10-python.tar.gz").unwrap_or_else(|e| panic!("{form}: {e}")));
    }
}

#[test]
fn unpacked_folders_are_read_too() {
    for (form, folder) in [("binary", "cifar-10-batches-bin"), ("python2", "cifar-10-batches-py")] {
        let dir = tempfile::tempdir().unwrap();
        tar::Archive::new(GzDecoder::new(File::open(fixture(form)).unwrap())).unpack(dir.path()).unwrap();
        check(&load(&Places::new(Some(dir.path()), None, None)).unwrap());
        fs::remove_file(dir.path().join(folder).join(if form == "binary" { "data_batch_4.bin" } else { "data_batch_4" })).unwrap();
        let error = load(&Places::new(Some(dir.path()), None, None)).unwrap_err().to_string();
        assert!(error.contains("has no data_batch_4"), "{error}");
    }
}

#[test]
fn wrong_archives_give_one_clear_error() {
    let error = load_as("python2", "cifar-10-binary.tar.gz").unwrap_err().to_string();
    assert!(error.contains("has no data_batch_1.bin; expected data_batch_1 to test_batch.bin"), "{error}");
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(fixture("binary")).unwrap();
    fs::write(dir.path().join("cifar-10-binary.tar.gz"), &whole[..whole.len() / 2]).unwrap();
    let error = load(&Places::new(Some(dir.path()), None, None)).unwrap_err().to_string();
    assert!(error.contains("cifar-10-binary.tar.gz"), "{error}");
}

#[test]
fn wrong_batches_give_one_clear_error() {
    let error = |bytes: &[u8]| binary_batch(bytes).unwrap_err();
    assert_eq!(error(&[]), "has 0 bytes; expected a whole number of records of 3073 bytes");
    assert_eq!(error(&[0; 3074]), "has 3074 bytes; expected a whole number of records of 3073 bytes");
    let mut records = vec![9; 2 * 3073];
    assert_eq!(binary_batch(&records).unwrap().labels, [9, 9]);
    records[3073] = 10;
    assert_eq!(error(&records), "has the label 10 at record 1; labels go from 0 to 9");
}

/// A batch as Python 2 writes it, from the archive.
fn python2_batch() -> Vec<u8> {
    let archive = Archive::find(fixture("python2").parent().unwrap(), "python2", BOUNDS).unwrap();
    let mut batch = vec![];
    let wanted = "cifar-10-batches-py/test_batch";
    let walked = archive.walk(&mut |name, item| {
        if let (true, Item::File(read)) = (name == wanted, item) {
            batch = read().unwrap();
        }
        Ok(())
    });
    walked.unwrap();
    batch
}

#[test]
fn wrong_python_batches_give_one_clear_error() {
    let good = python2_batch();
    assert_eq!(python_batch(&good).unwrap().labels, [5, 6]);
    let replaced = |old: &[u8], new: &[u8]| {
        let at = good.windows(old.len()).position(|w| w == old).unwrap();
        python_batch(&[&good[..at], new, &good[at + old.len()..]].concat()).unwrap_err()
    };
    let cases: [(&[u8], &[u8], &str); 8] = [
        (b"K\x05K\x06e", b"K\x05K\x0ae", "has the label 10 at record 1; labels go from 0 to 9"),
        (b"K\x05K\x06e", b"K\x05J\xff\xff\xff\xffe", "has the label -1 at record 1"),
        (b"K\x05K\x06e", b"K\x05e", "has 1 labels and `data` of shape [2, 3072]"),
        (b"K\x05K\x06e", b"K\x05Ne", "has no list of integers `labels`"),
        (b"U\x04data", b"U\x04date", "has no numpy array `data`"),
        (b"U\x02u1", b"U\x02f4", "something else than bytes (numpy's uint8)"),
        (b"M\x00\x0c\x86", b"M\x01\x0c\x86", "makes an array of shape [2, 3073] of 6144 bytes"),
        (b"cnumpy\nndarray\n", b"cos\nsystem\n", "asks for os.system; only numpy arrays of bytes are read, and nothing is executed"),
    ];
    for (old, new, expected) in cases {
        let error = replaced(old, new);
        assert!(error.contains(expected), "{error}, not {expected}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_batch_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), repeat in 1..200usize) {
        let _ = binary_batch(&bytes.repeat(repeat));
        let _ = python_batch(&bytes);
        let _ = python_batch(&[&[0x80, 2][..], &bytes].concat());
    }

    #[test]
    fn no_change_makes_a_python_batch_panic(changes in proptest::collection::vec((0..500usize, any::<u8>()), 1..6), cut in 0..6600usize) {
        let mut batch = python2_batch();
        for (at, byte) in changes {
            // The opcodes are at both ends; the image bytes lie between.
            let at = if at < 300 { at } else { batch.len() - (at - 299) };
            batch[at] = byte;
        }
        batch.truncate(cut.max(400));
        let _ = python_batch(&batch);
    }
}
