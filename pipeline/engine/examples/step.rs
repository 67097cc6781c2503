//! Times the training step of a network on made-up data and prints a JSON object: the median in milliseconds, operations,
//! parameters, and the peak memory of the process where the system tells it.
//!
//! Usage: step MODEL BATCH OPTIMIZER THREADS [SECONDS]

use std::time::Instant;

#[expect(clippy::print_stdout, reason = "its one output")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    engine::single_threaded_tensors();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, batch, optimizer, threads, rest @ ..] = &args[..] else {
        return Err("usage: step MODEL BATCH OPTIMIZER THREADS [SECONDS]".into());
    };
    let seconds: f64 = rest.first().map_or(Ok(3.0), |s| s.parse())?;
    let mut step = engine::measure::TrainingStep::new(model, batch.parse()?, optimizer, threads.parse()?)?;
    let start = Instant::now();
    let mut warm = 0;
    while warm < 3 || start.elapsed().as_secs_f64() < seconds / 5.0 {
        step.run()?;
        warm += 1;
    }
    let (start, mut times) = (Instant::now(), vec![]);
    while times.len() < 5 || start.elapsed().as_secs_f64() < seconds {
        let before = Instant::now();
        step.run()?;
        times.push(before.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let ms = times[times.len() / 2];
    println!("{{\"ms\": {ms:.4}, \"flops\": {}, \"parameters\": {}, \"peak_mib\": {}}}", step.flops, step.parameters, peak_mib());
    Ok(())
}

/// `null` where the system does not tell.
fn peak_mib() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kib.map_or_else(|| "null".into(), |kib| format!("{:.1}", kib / 1024.0))
}
