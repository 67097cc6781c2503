//! Results in a CSV file: one row per step or epoch of a run. Columns are metrics, the seed, and what tells arms apart.

use std::path::Path;

use spec::{Split, Value};

use super::curves::{At, Curves, RunKey};
use super::names::{Names, Role};
use crate::error::Error;

/// Longest text that tells arms apart.
const MAX_TEXT: usize = 1000;

pub(crate) fn read(path: &Path, names: &Names) -> Result<Curves, Error> {
    let bytes = std::fs::read(path).map_err(Error::file(path))?;
    parse(&bytes, &path.display().to_string(), names)
}

/// Reads a file's bytes; `file` is what messages call it.
pub(crate) fn parse(bytes: &[u8], file: &str, names: &Names) -> Result<Curves, Error> {
    let wrong = |why: String| Error::Input(format!("{file}: {why}"));
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let unreadable = |e: csv::Error| match e.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            wrong(format!("line {line} has {len} columns, and the first has {expected_len}"))
        }
        _ => wrong(e.to_string()),
    };
    let headers: Vec<String> = reader.headers().map_err(unreadable)?.iter().map(str::to_owned).collect();
    let roles: Vec<Role> = headers.iter().map(|name| names.column(name)).collect();
    for axis in names.axes().unwrap_or_default() {
        if !headers.contains(axis) {
            return Err(wrong(format!("there is no column `{axis}`; there are {}", headers.join(", "))));
        }
    }
    for (i, role) in roles.iter().enumerate() {
        if let Some(first) = roles[..i].iter().position(|other| other == role).filter(|_| *role != Role::Ignored) {
            return Err(wrong(format!(
                "the columns `{}` and `{}` would mean the same; --map {}=ignore leaves one out",
                headers[first], headers[i], headers[i]
            )));
        }
    }
    let at = |role: &Role| roles.iter().position(|other| other == role);
    let (step, epoch) = (at(&Role::Step), at(&Role::Epoch));
    if step.is_none() && epoch.is_none() {
        return Err(wrong("it has neither a column `step` nor one `epoch`; --map NAME=step says which it is".into()));
    }
    let is_metric = |role: &Role| matches!(role, Role::Loss | Role::Accuracy | Role::Lr | Role::GradNorm | Role::Eval(..));
    if !roles.iter().any(is_metric) {
        return Err(wrong("none of its columns is a metric; --map NAME=validation_loss says which is one".into()));
    }
    let mut rows = vec![];
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        rows.push((record.position().map_or(0, csv::Position::line), record));
    }
    let cell = |line: u64, i: usize, why: &str, text: &str| wrong(format!("line {line}, column `{}`: `{text}` is {why}", headers[i]));
    // Some count epochs from 0; evaluations at 0 are those before the first.
    let from_zero = step.is_none() && epoch.is_some_and(|i| rows.iter().any(|(_, row)| row.get(i).and_then(count) == Some(0)));
    let mut curves = Curves::default();
    for (line, row) in &rows {
        let whole = |i: Option<usize>| match i.map(|i| (i, row.get(i).unwrap_or_default())) {
            None | Some((_, "")) => Ok(None),
            Some((i, text)) => count(text).map(Some).ok_or_else(|| cell(*line, i, "no whole number", text)),
        };
        let number = |i: usize| match row.get(i).unwrap_or_default() {
            "" => Ok(None),
            text => text.parse::<f64>().map(Some).map_err(|_| cell(*line, i, "no number", text)),
        };
        let epoch_here = whole(epoch)?.map(|n| n + u64::from(from_zero));
        let Some(step_here) = whole(step)?.or(if step.is_none() { epoch_here } else { None }) else {
            let i = step.or(epoch).unwrap_or_default();
            return Err(cell(*line, i, "no whole number", ""));
        };
        let mut key = RunKey { axes: vec![], seed: whole(at(&Role::Seed))?.unwrap_or(0) };
        for (i, role) in roles.iter().enumerate() {
            if let (Role::Axis(name), Some(text)) = (role, row.get(i).filter(|text| !text.is_empty())) {
                if text.len() > MAX_TEXT {
                    return Err(cell(*line, i, "too long to tell arms apart", &format!("{}…", text.chars().take(20).collect::<String>())));
                }
                key.axes.push((name.clone(), value(text)));
            }
        }
        let mut here = At { epoch: epoch_here.unwrap_or(0), examples: whole(at(&Role::Examples))?.unwrap_or(0), elapsed_ms: 0.0 };
        let records = curves.run(key);
        for (i, role) in roles.iter().enumerate() {
            if let Role::Elapsed(unit) = role {
                here.elapsed_ms = number(i)?.filter(|x| x.is_finite()).unwrap_or(0.0) * f64::from(*unit);
            }
        }
        for (i, role) in roles.iter().enumerate().filter(|(_, role)| is_metric(role)) {
            let Some(x) = number(i)? else { continue };
            // Where rows are epochs, a loss is that of the epoch.
            let role = match role {
                Role::Loss if step.is_none() => Role::Eval(Split::Train, false),
                Role::Accuracy if step.is_none() => Role::Eval(Split::Train, true),
                role => role.clone(),
            };
            if !records.put(step_here, role, x, here) {
                return Err(wrong(format!(
                    "line {line}, column `{}`: this run has another value at step {step_here}; is a column missing that tells runs apart (a seed, an axis)?",
                    headers[i]
                )));
            }
        }
    }
    Ok(curves)
}

/// A whole number, also as programs write it that keep all numbers as fractions.
fn count(text: &str) -> Option<u64> {
    let text = text.strip_suffix(".0").unwrap_or(text);
    text.parse().ok().filter(|n| *n <= i64::MAX.cast_unsigned())
}

/// A number, a switch or a text.
pub(crate) fn value(text: &str) -> Value {
    match text {
        "true" | "True" => Value::Bool(true),
        "false" | "False" => Value::Bool(false),
        text => match (text.parse(), text.parse::<f64>()) {
            (Ok(i), _) => Value::Int(i),
            (_, Ok(x)) if x.is_finite() => Value::Float(x),
            _ => Value::Text(text.to_owned().into()),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on panics")]

    use proptest::prelude::*;

    use super::*;

    fn names(own: &[(&str, &str)], axes: Option<&[&str]>) -> Names {
        let own: Vec<_> = own.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let axes: Option<Vec<String>> = axes.map(|axes| axes.iter().map(|a| (*a).to_owned()).collect());
        Names::new(&own, axes.as_deref()).unwrap()
    }

    fn read(text: &str, names: &Names) -> Result<Curves, String> {
        parse(text.as_bytes(), "r.csv", names).map_err(|e| e.to_string())
    }

    #[test]
    fn a_file_of_kerass_logger_is_read() {
        let text = "epoch,accuracy,loss,val_accuracy,val_loss\n0,0.5,1.5,0.6,1.25\n1,0.7,0.5,nan,inf\n";
        let curves = read(text, &names(&[], None)).unwrap();
        let (key, records) = curves.into_iter().next().unwrap();
        assert_eq!((key.axes.len(), key.seed), (0, 0));
        let (steps, evals) = records.finish();
        assert!(steps.is_empty());
        let of: Vec<_> = evals.iter().map(|e| (e.step, e.split, e.loss.unwrap(), e.accuracy.unwrap().is_nan())).collect();
        assert_eq!(of[..3], [(1, Split::Train, 1.5, false), (1, Split::Validation, 1.25, false), (2, Split::Train, 0.5, false)]);
        assert_eq!(of[3], (2, Split::Validation, f64::INFINITY, true));
    }

    #[test]
    fn rows_of_one_step_come_together_and_runs_apart() {
        // As Lightning's logger has it: what was logged at other moments stands in other rows.
        let text = "lr,seed,step,epoch,train_loss_step,val_loss,note\n0.1,1,50,0,0.9,,a\n0.1,1,50,0,,0.8,b\n0.2,1,50.0,0,0.7,,c\n0.1,2,50,0,0.6,,d\n";
        let curves = read(text, &names(&[], Some(&["lr"]))).unwrap();
        let runs: Vec<_> = curves.into_iter().map(|(key, records)| (key.axes[0].1.to_string(), key.seed, records.finish())).collect();
        assert_eq!(runs.len(), 3);
        let (steps, evals) = &runs[0].2;
        assert_eq!((runs[0].0.as_str(), runs[0].1, steps[0].loss, evals[0].loss), ("0.1", 1, 0.9, Some(0.8)));
        assert_eq!((steps[0].lr, steps[0].grad_norm), (None, None), "what is not known is not made up");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let none = names(&[], None);
        for (text, message) in [
            ("", "r.csv: it has neither a column `step` nor one `epoch`; --map NAME=step says which it is"),
            ("step\n1\n", "r.csv: none of its columns is a metric; --map NAME=validation_loss says which is one"),
            ("step,loss\n1,a\n", "r.csv: line 2, column `loss`: `a` is no number"),
            ("step,loss\n-1,2\n", "r.csv: line 2, column `step`: `-1` is no whole number"),
            ("step,loss\n,2\n", "r.csv: line 2, column `step`: `` is no whole number"),
            ("step,loss\n1,2,3\n", "r.csv: line 2 has 3 columns, and the first has 2"),
            ("step,loss,Loss\n1,2,3\n", "r.csv: the columns `loss` and `Loss` would mean the same; --map Loss=ignore leaves one out"),
            (
                "step,loss\n1,2\n1,3\n",
                "r.csv: line 3, column `loss`: this run has another value at step 1; is a column missing that tells runs apart (a seed, an axis)?",
            ),
        ] {
            assert_eq!(read(text, &none).unwrap_err(), message);
        }
        assert!(read("step,loss\n1,2\n", &names(&[], Some(&["lr"]))).unwrap_err().contains("there is no column `lr`"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z0-9,.\\-\"\n ]{0,80}") {
            let _ = read(&text, &names(&[], None));
        }

        #[test]
        fn numbers_keep_their_bits(x in proptest::num::f64::ANY) {
            let curves = read(&format!("step,loss\n1,{x}\n"), &names(&[], None)).unwrap();
            let (steps, _) = curves.into_iter().next().unwrap().1.finish();
            prop_assert!(steps[0].loss.to_bits() == x.to_bits() || steps[0].loss.is_nan() && x.is_nan());
        }
    }
}
