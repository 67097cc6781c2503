//! Optimizers compared over all studies that tried several: how fast each reached each study's targets.
//! Called for the write-up. The way is AlgoPerf's (Dahl et al. 2023): a workload counts by the ratio to the fastest, and one that an
//! optimizer did not get through is infinitely slow, never left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::StudySummary;
use crate::Analysis;
use crate::escape::optimizer;
use crate::number::{count, listed};
use crate::stats::profile::{profiles, speed_up};
use crate::table::escape;
use crate::verdict::best;

/// A study that tried fewer optimizers compares too little.
const LEAST: usize = 3;
/// AlgoPerf's: slower than this many times the fastest earns nothing.
const LIMIT: f64 = 4.0;

/// An optimizer on one workload: a study's target, or a saddle to leave.
#[derive(Clone, Debug, PartialEq)]
pub struct Race {
    workload: String,
    optimizer: String,
    /// Median steps, infinite where most runs did not get there.
    steps: f64,
}

impl Race {
    /// Steps that are infinite are null.
    pub(super) fn to_json(&self) -> Value {
        json!([self.workload, self.optimizer, self.steps])
    }

    pub(super) fn from_json(json: &Value) -> Option<Self> {
        let (workload, optimizer) = (json[0].as_str()?.to_owned(), json[1].as_str()?.to_owned());
        Some(Race { workload, optimizer, steps: json[2].as_f64().unwrap_or(f64::INFINITY) })
    }
}

/// All races of a study; none if it tried too few optimizers.
pub(super) fn races(a: &Analysis<'_>) -> Vec<Race> {
    let config = |arm: usize| -> Option<Value> { serde_json::from_str(&a.arms.get(arm)?.runs.first()?.record.config).ok() };
    let mut races: Vec<Race> = a
        .escapes
        .iter()
        .flat_map(|escape| {
            let workload = format!("{}: {}", a.data.study.name, escape.place());
            escape.ways.iter().map(move |way| Race { workload: workload.clone(), optimizer: way.optimizer.clone(), steps: way.steps })
        })
        .collect();
    // Surface (if it is one) and optimizer: its arms.
    let mut arms: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    for arm in 0..a.arms.len() {
        let Some(config) = config(arm).filter(|config| config["optimizer"].is_string()) else { continue };
        let noise = config["gradient_noise"].as_f64().filter(|noise| *noise > 0.0).map_or("", |_| " with noise");
        let surface = config["surface"].as_str().map_or(String::new(), |surface| format!(" {surface}{noise}"));
        arms.entry((surface, optimizer(&config))).or_default().push(arm);
    }
    for target in &a.targets {
        for ((surface, optimizer), arms) in &arms {
            let steps = |arm: &usize| target.times.get(*arm).and_then(|time| time.median_steps).unwrap_or(f64::INFINITY);
            // Tuned on validation where there is one; on a surface by the target itself.
            let steps = if a.has_accuracies() {
                best(&a.arms, arms, a.metric()).map_or(f64::INFINITY, |verdict| steps(&verdict.arm))
            } else {
                arms.iter().map(steps).fold(f64::INFINITY, f64::min)
            };
            let workload = format!("{}{surface}: {} {}", a.data.study.name, target.metric, target.bound());
            races.push(Race { workload, optimizer: optimizer.clone(), steps });
        }
    }
    let tried: BTreeSet<&str> = races.iter().map(|race| race.optimizer.as_str()).collect();
    if tried.len() < LEAST { vec![] } else { races }
}

/// The section of the write-up; empty unless several studies can be put together.
pub(super) fn section(studies: &[StudySummary]) -> String {
    let studies: Vec<&StudySummary> = studies.iter().filter(|study| !study.races.is_empty()).collect();
    let tried = |study: &&StudySummary| -> BTreeSet<String> { study.races.iter().map(|race| race.optimizer.clone()).collect() };
    let Some(common) = studies.iter().map(tried).reduce(|a, b| a.intersection(&b).cloned().collect()) else { return String::new() };
    let optimizers: Vec<String> = common.into_iter().collect();
    // Of each workload that anybody got through: the steps of each optimizer.
    let mut workloads: BTreeMap<&str, BTreeMap<&str, f64>> = BTreeMap::new();
    for race in studies.iter().flat_map(|study| &study.races).filter(|race| optimizers.contains(&race.optimizer)) {
        workloads.entry(&race.workload).or_default().insert(&race.optimizer, race.steps);
    }
    let all = workloads.len();
    workloads.retain(|_, steps| steps.values().any(|steps| steps.is_finite()));
    if studies.len() < 2 || optimizers.len() < 2 || workloads.len() < 2 {
        return String::new();
    }
    let times: Vec<Vec<f64>> = optimizers
        .iter()
        .map(|optimizer| workloads.values().map(|steps| steps.get(optimizer.as_str()).copied().unwrap_or(f64::INFINITY)).collect())
        .collect();
    let Some(profiles) = profiles(&times) else { return String::new() };
    let reference = optimizers.iter().position(|name| name == "sgd").unwrap_or(0);
    let mut rows: Vec<(f64, String)> = vec![];
    for ((name, profile), own) in optimizers.iter().zip(&profiles).zip(&times) {
        let area = profile.area(LIMIT).unwrap_or(0.0);
        let reached = own.iter().filter(|steps| steps.is_finite()).count();
        let speed = speed_up(own, &times[reference]);
        let factor = speed.and_then(|speed| speed.factor).map_or("–".into(), |factor| format!("{factor:.2}"));
        let alone = speed.map_or(String::new(), |speed| format!("{} / {}", speed.first_only, speed.second_only));
        let share = |factor: f64| format!("{:.2}", profile.share(factor));
        rows.push((
            area,
            format!(
                "| {} | {area:.3} | {} | {} | {reached} of {} | {factor} | {alone} |\n",
                escape(name),
                share(1.0),
                share(2.0),
                own.len()
            ),
        ));
    }
    rows.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let names: Vec<String> = studies.iter().map(|study| format!("`{}`", study.name)).collect();
    let reference = escape(&optimizers[reference]);
    let mut text = format!(
        "\n## Over all studies: which optimizer gets to its targets soonest?\n\n{} of {} ({}): every target to reach and every saddle to leave, with the \
         rate that validation chose (on surfaces, the fastest rate). {} that no optimizer got through left out; one that some did not get \
         through counts as infinitely slow for those. Steps are compared, not seconds.\n\n\
         | optimizer | profile (area) ↑ | fastest (share) ↑ | within 2× (share) ↑ | got through | speed-up over {reference} | alone / {reference} alone |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        count(workloads.len(), "workload"),
        count(studies.len(), "study").replace("studys", "studies"),
        listed(&names),
        all - workloads.len(),
    );
    for (_, row) in rows {
        let _ = write!(text, "{row}");
    }
    let _ = write!(
        text,
        "\nProfile: area under the performance profile (Dolan and Moré 2002) up to {LIMIT} times the fastest, from 0 to 1. Speed-up: geometric \
         mean over the workloads that both got through; alone: workloads that only the one, or only {reference}, got through.\n"
    );
    text
}
