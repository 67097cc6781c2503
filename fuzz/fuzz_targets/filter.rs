//! `--filter`: any text is a filter or an error, and a filter holds where its opposite does not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spec::{Filter, Value};

fn run(key: &str) -> Option<Value> {
    Some(match key {
        "lr" => Value::Float(0.1),
        "steps" => Value::Int(7),
        "nesterov" => Value::Bool(true),
        "optimizer" => Value::Text("adam".into()),
        _ => return None,
    })
}

fuzz_target!(|text: &str| {
    let Ok(filter) = text.parse::<Filter>() else { return };
    // Deep ones have no room for one more.
    let Ok(opposite) = format!("not ({text})").parse::<Filter>() else { return };
    assert_eq!(filter.matches(run), !opposite.matches(run));
    assert_eq!(filter.keys(), opposite.keys());
});
