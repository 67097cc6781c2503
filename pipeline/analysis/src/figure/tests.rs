//! Tests of whole figures: well-formed XML, no stray numbers, one legend, shared axes.
//! Run by `cargo test`; they look at the SVG text only.

use super::*;

/// Checks that tags nest, attributes are quoted, entities are known and every coordinate is a number.
fn assert_well_formed(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = svg;
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "stray > in {}", &rest[..start]);
        for part in rest[..start].split('&').skip(1) {
            assert!(["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|entity| part.starts_with(entity)));
        }
        let end = start + rest[start..].find('>').expect("tag is closed");
        let tag = &rest[start + 1..end];
        assert!(!tag.contains('<') && tag.matches('"').count().is_multiple_of(2), "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap_or_default());
        }
        for (place, value) in tag.split('"').enumerate().filter(|(place, _)| place % 2 == 1) {
            let bad = ["NaN", "inf", "e+", "e3"].iter().any(|word| value.contains(word));
            assert!(!bad || value.starts_with('#'), "attribute {place}: {value}");
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "unclosed: {open:?}");
    assert!(svg.starts_with("<svg ") && svg.contains("role=\"img\"") && svg.contains("<title>"));
}

fn nasty() -> Vec<(f64, f64)> {
    let y = [1.0, f64::NAN, 2.0, f64::INFINITY, 1e30, f64::MAX, -f64::MAX, 0.0, -1.0, 1e-320, 3.0, 2.0];
    (0..12).map(f64::from).zip(y).collect()
}

fn figure(panels: usize) -> Figure {
    let series = |index: usize| {
        let (color, dash) = categorical(index);
        let (line, marks) = (nasty(), nasty());
        let band = line.iter().map(|(x, y)| (*x, y - 1.0, y + 1.0)).collect();
        Series { label: format!("arm <{index}> & co"), color, dash, line, band, marks }
    };
    let rules = vec![Rule { value: 1.5, label: "target \"1.5\"".into() }, Rule { value: f64::NAN, label: "none".into() }];
    let panel =
        |index| Panel { title: Some(format!("panel {index}")), series: (0..3).map(series).collect(), rules: rules.clone(), y: None };
    Figure {
        title: "Loss < 1 & more".into(),
        subtitle: Some("seeds' medians".into()),
        x: Axis::linear("step"),
        y: Axis::log("loss").clipped((0.1, 10.0)),
        panels: (0..panels).map(panel).collect(),
        legend: Legend::Categorical { place: Place::Right },
    }
}

#[test]
fn nasty_values_give_well_formed_figures_on_every_scale_and_legend() {
    let ramp = |place| Legend::Ramp { title: "rate".into(), place };
    let categorical = |place| Legend::Categorical { place };
    for legend in [ramp(Place::Right), ramp(Place::Below), categorical(Place::Right), categorical(Place::Below), Legend::None] {
        for scales in [(Scale::Linear, Scale::Log), (Scale::Log, Scale::Linear)] {
            for clip in [None, Some((0.5, 2.0)), Some((f64::NAN, -1.0))] {
                for panels in [0, 1, 4, 5, 7] {
                    let mut figure = Figure { legend: legend.clone(), ..figure(panels) };
                    (figure.x.scale, figure.y.scale, figure.y.clip) = (scales.0, scales.1, clip);
                    assert_well_formed(&figure.svg());
                }
            }
        }
    }
}

#[test]
fn equal_input_gives_equal_bytes() {
    assert_eq!(figure(3).svg(), figure(3).svg());
}

#[test]
fn panels_share_one_legend_and_outer_tick_labels() {
    let svg = figure(3).svg();
    assert_eq!(svg.matches(">arm &lt;1&gt; &amp; co<").count(), 1);
    assert_eq!(svg.matches(">loss<").count(), 1);
    assert_eq!((svg.matches(">0.1<").count(), svg.matches(">0<").count()), (1, 3));
}

#[test]
fn a_panel_with_limits_of_its_own_shows_them() {
    let mut figure = figure(3);
    figure.panels[1].y = Some(Axis::log("loss").clipped((0.5, 0.9)));
    figure.panels[2].y = Some(Axis::linear("loss").clipped((0.0, 4.0)));
    let svg = figure.svg();
    assert_well_formed(&svg);
    assert_eq!((svg.matches(">0.1<").count(), svg.matches(">0.8<").count(), svg.matches(">3<").count()), (1, 1, 1), "{svg}");
    assert_eq!(svg.matches(">loss<").count(), 1);
}

#[test]
fn exploding_loss_is_clipped_and_its_mark_becomes_a_triangle() {
    let mut figure = figure(1);
    figure.panels[0].series.truncate(1);
    let svg = figure.svg();
    assert!(svg.contains("clip-path=\"url(#clip-"));
    // Above: 1e30 and the largest number; below: 1e-320. Zero and negative values have no place.
    assert_eq!(svg.matches("fill-opacity=\"0.75\"").count(), 3);
}

#[test]
fn empty_figures_and_panels_say_so() {
    let empty = Figure { panels: Vec::new(), ..figure(0) }.svg();
    assert_well_formed(&empty);
    assert_eq!(empty.matches(">no data<").count(), 1);
    let mut partly = figure(2);
    partly.panels[1].series = vec![Series::line("a", Color::rgb(0, 0, 0), vec![(f64::NAN, 1.0), (1.0, -1.0)])];
    assert_eq!(partly.svg().matches(">no data<").count(), 1);
    assert_well_formed(&Strip::default().svg());
    assert_well_formed(&Sensitivity::default().svg());
}

#[test]
fn dot_plots_and_sensitivity_figures_are_well_formed() {
    let values: Vec<f64> = nasty().into_iter().map(|point| point.1).collect();
    for scale in [Scale::Linear, Scale::Log] {
        for clip in [None, Some((0.5, 2.0))] {
            let axis = Axis { label: "loss & <co>".into(), scale, clip, integer: false };
            let group =
                |index| Group { label: format!("<arm {index}>"), color: categorical(index).0, values: values.clone(), failed: index };
            let groups = (0..40).map(group).collect();
            assert_well_formed(&Strip { title: "t".into(), subtitle: None, metric: axis.clone(), groups }.svg());

            let point = |x: f64| SensitivityPoint { x, values: values.clone(), diverged: 3 };
            let points: Vec<_> = [0.0, 0.1, 1.0, f64::NAN, 1e30].into_iter().map(point).collect();
            let series =
                |index| SensitivitySeries { label: format!("<{index}>"), color: sequential(index, 5), dash: None, points: points.clone() };
            let rules = vec![Rule { value: 1.0, label: "<1>".into() }];
            let series = (0..5).map(series).collect();
            assert_well_formed(&Sensitivity { x: axis.clone(), y: axis, series, rules, ..Sensitivity::default() }.svg());
        }
    }
}
