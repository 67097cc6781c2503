//! A user's SQL: it answers or says why not, and changes nothing.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
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

fn names(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

fuzz_target!(|sql: &str| {
    // Limits of the whole process, which would outlast this statement.
    if sql.to_ascii_lowercase().contains("heap") {
        return;
    }
    let (path, before) = &*FILE;
    let reader = Reader::open(path).expect("a reader");
    if let Ok(answer) = reader.query(sql) {
        assert!(answer.rows.iter().all(|row| row.len() == answer.columns.len()));
    }
    drop(reader);
    assert_eq!(&std::fs::read(path).expect("its bytes"), before, "a query wrote");
    assert_eq!(names(FOLDER.path()), 1, "a query made a file");
});
