//! Curves drawn with characters, for terminals and pipes. Knows numbers and columns; where they come from, it doesn't.

/// What there is to draw with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns of the whole chart, labels and all.
    pub width: usize,
    /// Rows of the curves.
    pub height: usize,
    /// Braille dots, or else ASCII.
    pub unicode: bool,
    pub color: bool,
}

/// A curve: points in the order of `x`. What is not finite is marked above the others.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Stands at the places of the points where they are few, and in the legend.
    pub mark: char,
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// Columns of the labels on the left, without the axis.
const LABEL: usize = 9;
/// Losses that span more than this factor are drawn on a logarithmic scale.
const WIDE: f64 = 20.0;
/// Of the curves, in turn: blue, yellow, green, magenta, cyan, red.
const COLORS: [u8; 6] = [34, 33, 32, 35, 36, 31];

/// Whether the terminal's characters are Unicode's, by the variables that decide in POSIX. One that says nothing at all is believed to.
pub fn is_unicode() -> bool {
    let said = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    said.is_none_or(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// The lines of a chart; none without a single point.
pub fn draw(title: &str, x_name: &str, curves: &[Curve], style: Style) -> Vec<String> {
    let columns = style.width.saturating_sub(LABEL + 2).max(10);
    let all = || curves.iter().flat_map(|curve| curve.points.iter().copied());
    let (Some(first), Some(last)) = (all().map(|p| p.0).reduce(f64::min), all().map(|p| p.0).reduce(f64::max)) else { return vec![] };
    let finite = || all().map(|p| p.1).filter(|y| y.is_finite());
    let low = finite().fold(f64::INFINITY, f64::min);
    let high = finite().fold(f64::NEG_INFINITY, f64::max);
    let log = low > 0.0 && high / low > WIDE;
    let scale = Scale::of(low, high, log);
    let mut lines = vec![format!("{title}{}", if log { " (logarithmic)" } else { "" })];
    let mut canvas = Canvas::new(columns, style);
    let place = |x: f64| if last > first { (x - first) / (last - first) } else { 0.0 };
    for (i, curve) in curves.iter().enumerate() {
        canvas.curve(curve, i, &place, &scale);
    }
    for (row, cells) in canvas.rows().into_iter().enumerate() {
        let label = match row {
            _ if !low.is_finite() => String::new(),
            0 => short(scale.value(1.0)),
            row if row + 1 == style.height => short(scale.value(0.0)),
            row if style.height >= 7 && row == style.height / 2 => short(scale.value(1.0 - row as f64 / (style.height - 1) as f64)),
            _ => String::new(),
        };
        let axis = match (style.unicode, label.is_empty()) {
            (true, true) => '│',
            (true, false) => '┤',
            (false, _) => '|',
        };
        lines.push(format!("{label:>LABEL$} {axis}{}", cells.trim_end()));
    }
    let (corner, line) = if style.unicode { ('└', "─") } else { ('+', "-") };
    lines.push(format!("{:>LABEL$} {corner}{}", "", line.repeat(columns)));
    let (left, right) = (short(first), format!("{} {x_name}", short(last)));
    let gap = columns.saturating_sub(left.len() + right.chars().count());
    lines.push(format!("{:>LABEL$}  {left}{}{right}", "", " ".repeat(gap)));
    if curves.len() > 1 {
        for (i, curve) in curves.iter().enumerate() {
            lines.push(format!("{:>LABEL$}  {} {}", "", painted(&curve.mark.to_string(), Some(i), style.color), curve.name));
        }
    }
    if all().any(|p| !p.1.is_finite()) {
        let mark = painted(&not_finite(style).to_string(), None, style.color);
        lines.push(format!("{:>LABEL$}  {mark} not finite", ""));
    }
    lines
}

fn not_finite(style: Style) -> char {
    if style.unicode { '✕' } else { '!' }
}

/// Three digits, in as few characters as may be.
fn short(x: f64) -> String {
    let rounded: f64 = format!("{x:.2e}").parse().unwrap_or(x);
    let exact = x.fract() == 0.0 && x.abs() < 1e7;
    spec::Value::Float(if exact { x } else { rounded }).to_string()
}

/// From values to 0 (below) … 1 (above), and back.
struct Scale {
    low: f64,
    high: f64,
    log: bool,
}

impl Scale {
    fn of(low: f64, high: f64, log: bool) -> Self {
        let (low, high) = if log { (low.ln(), high.ln()) } else { (low, high) };
        // A curve that never moves runs through the middle.
        let room = if high - low > 1e-12 * high.abs() { 0.0 } else { 0.5 * high.abs().max(1e-3) };
        Scale { low: low - room, high: high + room, log }
    }

    fn share(&self, y: f64) -> f64 {
        let y = if self.log { y.ln() } else { y };
        // Halves: the difference of the largest numbers is none.
        ((y / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0)).clamp(0.0, 1.0)
    }

    fn value(&self, share: f64) -> f64 {
        let y = self.low * (1.0 - share) + self.high * share;
        if self.log { y.exp() } else { y }
    }
}

/// What is in a cell.
#[derive(Clone, Copy, Default)]
struct Cell {
    /// Of a braille character: eight dots.
    dots: u8,
    /// A mark hides the dots.
    mark: Option<char>,
    /// The curve that was here last; none: something that is not finite.
    curve: Option<usize>,
}

struct Canvas {
    columns: usize,
    style: Style,
    cells: Vec<Cell>,
}

impl Canvas {
    fn new(columns: usize, style: Style) -> Self {
        Canvas { columns, style, cells: vec![Cell::default(); columns * style.height] }
    }

    /// Dots per cell: across, and down.
    fn grain(&self) -> (usize, usize) {
        if self.style.unicode { (2, 4) } else { (1, 1) }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "places on a screen, from 0 to their number")]
    fn curve(&mut self, curve: &Curve, number: usize, place: &dyn Fn(f64) -> f64, scale: &Scale) {
        let (across, down) = self.grain();
        let (width, height) = (self.columns * across, self.style.height * down);
        let at = |x: f64, y: f64| {
            let column = (place(x) * (width - 1) as f64).round() as usize;
            (column, ((1.0 - scale.share(y)) * (height - 1) as f64).round() as usize)
        };
        // What a column holds is drawn from its least to its greatest value, so that no spike gets lost; and it is joined to the last.
        let mut before: Option<(usize, usize)> = None;
        let mut marks = vec![];
        for (x, y) in &curve.points {
            if !y.is_finite() {
                let column = (place(*x) * (self.columns - 1) as f64).round() as usize;
                marks.push((column, 0, not_finite(self.style), None));
                before = None;
                continue;
            }
            let (column, row) = at(*x, *y);
            match before {
                Some((from, height)) if from < column => {
                    // Straight across the columns between two points.
                    for c in from..=column {
                        let y = |c: usize| height as f64 + (row as f64 - height as f64) * (c - from) as f64 / (column - from) as f64;
                        let (a, b) = (y(c.saturating_sub(1).max(from)).round() as usize, y(c).round() as usize);
                        (a.min(b)..=a.max(b)).for_each(|r| self.dot(c, r, number));
                    }
                }
                Some((_, height)) => (height.min(row)..=height.max(row)).for_each(|r| self.dot(column, r, number)),
                None => self.dot(column, row, number),
            }
            before = Some((column, row));
        }
        // Marks tell curves apart without color: at every point, or where there are many at a few of them.
        let every = curve.points.len().div_ceil(if self.style.unicode { 8 } else { usize::MAX }).max(1);
        let few = curve.points.len() * 3 <= self.columns;
        for (i, (x, y)) in curve.points.iter().enumerate().filter(|(_, p)| p.1.is_finite()) {
            if curve.mark != ' ' && (few || i % every == (every / 2 + number) % every) {
                let (column, row) = at(*x, *y);
                marks.push((column / across, row / down, curve.mark, Some(number)));
            }
        }
        for (column, row, mark, curve) in marks {
            let cell = &mut self.cells[row * self.columns + column];
            (cell.mark, cell.curve) = (Some(mark), curve);
        }
    }

    fn dot(&mut self, column: usize, row: usize, curve: usize) {
        // The order of the dots in Unicode's braille patterns.
        const DOTS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        let (across, down) = self.grain();
        let cell = &mut self.cells[row / down * self.columns + column / across];
        cell.dots |= DOTS[row % down][column % across];
        cell.curve = Some(curve);
    }

    fn rows(&self) -> Vec<String> {
        let text = |cell: &Cell| match cell.mark {
            Some(mark) => mark,
            None if cell.dots == 0 => ' ',
            None if self.style.unicode => char::from_u32(0x2800 + u32::from(cell.dots)).unwrap_or(' '),
            None => '*',
        };
        let drawn = |cell: &Cell| {
            let text = text(cell).to_string();
            if text == " " { text } else { painted(&text, cell.curve, self.style.color) }
        };
        self.cells.chunks(self.columns).map(|cells| cells.iter().map(drawn).collect()).collect()
    }
}

/// In the color of a curve; what belongs to none is red.
fn painted(text: &str, curve: Option<usize>, color: bool) -> String {
    let code = curve.map_or(31, |i| COLORS[i % COLORS.len()]);
    if color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style { width: 40, height: 5, unicode: true, color: false };

    fn curve(mark: char, points: impl IntoIterator<Item = (f64, f64)>) -> Curve {
        Curve { mark, name: format!("curve {mark}"), points: points.into_iter().collect() }
    }

    #[test]
    fn a_straight_line_is_straight_and_axes_are_labelled() {
        let lines = draw("loss", "steps", &[curve(' ', (1..=100).map(|i| (f64::from(i), f64::from(i))))], Style { height: 4, ..STYLE });
        insta::assert_snapshot!(lines.join("\n"), @r"
        loss (logarithmic)
              100 ┤          ⣀⣀⣀⡤⠤⠤⠤⠤⠖⠒⠒⠒⠒⠒⠚⠉⠉⠉⠉
                  │   ⣠⠤⠖⠒⠋⠉⠉⠁
                  │⢀⡴⠋⠁
                1 ┤⣸
                  └─────────────────────────────
                   1                   100 steps
        ");
    }

    #[test]
    fn a_spike_of_one_step_among_many_is_seen_and_what_is_not_finite_is_marked() {
        let points = (0..100_000).map(|i| (f64::from(i), if i == 50_000 { 9.0 } else { 1.0 }));
        let lines = draw("loss", "steps", &[curve(' ', points.chain([(100_000.0, f64::NAN)]))], Style { unicode: false, ..STYLE });
        insta::assert_snapshot!(lines.join("\n"), @r"
        loss
                9 |              *             !
                  |              *
                  |              *
                  |              *
                1 |*****************************
                  +-----------------------------
                   0                100000 steps
                   ! not finite
        ");
    }

    #[test]
    fn few_points_have_marks_and_wide_ranges_are_logarithmic() {
        let train = curve('t', [(0.0, 100.0), (1.0, 10.0), (2.0, 1.0)]);
        let validation = curve('v', [(0.0, 90.0), (1.0, 20.0), (2.0, 15.0)]);
        insta::assert_snapshot!(draw("loss of evals", "steps", &[train, validation], STYLE).join("\n"), @r"
        loss of evals (logarithmic)
              100 ┤v⠛⠲⠶⣤⣤⣀⣀
                  │     ⠈⠉⠛⠯⢽⣒⡲⠤⢤v⣀⣀⣀⣀⣀⣀⣀
                  │           ⠉⠙⠒t⢤⣀⡀   ⠈⠉⠉⠉⠉⠉⠉v
                  │                 ⠉⠙⠒⠦⢤⣀⣀
                1 ┤                       ⠈⠉⠓⠲⠤t
                  └─────────────────────────────
                   0                     2 steps
                   t curve t
                   v curve v
        ");
    }

    #[test]
    fn colors_change_nothing_else() {
        let curves = [curve('a', [(0.0, 1.0), (5.0, 2.0)]), curve('b', [(0.0, 2.0), (5.0, f64::INFINITY)])];
        let plain = draw("loss", "steps", &curves, STYLE).join("\n");
        let colored = draw("loss", "steps", &curves, Style { color: true, ..STYLE }).join("\n");
        assert!(colored.contains("\u{1b}[34m") && colored.contains("\u{1b}[33m") && colored.contains("\u{1b}[31m✕"));
        let without = colored.split('\u{1b}').enumerate().map(|(i, part)| if i == 0 { part } else { part.split_once('m').unwrap().1 });
        let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        assert_eq!(trimmed(&without.collect::<String>()), trimmed(&plain));
    }

    #[test]
    fn nothing_breaks_it() {
        assert!(draw("loss", "steps", &[curve(' ', [])], STYLE).is_empty());
        for points in [
            vec![(1.0, 0.0)],
            vec![(1.0, f64::NAN)],
            vec![(0.0, f64::MAX), (1.0, f64::MIN)],
            vec![(0.0, 5.0), (1.0, 5.0)],
            vec![(3.0, 1e-300), (3.0, 1e300)],
        ] {
            for unicode in [true, false] {
                let lines = draw("loss", "steps", &[curve('x', points.clone())], Style { unicode, ..STYLE });
                assert!(lines.len() >= 8 && lines.iter().all(|line| line.chars().count() <= 40), "{lines:#?}");
            }
        }
    }
}
