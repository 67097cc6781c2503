//! A user's SQL reads, and neither more, nor for ever, nor into all of the memory.

use super::*;
use crate::Tracker;
use crate::write::tests::study;

fn with_reader(test: impl FnOnce(&Reader, &dyn Fn(&str) -> String)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.db");
    Tracker::open(&path, &[study()], crate::Environment::default()).unwrap().close().unwrap();
    let before = std::fs::read(&path).unwrap();
    let reader = Reader::open(&path).unwrap();
    test(&reader, &|sql| reader.query(sql).expect_err(sql).to_string());
    assert!(std::fs::read(&path).unwrap() == before, "something was written");
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names, ["r.db"]);
}

#[test]
fn only_reading_is_allowed() {
    with_reader(|_, error| {
        for sql in ["ATTACH 'other.db' AS o", "attach database ':memory:' as m"] {
            assert_eq!(error(sql), "ATTACH is not allowed here; only reading", "{sql}");
        }
        assert_eq!(error("DETACH main"), "DETACH is not allowed here; only reading");
        assert_eq!(error("SELECT load_extension('x.so')"), "load_extension() is not allowed here; only reading");
        for sql in ["BEGIN", "BEGIN IMMEDIATE", "COMMIT", "END", "ROLLBACK"] {
            assert_eq!(error(sql), "a transaction is not allowed here; only reading", "{sql}");
        }
        for sql in ["SAVEPOINT s", "RELEASE s", "ROLLBACK TO s"] {
            assert_eq!(error(sql), "SAVEPOINT is not allowed here; only reading", "{sql}");
        }
        for sql in [
            "DELETE FROM run",
            "UPDATE run SET steps = 0",
            "INSERT INTO study_target VALUES ('s', 'm', 1)",
            "REPLACE INTO study_target VALUES ('s', 'm', 1)",
            "WITH c AS (SELECT 1) DELETE FROM run",
            "EXPLAIN DELETE FROM run",
            "CREATE TABLE t (x)",
            "CREATE TEMP TABLE t (x)",
            "CREATE TEMP VIEW v AS SELECT 1",
            "CREATE VIRTUAL TABLE f USING fts5(x)",
            "DROP TABLE step_log",
            "ALTER TABLE run ADD COLUMN x",
            "REINDEX",
            "ANALYZE",
            "VACUUM",
            "VACUUM INTO 'copy.db'",
        ] {
            assert_eq!(error(sql), WRITES, "{sql}");
        }
    });
}

#[test]
fn pragmas_ask_and_do_not_set() {
    with_reader(|reader, error| {
        for sql in [
            "PRAGMA table_info(run)",
            "PRAGMA table_xinfo = run",
            "PRAGMA table_list",
            "PRAGMA index_list(run)",
            "PRAGMA foreign_key_list(step_log)",
            "PRAGMA foreign_key_check",
            "PRAGMA integrity_check",
            "PRAGMA quick_check(1)",
            "PRAGMA user_version",
            "PRAGMA application_id",
            "SELECT name FROM pragma_table_info('run')",
        ] {
            reader.query(sql).expect(sql);
        }
        assert_eq!(error("PRAGMA user_version = 9"), "PRAGMA user_version with a value is not allowed here; only reading");
        assert_eq!(error("PRAGMA page_size(512)"), "PRAGMA page_size with a value is not allowed here; only reading");
        for name in [
            "query_only",
            "journal_mode",
            "wal_checkpoint",
            "writable_schema",
            "hard_heap_limit",
            "temp_store_directory",
            "optimize",
            "Foreign_Keys",
        ] {
            let error = error(&format!("PRAGMA {name} = 0"));
            assert_eq!(error.to_lowercase(), format!("pragma {} is not allowed here; only reading", name.to_lowercase()));
        }
    });
}

#[test]
fn what_never_ends_is_stopped() {
    with_reader(|reader, _| {
        let limits = Limits { time: Some(Duration::from_millis(200)), ..Limits::default() };
        for sql in [
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT COUNT(*) FROM c",
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 3000) SELECT COUNT(*) FROM c AS a, c AS b, c AS d",
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c ORDER BY -x",
        ] {
            let error = reader.query_within(sql, limits).unwrap_err().to_string();
            assert_eq!(error, "stopped after 0.2 s; --timeout SECONDS allows more, --timeout 0 any time", "{sql}");
        }
        let none = Limits { time: None, ..Limits::default() };
        assert_eq!(reader.query_within("SELECT COUNT(*) FROM run", none).unwrap().rows, [[Cell::Integer(4)]]);
    });
}

#[test]
fn what_is_too_large_is_one_error() {
    with_reader(|reader, error| {
        assert_eq!(error("SELECT zeroblob(1e9)"), "a value or row is longer than 64 MiB");
        assert_eq!(error("SELECT LENGTH(REPLACE(HEX(ZEROBLOB(3e7)), '0', 'abcdefgh'))"), "a value or row is longer than 64 MiB");
        let numbers = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)";
        assert_eq!(
            error(&format!("{numbers} SELECT GROUP_CONCAT(x, HEX(ZEROBLOB(1000))) FROM (SELECT x FROM c LIMIT 40000)")),
            "a value or row is longer than 64 MiB"
        );
        // A row is checked only where it is stored; many long values in one need the other limit.
        let many = ["HEX(ZEROBLOB(3e7))"; 40].join(", ");
        assert_eq!(error(&format!("SELECT {many}")), "the query needs more than 1024 MiB of memory; ask for less at a time");
        let limits = Limits { answer: 1 << 20, ..Limits::default() };
        let sql = format!("{numbers} SELECT x, HEX(ZEROBLOB(50)) FROM c");
        let large = reader.query_within(&sql, limits).unwrap_err().to_string();
        assert!(large.starts_with("the answer is larger than 1 MiB; ask for less of it (LIMIT"), "{large}");
        let mut rows = 0;
        reader
            .each(&format!("{sql} LIMIT 20000"), None, |part| -> Result<(), Error> {
                rows += usize::from(matches!(part, Part::Row(_)));
                Ok(())
            })
            .unwrap();
        assert_eq!(rows, 20_000, "row by row there is no limit");
    });
}
