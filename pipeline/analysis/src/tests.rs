//! Whole reports from hand-made studies.

use insta::assert_snapshot;

use crate::fixture::{study, troubled};
use crate::report::Reports;
use crate::{Analysis, StudyData};

fn reports(data: &StudyData) -> Reports {
    let mut reports = Reports::default();
    reports.add(data).unwrap();
    reports.add_index();
    reports
}

fn text(reports: &Reports, name: &str) -> String {
    String::from_utf8(reports.files[name].clone()).unwrap()
}

#[test]
fn a_troubled_study_reads_plainly() {
    let reports = reports(&troubled());
    let names: Vec<&str> = reports.files.keys().map(String::as_str).collect();
    assert_snapshot!("files", names.join("\n"));
    assert_snapshot!("report", text(&reports, "troubled/report.md"));
    assert_snapshot!("index", text(&reports, "README.md"));
    for table in ["arms", "time_to_target", "divergence", "runs"] {
        assert_snapshot!(table, text(&reports, &format!("troubled/{table}.csv")));
    }
}

#[test]
fn an_early_best_that_diverged_does_not_win() {
    let data = troubled();
    let analysis = Analysis::of(&data).unwrap();
    assert_eq!(analysis.arms[analysis.verdict.unwrap().arm].label, "a|b");
}

#[test]
fn equal_data_give_equal_bytes_in_any_order() {
    let data = troubled();
    assert_eq!(reports(&data), reports(&data));
    assert_eq!(reports(&data).files, reports(&data.shuffled()).files);
}

#[test]
fn a_folder_is_stale_until_written_and_loses_only_what_is_ours() {
    let folder = std::env::temp_dir().join(format!("analysis-reports-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let made = reports(&troubled());
    assert_eq!(made.stale(&folder).unwrap(), made.files.keys().cloned().collect::<Vec<_>>());
    made.write(&folder).unwrap();
    assert!(made.stale(&folder).unwrap().is_empty());
    for name in ["troubled/old.svg", "troubled/notes.txt", "other.md", "troubled/report.md"] {
        std::fs::write(folder.join(name), "x").unwrap();
    }
    assert_eq!(made.stale(&folder).unwrap(), ["troubled/old.svg", "troubled/report.md"]);
    made.write(&folder).unwrap();
    assert!(made.stale(&folder).unwrap().is_empty());
    assert!(folder.join("troubled/notes.txt").exists() && folder.join("other.md").exists());
    assert!(!folder.join("troubled/old.svg").exists());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_unknown_study_is_named_with_those_that_exist() {
    let path = std::env::temp_dir().join(format!("analysis-unknown-{}.db", std::process::id()));
    let study = spec::Study {
        name: "lr".into(),
        question: "Why?".into(),
        hypothesis: None,
        metric: crate::fixture::ACCURACY,
        targets: vec![],
        axes: vec![],
        arms: vec![spec::Arm { label: "base".into(), axes: vec![], config: spec::Config::default() }],
        seeds: vec![0, 1],
        source: String::new(),
    };
    tracker::Tracker::open(&path, &[study]).unwrap().close().unwrap();
    let reader = tracker::Reader::open(&path).unwrap();
    let error = crate::build(&reader, &["rl".into()]).unwrap_err();
    assert_eq!(error.to_string(), "no study named `rl`; the database has `lr`");
    let all = crate::build(&reader, &[]).unwrap();
    assert_eq!((all.studies[0].runs_by_outcome.as_slice(), &all.studies[0].best), (&[("missing", 2)][..], &None));
    assert_eq!(all, crate::build(&reader, &["lr".into()]).unwrap());
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_study_without_results_says_what_is_missing() {
    let mut data = study("empty", &["lr"]);
    data.add("lr=0.1", 0, &[serde_json::json!(0.1)], 0);
    let made = reports(&data);
    let page = text(&made, "empty/report.md");
    assert!(page.contains("1 of 1 runs have no result yet") && page.contains("nothing to compare"), "{page}");
    assert!(!page.contains("NaN"));
    assert!(reports(&study("bare", &[])).files.contains_key("bare/report.md"));
}
