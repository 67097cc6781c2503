//! Whole reports from hand-made studies.

use insta::assert_snapshot;
use serde_json::json;

use crate::fixture::{study, troubled};
use crate::report::Reports;
use crate::{Analysis, StudyData};

fn reports(data: &StudyData) -> Reports {
    let mut reports = Reports::default();
    reports.add(data, true).unwrap();
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
    for name in ["troubled/sensitivity.svg", "troubled/old.svg", "troubled/notes.md", "other.md", "troubled/report.md"] {
        std::fs::write(folder.join(name), "x").unwrap();
    }
    assert_eq!(made.stale(&folder).unwrap(), ["troubled/report.md", "troubled/sensitivity.svg"]);
    made.write(&folder).unwrap();
    assert!(made.stale(&folder).unwrap().is_empty());
    assert!(["troubled/notes.md", "troubled/old.svg", "other.md"].iter().all(|name| folder.join(name).exists()));
    assert!(!folder.join("troubled/sensitivity.svg").exists());
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
        analysis: spec::analysis::Settings::default(),
        axes: vec![],
        arms: vec![spec::Arm { label: "base".into(), axes: vec![], config: spec::Config::default(), graph: None }],
        seeds: vec![0, 1],
        source: String::new(),
    };
    tracker::Tracker::open(&path, &[study], tracker::Environment::default()).unwrap().close().unwrap();
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
    data.add("lr=0.1", 0, &[json!(0.1)], 0);
    let made = reports(&data);
    let page = text(&made, "empty/report.md");
    assert!(page.contains("1 of 1 runs have no result yet") && page.contains("nothing to compare"), "{page}");
    assert!(!page.contains("NaN"));
    assert!(reports(&study("bare", &[])).files.contains_key("bare/report.md"));
}

#[test]
fn the_setup_has_what_varies_and_what_all_arms_share() {
    let mut data = study("setup", &["batch_size", "lr"]);
    data.study.question = "# What <b>is</b>\n\n- this?".into();
    data.study.metric = crate::fixture::LOSS;
    for (position, (batch, lr)) in [(json!("full"), 0.16), (json!(8), 0.01)].into_iter().enumerate() {
        for seed in 0..3 {
            let run = data.add(&format!("lr={lr}"), position, &[batch.clone(), json!(lr)], seed);
            data.finish(run, &[0.1, 0.7 + lr]);
            let of_some = if position == 0 { "" } else { r#","momentum":0.9"# };
            let config = format!(
                r#"{{"batch_size":{batch},"dataset_checksum":"0123456789abcdef","epochs":1,"lr":{lr}{of_some},"steps":{position}}}"#
            );
            data.runs[run as usize].config = config;
            data.runs[run as usize].parameters = Some(100_000 + position as u64);
        }
    }
    let made = reports(&data);
    let page = text(&made, "setup/report.md");
    let head = "\\# What &lt;b>is&lt;/b> - this?\n\n**Hypothesis.** The first.\n\n**Answer.** ";
    assert!(page.contains(head), "{page}");
    let setup = "2 arms × 3 seeds = 6 runs: 6 finished.\n\n## Method\n\n";
    assert!(page.contains(setup), "{page}");
    let setup = "\n\n\
                 - Varied: `batch_size` = 8, full; `lr` = 0.01, 0.16.\n- Seeds: 0–2.\n- Parameters: 100 000–100 001.\n\n\
                 The same in all arms:\n\n| key | value |\n| --- | --- |\n| `dataset_checksum` | 0123456789ab |\n| `epochs` | 1 |\n\n\
                 ## What the data say\n";
    assert!(page.contains(setup), "{page}");
    assert!(
        page.contains("counted at the top. `lr` moves along with it. From 6 runs.")
            && page.contains("Along `batch_size` (`lr` moves along")
    );
    assert!(text(&made, "setup/final-metric.svg").contains(">validation_loss in nats (log scale)<"));
    assert!(text(&made, "setup/learning-curves.svg").contains(">full<"));
}

#[test]
fn an_error_leaves_its_reason_to_its_source() {
    let file = std::env::temp_dir().join(format!("analysis-no-folder-{}", std::process::id()));
    std::fs::write(&file, "x").unwrap();
    let error = reports(&troubled()).write(&file).unwrap_err();
    assert_eq!(error.to_string(), format!("writing {}", file.display()));
    assert!(std::error::Error::source(&error).is_some());
    std::fs::remove_file(&file).unwrap();
}
