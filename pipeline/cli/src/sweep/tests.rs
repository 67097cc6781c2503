//! A run that fails is an outcome; the sweep goes on.

use std::sync::Arc;

use clap::Parser;
use engine::Catalog;
use spec::Study;
use tracker::{Environment, Tracker};

use super::*;
use crate::args::{Args, Command};
use crate::plan::Action;

const GRID: &str = r#"
[study]
question = "?"
[base]
dataset = "fashion-mnist-mini"
model = { name = "mlp", hidden = 4 }
optimizer = "sgd"
lr = 0.1
train_examples = 64
batch_size = 32
steps = 4
[replicates]
seeds = 3
"#;

#[test]
fn panics_and_errors_are_recorded_and_the_other_runs_are_trained() {
    let catalog = Catalog::new(None);
    let study = Study::parse("s", "s.toml", GRID, &catalog, spec::Limits::default()).unwrap();
    let good = catalog.dataset_named("fashion-mnist-mini").unwrap();
    // A dataset whose images are missing makes the loader panic; it is put in place behind the checks.
    let mut broken = engine::data::load(&study.arms[0].config, None).unwrap();
    broken.train.examples.clear();
    let broken = Arc::new(broken);
    let device = engine::device::Device::Cpu;
    let facts = engine::facts(&study.arms[0].config, Some(&good), &device).unwrap();
    let mut items: Vec<Item> = study
        .runs()
        .map(|(arm, run)| Item {
            study: study.name.clone(),
            arm: arm.label.clone(),
            run,
            dataset: Some(Arc::clone(&good)),
            facts: facts.clone(),
            action: Action::Run("new".into()),
            wanted: tracker::Wanted::Unfinished,
            estimate_ms: None,
        })
        .collect();
    items[0].dataset = Some(broken);
    items[1].run.config = spec::Config::default();

    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("r.db");
    let tracker = Tracker::open(&db, std::slice::from_ref(&study), Environment::default()).unwrap();
    let planned = Planned {
        studies: vec![study],
        skipped: vec![],
        items,
        shared: 0,
        devices: vec![device],
        limits: Limits { jobs: 1, cores: 1, threads: None, memory: u64::MAX },
    };
    let queue: Vec<&Item> = planned.to_run().collect();
    let Args { command: Command::Sweep(args), .. } = Args::parse_from(["pipeline", "sweep", "--retries", "1"]) else { panic!("a sweep") };
    let outcomes = train_all(&planned, &queue, planned.limits, &tracker, &Stop::default(), true, &args);
    tracker.close().unwrap();
    assert_eq!(outcomes, [Outcome::Failed, Outcome::Failed, Outcome::Completed].map(Trained::Ended));

    let ids: Vec<&str> = planned.items.iter().map(|i| i.run.id.as_str()).collect();
    let known = Tracker::known(&db, &ids).unwrap();
    let error = |i: usize| known[i].as_ref().unwrap().error.clone().unwrap_or_default();
    assert!(error(0).starts_with("panicked at ") && error(0).contains("out of range"), "{}", error(0));
    assert!(error(1).contains("the configuration has no usable"), "{}", error(1));
    assert_eq!(planned_failures(&db, &planned).unwrap(), 2);
    // Every try is on record.
    let attempts = "SELECT run.seed, number, attempt.outcome FROM attempt JOIN run ON run.key = run_key ORDER BY 1, 2";
    let attempts: Vec<String> = Reader::open(&db).unwrap().query(attempts).unwrap().rows.iter().map(|row| format!("{row:?}")).collect();
    let of = |seed: u64, number: u64, outcome: &str| format!("[Integer({seed}), Integer({number}), Text(\"{outcome}\")]");
    assert_eq!(attempts, [of(0, 1, "failed"), of(0, 2, "failed"), of(1, 1, "failed"), of(1, 2, "failed"), of(2, 1, "completed")]);
}
