-- Every process that sweeps, or has swept, with this file. Its runs are its own while its heart beats.
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

-- Every try to train a run. One without an end is a lease, as long as its sweep's heart beats.
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
