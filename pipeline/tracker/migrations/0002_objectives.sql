-- What runs log beyond losses of a classification: paths on surfaces, single numbers, pictures, and the gradient noise.

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

ALTER TABLE eval_log ADD COLUMN noise_scale REAL;  -- of the gradients, in examples; NULL where it was not measured

DROP VIEW eval;

CREATE VIEW eval AS
SELECT run.id AS run_id, l.step, l.epoch, l.split, l.examples, l.loss, l.accuracy, l.noise_scale, l.elapsed_us / 1000.0 AS elapsed_ms, l.finite
FROM eval_log AS l JOIN run ON run.key = l.run_key;
