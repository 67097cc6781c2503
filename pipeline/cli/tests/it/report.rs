//! Reports: the same database gives the same bytes, and their numbers are the database's.

use crate::workspace::{TINY, Workspace};

#[test]
fn the_same_database_gives_the_same_bytes_and_a_stale_report_is_noticed() {
    let w = Workspace::new(TINY);
    w.ok(&["sweep", "--quiet"]);
    w.ok(&["report", "--check"]);
    w.ok(&["report", "--out", "again"]);
    let names = |folder: &str| {
        let mut names: Vec<String> =
            std::fs::read_dir(w.path(folder)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let files = names("reports/tiny");
    assert_eq!(files, names("again/tiny"));
    for expected in ["report.md", "arms.csv", "runs.csv", "learning-curves.svg", "final-metric.svg"] {
        assert!(files.iter().any(|f| f == expected), "{expected} is not in {files:?}");
    }
    for file in files.iter().map(|f| format!("tiny/{f}")).chain(["README.md".into()]) {
        assert_eq!(w.read(&format!("reports/{file}")), w.read(&format!("again/{file}")), "{file}");
    }
    w.write("reports/tiny/report.md", "edited by hand");
    let stale = w.run(&["report", "--check"]);
    assert_eq!(stale.code, Some(1));
    assert!(stale.stderr.contains("tiny/report.md"), "{}", stale.stderr);
    let unknown = w.run(&["report", "tinny"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("tiny"), "{}", unknown.stderr);
}

/// Median, mean and sample standard deviation, written down again.
fn by_hand(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    let median = f64::midpoint(values[(n - 1) / 2], values[n / 2]);
    let mean = values.iter().sum::<f64>() / n as f64;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n as f64 - 1.0);
    (median, mean, variance.sqrt())
}

#[test]
fn the_numbers_of_the_report_are_those_of_a_hand_written_query() {
    let w = Workspace::new(&TINY.replace("lr = [0.1, 1000]", "lr = [0.01, 0.1, 1000]").replace("seeds = 2", "seeds = 4"));
    w.ok(&["sweep", "--quiet"]);
    let mut reader = csv::Reader::from_path(w.path("reports/tiny/arms.csv")).unwrap();
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|h| h == name).unwrap_or_else(|| panic!("{name} in {header:?}"));
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 3);
    for (row, lr) in rows.iter().zip(["0.01", "0.1", "1000"]) {
        // No view, only the tables: the last validation row of every completed run with this rate.
        let last = |split: &str, of: &str| -> Vec<f64> {
            let sql = format!(
                "SELECT {of} FROM run JOIN eval ON run_id = id WHERE json_extract(config, '$.lr') = {lr} AND outcome = 'completed' \
                 AND split = '{split}' AND step = (SELECT MAX(step) FROM eval AS e WHERE e.run_id = id AND e.split = '{split}')"
            );
            w.rows(&sql).iter().map(|v| v.parse().unwrap()).collect()
        };
        let finished = last("validation", "accuracy");
        assert_eq!(&row[column("finished")], finished.len().to_string());
        if lr == "1000" {
            assert!(finished.is_empty() && row[column("validation_accuracy_median")].parse::<f64>().is_err(), "{row:?}");
            continue;
        }
        let close = |part: &str, expected: f64| {
            let found: f64 = row[column(part)].parse().unwrap_or_else(|_| panic!("{part}: {row:?}"));
            assert!((found - expected).abs() <= 1e-12, "{part}: {found} instead of {expected}");
        };
        let (median, mean, deviation) = by_hand(finished);
        close("validation_accuracy_median", median);
        close("validation_accuracy_mean", mean);
        close("validation_accuracy_sd", deviation);
        close("test_accuracy_mean", by_hand(last("test", "accuracy")).1);
    }
}

#[test]
fn every_table_and_figure_names_a_query_that_runs_and_the_runs_behind_it() {
    let w = Workspace::new(TINY);
    w.ok(&["sweep", "--quiet"]);
    let all = w.ok(&["report", "--trace", "tiny"]);
    let traces: Vec<Vec<&str>> = all.trim().split("\n\n").map(|trace| trace.lines().collect()).collect();
    assert!(traces.len() > 15, "{all}");
    for trace in &traces {
        let [name, query, runs] = trace.as_slice() else { panic!("{trace:?}") };
        assert!(name.starts_with("tiny/") && runs.contains("run"), "{trace:?}");
        w.ok(&["query", query]);
    }
    let one = w.ok(&["report", "--trace", "tiny/arms.csv"]);
    assert!(one.starts_with("tiny/arms\nSELECT * FROM run_summary WHERE study = 'tiny'"), "{one}");
    let unknown = w.run(&["report", "--trace", "tiny/armz"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("no table or figure `tiny/armz`"), "{}", unknown.stderr);
}

#[test]
fn reports_of_studies_that_have_not_changed_are_left_alone_and_yet_complete() {
    let w = Workspace::new(TINY);
    w.write("experiments/other.toml", &TINY.replace("lr = [0.1, 1000]", "lr = [0.01]"));
    w.ok(&["sweep", "--quiet"]);
    let pages = |w: &Workspace| ["README.md", "index.html"].map(|page| w.read(&format!("reports/{page}")));
    let before = pages(&w);
    let written = |file: &str| std::fs::metadata(w.path(file)).unwrap().modified().unwrap();
    let stamp = written("reports/other/report.md");
    // Only one of the two studies changes.
    w.write("experiments/tiny.toml", &TINY.replace("lr = [0.1, 1000]", "lr = [0.1, 0.2]"));
    w.ok(&["sweep", "--quiet"]);
    assert_eq!(written("reports/other/report.md"), stamp);
    let after = pages(&w);
    assert!(before[0] != after[0] && before[1] != after[1]);
    for page in &after {
        assert!(page.contains("other") && page.contains("lr=0.2"), "{page}");
    }
    w.ok(&["report", "--check"]);
    // Without its stamps, everything is made again, to the same bytes.
    std::fs::remove_file(w.path("reports/.stamps")).unwrap();
    w.ok(&["report"]);
    assert_eq!(pages(&w), after);
}
