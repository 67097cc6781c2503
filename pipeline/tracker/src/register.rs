//! Writing down studies and the runs that they ask for.

use rusqlite::{Connection, params};
use spec::Study;

use crate::error::Error;

/// Writes down studies and their runs, inside a transaction. A study that was swept before is replaced by its present form.
pub(crate) fn register(connection: &Connection, studies: &[Study]) -> Result<(), Error> {
    for study in studies {
        let axes = serde_json::Value::from(study.axes.clone()).to_string();
        connection.execute("DELETE FROM study WHERE name = ?", [&study.name])?;
        connection.execute(
            "INSERT INTO study (name, question, hypothesis, metric, axes, source, analysis) VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![study.name, study.question, study.hypothesis, study.metric.name(), axes, study.source, study.analysis.to_json()],
        )?;
        let mut target = connection.prepare("INSERT OR IGNORE INTO study_target (study, metric, value) VALUES (?, ?, ?)")?;
        for (metric, value) in &study.targets {
            target.execute(params![study.name, metric.name(), value])?;
        }
        let mut run = connection.prepare("INSERT OR IGNORE INTO run (id, arm, seed, config) VALUES (?, ?, ?, ?)")?;
        let mut member = connection.prepare("INSERT INTO study_run (study, run_id, arm, position, axes) VALUES (?, ?, ?, ?, ?)")?;
        for (position, arm) in study.arms.iter().enumerate() {
            let (config, arm_id) = (arm.config.json(), arm.config.arm_id());
            let axes: Vec<String> = arm.axes.iter().map(|(k, v)| format!("{}:{}", serde_json::Value::from(k.as_str()), v.json())).collect();
            let axes = format!("{{{}}}", axes.join(","));
            for &seed in &study.seeds {
                let id = arm.config.run_id(seed);
                run.execute(params![id, arm_id, seed, config])?;
                member.execute(params![study.name, id, arm.label, position, axes])?;
            }
        }
    }
    // Runs that no study asks for any more stay, unless they never started.
    let forgotten = "DELETE FROM run WHERE started_at IS NULL AND id NOT IN (SELECT run_id FROM study_run)
                     AND NOT EXISTS (SELECT 1 FROM attempt WHERE run_key = run.key AND ended_at IS NULL)";
    connection.execute(forgotten, [])?;
    Ok(())
}
