//! Reports: all files of the folder `reports/`, made in memory from a results database.
//! Called by `pipeline report`, which writes them or compares them with what is there. It knows nothing of how tables and
//! figures are made.

mod findings;
mod folder;
mod index;
mod page;
mod provenance;
mod setup;

use std::collections::BTreeMap;

use tracker::Reader;
use tracker::read::StudyRecord;

use crate::Analysis;
use crate::error::Error;
use crate::results::State;
use crate::study_data::StudyData;

/// All files that a report run produces.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reports {
    /// Content by path, relative to the folder of reports, with `/`.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Every study of the database, by name, whether its report was asked for or not.
    pub studies: Vec<StudySummary>,
}

/// A study in one line.
#[derive(Clone, Debug, PartialEq)]
pub struct StudySummary {
    pub name: String,
    pub question: String,
    /// Counts under the names of [`State`], in its order; states without runs are left out.
    pub runs_by_outcome: Vec<(&'static str, usize)>,
    /// The best arm by the rule of `verdict`.
    pub best: Option<Best>,
    /// Relative to the folder of reports.
    pub report_path: String,
}

/// The best arm of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct Best {
    /// Its label.
    pub arm: String,
    pub metric: spec::Metric,
    /// Over its seeds.
    pub median: f64,
    /// Seeds.
    pub n: usize,
}

/// Makes the reports of the named studies (none named: of all), and the index over all studies.
///
/// # Errors
/// When the database can't be read, or doesn't have a named study.
pub fn build(reader: &Reader, studies: &[String]) -> Result<Reports, Error> {
    let known = reader.studies()?;
    let wanted: Vec<String> = studies.iter().filter(|name| !known.iter().any(|study| study.name == **name)).cloned().collect();
    if !wanted.is_empty() {
        return Err(Error::UnknownStudy { wanted, known: known.into_iter().map(|study| study.name).collect() });
    }
    let mut reports = Reports::default();
    for study in &known {
        if studies.is_empty() || studies.contains(&study.name) {
            reports.add(&StudyData::load(reader, study)?)?;
        } else {
            let data = StudyData::load_without_steps(reader, study)?;
            reports.studies.push(StudySummary::of(&Analysis::of(&data)?));
        }
    }
    reports.add_index();
    Ok(reports)
}

impl Reports {
    /// Adds the files of one study.
    pub(crate) fn add(&mut self, data: &StudyData) -> Result<(), Error> {
        check_name(&data.study)?;
        let analysis = Analysis::of(data)?;
        let page = page::make(&analysis)?;
        self.files.extend(page.into_iter().map(|(name, bytes)| (format!("{}/{name}", data.study.name), bytes)));
        self.studies.push(StudySummary::of(&analysis));
        Ok(())
    }

    /// Adds the index over the studies.
    pub(crate) fn add_index(&mut self) {
        self.files.insert("README.md".into(), index::make(&self.studies).into_bytes());
    }
}

impl StudySummary {
    fn of(a: &Analysis<'_>) -> Self {
        let study = &a.data.study;
        let counts = State::ALL.map(|state| (state.name(), a.count(state)));
        let best = a.verdict.as_ref().and_then(|verdict| {
            let arm = a.arms.get(verdict.arm)?.label.to_owned();
            Some(Best { arm, metric: study.metric, median: verdict.median, n: verdict.n })
        });
        StudySummary {
            name: study.name.clone(),
            question: study.question.clone(),
            runs_by_outcome: counts.into_iter().filter(|(_, n)| *n > 0).collect(),
            best,
            report_path: format!("{}/report.md", study.name),
        }
    }
}

/// A study's name becomes a folder: it must be one, and stay inside.
fn check_name(study: &StudyRecord) -> Result<(), Error> {
    let name = &study.name;
    let bad = name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', ':', '\0']);
    if bad { Err(Error::StudyName(name.clone())) } else { Ok(()) }
}
