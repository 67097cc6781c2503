-- How a study's results are compared and judged: JSON of its [analysis].
ALTER TABLE study ADD COLUMN analysis TEXT NOT NULL DEFAULT '{}';

-- JSON list of the names of the dataset's classes.
ALTER TABLE run ADD COLUMN classes TEXT;

-- The test split, by what each example is and what it was taken for. No row: no example.
CREATE TABLE confusion_log (
    run_key   INTEGER NOT NULL REFERENCES run (key) ON DELETE CASCADE,
    label     INTEGER NOT NULL,           -- place in run.classes, from 0
    predicted INTEGER NOT NULL,
    examples  INTEGER NOT NULL,
    PRIMARY KEY (run_key, label, predicted)
) STRICT, WITHOUT ROWID;

CREATE VIEW confusion AS
SELECT run.id AS run_id, json_extract(run.classes, '$[' || l.label || ']') AS label, json_extract(run.classes, '$[' || l.predicted || ']') AS predicted, l.examples
FROM confusion_log AS l JOIN run ON run.key = l.run_key;

-- A run that stopped early is described by the epoch whose weights were tested, not by the last one.
DROP VIEW run_summary;
CREATE VIEW run_summary AS
WITH curve AS (
    SELECT
        e.run_id,
        MAX(CASE WHEN e.split = 'test' THEN e.step END) AS tested,
        MAX(CASE WHEN e.split = 'train' THEN e.step END) AS last_train,
        MAX(CASE WHEN e.split = 'validation' THEN e.step END) AS last_validation,
        MAX(e.elapsed_ms) AS train_ms,
        MIN(CASE WHEN e.split = 'validation' THEN e.loss END) AS best_validation_loss,
        MAX(CASE WHEN e.split = 'validation' THEN e.accuracy END) AS best_validation_accuracy
    FROM eval AS e GROUP BY e.run_id
)
SELECT
    sr.study, sr.position, sr.arm, run.seed, run.id AS run_id,
    CASE WHEN run.outcome IS NOT NULL THEN run.outcome WHEN run.started_at IS NULL THEN 'pending' ELSE 'unfinished' END AS outcome,
    run.error, run.steps, run.planned_steps, run.parameters,
    t.loss AS train_loss, t.accuracy AS train_accuracy,
    v.loss AS validation_loss, v.accuracy AS validation_accuracy,
    CASE WHEN run.outcome IN ('completed', 'stopped_early') THEN c.best_validation_loss END AS best_validation_loss,
    CASE WHEN run.outcome IN ('completed', 'stopped_early') THEN c.best_validation_accuracy END AS best_validation_accuracy,
    x.loss AS test_loss, x.accuracy AS test_accuracy,
    c.train_ms
FROM study_run AS sr
JOIN run ON run.id = sr.run_id
LEFT JOIN curve AS c ON c.run_id = run.id AND run.outcome IN ('completed', 'stopped_early')
LEFT JOIN eval_log AS t ON t.run_key = run.key AND t.split = 'train' AND t.step = COALESCE(c.tested, c.last_train)
LEFT JOIN eval_log AS v ON v.run_key = run.key AND v.split = 'validation' AND v.step = COALESCE(c.tested, c.last_validation)
LEFT JOIN eval_log AS x ON x.run_key = run.key AND x.split = 'test' AND c.run_id IS NOT NULL;
