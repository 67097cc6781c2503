//! The findings on numbers that runs measured: the largest deviation, and the worked example.
//! Called among the findings and by the page.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::Analysis;
use crate::number::count;
use crate::table::escape;

/// How the names of deviations begin, and where the names of layers' deviations have it.
const DEVIATION: &str = "deviation";

pub(in crate::report) fn finding(a: &Analysis<'_>) -> Option<String> {
    let deviations = || a.data.measurements.iter().filter(|(_, m)| m.name.contains(DEVIATION));
    let (run, worst) = deviations().max_by(|(_, x), (_, y)| x.value.total_cmp(&y.value))?;
    let arm = &a.data.runs.get(*run)?.arm;
    // Far more than rounding in double precision makes of numbers around 1.
    let agree = if worst.value <= 1e-12 { "They agree up to rounding: the" } else { "The" };
    Some(format!(
        "{agree} largest of {} is {:.1e}: {}, in {}. One unit in the last place of 1 is 2.2e-16 in double and 1.2e-7 in single precision.",
        count(deviations().count(), "measured deviation"),
        worst.value,
        escape(&worst.name),
        escape(arm)
    ))
}

/// What each matrix of a worked example is, in the order of its derivation.
const STEPS: [(&str, &str); 8] = [
    ("input", "The input X."),
    ("filter", "The filter W."),
    ("output", "The output: O[i, j] = Σ X[i + a, j + b] · W[a, b], the input correlated with the filter. The loss L is its mean."),
    (
        "gradient to output",
        "The gradient to the output: every output has the same share in the mean, ∂L/∂O[i, j] = 1 / (number of outputs).",
    ),
    (
        "gradient to filter",
        "The gradient to the filter: the input correlated with the output gradient, ∂L/∂W[a, b] = Σ ∂L/∂O[i, j] · X[i + a, j + b].",
    ),
    (
        "padded gradient to output",
        "The gradient to the output, surrounded by zeros, so that the filter fits over every entry of the input.",
    ),
    ("turned filter", "The filter turned by 180°."),
    (
        "gradient to input",
        "The gradient to the input: the output gradient, surrounded by zeros, correlated with the filter turned by 180°, \
         ∂L/∂X[i, j] = Σ ∂L/∂O[i − a, j − b] · W[a, b].",
    ),
];

/// The matrices of every arm with a worked example, step by step, as Markdown; empty if there is none.
pub(in crate::report) fn worked(a: &Analysis<'_>) -> String {
    let is_worked = |run: usize| {
        let config: serde_json::Value = a.data.runs.get(run).and_then(|r| serde_json::from_str(&r.config).ok()).unwrap_or_default();
        config["matrices"].as_str().is_some_and(|matrices| matrices.starts_with("worked"))
    };
    let mut arms: BTreeMap<usize, usize> = BTreeMap::new();
    for (run, _) in a.data.measurements.iter().filter(|(run, _)| is_worked(*run)) {
        arms.entry(a.data.runs[*run].position).or_insert(*run);
    }
    arms.values().map(|run| of_run(a, *run)).collect()
}

fn of_run(a: &Analysis<'_>, first: usize) -> String {
    // Name of a matrix: its entries by row and column.
    let mut matrices: BTreeMap<&str, BTreeMap<(usize, usize), f64>> = BTreeMap::new();
    for (_, m) in a.data.measurements.iter().filter(|(run, _)| *run == first) {
        let entry = m.name.strip_suffix(']').and_then(|name| name.split_once(" [")).and_then(|(name, place)| {
            let (row, column) = place.split_once(", ")?;
            Some((name, (row.parse().ok()?, column.parse().ok()?)))
        });
        if let Some((name, place)) = entry {
            matrices.entry(name).or_default().insert(place, m.value);
        }
    }
    let mut text =
        format!("\n## Worked numbers, step by step: {}\n", a.data.runs.get(first).map(|run| escape(&run.arm)).unwrap_or_default());
    for (i, (name, what)) in (1..).zip(STEPS) {
        let Some(entries) = matrices.get(name) else { continue };
        let _ = write!(text, "\n{i}. {what}\n\n   ```text\n");
        let width = entries.values().map(|v| v.to_string().len()).max().unwrap_or(0);
        let mut row = 0;
        let mut line = String::new();
        for ((r, _), value) in entries {
            if *r != row {
                let _ = writeln!(text, "   {}", line.strip_prefix("  ").unwrap_or_default());
                (row, line) = (*r, String::new());
            }
            let _ = write!(line, "  {value:>width$}");
        }
        let _ = write!(text, "   {}\n   ```\n", line.strip_prefix("  ").unwrap_or_default());
    }
    text
}
