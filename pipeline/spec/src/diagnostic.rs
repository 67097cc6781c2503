//! An error in a grid file: where it stands, what is wrong, and what would be right.

use std::fmt;
use std::ops::Range;

use crate::visible::{brief, visible};

/// Characters of a message. It quotes what is wrong, which may be anything.
const MESSAGE: usize = 500;
/// Characters of a help, which may list all that there is.
const HELP: usize = 4000;
/// Characters shown of a line on either side of a place in it.
const BEFORE: usize = 100;
const BEHIND: usize = 120;

/// One error, printed the way compilers do: message, place, the line with a caret, help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub message: String,
    pub file: String,
    /// 1-based.
    pub line: usize,
    /// 1-based, counted in characters.
    pub column: usize,
    pub help: Option<String>,
    /// Nothing is wrong with the file, but a dataset that it names is not there.
    pub is_missing_data: bool,
    /// What is shown of the line, and where the caret stands under it.
    source_line: Box<str>,
    indent: u16,
    width: u16,
}

impl std::error::Error for Diagnostic {}

/// The text of a file with its name, from which diagnostics are cut.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    pub file: &'a str,
    pub text: &'a str,
}

impl Source<'_> {
    /// An error about the bytes `span` of this file.
    pub fn error(&self, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        let start = self.floor(span.start);
        let end = self.floor(span.end).max(start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |i| start + i);
        let column = self.text[line_start..start].chars().count() + 1;
        let (source_line, indent, width) = excerpt(&self.text[line_start..line_end], start - line_start, end.min(line_end) - line_start);
        Diagnostic {
            message: brief(&message.into(), MESSAGE),
            file: visible(self.file).into_owned(),
            line: self.text[..start].matches('\n').count() + 1,
            column,
            help: None,
            is_missing_data: false,
            source_line,
            indent,
            width,
        }
    }

    /// The nearest character boundary at or before a byte position.
    fn floor(&self, position: usize) -> usize {
        let mut p = position.min(self.text.len());
        while !self.text.is_char_boundary(p) {
            p -= 1;
        }
        p
    }
}

/// What is shown of a line around the bytes `start..end` of it, with the indent and the width of the carets below.
fn excerpt(line: &str, start: usize, end: usize) -> (Box<str>, u16, u16) {
    // A tab is one caret wide only if it is printed as one space.
    let shown = |text: &str| visible(&text.replace('\t', " ")).into_owned();
    let (before, marked) = (&line[..start], &line[start..end.max(start)]);
    let from = before.char_indices().rev().nth(BEFORE).map(|(i, c)| i + c.len_utf8());
    let to = line[start..].char_indices().nth(BEHIND).map(|(i, _)| start + i);
    let before = format!("{}{}", if from.is_some() { "…" } else { "" }, shown(&before[from.unwrap_or(0)..]));
    let marked = shown(&marked[..marked.len().min(to.unwrap_or(line.len()) - start)]);
    let rest = shown(line[start..to.unwrap_or(line.len())].trim_end());
    let line = format!("{before}{rest}{}", if to.is_some() { "…" } else { "" });
    let count = |text: &str| u16::try_from(text.chars().count()).unwrap_or(u16::MAX);
    (line.into(), count(&before), count(&marked).max(1))
}

impl Diagnostic {
    #[must_use]
    pub(crate) fn missing_data(self) -> Self {
        Diagnostic { is_missing_data: true, ..self }
    }

    /// Adds what would be right.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(brief(&help.into(), HELP));
        self
    }

    /// Adds `did you mean …?` when there is something to suggest, else lists what there is.
    #[must_use]
    pub fn suggest(self, suggestion: Option<&str>, known: &[&str]) -> Self {
        match suggestion {
            Some(s) => self.help(format!("did you mean `{s}`?")),
            None => self.help(format!("known: {}", known.join(", "))),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gutter = self.line.to_string().len();
        writeln!(f, "{}", self.message)?;
        writeln!(f, "{:gutter$}--> {}:{}:{}", "", self.file, self.line, self.column)?;
        writeln!(f, "{:gutter$} |", "")?;
        writeln!(f, "{} | {}", self.line, self.source_line)?;
        let (indent, carets) = (usize::from(self.indent), "^".repeat(self.width.into()));
        write!(f, "{:gutter$} | {:indent$}{carets}", "", "")?;
        if let Some(help) = &self.help {
            write!(f, "\n{:gutter$} = help: {help}", "")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn points_at_the_line_and_column() {
        let source = Source { file: "g.toml", text: "[base]\nlr = 1\nmoddel = \"mlp\"\n" };
        let d = source.error(14..20, "unknown key `moddel`").suggest(Some("model"), &[]);
        assert_eq!((d.line, d.column), (3, 1));
        let text = "unknown key `moddel`\n --> g.toml:3:1\n  |\n3 | moddel = \"mlp\"\n  | ^^^^^^\n  = help: did you mean `model`?";
        assert_eq!(d.to_string(), text);
    }

    #[test]
    fn a_long_line_is_cut_around_the_place_and_shows_what_it_holds() {
        let (left, right) = ("x".repeat(100_000), "é".repeat(100_000));
        let text = format!("a = 1\n{left} \u{1b}[2J\u{202e}{right}");
        let message = format!("unknown `{}` here", "\u{9b}".repeat(10_000_000));
        let d = Source { file: "g\u{1b}.toml", text: &text }.error(100_007..100_008, message).help("\u{202e}".repeat(1_000_000));
        assert_eq!((d.line, d.column), (2, 100_002));
        let shown = d.to_string();
        assert!(shown.len() < 8000 && !shown.contains(crate::is_deceptive), "{}", shown.len());
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[0].starts_with("unknown `\\u{9b}") && lines[0].ends_with("` here"), "{}", lines[0]);
        assert!(lines[3].starts_with("2 | …xxx") && lines[3].contains("\\u{1b}[2J\\u{202e}éé") && lines[3].ends_with("é…"), "{}", lines[3]);
        let caret = lines[4].chars().position(|c| c == '^').unwrap();
        assert_eq!(lines[3].chars().skip(caret).take(lines[4].matches('^').count()).collect::<String>(), "\\u{1b}");
    }

    proptest! {
        #[test]
        fn any_span_of_any_text_prints(text in "\\PC*(\n\\PC*){0,3}", a in 0usize..80, b in 0usize..80) {
            let source = Source { file: "g", text: &text };
            let _ = source.error(a..b, "m").to_string();
        }
    }
}
