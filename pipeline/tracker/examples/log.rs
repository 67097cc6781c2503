//! What logging costs: microseconds of the training thread per step, at the pace of a small network (a step each 30 µs) and as
//! fast as it goes, and bytes on disk per step.
//!
//! Usage: log [STEPS]

use std::time::{Duration, Instant};

use spec::record::{Facts, Outcome, Sink, Step};
use spec::{Arm, Config, Metric, Study};
use tracker::{Ended, Environment, Tracker};

#[expect(clippy::print_stdout, reason = "its one output")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let steps: u64 = std::env::args().nth(1).map_or(Ok(200_000), |n| n.parse())?;
    for (name, pace) in [("a step each 30 µs", Duration::from_micros(30)), ("as fast as it goes", Duration::ZERO)] {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("results.db");
        let study = Study {
            name: "log".into(),
            question: "what does it cost?".into(),
            hypothesis: None,
            metric: Metric::ALL[0],
            targets: vec![],
            analysis: spec::analysis::Settings::default(),
            axes: vec![],
            arms: vec![Arm { label: "all".into(), axes: vec![], config: Config::default(), graph: None }],
            seeds: vec![0],
            source: String::new(),
        };
        let tracker = Tracker::open(&path, std::slice::from_ref(&study), Environment::default())?;
        let Some((_, run)) = study.runs().next() else { unreachable!("one arm, one seed") };
        let mut sink = tracker.start(&run)?;
        sink.begin(&Facts {
            parameters: 1,
            flops_per_step: 1,
            memory_bytes: 1,
            planned_steps: steps,
            device: "cpu".into(),
            threads: 1,
            layers: vec![],
            classes: vec![],
        })?;
        let (start, mut logging) = (Instant::now(), Duration::ZERO);
        for step in 1..=steps {
            let due = pace * u32::try_from(step)?;
            while start.elapsed() < due {
                std::hint::spin_loop();
            }
            let elapsed_ms = start.elapsed().as_secs_f64() * 1e3;
            // Numbers as a training has them: no two alike, none of them short.
            let loss = 2.3 / (1.0 + 1e-4 * step as f64) + 0.1 * elapsed_ms.sin();
            let before = Instant::now();
            sink.step(&Step {
                step,
                epoch: step / 100,
                examples: step * 32,
                loss,
                accuracy: Some(0.5),
                lr: 0.01,
                grad_norm: 1.7 * loss,
                elapsed_ms,
            })?;
            logging += before.elapsed();
        }
        sink.end(Ended { outcome: Outcome::Completed, steps, error: None })?;
        tracker.close()?;
        let bytes = std::fs::metadata(&path)?.len() as f64 / steps as f64;
        println!("{name}: {:.2} µs of the training thread and {bytes:.1} bytes per step", logging.as_secs_f64() * 1e6 / steps as f64);
    }
    Ok(())
}
