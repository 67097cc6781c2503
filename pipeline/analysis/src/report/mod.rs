//! Reports: all files of the folder `reports/`, made in memory from a results database.
//! Called by `pipeline report`, which writes them or compares them with what is there. It knows nothing of how tables and
//! figures are made.

mod across;
mod answer;
mod findings;
mod folder;
mod index;
mod limits;
mod page;
mod provenance;
mod setup;
pub mod trace;
mod web;

use std::collections::BTreeMap;

use tracker::Reader;
use tracker::read::StudyRecord;

use across::Race;
pub use trace::Trace;

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
    /// Its section in the write-up.
    section: String,
    /// What the page of all studies shows of it.
    web: serde_json::Value,
    /// How fast each of its optimizers reached each target.
    races: Vec<Race>,
    /// Its place among the studies.
    order: u64,
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
        let data = StudyData::load(reader, study)?;
        reports.add(&data, studies.is_empty() || studies.contains(&study.name))?;
    }
    reports.add_index();
    Ok(reports)
}

/// The sources of a study's tables and figures, or of one of them: `STUDY` or `STUDY/NAME`.
///
/// # Errors
/// When the database can't be read, or has no such study, or a report no such table or figure.
pub fn trace(reader: &Reader, what: &str) -> Result<Vec<Trace>, Error> {
    let (name, of) = what.split_once('/').map_or((what, None), |(study, of)| (study, Some(of)));
    let known = reader.studies()?;
    let Some(study) = known.iter().find(|study| study.name == name) else {
        return Err(Error::UnknownStudy { wanted: vec![name.to_owned()], known: known.into_iter().map(|study| study.name).collect() });
    };
    let data = StudyData::load_without_steps(reader, study)?;
    let mut traces = trace::all(&Analysis::of(&data)?);
    if let Some(of) = of {
        let names: Vec<String> = traces.iter().map(|trace| trace.name.clone()).collect();
        let wanted = format!("{name}/{}", of.trim_end_matches(".csv").trim_end_matches(".svg").trim_end_matches(".tex"));
        traces.retain(|trace| trace.name == wanted);
        if traces.is_empty() {
            return Err(Error::UnknownTable { wanted, known: names });
        }
    }
    Ok(traces)
}

impl Reports {
    /// Adds one study to the pages over all studies, and its own files if they were asked for.
    pub(crate) fn add(&mut self, data: &StudyData, with_files: bool) -> Result<(), Error> {
        check_name(&data.study)?;
        let analysis = Analysis::of(data)?;
        let page::Made { files, section, web } = page::make(&analysis)?;
        if with_files {
            self.files.extend(files.into_iter().map(|(name, bytes)| (format!("{}/{name}", data.study.name), bytes)));
        }
        self.studies.push(StudySummary::of(&analysis, section, web));
        Ok(())
    }

    /// Adds the pages over all studies.
    pub(crate) fn add_index(&mut self) {
        self.studies.sort_by_key(|study| (study.order, study.name.clone()));
        let across = across::section(&self.studies);
        self.files.insert("README.md".into(), index::make(&self.studies, &across).into_bytes());
        let web: Vec<serde_json::Value> = self.studies.iter().map(|study| study.web.clone()).collect();
        self.files.insert("index.html".into(), web::make(&web).into_bytes());
    }
}

impl StudySummary {
    fn of(a: &Analysis<'_>, section: String, web: serde_json::Value) -> Self {
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
            section,
            web,
            races: across::races(a),
            order: study.analysis.order.unwrap_or(u64::MAX),
        }
    }
}

/// A study's name becomes a folder: it must be one, and stay inside.
fn check_name(study: &StudyRecord) -> Result<(), Error> {
    let name = &study.name;
    let bad = name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', ':', '\0']);
    if bad { Err(Error::StudyName(name.clone())) } else { Ok(()) }
}
