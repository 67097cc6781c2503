//! What was trained: the axes that vary, and the configuration that all arms share.
//! Called by the page; it knows nothing of results.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use crate::Analysis;
use crate::layout::value_text;
use crate::number::{count, thousands};
use crate::table::{code, escape};

/// Digits of a checksum that are enough to tell files apart.
const CHECKSUM: usize = 12;

/// The section, with its heading; empty for a study without runs.
pub(super) fn of(a: &Analysis<'_>) -> String {
    let mut text = String::new();
    if a.data.runs.is_empty() {
        return text;
    }
    let _ = write!(text, "## Method\n\n{}\n\n", method(a));
    let axes: Vec<String> = (0..a.data.study.axes.len()).filter_map(|i| axis(a, i)).collect();
    if !axes.is_empty() {
        let _ = writeln!(text, "- Varied: {}.", axes.join("; "));
    }
    let _ = writeln!(text, "- Seeds: {}.", ranges(&a.seed_values()));
    let parameters: BTreeSet<u64> = a.data.runs.iter().filter_map(|run| run.parameters).collect();
    if let (Some(least), Some(most)) = (parameters.first(), parameters.last()) {
        let number = |n: &u64| thousands(usize::try_from(*n).unwrap_or(usize::MAX));
        let range = if least == most { number(least) } else { format!("{}–{}", number(least), number(most)) };
        let _ = writeln!(text, "- Parameters: {range}.");
    }
    let shared = shared(a);
    if !shared.is_empty() {
        text.push_str("\nThe same in all arms:\n\n| key | value |\n| --- | --- |\n");
        for (key, value) in shared {
            let mut value = value_text(Some(&value));
            if key == "dataset_checksum" {
                value = value.chars().take(CHECKSUM).collect();
            }
            let _ = writeln!(text, "| {} | {} |", code(&key), escape(&value));
        }
    }
    text.push('\n');
    text
}

/// What is done with every arm, in words, as far as all arms share it.
fn method(a: &Analysis<'_>) -> String {
    let (shared, seeds) = (shared(a), a.seeds());
    let seeds = if seeds == 1 { "one seed".to_owned() } else { format!("each of {}", count(seeds, "seed")) };
    if a.is_check() {
        return format!("Every case is worked out in several ways, with {seeds}; what is drawn at random depends on the seed alone.");
    }
    let value = |key: &str| shared.get(key).filter(|value| !value.is_null()).map(|value| escape(&value_text(Some(value))));
    let name = |key: &str| shared.get(key).filter(|value| !value.is_null()).map(|value| code(&value_text(Some(value))));
    let length = match (value("epochs"), value("steps")) {
        (Some(epochs), _) => format!(" for {epochs} epochs"),
        (None, Some(steps)) => format!(" for {steps} steps"),
        (None, None) => String::new(),
    };
    if shared.get("objective").and_then(Value::as_str) == Some("imported") {
        return format!(
            "The runs were trained elsewhere, with {seeds}, and imported; nothing is known here of what they do not record. What decides \
             is `{}` at the end of training.",
            a.metric()
        );
    }
    if !a.has_accuracies() {
        let noise = "a seed draws the noise of the gradients, where there is any";
        return format!("Every arm descends from its start{length}, with {seeds}; {noise}. The loss is the height of the surface.");
    }
    let on = name("dataset").map(|name| format!(" on {name}")).unwrap_or_default();
    let examples = value("train_examples").map(|n| format!(" ({n} examples of it)")).unwrap_or_default();
    let batches = match value("batch_size").as_deref() {
        Some("full") => " with all examples in each step".to_owned(),
        Some(size) => format!(" in batches of {size}"),
        None => String::new(),
    };
    let optimizer = name("optimizer").map(|name| format!(" by {name}")).unwrap_or_default();
    let held_out = match shared.get("validation_fraction").and_then(Value::as_f64) {
        Some(0.0) => " Nothing is held out for validation.".to_owned(),
        Some(part) => format!(" A share of {part} of the training part is held out for validation, the same for all runs."),
        None => String::new(),
    };
    format!(
        "Every arm is trained{on}{examples}{batches}{optimizer}{length}, with {seeds}: a seed fixes initial weights and the order of the \
         examples, so that arms are compared seed by seed.{held_out} What decides is `{}` at the end of training, of the weights that are \
         tested; the test split is read once, for them.",
        a.metric()
    )
}

/// An axis with its values: numbers ascending, everything else in the order of the grid and after them.
fn axis(a: &Analysis<'_>, axis: usize) -> Option<String> {
    let mut values: Vec<&Value> = vec![];
    for value in a.arms.iter().filter_map(|arm| arm.axes.get(axis)?.as_ref()) {
        if !values.contains(&value) {
            values.push(value);
        }
    }
    let number = |value: &Value| value.as_f64().unwrap_or(f64::INFINITY);
    values.sort_by(|a, b| number(a).total_cmp(&number(b)));
    let texts: Vec<String> = values.into_iter().map(|value| escape(&value_text(Some(value)))).collect();
    let everywhere = a.arms.iter().all(|arm| arm.axes.get(axis).is_some_and(Option::is_some));
    let some = if everywhere { "" } else { " (some arms only)" };
    (!texts.is_empty()).then(|| format!("{} = {}{some}", code(&a.data.study.axes[axis]), texts.join(", ")))
}

/// The keys that every run has with one value, in canonical order, without the axes.
fn shared(a: &Analysis<'_>) -> BTreeMap<String, Value> {
    let mut configs = a.data.runs.iter().map(|run| serde_json::from_str::<BTreeMap<String, Value>>(&run.config).unwrap_or_default());
    let mut shared = configs.next().unwrap_or_default();
    shared.retain(|key, _| !a.data.study.axes.contains(key));
    for config in configs {
        shared.retain(|key, value| config.get(key) == Some(value));
    }
    shared
}

/// `0–4, 7`: three or more in a row as a range.
fn ranges(ascending: &[u64]) -> String {
    let mut texts: Vec<String> = vec![];
    for run in ascending.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
        match run {
            [first, _, .., last] => texts.push(format!("{first}–{last}")),
            few => texts.extend(few.iter().map(u64::to_string)),
        }
    }
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn seeds_in_a_row_are_a_range() {
        assert_eq!(ranges(&[0, 1, 2, 3, 7, 9, 10]), "0–3, 7, 9, 10");
        assert_eq!(ranges(&[u64::MAX]), u64::MAX.to_string());
    }
}
