//! Where each table and figure comes from: the query that gives its numbers' source rows, and the runs behind it.
//! Called by the page, and by `pipeline report --trace`.

use crate::Analysis;
use crate::plot;
use crate::results::State;
use crate::table;

/// The source of a table or figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// `learning_rate/arms`.
    pub name: String,
    /// One statement for `pipeline query`; the rows that the numbers are made of.
    pub query: String,
    /// Ids of the runs behind it.
    pub runs: Vec<String>,
}

/// What a table or figure is made of.
enum Source {
    /// The last and best evaluations of each run.
    Ends,
    /// Every evaluation.
    Evaluations,
    /// Every step.
    Steps,
    /// When targets were reached.
    Targets,
    Layers,
    Divergence,
    Measurements,
    Positions,
    Pictures,
    Confusion,
}

/// The traces of everything that a study's folder has.
#[must_use]
pub fn all(a: &Analysis<'_>) -> Vec<Trace> {
    let tables = table::TABLES.map(|(name, _)| name);
    let figures = plot::NAMES.into_iter().filter(|name| !tables.contains(name));
    tables.into_iter().chain(figures).map(|name| of(a, name)).collect()
}

/// The trace of the table or figure with a name.
#[must_use]
pub fn of(a: &Analysis<'_>, name: &str) -> Trace {
    let source = source(name);
    let study = a.data.study.name.replace('\'', "''");
    let runs = format!("SELECT run_id FROM study_run WHERE study = '{study}'");
    let order = "ORDER BY sr.position, run.seed";
    let from = format!("FROM study_run AS sr JOIN run ON run.id = sr.run_id WHERE sr.study = '{study}'");
    let query = match source {
        Source::Ends => format!("SELECT * FROM run_summary WHERE study = '{study}' ORDER BY position, seed"),
        Source::Evaluations => format!("SELECT * FROM learning_curve WHERE study = '{study}' ORDER BY position, seed, split, step"),
        Source::Steps => format!("SELECT * FROM step WHERE run_id IN ({runs}) ORDER BY run_id, step"),
        Source::Targets => format!("SELECT * FROM time_to_target WHERE study = '{study}' ORDER BY metric, target, position, seed"),
        Source::Layers => format!("SELECT sr.arm, run.seed, run.parameters, run.flops_per_step, run.layers {from} {order}"),
        Source::Divergence => format!("SELECT sr.arm, run.seed, run.steps, run.error {from} AND run.outcome = 'diverged' {order}"),
        Source::Measurements => format!("SELECT * FROM measurement WHERE run_id IN ({runs}) ORDER BY run_id, name"),
        Source::Positions => format!("SELECT * FROM position WHERE run_id IN ({runs}) ORDER BY run_id, step"),
        Source::Pictures => {
            format!("SELECT run_id, name, height, width, channels FROM picture WHERE run_id IN ({runs}) ORDER BY run_id, name")
        }
        Source::Confusion => format!("SELECT * FROM confusion WHERE run_id IN ({runs}) ORDER BY run_id, label, predicted"),
    };
    let counts = |run: &&crate::results::RunResult<'_>| match source {
        Source::Divergence => run.state == State::Diverged,
        _ if name == "runs" => true,
        _ => matches!(run.state, State::Finished | State::Diverged),
    };
    let runs = a.arms.iter().flat_map(|arm| &arm.runs).filter(counts).map(|run| run.record.id.clone()).collect();
    Trace { name: format!("{}/{name}", a.data.study.name), query, runs }
}

fn source(name: &str) -> Source {
    match name {
        "time_to_target" | "survival" => Source::Targets,
        "escape" | "learning-curves" | "accuracy" | "diagnosis" | "generalization" => Source::Evaluations,
        "convergence" | "smoothness" | "loss-per-step" => Source::Steps,
        "models" | "layers" => Source::Layers,
        "divergence" => Source::Divergence,
        "measurements" => Source::Measurements,
        "paths" => Source::Positions,
        "feature-maps" => Source::Pictures,
        "confusion" => Source::Confusion,
        _ => Source::Ends,
    }
}
