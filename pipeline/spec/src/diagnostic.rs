//! An error in a grid file: where it stands, what is wrong, and what would be right.

use std::fmt;
use std::ops::Range;

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
    source_line: Box<str>,
    width: usize,
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
        let shown = end.min(line_end);
        Diagnostic {
            message: message.into(),
            file: self.file.to_owned(),
            line: self.text[..start].matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            help: None,
            is_missing_data: false,
            // A tab is one caret wide only if it is printed as one space.
            source_line: self.text[line_start..line_end].trim_end().replace('\t', " ").into(),
            width: self.text[start..shown.max(start)].chars().count().max(1),
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

impl Diagnostic {
    #[must_use]
    pub(crate) fn missing_data(self) -> Self {
        Diagnostic { is_missing_data: true, ..self }
    }

    /// Adds what would be right.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
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
        write!(f, "{:gutter$} | {:pad$}{}", "", "", "^".repeat(self.width), pad = self.column - 1)?;
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

    proptest! {
        #[test]
        fn any_span_of_any_text_prints(text in "\\PC*(\n\\PC*){0,3}", a in 0usize..80, b in 0usize..80) {
            let source = Source { file: "g", text: &text };
            let _ = source.error(a..b, "m").to_string();
        }
    }
}
