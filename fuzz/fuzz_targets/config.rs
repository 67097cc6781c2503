//! The canonical form of a configuration: it reads back bit by bit, and nothing else reads.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spec::{Config, Value};

fuzz_target!(|input: (&str, Vec<(&str, u8, u64)>)| {
    let (text, fields) = input;
    if let Ok(config) = Config::from_json(text) {
        assert_eq!(config.json(), text);
        let parsed: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(parsed.as_object().map_or(0, serde_json::Map::len), config.iter().count());
    }
    let mut config = Config::default();
    for (key, kind, bits) in fields {
        let value = match kind % 4 {
            0 => Value::Bool(bits & 1 == 1),
            1 => Value::Int(bits.cast_signed()),
            // A grid file has no others, and no negative zero.
            2 if f64::from_bits(bits).is_finite() => Value::Float(f64::from_bits(bits) + 0.0),
            _ => Value::Text(key.chars().rev().collect::<String>().into()),
        };
        config.insert(key, value);
    }
    let back = Config::from_json(&config.json()).expect("a canonical form");
    assert_eq!(back.run_id(1), config.run_id(1));
    let bits = |config: &Config| config.iter().map(|(_, v)| v.number().map(f64::to_bits)).collect::<Vec<_>>();
    assert_eq!((bits(&back), &back), (bits(&config), &config));
});
