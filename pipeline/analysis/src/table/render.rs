//! A table as Markdown and as CSV.
//! Called by the report; it knows nothing of what a table holds.

use std::fmt::Write as _;

use spec::{guard, visible};

use super::{Cell, Column, Table};
use crate::error::Error;
use crate::number::real;

const NOTHING: &str = "–";

impl Table {
    /// A table in GitHub's Markdown, without its caption.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let headers: Vec<String> = self.columns.iter().map(|column| escape(&column.header_text())).collect();
        let _ = writeln!(text, "| {} |", headers.join(" | "));
        let rules: Vec<&str> = (0..self.columns.len()).map(|i| if self.is_text(i) { "---" } else { "---:" }).collect();
        let _ = writeln!(text, "| {} |", rules.join(" | "));
        for row in &self.rows {
            let cells: Vec<String> = row.iter().zip(&self.columns).map(|(cell, column)| cell.markdown(column)).collect();
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text
    }

    pub(crate) fn is_text(&self, column: usize) -> bool {
        let is_text = |cell: &Cell| match cell {
            Cell::Strong(cell) => matches!(**cell, Cell::Text(_)),
            cell => matches!(cell, Cell::Text(_)),
        };
        self.rows.iter().any(|row| row.get(column).is_some_and(is_text))
    }

    /// Comma-separated values with one header line: full precision, empty for what is not known, compound cells taken apart.
    ///
    /// # Errors
    /// When a row doesn't have the columns' parts; a mistake of this program.
    pub fn csv(&self) -> Result<Vec<u8>, Error> {
        let error = |e: &dyn std::fmt::Display| Error::Csv(format!("{}: {e}", self.name));
        let mut writer = csv::Writer::from_writer(vec![]);
        writer.write_record(self.columns.iter().flat_map(|column| &column.csv).map(|name| guard(name))).map_err(|e| error(&e))?;
        for row in &self.rows {
            let fields = row.iter().zip(&self.columns).flat_map(|(cell, column)| cell.csv(column.csv.len()));
            writer.write_record(fields).map_err(|e| error(&e))?;
        }
        writer.into_inner().map_err(|e| error(&e))
    }
}

impl Column {
    /// Header with unit and direction, as plain text.
    pub(crate) fn header_text(&self) -> String {
        let mut text = self.header.clone();
        if let Some(unit) = self.unit {
            let _ = write!(text, " ({unit})");
        }
        match self.higher_is_better {
            Some(true) => text.push_str(" ↑"),
            Some(false) => text.push_str(" ↓"),
            None => {}
        }
        text
    }
}

impl Cell {
    /// What a reader sees, as plain text.
    pub(crate) fn text(&self, column: &Column) -> String {
        let number = |value: f64| column.format.text(value);
        match self {
            Cell::Text(text) => text.clone(),
            Cell::Count(n) | Cell::Alarm(n) => n.to_string(),
            Cell::Of(k, n) => format!("{k} of {n}"),
            Cell::Value(Some(value)) => number(*value),
            Cell::Spread(Some([middle, low, high])) => {
                format!("{} [{}–{}]", number(*middle), number(*low), number(*high))
            }
            Cell::MeanSd(Some(mean), Some(deviation)) => column.format.with_deviation(*mean, *deviation),
            Cell::MeanSd(Some(mean), None) | Cell::Estimate(Some(mean), None) => number(*mean),
            Cell::Estimate(Some(value), Some(interval)) => column.format.with_interval(*value, *interval),
            Cell::P(Some(p)) => p_value(*p),
            Cell::Strong(cell) => cell.text(column),
            Cell::Value(None) | Cell::Spread(None) | Cell::MeanSd(None, _) | Cell::Estimate(None, _) | Cell::P(None) => NOTHING.into(),
        }
    }

    /// Whether a reader should notice it.
    pub(crate) fn is_strong(&self) -> bool {
        matches!(self, Cell::Strong(_)) || matches!(self, Cell::Alarm(n) if *n > 0)
    }

    /// What it is sorted by; `None` for text and for what is not known.
    pub(crate) fn sort_key(&self) -> Option<f64> {
        match self {
            Cell::Text(_) => None,
            Cell::Count(n) | Cell::Alarm(n) | Cell::Of(n, _) => Some(real(*n)),
            Cell::Value(value) | Cell::MeanSd(value, _) | Cell::Estimate(value, _) | Cell::P(value) => *value,
            Cell::Spread(values) => values.map(|[middle, ..]| middle),
            Cell::Strong(cell) => cell.sort_key(),
        }
        .filter(|value| value.is_finite())
    }

    fn markdown(&self, column: &Column) -> String {
        let text = escape(&self.text(column));
        if self.is_strong() { format!("**{text}**") } else { text }
    }

    /// As many fields as the column has parts.
    fn csv(&self, parts: usize) -> Vec<String> {
        let plain = |value: &f64| {
            if value.is_finite() { value.to_string() } else { String::new() }
        };
        let mut fields = match self {
            Cell::Text(text) => vec![guard(text)],
            Cell::Count(n) | Cell::Alarm(n) => vec![n.to_string()],
            Cell::Of(k, n) => vec![k.to_string(), n.to_string()],
            Cell::Value(Some(value)) => vec![plain(value)],
            Cell::Spread(Some(values)) => values.iter().map(plain).collect(),
            Cell::MeanSd(mean, deviation) => [mean, deviation].into_iter().map(|x| x.as_ref().map(plain).unwrap_or_default()).collect(),
            Cell::Estimate(value, interval) => {
                let ends = interval.map(|interval| [interval.low, interval.high]);
                [*value, ends.map(|ends| ends[0]), ends.map(|ends| ends[1])]
                    .iter()
                    .map(|x| x.as_ref().map(plain).unwrap_or_default())
                    .collect()
            }
            Cell::P(Some(p)) => vec![plain(p)],
            Cell::Strong(cell) => cell.csv(parts),
            Cell::Value(None) | Cell::Spread(None) | Cell::P(None) => vec![],
        };
        fields.resize(parts.max(fields.len()), String::new());
        fields
    }
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") }
}

/// Text that can't end a table cell, start an HTML tag, or be a link or a picture; what can't be seen is written out.
pub(crate) fn escape(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    visible(&words).replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace("](", "]\\(")
}

/// A name from the database as code, which no character of it can end.
pub(crate) fn code(name: &str) -> String {
    format!("`{}`", escape(name).replace('`', "'"))
}

/// Text as one paragraph of a page: nothing in it starts a heading, a list, a quotation, a fence or a rule.
pub(crate) fn paragraph(text: &str) -> String {
    let text = escape(text);
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.len() < text.len() && rest.starts_with(['.', ')']) {
        return format!("{}\\{rest}", &text[..text.len() - rest.len()]);
    }
    // A bracket could define where links lead, or a footnote.
    if text.starts_with(['#', '>', '-', '+', '*', '=', '~', '_', '`', '[']) && !is_emphasis(&text) { format!("\\{text}") } else { text }
}

/// Text that starts with code, emphasis or an underlined word, which are no structure.
fn is_emphasis(text: &str) -> bool {
    let mark = text.chars().next().filter(|c| ['*', '_', '`'].contains(c));
    mark.is_some_and(|mark| {
        let inner = text.trim_start_matches(mark);
        text.len() - inner.len() < 3 && inner.starts_with(|c: char| !c.is_whitespace()) && inner.contains(mark)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_has_no_structure() {
        for (text, expected) in [
            ("# What\n\n- now <b>?", "\\# What - now &lt;b>?"),
            ("1. First", "1\\. First"),
            ("10 runs", "10 runs"),
            ("---", "\\---"),
            ("```sh", "\\```sh"),
            ("`lr` matters", "`lr` matters"),
            ("*Why*?", "*Why*?"),
            ("* item", "\\* item"),
            ("[x]: javascript:alert(1)", "\\[x]: javascript:alert(1)"),
            ("a [b](javascript:c) ![d](e)", "a [b]\\(javascript:c) ![d]\\(e)"),
            ("a\u{202e}b\u{1b}", "a\\\\u{202e}b\\\\u{1b}"),
        ] {
            assert_eq!(paragraph(text), expected);
        }
    }

    #[test]
    fn a_name_as_code_is_one_piece_of_code() {
        assert_eq!(code("model.hidden"), "`model.hidden`");
        assert_eq!(code("a` | <b>\n# c"), "`a' \\| &lt;b> # c`");
    }
}
