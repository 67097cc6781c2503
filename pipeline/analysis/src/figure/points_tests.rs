//! Tests of the dot plot: one mark per run, and every diverged run accounted for.
//! Run by `cargo test`; they look at the SVG text only.

use super::*;

fn strip(groups: Vec<Group>) -> Strip {
    Strip { title: "final".into(), subtitle: None, metric: Axis::log("loss"), groups }
}

fn group(values: &[f64], failed: usize) -> Group {
    Group { label: "arm <a>".into(), color: Color::rgb(0, 114, 178), values: values.to_vec(), failed }
}

fn crosses(svg: &str) -> usize {
    svg.matches("m0 -6.4").count()
}

#[test]
fn one_dot_per_seed_and_one_cross_per_diverged_run() {
    let svg = strip(vec![group(&[0.1, 0.2, 0.3], 2)]).svg();
    assert_eq!((svg.matches("<circle").count(), crosses(&svg)), (3, 2));
    assert!(svg.contains(">diverged<") && svg.contains("arm &lt;a&gt;"));
}

#[test]
fn non_finite_values_are_diverged_and_non_positive_ones_are_named() {
    let svg = strip(vec![group(&[0.1, f64::NAN, f64::INFINITY, 0.0], 0)]).svg();
    assert_eq!((svg.matches("<circle").count(), crosses(&svg)), (1, 2));
    assert!(svg.contains("1 non-positive") && !svg.contains("NaN"));
    assert!(svg.contains("2 completed, 2 diverged"));
}

#[test]
fn arms_without_a_completed_run_are_still_rows() {
    let svg = strip(vec![group(&[], 5), group(&[], 30)]).svg();
    assert_eq!((svg.matches(">arm &lt;a&gt;<").count(), crosses(&svg)), (2, 6));
    assert!(svg.contains(">30<") && !svg.contains("no data"));
}

#[test]
fn long_labels_that_differ_in_their_middle_stay_apart() {
    let label = |noise: &str, x: &str| format!("sgd gradient_noise={noise} monkey-saddle start_x={x} start_y=0.001 momentum=0.9 nesterov");
    let arms = [("0", "0"), ("0.05", "0"), ("0", "0.05"), ("0.05", "0.05")];
    let figure = strip(arms.map(|(noise, x)| Group { label: label(noise, x), ..group(&[0.1], 0) }).to_vec());
    let (labels, _) = figure.labels();
    for (lines, (noise, x)) in labels.iter().zip(arms) {
        assert_eq!(lines.join(" "), label(noise, x));
        assert!(lines.len() == 2 && lines.iter().all(|line| text_width(line, FINE) <= LABELS));
    }
    // Even much longer ones are one or two lines.
    let words = "word ".repeat(60);
    let long = strip(["a", "b"].map(|end| Group { label: format!("{words}{end}"), ..group(&[0.1], 0) }).to_vec()).labels().0;
    assert_eq!(long, [["a"], ["b"]]);
    let (word, _) = strip(vec![Group { label: "x".repeat(300), ..group(&[0.1], 0) }]).labels();
    assert!(word[0].len() <= 2 && word[0].iter().all(|line| text_width(line, FINE) <= LABELS), "{word:?}");
}

#[test]
fn nothing_to_show_says_so() {
    assert!(strip(Vec::new()).svg().contains("no data"));
    assert!(strip(vec![group(&[], 0)]).svg().contains("no data"));
}

#[test]
fn values_beyond_fixed_limits_become_triangles() {
    let mut figure = strip(vec![group(&[0.1, 1e9], 0)]);
    figure.metric = figure.metric.clipped((0.01, 1.0));
    let svg = figure.svg();
    assert_eq!((svg.matches("<circle").count(), svg.matches("Z\"").count()), (1, 1));
}
