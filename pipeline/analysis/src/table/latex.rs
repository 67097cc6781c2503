//! A table as LaTeX, with the rules of the package booktabs.
//! Called by the report; it knows nothing of what a table holds.

use std::fmt::Write as _;

use spec::visible;

use super::{Cell, Column, Table};

impl Table {
    /// A floating table for a document that uses `booktabs`, with its caption and the label `tab:STUDY-NAME`.
    #[must_use]
    pub fn latex(&self, study: &str) -> String {
        let columns: String = (0..self.columns.len()).map(|i| if self.is_text(i) { 'l' } else { 'r' }).collect();
        let headers: Vec<String> = self.columns.iter().map(|column| escape(&column.header_text())).collect();
        let mut text = String::from("% needs \\usepackage{booktabs}\n\\begin{table}\n\\centering\n");
        let _ = writeln!(text, "\\caption{{{}}}", escape(&self.caption));
        let _ = writeln!(text, "\\label{{tab:{}-{}}}", label(study), label(self.name));
        let _ = writeln!(text, "\\begin{{tabular}}{{{columns}}}\n\\toprule\n{} \\\\\n\\midrule", headers.join(" & "));
        for row in &self.rows {
            let cells: Vec<String> = row.iter().zip(&self.columns).map(|(cell, column)| cell.latex(column)).collect();
            let _ = writeln!(text, "{} \\\\", cells.join(" & "));
        }
        text.push_str("\\bottomrule\n\\end{tabular}\n\\end{table}\n");
        text
    }
}

impl Cell {
    fn latex(&self, column: &Column) -> String {
        let text = escape(&self.text(column));
        // A bracket that opens a row would be taken for the argument of the line break before.
        let text = if text.starts_with('[') { format!("{{}}{text}") } else { text };
        if self.is_strong() { format!("\\textbf{{{text}}}") } else { text }
    }
}

/// Letters, digits and hyphens.
fn label(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// Text without anything that LaTeX would take for a command; `code` in backticks becomes typewriter text.
fn escape(text: &str) -> String {
    let text = &*visible(text);
    let mut out = String::new();
    let mut code = false;
    // A lone backtick is one.
    let paired = text.matches('`').count().is_multiple_of(2);
    for c in text.chars() {
        match c {
            '`' if paired => {
                out.push_str(if code { "}" } else { "\\texttt{" });
                code = !code;
            }
            '\\' => out.push_str("\\textbackslash{}"),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '<' => out.push_str("\\textless{}"),
            '>' => out.push_str("\\textgreater{}"),
            '±' => out.push_str("$\\pm$"),
            '×' => out.push_str("$\\times$"),
            '≥' => out.push_str("$\\geq$"),
            '≤' => out.push_str("$\\leq$"),
            '↑' => out.push_str("$\\uparrow$"),
            '↓' => out.push_str("$\\downarrow$"),
            '→' => out.push_str("$\\to$"),
            '√' => out.push_str("$\\surd$"),
            'Σ' => out.push_str("$\\Sigma$"),
            '∂' => out.push_str("$\\partial$"),
            '−' => out.push_str("$-$"),
            '–' => out.push_str("--"),
            '\n' | '\t' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_a_command() {
        assert_eq!(escape("\\input{x} 50% of `a_b` ± 1"), "\\textbackslash{}input\\{x\\} 50\\% of \\texttt{a\\_b} $\\pm$ 1");
        assert_eq!(escape("a`b"), "a`b");
        assert_eq!(
            escape("^^5cwrite18{}\r\u{202e}"),
            "\\textasciicircum{}\\textasciicircum{}5cwrite18\\{\\}\\textbackslash{}u\\{d\\}\\textbackslash{}u\\{202e\\}"
        );
    }
}
