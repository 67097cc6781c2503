//! IDX files that are right, cut, or lying; the embedded set; the division into splits.

use std::io::{Read, Write};

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use spec::Value;

use super::idx::Source;
use super::*;

/// The embedded set.
pub(crate) fn mini() -> Dataset {
    load(&defaults(&fashion_mnist::mini_choice()), None).unwrap()
}

fn gz(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn images(count: u32, h: u32, w: u32, bytes: usize) -> Vec<u8> {
    let mut out = 0x0803u32.to_be_bytes().to_vec();
    for size in [count, h, w] {
        out.extend(size.to_be_bytes());
    }
    out.extend((0..=250u8).cycle().take(bytes));
    out
}

fn read(file: &[u8]) -> Result<([u32; 3], Vec<u8>), String> {
    Source { place: "f.gz".into(), open: Box::new(|| Ok(Box::new(file) as Box<dyn Read>)) }.read::<3>().map_err(|e| e.to_string())
}

#[test]
fn a_good_file_reads_back() {
    let (sizes, bytes) = read(&gz(&images(2, 3, 4, 24))).unwrap();
    assert_eq!((sizes, bytes.len(), bytes[23]), ([2, 3, 4], 24, 23));
}

#[test]
fn bad_files_give_one_clear_error() {
    let whole = gz(&images(100, 28, 28, 78_400));
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("not gzip", b"hello, this is no gzip file".to_vec(), "is not a gzip file"),
        ("empty", vec![], "ends within its header"),
        ("cut", whole[..whole.len() / 2].to_vec(), "is truncated or damaged after"),
        ("too little", gz(&images(100, 28, 28, 1000)), "holds 1000 bytes, but its header claims 78400"),
        ("too much", gz(&images(1, 2, 2, 5)), "holds more than the 4 bytes"),
        ("huge claim", gz(&images(u32::MAX, u32::MAX, u32::MAX, 10)), "which can't be right"),
        ("labels", gz(&[0, 0, 8, 1, 0, 0, 0, 1, 7]), "magic number is 0x00000801, not 0x00000803"),
    ];
    for (name, file, expected) in cases {
        let error = read(&file).unwrap_err();
        assert!(error.starts_with("f.gz: ") && error.contains(expected), "{name}: {error}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(content in proptest::collection::vec(any::<u8>(), 0..64), wrapped: bool) {
        let _ = read(&if wrapped { gz(&content) } else { content });
    }
}

#[test]
fn the_embedded_set_is_whole_and_balanced() {
    let set = mini();
    assert_eq!((set.train.labels.len(), set.test.labels.len(), set.shape.as_slice()), (10_000, 2_000, &[28, 28, 1][..]));
    for (part, each) in [(&set.train, 1000), (&set.test, 200)] {
        let mut counts = [0; 10];
        part.labels.iter().for_each(|l| counts[usize::from(*l)] += 1);
        assert_eq!(counts, [each; 10]);
    }
    // python: statistics of the unpacked training images, pixels / 255, population deviation
    let of = set.statistics.all;
    assert!((of.mean - MEAN).abs() < 1e-9 && (of.deviation - DEVIATION).abs() < 1e-9, "{of:?}");
    assert_eq!(set.checksum.len(), 64);
}

#[test]
fn the_committed_files_match_their_checksums() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/data/fashion-mnist-mini");
    let sums = std::fs::read_to_string(format!("{folder}/SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), 4);
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        let found: String = spec::hex(&Sha256::digest(std::fs::read(format!("{folder}/{name}")).unwrap()));
        assert_eq!(found, sum, "{name}");
    }
}

fn config(fraction: f64, seed: i64, examples: Option<i64>) -> Config {
    let mut c = Config::default();
    c.insert("validation_fraction", Value::Float(fraction));
    c.insert("split_seed", Value::Int(seed));
    if let Some(n) = examples {
        c.insert("train_examples", Value::Int(n));
    }
    c
}

#[test]
fn splits_are_disjoint_seeded_and_stable() {
    let set = mini();
    let whole = set.divide(&config(0.1, 0, None)).unwrap();
    assert_eq!((whole.train.len(), whole.validation.len()), (9000, 1000));
    let mut all: Vec<u32> = whole.train.iter().chain(&whole.validation).copied().collect();
    all.sort_unstable();
    assert!(all.iter().copied().eq(0..10_000));
    let part = set.divide(&config(0.1, 0, Some(500))).unwrap();
    assert_eq!(part.validation, whole.validation);
    assert_eq!(part.train, whole.train[..500]);
    assert_ne!(set.divide(&config(0.1, 1, None)).unwrap().validation, whole.validation);
    let error = set.divide(&config(0.1, 0, Some(9001))).unwrap_err().to_string();
    assert!(error.contains("leaves 9000 for training"), "{error}");
}

const MEAN: f64 = 0.286_258_006_202;
const DEVIATION: f64 = 0.353_088_273_783;
