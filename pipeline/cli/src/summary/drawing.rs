//! A network as a drawing, from its input at the top to its output at the bottom.
//!
//! Layers stand in rows by their distance from the input. An edge that skips rows is led through places of its own in them, and
//! places are ordered by where their edges come from (Sugiyama, Tagawa & Toda 1981), so that branches stand side by side.

use std::fmt::Write;

/// One box.
pub struct Box {
    pub title: String,
    pub lines: Vec<String>,
    /// Boxes that it takes from, all before it.
    pub inputs: Vec<usize>,
}

/// Something that takes a place in a row: a box, or an edge on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    /// The box, if it is one.
    of: Option<usize>,
    /// Places in the row before that lead here, as a mean of their positions.
    centre: f64,
}

const LINE: f64 = 15.0;
const GAP: f64 = 26.0;
const MARGIN: f64 = 16.0;

/// The drawing as a self-contained SVG.
pub fn svg(title: &str, boxes: &[Box]) -> String {
    let layout = Layout::of(boxes);
    let longest = boxes.iter().flat_map(|b| b.lines.iter().chain([&b.title])).map(|t| t.chars().count()).max().unwrap_or(0);
    let (width, height) = (7.4 * longest as f64 + 20.0, LINE * (boxes.iter().map(|b| b.lines.len()).max().unwrap_or(0) + 1) as f64 + 12.0);
    let columns = layout.rows.iter().map(Vec::len).max().unwrap_or(1) as f64;
    let (total_width, total_height) = (columns * (width + GAP) + 2.0 * MARGIN, layout.rows.len() as f64 * (height + GAP) + 2.0 * MARGIN);
    let x = |row: usize, place: usize| total_width / 2.0 + (place as f64 - (layout.rows[row].len() as f64 - 1.0) / 2.0) * (width + GAP);
    let top = |row: usize| MARGIN + row as f64 * (height + GAP);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {total_width:.0} {total_height:.0}\" width=\"{total_width:.0}\" \
         height=\"{total_height:.0}\" role=\"img\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\n<title>{}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        escape(title)
    );
    for (row, from, to) in &layout.edges {
        let (x1, y1, x2, y2) = (x(*row, *from), top(*row) + height, x(row + 1, *to), top(row + 1));
        // An edge that passes through a row goes straight down beside its boxes.
        let start = if layout.rows[*row][*from].of.is_none() {
            format!("M{x1:.1} {:.1}V{y1:.1}", y1 - height)
        } else {
            format!("M{x1:.1} {y1:.1}")
        };
        let bend = f64::midpoint(y1, y2);
        let _ = writeln!(
            out,
            "<path d=\"{start}C{x1:.1} {bend:.1} {x2:.1} {bend:.1} {x2:.1} {y2:.1}\" fill=\"none\" stroke=\"#667\" stroke-width=\"1.3\"/>",
        );
    }
    for (row, places) in layout.rows.iter().enumerate() {
        for (place, of) in places.iter().enumerate().filter_map(|(i, p)| Some((i, p.of?))) {
            let (left, middle) = (x(row, place) - width / 2.0, x(row, place));
            let _ = writeln!(
                out,
                "<rect x=\"{left:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"5\" fill=\"#eef3fa\" stroke=\"#456\"/>",
                top(row)
            );
            let texts = std::iter::once(&boxes[of].title).chain(&boxes[of].lines);
            for (i, text) in texts.enumerate() {
                let weight = if i == 0 { " font-weight=\"600\"" } else { "" };
                let y = top(row) + 6.0 + LINE * (i as f64 + 0.75);
                let _ = writeln!(
                    out,
                    "<text x=\"{middle:.1}\" y=\"{y:.1}\" text-anchor=\"middle\" fill=\"#123\"{weight}>{}</text>",
                    escape(text)
                );
            }
        }
    }
    out.push_str("</svg>\n");
    out
}

/// The graph in the DOT language, for Graphviz.
pub fn dot(title: &str, boxes: &[Box]) -> String {
    let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut out = format!("digraph {} {{\n  node [shape=box, fontname=\"sans-serif\"];\n", quote(title));
    for (i, b) in boxes.iter().enumerate() {
        // In DOT, \n within a label starts a line.
        let label =
            std::iter::once(&b.title).chain(&b.lines).map(|t| t.replace('\\', "\\\\").replace('"', "\\\"")).collect::<Vec<_>>().join("\\n");
        let _ = writeln!(out, "  n{i} [label=\"{label}\"];");
        for input in &b.inputs {
            let _ = writeln!(out, "  n{input} -> n{i};");
        }
    }
    out.push_str("}\n");
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

struct Layout {
    rows: Vec<Vec<Place>>,
    /// From a place of a row to one of the next: row, place, place.
    edges: Vec<(usize, usize, usize)>,
}

impl Layout {
    fn of(boxes: &[Box]) -> Self {
        let mut depth = vec![0usize; boxes.len()];
        for (i, b) in boxes.iter().enumerate() {
            depth[i] = b.inputs.iter().map(|input| depth[*input] + 1).max().unwrap_or(0);
        }
        let last = depth.iter().max().copied().unwrap_or(0);
        let mut rows: Vec<Vec<Place>> = vec![vec![]; last + 1];
        let mut edges = vec![];
        // Edges that still have to go down: the place in the row above, and the box that they lead to.
        let mut open: Vec<(usize, usize)> = vec![];
        for row in 0..=last {
            // What takes a place in this row, with the places above that lead to it.
            let mut wanted: Vec<(Option<usize>, Vec<usize>, usize)> = vec![];
            for (i, _) in depth.iter().enumerate().filter(|(_, d)| **d == row) {
                let from = open.iter().filter(|(_, to)| *to == i).map(|(place, _)| *place).collect();
                wanted.push((Some(i), from, i));
            }
            wanted.extend(open.iter().filter(|(_, to)| depth[*to] > row).map(|(place, to)| (None, vec![*place], *to)));
            let above = row.checked_sub(1).map_or(1, |above| rows[above].len()) as f64;
            let mut placed: Vec<(Place, Vec<usize>, usize)> = wanted
                .into_iter()
                .map(|(of, from, to)| {
                    let mean = from.iter().map(|p| *p as f64).sum::<f64>() / from.len().max(1) as f64;
                    (Place { of, centre: mean - (above - 1.0) / 2.0 }, from, to)
                })
                .collect();
            // Stable: what comes from the same place stays in the order of the layers.
            placed.sort_by(|a, b| a.0.centre.total_cmp(&b.0.centre));
            open.clear();
            for (place, (what, from, to)) in placed.iter().enumerate() {
                edges.extend(from.iter().map(|above| (row - 1, *above, place)));
                match what.of {
                    None => open.push((place, *to)),
                    Some(i) => open.extend((0..boxes.len()).filter(|b| boxes[*b].inputs.contains(&i)).map(|b| (place, b))),
                }
            }
            rows[row] = placed.into_iter().map(|(place, ..)| place).collect();
        }
        Layout { rows, edges }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxes() -> Vec<Box> {
        let b = |title: &str, inputs: &[usize]| Box { title: title.into(), lines: vec!["<8>".into()], inputs: inputs.to_vec() };
        // A module of three branches, one of them two layers long.
        vec![b("input", &[]), b("one", &[0]), b("reduce", &[0]), b("three", &[2]), b("join", &[1, 3, 0])]
    }

    #[test]
    fn branches_stand_side_by_side_and_long_edges_have_their_own_places() {
        let layout = Layout::of(&boxes());
        let rows: Vec<Vec<Option<usize>>> = layout.rows.iter().map(|row| row.iter().map(|p| p.of).collect()).collect();
        assert_eq!(rows, [vec![Some(0)], vec![Some(1), Some(2), None], vec![None, Some(3), None], vec![Some(4)]]);
        assert_eq!(layout.edges.len(), 3 + 3 + 3);
    }

    #[test]
    fn both_forms_are_escaped() {
        let svg = svg("a & b", &boxes());
        assert!(svg.contains("<title>a &amp; b</title>") && svg.contains("&lt;8&gt;") && svg.matches("<rect x").count() == 5);
        let dot = dot("say \"x\"", &boxes());
        assert!(dot.starts_with("digraph \"say \\\"x\\\"\" {") && dot.contains("n3 -> n4;"));
    }
}
