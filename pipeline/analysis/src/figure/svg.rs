//! A tiny SVG writer: elements, XML escaping and number formatting.
//! Called by every drawing file of this folder; it knows nothing of axes, series or metrics.
//! Numbers have at most two decimals and are always finite, so that equal input gives equal bytes.

use std::fmt::Write as _;

use super::palette::{Color, Dash};

/// Width of every figure in pixels: a full text column.
pub(super) const WIDTH: f64 = 760.0;
/// Text and emphasized strokes.
pub(super) const INK: Color = Color::rgb(0x22, 0x22, 0x22);
/// The background.
pub(super) const PAPER: Color = Color::rgb(0xff, 0xff, 0xff);
/// Secondary text and target lines.
pub(super) const MUTED: Color = Color::rgb(0x5c, 0x5c, 0x5c);
/// Axis lines and ticks.
pub(super) const AXIS: Color = Color::rgb(0xa6, 0xa6, 0xa6);
/// Grid lines.
pub(super) const GRID: Color = Color::rgb(0xe8, 0xe8, 0xe8);
/// Shaded backgrounds: alternate rows, the strip of diverged runs.
pub(super) const SHADE: Color = Color::rgb(0xf6, 0xf6, 0xf6);

/// A count as a coordinate or weight.
pub(super) fn real(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::from(u32::MAX), f64::from)
}

/// Escapes text for XML content and attributes. Characters that can't be seen are written out; others that XML 1.0 forbids are dropped.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in spec::visible(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(' '),
            '\u{fffe}' | '\u{ffff}' => {}
            c => out.push(c),
        }
    }
    out
}

/// A coordinate with at most two decimals; the last guard against NaN and infinities in the output.
pub(super) fn num(value: f64) -> String {
    if !value.is_finite() {
        return "0".to_owned();
    }
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Horizontal anchor of a text.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// One line of text; `new` gives 11 px dark text that starts at (`x`, `y`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    pub x: f64,
    pub y: f64,
    pub content: &'a str,
    pub size: f64,
    pub anchor: Anchor,
    pub color: Color,
    pub bold: bool,
    /// A white outline, for text on top of data.
    pub halo: bool,
    /// Read from bottom to top, as a vertical axis label is.
    pub upward: bool,
}

impl<'a> Text<'a> {
    pub(super) const fn new(x: f64, y: f64, content: &'a str) -> Self {
        let (size, anchor, color) = (11.0, Anchor::Start, INK);
        Self { x, y, content, size, anchor, color, bold: false, halo: false, upward: false }
    }
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stroke {
    pub color: Color,
    pub width: f64,
    pub dash: Option<Dash>,
}

impl Stroke {
    pub(super) const fn solid(color: Color, width: f64) -> Self {
        Self { color, width, dash: None }
    }

    fn attributes(&self) -> String {
        let mut out = format!("stroke=\"{}\" stroke-width=\"{}\"", self.color.hex(), num(self.width));
        if let Some(dash) = self.dash {
            let _ = write!(out, " stroke-dasharray=\"{}\"", dash.pattern());
        }
        out
    }
}

/// The body of a document; `finish` wraps it once its height is known.
#[derive(Debug, Default)]
pub(super) struct Svg {
    body: String,
}

impl Svg {
    fn push(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }

    /// A filled rectangle.
    pub(super) fn rect(&mut self, [x, y, w, h]: [f64; 4], fill: Color, opacity: f64) {
        let (x, y, w, h) = (num(x), num(y), num(w.max(0.0)), num(h.max(0.0)));
        let paint = paint(fill, opacity);
        self.push(&format!("<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" {paint}/>"));
    }

    /// The border of a rectangle.
    pub(super) fn outlined(&mut self, [x, y, w, h]: [f64; 4], stroke: &Stroke) {
        let (x, y, w, h) = (num(x), num(y), num(w.max(0.0)), num(h.max(0.0)));
        let stroke = stroke.attributes();
        self.push(&format!("<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" fill=\"none\" {stroke}/>"));
    }

    /// A PNG file in base64, stretched to a rectangle with its pixels left sharp.
    pub(super) fn image(&mut self, [x, y, w, h]: [f64; 4], png: &str) {
        let (x, y, w, h) = (num(x), num(y), num(w), num(h));
        self.push(&format!(
            "<image x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\" \
             href=\"data:image/png;base64,{png}\"/>"
        ));
    }

    /// A straight line.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: &Stroke) {
        let (x1, y1, x2, y2) = (num(from.0), num(from.1), num(to.0), num(to.1));
        let stroke = stroke.attributes();
        self.push(&format!("<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" {stroke}/>"));
    }

    /// An open line through `points`; a lone point becomes a dot.
    pub(super) fn polyline(&mut self, points: &[(f64, f64)], stroke: &Stroke) {
        match points {
            [] => {}
            [only] => self.circle(*only, stroke.width, stroke.color, 1.0),
            _ => {
                let (d, stroke) = (outline(points), stroke.attributes());
                let joins = "stroke-linejoin=\"round\"";
                self.push(&format!("<path d=\"{d}\" fill=\"none\" {stroke} {joins}/>"));
            }
        }
    }

    /// Many straight lines as one element.
    pub(super) fn segments(&mut self, segments: impl IntoIterator<Item = [(f64, f64); 2]>, stroke: &Stroke) {
        let mut d = String::new();
        for [from, to] in segments {
            let _ = write!(d, "M{} {}L{} {}", num(from.0), num(from.1), num(to.0), num(to.1));
        }
        if !d.is_empty() {
            self.push(&format!("<path d=\"{d}\" fill=\"none\" {}/>", stroke.attributes()));
        }
    }

    /// Slanted lines across a rectangle: nothing is known of it.
    pub(super) fn hatched(&mut self, [x, y, w, h]: [f64; 4], stroke: &Stroke) {
        const APART: f64 = 7.0;
        let lines = std::iter::successors(Some(APART / 2.0), |at| Some(at + APART)).take_while(|at| *at < w + h);
        // Each runs from the left or lower edge up to the upper or right one.
        let line = |at: f64| [(x + (at - h).max(0.0), y + at.min(h)), (x + at.min(w), y + (at - w).max(0.0))];
        self.segments(lines.map(line), stroke);
    }

    /// A filled polygon.
    pub(super) fn polygon(&mut self, points: &[(f64, f64)], fill: Color, opacity: f64) {
        if points.len() > 2 {
            let (d, paint) = (outline(points), paint(fill, opacity));
            self.push(&format!("<path d=\"{d}Z\" {paint}/>"));
        }
    }

    /// A filled disc.
    pub(super) fn circle(&mut self, (x, y): (f64, f64), r: f64, fill: Color, opacity: f64) {
        let (x, y, r, paint) = (num(x), num(y), num(r), paint(fill, opacity));
        self.push(&format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\" {paint}/>"));
    }

    /// The ✕ of a diverged run, as a path so that no font has to have the character.
    pub(super) fn cross(&mut self, (x, y): (f64, f64), r: f64, color: Color) {
        let (left, top, side, back) = (num(x - r), num(y - r), num(2.0 * r), num(-2.0 * r));
        let stroke = Stroke::solid(color, 1.6).attributes();
        self.push(&format!("<path d=\"M{left} {top}l{side} {side}m0 {back}l{back} {side}\" fill=\"none\" {stroke}/>"));
    }

    /// One line of text.
    pub(super) fn text(&mut self, text: &Text<'_>) {
        let (x, y, size, fill) = (num(text.x), num(text.y), num(text.size), text.color.hex());
        let mut attributes = format!("x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{fill}\"");
        match text.anchor {
            Anchor::Start => {}
            Anchor::Middle => attributes.push_str(" text-anchor=\"middle\""),
            Anchor::End => attributes.push_str(" text-anchor=\"end\""),
        }
        if text.bold {
            attributes.push_str(" font-weight=\"bold\"");
        }
        if text.halo {
            attributes.push_str(" stroke=\"#ffffff\" stroke-width=\"3\" stroke-linejoin=\"round\" paint-order=\"stroke\"");
        }
        if text.upward {
            let _ = write!(attributes, " transform=\"rotate(-90 {x} {y})\"");
        }
        self.push(&format!("<text {attributes}>{}</text>", escape(text.content)));
    }

    /// Starts a group that is clipped to a rectangle; close it with [`Svg::end_clip`].
    ///
    /// The id is made from the rectangle itself: pages that inline several figures share an id only
    /// between equal rectangles, so that no figure is clipped by another's panel.
    pub(super) fn begin_clip(&mut self, [x, y, w, h]: [f64; 4]) {
        let (x, y, w, h) = (num(x), num(y), num(w), num(h));
        let id = format!("clip-{x}-{y}-{w}-{h}");
        self.push(&format!(
            "<clipPath id=\"{id}\"><rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\"/></clipPath>\n<g clip-path=\"url(#{id})\">"
        ));
    }

    pub(super) fn end_clip(&mut self) {
        self.push("</g>");
    }

    /// The whole document, `height` pixels high, with its accessible name and description.
    pub(super) fn finish(self, height: f64, title: &str, description: &str) -> String {
        let (w, h) = (num(WIDTH), num(height));
        let (title, description, body) = (escape(title), escape(description), self.body);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" role=\"img\" \
             font-family=\"Helvetica, Arial, sans-serif\">\n<title>{title}</title>\n<desc>{description}</desc>\n\
             <rect width=\"{w}\" height=\"{h}\" fill=\"#ffffff\"/>\n{body}</svg>\n"
        )
    }
}

fn paint(fill: Color, opacity: f64) -> String {
    if opacity < 1.0 { format!("fill=\"{}\" fill-opacity=\"{}\"", fill.hex(), num(opacity)) } else { format!("fill=\"{}\"", fill.hex()) }
}

fn outline(points: &[(f64, f64)]) -> String {
    let mut d = String::with_capacity(points.len() * 14);
    for (i, (x, y)) in points.iter().enumerate() {
        d.push(if i == 0 { 'M' } else { ' ' });
        d.push_str(&num(*x));
        d.push(' ');
        d.push_str(&num(*y));
    }
    d
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_markup_and_forbidden_characters() {
        assert_eq!(escape("a<b & \"c\"\u{0}\u{202e}\u{ffff}'\n"), "a&lt;b &amp; &quot;c&quot;\\u{0}\\u{202e}&#39; ");
    }

    #[test]
    fn numbers_are_short_and_finite() {
        let cases = [(1.0, "1"), (1.256, "1.26"), (-0.001, "0"), (f64::NAN, "0"), (f64::INFINITY, "0"), (10.0, "10")];
        for (value, text) in cases {
            assert_eq!(num(value), text);
        }
    }
}
