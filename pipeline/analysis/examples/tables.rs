//! Makes the table that `just bench-tables` compares: of each arm, mean and standard deviation of the final loss, steps to a loss
//! below 0.5, and area under the loss. Reads a results file as reports do, all that they need of steps included; or runs one SQL query.
//!
//! Usage: tables FILE [QUERY]
//!
//! Prints one line of JSON: seconds, those of the processor, peak memory, and the table's rows.

use std::path::Path;
use std::time::Instant;

use analysis::results::State;
use analysis::steps::Steps;
use serde_json::{Value, json};
use tracker::Reader;
use tracker::query::Cell;

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

#[expect(clippy::print_stdout, reason = "its one output")]
fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let start = Instant::now();
    let rows = match arguments.as_slice() {
        [file] => from_columns(Path::new(file))?,
        [file, query] => from_query(Path::new(file), query)?,
        _ => return Err("usage: tables FILE [QUERY]".into()),
    };
    let seconds = start.elapsed().as_secs_f64();
    println!("{}", json!({ "seconds": seconds, "cpu": cpu_seconds()?, "peak_mib": peak_mib()?, "rows": rows }));
    Ok(())
}

/// Arm, finished runs, mean and standard deviation of their final loss, runs that were below, mean steps until then, mean area.
fn from_columns(file: &Path) -> Result<Vec<Vec<Value>>, Failure> {
    let reader = Reader::open(file)?;
    let study = reader.studies()?.into_iter().next().ok_or("no study")?;
    let runs = reader.runs(&study)?;
    let steps = Steps::load_below(&reader, &runs, 0.5)?;
    let (mut rows, mut places) = (vec![], 0..);
    for arm in runs.chunk_by(|a, b| a.position == b.position) {
        let (mut last, mut area, mut below) = (vec![], vec![], vec![]);
        for (run, place) in arm.iter().zip(&mut places) {
            if let (State::Finished, Some(sums)) = (State::of(run), steps.runs.get(&place)) {
                last.push(sums.last_loss);
                area.push(sums.mean_loss);
            }
            below.extend(steps.below.get(&place).map(|step| *step as f64));
        }
        let squares: Vec<f64> = last.iter().map(|loss| (loss - mean(&last)).powi(2)).collect();
        let deviation = (squares.iter().sum::<f64>() / (last.len() as f64 - 1.0)).sqrt();
        rows.push(vec![
            json!(arm[0].arm),
            json!(last.len()),
            json!(mean(&last)),
            json!(deviation),
            json!(below.len()),
            json!(mean(&below)),
            json!(mean(&area)),
        ]);
    }
    Ok(rows)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn from_query(file: &Path, query: &str) -> Result<Vec<Vec<Value>>, Failure> {
    let value = |cell: Cell| match cell {
        Cell::Null => Value::Null,
        Cell::Integer(i) => json!(i),
        Cell::Real(x) => json!(x),
        Cell::Text(text) => json!(text),
    };
    let answer = Reader::open(file)?.query(query)?;
    Ok(answer.rows.into_iter().map(|row| row.into_iter().map(value).collect()).collect())
}

/// Processor time of all threads, to a hundredth of a second: Linux counts in those.
fn cpu_seconds() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).ok_or("no times")?.parse::<f64>().map_err(Failure::from);
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

/// Most memory that this process has held.
fn peak_mib() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
