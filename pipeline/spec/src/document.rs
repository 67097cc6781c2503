//! Reading TOML with places: what grid files and model files have in common.

use std::io::{self, Read};
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Source};
use crate::value::Value;
use crate::vocabulary::suggest;

pub(crate) type Result<T> = std::result::Result<T, Diagnostic>;
pub(crate) type Entry<'a, 'i> = &'a Spanned<DeValue<'i>>;

/// A grid file or a model file has no business being larger than this.
pub const MAX_BYTES: usize = 1 << 20;

/// The text of a grid file or a model file. Nothing but a regular file is opened: a pipe would be waited for, a device never ends.
///
/// # Errors
/// When it can't be read, is no regular file, no UTF-8, or too large.
pub fn read(path: &Path) -> io::Result<String> {
    let refuse = |what: String| Err(io::Error::new(io::ErrorKind::InvalidData, what));
    if !std::fs::metadata(path)?.is_file() {
        return refuse("this is no regular file".into());
    }
    let mut bytes = vec![];
    // A file that grows meanwhile is bounded, too.
    std::fs::File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_BYTES {
        return refuse(format!("the file is larger than {} MiB", MAX_BYTES >> 20));
    }
    String::from_utf8(bytes).or_else(|e| {
        let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        refuse(format!("line {} is no text in UTF-8", before.split(|byte| *byte == b'\n').count()))
    })
}

impl<'s> Source<'s> {
    /// The file as a table. The parser bounds how deep tables and lists may nest.
    pub(crate) fn toml(&self) -> Result<DeTable<'s>> {
        DeTable::parse(self.text).map(Spanned::into_inner).map_err(|e| {
            let message = e.message().trim().replace('\n', "; ");
            self.error(e.span().unwrap_or(0..0), format!("not valid TOML: {message}"))
        })
    }

    /// Refuses keys that are not in `known`.
    pub(crate) fn known(&self, table: &DeTable<'_>, known: &[&str], what: &str) -> Result<()> {
        match table.keys().find(|k| !known.contains(&k.get_ref().as_ref())) {
            None => Ok(()),
            Some(key) => {
                let name = key.get_ref();
                let error = self.error(key.span(), format!("unknown {what} `{name}`"));
                Err(error.suggest(suggest(name, known.iter().copied()), known))
            }
        }
    }

    pub(crate) fn int(&self, value: Entry<'_, '_>, name: &str) -> Result<i64> {
        match value.get_ref() {
            DeValue::Integer(i) => i64::from_str_radix(i.as_str(), i.radix())
                .map_err(|_| self.error(value.span(), format!("{name} is too large for a 64-bit integer"))),
            _ => Err(self.error(value.span(), format!("{name} must be a whole number"))),
        }
    }

    /// A finite number; integers are numbers too.
    pub(crate) fn float(&self, value: Entry<'_, '_>, name: &str) -> Result<f64> {
        let x = match value.get_ref() {
            DeValue::Float(f) => f.as_str().parse().unwrap_or(f64::NAN),
            DeValue::Integer(_) => self.int(value, name)? as f64,
            _ => return Err(self.error(value.span(), format!("{name} must be a number"))),
        };
        // Zero has one form, or -0.0 would be another run.
        let x = x + 0.0;
        if x.is_finite() { Ok(x) } else { Err(self.error(value.span(), format!("{name} must be a finite number"))) }
    }

    /// A switch, a number or a text; `None` for lists, tables and dates.
    pub(crate) fn scalar(&self, value: Entry<'_, '_>, name: &str) -> Result<Option<Value>> {
        Ok(Some(match value.get_ref() {
            DeValue::Boolean(b) => Value::Bool(*b),
            DeValue::Integer(_) => Value::Int(self.int(value, name)?),
            DeValue::Float(_) => Value::Float(self.float(value, name)?),
            DeValue::String(s) => Value::Text(s.to_string().into()),
            DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_bounded_size_are_read() {
        let folder = std::env::temp_dir().join(format!("spec-document-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("g.toml");
        let refused = |path: &Path| read(path).unwrap_err().to_string();
        for (content, expected) in [
            (vec![b'#'; MAX_BYTES + 1], "the file is larger than 1 MiB"),
            (b"a = 1\nb = \"\xff\"\n".to_vec(), "line 2 is no text in UTF-8"),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(refused(&path), expected);
        }
        std::fs::write(&path, vec![b'#'; MAX_BYTES]).unwrap();
        assert_eq!(read(&path).unwrap().len(), MAX_BYTES);
        assert_eq!(refused(&folder), "this is no regular file");
        #[cfg(unix)]
        assert_eq!(refused(Path::new("/dev/zero")), "this is no regular file");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
