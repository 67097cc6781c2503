//! A user's SQL: it answers or says why not, and changes nothing.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tracker::query::Limits;
use tracker::{Environment, Reader, Tracker};

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir_in("/dev/shm").expect("a folder"));

/// A results file and what is in it.
static FILE: LazyLock<(PathBuf, Vec<u8>)> = LazyLock::new(|| {
    let path = FOLDER.path().join("r.db");
    let tracker = Tracker::open(&path, &[], Environment::default()).expect("a database");
    tracker.close().expect("a database");
    let bytes = std::fs::read(&path).expect("its bytes");
    (path, bytes)
});

thread_local! {
    static READER: Reader = Reader::open(&FILE.0).expect("a reader");
}

/// Shorter than people would wait.
const LIMITS: Limits = Limits { time: Some(Duration::from_millis(100)), answer: 1 << 20 };

fn names(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

fuzz_target!(|sql: &str| {
    let (path, before) = &*FILE;
    if let Ok(answer) = READER.with(|reader| reader.query_within(sql, LIMITS)) {
        assert!(answer.rows.iter().all(|row| row.len() == answer.columns.len()));
    }
    assert_eq!(&std::fs::read(path).expect("its bytes"), before, "a query wrote");
    assert_eq!(names(FOLDER.path()), 1, "a query made a file");
});
