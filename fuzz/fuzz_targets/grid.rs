//! Grid files: whatever parses has no more runs than allowed, each with an identity of its own that reads back.
#![no_main]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use fuzz::Words;
use libfuzzer_sys::fuzz_target;
use spec::grid::Catalog;
use spec::model::Graph;
use spec::{Limits, Study, Value};

static WORDS: LazyLock<Words> = LazyLock::new(Words::default);
const LIMITS: Limits = Limits { max_runs: 200 };

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let study = match Study::parse("fuzz", "fuzz.toml", text, &*WORDS, LIMITS) {
        Ok(study) => study,
        Err(error) => {
            assert!(error.line <= text.matches('\n').count() + 1 && error.column <= text.len() + 1);
            assert!(fuzz::is_printable(&error.to_string()), "{error:?}");
            return;
        }
    };
    let mut ids = BTreeSet::new();
    let mut count = 0;
    for (_, run) in study.runs() {
        count += 1;
        assert!(ids.insert(run.id), "two runs of one identity");
    }
    assert!((1..=LIMITS.max_runs).contains(&count));
    for arm in &study.arms {
        assert_eq!(spec::Config::from_json(&arm.config.json()).as_ref(), Ok(&arm.config));
        let json: serde_json::Value = serde_json::from_str(&arm.config.json()).expect("canonical JSON");
        assert_eq!(json.as_object().map_or(0, serde_json::Map::len), arm.config.iter().count());
        for (key, value) in arm.config.iter() {
            match value {
                Value::Bool(b) => assert_eq!(json[key], *b),
                Value::Int(i) => assert_eq!(json[key], *i),
                Value::Text(text) => assert_eq!(json[key], text.as_ref()),
                Value::Float(x) => assert!(x.is_finite() && value.json().parse() == Ok(*x)),
            }
        }
        if let Some(graph) = &arm.graph {
            let definition = arm.config.text("model_definition").expect("a definition");
            assert_eq!(definition, graph.to_string());
            assert_eq!(definition.parse::<Graph>().expect("a network").to_string(), definition);
        }
    }
    assert!(WORDS.vocabulary().keys().count() > 0);
});
