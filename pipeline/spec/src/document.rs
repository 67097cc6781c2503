//! Reading TOML with places: what grid files and model files have in common.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Source};
use crate::value::Value;
use crate::vocabulary::suggest;

pub(crate) type Result<T> = std::result::Result<T, Diagnostic>;
pub(crate) type Entry<'a, 'i> = &'a Spanned<DeValue<'i>>;

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
