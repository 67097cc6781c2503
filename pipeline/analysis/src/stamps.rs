//! What the reports on disk were made from, so that studies that have not changed are not read and drawn again.
//! Used when reports are written, never when they are checked. It knows nothing of what reports hold.
//!
//! The stamps lie beside the reports in a file that git ignores. Whatever is wrong with it, or with a report's files, a report is
//! made again: a stamp saves time, and decides nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::UNIX_EPOCH;
use std::{fs, io};

use serde_json::{Value, json};
use tracker::Reader;
use tracker::read::StudyRecord;

use crate::error::Error;

const NAME: &str = ".stamps";

/// Of each study: what its report was made from, and the files that were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    studies: BTreeMap<String, Stamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    digest: String,
    /// Fingerprints by path, relative to the folder of reports.
    files: BTreeMap<String, String>,
    /// What the pages over all studies say of it.
    summary: Value,
}

/// What the report of a study is made from: the study, its runs, and the program.
///
/// # Errors
/// When the database can't be read.
pub fn digest(reader: &Reader, study: &StudyRecord) -> Result<String, Error> {
    Ok(spec::fingerprint(format!("{} {}", program(), reader.digest(study)?).as_bytes()))
}

/// Tells one build of the program from another: versions stay the same while reports are being worked on.
fn program() -> String {
    let file = std::env::current_exe().and_then(fs::metadata);
    let written = file.as_ref().ok().and_then(|file| file.modified().ok()?.duration_since(UNIX_EPOCH).ok());
    format!("{} {:?} {written:?}", env!("CARGO_PKG_VERSION"), file.ok().map(|file| file.len()))
}

impl Stamps {
    /// Those beside the reports of a folder. None, if there are none that can be read.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join(NAME)).unwrap_or_default();
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        let stamp = |value: &Value| {
            let hash = |(name, hash): (&String, &Value)| Some((name.clone(), hash.as_str()?.to_owned()));
            let files = value["files"].as_object()?.iter().map(hash).collect::<Option<_>>()?;
            Some(Stamp { digest: value["digest"].as_str()?.to_owned(), files, summary: value["summary"].clone() })
        };
        let studies = json.as_object().into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), stamp(value)?)));
        Stamps { studies: studies.collect() }
    }

    /// Whether the report of a study was made from the same, and all its files are still as they were written.
    #[must_use]
    pub fn is_fresh(&self, study: &str, digest: &str, folder: &Path) -> bool {
        let Some(stamp) = self.studies.get(study) else { return false };
        let as_written =
            |(name, hash): (&String, &String)| fs::read(folder.join(name)).is_ok_and(|bytes| spec::fingerprint(&bytes) == *hash);
        stamp.digest == digest && !stamp.files.is_empty() && stamp.files.iter().all(as_written)
    }

    /// What was noted for the pages over all studies.
    #[must_use]
    pub fn summary(&self, study: &str) -> Option<&Value> {
        self.studies.get(study).map(|stamp| &stamp.summary)
    }

    /// Notes that the report of a study was made; of the files, those in the study's folder are its own.
    pub fn record(&mut self, study: &str, digest: &str, files: &BTreeMap<String, Vec<u8>>, summary: Value) {
        let own = files.iter().filter(|(name, _)| name.split_once('/').is_some_and(|(folder, _)| folder == study));
        let files = own.map(|(name, bytes)| (name.clone(), spec::fingerprint(bytes))).collect();
        self.studies.insert(study.to_owned(), Stamp { digest: digest.to_owned(), files, summary });
    }

    /// Writes them beside the reports; studies other than these are forgotten.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write(&self, folder: &Path, studies: &[StudyRecord]) -> Result<(), Error> {
        let known = self.studies.iter().filter(|(name, _)| studies.iter().any(|study| study.name == **name));
        let entry = |(name, stamp): (&String, &Stamp)| {
            (name.clone(), json!({ "digest": stamp.digest, "files": stamp.files, "summary": stamp.summary }))
        };
        let text = Value::Object(known.map(entry).collect()).to_string();
        let (path, partial) = (folder.join(NAME), folder.join(format!("{NAME}.partial")));
        let write = || -> io::Result<()> {
            fs::create_dir_all(folder)?;
            fs::write(&partial, text)?;
            fs::rename(&partial, &path)
        };
        write().map_err(|source| Error::File { doing: "writing", path: path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use spec::record::Outcome;
    use spec::{Arm, Config, Metric, Study};
    use tracker::{Ended, Environment, Tracker};

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("analysis-stamps-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("lr")).unwrap();
        folder
    }

    fn study(name: &str) -> Study {
        Study {
            name: name.into(),
            question: "Why?".into(),
            hypothesis: None,
            metric: Metric::ALL[0],
            targets: vec![],
            analysis: spec::analysis::Settings::default(),
            axes: vec![],
            arms: vec![Arm { label: "base".into(), axes: vec![], config: Config::default(), graph: None }],
            seeds: vec![0, 1],
            source: String::new(),
        }
    }

    #[test]
    fn a_report_is_fresh_until_its_data_or_its_files_change() {
        let folder = folder("fresh");
        let files: BTreeMap<String, Vec<u8>> = [("lr/report.md", "a"), ("lr/arms.csv", "b"), ("README.md", "c"), ("other/report.md", "d")]
            .map(|(name, text)| (name.into(), text.into()))
            .into();
        let record = crate::fixture::study("lr", &[]).study.clone();
        let put = || ["lr/report.md", "lr/arms.csv"].map(|name| fs::write(folder.join(name), &files[name]).unwrap());
        put();
        let mut stamps = Stamps::read(&folder);
        assert!(!stamps.is_fresh("lr", "1", &folder));
        stamps.record("lr", "1", &files, json!({ "name": "lr" }));
        stamps.record("gone", "1", &files, Value::Null);
        stamps.write(&folder, std::slice::from_ref(&record)).unwrap();
        let stamps = Stamps::read(&folder);
        assert_eq!(stamps.studies.keys().collect::<Vec<_>>(), ["lr"]);
        // The index and other studies' reports are no part of it.
        assert!(stamps.is_fresh("lr", "1", &folder) && !stamps.is_fresh("lr", "2", &folder) && !stamps.is_fresh("gone", "1", &folder));
        fs::write(folder.join("lr/arms.csv"), "edited").unwrap();
        assert!(!stamps.is_fresh("lr", "1", &folder));
        put();
        assert!(stamps.is_fresh("lr", "1", &folder));
        fs::remove_file(folder.join("lr/report.md")).unwrap();
        assert!(!stamps.is_fresh("lr", "1", &folder));
        put();
        for damage in ["", "[1]", "{\"lr\": {\"digest\": \"1\"}}", "{\"lr\": {\"digest\": \"1\", \"files\": {}}}", "\0"] {
            fs::write(folder.join(NAME), damage).unwrap();
            assert!(!Stamps::read(&folder).is_fresh("lr", "1", &folder), "{damage:?}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_digest_changes_with_its_own_study_alone() {
        let folder = folder("digest");
        let path = folder.join("r.db");
        let of = |name: &str| {
            let reader = Reader::open(&path).unwrap();
            let studies = reader.studies().unwrap();
            digest(&reader, studies.iter().find(|study| study.name == name).unwrap()).unwrap()
        };
        let mut other = study("other");
        other.arms[0].config.insert("lr", spec::Value::Float(0.1));
        let studies = [study("lr"), other];
        Tracker::open(&path, &studies, Environment::default()).unwrap().close().unwrap();
        let planned = (of("lr"), of("other"));
        assert_eq!(planned, (of("lr"), of("other")));
        // Registered again, as every sweep does: the same.
        let tracker = Tracker::open(&path, &studies, Environment::default()).unwrap();
        let run = studies[0].arms[0].run(0);
        let sink = tracker.start(&run).unwrap();
        sink.end(Ended { outcome: Outcome::Completed, steps: 0, error: None }).unwrap();
        tracker.close().unwrap();
        let trained = (of("lr"), of("other"));
        assert!(trained.0 != planned.0 && trained.1 == planned.1);
        // Trained again with the same end, at another time.
        std::thread::sleep(std::time::Duration::from_millis(5));
        let mut asks = studies.clone();
        asks[1].question = "Really?".into();
        let tracker = Tracker::open(&path, &asks, Environment::default()).unwrap();
        let sink = tracker.start(&run).unwrap();
        sink.end(Ended { outcome: Outcome::Completed, steps: 0, error: None }).unwrap();
        tracker.close().unwrap();
        assert!(of("lr") != trained.0 && of("other") != trained.1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
