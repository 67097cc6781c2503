//! Steps written by the tracker and read back.

use spec::record::{Facts, Outcome, Sink, Step};
use spec::{Arm, Config, Metric, Study, Value};
use std::collections::BTreeMap;
use tracker::{Ended, Environment, Reader, Tracker};

use super::Steps;

/// Runs of 1, 7, 61, 1000 and 1500 steps, a diverged one, and one that was interrupted.
const RUNS: [(u64, Outcome); 7] = [
    (1, Outcome::Completed),
    (7, Outcome::Completed),
    (61, Outcome::StoppedEarly),
    (1000, Outcome::Completed),
    (1500, Outcome::Completed),
    (333, Outcome::Diverged),
    (50, Outcome::Interrupted),
];
/// Steps of an epoch, and examples of a batch; the last batch of an epoch is smaller.
const EPOCH: u64 = 90;
const BATCH: u64 = 7;

fn step(run: usize, step: u64, last: u64) -> Step {
    let wave = (step as f64 * 12.9898 + run as f64).sin();
    let diverged = RUNS[run].1 == Outcome::Diverged && step == last;
    let loss = if diverged { f64::NAN } else { 0.3 + 2.0 * (-(step as f64) / 200.0).exp() + 0.1 * wave };
    let (epoch, examples) = (step.div_ceil(EPOCH), step * BATCH - step / EPOCH * 3);
    Step { step, epoch, examples, loss, accuracy: Some(0.5 + 0.3 * wave), lr: 0.1, grad_norm: 1.0, elapsed_ms: step as f64 }
}

/// A results file with all of them; the study's runs are in the order of `RUNS`.
fn written(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("analysis-steps-{name}-{}.db", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let arm = |place: usize| {
        let mut config = Config::default();
        config.insert("place", Value::Int(i64::try_from(place).unwrap()));
        Arm { label: place.to_string(), axes: vec![], config, graph: None }
    };
    let study = Study {
        name: "s".into(),
        question: "?".into(),
        hypothesis: None,
        metric: Metric::ALL[0],
        targets: vec![],
        analysis: spec::analysis::Settings::default(),
        axes: vec![],
        arms: (0..RUNS.len()).map(arm).collect(),
        seeds: vec![0],
        source: String::new(),
    };
    let tracker = Tracker::open(&path, std::slice::from_ref(&study), Environment::default()).unwrap();
    for (run, (_, spec)) in study.runs().enumerate() {
        let (steps, outcome) = RUNS[run];
        let mut sink = tracker.start(&spec).unwrap();
        let (device, layers, classes) = ("cpu".into(), vec![], vec![]);
        let facts = Facts { parameters: 1, flops_per_step: 1, memory_bytes: 1, planned_steps: steps, device, threads: 1, layers, classes };
        sink.begin(&facts).unwrap();
        for at in 1..=steps {
            sink.step(&step(run, at, steps)).unwrap();
        }
        sink.end(Ended { outcome, steps, error: None }).unwrap();
    }
    tracker.close().unwrap();
    path
}

/// All bits that there are: the shortest text of a float gives the float back.
fn bits(steps: &Steps) -> String {
    let bins = |name: &str| {
        let column = crate::frame::floats(&steps.bins, name).unwrap();
        format!("{column:?}")
    };
    let bins = ["run", "bin", "examples", "loss"].map(bins);
    format!("{:?}\n{:?}\n{:?}\n{}\n{bins:?}", steps.runs, steps.parts, steps.below, steps.count)
}

#[test]
fn threads_and_what_else_is_read_change_no_bit() {
    let path = written("bits");
    let reader = Reader::open(&path).unwrap();
    let runs = reader.runs(&reader.studies().unwrap()[0]).unwrap();
    let alone = Steps::load_on(1, &reader, &runs, 0.5).unwrap();
    assert_eq!(alone.runs.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    for threads in [2, 3, 8] {
        assert_eq!(bits(&alone), bits(&Steps::load_on(threads, &reader, &runs, 0.5).unwrap()), "{threads} threads");
    }
    // A run by itself: its sums are those that it has among the others.
    for place in 0..6 {
        let one = Steps::load(&reader, &runs[place..=place]).unwrap();
        let (sums, parts) = (one.runs[&0], one.parts[&0].clone());
        let place = u32::try_from(place).unwrap();
        assert_eq!((format!("{sums:?}"), parts), (format!("{:?}", alone.runs[&place]), alone.parts[&place].clone()));
    }
    // From columns in memory: the same again.
    let columns: BTreeMap<u32, _> = (0..6).map(|place| (place, reader.losses(&runs[place as usize]).unwrap())).collect();
    let of = Steps { below: alone.below.clone(), ..Steps::of(columns).unwrap() };
    assert_eq!(bits(&alone), bits(&of));
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn sums_are_those_of_plain_loops() {
    let path = written("loops");
    let reader = Reader::open(&path).unwrap();
    let runs = reader.runs(&reader.studies().unwrap()[0]).unwrap();
    let steps = Steps::load_below(&reader, &runs, 0.5).unwrap();
    let close = |a: f64, b: f64, what: &str| assert!((a - b).abs() <= 1e-12 * b.abs() || (a.is_nan() && b.is_nan()), "{what}: {a} {b}");
    let mean = |values: &[f64]| if values.is_empty() { f64::NAN } else { values.iter().sum::<f64>() / values.len() as f64 };
    let longest = step(4, 1500, 1500).examples;
    let bin = crate::frame::whole(&steps.bins, "bin").unwrap();
    let run = crate::frame::whole(&steps.bins, "run").unwrap();
    let (examples, losses) = (crate::frame::floats(&steps.bins, "examples").unwrap(), crate::frame::floats(&steps.bins, "loss").unwrap());
    for (place, (count, outcome)) in RUNS.into_iter().enumerate().take(6) {
        let rows: Vec<Step> = (1..=count).map(|at| step(place, at, count)).collect();
        let key = u32::try_from(place).unwrap();
        let sums = steps.runs[&key];
        let finite: Vec<&Step> = rows.iter().filter(|row| row.loss.is_finite()).collect();
        assert_eq!((sums.steps, sums.first_batch, sums.examples), (count, BATCH, rows[rows.len() - 1].examples));
        assert_eq!(sums.first_bad, Some(count).filter(|_| outcome == Outcome::Diverged));
        assert_eq!(steps.below.get(&key).copied(), rows.iter().find(|row| row.loss < 0.5).map(|row| row.step));
        close(sums.mean_loss, mean(&rows.iter().map(|row| row.loss).collect::<Vec<_>>()), "mean loss");
        close(sums.mean_accuracy, mean(&rows.iter().filter_map(|row| row.accuracy).collect::<Vec<_>>()), "mean accuracy");
        let of_last = rows.iter().filter(|row| row.epoch == count.div_ceil(EPOCH));
        close(sums.last_epoch_loss, mean(&of_last.map(|row| row.loss).collect::<Vec<_>>()), "last epoch");
        let pairs: Vec<f64> = finite.windows(2).map(|pair| pair[1].loss - pair[0].loss).collect();
        let rises = pairs.iter().filter(|change| **change > 0.0).count();
        close(sums.rises, if pairs.is_empty() { f64::NAN } else { rises as f64 / pairs.len() as f64 }, "rises");
        let squares = mean(&pairs.iter().map(|change| change * change).collect::<Vec<_>>());
        close(sums.noise, (squares / 2.0).sqrt() / mean(&finite.iter().map(|row| row.loss).collect::<Vec<_>>()), "noise");
        close(sums.last_loss, finite[finite.len() - 1].loss, "last loss");
        let groups = |key: &dyn Fn(&Step) -> u64| {
            let mut groups: BTreeMap<u64, Vec<&Step>> = BTreeMap::new();
            for row in &finite {
                groups.entry(key(row)).or_default().push(row);
            }
            groups
        };
        let of_bins = groups(&|row| (row.examples - 1) * super::BINS / longest);
        let at: Vec<usize> = (0..run.len()).filter(|at| run[*at] == place as u64).collect();
        assert_eq!(at.iter().map(|at| bin[*at]).collect::<Vec<_>>(), of_bins.keys().copied().collect::<Vec<_>>());
        for (at, group) in at.iter().zip(of_bins.values()) {
            close(examples[*at], mean(&group.iter().map(|row| row.examples as f64).collect::<Vec<_>>()), "examples");
            close(losses[*at], mean(&group.iter().map(|row| row.loss).collect::<Vec<_>>()), "loss");
        }
        // Parts are of all the steps of a run, the last one that is not finite included.
        let of_parts = groups(&|row| (row.step - 1) * super::BINS / count);
        assert_eq!(steps.parts[&key].len(), of_parts.len());
        for ((x, loss), group) in steps.parts[&key].iter().zip(of_parts.values()) {
            close(*x, mean(&group.iter().map(|row| row.step as f64).collect::<Vec<_>>()), "step");
            close(*loss, mean(&group.iter().map(|row| row.loss).collect::<Vec<_>>()), "loss");
        }
    }
    std::fs::remove_file(&path).unwrap();
}
