//! `--filter`: an equation holds where its opposite does not.
#![no_main]

// The program is no library.
#[path = "../../pipeline/cli/src/filter.rs"]
mod filter;

use filter::Filter;
use libfuzzer_sys::fuzz_target;
use spec::{Config, Value};

fuzz_target!(|text: &str| {
    let mut config = Config::default();
    for (key, value) in [("lr", Value::Float(0.1)), ("steps", Value::Int(7)), ("nesterov", Value::Bool(true))] {
        config.insert(key, value);
    }
    config.insert("optimizer", Value::Text("adam".into()));
    let Ok(filter) = text.parse::<Filter>() else { return };
    let all = filter.matches("study", &config, 3);
    let known = ["lr", "steps", "nesterov", "optimizer"];
    let unknown = filter.unknown_key(&known);
    assert!(!all || unknown.is_none(), "a run matches on a key that it doesn't have");
    let mut each = true;
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        let one = word.parse::<Filter>().expect("a word of a filter is one");
        each &= one.matches("study", &config, 3);
        let opposite = word.replacen('=', "!=", 1);
        if let (None, false, Ok(opposite)) = (one.unknown_key(&known), word.contains(['!', '<', '>']), opposite.parse::<Filter>()) {
            assert_ne!(one.matches("study", &config, 3), opposite.matches("study", &config, 3), "{word:?}");
        }
    }
    assert_eq!(all, each);
});
