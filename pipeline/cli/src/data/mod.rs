//! `pipeline data`: which datasets there are, getting them, looking at them.

mod download;
mod fetch;
mod raster;
mod show;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use engine::Catalog;
use engine::data::{DataError, Dataset, official};
use serde_json::{Value, json};
use spec::grid::Catalog as _;
use spec::vocabulary::Absent;
use spec::{Choice, Vocabulary};

use crate::args::{Data, DataCommand, DataList};
use crate::error::Expected;
use crate::output::{bytes, inert, shape, visible};

pub fn data(quiet: bool, args: &Data) -> Result<ExitCode> {
    match &args.command {
        None => list(&args.list),
        Some(DataCommand::List(args)) => list(args),
        Some(DataCommand::Fetch(args)) => fetch::fetch(quiet, args),
        Some(DataCommand::Show(args)) => show::show(args),
    }
}

/// The dataset of that name.
fn named<'v>(vocabulary: &'v Vocabulary, name: &str) -> Result<&'v Choice> {
    vocabulary.datasets.iter().find(|choice| choice.name == name).ok_or_else(|| {
        let names: Vec<&str> = vocabulary.datasets.iter().map(|choice| choice.name).collect();
        let hint = match spec::vocabulary::suggest(name, names.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("known: {}", names.join(", ")),
        };
        Expected::Usage(format!("unknown dataset `{name}`; {hint}")).into()
    })
}

/// What is known of a dataset on this machine.
enum State {
    /// It can't be looked for before these keys have a value.
    Asks(Vec<&'static str>),
    Here(Facts),
    NotFound {
        looked: Vec<String>,
    },
    /// It is there, and is not what it should be.
    Broken(String),
}

/// A dataset without its examples.
struct Facts {
    train: usize,
    test: usize,
    shape: Vec<usize>,
    classes: usize,
    checksum: String,
}

impl Facts {
    fn of(dataset: &Dataset) -> Self {
        Facts {
            train: dataset.train.labels.len(),
            test: dataset.test.labels.len(),
            shape: dataset.shape.clone(),
            classes: dataset.classes(),
            checksum: dataset.checksum.clone(),
        }
    }
}

fn list(args: &DataList) -> Result<ExitCode> {
    crate::grids::check_data_dir(args.data_dir.as_ref())?;
    let catalog = Catalog::new(args.data_dir.clone());
    let choices = &catalog.vocabulary().datasets;
    // Reading one means unpacking and summing it up; they are read at the same time, and none is kept.
    let states: Vec<State> = std::thread::scope(|scope| {
        let readers: Vec<_> = choices.iter().map(|choice| scope.spawn(|| state(choice, args))).collect();
        readers.into_iter().map(|reader| reader.join().unwrap_or_else(|_| State::Broken("reading it failed".into()))).collect()
    });
    let mut out = std::io::stdout().lock();
    if args.json {
        let all: Vec<Value> = choices.iter().zip(&states).map(|(choice, state)| object(choice, state)).collect();
        writeln!(out, "{}", inert(&format!("{:#}", json!(all))))?;
    } else {
        for (choice, state) in choices.iter().zip(&states) {
            writeln!(out, "{}: {}", choice.name, choice.doc)?;
            for line in lines(choice, state) {
                writeln!(out, "  {}", visible(&line))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn state(choice: &Choice, args: &DataList) -> State {
    let asks: Vec<&str> = choice.keys.iter().filter(|key| key.default == Absent::Required).map(|key| key.name).collect();
    if !asks.is_empty() {
        return State::Asks(asks);
    }
    match engine::data::load(&engine::data::defaults(choice), args.data_dir.as_deref()) {
        Ok(dataset) => State::Here(Facts::of(&dataset)),
        Err(DataError::NotFound { looked, .. }) => State::NotFound { looked },
        Err(e) => State::Broken(e.to_string()),
    }
}

/// The command that downloads a dataset, if it can be downloaded.
fn fetch_command(choice: &Choice) -> Option<String> {
    (!official(choice.name).is_empty()).then(|| format!("pipeline data fetch {}", choice.name))
}

/// The command that draws one that asks for keys.
fn show_command(choice: &Choice, asks: &[&str]) -> String {
    let set: Vec<String> = asks.iter().map(|key| format!("--set {key}={}", key.to_uppercase())).collect();
    format!("pipeline data show {} {}", choice.name, set.join(" "))
}

fn lines(choice: &Choice, state: &State) -> Vec<String> {
    match state {
        State::Here(f) => vec![format!(
            "here: {} training and {} test examples of {}, {} classes, SHA-256 {}",
            f.train,
            f.test,
            shape(&f.shape),
            f.classes,
            f.checksum
        )],
        State::NotFound { looked } => {
            let mut lines = vec![format!("not here; looked in {}", looked.join(", "))];
            let size: u64 = official(choice.name).iter().map(|file| file.bytes).sum();
            lines.extend(fetch_command(choice).map(|command| format!("`{command}` downloads it ({})", bytes(size))));
            lines
        }
        State::Broken(why) => why.lines().map(|line| format!("unusable: {}", line.trim())).collect(),
        State::Asks(asks) => {
            let key = |name: &&str| choice.keys.iter().find(|key| key.name == *name);
            let mut lines: Vec<String> = asks.iter().filter_map(key).map(|key| format!("needs `{}`: {}", key.name, key.doc)).collect();
            lines.push(format!("`{}` draws some of it", show_command(choice, asks)));
            lines
        }
    }
}

/// For programs.
fn object(choice: &Choice, state: &State) -> Value {
    let mut object = json!({ "name": choice.name, "doc": choice.doc, "fetch": fetch_command(choice) });
    let more = match state {
        State::Here(f) => json!({ "state": "here", "train_examples": f.train, "test_examples": f.test, "shape": f.shape,
                                  "classes": f.classes, "sha256": f.checksum }),
        State::NotFound { looked } => json!({ "state": "missing", "looked": looked }),
        State::Broken(why) => json!({ "state": "unusable", "why": why }),
        State::Asks(asks) => json!({ "state": "needs", "needs": asks, "show": show_command(choice, asks) }),
    };
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    object
}
