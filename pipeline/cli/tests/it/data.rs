//! Datasets: listed, downloaded, drawn.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;

use crate::workspace::{Outcome, Workspace};

/// The command with no proxy between it and this machine.
fn alone(w: &Workspace, args: &[&str]) -> Outcome {
    let mut command = w.command(args);
    for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(proxy);
    }
    Outcome::of(&command.output().unwrap())
}

/// A server that gives every request the same answer, and its address.
fn server(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/mirror/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let _ = connection.read(&mut [0; 4096]);
            let _ = connection.write_all(&answer);
        }
    });
    address
}

#[test]
fn the_list_says_what_is_here_and_how_to_get_the_rest() {
    let w = Workspace::new("");
    let outcome = alone(&w, &["data"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let list = outcome.stdout;
    assert!(list.contains("fashion-mnist-mini: ") && list.contains("here: 10000 training and 2000 test examples of 28×28×1"), "{list}");
    assert!(list.contains("`pipeline data fetch mnist` downloads it (11 MiB)"), "{list}");
    assert!(list.contains("needs `images`: ") && list.contains("`pipeline data show images --set images=IMAGES` draws"), "{list}");
    assert_eq!(alone(&w, &["data", "list"]).stdout, list);
    let json: Value = serde_json::from_str(&alone(&w, &["data", "list", "--json"]).stdout).unwrap();
    let of = |name: &str| json.as_array().unwrap().iter().find(|d| d["name"] == name).unwrap().clone();
    let (here, missing) = (of("fashion-mnist-mini"), of("mnist"));
    assert_eq!((&here["state"], &here["shape"], here["sha256"].as_str().unwrap().len()), (&"here".into(), &vec![28, 28, 1].into(), 64));
    assert_eq!((&missing["state"], &missing["fetch"]), (&"missing".into(), &"pipeline data fetch mnist".into()));
    assert!(missing["looked"].as_array().unwrap().iter().any(|place| place.as_str().unwrap().contains("cache/pipeline/mnist")));
}

#[test]
fn broken_files_do_not_break_the_list() {
    let w = Workspace::new("");
    std::fs::create_dir_all(w.path("cache/pipeline/mnist")).unwrap();
    w.write("cache/pipeline/mnist/train-images-idx3-ubyte.gz", "no gzip");
    let outcome = alone(&w, &["data"]);
    assert!(outcome.code == Some(0) && outcome.stdout.contains("unusable: "), "{}", outcome.stdout);
    let outcome = alone(&w, &["data", "--data-dir", "nowhere"]);
    assert!(outcome.code == Some(2) && outcome.stderr.contains("nowhere is not a folder"), "{}", outcome.stderr);
}

#[test]
fn a_mirror_with_other_files_is_not_believed() {
    let w = Workspace::new("");
    let body = vec![b'x'; 9_912_422];
    let answer = [format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat();
    let outcome = alone(&w, &["data", "fetch", "mnist", "--from", &server(answer)]);
    let error = outcome.stderr;
    assert_eq!((outcome.code, outcome.stdout.as_str(), error.matches("error:").count()), (Some(1), "", 1), "{error}");
    assert!(error.contains("/mirror/train-images-idx3-ubyte.gz: has the SHA-256 ") && error.contains("it is another file"), "{error}");
    assert!(error.contains("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609  train-images-idx3-ubyte.gz"), "{error}");
    assert_eq!(std::fs::read_dir(w.path("cache/pipeline/mnist")).unwrap().count(), 0);
}

#[test]
fn without_a_server_it_says_what_to_do() {
    let w = Workspace::new("");
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outcome = alone(&w, &["data", "fetch", "mnist", "--from", &format!("http://{address}"), "--data-dir", "data"]);
    let error = outcome.stderr;
    assert_eq!((outcome.code, error.matches("error:").count()), (Some(1), 1), "{error}");
    let folder = std::path::Path::new("data").join("mnist");
    assert!(error.contains(&format!("by hand: put these files into {}", folder.display())), "{error}");
    assert!(error.contains("t10k-labels-idx1-ubyte.gz") && error.contains("--from URL"), "{error}");
}

#[test]
fn what_cannot_be_fetched_is_wrong_usage() {
    let w = Workspace::new("");
    for (args, message) in [
        (&["fashion-mnist-mini"][..], "has no files to download"),
        (&["mnits"], "did you mean `mnist`?"),
        (&["mnist", "--from", "ftp://a.b/c"], "--from ftp://a.b/c: write the address of the folder"),
    ] {
        let outcome = alone(&w, &[&["data", "fetch"], args].concat());
        assert!(outcome.code == Some(2) && outcome.stderr.contains(message), "{}", outcome.stderr);
    }
}

#[test]
fn examples_are_drawn() {
    let w = Workspace::new("");
    let show = |more: &[&str]| alone(&w, &[&["data", "show", "fashion-mnist-mini"], more].concat());
    let outcome = show(&[]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "fashion-mnist-mini.png\n"), "{}", outcome.stderr);
    let png = std::fs::read(w.path("fashion-mnist-mini.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
    assert_eq!(show(&["--out", "a.svg", "--count", "12", "--split", "test"]).stdout, "a.svg\n");
    let svg = w.read("a.svg");
    assert_eq!((svg.matches("<image").count(), svg.matches(">ankle boot<").count()), (12, 1));
    assert!(svg.contains("fashion-mnist-mini: 12 of 2000 test examples of 28×28×1"));
    show(&["--out", "b.svg", "--seed", "3", "--count", "12", "--split", "test"]);
    assert_ne!(w.read("b.svg"), svg);
}

#[test]
fn clips_signals_and_augmented_images_are_drawn() {
    let w = Workspace::new("");
    let svg = |args: &[&str]| {
        let outcome = alone(&w, &[&["data", "show"], args, &["--out", "a.svg", "--count", "6"]].concat());
        assert_eq!(outcome.code, Some(0), "{args:?}: {}", outcome.stderr);
        w.read("a.svg")
    };
    assert_eq!(svg(&["clips"]).matches("<image").count(), 6);
    assert!(svg(&["signals", "--set", "data_seed=4"]).matches("<path").count() >= 6);
    let (plain, noisy) = (svg(&["fashion-mnist-mini"]), svg(&["fashion-mnist-mini", "--set", "augment_noise=0.1"]));
    assert_eq!(noisy.matches("<image").count(), 6);
    assert!(plain != noisy && noisy == svg(&["fashion-mnist-mini", "--set", "augment_noise=0.1"]));
}

#[test]
fn what_cannot_be_drawn_is_said() {
    let w = Workspace::new("");
    for (args, code, message) in [
        (&["mnits"][..], 2, "did you mean `mnist`?"),
        (&["fashion-mnist-mini", "--out", "a.jpg"], 2, "must end in .png or .svg"),
        (&["fashion-mnist-mini", "--set", "side=3"], 2, "has no key `side`"),
        (&["fashion-mnist-mini", "--split", "test", "--set", "augment_flip=true"], 2, "changes training examples only"),
        (&["fashion-mnist-mini", "--set", "augment_crop=99"], 2, "augment_crop = 99"),
        (&["signals", "--set", "augment_flip=true"], 2, "are no images"),
        (&["images"], 2, "images needs `images` ("),
        (&["images", "--set", "images=cats"], 1, "cats"),
        (&["fashion-mnist-mini", "--count", "0"], 2, "--count"),
        (&["fashion-mnist-mini", "--out", "no/such/a.png"], 1, "writing no/such/a.png"),
        (&["mnist"], 1, "pipeline data fetch mnist"),
    ] {
        let outcome = alone(&w, &[&["data", "show"], args].concat());
        assert!(outcome.code == Some(code) && outcome.stderr.contains(message), "{args:?}: {}", outcome.stderr);
    }
}
