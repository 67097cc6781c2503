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
}
