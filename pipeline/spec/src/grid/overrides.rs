//! Changes to a grid from the command line, as Hydra writes them: `lr=0.1,0.01`, `model.hidden=32`, `seeds=5`, `~momentum`.
//!
//! They make an equivalent grid file out of a grid file, or out of defaults: a text that the ordinary parser reads, that is kept with
//! the study, and that can be saved. So overrides mean what the file means, and are checked by what checks files.

mod document;

use std::str::FromStr;

use toml::de::{DeTable, DeValue};

use super::{Catalog, Limits, MAX_NAME};
use crate::config::fingerprint;
use crate::diagnostic::{Diagnostic, Source};
use crate::run::Study;
use document::{Document, Node, Table};

/// Bytes of an override.
const MAX_BYTES: usize = 10_000;

/// One change to a grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// As it was written.
    text: String,
    key: String,
    change: Change,
}

#[derive(Clone, Debug, PartialEq)]
enum Change {
    Remove,
    One(Node),
    /// A list or a range.
    Many(Node),
}

impl Override {
    /// Whether a word of the command line is one, rather than the path of a file.
    pub fn is_meant_by(word: &str) -> bool {
        word.contains('=') || word.starts_with('~')
    }
}

impl FromStr for Override {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let reason = |why: &str| format!("in the override `{}`: {why}", crate::visible::brief(text, 200));
        let wrong = |why: &str| Err(reason(why));
        if text.len() > MAX_BYTES {
            return wrong("it is longer than 10 000 bytes");
        }
        if text.chars().any(crate::is_deceptive) || text.contains(['\n', '\t']) {
            return wrong("it contains a control character");
        }
        if let Some(key) = text.strip_prefix('~') {
            if key.is_empty() || key.contains('=') {
                return wrong("write ~key to remove a key");
            }
            return Ok(Override { text: text.into(), key: key.into(), change: Change::Remove });
        }
        let Some((key, values)) = text.split_once('=') else { return wrong("write key=value, key=a,b or ~key") };
        let key = key.trim();
        let is_key = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if key.is_empty() || !key.chars().all(is_key) {
            return wrong("a key such as lr or model.hidden stands before the `=`");
        }
        let change = change(values.trim()).map_err(|why| reason(&why))?;
        Ok(Override { text: text.into(), key: key.into(), change })
    }
}

/// What stands behind the `=`.
fn change(values: &str) -> Result<Change, String> {
    if let Some((kind, ends)) =
        ["log", "linear"].into_iter().find_map(|kind| Some((kind, values.strip_prefix(kind)?.trim().strip_prefix('(')?)))
    {
        let ends = ends.strip_suffix(')').ok_or("the `(` is not closed at the end")?;
        let [from, to, points] = ends
            .split(',')
            .map(scalar)
            .collect::<Result<Vec<_>, _>>()?
            .try_into()
            .map_err(|_| format!("a range is {kind}(FROM,TO,POINTS), such as {kind}(1e-4,1,5)"))?;
        let range = [(kind.to_owned(), Node::List(vec![from, to])), ("points".to_owned(), points)];
        return Ok(Change::Many(Node::Table(range.into_iter().collect())));
    }
    let list = split(values)?.into_iter().map(scalar).collect::<Result<Vec<_>, _>>()?;
    Ok(match <[Node; 1]>::try_from(list) {
        Ok([one]) => Change::One(one),
        Err(many) => Change::Many(Node::List(many)),
    })
}

/// At the commas outside of quotes.
fn split(values: &str) -> Result<Vec<&str>, String> {
    let (mut parts, mut from, mut quote) = (vec![], 0, None);
    for (at, c) in values.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, ',') => {
                parts.push(&values[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&values[from..]);
    if quote.is_some() { Err("a quote is not closed".into()) } else { Ok(parts) }
}

/// A switch or a number as TOML writes them, and a text otherwise, in quotes or without.
fn scalar(text: &str) -> Result<Node, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("a value is missing; write key=a,b, or ~key to remove a key".into());
    }
    for quote in ['\'', '"'] {
        if let Some(inner) = text.strip_prefix(quote) {
            return match inner.strip_suffix(quote) {
                Some(inner) if !inner.contains(quote) => Ok(Node::text(inner)),
                _ => Err("quotes stand around a whole value".into()),
            };
        }
    }
    let line = format!("x = {text}");
    let as_toml = DeTable::parse(&line).ok().filter(|table| table.get_ref().len() == 1 && !text.contains('#'));
    let is_plain = as_toml
        .as_ref()
        .and_then(|table| table.get_ref().get("x"))
        .is_some_and(|value| matches!(value.get_ref(), DeValue::Boolean(_) | DeValue::Integer(_) | DeValue::Float(_)));
    // What people write for numbers beside TOML's forms, such as `.5`.
    let number = text.parse::<f64>().ok().filter(|x| x.is_finite());
    Ok(match number {
        _ if is_plain => Node::Raw(text.into()),
        Some(x) => Node::Raw(format!("{x:?}")),
        None => Node::text(text),
    })
}

/// A grid file that overrides have made.
#[derive(Clone, Debug, PartialEq)]
pub struct Overridden {
    /// Of the study.
    pub name: String,
    /// What messages call it.
    file: String,
    /// The grid file.
    pub text: String,
    /// The lines that an override stands behind, from 1, with what was written.
    lines: Vec<(usize, String)>,
}

/// What an override-only sweep starts from, where nothing else is said. The learning rate has no good default.
const DEFAULTS: [(&str, &str); 5] =
    [("dataset", "\"fashion-mnist-mini\""), ("model", "\"mlp\""), ("optimizer", "\"sgd\""), ("batch_size", "64"), ("epochs", "3")];

impl Overridden {
    /// Applies overrides to a grid file, or to defaults. The study is called `name`, or else by what it is made of, so that it never
    /// takes the place of the file's own study.
    ///
    /// # Errors
    /// When the file is no TOML, or two overrides contradict each other.
    pub fn new(file: Option<Source<'_>>, stem: &str, overrides: &[Override], name: Option<&str>) -> Result<Self, Diagnostic> {
        let said = overrides.iter().map(|o| o.text.as_str()).collect::<Vec<_>>().join(" ");
        let typed = Source { file: "the command line", text: &said };
        if let Some((i, twice)) = overrides.iter().enumerate().find(|(i, o)| overrides[..*i].iter().any(|other| other.key == o.key)) {
            let at = overrides[..i].iter().map(|o| o.text.len() + 1).sum::<usize>();
            return Err(typed.error(at..at + twice.text.len(), format!("`{}` is overridden twice", twice.key)));
        }
        let mut document = match file {
            Some(source) => Document::of(&source.toml()?),
            None => quick(overrides),
        };
        for change in overrides {
            document.apply(change);
        }
        document.settle(overrides, &said);
        let (text, lines) = document.render();
        let origin = file.map_or_else(|| "the command line".to_owned(), |source| source.file.to_owned());
        let text = format!("# {} with {said}\n\n{text}", origin.replace(|c| c == '\n' || crate::is_deceptive(c), " "));
        let lines = lines.into_iter().map(|(line, said)| (line + 2, said)).collect();
        let name = name.map_or_else(|| derived_name(stem, overrides, &text), str::to_owned);
        let file = if origin == "the command line" { origin } else { format!("{origin} with {said}") };
        Ok(Overridden { name, file, text, lines })
    }

    /// The study, as [`Study::parse`] reads it.
    ///
    /// # Errors
    /// The first thing that is wrong; where an override is to blame, it says so.
    pub fn study(&self, catalog: &dyn Catalog, limits: Limits) -> Result<Study, Diagnostic> {
        Study::parse(&self.name, &self.file, &self.text, catalog, limits).map_err(|mut e| {
            if let Some((_, said)) = self.lines.iter().find(|(line, _)| *line == e.line) {
                e.message = crate::visible::brief(&format!("in the override `{said}`: {}", e.message), 600);
                // In a file one would move the value to another section; here one writes it in another way.
                if e.message.contains("has no effect") {
                    e = e.help("leave the override out");
                }
            } else if e.message.contains("has no effect") && !self.lines.is_empty() {
                e = e.help("remove it with ~KEY, such as ~momentum");
            } else if e.message.contains("is missing") || e.message.contains("needs the key") {
                e = e.help("give it on the command line: key=value");
            }
            e
        })
    }
}

/// What a sweep without a file starts from.
fn quick(overrides: &[Override]) -> Document {
    let said = |key: &str| overrides.iter().any(|o| o.key == key);
    // An analytic surface has neither data nor epochs.
    let learns = !said("surface") && !said("objective");
    let length = ["steps", "epochs"];
    let is_asked = |key: &str| match key {
        "epochs" => learns && !length.into_iter().any(said),
        "optimizer" => !said(key),
        key => learns && !said(key),
    };
    let base: Table =
        DEFAULTS.into_iter().filter(|(key, _)| is_asked(key)).map(|(key, value)| (key.to_owned(), Node::Raw(value.into()))).collect();
    Document::new(&base)
}

/// The stem, the keys that vary (or all that were changed, if none does), and a hash: two different grids never have one name.
fn derived_name(stem: &str, overrides: &[Override], text: &str) -> String {
    let fit = |text: &str, length: usize| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).take(length).collect()
    };
    let varies = |o: &Override| matches!(o.change, Change::Many(_));
    let any = overrides.iter().any(varies);
    let named = overrides.iter().filter(|o| varies(o) || !any);
    let keys: Vec<&str> = named.map(|o| o.key.rsplit('.').next().unwrap_or_default()).collect();
    let hash = fingerprint(text.as_bytes());
    let name = format!("{}-{}-{}", fit(stem, 50), fit(&keys.join("-"), 40), &hash[..8]);
    debug_assert!(name.len() <= MAX_NAME, "50 + 40 + 8 and two hyphens");
    name
}

#[cfg(test)]
mod tests;
