//! Tests of the sensitivity figure: one mark per run, gaps, and the strip of diverged runs.
//! Run by `cargo test`; they look at the SVG text only.

use super::*;

fn figure(points: &[(f64, &[f64], usize)]) -> Sensitivity {
    let points = points.iter().map(|(x, values, diverged)| SensitivityPoint { x: *x, values: values.to_vec(), diverged: *diverged });
    let series = SensitivitySeries { label: "sgd".into(), color: Color::rgb(0, 114, 178), dash: None, points: points.collect() };
    let (x, y) = (Axis::log("learning rate"), Axis::linear("loss"));
    Sensitivity { title: "t".into(), subtitle: None, x, y, series: vec![series], rules: Vec::new(), names: vec![(2000.0, "full".into())] }
}

fn crosses(svg: &str) -> usize {
    svg.matches("m0 -5.2").count()
}

#[test]
fn every_seed_is_a_mark_and_every_diverged_run_a_cross() {
    let svg = figure(&[(0.1, &[1.0, 2.0], 0), (1.0, &[1.0, f64::NAN], 1), (10.0, &[], 3)]).svg();
    assert_eq!((svg.matches("<circle").count(), crosses(&svg)), (3, 5));
    assert!(svg.contains(">diverged<") && !svg.contains("NaN"));
    for label in [">0.1<", ">1<", ">10<"] {
        assert!(svg.contains(label), "{label}");
    }
}

#[test]
fn a_named_setting_is_labelled_by_its_name() {
    let svg = figure(&[(10.0, &[1.0], 0), (2000.0, &[1.0], 0)]).svg();
    assert!(svg.contains(">10<") && svg.contains(">full<") && !svg.contains(">2000<"));
}

#[test]
fn crowded_crosses_become_a_count() {
    let svg = figure(&[(0.1, &[1.0], 0), (1.0, &[], 40)]).svg();
    assert_eq!(crosses(&svg), 1);
    assert!(svg.contains(">40<"));
}

#[test]
fn a_setting_without_completed_runs_breaks_the_line() {
    let svg = figure(&[(0.1, &[1.0], 0), (0.2, &[1.0], 0), (1.0, &[], 1), (2.0, &[1.0], 0), (4.0, &[2.0], 0)]).svg();
    assert_eq!(svg.matches("stroke-width=\"2\" stroke-linejoin").count(), 2);
}

#[test]
fn empty_or_unplaceable_data_give_a_valid_figure() {
    assert!(figure(&[]).svg().contains("no data"));
    let svg = figure(&[(0.0, &[1.0], 1), (-1.0, &[f64::INFINITY], 0)]).svg();
    assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf\""));
}
