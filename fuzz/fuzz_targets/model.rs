//! Model files, with their parameters at their defaults and at other values that they accept.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spec::Value;
use spec::model::{Graph, Model};

fuzz_target!(|bytes: &[u8]| {
    let Some((&[pick, how], text)) = bytes.split_first_chunk::<2>() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let model = match Model::parse("fuzz", "fuzz.toml", text) {
        Ok(model) => model,
        Err(error) => return assert!(fuzz::is_printable(&error.to_string()), "{error:?}"),
    };
    let graph = model.graph(|_| None).expect("checked with its defaults");
    check(&graph, &model);
    let choice = model.choice();
    if choice.keys.is_empty() {
        return;
    }
    let key = &choice.keys[usize::from(pick) % choice.keys.len()];
    let value = match how % 8 {
        0 => Value::Bool(how & 8 == 0),
        1 => Value::Int(0),
        2 => Value::Int(i64::from(how)),
        3 => Value::Int(i64::MAX >> (how / 4)),
        4 => Value::Int(-i64::from(how)),
        5 => Value::Float(f64::from(how) / 128.0),
        6 => Value::Float(1e300),
        _ => Value::Text(["same", "valid", "relu", "classes", "conv2d", ""][usize::from(how / 8) % 6].into()),
    };
    if key.kind.fit(&value).is_ok() {
        match model.graph(|name| (name == key.name).then(|| value.clone())) {
            Ok(graph) => check(&graph, &model),
            Err(misfit) => assert!(fuzz::is_printable(&misfit.diagnostic.to_string())),
        }
    }
});

fn check(graph: &Graph, model: &Model) {
    let text = graph.to_string();
    let back: Graph = text.parse().expect("a network reads back");
    assert_eq!(back.to_string(), text);
    assert!(graph.nodes.iter().map(|n| (&n.layer, &n.inputs)).eq(back.nodes.iter().map(|n| (&n.layer, &n.inputs))));
    let classes = model.classes.unwrap_or(10);
    for input in [model.input.as_deref().unwrap_or(&[28, 28, 1]), &[8, 8, 3], &[16, 4], &[4, 8, 8, 2]] {
        if let Ok(rows) = engine::summary(graph, input, classes) {
            assert_eq!(rows.len(), graph.nodes.len());
            for row in rows {
                assert!(!row.output.is_empty() && row.output.iter().all(|n| *n > 0), "{row:?}");
                let parameters: usize = row.parameter_tensors.iter().map(|t| t.iter().product::<usize>()).sum();
                assert_eq!(parameters as u64, row.parameters);
            }
        }
        let _ = engine::check(graph, input, classes);
    }
}
