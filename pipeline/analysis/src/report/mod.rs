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
use std::path::Path;

use tracker::Reader;
use tracker::read::StudyRecord;

use across::Race;
use serde_json::{Value, json};
pub use trace::Trace;

use crate::Analysis;
use crate::error::Error;
use crate::results::State;
use crate::stamps::{self, Stamps};
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
    /// What the page of all studies shows of it, as JSON; kept as text, so that its numbers are never read and written again.
    web: String,
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
    let mut reports = Reports::default();
    for study in &known(reader, studies)? {
        let data = StudyData::load(reader, study)?;
        reports.add(&data, studies.is_empty() || studies.contains(&study.name))?;
    }
    reports.add_index();
    Ok(reports)
}

/// Writes the reports of the named studies (none named: of all) into a folder, and the pages over all studies. A study that is as it
/// was when its report there was written is not read again; [`Reports::files`] has only what was made anew.
///
/// # Errors
/// As [`build`] and [`Reports::write`].
pub fn update(reader: &Reader, studies: &[String], folder: &Path) -> Result<Reports, Error> {
    let known = known(reader, studies)?;
    let (mut stamps, mut reports) = (Stamps::read(folder), Reports::default());
    for study in &known {
        let digest = stamps::digest(reader, study)?;
        let summary = stamps.summary(&study.name).and_then(StudySummary::from_json);
        if let Some(summary) = summary.filter(|_| stamps.is_fresh(&study.name, &digest, folder)) {
            reports.studies.push(summary);
            continue;
        }
        let asked_for = studies.is_empty() || studies.contains(&study.name);
        reports.add(&StudyData::load(reader, study)?, asked_for)?;
        if let Some(summary) = reports.studies.last().filter(|_| asked_for) {
            stamps.record(&study.name, &digest, &reports.files, summary.to_json());
        }
    }
    reports.add_index();
    reports.write(folder)?;
    stamps.write(folder, &known)?;
    Ok(reports)
}

/// The studies of the database, if all that are named are among them.
fn known(reader: &Reader, studies: &[String]) -> Result<Vec<StudyRecord>, Error> {
    let known = reader.studies()?;
    let wanted: Vec<String> = studies.iter().filter(|name| !known.iter().any(|study| study.name == **name)).cloned().collect();
    if wanted.is_empty() {
        Ok(known)
    } else {
        Err(Error::UnknownStudy { wanted, known: known.into_iter().map(|study| study.name).collect() })
    }
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
        let web: Vec<&str> = self.studies.iter().map(|study| study.web.as_str()).collect();
        self.files.insert("index.html".into(), web::make(&web).into_bytes());
    }
}

impl StudySummary {
    /// For the stamps, which keep it for the next time.
    fn to_json(&self) -> Value {
        let best = self.best.as_ref().map(|best| json!([best.arm, best.metric.name(), best.median, best.n]));
        let races: Vec<Value> = self.races.iter().map(Race::to_json).collect();
        json!({
            "name": self.name, "question": self.question, "runs": self.runs_by_outcome, "best": best, "report": self.report_path,
            "section": self.section, "web": self.web, "races": races, "order": self.order
        })
    }

    /// `None` if it is none, or of another version.
    fn from_json(json: &Value) -> Option<Self> {
        let text = |key: &str| json[key].as_str().map(str::to_owned);
        let count = |n: &Value| n.as_u64().and_then(|n| usize::try_from(n).ok());
        let state = |pair: &Value| {
            let name = pair[0].as_str()?;
            Some((State::ALL.into_iter().find(|state| state.name() == name)?.name(), count(&pair[1])?))
        };
        let best = match &json["best"] {
            Value::Null => None,
            best => {
                let metric = best[1].as_str()?.parse().ok()?;
                Some(Best { arm: best[0].as_str()?.to_owned(), metric, median: best[2].as_f64()?, n: count(&best[3])? })
            }
        };
        Some(StudySummary {
            name: text("name")?,
            question: text("question")?,
            runs_by_outcome: json["runs"].as_array()?.iter().map(state).collect::<Option<_>>()?,
            best,
            report_path: text("report")?,
            section: text("section")?,
            web: text("web")?,
            races: json["races"].as_array()?.iter().map(Race::from_json).collect::<Option<_>>()?,
            order: json["order"].as_u64()?,
        })
    }

    fn of(a: &Analysis<'_>, section: String, web: String) -> Self {
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

/// A study's name becomes a folder, and the database may be anybody's: only what a grid file could be called is one.
fn check_name(study: &StudyRecord) -> Result<(), Error> {
    let name = &study.name;
    if spec::grid::is_study_name(name) { Ok(()) } else { Err(Error::StudyName(name.clone())) }
}
