//! A user's own SQL, read-only.

use rusqlite::types::ValueRef;

use crate::error::Error;
use crate::read::Reader;

/// The answer to a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

/// A value of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

impl Reader {
    /// Runs one SELECT (or other reading) statement.
    ///
    /// # Errors
    /// When the statement is wrong, writes, or is more than one.
    pub fn query(&self, sql: &str) -> Result<Answer, Error> {
        let explain = |e: rusqlite::Error| match e {
            rusqlite::Error::SqlInputError { msg, sql, offset, .. } => Error::Query(point_at(&msg, &sql, offset)),
            rusqlite::Error::MultipleStatement => Error::Query("give one statement at a time".into()),
            rusqlite::Error::SqliteFailure(_, Some(message)) => Error::Query(message),
            other => other.into(),
        };
        if sql.trim().is_empty() {
            return Err(Error::Query("the query is empty".into()));
        }
        let mut statement = self.connection().prepare(sql.trim().trim_end_matches(';')).map_err(explain)?;
        if !statement.readonly() {
            return Err(Error::Query("this statement would change the results; only reading is allowed here".into()));
        }
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut answer = Answer { columns, rows: vec![] };
        let mut rows = statement.query([]).map_err(explain)?;
        while let Some(row) = rows.next().map_err(explain)? {
            let cells = (0..answer.columns.len()).map(|i| Ok(cell(row.get_ref(i)?))).collect::<rusqlite::Result<_>>()?;
            answer.rows.push(cells);
        }
        Ok(answer)
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(i) => Cell::Integer(i),
        ValueRef::Real(x) => Cell::Real(x),
        ValueRef::Text(t) => Cell::Text(String::from_utf8_lossy(t).into_owned()),
        ValueRef::Blob(b) => Cell::Text(spec::hex(b)),
    }
}

/// The message with the place in the statement that it is about.
fn point_at(message: &str, sql: &str, offset: i32) -> String {
    let Some(before) = usize::try_from(offset).ok().and_then(|o| sql.get(..o)) else { return message.to_owned() };
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    let line = sql[start..].lines().next().unwrap_or_default();
    format!("{message}\n  {line}\n  {}^", " ".repeat(before[start..].chars().count()))
}
