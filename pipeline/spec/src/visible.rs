//! Text of others in messages: nothing in it that a terminal obeys or that can't be seen, and no more of it than is read.

use std::borrow::Cow;

/// Text as people may be shown it. What a terminal obeys (escape sequences, carriage returns, changes of direction) or what can't be
/// seen could pretend that something else is there: such characters are written out, as `\u{1b}`.
///
/// Joiners stay: some scripts and emoji need them.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_deceptive) {
        return Cow::Borrowed(text);
    }
    let written = |c: char| if is_deceptive(c) { c.escape_unicode().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(written).collect())
}

/// JSON in which what [`visible`] writes out is an escape of JSON: the same text for a program, and harmless on a terminal.
pub fn inert(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_deceptive(c) {
            out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

/// Text that a spreadsheet doesn't take for a formula: an apostrophe stands before what it would calculate. Numbers are no formulas.
pub fn guard(text: &str) -> String {
    let text = visible(text);
    let is_number = text.ends_with(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok();
    let starts = |text: &str| text.starts_with(['=', '+', '-', '@', '\t', '＝', '＋', '－', '＠']);
    // Some pass over what stands before it.
    let formula = starts(&text) || starts(text.trim_start_matches(['\'', '"', ' ', '\n']));
    if formula && !is_number { format!("'{text}") } else { text.into_owned() }
}

/// Whether a character does something other than to be seen: to the terminal, to the order of the text, or nothing at all.
pub fn is_deceptive(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        // Marks and changes of direction, line and paragraph separators.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        // Invisible spaces, operators, annotations, tags.
        | '\u{200b}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        c => c.is_control(),
    }
}

/// Visible text of at most `most` characters; of a longer one the middle is left out, as both ends say what it is.
pub(crate) fn brief(text: &str, most: usize) -> String {
    // Looked at in bytes first: a character has at most four, and written out at most ten of them.
    let end = |n: usize| (0..=n.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    let start = |n: usize| (text.len() - n.min(text.len())..=text.len()).find(|i| text.is_char_boundary(*i)).unwrap_or(text.len());
    let shown = if text.len() > 8 * most {
        Cow::Owned(format!("{}…{}", &text[..end(4 * most)], &text[start(4 * most)..]))
    } else {
        Cow::Borrowed(text)
    };
    let shown: Vec<char> = visible(&shown).chars().collect();
    if shown.len() <= most {
        return shown.into_iter().collect();
    }
    let tail = most / 3;
    let (head, tail) = (&shown[..most - tail - 1], &shown[shown.len() - tail..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_and_what_nobody_sees_is_written_out() {
        let plain = "loss 0.1 → 0.2\n\tschöne Größe, 日本語, 👩‍🔬";
        assert!(matches!(visible(plain), Cow::Borrowed(text) if text == plain));
        let nasty = "a\u{1b}[2Jb\r\u{9b}c\u{202e}d\u{200b}\u{feff}\u{0}\u{7f}\u{e0041}";
        assert_eq!(visible(nasty), r"a\u{1b}[2Jb\u{d}\u{9b}c\u{202e}d\u{200b}\u{feff}\u{0}\u{7f}\u{e0041}");
    }

    #[test]
    fn long_text_loses_its_middle() {
        assert_eq!(brief("short", 5), "short");
        assert_eq!(brief("0123456789", 7), "0123…89");
        let long = format!("begin {} end", "é\u{1b}".repeat(1_000_000));
        let shown = brief(&long, 60);
        assert!(shown.chars().count() == 60 && shown.starts_with("begin é\\u{1b}") && shown.ends_with(" end"), "{shown}");
    }

    #[test]
    fn json_says_the_same_and_is_inert() {
        let text = "\u{1b}[2J\u{9b}\u{202e}\u{e0041} é";
        let json = inert(&serde_json::json!({ text: [text] }).to_string());
        assert!(!json.contains(is_deceptive), "{json}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), serde_json::json!({ text: [text] }));
    }

    #[test]
    fn formulas_are_guarded_and_numbers_are_left_alone() {
        for text in ["=1+1", "+A1", "-2+3", "@SUM(1)", "\t=1", "-inf", "-", "'=1", " =1", "\n=1", "＝1", "-1e"] {
            assert_eq!(guard(text), format!("'{text}"), "{text:?}");
        }
        for text in ["-0.5", "+3", "-1e-3", "lr=0.1", "a-b", "", "0"] {
            assert_eq!(guard(text), text);
        }
        assert_eq!(guard("\r=1\u{202e}"), "\\u{d}=1\\u{202e}");
    }
}
