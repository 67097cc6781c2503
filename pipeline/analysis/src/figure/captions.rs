//! Words around and on the data: title, axis labels, notes, target lines with their labels.
//! Called by the files that lay figures out; it knows nothing of series or legends.

use super::Rule;
use super::frame::{EDGE, Frame, MEDIUM, SMALL};
use super::palette::Dash;
use super::svg::{Anchor, INK, MUTED, Stroke, Svg, Text, WIDTH};
use super::text::{fit, text_width, wrap};

/// Axis label centred below `[left, left + width]`, at baseline `y`.
pub(super) fn x_label(svg: &mut Svg, label: &str, left: f64, width: f64, y: f64) {
    let label = fit(label, MEDIUM, WIDTH - 2.0 * EDGE);
    let text = Text::new(left + width / 2.0, y, &label);
    svg.text(&Text { anchor: Anchor::Middle, size: MEDIUM, ..text });
}

/// Axis label at the left edge, read upward and centred on `[top, top + height]`.
pub(super) fn y_label(svg: &mut Svg, label: &str, top: f64, height: f64) {
    let label = fit(label, MEDIUM, height + 30.0);
    let text = Text::new(EDGE + 9.0, top + height / 2.0, &label);
    svg.text(&Text { anchor: Anchor::Middle, size: MEDIUM, upward: true, ..text });
}

/// Title and subtitle; returns the y below them.
pub(super) fn header(svg: &mut Svg, title: &str, subtitle: Option<&str>) -> f64 {
    let mut y = EDGE;
    for line in wrap(title, 13.0 * 1.1, WIDTH - 2.0 * EDGE) {
        svg.text(&Text { size: 13.0, bold: true, color: INK, ..Text::new(EDGE, y + 11.0, &line) });
        y += 17.0;
    }
    paragraph(svg, subtitle.unwrap_or_default(), y)
}

/// Small grey text across the figure; returns the y below it.
pub(super) fn paragraph(svg: &mut Svg, text: &str, top: f64) -> f64 {
    let mut y = top;
    for line in wrap(text, SMALL, WIDTH - 2.0 * EDGE) {
        svg.text(&Text { color: MUTED, ..Text::new(EDGE, y + 11.0, &line) });
        y += 15.0;
    }
    y
}

impl Frame {
    /// Dashed target lines. Each label goes to the end of its line with fewer of the `occupied` pixels,
    /// and below the line where it would touch the label above.
    pub(super) fn rules(&self, svg: &mut Svg, rules: &[Rule], occupied: &[(f64, f64)]) {
        let stroke = Stroke { color: MUTED, width: 1.0, dash: Some(Dash::Dashed) };
        let mut placed: Vec<(f64, &str)> =
            rules.iter().filter_map(|rule| Some((self.y.held(rule.value).filter(|held| held.1 == 0)?.0, rule.label.as_str()))).collect();
        placed.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut free = self.top;
        for (y, label) in placed {
            svg.line((self.left, y), (self.right(), y), &stroke);
            let baseline = if y - 4.0 - SMALL >= free { y - 4.0 } else { y + SMALL + 1.0 };
            free = baseline + 2.0;
            let label = fit(label, SMALL, self.width - 10.0);
            let width = text_width(&label, SMALL);
            let crowd = |from: f64| {
                let inside = |p: &&(f64, f64)| (from..=from + width).contains(&p.0) && (baseline - SMALL..=baseline + 2.0).contains(&p.1);
                occupied.iter().filter(inside).count()
            };
            let (start, end) = (self.left + 5.0, self.right() - 5.0);
            let (x, anchor) = if crowd(start) < crowd(end - width) { (start, Anchor::Start) } else { (end, Anchor::End) };
            svg.text(&Text { anchor, color: MUTED, halo: true, ..Text::new(x, baseline, &label) });
        }
    }

    /// Says that there is nothing to show.
    pub(super) fn no_data(&self, svg: &mut Svg) {
        let text = Text::new(self.left + self.width / 2.0, self.top + self.height / 2.0 + 4.0, "no data");
        svg.text(&Text { anchor: Anchor::Middle, size: MEDIUM, color: MUTED, ..text });
    }
}

#[cfg(test)]
mod tests {
    use super::super::axis::Axis;
    use super::*;

    #[test]
    fn close_rules_get_labels_on_either_side() {
        let rules = [0.50, 0.52].map(|value| Rule { value, label: format!("target {value}") });
        let (mut svg, axis) = (Svg::default(), Axis::linear("y"));
        let unit = (&axis, (0.0, 1.0));
        let frame = Frame::new([0.0, 0.0, 100.0, 100.0], unit, unit);
        frame.rules(&mut svg, &rules, &[]);
        let text = svg.finish(100.0, "t", "d");
        assert!(text.contains("y=\"44\"") && text.contains("y=\"62\""), "{text}");
    }
}
