//! A table of what criterion has just measured.

use std::path::PathBuf;

/// Prints median time, GFLOP/s or GB/s, and the share of the first row's GFLOP/s. A row is (name, operations, bytes).
#[expect(clippy::print_stdout, reason = "the table is what the benchmark is for")]
pub fn summary(group: &str, rows: &[(String, u64, u64)]) {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")), PathBuf::from);
    // Criterion names its folders like this.
    let folder = |name: &str| name.chars().map(|c| if "?\"/\\*<>:|^".contains(c) { '_' } else { c }).collect::<String>();
    let median_ns = |name: &str| -> Option<f64> {
        let file = target.join("criterion").join(group).join(folder(name)).join("new/estimates.json");
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
        json["median"]["point_estimate"].as_f64()
    };
    let ceiling = rows.first().and_then(|(name, flops, _)| Some(*flops as f64 / median_ns(name)?));
    println!("{:<44} {:>12} {:>16} {:>11}", "", "µs", "speed", "of ceiling");
    for (name, flops, bytes) in rows {
        let Some(ns) = median_ns(name) else { continue };
        let (speed, share) = if *flops > 0 {
            let speed = *flops as f64 / ns;
            (format!("{speed:.1} GFLOP/s"), ceiling.map_or(String::new(), |c| format!("{:.0} %", 100.0 * speed / c)))
        } else {
            (format!("{:.1} GB/s", *bytes as f64 / ns), String::new())
        };
        println!("{name:<44} {:>12.1} {speed:>16} {share:>11}", ns / 1e3);
    }
}
