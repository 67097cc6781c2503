//! Runs of a database, found by their ids or by a filter.

use std::collections::BTreeSet;

use anyhow::Result;
use spec::{Filter, Value};
use tracker::Reader;
use tracker::read::{RunRecord, StudyRecord};

use crate::error::Expected;

/// What a filter can name beside the keys of configurations.
pub const OF_RECORDS: [&str; 5] = ["study", "arm", "run", "seed", "outcome"];

/// The run whose id begins with `id`, once for each study that it is of, with the study's name; at least one.
pub fn find_run(reader: &Reader, id: &str) -> Result<Vec<(String, RunRecord)>> {
    let mut found: Vec<(String, RunRecord)> = vec![];
    for study in reader.studies()? {
        for run in reader.runs(&study)?.into_iter().filter(|r| r.id.starts_with(id)) {
            found.push((study.name.clone(), run));
        }
    }
    let Some((_, run)) = found.first() else {
        return Err(Expected::Usage(format!(
            "no run of a study in the database has an id that begins with `{id}`; `pipeline plan` lists them"
        ))
        .into());
    };
    if let Some((_, other)) = found.iter().find(|(_, r)| r.id != run.id) {
        return Err(Expected::Usage(format!("`{id}` begins the ids of several runs, such as {} and {}", run.id, other.id)).into());
    }
    Ok(found)
}

/// Every study with those of its runs that match. With a filter, studies of which nothing matches are left out.
///
/// # Errors
/// When the database can't be read, the filter names a key that no run has, or nothing matches.
pub fn matching(reader: &Reader, filter: Option<&Filter>) -> Result<Vec<(StudyRecord, Vec<RunRecord>)>> {
    let mut studies = vec![];
    let mut keys: BTreeSet<String> = OF_RECORDS.map(str::to_owned).into();
    for study in reader.studies()? {
        let mut runs = reader.runs(&study)?;
        if let Some(filter) = filter {
            runs.retain(|run| {
                let config: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&run.config).unwrap_or_default();
                let matches = filter.matches(|key| value(&study, run, &config, key));
                keys.extend(config.into_iter().map(|(key, _)| key));
                matches
            });
        }
        studies.push((study, runs));
    }
    if let Some(filter) = filter {
        check_keys(filter, &keys.iter().map(String::as_str).collect::<Vec<_>>())?;
        studies.retain(|(_, runs)| !runs.is_empty());
        if studies.is_empty() {
            return Err(Expected::NothingSelected("the filter selects no run of the database".into()).into());
        }
    }
    Ok(studies)
}

/// A filter on a key that nothing has is a typo.
pub fn check_keys(filter: &Filter, keys: &[&str]) -> Result<(), Expected> {
    match filter.keys().into_iter().find(|key| !keys.contains(key)) {
        None => Ok(()),
        Some(unknown) => {
            let hint = spec::vocabulary::suggest_key(unknown, keys.iter().copied());
            let hint = hint.map_or(String::new(), |s| format!("; did you mean `{s}`?"));
            Err(Expected::Usage(format!("--filter: no run has a key `{unknown}`{hint}")))
        }
    }
}

fn value(study: &StudyRecord, run: &RunRecord, config: &serde_json::Map<String, serde_json::Value>, key: &str) -> Option<Value> {
    let text = |text: &str| Some(Value::Text(text.to_owned().into()));
    match key {
        "study" => text(&study.name),
        "arm" => text(&run.arm),
        "run" => text(&run.id),
        "seed" => i64::try_from(run.seed).ok().map(Value::Int),
        "outcome" => text(run.state()),
        key => match config.get(key)? {
            serde_json::Value::Bool(on) => Some(Value::Bool(*on)),
            serde_json::Value::Number(n) => n.as_i64().map(Value::Int).or_else(|| n.as_f64().map(Value::Float)),
            serde_json::Value::String(s) => text(s),
            _ => None,
        },
    }
}
