//! The server as a browser sees it, on a database that is made by hand.

#![allow(clippy::unwrap_used, reason = "a test that can't go on panics")]

use std::path::{Path, PathBuf};

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use dashboard::Access;
use spec::record::{Eval, Facts, Outcome, Sink, Step};
use spec::{Arm, Config, Metric, Split, Study, Value};
use tempfile::TempDir;
use tower::ServiceExt;
use tracker::{Ended, Environment, Tracker};

const HOSTILE: &str = "<script>alert(1)</script>'\"&";

fn study() -> Study {
    let arm = |lr: f64, note: &str| {
        let mut config = Config::default();
        config.insert("lr", Value::Float(lr));
        config.insert("note", Value::Text(note.to_owned().into()));
        let axes = vec![("lr".to_owned(), Value::Float(lr)), ("note".to_owned(), Value::Text(note.to_owned().into()))];
        Arm { label: format!("lr={lr} {note}"), axes, config, graph: None }
    };
    Study {
        name: "rates".into(),
        question: format!("Which rate? {HOSTILE}"),
        hypothesis: None,
        metric: "validation_accuracy".parse::<Metric>().unwrap(),
        targets: vec![],
        analysis: spec::analysis::Settings::default(),
        axes: vec!["lr".into(), "note".into()],
        arms: vec![arm(0.1, "a"), arm(0.2, HOSTILE), arm(0.3, "c")],
        seeds: vec![0, 1],
        source: String::new(),
    }
}

/// Arm 0 has finished with both seeds, arm 1 with one, and diverged with the other; arm 2 waits.
fn results() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("r.db");
    let study = study();
    let tracker = Tracker::open(&db, std::slice::from_ref(&study), Environment::default()).unwrap();
    for (arm, seed, accuracy) in [(0, 0, 0.5), (0, 1, 0.7), (1, 0, 0.9), (1, 1, f64::NAN)] {
        let mut sink = tracker.start(&study.arms[arm].run(seed)).unwrap();
        sink.begin(&Facts {
            parameters: 10,
            flops_per_step: 1,
            memory_bytes: 1,
            planned_steps: 3000,
            device: "cpu".into(),
            threads: 1,
            layers: vec![],
            classes: vec![],
        })
        .unwrap();
        let diverges = accuracy.is_nan();
        for step in 1..=if diverges { 20 } else { 3000 } {
            // One spike, which decimation must not lose.
            let loss = if step == 1234 { 77.0 } else { 1.0 / step as f64 };
            let loss = if diverges && step == 20 { f64::INFINITY } else { loss };
            sink.step(&Step {
                step,
                epoch: 1,
                examples: step,
                loss,
                accuracy: Some(0.5),
                lr: 0.1,
                grad_norm: 1.0,
                elapsed_ms: step as f64,
            })
            .unwrap();
        }
        let outcome = if diverges { Outcome::Diverged } else { Outcome::Completed };
        if !diverges {
            let eval = Eval {
                step: 3000,
                epoch: 1,
                split: Split::Validation,
                examples: 10,
                loss: 0.3,
                accuracy: Some(accuracy),
                noise_scale: None,
                elapsed_ms: 3e3,
            };
            sink.eval(&eval).unwrap();
        }
        sink.end(Ended { outcome, steps: 3000, error: diverges.then(|| HOSTILE.to_owned()) }).unwrap();
    }
    tracker.close().unwrap();
    (folder, db)
}

fn access(token: Option<&str>) -> Access {
    Access { hosts: vec!["127.0.0.1".into(), "localhost".into()], token: token.map(str::to_owned) }
}

struct Got {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn ask(db: &Path, token: Option<&str>, method: &str, path: &str, headers: &[(&str, &str)]) -> Got {
    let router = dashboard::router(db, access(token), Box::new(|_, _, _| Some(("healthy".into(), HOSTILE.into()))));
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "127.0.0.1:7878");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = String::from_utf8_lossy(&to_bytes(body, usize::MAX).await.unwrap()).into_owned();
    Got { status: parts.status, headers: parts.headers, body }
}

/// Runs what waits for answers.
fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn get(db: &Path, path: &str) -> Got {
    run(ask(db, None, "GET", path, &[]))
}

#[test]
fn pages_are_there_with_strict_headers_and_what_is_hostile_is_text() {
    let (_folder, db) = results();
    let id = study().arms[1].run(1).id;
    for path in
        ["/", "/runs", "/study/rates", &format!("/run/{id}"), "/run/zzzz", "/nowhere", "/assets/live.js", "/curves?study=rates&arm=1"]
    {
        let got = get(&db, path);
        let expected = if path.contains("zzzz") || path.contains("nowhere") { StatusCode::NOT_FOUND } else { StatusCode::OK };
        assert_eq!(got.status, expected, "{path}");
        let policy = got.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!((got.header("x-content-type-options"), got.header("referrer-policy")), ("nosniff", "no-referrer"));
        if got.header("content-type").starts_with("text/html") {
            assert!(!got.body.contains("<script>alert") && !got.body.contains(" style="), "{path}");
        }
    }
    let page = get(&db, &format!("/run/{id}")).body;
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    for section in ["Diagnosis", "Configuration", "Environment", "Evaluations"] {
        assert!(page.contains(section), "{section}");
    }
    assert_eq!(get(&db, "/run/..%2F..%2Fetc%2Fpasswd").status, StatusCode::NOT_FOUND);
}

#[test]
fn only_known_names_and_methods_pass() {
    let (_folder, db) = results();
    let with = |method: &str, host: &str| run(ask(&db, None, method, "/", &[("host", host)])).status;
    assert_eq!(with("GET", "localhost:1"), StatusCode::OK);
    for host in ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil.example:7878"] {
        assert_eq!(with("GET", host), StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        assert_eq!(with(method, "localhost"), StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }
}

#[test]
fn a_token_becomes_a_cookie() {
    let (_folder, db) = results();
    let token = "0123456789abcdef";
    let ask = |path: &str, headers: &[(&str, &str)]| run(ask(&db, Some(token), "GET", path, headers));
    for path in ["/", "/runs", "/assets/live.js", "/curves?study=rates&arm=1", "/?token=0123456789abcdee", "/?token="] {
        assert_eq!(ask(path, &[]).status, StatusCode::FORBIDDEN, "{path}");
    }
    let got = ask("/runs?sort=seed&token=0123456789abcdef", &[]);
    assert_eq!((got.status, got.header("location")), (StatusCode::SEE_OTHER, "/runs?sort=seed"));
    let cookie = got.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert_eq!(ask("/", &[("cookie", cookie.split(';').next().unwrap())]).status, StatusCode::OK);
    assert_eq!(ask("/", &[("cookie", "pipeline_token=wrong; other=1")]).status, StatusCode::FORBIDDEN);
}

/// The ids of a table's rows, by their first characters, in order.
fn rows(page: &str) -> Vec<String> {
    page.split("<tbody>").nth(1).unwrap().split("href=\"/run/").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[test]
fn runs_are_filtered_and_sorted_and_those_without_a_value_come_last() {
    let (_folder, db) = results();
    let ids = |arm: usize, seed: u64| study().arms[arm].run(seed).id;
    let by_accuracy = |order: &str| rows(&get(&db, &format!("/runs?sort=validation_accuracy&order={order}")).body);
    let up = by_accuracy("");
    assert_eq!(up[..3], [ids(0, 0), ids(0, 1), ids(1, 0)]);
    assert_eq!(by_accuracy("down")[..3], [ids(1, 0), ids(0, 1), ids(0, 0)], "a diverged run is never best");
    assert_eq!(up.len(), 6);
    assert_eq!(rows(&get(&db, "/runs?filter=outcome%3Ddiverged").body), [ids(1, 1)]);
    assert_eq!(rows(&get(&db, "/runs?filter=lr%3C0.15+and+seed%3D1").body), [ids(0, 1)]);
    assert_eq!(rows(&get(&db, "/runs?filter=validation_accuracy%3E0.6&sort=seed").body), [ids(1, 0), ids(0, 1)]);
    let wrong = get(&db, "/runs?filter=lr%3C%3Cscript%3E");
    assert!(wrong.status == StatusCode::OK && wrong.body.contains("role=\"alert\"") && !wrong.body.contains("<script>"), "{}", wrong.body);
    assert!(wrong.body.contains("aria-invalid"));
    // Nonsense in an address is no error.
    for path in ["/runs?page=999999", "/runs?page=-1&sort=nothing&order=x", "/runs?filter=%FF%00"] {
        assert_eq!(get(&db, path).status, StatusCode::OK, "{path}");
    }
}

#[test]
fn curves_keep_their_spikes_and_bands_their_seeds() {
    let (_folder, db) = results();
    let json = |path: &str| serde_json::from_str::<serde_json::Value>(&get(&db, path).body).unwrap();
    let seeds = json("/curves?study=rates&arm=0&metric=loss&show=seeds");
    let series = seeds["series"].as_array().unwrap();
    assert_eq!(series.len(), 2);
    let (x, y) = (series[0]["x"].as_array().unwrap(), series[0]["y"].as_array().unwrap());
    assert!(x.len() < 3000, "{}", x.len());
    assert_eq!((x[0].as_f64(), x[x.len() - 1].as_f64(), y[0].as_f64()), (Some(1.0), Some(3000.0), Some(1.0)));
    assert!(y.iter().any(|v| v.as_f64() == Some(77.0)));
    let diverged = json("/curves?study=rates&arm=1&metric=loss&show=seeds");
    let last = diverged["series"][1]["y"].as_array().unwrap().last().unwrap().clone();
    assert!(last.is_null() && diverged["series"][1]["state"] == "diverged", "{last}");
    let band = json("/curves?study=rates&arm=0&arm=1&metric=validation_accuracy&show=band");
    let close = |value: &serde_json::Value, to: f64| (value.as_f64().unwrap() - to).abs() < 1e-12;
    let first = &band["series"][0];
    assert!(close(&first["low"][0], 0.5) && close(&first["y"][0], 0.6) && close(&first["high"][0], 0.7), "{first}");
    assert_eq!((band["series"][1]["seeds"].as_u64(), band["series"][1]["diverged"].as_u64()), (Some(2), Some(1)));
    for wrong in ["/curves", "/curves?study=rates&arm=0&metric=f1", "/curves?study=rates&arm=0&x=moon"] {
        assert_eq!(get(&db, wrong).status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    assert_eq!(json("/curves?study=nothing&arm=0")["series"].as_array().unwrap().len(), 0);
}

#[test]
fn what_has_not_changed_is_not_sent_again_and_what_grows_is() {
    let (_folder, db) = results();
    let router = dashboard::router(&db, access(None), Box::new(|_, _, _| None));
    let ask = |path: &str, tag: Option<&str>| {
        let mut request = Request::builder().uri(path).header("host", "localhost");
        if let Some(tag) = tag {
            request = request.header("if-none-match", tag);
        }
        run(async {
            let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            let (parts, body) = response.into_parts();
            (parts.status, parts.headers.get("etag").map(|t| t.to_str().unwrap().to_owned()), to_bytes(body, usize::MAX).await.unwrap())
        })
    };
    let path = "/curves?study=rates&arm=2&metric=loss&show=seeds";
    let (status, tag, _) = ask(path, None);
    assert_eq!(status, StatusCode::OK);
    assert_eq!(ask(path, tag.as_deref()).0, StatusCode::NOT_MODIFIED);
    // A sweep goes on while the server looks.
    let study = study();
    let tracker = Tracker::open(&db, std::slice::from_ref(&study), Environment::default()).unwrap();
    let mut sink = tracker.start(&study.arms[2].run(0)).unwrap();
    let mut seen = 0.0;
    for round in 1..=3u64 {
        for step in (round - 1) * 500 + 1..=round * 500 {
            sink.step(&Step {
                step,
                epoch: 1,
                examples: step,
                loss: 1.0,
                accuracy: None,
                lr: 0.1,
                grad_norm: 1.0,
                elapsed_ms: step as f64,
            })
            .unwrap();
        }
        // The writer commits, and the overview rests, for a moment.
        let mut last = 0.0;
        for _ in 0..100 {
            std::thread::sleep(std::time::Duration::from_millis(50));
            let (_, _, body) = ask(path, None);
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            last = json["series"][0]["x"].as_array().unwrap().last().and_then(serde_json::Value::as_f64).unwrap_or(0.0);
            if last > seen && last + 128.0 > round as f64 * 500.0 {
                break;
            }
        }
        assert!(last > seen, "round {round}: {last} after {seen}");
        seen = last;
    }
    assert_ne!(ask(path, tag.as_deref()).0, StatusCode::NOT_MODIFIED);
    let page = String::from_utf8(ask("/", None).2.to_vec()).unwrap();
    assert!(page.contains("1 run in training"), "{page}");
    drop(sink);
    tracker.close().unwrap();
}

#[test]
fn a_database_that_is_not_there_or_not_ours_is_a_page_that_looks_again() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("r.db");
    let got = get(&db, "/");
    assert!(got.status == StatusCode::SERVICE_UNAVAILABLE && got.body.contains("data-live=\"page\""), "{}", got.body);
    std::fs::write(&db, "no database").unwrap();
    assert_eq!(get(&db, "/runs").status, StatusCode::SERVICE_UNAVAILABLE);
    std::fs::remove_file(&db).unwrap();
    drop(Tracker::open(&db, &[study()], Environment::default()).unwrap().close());
    assert_eq!(get(&db, "/").status, StatusCode::OK);
}
