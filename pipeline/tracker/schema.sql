CREATE TABLE study (
    name       TEXT PRIMARY KEY,          -- stem of the grid file
    question   TEXT NOT NULL,
    hypothesis TEXT,
    metric     TEXT NOT NULL,             -- the metric that decides, such as validation_accuracy
    axes       TEXT NOT NULL,             -- JSON list of the varied keys
    source     TEXT NOT NULL              -- the grid file
, analysis TEXT NOT NULL DEFAULT '{}') STRICT;

CREATE TABLE study_target (
    study  TEXT NOT NULL REFERENCES study (name) ON DELETE CASCADE,
    metric TEXT NOT NULL,
    value  REAL NOT NULL,
    PRIMARY KEY (study, metric, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
    key            INTEGER PRIMARY KEY,   -- short name within this file, for the logs
    id             TEXT NOT NULL UNIQUE,  -- hash of configuration and seed
    arm            TEXT NOT NULL,         -- hash of the configuration
    seed           INTEGER NOT NULL,
    config         TEXT NOT NULL,         -- canonical JSON
    outcome        TEXT CHECK (outcome IN ('completed', 'diverged', 'stopped_early', 'failed', 'interrupted')),
    error          TEXT,                  -- why it failed or diverged
    steps          INTEGER NOT NULL DEFAULT 0,
    planned_steps  INTEGER,
    parameters     INTEGER,
    flops_per_step INTEGER,
    device         TEXT,
    threads        INTEGER,
    host           TEXT,
    cpu            TEXT,
    os             TEXT,
    version        TEXT,                  -- of this program
    git_commit     TEXT,                  -- of the folder that the sweep ran in
    git_dirty      INTEGER,               -- 1: with uncommitted changes
    started_at     TEXT,                  -- UTC
    ended_at       TEXT
, layers TEXT, classes TEXT) STRICT;

CREATE INDEX run_arm ON run (arm);

CREATE TABLE study_run (
    study    TEXT NOT NULL REFERENCES study (name) ON DELETE CASCADE,
    run_id   TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    arm      TEXT NOT NULL,               -- label, such as 'adam lr=0.001'
    position INTEGER NOT NULL,            -- of the arm within the study
    axes     TEXT NOT NULL,               -- JSON object: the arm's axis values
    PRIMARY KEY (study, run_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX study_run_run ON study_run (run_id);

CREATE TABLE step_log (
    run_key    INTEGER NOT NULL REFERENCES run (key) ON DELETE CASCADE,
    step       INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    examples   INTEGER NOT NULL,
    loss       REAL,
    accuracy   REAL,
    lr         REAL,
    grad_norm  REAL,
    elapsed_us INTEGER NOT NULL,
    finite     INTEGER NOT NULL,
    PRIMARY KEY (run_key, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE eval_log (
    run_key    INTEGER NOT NULL REFERENCES run (key) ON DELETE CASCADE,
    split      TEXT NOT NULL CHECK (split IN ('train', 'validation', 'test')),
    step       INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    examples   INTEGER NOT NULL,
    loss       REAL,
    accuracy   REAL,
    elapsed_us INTEGER NOT NULL,
    finite     INTEGER NOT NULL, noise_scale REAL,
    PRIMARY KEY (run_key, split, step)
) STRICT, WITHOUT ROWID;

CREATE VIEW step AS
SELECT run.id AS run_id, l.step, l.epoch, l.examples, l.loss, l.accuracy, l.lr, l.grad_norm, l.elapsed_us / 1000.0 AS elapsed_ms, l.finite
FROM step_log AS l JOIN run ON run.key = l.run_key;

CREATE VIEW eval_metric AS
SELECT run_id, split || '_loss' AS metric, 0 AS higher_is_better, step, epoch, elapsed_ms, loss AS value FROM eval
UNION ALL
SELECT run_id, split || '_accuracy', 1, step, epoch, elapsed_ms, accuracy FROM eval;

CREATE VIEW learning_curve AS
SELECT sr.study, sr.position, sr.arm, run.seed, e.run_id, run.outcome, e.split, e.step, e.epoch, e.examples, e.elapsed_ms, e.loss, e.accuracy
FROM study_run AS sr
JOIN run ON run.id = sr.run_id
JOIN eval AS e ON e.run_id = run.id;

CREATE VIEW arm_summary AS
WITH final AS (
    SELECT
        s.study, s.position, s.arm, s.outcome, study.metric,
        CASE study.metric
            WHEN 'train_loss' THEN s.train_loss WHEN 'train_accuracy' THEN s.train_accuracy
            WHEN 'validation_loss' THEN s.validation_loss ELSE s.validation_accuracy
        END AS value,
        s.test_accuracy
    FROM run_summary AS s JOIN study ON study.name = s.study
), ranked AS (
    SELECT study, position, value,
        ROW_NUMBER() OVER (PARTITION BY study, position ORDER BY value) AS place,
        COUNT(*) OVER (PARTITION BY study, position) AS n
    FROM final WHERE value IS NOT NULL
), median AS (
    SELECT study, position, AVG(value) AS median FROM ranked
    WHERE place IN ((n + 1) / 2, (n + 2) / 2) GROUP BY study, position
)
SELECT
    f.study, f.position, f.arm, f.metric,
    COUNT(*) AS runs,
    SUM(f.outcome IN ('completed', 'stopped_early')) AS finished,
    SUM(f.outcome = 'diverged') AS diverged,
    SUM(f.outcome = 'failed') AS failed,
    SUM(f.outcome IN ('pending', 'unfinished', 'interrupted')) AS missing,
    m.median, AVG(f.value) AS mean, MIN(f.value) AS minimum, MAX(f.value) AS maximum,
    AVG(f.test_accuracy) AS mean_test_accuracy
FROM final AS f
LEFT JOIN median AS m ON m.study = f.study AND m.position = f.position
GROUP BY f.study, f.position;

CREATE VIEW time_to_target AS
WITH reached AS (
    SELECT t.study, t.metric, t.value AS target, m.run_id, MIN(m.step) AS step
    FROM study_target AS t
    JOIN study_run AS sr ON sr.study = t.study
    JOIN eval_metric AS m ON m.run_id = sr.run_id AND m.metric = t.metric
        AND ((m.higher_is_better AND m.value >= t.value) OR (NOT m.higher_is_better AND m.value <= t.value))
    GROUP BY t.study, t.metric, t.value, m.run_id
)
SELECT
    t.study, t.metric, t.value AS target, sr.position, sr.arm, run.seed, run.id AS run_id, run.outcome,
    r.step IS NOT NULL AS reached, r.step, e.epoch, e.elapsed_ms
FROM study_target AS t
JOIN study_run AS sr ON sr.study = t.study
JOIN run ON run.id = sr.run_id AND run.outcome IN ('completed', 'diverged', 'stopped_early')
LEFT JOIN reached AS r ON r.study = t.study AND r.metric = t.metric AND r.target = t.value AND r.run_id = run.id
LEFT JOIN eval_metric AS e ON e.run_id = run.id AND e.metric = t.metric AND e.step = r.step;

CREATE VIEW lr_sensitivity AS
SELECT
    a.study, json_remove(sr.axes, '$.lr') AS other_axes, json_extract(sr.axes, '$.lr') AS lr,
    a.metric, a.runs, a.finished, a.diverged, a.median, a.minimum, a.maximum
FROM arm_summary AS a
JOIN (SELECT DISTINCT study, position, axes FROM study_run) AS sr ON sr.study = a.study AND sr.position = a.position
WHERE json_extract(sr.axes, '$.lr') IS NOT NULL;

CREATE TABLE position_log (
    run_key INTEGER NOT NULL REFERENCES run (key) ON DELETE CASCADE,
    step    INTEGER NOT NULL,             -- 0 is the start
    x       REAL,
    y       REAL,
    PRIMARY KEY (run_key, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE measurement_log (
    run_key INTEGER NOT NULL REFERENCES run (key) ON DELETE CASCADE,
    name    TEXT NOT NULL,
    value   REAL,
    PRIMARY KEY (run_key, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE picture_log (
    run_key  INTEGER NOT NULL REFERENCES run (key) ON DELETE CASCADE,
    name     TEXT NOT NULL,
    height   INTEGER NOT NULL,
    width    INTEGER NOT NULL,
    channels INTEGER NOT NULL CHECK (channels IN (1, 3)),
    pixels   BLOB NOT NULL CHECK (length(pixels) = height * width * channels),
    PRIMARY KEY (run_key, name)
) STRICT;

CREATE VIEW position AS
SELECT run.id AS run_id, l.step, l.x, l.y FROM position_log AS l JOIN run ON run.key = l.run_key;

CREATE VIEW measurement AS
SELECT run.id AS run_id, l.name, l.value FROM measurement_log AS l JOIN run ON run.key = l.run_key;

CREATE VIEW picture AS
SELECT run.id AS run_id, l.name, l.height, l.width, l.channels, l.pixels FROM picture_log AS l JOIN run ON run.key = l.run_key;

CREATE VIEW eval AS
SELECT run.id AS run_id, l.step, l.epoch, l.split, l.examples, l.loss, l.accuracy, l.noise_scale, l.elapsed_us / 1000.0 AS elapsed_ms, l.finite
FROM eval_log AS l JOIN run ON run.key = l.run_key;

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

CREATE TABLE sweep (
    key             INTEGER PRIMARY KEY,
    host            TEXT,
    place           TEXT NOT NULL,            -- where the process number means something: a machine since it was started
    pid             INTEGER NOT NULL,
    process_started INTEGER NOT NULL,         -- seconds since 1970: process numbers are used again
    started_at      TEXT NOT NULL,            -- UTC
    heartbeat       REAL NOT NULL,            -- seconds since 1970
    ended_at        TEXT                      -- NULL: it is sweeping, or was cut off
) STRICT;

CREATE TABLE attempt (
    run_key    INTEGER NOT NULL REFERENCES run (key) ON DELETE CASCADE,
    number     INTEGER NOT NULL,              -- from 1
    sweep_key  INTEGER NOT NULL REFERENCES sweep (key),
    after_step INTEGER NOT NULL DEFAULT 0,    -- the step of the checkpoint that it went on from; 0: from the start
    started_at TEXT NOT NULL,
    ended_at   TEXT,
    outcome    TEXT CHECK (outcome IN ('completed', 'diverged', 'stopped_early', 'failed', 'interrupted', 'lost')),
    error      TEXT,                          -- why it failed, diverged or was lost
    PRIMARY KEY (run_key, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX attempt_open ON attempt (sweep_key) WHERE ended_at IS NULL;
