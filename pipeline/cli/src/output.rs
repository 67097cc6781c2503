//! Printing: tables in four formats, durations, colors.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
pub use spec::{inert, visible};
use tracker::query::{Answer, Cell, Part};

use crate::args::{Color, Format};

static COLOR: AtomicBool = AtomicBool::new(false);
static COLOR_DATA: AtomicBool = AtomicBool::new(false);

/// Decides once whether messages on stderr, and curves on stdout, are colored.
pub fn set_color(color: Color) {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()) || std::env::var_os("TERM").is_some_and(|t| t == "dumb");
    let on = |is_terminal: bool| match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => !no_color && is_terminal,
    };
    COLOR.store(on(std::io::stderr().is_terminal()), Ordering::Relaxed);
    COLOR_DATA.store(on(std::io::stdout().is_terminal()), Ordering::Relaxed);
}

/// Whether messages on stderr are colored.
pub fn colors_messages() -> bool {
    COLOR.load(Ordering::Relaxed)
}

/// Whether curves on stdout are colored.
pub fn colors_data() -> bool {
    COLOR_DATA.load(Ordering::Relaxed)
}

/// A line on stderr. A reader that has gone, or a full disk behind it, is no reason to lose results.
pub fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", visible(line));
}

/// A line on stderr about what went wrong.
pub fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", error_line(line));
}

/// `error: …`, the word in color where messages are.
pub fn error_line(line: &str) -> String {
    let word = if COLOR.load(Ordering::Relaxed) { "\u{1b}[1;31merror:\u{1b}[0m" } else { "error:" };
    format!("{word} {}", visible(line))
}

/// Writes JSON to stdout, to be read by programs and people.
pub fn json(value: &serde_json::Value) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{}", inert(&format!("{value:#}")))?)
}

/// JSON has no infinity and no NaN: they become text, so that they differ from null.
pub fn number(x: f64) -> serde_json::Value {
    if x.is_finite() { x.into() } else { x.to_string().into() }
}

/// Writes an answer to stdout.
pub fn print(answer: &Answer, format: Format) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match format {
        Format::Table => writeln!(out, "{}", table(answer, presets::UTF8_FULL_CONDENSED))?,
        Format::Markdown => writeln!(out, "{}", table(answer, presets::ASCII_MARKDOWN))?,
        Format::Csv => {
            drop(out);
            csv(|take| {
                take(Part::Columns(&answer.columns))?;
                answer.rows.iter().try_for_each(|row| take(Part::Row(row.clone())))
            })?;
        }
        Format::Json => {
            let rows: Vec<String> = answer.rows.iter().map(|row| object(&answer.columns, row)).collect();
            writeln!(out, "[{}]", if rows.is_empty() { String::new() } else { format!("\n  {}\n", rows.join(",\n  ")) })?;
        }
    }
    Ok(())
}

/// Writes an answer to stdout as CSV, row by row as it comes.
pub fn csv(rows: impl FnOnce(&mut dyn FnMut(Part<'_>) -> Result<()>) -> Result<()>) -> Result<()> {
    let mut writer = csv::Writer::from_writer(std::io::stdout().lock());
    rows(&mut |part| {
        match part {
            Part::Columns(columns) => writer.write_record(columns)?,
            Part::Row(row) => writer.write_record(row.iter().map(exact))?,
        }
        Ok(())
    })?;
    Ok(writer.flush()?)
}

/// Aligned columns: numbers right, the rest left.
pub fn table(answer: &Answer, preset: &str) -> Table {
    let mut table = Table::new();
    table.load_preset(preset).set_content_arrangement(ContentArrangement::Disabled);
    let markdown = preset == presets::ASCII_MARKDOWN;
    let safe = |text: &str| {
        let text = visible(text);
        if markdown { text.replace('|', "\\|").replace('\n', " ") } else { text.into_owned() }
    };
    table.set_header(answer.columns.iter().map(|name| safe(name)));
    for row in &answer.rows {
        table.add_row(row.iter().map(|cell| safe(&shown(cell))));
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        let numeric = |row: &Vec<Cell>| matches!(row[i], Cell::Integer(_) | Cell::Real(_) | Cell::Null);
        if !answer.rows.is_empty() && answer.rows.iter().all(numeric) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// For people: six significant digits.
fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Real(x) if x.is_finite() => {
            let rounded: f64 = format!("{x:.5e}").parse().unwrap_or(*x);
            spec::Value::Float(rounded).to_string()
        }
        other => exact(other),
    }
}

/// For programs: every digit; NULL is empty.
fn exact(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Integer(i) => i.to_string(),
        Cell::Real(x) => x.to_string(),
        Cell::Text(t) => t.clone(),
    }
}

/// One line per row, keys in the order of the columns. JSON has no infinity: it becomes text, so that it differs from null.
fn object(columns: &[String], row: &[Cell]) -> String {
    let value = |cell: &Cell| match cell {
        Cell::Null => serde_json::Value::Null,
        Cell::Integer(i) => (*i).into(),
        Cell::Real(x) if x.is_finite() => (*x).into(),
        Cell::Real(x) => x.to_string().into(),
        Cell::Text(t) => t.clone().into(),
    };
    let fields = columns.iter().zip(row).map(|(name, cell)| format!("{}: {}", serde_json::Value::from(name.as_str()), value(cell)));
    inert(&format!("{{{}}}", fields.collect::<Vec<_>>().join(", ")))
}

/// `1.6 GiB`
pub fn bytes(n: u64) -> String {
    let (mut size, mut unit) = (n as f64, "B");
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if size < 1024.0 {
            break;
        }
        (size, unit) = (size / 1024.0, next);
    }
    if size < 10.0 && unit != "B" { format!("{size:.1} {unit}") } else { format!("{size:.0} {unit}") }
}

/// `0.4 s`, `12 s`, `3 min 20 s`, `2 h 05 min`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "durations are positive and short")]
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `28×28×1`
pub fn shape(sizes: &[usize]) -> String {
    sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join("×")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        let row = |name: &str, x: Cell| vec![Cell::Text(name.into()), x];
        Answer {
            columns: vec!["arm".into(), "loss".into()],
            rows: vec![row("a|b", Cell::Real(0.123_456_789)), row("c", Cell::Null), row("d", Cell::Real(f64::INFINITY))],
        }
    }

    #[test]
    fn tables_escape_and_align() {
        insta::assert_snapshot!(table(&answer(), presets::ASCII_MARKDOWN), @r"
        | arm  |     loss |
        |------|----------|
        | a\|b | 0.123457 |
        | c    |          |
        | d    |      inf |
        ");
        assert_eq!(object(&answer().columns, &answer().rows[2]), r#"{"arm": "d", "loss": "inf"}"#);
    }

    #[test]
    fn what_a_terminal_obeys_is_written_out() {
        let plain = "loss 0.1 → 0.2\n\tschöne Größe, 日本語, 👩‍🔬";
        assert_eq!(visible(plain), plain);
        assert_eq!(visible("a\u{1b}[2Jb\rc\u{9b}31md\u{7f}"), r"a\u{1b}[2Jb\u{d}c\u{9b}31md\u{7f}");
        assert_eq!(visible("\u{202e}gpj.exe\u{2066}"), r"\u{202e}gpj.exe\u{2066}");
        let hostile = |text: &str| Answer { columns: vec![text.into()], rows: vec![vec![Cell::Text(text.into())]] };
        for preset in [presets::ASCII_MARKDOWN, presets::UTF8_FULL_CONDENSED] {
            let table = table(&hostile("\u{1b}]0;title\u{7}"), preset).to_string();
            assert!(!table.contains('\u{1b}') && table.matches(r"\u{1b}]0;title\u{7}").count() == 2, "{table}");
        }
    }

    #[test]
    fn durations_read_well() {
        assert_eq!([0.42, 9.96, 61.0, 3660.0].map(duration), ["0.4 s", "10 s", "1 min 01 s", "1 h 01 min"]);
    }
}
