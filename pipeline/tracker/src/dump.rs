//! Everything that was logged, as rows of plain tables, for files of others. Rows come one at a time, however many there are.

use std::collections::BTreeSet;

use rusqlite::types::ValueRef;
use spec::{Config, Filter, Value};

use crate::error::Error;
use crate::read::{Reader, RunRecord};

/// A table of an export.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    /// Of the tables of runs, the first are those of [`OF_RUN`].
    pub columns: &'static [Column],
    /// Asks for the rows of one study, or of one run: then without what says which.
    sql: &'static str,
    per: Per,
}

/// What a table is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Per {
    Study,
    /// The name of its log.
    Run(&'static str),
}

/// A column of an export.
#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    null: Null,
}

/// SQLite keeps NaN as NULL. What NULL stands for, in a row that is not said to be finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Null {
    Unknown,
    Nan,
    /// NaN, if the run has the metric in another row.
    NanIfMeasured,
    /// NaN in runs of our own, which all have the metric; in others as above.
    NanIfMeasuredElsewhere,
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

const fn column(name: &'static str, kind: Kind, null: Null) -> Column {
    Column { name, kind, null }
}

const fn integer(name: &'static str) -> Column {
    column(name, Kind::Integer, Null::Unknown)
}

const fn real(name: &'static str) -> Column {
    column(name, Kind::Real, Null::Unknown)
}

const fn metric(name: &'static str, null: Null) -> Column {
    column(name, Kind::Real, null)
}

const fn text(name: &'static str) -> Column {
    column(name, Kind::Text, Null::Unknown)
}

/// How many columns say whose a row of a run's table is: study, arm, seed and run.
const OF_RUN: usize = 4;

/// Every table, in the order in which a reader needs them. A run that several studies share stands in each of them, as in the view
/// `learning_curve`.
pub static TABLES: [&Table; 7] = [&STUDIES, &RUNS, &STEPS, &EVALS, &POSITIONS, &MEASUREMENTS, &CONFUSION];

static STUDIES: Table = Table {
    name: "studies",
    columns: &[text("study"), text("question"), text("hypothesis"), text("metric"), text("axes"), text("grid_file")],
    sql: "SELECT name, question, hypothesis, metric, axes, source FROM study WHERE name = ?",
    per: Per::Study,
};

static RUNS: Table = Table {
    name: "runs",
    columns: &[
        text("study"),
        text("arm"),
        integer("seed"),
        text("run_id"),
        integer("position"),
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
    sql: "SELECT s.study, s.arm, s.seed, s.run_id, s.position, s.outcome, s.error, sr.axes, run.config, s.steps, s.planned_steps,
              s.parameters, run.flops_per_step, s.train_loss, s.train_accuracy, s.validation_loss, s.validation_accuracy,
              s.best_validation_loss, s.best_validation_accuracy, s.test_loss, s.test_accuracy, s.train_ms, run.device, run.threads,
              run.host, run.cpu, run.os, run.version, run.git_commit, run.git_dirty, run.started_at, run.ended_at
          FROM run_summary AS s JOIN run ON run.id = s.run_id JOIN study_run AS sr ON sr.study = s.study AND sr.run_id = s.run_id
          WHERE s.study = ? ORDER BY s.position, s.seed",
    per: Per::Study,
};

/// Optimizer updates.
pub static STEPS: Table = Table {
    name: "steps",
    columns: &[
        text("study"),
        text("arm"),
        integer("seed"),
        text("run_id"),
        integer("step"),
        integer("epoch"),
        integer("examples"),
        metric("loss", Null::Nan),
        metric("accuracy", Null::NanIfMeasured),
        metric("lr", Null::NanIfMeasured),
        metric("grad_norm", Null::NanIfMeasuredElsewhere),
        real("elapsed_ms"),
        integer("finite"),
    ],
    sql: "SELECT step, epoch, examples, loss, accuracy, lr, grad_norm, elapsed_us / 1000.0, finite FROM step_log
          WHERE run_key = (SELECT key FROM run WHERE id = ?) ORDER BY step",
    per: Per::Run("step_log"),
};

/// Metrics on a split.
pub static EVALS: Table = Table {
    name: "evals",
    columns: &[
        text("study"),
        text("arm"),
        integer("seed"),
        text("run_id"),
        text("split"),
        integer("step"),
        integer("epoch"),
        integer("examples"),
        metric("loss", Null::Nan),
        metric("accuracy", Null::NanIfMeasured),
        real("noise_scale"),
        real("elapsed_ms"),
        integer("finite"),
    ],
    sql: "SELECT split, step, epoch, examples, loss, accuracy, noise_scale, elapsed_us / 1000.0, finite FROM eval_log
          WHERE run_key = (SELECT key FROM run WHERE id = ?) ORDER BY split, step",
    per: Per::Run("eval_log"),
};

/// Ways on a surface.
pub static POSITIONS: Table = Table {
    name: "positions",
    columns: &[
        text("study"),
        text("arm"),
        integer("seed"),
        text("run_id"),
        integer("step"),
        metric("x", Null::Nan),
        metric("y", Null::Nan),
    ],
    sql: "SELECT step, x, y FROM position_log WHERE run_key = (SELECT key FROM run WHERE id = ?) ORDER BY step",
    per: Per::Run("position_log"),
};

/// What a run found out beyond its curves.
pub static MEASUREMENTS: Table = Table {
    name: "measurements",
    columns: &[text("study"), text("arm"), integer("seed"), text("run_id"), text("name"), metric("value", Null::Nan)],
    sql: "SELECT name, value FROM measurement_log WHERE run_key = (SELECT key FROM run WHERE id = ?) ORDER BY name",
    per: Per::Run("measurement_log"),
};

/// The test split by what each example is and what it was taken for.
static CONFUSION: Table = Table {
    name: "confusion",
    columns: &[text("study"), text("arm"), integer("seed"), text("run_id"), text("label"), text("predicted"), integer("examples")],
    sql: "SELECT json_extract(run.classes, '$[' || label || ']'), json_extract(run.classes, '$[' || predicted || ']'), examples
          FROM confusion_log JOIN run ON run.key = run_key WHERE run.id = ? ORDER BY label, predicted",
    per: Per::Run("confusion_log"),
};

/// The runs that an export takes, by study.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// Name and runs of each study that has any.
    pub studies: Vec<(String, Vec<RunRecord>)>,
}

impl Chosen {
    /// How many runs they are, each counted once.
    pub fn count(&self) -> u64 {
        let ids: BTreeSet<&str> = self.studies.iter().flat_map(|(_, runs)| runs).map(|run| run.id.as_str()).collect();
        ids.len() as u64
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
    /// The runs of the studies named (or of all, if none is) that a filter leaves.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn choose(&self, named: &[String], filter: Option<&Filter>) -> Result<Chosen, Error> {
        let mut studies = vec![];
        for study in self.studies()?.into_iter().filter(|study| named.is_empty() || named.contains(&study.name)) {
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

    /// Hands over the chosen rows of a table, one at a time: study by study, arm by arm, seed by seed.
    ///
    /// # Errors
    /// When the database can't be read, and what `take` returns.
    pub fn rows<E: From<Error>>(
        &self,
        table: &Table,
        chosen: &Chosen,
        mut take: impl FnMut(&[Datum<'_>]) -> Result<(), E>,
    ) -> Result<(), E> {
        for (study, runs) in &chosen.studies {
            if table.per == Per::Study {
                // Of a study's runs, those that were chosen.
                let ids: BTreeSet<&str> = runs.iter().map(|run| run.id.as_str()).collect();
                let is_chosen =
                    |row: &[Datum<'_>]| !matches!(row[OF_RUN - 1], Datum::Text(id) if table.name == RUNS.name && !ids.contains(id));
                self.ask(table, study, &|_| Ok(false), |row| if is_chosen(row) { take(row) } else { Ok(()) })?;
                continue;
            }
            for run in runs {
                let seed = Datum::Integer(i64::try_from(run.seed).unwrap_or(i64::MAX));
                let whose = [Datum::Text(study), Datum::Text(&run.arm), seed, Datum::Text(&run.id)];
                self.records(table, run, |row| take(&[&whose, row].concat()))?;
            }
        }
        Ok(())
    }

    /// Hands over the rows of a run in one of its tables, without the columns that say whose they are.
    ///
    /// # Errors
    /// When the database can't be read, and what `take` returns.
    pub fn records<E: From<Error>>(
        &self,
        table: &Table,
        run: &RunRecord,
        take: impl FnMut(&[Datum<'_>]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Per::Run(log) = table.per else { return Ok(()) };
        let is_ours = !run.is_imported();
        let is_nan = |column: &Column| match column.null {
            Null::Unknown => Ok(false),
            Null::Nan => Ok(true),
            Null::NanIfMeasuredElsewhere if is_ours => Ok(true),
            Null::NanIfMeasured | Null::NanIfMeasuredElsewhere => {
                let name = column.name;
                let sql = format!(
                    "SELECT EXISTS (SELECT 1 FROM {log} WHERE run_key = (SELECT key FROM run WHERE id = ?) AND {name} IS NOT NULL)"
                );
                self.connection().prepare_cached(&sql)?.query_row([&run.id], |r| r.get(0))
            }
        };
        self.ask(table, &run.id, &is_nan, take)
    }

    /// Hands over the rows that a table has for a study or a run. `is_nan` says what a NULL is that may be NaN, and is asked once a column.
    fn ask<E: From<Error>>(
        &self,
        table: &Table,
        of: &str,
        is_nan: &dyn Fn(&Column) -> rusqlite::Result<bool>,
        mut take: impl FnMut(&[Datum<'_>]) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = |e: rusqlite::Error| Error::from(e).at(self.path());
        let columns = if table.per == Per::Study { table.columns } else { &table.columns[OF_RUN..] };
        let finite = columns.iter().position(|column| column.name == "finite");
        let mut known: Vec<Option<bool>> = vec![None; columns.len()];
        let mut statement = self.connection().prepare_cached(table.sql).map_err(failed)?;
        let mut rows = statement.query([of]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let is_finite = finite.is_some_and(|i| row.get_ref(i).is_ok_and(|value| value == ValueRef::Integer(1)));
            let mut datum = |(i, column): (usize, &Column)| {
                Ok(match row.get_ref(i)? {
                    ValueRef::Null if !is_finite => {
                        let nan = known[i].map_or_else(|| is_nan(column), Ok)?;
                        known[i] = Some(nan);
                        if nan { Datum::Real(f64::NAN) } else { Datum::Null }
                    }
                    ValueRef::Null | ValueRef::Blob(_) => Datum::Null,
                    ValueRef::Integer(x) if column.kind == Kind::Real => Datum::Real(x as f64),
                    ValueRef::Integer(x) => Datum::Integer(x),
                    ValueRef::Real(x) => Datum::Real(x),
                    ValueRef::Text(text) => Datum::Text(std::str::from_utf8(text).map_err(|e| rusqlite::Error::Utf8Error(i, e))?),
                })
            };
            let data: Vec<Datum<'_>> = columns.iter().enumerate().map(&mut datum).collect::<rusqlite::Result<_>>().map_err(failed)?;
            take(&data)?;
        }
        Ok(())
    }
}
