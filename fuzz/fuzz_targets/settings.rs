//! JSON that a database holds: it reads as something, and that reads back as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spec::analysis::Settings;
use spec::record::LayerFacts;

fuzz_target!(|text: &str| {
    let settings = Settings::from_json(text);
    assert_eq!(Settings::from_json(&settings.to_json()), settings);
    let layers = LayerFacts::from_json(text);
    assert_eq!(LayerFacts::from_json(&LayerFacts::to_json(&layers)), layers);
});
