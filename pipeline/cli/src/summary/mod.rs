//! `pipeline summary`: the layers of a model as a table or a drawing.

mod drawing;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use engine::{Catalog, LayerRow};
use spec::Value;
use spec::model::{Library, Model};
use tracker::query::{Answer, Cell};

use crate::args::{Format, Summary, SummaryFormat};
use crate::error::Expected;
use crate::output::{self, shape, visible};

/// What a model is built for if neither it nor the command line says so: a Fashion-MNIST image.
const DEFAULT_INPUT: ([usize; 3], usize) = ([28, 28, 1], 10);

pub fn summary(args: &Summary) -> Result<ExitCode> {
    let library = Library::with_folder(&args.models)?;
    let single;
    let model = if Path::new(&args.model).extension().is_some_and(|e| e == "toml") {
        let path = Path::new(&args.model);
        let text = crate::grids::read(path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        single = Model::parse(&name, &args.model, &text).map_err(|e| Expected::Usage(e.to_string()))?;
        &single
    } else {
        named(&library, args)?
    };
    let settings = settings(model, &args.set)?;
    let value_of = |key: &str| settings.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
    let graph = model.graph(value_of).map_err(|misfit| Expected::Usage(misfit.diagnostic.to_string()))?;
    let (input, classes) = input(model, args)?;
    let rows = engine::summary(&graph, &input, classes).map_err(|e| Expected::Usage(e.to_string()))?;
    let title = visible(&format!("{}: {}", model.name, model.about)).into_owned();
    let mut out = std::io::stdout().lock();
    let format = match args.format {
        _ if args.json => Format::Json,
        SummaryFormat::Dot => {
            write!(out, "{}", drawing::dot(&title, &boxes(&input, &rows)))?;
            return Ok(ExitCode::SUCCESS);
        }
        SummaryFormat::Svg => {
            write!(out, "{}", drawing::svg(&title, &boxes(&input, &rows)))?;
            return Ok(ExitCode::SUCCESS);
        }
        SummaryFormat::Table => Format::Table,
        SummaryFormat::Csv => Format::Csv,
        SummaryFormat::Json => Format::Json,
        SummaryFormat::Markdown => Format::Markdown,
    };
    let for_people = matches!(format, Format::Table | Format::Markdown);
    if for_people {
        writeln!(out, "{title}\ninput {}, {classes} classes\n", shape(&input))?;
    }
    drop(out);
    output::print(&table(&rows, for_people), format)?;
    Ok(ExitCode::SUCCESS)
}

fn named<'a>(library: &'a Library, args: &Summary) -> Result<&'a Model> {
    match library.model(&args.model) {
        Some(Ok(model)) => Ok(model),
        Some(Err(diagnostic)) => Err(Expected::Usage(diagnostic.to_string()).into()),
        None => {
            let names: Vec<&str> = library.names().collect();
            let hint = match spec::vocabulary::suggest(&args.model, names.iter().copied()) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("known: {}", names.join(", ")),
            };
            Err(Expected::Usage(format!("unknown model `{}`; {hint}", args.model)).into())
        }
    }
}

/// `hidden=32` sets the key `model.hidden`.
fn settings(model: &Model, given: &[String]) -> Result<Vec<(String, Value)>> {
    let keys: Vec<&str> = model.choice().keys.iter().map(|k| k.name).collect();
    given
        .iter()
        .map(|text| {
            let Some((name, value)) = text.split_once('=') else {
                return Err(Expected::Usage(format!("--set {text}: write NAME=VALUE, such as hidden=32")).into());
            };
            let key = format!("model.{}", name.trim().trim_start_matches("model."));
            if !keys.contains(&key.as_str()) {
                let known = if keys.is_empty() { "it has none".to_owned() } else { format!("it has {}", keys.join(", ")) };
                return Err(Expected::Usage(format!("--set {text}: {} has no parameter `{key}`; {known}", model.name)).into());
            }
            Ok((key, scalar(value.trim())))
        })
        .collect()
}

/// A switch, a number, or else a text.
fn scalar(text: &str) -> Value {
    match (text.parse::<bool>(), text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(b), ..) => Value::Bool(b),
        (_, Ok(i), _) => Value::Int(i),
        (.., Ok(x)) if x.is_finite() => Value::Float(x),
        _ => Value::Text(text.to_owned().into()),
    }
}

/// Shape of an example and number of classes: as asked for, else the dataset's, else the model's own.
fn input(model: &Model, args: &Summary) -> Result<(Vec<usize>, usize)> {
    let dataset = args.dataset.as_ref().map(|name| Catalog::new(args.data_dir.clone()).dataset_named(name)).transpose()?;
    let own = (model.input.clone().unwrap_or_else(|| DEFAULT_INPUT.0.to_vec()), model.classes.unwrap_or(DEFAULT_INPUT.1));
    let (shape, classes) = dataset.map_or(own, |d| (d.shape.clone(), d.classes()));
    Ok((args.input.as_ref().map_or(shape, |s| s.0.clone()), args.classes.map_or(classes, usize::from)))
}

fn table(rows: &[LayerRow], with_totals: bool) -> Answer {
    let columns = ["layer", "name", "what", "takes from", "output", "parameters", "multiply-adds", "activation bytes"];
    let text = |s: String| Cell::Text(s);
    let count = |n: u64| Cell::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    let name = |i: usize| i.checked_sub(1).map_or("input".to_owned(), |i| rows[i].name.clone());
    let mut cells: Vec<Vec<Cell>> = vec![];
    for (i, row) in rows.iter().enumerate() {
        let from = row.inputs.iter().map(|i| name(*i)).collect::<Vec<_>>().join(", ");
        let counts = [row.parameters, row.multiply_adds, row.activation_bytes].map(count);
        cells.push(
            [count(i as u64 + 1), text(row.name.clone()), text(row.text.clone()), text(from), text(shape(&row.output))]
                .into_iter()
                .chain(counts)
                .collect(),
        );
    }
    if with_totals {
        let sum = |of: fn(&LayerRow) -> u64| count(rows.iter().map(of).sum());
        let empty = || text(String::new());
        let totals = [sum(|r| r.parameters), sum(|r| r.multiply_adds), sum(|r| r.activation_bytes)];
        cells.push([empty(), text("total".into()), empty(), empty(), empty()].into_iter().chain(totals).collect());
    }
    Answer { columns: columns.map(str::to_owned).to_vec(), rows: cells }
}

fn boxes(input: &[usize], rows: &[LayerRow]) -> Vec<drawing::Box> {
    let data = drawing::Box { title: "input".into(), lines: vec![String::new(), shape(input)], inputs: vec![] };
    let layer = |row: &LayerRow| {
        let parameters = if row.parameters > 0 { format!("{} parameters", row.parameters) } else { String::new() };
        let output = if parameters.is_empty() { shape(&row.output) } else { format!("{} · {parameters}", shape(&row.output)) };
        drawing::Box { title: row.name.clone(), lines: vec![row.text.clone(), output], inputs: row.inputs.clone() }
    };
    std::iter::once(data).chain(rows.iter().map(layer)).collect()
}
