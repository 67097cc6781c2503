//! Text measured and made to fit: an estimate of its width, shortening and line breaking.
//! Called wherever a figure leaves room for labels; it knows nothing of SVG or of fonts installed.

/// Estimated width of `text` in pixels.
///
/// The advances are those of a wide sans-serif, so that labels still fit where Helvetica and Arial
/// are missing and a wider font stands in.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    let em: f64 = text
        .chars()
        .map(|c| match c {
            'i' | 'j' | 'l' | '\'' | '|' => 0.29,
            ' ' | '.' | ',' | ':' | ';' | 'I' | '/' | '\\' => 0.34,
            'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '-' | '!' => 0.40,
            '⁻' | '⁰' | '¹' | '²' | '³' | '⁴'..='⁹' => 0.42,
            'm' | 'M' | 'W' | '@' | '%' | '…' | '—' => 1.0,
            'w' | '=' | '+' | '<' | '>' | '×' | '−' | '~' => 0.83,
            'A'..='Z' => 0.70,
            c if c.is_ascii() => 0.63,
            _ => 0.70,
        })
        .sum();
    em * size
}

/// Longer texts fit nowhere, and measuring them again and again takes long.
const MOST: usize = 1000;

/// The start of a text.
fn head(text: &str) -> &str {
    text.char_indices().nth(MOST).map_or(text, |(end, _)| &text[..end])
}

/// `text` shortened with an ellipsis to fit `width`.
pub(super) fn fit(text: &str, size: f64, width: f64) -> String {
    let text = head(text);
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut kept: String = text.to_owned();
    while !kept.is_empty() && text_width(&kept, size) + size > width {
        kept.pop();
    }
    kept.push('…');
    kept
}

/// `text` with its middle left out to fit `width`: labels often differ only at their end.
pub(super) fn squeeze(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let all = text.chars().count();
    let letters: Vec<char> = text.chars().take(MOST).chain(text.chars().skip(MOST.max(all.saturating_sub(MOST)))).collect();
    let squeezed = |kept: usize| {
        let (head, tail) = (&letters[..kept.div_ceil(2)], &letters[letters.len() - kept / 2..]);
        head.iter().chain(['…'].iter()).chain(tail).collect::<String>()
    };
    let fits = |kept: &usize| text_width(&squeezed(*kept), size) <= width;
    squeezed((0..letters.len()).rev().find(fits).unwrap_or(0))
}

/// Labels that stand beside each other, made to fit `width`. One that is too long loses the words that all of them share, and then
/// its middle; what sets it apart stays as long as it can.
pub(super) fn squeeze_apart(texts: &[&str], size: f64, width: f64) -> Vec<String> {
    let in_all = |word: &str| texts.iter().all(|text| text.split_whitespace().any(|other| other == word));
    let apart = |text: &&str| {
        if text_width(text, size) <= width {
            return (*text).to_owned();
        }
        let kept: Vec<&str> = text.split_whitespace().filter(|word| texts.len() < 2 || !in_all(word)).collect();
        squeeze(&if kept.is_empty() { (*text).to_owned() } else { kept.join(" ") }, size, width)
    };
    texts.iter().map(apart).collect()
}

/// `text` broken at spaces into lines of at most `width`; an overlong word is shortened.
pub(super) fn wrap(text: &str, size: f64, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        if let Some(line) = lines.last_mut() {
            let longer = format!("{line} {word}");
            if text_width(&longer, size) <= width {
                *line = longer;
                continue;
            }
        }
        lines.push(fit(word, size, width));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_megabytes_is_looked_at_in_part() {
        let text = format!("begin{}end", "x".repeat(10_000_000));
        assert!(head(&text).len() == MOST);
        assert!(fit(&text, 11.0, 90.0).starts_with("begin") && squeeze(&text, 11.0, 90.0).ends_with("end"));
        assert_eq!(wrap(&text, 11.0, 90.0).len(), 1);
    }

    #[test]
    fn long_labels_lose_what_they_share_first() {
        let labels = ["one and the same beginning momentum=0", "one and the same beginning momentum=0.9", "the same one beginning and"];
        let fitted = squeeze_apart(&labels, 11.0, 120.0);
        assert_eq!(&fitted[..2], ["momentum=0", "momentum=0.9"]);
        assert!(text_width(&fitted[2], 11.0) <= 120.0 && fitted[2].contains('…'));
        assert_eq!(squeeze_apart(&["short", "a short one"], 11.0, 120.0), ["short", "a short one"]);
        assert!(squeeze_apart(&labels[..1], 11.0, 60.0)[0].starts_with("one"));
    }

    #[test]
    fn long_text_is_shortened_or_wrapped() {
        let text = "a rather long label of several words";
        assert!(text_width(&fit(text, 11.0, 80.0), 11.0) <= 80.0);
        let squeezed = squeeze(text, 11.0, 80.0);
        assert!(text_width(&squeezed, 11.0) <= 80.0 && squeezed.starts_with("a r") && squeezed.ends_with("rds"));
        let lines = wrap(text, 11.0, 80.0);
        assert!(lines.len() > 2 && lines.iter().all(|line| text_width(line, 11.0) <= 80.0));
        assert_eq!(lines.join(" "), text);
    }
}
