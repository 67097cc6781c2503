//! What the tests of files share: a sweep to write, folders to look into, and file systems that are full or read-only.

#![allow(dead_code, reason = "each test uses some")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use spec::record::{Sink, Step};
use spec::{Arm, Config, Metric, RunSpec, Study, Value};

pub const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files");

/// A study of one arm and four seeds.
pub fn study() -> Study {
    let mut config = Config::default();
    config.insert("lr", Value::Float(0.1));
    Study {
        name: "s".into(),
        question: "why?".into(),
        hypothesis: None,
        metric: Metric::ALL[3],
        analysis: spec::analysis::Settings::default(),
        targets: vec![],
        axes: vec![],
        arms: vec![Arm { label: "only".into(), axes: vec![], config, graph: None }],
        seeds: vec![0, 1, 2, 3],
        source: "[study]".into(),
    }
}

pub fn runs(study: &Study) -> Vec<RunSpec> {
    study.runs().map(|(_, run)| run).collect()
}

/// Logs steps, each as long ago as makes the sink hand it over at once.
pub fn log(sink: &mut dyn Sink, steps: std::ops::RangeInclusive<u64>) -> Result<(), spec::record::SinkError> {
    for n in steps {
        let (lr, loss, grad_norm, elapsed_ms) = (0.1, 1.0 / n as f64, 1.0, n as f64 * 1000.0);
        sink.step(&Step { step: n, epoch: 1, examples: n * 8, loss, accuracy: Some(0.5), lr, grad_norm, elapsed_ms })?;
    }
    Ok(())
}

/// What is in a folder: names and bytes.
pub fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    entries.map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&p).unwrap_or_default())).collect()
}

/// A small file system in memory, gone when it is dropped.
pub struct Disk {
    pub path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Disk {
    /// `None`, with a loud line, where mounting is not permitted.
    pub fn of_kib(size: u32) -> Option<Disk> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        std::fs::create_dir(&path).unwrap();
        if mount(&["-t", "tmpfs", "-o", &format!("size={size}k"), "tmpfs"], &path) {
            return Some(Disk { path, _folder: folder });
        }
        #[expect(clippy::print_stderr, reason = "a test that was skipped must not look like one that passed")]
        {
            eprintln!("SKIPPED: can't mount a file system here; run as root to test full and read-only disks");
        }
        None
    }

    pub fn make_read_only(&self) {
        assert!(mount(&["-o", "remount,ro"], &self.path));
    }

    /// Leaves no room.
    pub fn fill(&self) {
        use std::io::Write;
        let mut file = std::fs::File::create(self.path.join("filler")).unwrap();
        for size in [4096, 64] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

fn mount(options: &[&str], at: &Path) -> bool {
    Command::new("mount").args(options).arg(at).stderr(std::process::Stdio::null()).status().is_ok_and(|status| status.success())
}
