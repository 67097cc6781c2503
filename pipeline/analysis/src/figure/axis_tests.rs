//! Tests of scales, mappings and ticks against positions known in closed form.
//! Run by `cargo test`; they know nothing of the drawing code.

use super::*;

fn labels(ticks: &Ticks) -> Vec<&str> {
    ticks.major.iter().map(|(_, label)| label.as_str()).collect()
}

fn mapping(scale: Scale, low: f64, high: f64) -> Mapping {
    Mapping::new(scale, (low, high), (0.0, 100.0))
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs().max(1e-9)
}

#[test]
fn linear_ticks_are_multiples_of_one_two_five() {
    for (low, high, expected) in [
        (0.0, 1.0, vec!["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-0.9, 1.1, vec!["−0.5", "0", "0.5", "1.0"]),
        (0.0, 10_000.0, vec!["0", "2k", "4k", "6k", "8k", "10k"]),
        (0.0, 1.2e6, vec!["0", "0.2M", "0.4M", "0.6M", "0.8M", "1.0M", "1.2M"]),
        (980.0, 1020.0, vec!["980", "990", "1000", "1010", "1020"]),
        (0.0, 4e-5, vec!["0", "1×10⁻⁵", "2×10⁻⁵", "3×10⁻⁵", "4×10⁻⁵"]),
    ] {
        let ticks = mapping(Scale::Linear, low, high).ticks(5);
        assert_eq!(labels(&ticks), expected);
    }
    let ticks = mapping(Scale::Linear, 0.0, 1.0).ticks(5);
    for (k, (value, _)) in (0_u8..).zip(&ticks.major) {
        assert!(close(*value, f64::from(k) / 5.0));
    }
}

#[test]
fn an_axis_of_integers_has_no_fractional_ticks() {
    let axis = Axis::linear("epoch").integers();
    for (high, expected) in [(1.0, vec!["0", "1"]), (3.1, vec!["0", "1", "2", "3"]), (20.8, vec!["0", "5", "10", "15", "20"])] {
        assert_eq!(labels(&Mapping::of(&axis, (0.0, high), (0.0, 100.0)).ticks(5)), expected);
    }
    let free = Mapping::of(&Axis::linear("loss"), (0.0, 1.0), (0.0, 100.0)).ticks(5);
    assert_eq!(free.major.len(), 6);
}

#[test]
fn log_ticks_are_decades_with_minor_ticks() {
    let ticks = mapping(Scale::Log, 1e-4, 10.0).ticks(7);
    assert_eq!(labels(&ticks), ["10⁻⁴", "10⁻³", "10⁻²", "10⁻¹", "10⁰", "10¹"]);
    assert_eq!(ticks.minor.len(), 5 * 8);
    assert!(ticks.major.iter().zip(-4..).all(|((value, _), e)| close(*value, 10f64.powi(e))));
    assert_eq!(labels(&mapping(Scale::Log, 0.01, 3.0).ticks(7)), ["0.01", "0.1", "1"]);
    assert_eq!(labels(&mapping(Scale::Log, 0.04, 3.0).ticks(7)), ["0.05", "0.1", "0.2", "0.5", "1", "2"]);
}

#[test]
fn many_decades_are_labelled_with_a_stride() {
    let ticks = mapping(Scale::Log, 1e-20, 1e10).ticks(7);
    assert_eq!(labels(&ticks), ["10⁻²⁰", "10⁻¹⁵", "10⁻¹⁰", "10⁻⁵", "10⁰", "10⁵", "10¹⁰"]);
}

#[test]
fn less_than_a_decade_falls_back_to_finer_ticks() {
    assert_eq!(labels(&mapping(Scale::Log, 0.15, 0.9).ticks(5)), ["0.2", "0.5"]);
    assert_eq!(labels(&mapping(Scale::Log, 0.06, 0.3).ticks(5)), ["0.1", "0.2"]);
    let narrow = mapping(Scale::Log, 3.1, 3.9).ticks(5);
    assert!(narrow.major.len() >= 2, "{narrow:?}");
}

#[test]
fn mapping_places_limits_and_skips_what_has_no_place() {
    let log = mapping(Scale::Log, 0.01, 1.0);
    assert!(log.at(0.1).is_some_and(|pixel| close(pixel, 50.0)));
    for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(log.at(value), None);
    }
    assert_eq!(log.held(1e30), Some((100.0, 1)));
    assert_eq!(log.held(1e-30), Some((0.0, -1)));
    assert_eq!(log.held(1.0).map(|held| held.1), Some(0));
    let linear = mapping(Scale::Linear, 0.0, 1.0);
    assert!(linear.at(f64::MAX).is_some_and(|pixel| pixel <= FAR));
    assert_eq!(linear.at(f64::NAN), None);
}

#[test]
fn extreme_limits_still_give_finite_ticks() {
    for (low, high) in [(-1e300, 1e300), (1e15, 1e15 + 2.0), (0.0, 5e-320), (1.0, 1.0)] {
        for scale in [Scale::Linear, Scale::Log] {
            let ticks = mapping(scale, low, high).ticks(5);
            assert!(ticks.major.len() <= 12 && ticks.major.iter().all(|(value, _)| value.is_finite()));
        }
    }
}

#[test]
fn short_labels_keep_three_digits() {
    for (value, text) in [(0.000_316_227, "0.000316"), (0.1, "0.1"), (1.0, "1"), (2000.0, "2000"), (3.162, "3.16")] {
        assert_eq!(short(value), text);
    }
    assert_eq!((short(0.0), short(1e-9), short(60_000.0)), ("0".into(), "1.00e−9".into(), "60000".into()));
}
