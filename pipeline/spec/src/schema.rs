//! A JSON Schema of grid files for editors, generated from the [`Vocabulary`].

use serde_json::{Map, Value as Json, json};

use crate::analysis::{THRESHOLDS, Threshold};
use crate::metric::{Metric, Split};
use crate::vocabulary::{Absent, Key, Kind, Set, Vocabulary};

/// The schema (draft 2020-12), pretty-printed, with a final newline.
pub fn json_schema(vocabulary: &Vocabulary) -> String {
    let mut settings = Map::new();
    let mut axes = Map::new();
    for (_, key) in vocabulary.keys() {
        // The parameters of models stand in the table `model`, below.
        if settings.contains_key(key.name) || key.name.starts_with("model.") {
            continue;
        }
        let value = scalar(key, vocabulary);
        let list = json!({ "type": "array", "items": value, "minItems": 1 });
        let forms = if key.kind.is_number() { vec![list, json!({ "$ref": "#/$defs/range" })] } else { vec![list] };

        axes.insert(key.name.into(), json!({ "description": describe(key, vocabulary), "anyOf": forms }));
        settings.insert(key.name.into(), value);
    }
    let name = json!({ "type": "string" });
    let names = json!({ "type": "array", "items": name, "minItems": 1 });
    let setting = json!({ "anyOf": [name, with_parameters(&name, "#/$defs/scalar")] });
    settings["model"]["anyOf"] = setting["anyOf"].clone();
    axes["model"]["anyOf"] = json!([names, with_parameters(&names, "#/$defs/axis")]);
    let mut matches: Map<String, Json> = settings
        .iter()
        .map(|(k, v)| (k.clone(), json!({ "anyOf": [v, { "type": "array", "items": v }, { "$ref": "#/$defs/range" }] })))
        .collect();
    let either = json!({ "anyOf": [name, names] });
    matches["model"] = json!({ "anyOf": [name, names, with_parameters(&either, "#/$defs/matched")] });
    let closed = |properties: &Map<String, Json>| json!({ "type": "object", "properties": properties, "patternProperties": { "^model\\.": true }, "additionalProperties": false });
    let metrics: Vec<&str> = Metric::ALL.iter().filter(|m| m.split != Split::Test).map(|m| m.name()).collect();
    let targets: Map<String, Json> = metrics
        .iter()
        .map(|m| ((*m).to_owned(), json!({ "anyOf": [{ "type": "number" }, { "type": "array", "items": { "type": "number" } }] })))
        .collect();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Experiment grid",
        "description": "One study: a question, the configuration that every run starts from, the axes that vary, and the seeds.",
        "type": "object",
        "required": ["study", "base"],
        "additionalProperties": false,
        "properties": {
            "study": {
                "type": "object",
                "required": ["question"],
                "additionalProperties": false,
                "properties": {
                    "question": { "type": "string", "description": "what the study answers" },
                    "hypothesis": { "type": "string", "description": "what is expected, stated beforehand" },
                    "metric": { "enum": metrics, "default": "validation_accuracy", "description": "the metric that decides between arms" },
                    "targets": { "type": "object", "properties": targets, "additionalProperties": false, "description": "thresholds for time to target" }
                }
            },
            "analysis": analysis(&name, &names),
            "base": { "$ref": "#/$defs/settings", "description": "the configuration that every run starts from" },
            "grid": { "$ref": "#/$defs/axes", "description": "axes; every combination is an arm" },
            "zip": { "type": "array", "items": { "$ref": "#/$defs/axes" }, "description": "axes of one length that move together" },
            "when": {
                "type": "array",
                "description": "settings and axes that exist only under a condition",
                "items": {
                    "type": "object",
                    "required": ["if"],
                    "additionalProperties": false,
                    "properties": {
                        "if": { "$ref": "#/$defs/match" },
                        "set": { "$ref": "#/$defs/settings" },
                        "grid": { "$ref": "#/$defs/axes" },
                        "zip": { "anyOf": [{ "$ref": "#/$defs/axes" }, { "type": "array", "items": { "$ref": "#/$defs/axes" } }] }
                    }
                }
            },
            "exclude": { "type": "array", "items": { "$ref": "#/$defs/match" }, "description": "combinations that are left out" },
            "runs": { "type": "array", "items": { "$ref": "#/$defs/settings" }, "description": "explicit further arms" },
            "replicates": {
                "type": "object",
                "required": ["seeds"],
                "additionalProperties": false,
                "properties": { "seeds": { "description": "how many repeats of every arm, or their seeds", "anyOf": [{ "type": "integer", "minimum": 1 }, { "type": "array", "items": { "type": "integer", "minimum": 0 }, "minItems": 1, "uniqueItems": true }] } }
            }
        },
        "$defs": {
            "ends": { "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 },
            "range": {
            "type": "object",
            "properties": { "log": { "$ref": "#/$defs/ends" }, "linear": { "$ref": "#/$defs/ends" }, "points": { "type": "integer", "minimum": 2 } },
            "required": ["points"],
            "additionalProperties": false
        },
            "scalar": { "type": ["boolean", "number", "string"] },
            "axis": { "anyOf": [{ "type": "array", "items": { "$ref": "#/$defs/scalar" }, "minItems": 1 }, { "$ref": "#/$defs/range" }] },
            "matched": { "anyOf": [{ "$ref": "#/$defs/scalar" }, { "$ref": "#/$defs/axis" }] },
            "settings": closed(&settings),
            "axes": closed(&axes),
            "match": closed(&matches)
        }
    });
    format!("{schema:#}\n")
}

/// `[analysis]`.
fn analysis(name: &Json, names: &Json) -> Json {
    let threshold = |t: &Threshold| {
        let number = json!({ "type": "number", "minimum": t.least, "maximum": t.most, "default": t.default, "description": t.doc });
        (t.name.to_owned(), number)
    };
    let thresholds: Map<String, Json> = THRESHOLDS.iter().map(threshold).collect();
    json!({
        "type": "object",
        "description": "how arms are compared and runs judged; changes no run",
        "additionalProperties": false,
        "properties": {
            "compare": { "description": "axes whose values are compared, each at the best arm that the other axes have for it; unless given, all arms are compared", "anyOf": [name, names] },
            "margin": { "type": "number", "exclusiveMinimum": 0, "description": "differences of the deciding metric up to this are of no consequence" },
            "order": { "type": "integer", "minimum": 0, "description": "place among the studies of a write-up" },
            "diagnosis": { "type": "object", "properties": thresholds, "additionalProperties": false, "description": "thresholds of the diagnosis" }
        }
    })
}

/// `{ name = …, hidden = …, blocks = { inception = { reduce = … } } }`: what there is depends on the model's file.
fn with_parameters(name: &Json, value: &str) -> Json {
    let value = json!({ "$ref": value });
    let blocks = json!({ "type": "object", "additionalProperties": { "type": "object", "additionalProperties": value } });
    json!({ "type": "object", "properties": { "name": name, "blocks": blocks }, "additionalProperties": value })
}

fn scalar(key: &Key, vocabulary: &Vocabulary) -> Json {
    let mut schema = match &key.kind {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Int(r) => json!({ "type": "integer", "minimum": r.start(), "maximum": r.end() }),
        Kind::Float(r) => json!({ "type": "number", "minimum": r.start(), "maximum": r.end() }),
        Kind::OpenFloat(lo, hi) => json!({ "type": "number", "exclusiveMinimum": lo, "exclusiveMaximum": hi }),
        Kind::BatchSize => json!({ "anyOf": [{ "type": "integer", "minimum": 1 }, { "const": "full" }] }),
        // Models are files that may be added.
        Kind::Choice(Set::Model) => json!({}),
        Kind::Text(options) if !options.is_empty() => json!({ "enum": options }),
        Kind::Text(_) => json!({ "type": "string" }),
        Kind::Scalar => json!({ "$ref": "#/$defs/scalar" }),
        Kind::Choice(set) => json!({ "enum": vocabulary.set(*set).iter().map(|c| c.name).collect::<Vec<_>>() }),
    };
    schema["description"] = describe(key, vocabulary).into();
    schema
}

fn describe(key: &Key, vocabulary: &Vocabulary) -> String {
    let mut text = key.doc.to_owned();
    let owners = vocabulary.owners(key.name);
    // What every network's training has need not say whose it is.
    if !owners.is_empty() && !owners.contains(&"classification") {
        text = format!("{text} ({})", owners.join(", "));
    }
    if let Kind::Choice(set) = key.kind {
        for choice in vocabulary.set(set) {
            let parameters: Vec<&str> = choice.keys.iter().filter_map(|k| k.name.strip_prefix("model.")).collect();
            let parameters = if parameters.is_empty() { String::new() } else { format!(" ({})", parameters.join(", ")) };
            text = format!("{text}\n- {}{parameters}: {}", choice.name, choice.doc);
        }
    }
    // Choices that share a key may differ in its default, so a default is only stated where there is one.
    match &key.default {
        Absent::Is(value) | Absent::Neutral(value) if owners.len() <= 1 && !matches!(key.kind, Kind::Choice(Set::Dataset)) => {
            format!("{text}; default {value}")
        }
        _ => text,
    }
}
