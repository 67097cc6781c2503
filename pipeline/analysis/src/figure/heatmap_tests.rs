//! Tests of heat maps: one coloured cell per number, marks where there is none, nothing outside the figure.
//! Run by `cargo test`; they look at the SVG text only.

use super::*;

fn cell(value: f64) -> Cell {
    Cell { value: Some(value), text: format!("{value}"), diverged: 0 }
}

fn map(rows: usize, columns: usize, panels: usize, of: impl Fn(usize, usize) -> Cell) -> HeatMap {
    let cells: Vec<Vec<Cell>> = (0..rows).map(|row| (0..columns).map(|column| of(row, column)).collect()).collect();
    let names = |n: usize, name: &str| (0..n).map(|i| format!("{name} <{i}>")).collect();
    HeatMap {
        title: "a < b".into(),
        x: "rate & size".into(),
        y: "batch".into(),
        columns: names(columns, "c"),
        rows: names(rows, "r"),
        value: Axis::linear("accuracy"),
        panels: (0..panels).map(|i| HeatPanel { title: Some(format!("panel {i}")), cells: cells.clone() }).collect(),
        ..HeatMap::default()
    }
}

fn fills(svg: &str) -> Vec<&str> {
    svg.split("<rect").skip(2).filter_map(|tag| tag.split("fill=\"#").nth(1)?.split('"').next()).collect()
}

#[test]
fn numbers_have_their_colour_and_text_that_stands_out() {
    let svg = map(2, 2, 1, |row, column| cell([[0.0, 0.5], [0.9, 1.0]][row][column])).svg();
    assert_eq!(fills(&svg)[..4], ["f7fbff", "6baed6", "084b93", "08306b"]);
    assert!(svg.contains("fill=\"#222222\" text-anchor=\"middle\">0<") && svg.contains("fill=\"#ffffff\" text-anchor=\"middle\">1<"));
    assert!(svg.contains("a &lt; b") && svg.contains("rate &amp; size") && svg.contains("r &lt;0&gt;"));
    assert_eq!(svg.matches("diverged").count() + svg.matches("hatched").count(), 0);
}

#[test]
fn what_is_missing_is_hatched_and_what_diverged_is_crossed() {
    let of = |row, column| match (row, column) {
        (0, 0) => Cell::default(),
        (0, 1) => Cell { diverged: 1, ..Cell::default() },
        (1, 0) => Cell { diverged: 12, ..cell(0.25) },
        _ => cell(0.5),
    };
    let mut figure = map(2, 2, 1, of);
    figure.panels[0].cells[1].pop();
    let svg = figure.svg();
    assert_eq!((svg.matches(">–<").count(), svg.matches("m0 -6.4").count(), svg.matches(">12<").count()), (2, 2, 1));
    assert!(svg.contains("×: diverged runs, with their number if several; hatched: no data."));
}

#[test]
fn hatching_stays_within_its_cell() {
    let mut svg = Svg::default();
    svg.hatched([10.0, 20.0, 50.0, 30.0], &Stroke::solid(GRID, 1.0));
    let text = svg.finish(100.0, "", "");
    let path = text.split(" d=\"M").nth(1).unwrap().split('"').next().unwrap();
    for point in path.split(['M', 'L']) {
        let (x, y) = point.split_once(' ').unwrap();
        assert!((10.0..=60.0).contains(&x.parse::<f64>().unwrap()) && (20.0..=50.0).contains(&y.parse::<f64>().unwrap()), "{point}");
    }
}

#[test]
fn any_size_stays_within_the_figure() {
    for (rows, columns, panels) in [(1, 1, 1), (20, 20, 1), (2, 6, 6), (3, 3, 4), (2, 30, 2)] {
        let svg = map(rows, columns, panels, |row, column| cell(real(row * column) / 7.0)).svg();
        for rect in svg.split("<rect x=\"").skip(1) {
            let number = |name: &str| rect.split(name).nth(1).unwrap().split('"').next().unwrap().parse::<f64>().unwrap();
            let right = rect.split('"').next().unwrap().parse::<f64>().unwrap() + number("width=\"");
            assert!(right <= WIDTH - EDGE + 0.1, "{rows} {columns} {panels}: {right}");
        }
        assert_eq!(svg.matches(">panel ").count(), panels);
    }
}

#[test]
fn long_column_labels_are_broken_or_stand_upright() {
    let mut figure = map(2, 2, 1, |_, _| cell(0.5));
    figure.columns = vec!["leaping counterclockwise".into(), "still".into()];
    let svg = figure.svg();
    assert!(svg.contains(">leaping<") && svg.contains(">counterclockwise<") && svg.matches("rotate(-90").count() == 1);
    figure.columns[0] = "a_very_long_word_without_a_space".into();
    let svg = figure.svg();
    assert!(svg.contains(">a_very") && svg.matches("rotate(-90").count() == 3);
}

#[test]
fn nasty_numbers_give_a_valid_figure() {
    let nasty = [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300, 1.0];
    for value in [Axis::linear("loss"), Axis::log("loss"), Axis::log("loss").clipped((0.1, 1.0))] {
        let svg = HeatMap { value, ..map(2, 3, 2, |row, column| cell(nasty[row * 3 + column])) }.svg();
        let plain = svg.replace(">NaN<", "").replace(">inf<", "");
        assert!(svg.ends_with("</svg>\n") && !plain.contains("NaN") && !plain.contains("inf\""), "{svg}");
    }
    assert!(HeatMap::default().svg().contains("no data"));
    let same = map(2, 2, 1, |_, _| cell(0.5));
    assert_eq!(same.svg(), same.svg());
}
