//! Results in a CSV file: a row for each step or epoch of a run, or (where a column names the metric) for each value.

use std::collections::BTreeSet;
use std::path::Path;

use csv::StringRecord;
use spec::{Split, Value, visible};

use super::curves::{At, Curves, RunKey};
use super::names::{self, MetricRole, Names, Role};
use crate::error::Error;

/// Longest text that tells arms apart.
const MAX_TEXT: usize = 1000;

pub(crate) fn read(path: &Path, names: &Names) -> Result<Curves, Error> {
    let bytes = std::fs::read(path).map_err(Error::file(path))?;
    parse(&bytes, &path.display().to_string(), names)
}

/// Reads a file's bytes; `file` is what messages call it.
pub(crate) fn parse(bytes: &[u8], file: &str, names: &Names) -> Result<Curves, Error> {
    let sheet = Sheet::new(bytes, file, names)?;
    let mut curves = Curves::default();
    if names.axes().is_some() {
        let ignored = sheet.headers.iter().zip(&sheet.roles).filter(|(name, role)| **role == Role::Ignored && !names.is_named(name));
        curves.left_out.extend(ignored.map(|(name, _)| name.clone()));
    }
    let survey = sheet.survey(bytes)?;
    for record in reader(bytes).into_records() {
        let record = record.map_err(|e| sheet.unreadable(&e))?;
        sheet.take(&record, survey.from_zero, names, &mut curves)?;
    }
    sheet.check(&survey, &curves, names)?;
    Ok(curves)
}

/// Values are divided by commas, or by what stands most often in the first line: spreadsheets write semicolons where commas are in numbers.
fn reader(bytes: &[u8]) -> csv::Reader<&[u8]> {
    let first = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let count = |sign: u8| first.split(|b| *b == sign).count();
    let sign = [b';', b'\t'].into_iter().find(|sign| count(*sign) > count(b',')).unwrap_or(b',');
    csv::ReaderBuilder::new().delimiter(sign).trim(csv::Trim::All).from_reader(bytes)
}

/// A file's columns.
struct Sheet<'a> {
    file: &'a str,
    headers: Vec<String>,
    roles: Vec<Role>,
}

/// What a first look at all rows tells.
struct Survey {
    rows: usize,
    /// Epochs are counted from 0, and evaluations at 0 are those before the first.
    from_zero: bool,
    /// The values that there are of each column, or more of them than runs could have.
    distinct: Vec<BTreeSet<String>>,
}

impl<'a> Sheet<'a> {
    fn new(bytes: &[u8], file: &'a str, names: &Names) -> Result<Self, Error> {
        let mut sheet = Sheet { file, headers: vec![], roles: vec![] };
        let mut reader = reader(bytes);
        let headers = reader.headers().map_err(|e| sheet.unreadable(&e))?;
        sheet.headers = headers.iter().map(str::to_owned).collect();
        sheet.roles = sheet.headers.iter().map(|name| names.column(name)).collect();
        let Sheet { headers, roles, .. } = &sheet;
        if let Some(axis) = names.axes().unwrap_or_default().iter().find(|axis| !headers.contains(axis)) {
            return Err(sheet.wrong(&format!("there is no column `{axis}`; there are {}", headers.join(", "))));
        }
        for (i, role) in roles.iter().enumerate() {
            if let Some(first) = roles[..i].iter().position(|other| other == role).filter(|_| *role != Role::Ignored) {
                let (first, second) = (&headers[first], &headers[i]);
                return Err(
                    sheet.wrong(&format!("the columns `{first}` and `{second}` would mean the same; --map {second}=ignore leaves one out"))
                );
            }
        }
        if sheet.at(&Role::Step).is_none() && sheet.at(&Role::Epoch).is_none() {
            return Err(sheet.wrong("it has neither a column `step` nor one `epoch`; --map NAME=step says which it is"));
        }
        let is_long = sheet.at(&Role::MetricName).is_some() && sheet.at(&Role::Value).is_some();
        if !is_long && !roles.iter().any(|role| matches!(role, Role::Metric(_))) {
            return Err(sheet.wrong("none of its columns is a metric; --map NAME=validation_loss says which is one"));
        }
        Ok(sheet)
    }

    fn wrong(&self, why: &str) -> Error {
        Error::Input(format!("{}: {}", self.file, visible(why)))
    }

    fn unreadable(&self, error: &csv::Error) -> Error {
        match error.kind() {
            csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
                let line = pos.as_ref().map_or(0, csv::Position::line);
                self.wrong(&format!("line {line} has {len} columns, and the first has {expected_len}"))
            }
            _ => self.wrong(&error.to_string()),
        }
    }

    fn at(&self, role: &Role) -> Option<usize> {
        self.roles.iter().position(|other| other == role)
    }

    /// An error about a cell.
    fn cell(&self, record: &StringRecord, column: usize, what: &str) -> Error {
        let line = record.position().map_or(0, csv::Position::line);
        let text: String = record.get(column).unwrap_or_default().chars().take(40).collect();
        self.wrong(&format!("line {line}, column `{}`: `{text}` is {what}", self.headers[column]))
    }

    fn survey(&self, bytes: &[u8]) -> Result<Survey, Error> {
        let mut survey = Survey { rows: 0, from_zero: false, distinct: vec![BTreeSet::new(); self.headers.len()] };
        let epoch = self.at(&Role::Epoch).filter(|_| self.at(&Role::Step).is_none());
        let counted: Vec<usize> =
            (0..self.roles.len()).filter(|i| matches!(self.roles[*i], Role::Axis(_) | Role::Step | Role::Epoch)).collect();
        for record in reader(bytes).into_records() {
            let record = record.map_err(|e| self.unreadable(&e))?;
            survey.rows += 1;
            survey.from_zero |= epoch.is_some_and(|i| record.get(i).and_then(count) == Some(0));
            for &i in &counted {
                // Beyond this it is clear what they are.
                if survey.distinct[i].len() <= super::MAX_RUNS && !survey.distinct[i].contains(&record[i]) {
                    survey.distinct[i].insert(record[i].to_owned());
                }
            }
        }
        Ok(survey)
    }

    /// Refuses to take a measured quantity that we have no name for as what tells arms apart.
    fn check(&self, survey: &Survey, curves: &Curves, names: &Names) -> Result<(), Error> {
        let many = |role: Role| self.at(&role).is_some_and(|i| survey.distinct[i].len() > 1);
        let has_curves = many(Role::Step) || many(Role::Epoch);
        if names.axes().is_some() || !has_curves || 2 * curves.runs.len() <= survey.rows {
            return Ok(());
        }
        let culprit = (0..self.roles.len()).filter(|i| matches!(self.roles[*i], Role::Axis(_))).max_by_key(|i| survey.distinct[*i].len());
        let Some(culprit) = culprit else { return Ok(()) };
        let (name, runs) = (&self.headers[culprit], curves.runs.len());
        Err(self.wrong(&format!(
            "{} rows would be {runs} runs, because the column `{name}` has {} values; --map {name}=ignore leaves it out, --axes says which columns tell arms apart",
            survey.rows,
            survey.distinct[culprit].len()
        )))
    }

    /// Puts a row's values to its run.
    fn take(&self, record: &StringRecord, from_zero: bool, names: &Names, curves: &mut Curves) -> Result<(), Error> {
        let text = |i: usize| record.get(i).unwrap_or_default();
        let filled = |role: &Role| self.at(role).filter(|i| !text(*i).is_empty());
        let whole = |role: &Role| match filled(role) {
            Some(i) => count(text(i)).map(Some).ok_or_else(|| self.cell(record, i, "no whole number")),
            None => Ok(None),
        };
        let number = |i: usize| text(i).parse::<f64>().map_err(|_| self.cell(record, i, "no number"));
        let (step_column, epoch_column) = (self.at(&Role::Step), self.at(&Role::Epoch));
        let epoch = whole(&Role::Epoch)?.map(|n| n.saturating_add(u64::from(from_zero)));
        let Some(step) = whole(&Role::Step)?.or(if step_column.is_none() { epoch } else { None }) else {
            return Err(self.cell(record, step_column.or(epoch_column).unwrap_or_default(), "no whole number"));
        };
        let mut key = RunKey { axes: vec![], seed: whole(&Role::Seed)?, name: filled(&Role::Run).map(|i| text(i).to_owned()) };
        for (i, role) in self.roles.iter().enumerate().filter(|(i, _)| !text(*i).is_empty()) {
            if let Role::Axis(name) = role {
                if text(i).len() > MAX_TEXT {
                    return Err(self.cell(record, i, "too long to tell arms apart"));
                }
                key.axes.push((name.clone(), value(text(i))));
            }
        }
        let split = match filled(&Role::Split) {
            Some(i) => Some(names::split(text(i)).ok_or_else(|| self.cell(record, i, "no split; there are train, validation and test"))?),
            // Where rows are epochs, a loss is that of the epoch.
            None => step_column.is_none().then_some(Split::Train),
        };
        let on_split = |metric: MetricRole| split.map_or(metric, |split| metric.on(split));
        let mut values = vec![];
        for (i, role) in self.roles.iter().enumerate().filter(|(i, _)| !text(*i).is_empty()) {
            if let Role::Metric(metric) = role {
                // Where rows are epochs, there is no step that it could be of.
                if step_column.is_none() && matches!(metric, MetricRole::Lr | MetricRole::GradNorm) {
                    curves.left_out.insert(self.headers[i].clone());
                    continue;
                }
                values.push((i, on_split(*metric), number(i)?));
            }
        }
        if let (Some(name), Some(i)) = (filled(&Role::MetricName), filled(&Role::Value)) {
            match names.metric(text(name)) {
                Some(metric) => values.push((i, on_split(metric), number(i)?)),
                None if names.is_named(text(name)) => {}
                None => drop(curves.left_out.insert(text(name).to_owned())),
            }
        }
        let wall = filled(&Role::WallTime).map(number).transpose()?.filter(|x| x.is_finite());
        let mut at = At { epoch: epoch.unwrap_or(0), examples: whole(&Role::Examples)?.unwrap_or(0), elapsed_ms: 0.0 };
        for unit in [1, 1000] {
            if let Some(i) = filled(&Role::Elapsed(unit)) {
                at.elapsed_ms = number(i)? * f64::from(unit);
            }
        }
        let records = curves.run(key);
        if let Some(wall) = wall {
            at.elapsed_ms = (wall - *records.started.get_or_insert(wall)).max(0.0) * 1e3;
        }
        if !at.elapsed_ms.is_finite() {
            at.elapsed_ms = 0.0;
        }
        for (i, metric, x) in values {
            if !records.put(step, metric, x, at) {
                let what = format!(
                    "not the only value of this run at step {step}; is a column missing that tells runs apart (a seed, a run), or is one to be named (--axes lr)?"
                );
                return Err(self.cell(record, i, &what));
            }
        }
        Ok(())
    }
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
    use tracker::import::{ImportedEval, ImportedStep};

    use super::*;

    fn names(own: &[(&str, &str)], axes: Option<&[&str]>) -> Names {
        let own: Vec<_> = own.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let axes: Option<Vec<String>> = axes.map(|axes| axes.iter().map(|a| (*a).to_owned()).collect());
        Names::new(&own, axes.as_deref()).unwrap()
    }

    fn read(text: &str, names: &Names) -> Result<Curves, String> {
        parse(text.as_bytes(), "r.csv", names).map_err(|e| e.to_string())
    }

    /// What the runs of a file are called, their seeds, steps and evaluations.
    fn runs(text: &str, names: &Names) -> Vec<(RunKey, Vec<ImportedStep>, Vec<ImportedEval>)> {
        let runs = read(text, names).unwrap().runs.into_iter();
        runs.map(|(key, records)| (key, records.finish())).map(|(key, (steps, evals))| (key, steps, evals)).collect()
    }

    #[test]
    fn a_file_of_kerass_logger_is_read() {
        let text = "epoch,accuracy,loss,val_accuracy,val_loss\n0,0.5,1.5,0.6,1.25\n1,0.7,0.5,nan,inf\n";
        let runs = runs(text, &names(&[], None));
        let (key, steps, evals) = &runs[0];
        assert_eq!((key, steps.len()), (&RunKey::default(), 0));
        let of: Vec<_> = evals.iter().map(|e| (e.step, e.split, e.loss.unwrap(), e.accuracy.unwrap().is_nan())).collect();
        assert_eq!(of[..3], [(1, Split::Train, 1.5, false), (1, Split::Validation, 1.25, false), (2, Split::Train, 0.5, false)]);
        assert_eq!(of[3], (2, Split::Validation, f64::INFINITY, true));
    }

    #[test]
    fn rows_of_one_step_come_together_and_runs_apart() {
        // As Lightning's logger has it: what was logged at other moments stands in other rows.
        let text = "lr,seed,step,epoch,train_loss_step,val_loss,note\n0.1,1,50,0,0.9,,a\n0.1,1,50,0,,0.8,b\n0.2,1,50.0,0,0.7,,c\n0.1,2,50,0,0.6,,d\n";
        let read = read(text, &names(&[], Some(&["lr"]))).unwrap();
        assert_eq!(read.left_out.iter().collect::<Vec<_>>(), ["note"]);
        let runs = runs(text, &names(&[], Some(&["lr"])));
        assert_eq!(runs.len(), 3);
        let (key, steps, evals) = &runs[0];
        assert_eq!((key.axes[0].1.to_string().as_str(), key.seed, steps[0].loss, evals[0].loss), ("0.1", Some(1), 0.9, Some(0.8)));
        assert_eq!((steps[0].lr, steps[0].grad_norm), (None, None), "what is not known is not made up");
    }

    #[test]
    fn long_files_and_splits_in_a_column_are_read() {
        let long = "run;step;metric;value\na;1;val_loss;0.5\na;1;train/accuracy;0.25\na;1;f1;0.9\nb;1;val_loss;0.75\n";
        let runs_of_long = runs(long, &names(&[], None));
        assert_eq!(read(long, &names(&[], None)).unwrap().left_out.iter().collect::<Vec<_>>(), ["f1"]);
        let of: Vec<_> =
            runs_of_long.iter().map(|(key, _, evals)| (key.name.as_deref(), evals.len(), evals.last().unwrap().loss)).collect();
        assert_eq!(of, [(Some("a"), 2, Some(0.5)), (Some("b"), 1, Some(0.75))]);
        let split = "split,step,loss,Wall time\ntrain,5,0.5,100.5\nval,5,0.25,102\n";
        let evals = &runs(split, &names(&[], None))[0].2;
        assert_eq!(
            evals.iter().map(|e| (e.split, e.loss)).collect::<Vec<_>>(),
            [(Split::Train, Some(0.5)), (Split::Validation, Some(0.25))]
        );
        assert!((evals[0].elapsed_ms - 1500.0).abs() < 1e-9, "since the first row");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let none = names(&[], None);
        for (text, message) in [
            ("", "it has neither a column `step` nor one `epoch`; --map NAME=step says which it is"),
            ("step\n1\n", "none of its columns is a metric; --map NAME=validation_loss says which is one"),
            ("step,loss\n1,a\n", "line 2, column `loss`: `a` is no number"),
            ("step,loss\n-1,2\n", "line 2, column `step`: `-1` is no whole number"),
            ("step,loss\n,2\n", "line 2, column `step`: `` is no whole number"),
            ("step,loss\n1,2,3\n", "line 2 has 3 columns, and the first has 2"),
            ("step,loss,Loss\n1,2,3\n", "the columns `loss` and `Loss` would mean the same; --map Loss=ignore leaves one out"),
            ("step,loss,split\n1,2,x\n", "line 2, column `split`: `x` is no split; there are train, validation and test"),
            (
                "step,loss,f1\n1,2,0.5\n2,3,0.6\n3,4,0.7\n",
                "3 rows would be 3 runs, because the column `f1` has 3 values; --map f1=ignore leaves it out, --axes says which columns tell arms apart",
            ),
        ] {
            assert_eq!(read(text, &none).unwrap_err(), format!("r.csv: {message}"));
        }
        assert!(
            read("step,loss\n1,2\n1,3\n", &none)
                .unwrap_err()
                .contains("line 3, column `loss`: `3` is not the only value of this run at step 1")
        );
        assert!(read("step,loss\n1,2\n", &names(&[], Some(&["lr"]))).unwrap_err().contains("there is no column `lr`"));
        assert!(!read("step,loss\n1,\u{1b}[2J\n", &none).unwrap_err().contains('\u{1b}'));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z0-9,.\\-\"\n ]{0,80}") {
            let _ = read(&text, &names(&[], None));
        }

        #[test]
        fn numbers_keep_their_bits(x in proptest::num::f64::ANY) {
            let curves = read(&format!("step,loss\n1,{x}\n"), &names(&[], None)).unwrap();
            let (steps, _) = curves.runs.into_iter().next().unwrap().1.finish();
            prop_assert!(steps[0].loss.to_bits() == x.to_bits() || steps[0].loss.is_nan() && x.is_nan());
        }
    }
}
