//! Everything that was logged, as rows of plain tables, for files of others. Rows come one at a time, however many there are.

use rusqlite::types::ValueRef;
use spec::{Config, Filter, Value};

use crate::error::Error;
use crate::read::{Reader, RunRecord};

/// A table of an export.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    pub columns: &'static [Column],
    /// Asks for the rows of one study or run.
    sql: &'static str,
    per: Per,
}

/// What a table is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Per {
    Study,
    Run,
}

/// A column of an export.
#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// SQLite keeps NaN as NULL: where a row is said not to be finite (or nothing is said), NULL is NaN.
    nan: bool,
}

/// What a column holds, besides NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Integer,
    Real,
    Text,
}

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Datum<'a> {
    Null,
    Integer(i64),
    /// May be NaN or infinite.
    Real(f64),
    Text(&'a str),
}

const fn integer(name: &'static str) -> Column {
    Column { name, kind: Kind::Integer, nan: false }
}

const fn real(name: &'static str) -> Column {
    Column { name, kind: Kind::Real, nan: false }
}

const fn metric(name: &'static str) -> Column {
    Column { name, kind: Kind::Real, nan: true }
}

const fn text(name: &'static str) -> Column {
    Column { name, kind: Kind::Text, nan: false }
}

/// The tables, in the order in which a reader needs them. A run that several studies share stands in `runs` once for each of them, and
/// once in the tables behind it.
pub static TABLES: [Table; 7] = [
    Table {
        name: "studies",
        columns: &[text("study"), text("question"), text("hypothesis"), text("metric"), text("axes"), text("grid_file")],
        sql: "SELECT name, question, hypothesis, metric, axes, source FROM study WHERE name = ?",
        per: Per::Study,
    },
    Table {
        name: "runs",
        columns: &[
            text("run_id"),
            text("study"),
            integer("position"),
            text("arm"),
            integer("seed"),
            text("outcome"),
            text("error"),
            text("axes"),
            text("config"),
            integer("steps"),
            integer("planned_steps"),
            integer("parameters"),
            integer("flops_per_step"),
            real("train_loss"),
            real("train_accuracy"),
            real("validation_loss"),
            real("validation_accuracy"),
            real("best_validation_loss"),
            real("best_validation_accuracy"),
            real("test_loss"),
            real("test_accuracy"),
            real("train_ms"),
            text("device"),
            integer("threads"),
            text("host"),
            text("cpu"),
            text("os"),
            text("version"),
            text("git_commit"),
            integer("git_dirty"),
            text("started_at"),
            text("ended_at"),
        ],
        sql: "SELECT s.run_id, s.study, s.position, s.arm, s.seed, s.outcome, s.error, sr.axes, run.config, s.steps, s.planned_steps,
                  s.parameters, run.flops_per_step, s.train_loss, s.train_accuracy, s.validation_loss, s.validation_accuracy,
                  s.best_validation_loss, s.best_validation_accuracy, s.test_loss, s.test_accuracy, s.train_ms, run.device, run.threads,
                  run.host, run.cpu, run.os, run.version, run.git_commit, run.git_dirty, run.started_at, run.ended_at
              FROM run_summary AS s JOIN run ON run.id = s.run_id JOIN study_run AS sr ON sr.study = s.study AND sr.run_id = s.run_id
              WHERE s.study = ? ORDER BY s.position, s.seed",
        per: Per::Study,
    },
    Table {
        name: "steps",
        columns: &[
            text("run_id"),
            integer("step"),
            integer("epoch"),
            integer("examples"),
            metric("loss"),
            metric("accuracy"),
            metric("lr"),
            metric("grad_norm"),
            real("elapsed_ms"),
            integer("finite"),
        ],
        sql: "SELECT ?1, step, epoch, examples, loss, accuracy, lr, grad_norm, elapsed_us / 1000.0, finite FROM step_log
              WHERE run_key = (SELECT key FROM run WHERE id = ?1) ORDER BY step",
        per: Per::Run,
    },
    Table {
        name: "evals",
        columns: &[
            text("run_id"),
            text("split"),
            integer("step"),
            integer("epoch"),
            integer("examples"),
            metric("loss"),
            metric("accuracy"),
            real("noise_scale"),
            real("elapsed_ms"),
            integer("finite"),
        ],
        sql: "SELECT ?1, split, step, epoch, examples, loss, accuracy, noise_scale, elapsed_us / 1000.0, finite FROM eval_log
              WHERE run_key = (SELECT key FROM run WHERE id = ?1) ORDER BY split, step",
        per: Per::Run,
    },
    Table {
        name: "positions",
        columns: &[text("run_id"), integer("step"), metric("x"), metric("y")],
        sql: "SELECT ?1, step, x, y FROM position_log WHERE run_key = (SELECT key FROM run WHERE id = ?1) ORDER BY step",
        per: Per::Run,
    },
    Table {
        name: "measurements",
        columns: &[text("run_id"), text("name"), metric("value")],
        sql: "SELECT ?1, name, value FROM measurement_log WHERE run_key = (SELECT key FROM run WHERE id = ?1) ORDER BY name",
        per: Per::Run,
    },
    Table {
        name: "confusion",
        columns: &[text("run_id"), text("label"), text("predicted"), integer("examples")],
        sql: "SELECT ?1, json_extract(run.classes, '$[' || label || ']'), json_extract(run.classes, '$[' || predicted || ']'), examples
              FROM confusion_log JOIN run ON run.key = run_key WHERE run.id = ?1 ORDER BY label, predicted",
        per: Per::Run,
    },
];

/// The table of that name.
///
/// # Panics
/// When there is none.
pub fn table(name: &str) -> &'static Table {
    TABLES.iter().find(|table| table.name == name).expect("a table of an export")
}

/// The runs that an export takes, by study.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// Name and runs of each study that has any.
    pub studies: Vec<(String, Vec<RunRecord>)>,
}

impl Chosen {
    /// Every run once, in the order of the studies.
    pub fn runs(&self) -> impl Iterator<Item = &RunRecord> {
        let mut seen = std::collections::BTreeSet::new();
        self.studies.iter().flat_map(|(_, runs)| runs).filter(move |run| seen.insert(run.id.as_str()))
    }
}

impl RunRecord {
    /// What a filter compares: `study`, `arm`, `run`, `seed`, `outcome` (as [`RunRecord::state`] has it) or a key of the configuration.
    pub fn value(&self, study: &str, config: &Config, key: &str) -> Option<Value> {
        let text = |text: &str| Some(Value::Text(text.to_owned().into()));
        match key {
            "study" => text(study),
            "arm" => text(&self.arm),
            "run" => text(&self.id),
            "outcome" => text(self.state()),
            "seed" => i64::try_from(self.seed).ok().map(Value::Int),
            key => config.get(key).cloned(),
        }
    }
}

impl Reader {
    /// The runs that a filter leaves, or all.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn choose(&self, filter: Option<&Filter>) -> Result<Chosen, Error> {
        let mut studies = vec![];
        for study in self.studies()? {
            let mut runs = self.runs(&study)?;
            if let Some(filter) = filter {
                runs.retain(|run| {
                    let config = Config::from_json(&run.config).unwrap_or_default();
                    filter.matches(|key| run.value(&study.name, &config, key))
                });
            }
            if !runs.is_empty() {
                studies.push((study.name, runs));
            }
        }
        Ok(Chosen { studies })
    }

    /// When a run was started and when it ended, in seconds since 1970, as far as it has.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn times(&self, run: &RunRecord) -> Result<(Option<f64>, Option<f64>), Error> {
        let sql = "SELECT unixepoch(started_at, 'subsec'), unixepoch(ended_at, 'subsec') FROM run WHERE id = ?";
        let mut statement = self.connection().prepare_cached(sql)?;
        Ok(statement.query_row([&run.id], |r| Ok((r.get(0)?, r.get(1)?)))?)
    }

    /// Hands over the chosen rows of a table, one at a time.
    ///
    /// # Errors
    /// When the database can't be read, and what `take` returns.
    pub fn rows<E: From<Error>>(
        &self,
        table: &Table,
        chosen: &Chosen,
        mut take: impl FnMut(&[Datum<'_>]) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = |e: rusqlite::Error| Error::from(e).at(self.path());
        let mut statement = self.connection().prepare(table.sql).map_err(failed)?;
        let finite = table.columns.iter().position(|column| column.name == "finite");
        let mut each = |of: &str, is_chosen: &dyn Fn(&str) -> bool| -> Result<(), E> {
            let mut rows = statement.query([of]).map_err(failed)?;
            while let Some(row) = rows.next().map_err(failed)? {
                let is_finite = finite.is_some_and(|i| row.get_ref(i).is_ok_and(|value| value == ValueRef::Integer(1)));
                let datum = |(i, column): (usize, &Column)| {
                    Ok(match row.get_ref(i)? {
                        ValueRef::Null if column.nan && !is_finite => Datum::Real(f64::NAN),
                        ValueRef::Null | ValueRef::Blob(_) => Datum::Null,
                        ValueRef::Integer(x) if column.kind == Kind::Real => Datum::Real(x as f64),
                        ValueRef::Integer(x) => Datum::Integer(x),
                        ValueRef::Real(x) => Datum::Real(x),
                        ValueRef::Text(text) => Datum::Text(std::str::from_utf8(text).map_err(|e| rusqlite::Error::Utf8Error(i, e))?),
                    })
                };
                let data: Vec<Datum<'_>> = table.columns.iter().enumerate().map(datum).collect::<rusqlite::Result<_>>().map_err(failed)?;
                if !matches!(data[0], Datum::Text(id) if !is_chosen(id)) {
                    take(&data)?;
                }
            }
            Ok(())
        };
        match table.per {
            Per::Study => {
                for (study, runs) in &chosen.studies {
                    let is_chosen = |id: &str| table.name != "runs" || runs.iter().any(|run| run.id == id);
                    each(study, &is_chosen)?;
                }
            }
            Per::Run => {
                for run in chosen.runs() {
                    each(&run.id, &|_| true)?;
                }
            }
        }
        Ok(())
    }
}
