//! A user's own SQL, read-only.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, ffi};

use crate::error::Error;
use crate::read::Reader;
use crate::store;

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

/// What a query may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `None`: any.
    pub time: Option<Duration>,
    /// Of an answer in memory, in bytes.
    pub answer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { time: Some(Duration::from_mins(1)), answer: 128 << 20 }
    }
}

/// Longest text or blob that a statement may make, and the memory that SQLite may use for all: far above what results need.
/// Fuzzers look for other things than what large ones cost.
const LONGEST: i32 = if cfg!(fuzzing) { 1 << 16 } else { 64 << 20 };
const MEMORY: i64 = if cfg!(fuzzing) { 1 << 26 } else { 1 << 30 };
/// Instructions of SQLite's machine between two looks at the clock, microseconds apart.
const BETWEEN_LOOKS: i32 = 1000;
/// What asks, with or without a table's name.
const PRAGMAS: [&str; 15] = [
    "collation_list",
    "compile_options",
    "data_version",
    "foreign_key_check",
    "foreign_key_list",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "page_count",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];
/// What asks without a value, and sets with one.
const SETTINGS: [&str; 6] = ["application_id", "encoding", "freelist_count", "page_size", "schema_version", "user_version"];

/// What [`Reader::each`] hands over: the names of the columns, once, and then row by row.
#[derive(Debug)]
pub enum Part<'a> {
    Columns(&'a [String]),
    Row(Vec<Cell>),
}

impl Reader {
    /// Runs one SELECT (or other reading) statement, within the usual limits.
    ///
    /// # Errors
    /// When the statement is wrong, does not only read, is more than one, or takes too much.
    pub fn query(&self, sql: &str) -> Result<Answer, Error> {
        self.query_within(sql, Limits::default())
    }

    /// Runs one reading statement.
    ///
    /// # Errors
    /// As [`Reader::query`].
    pub fn query_within(&self, sql: &str, limits: Limits) -> Result<Answer, Error> {
        let mut answer = Answer::default();
        let mut size = 0;
        self.each(sql, limits.time, |part| {
            match part {
                Part::Columns(columns) => answer.columns = columns.to_vec(),
                Part::Row(row) => {
                    size += size_of::<Vec<Cell>>() + row.iter().map(bytes).sum::<usize>();
                    if size > limits.answer {
                        let most = limits.answer >> 20;
                        return Err(Error::Query(format!(
                            "the answer is larger than {most} MiB; ask for less of it (LIMIT, fewer columns), or have it written row by row with --format csv"
                        )));
                    }
                    answer.rows.push(row);
                }
            }
            Ok(())
        })?;
        Ok(answer)
    }

    /// Runs one reading statement and hands over its rows as they come, however many.
    ///
    /// # Errors
    /// As [`Reader::query`], and what `take` returns.
    pub fn each<E: From<Error>>(
        &self,
        sql: &str,
        time: Option<Duration>,
        mut take: impl FnMut(Part<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let sql = sql.trim().trim_end_matches(';');
        if sql.is_empty() {
            return Err(Error::Query("the query is empty".into()).into());
        }
        let (connection, guard) = self.guarded(time)?;
        let explain = |e: rusqlite::Error| guard.explain(e, time).at(self.path());
        let mut statement = connection.prepare(sql).map_err(explain)?;
        if !statement.readonly() {
            return Err(Error::Query(WRITES.into()).into());
        }
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        take(Part::Columns(&columns))?;
        let mut rows = statement.query([]).map_err(explain)?;
        while let Some(row) = rows.next().map_err(explain)? {
            let cells = (0..columns.len()).map(|i| Ok(cell(row.get_ref(i)?))).collect::<rusqlite::Result<_>>().map_err(explain)?;
            take(Part::Row(cells))?;
        }
        Ok(())
    }

    /// A connection of its own for a statement that anybody may have written, in a file that anybody may have made.
    fn guarded(&self, time: Option<Duration>) -> Result<(Connection, Guard), Error> {
        let mut connection = store::open_for_reading(self.path())?;
        let guard = Guard::default();
        let set = |connection: &mut Connection| {
            connection.pragma_update(None, "hard_heap_limit", MEMORY)?;
            // Views call no functions that do more than compute.
            connection.pragma_update(None, "trusted_schema", false)?;
            connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST)?;
            // A long pattern takes time that no clock interrupts.
            connection.set_limit(Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000)?;
            let refused = Arc::clone(&guard.refused);
            connection.authorizer(Some(move |context: AuthContext<'_>| {
                let Some(why) = refusal(&context.action) else { return Authorization::Allow };
                *refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
                Authorization::Deny
            }))?;
            let end = time.and_then(|time| Instant::now().checked_add(time));
            connection.progress_handler(BETWEEN_LOOKS, end.map(|end| move || Instant::now() > end))
        };
        set(&mut connection).map_err(|e| Error::from(e).at(self.path()))?;
        Ok((connection, guard))
    }
}

const WRITES: &str = "this statement would change the results; only reading is allowed here";

/// Remembers why a statement was refused: SQLite says "not authorized".
#[derive(Default)]
struct Guard {
    refused: Arc<Mutex<Option<String>>>,
}

impl Guard {
    fn explain(&self, error: rusqlite::Error, time: Option<Duration>) -> Error {
        if let Some(why) = self.refused.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Error::Query(why);
        }
        match (error.sqlite_error_code(), time) {
            (Some(ErrorCode::OperationInterrupted), Some(time)) => {
                return Error::Query(format!(
                    "stopped after {} s; --timeout SECONDS allows more, --timeout 0 any time",
                    time.as_secs_f64()
                ));
            }
            (Some(ErrorCode::TooBig), _) => return Error::Query(format!("a value or row is longer than {} MiB", LONGEST >> 20)),
            (Some(ErrorCode::OutOfMemory), _) => {
                return Error::Query(format!("the query needs more than {} MiB of memory; ask for less at a time", MEMORY >> 20));
            }
            _ => {}
        }
        match error {
            rusqlite::Error::SqlInputError { msg, sql, offset, .. } => Error::Query(point_at(&msg, &sql, offset)),
            rusqlite::Error::MultipleStatement => Error::Query("give one statement at a time".into()),
            rusqlite::Error::SqliteFailure(ffi::Error { code: ErrorCode::Unknown, .. }, Some(message)) => Error::Query(message),
            other => other.into(),
        }
    }
}

/// Why an action is not allowed, unless it only reads.
fn refusal(action: &AuthAction<'_>) -> Option<String> {
    let refused = |what: &str| Some(format!("{what} is not allowed here; only reading"));
    match action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => None,
        AuthAction::Function { function_name } if !function_name.eq_ignore_ascii_case("load_extension") => None,
        AuthAction::Function { function_name } => refused(&format!("{function_name}()")),
        AuthAction::Pragma { pragma_name, pragma_value } => {
            let is_in = |list: &[&str]| list.iter().any(|name| name.eq_ignore_ascii_case(pragma_name));
            let (asks, sets) = (is_in(&PRAGMAS) || is_in(&SETTINGS), is_in(&SETTINGS) && pragma_value.is_some());
            if asks && !sets { None } else { refused(&format!("PRAGMA {pragma_name}{}", if asks { " with a value" } else { "" })) }
        }
        AuthAction::Attach { .. } => refused("ATTACH"),
        AuthAction::Detach { .. } => refused("DETACH"),
        AuthAction::Transaction { .. } => refused("a transaction"),
        AuthAction::Savepoint { .. } => refused("SAVEPOINT"),
        _ => Some(WRITES.into()),
    }
}

/// Memory that a value takes.
fn bytes(cell: &Cell) -> usize {
    size_of::<Cell>() + if let Cell::Text(text) = cell { text.len() } else { 0 }
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

#[cfg(test)]
mod tests;
