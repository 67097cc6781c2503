//! JSON that a database holds: it reads as something, and that reads back as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spec::analysis::Settings;
use spec::record::LayerFacts;

fuzz_target!(|text: &str| {
    let settings = Settings::from_json(text);
    let again = Settings::from_json(&settings.to_json());
    assert_eq!((&again.compare, again.order), (&settings.compare, settings.order));
    assert!(is_close(again.margin, settings.margin) && again.thresholds.keys().eq(settings.thresholds.keys()));
    assert!(again.thresholds.values().zip(settings.thresholds.values()).all(|(a, b)| is_close(Some(*a), Some(*b))));
    // Decimals as people write them; of 16 digits and more, the last bit may get lost.
    if let Some((number, _)) = text.as_bytes().split_first_chunk::<5>() {
        let margin =
            Some(f64::from(u32::from_le_bytes([number[0], number[1], number[2], number[3]])) / 10f64.powi(i32::from(number[4] % 16)));
        let settings = Settings { margin, ..Settings::default() };
        assert_eq!(Settings::from_json(&settings.to_json()), settings);
    }
    let layers = LayerFacts::from_json(text);
    assert_eq!(LayerFacts::from_json(&LayerFacts::to_json(&layers)), layers);
});

/// Up to the last bit, which serde_json may get wrong.
fn is_close(a: Option<f64>, b: Option<f64>) -> bool {
    a.zip(b).map_or(a == b, |(a, b)| (a - b).abs() <= 1e-15 * b.abs() + f64::MIN_POSITIVE)
}
