//! What a sweep would do: every run with the reason why it runs or is skipped, and how long it will take.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use engine::Catalog;
use engine::data::Dataset;
use spec::record::{Facts, Outcome};
use spec::{Arm, Config, Limits, RunSpec, Study, Value};
use tracker::read::Known;
use tracker::{Reader, Tracker, Wanted};

use crate::args::{Resources, Selection};
use crate::error::Expected;
use crate::grids::{self, Loaded};
use crate::output::bytes;
use crate::runs::check_keys;
use crate::sweep::resources;

/// A selection of runs, checked.
pub struct Planned {
    pub studies: Vec<Study>,
    /// Why other studies are not among them.
    pub skipped: Vec<String>,
    pub items: Vec<Item>,
    /// Cells that are the same run as a cell of a study before.
    pub shared: usize,
    /// What trains; runs are dealt out to them by their slot.
    pub devices: Vec<engine::device::Device>,
    /// What may be used at a time.
    pub limits: resources::Limits,
}

/// One run of a plan. A run that several studies share stands under the first.
pub struct Item {
    pub study: String,
    pub arm: String,
    pub run: RunSpec,
    /// What it learns from, if anything.
    pub dataset: Option<Arc<Dataset>>,
    pub facts: Facts,
    pub action: Action,
    /// Under which conditions it is trained.
    pub wanted: Wanted,
    /// Expected training time, if runs like it are in the database.
    pub estimate_ms: Option<f64>,
}

/// What happens to a run, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Run(String),
    /// Another sweep is at it; it is trained if that one dies.
    Wait(String),
    Skip(String),
    /// It can't be trained here.
    Refuse(String),
}

impl Action {
    /// `run`, `wait`, `skip` or `refuse`.
    pub fn name(&self) -> &'static str {
        match self {
            Action::Run(_) => "run",
            Action::Wait(_) => "wait",
            Action::Skip(_) => "skip",
            Action::Refuse(_) => "refuse",
        }
    }

    pub fn why(&self) -> &str {
        let (Action::Run(why) | Action::Wait(why) | Action::Skip(why) | Action::Refuse(why)) = self;
        why
    }
}

impl Planned {
    /// Reads grids, expands and checks them, and looks up what is already there. Trains nothing and writes nothing.
    pub fn new(db: &Path, selection: &Selection, resources: &Resources) -> Result<Self> {
        grids::check_data_dir(selection.data_dir.as_ref())?;
        let catalog = Catalog::new(selection.data_dir.clone());
        let devices = resources.device.open_all().map_err(|e| Expected::Usage(e.to_string()))?;
        let device = &devices[0];
        let Loaded { studies, skipped } = grids::load(&selection.grids()?, &catalog, Limits { max_runs: selection.max_runs })?;
        check_filter(selection, &studies)?;

        let listed = selection.runs.as_deref().map(listed).transpose()?;
        let mut items = vec![];
        let mut seen = BTreeSet::new();
        let mut shared = 0;
        let mut matching = false;
        let times = StepTimes::read(db);
        for study in &studies {
            // The facts depend on the arm alone, not on the seed.
            let mut facts: BTreeMap<String, (Option<Arc<Dataset>>, Facts)> = BTreeMap::new();
            for (arm, run) in study.runs() {
                let value = |key: &str| match key {
                    "study" => Some(Value::Text(study.name.clone().into())),
                    "arm" => Some(Value::Text(arm.label.clone().into())),
                    "run" => Some(Value::Text(run.id.clone().into())),
                    "seed" => i64::try_from(run.seed).ok().map(Value::Int),
                    key => run.config.get(key).cloned(),
                };
                if !selection.filter.as_ref().is_none_or(|f| f.matches(value)) || listed.as_ref().is_some_and(|ids| !ids.contains(&run.id))
                {
                    continue;
                }
                matching = true;
                if selection.shard.is_some_and(|shard| !shard.holds(&run.id)) {
                    continue;
                }
                if !seen.insert(run.id.clone()) {
                    shared += 1;
                    continue;
                }
                if !facts.contains_key(&arm.label) {
                    let dataset = run.config.get("dataset").map(|_| catalog.dataset(&run.config)).transpose()?;
                    let fitting = check_network(arm, dataset.as_deref())
                        .and_then(|()| engine::facts(&run.config, dataset.as_deref(), device))
                        .map_err(|e| Expected::Usage(format!("study {}, arm {}: {e}", study.name, arm.label)))?;
                    facts.insert(arm.label.clone(), (dataset, fitting));
                }
                let (dataset, facts) = facts[&arm.label].clone();
                let estimate_ms = times.per_step(&run.config, &facts.device).map(|ms| ms * facts.planned_steps as f64);
                let (study, arm) = (study.name.clone(), arm.label.clone());
                items.push(Item {
                    study,
                    arm,
                    run,
                    dataset,
                    facts,
                    action: Action::Skip(String::new()),
                    wanted: Wanted::Unfinished,
                    estimate_ms,
                });
            }
        }
        if !matching {
            let why = if selection.runs.is_some() {
                "no run is in the file of --runs and passes the filter"
            } else {
                "the filter selects no run"
            };
            return Err(Expected::NothingSelected(why.into()).into());
        }
        let cores = resources::cores();
        // A GPU is shared badly: one run at a time unless asked for more.
        let threads = resources.threads.map(usize::from);
        let fitting = if device.is_cpu() { (cores / threads.unwrap_or(1)).max(1) } else { 1 };
        let jobs = devices.len() * resources.jobs.map_or(fitting, usize::from);
        let memory = match resources.max_memory {
            Some(size) => size.0,
            None if device.is_cpu() => resources::available_memory(),
            None => u64::MAX,
        };
        let limits = resources::Limits { jobs, cores, threads, memory };
        let mut planned = Planned { studies, skipped, items, shared, devices, limits };
        planned.look_up(db, selection, None)?;
        Ok(planned)
    }

    /// The plan, if it has any runs: a shard may happen to be empty.
    pub fn with_runs(self, selection: &Selection) -> Result<Self> {
        match selection.shard {
            Some(shard) if self.items.is_empty() => Err(Expected::NothingSelected(format!("no run falls into shard {shard}")).into()),
            _ => Ok(self),
        }
    }

    /// Decides for every run by what the database knows of it.
    ///
    /// A sweep calls it once more when its studies are written down. `since`: when it was started, if it is going on after its process
    /// died; what has ended after that is not asked for again.
    pub fn look_up(&mut self, db: &Path, selection: &Selection, since: Option<&str>) -> Result<()> {
        let ids: Vec<&str> = self.items.iter().map(|i| i.run.id.as_str()).collect();
        let known = Tracker::known(db, &ids).context("looking up earlier runs")?;
        for (item, known) in self.items.iter_mut().zip(known) {
            (item.action, item.wanted) = decide(known.as_ref(), selection, since);
            let (need, limit) = (item.facts.memory_bytes, self.limits.memory);
            if matches!(item.action, Action::Run(_)) && need > limit {
                item.action = Action::Refuse(format!(
                    "needs about {} of memory, and {} are to be had; free some, take a smaller batch or network, or set --max-memory",
                    bytes(need),
                    bytes(limit)
                ));
            }
        }
        Ok(())
    }

    /// The runs that will be trained.
    pub fn to_run(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|i| matches!(i.action, Action::Run(_)))
    }

    /// The runs that another sweep is training.
    pub fn to_wait_for(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|i| matches!(i.action, Action::Wait(_)))
    }

    /// The runs that would be trained if they fitted.
    pub fn refused(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|i| matches!(i.action, Action::Refuse(_)))
    }

    /// Expected wall time of the sweep in seconds; `None` when a run has no history to go by.
    pub fn estimate_s(&self) -> Option<f64> {
        let total: Option<f64> = self.to_run().map(|i| i.estimate_ms).sum();
        let workers = self.limits.jobs.min(self.to_run().count()).max(1);
        // Evaluations come on top of the training time: about a tenth on the embedded data.
        total.map(|ms| 1.1 * ms / 1000.0 / workers as f64)
    }
}

/// Checks an arm's network against its data under the names that its model file has.
pub fn check_network(arm: &Arm, dataset: Option<&Dataset>) -> Result<(), engine::Error> {
    match (&arm.graph, dataset) {
        (Some(graph), Some(dataset)) => engine::check(graph, &dataset.shape, dataset.classes()),
        _ => Ok(()),
    }
}

/// The ids in a file, one a line.
fn listed(path: &Path) -> Result<BTreeSet<String>> {
    let text = std::fs::read_to_string(path).map_err(|e| Expected::Usage(format!("--runs: {}: {e}", path.display())))?;
    let ids = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    match ids().find(|id| id.len() != 16 || !id.bytes().all(|b| b.is_ascii_hexdigit())) {
        None => Ok(ids().map(str::to_owned).collect()),
        Some(wrong) => {
            let wrong: String = wrong.chars().take(40).collect();
            let expected = "expected the id of a run on each line, 16 hexadecimal digits, as `pipeline plan --json` shows them";
            Err(Expected::Usage(format!("--runs: {}: `{wrong}`: {expected}", path.display())).into())
        }
    }
}

/// A filter on a key that no configuration has is a typo.
fn check_filter(selection: &Selection, studies: &[Study]) -> Result<()> {
    let keys: BTreeSet<&str> = studies.iter().flat_map(|s| &s.arms).flat_map(|a| a.config.iter().map(|(k, _)| k)).collect();
    let keys: Vec<&str> = keys.into_iter().chain(["study", "arm", "run", "seed"]).collect();
    Ok(selection.filter.as_ref().map_or(Ok(()), |filter| check_keys(filter, &keys))?)
}

/// Why a run is trained or not, and under which conditions.
fn decide(known: Option<&Known>, selection: &Selection, since: Option<&str>) -> (Action, Wanted) {
    let run = |why: &str| (Action::Run(why.into()), Wanted::Unfinished);
    let Some(k) = known else { return run("new") };
    let day = k.ended_at.as_deref().and_then(|t| t.get(..10)).unwrap_or("earlier");
    let is_of_before = since.is_none_or(|since| k.ended_at.as_deref().is_none_or(|ended| ended < since));
    let again = |why: &str| (Action::Run(why.into()), Wanted::Again { ended_at: k.ended_at.clone() });
    let how = || k.checkpoint.map_or("starts over".into(), |step| format!("goes on after step {step}"));
    match k.outcome {
        _ if k.in_training => (Action::Wait("another sweep is training it".into()), Wanted::Unfinished),
        _ if selection.force && k.started && is_of_before => again("forced"),
        None if k.started => run(&format!("was cut off; {}", how())),
        None => run("new"),
        Some(Outcome::Interrupted) => run(&format!("was interrupted; {}", how())),
        Some(Outcome::Failed) if selection.retry_failed && is_of_before => again("failed; retried"),
        Some(outcome) if outcome.is_result() => (Action::Skip(format!("{} {day}", outcome.name())), Wanted::Unfinished),
        Some(_) => {
            let why = k.error.as_deref().unwrap_or("no message");
            (Action::Skip(format!("failed {day} ({why}); --retry-failed runs it again")), Wanted::Unfinished)
        }
    }
}

/// Times per step of earlier runs, by what they depend on most.
struct StepTimes(BTreeMap<String, Vec<f64>>);

impl StepTimes {
    /// No database, no history: an estimate is never worth an error.
    fn read(db: &Path) -> Self {
        let mut times: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for time in Reader::open(db).and_then(|r| r.step_times()).unwrap_or_default() {
            let config: serde_json::Value = serde_json::from_str(&time.config).unwrap_or_default();
            let part = |key: &str| config[key].as_str().map_or_else(|| config[key].to_string(), str::to_owned);
            for key in keys(&part, &time.device) {
                times.entry(key).or_default().push(time.ms);
            }
        }
        for list in times.values_mut() {
            list.sort_by(f64::total_cmp);
        }
        StepTimes(times)
    }

    /// Median over runs of the same network, batch size and optimizer, or failing that of any optimizer.
    fn per_step(&self, config: &Config, device: &str) -> Option<f64> {
        let part = |key: &str| config.get(key).map_or_else(|| "null".to_owned(), ToString::to_string);
        keys(&part, device).iter().find_map(|key| self.0.get(key)).map(|list| list[list.len() / 2])
    }
}

fn keys(part: &dyn Fn(&str) -> String, device: &str) -> [String; 2] {
    let mut broad = format!("{device}|{}|{}", part("model_definition"), part("batch_size"));
    if part("batch_size") == "full" {
        broad = format!("{broad}|{}", part("train_examples"));
    }
    [format!("{broad}|{}", part("optimizer")), broad]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_reason() {
        let selection = |retry_failed, force| Selection {
            words: vec![],
            name: None,
            filter: None,
            shard: None,
            runs: None,
            retry_failed,
            force,
            max_runs: 1,
            data_dir: None,
            resources: Resources::ELSEWHERE,
        };
        let known = |outcome, started| Known {
            outcome,
            started,
            ended_at: outcome.map(|_: Outcome| "2026-01-02T03:04:05.678Z".into()),
            error: Some("boom".into()),
            in_training: false,
            checkpoint: None,
        };
        let at = |step, known: Known| Some(Known { checkpoint: Some(step), ..known });
        let (plain, retry, force) = (selection(false, false), selection(true, false), selection(false, true));
        let run = |s: &str| (Action::Run(s.into()), Wanted::Unfinished);
        let skip = |s: &str| (Action::Skip(s.into()), Wanted::Unfinished);
        let again = |s: &str| (Action::Run(s.into()), Wanted::Again { ended_at: Some("2026-01-02T03:04:05.678Z".into()) });
        let cases = [
            (None, &plain, run("new")),
            (Some(known(None, false)), &plain, run("new")),
            (Some(known(None, true)), &plain, run("was cut off; starts over")),
            (at(7, known(None, true)), &plain, run("was cut off; goes on after step 7")),
            (Some(known(Some(Outcome::Interrupted), true)), &plain, run("was interrupted; starts over")),
            (at(9, known(Some(Outcome::Interrupted), true)), &plain, run("was interrupted; goes on after step 9")),
            (Some(known(Some(Outcome::Completed), true)), &plain, skip("completed 2026-01-02")),
            (Some(known(Some(Outcome::Diverged), true)), &plain, skip("diverged 2026-01-02")),
            (Some(known(Some(Outcome::Failed), true)), &plain, skip("failed 2026-01-02 (boom); --retry-failed runs it again")),
            (Some(known(Some(Outcome::Failed), true)), &retry, again("failed; retried")),
            (Some(known(Some(Outcome::Completed), true)), &retry, skip("completed 2026-01-02")),
            (Some(known(Some(Outcome::Completed), true)), &force, again("forced")),
        ];
        for (known, selection, expected) in cases {
            assert_eq!(decide(known.as_ref(), selection, None), expected);
        }
        let elsewhere = Known { in_training: true, ..known(None, true) };
        let waits = (Action::Wait("another sweep is training it".into()), Wanted::Unfinished);
        assert_eq!(decide(Some(&elsewhere), &force, None), waits);
        // A sweep that goes on after its process died does not do again what it has done.
        let done = known(Some(Outcome::Completed), true);
        assert_eq!(decide(Some(&done), &force, Some("2026-01-02T03:04:05.000Z")), skip("completed 2026-01-02"));
        assert_eq!(decide(Some(&done), &force, Some("2026-01-02T03:04:06.000Z")), again("forced"));
    }
}
