//! Downloads from a server on this machine that behaves in every way but the right one.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use tempfile::TempDir;

use super::*;

/// What the server says to a request: bytes, and how long it then holds the connection.
struct Reply(Vec<u8>, Duration);

/// A server whose answer depends on how many requests came before, and on where the wanted range starts.
struct Server {
    address: SocketAddr,
    /// The start of the range of each request; `None`: it asked for the whole file.
    asked: Arc<Mutex<Vec<Option<usize>>>>,
}

impl Server {
    fn new(answer: impl Fn(usize, Option<usize>) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(vec![]));
        let log = Arc::clone(&asked);
        // It ends with the test's process.
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (mut connection, mut request, mut byte) = (connection.unwrap(), String::new(), [0]);
                while !request.ends_with("\r\n\r\n") && connection.read(&mut byte).unwrap() > 0 {
                    request.push(char::from(byte[0]));
                }
                let request = request.to_lowercase();
                let range = request.split("range: bytes=").nth(1).map(|rest| rest.split('-').next().unwrap().parse().unwrap());
                let n = {
                    let mut log = log.lock().unwrap();
                    log.push(range);
                    log.len()
                };
                let Reply(bytes, hold) = answer(n, range);
                let _ = connection.write_all(&bytes);
                thread::sleep(hold);
            }
        });
        Server { address, asked }
    }

    fn wanted(&self) -> Wanted {
        let sha256 = spec::hex(&Sha256::digest(content()));
        Wanted { name: "file.gz".into(), url: format!("http://{}/file.gz", self.address), sha256, bytes: 100_000 }
    }

    fn asked(&self) -> Vec<Option<usize>> {
        self.asked.lock().unwrap().clone()
    }
}

fn content() -> Vec<u8> {
    (0..100_000u32).map(|i| u8::try_from(i * i % 251).unwrap()).collect()
}

fn reply(head: &str, body: &[u8]) -> Reply {
    Reply([format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes(), body].concat(), Duration::ZERO)
}

/// The whole file, or what was asked for of it, as a good server answers.
fn good(range: Option<usize>) -> Reply {
    let content = content();
    match range {
        Some(from) => {
            let head = format!("206 Partial Content\r\nContent-Range: bytes {from}-99999/100000\r\nContent-Length: {}", 100_000 - from);
            reply(&head, &content[from..])
        }
        None => reply("200 OK\r\nContent-Length: 100000", &content),
    }
}

fn client() -> Client {
    let Client(agent) = Client::new(false, Duration::from_millis(400));
    // Whoever tests behind a proxy must not be sent there.
    let config = Agent::config_builder().proxy(None).http_status_as_error(false).max_redirects(REDIRECTS);
    let timeouts = agent.config().timeouts();
    Client(
        config
            .timeout_connect(timeouts.connect)
            .timeout_recv_response(timeouts.recv_response)
            .timeout_per_read(agent.config().timeout_per_read())
            .build()
            .new_agent(),
    )
}

fn fetch(server: &Server, folder: &TempDir) -> Result<Done, DownloadError> {
    client().fetch(&server.wanted(), folder.path(), &ProgressBar::hidden())
}

fn names(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn assert_complete(folder: &TempDir) {
    assert_eq!(names(folder), ["file.gz"]);
    assert!(fs::read(folder.path().join("file.gz")).unwrap() == content());
}

fn with_part(bytes: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file.gz.part"), bytes).unwrap();
    folder
}

#[test]
fn a_file_is_downloaded_once() {
    let (server, folder) = (Server::new(|_, range| good(range)), tempfile::tempdir().unwrap());
    let bar = ProgressBar::hidden();
    bar.set_position(7);
    assert_eq!(client().fetch(&server.wanted(), folder.path(), &bar).unwrap(), Done::Downloaded);
    assert_eq!(bar.position(), 100_007);
    assert_complete(&folder);
    assert_eq!(fetch(&server, &folder).unwrap(), Done::Kept);
    assert_eq!(server.asked(), [None]);
    // A file of that name that is another one is replaced.
    for other in [vec![1; 100_000], vec![]] {
        fs::write(folder.path().join("file.gz"), other).unwrap();
        assert_eq!(fetch(&server, &folder).unwrap(), Done::Downloaded);
        assert_complete(&folder);
    }
}

#[test]
fn an_earlier_download_is_gone_on_with() {
    let folder = with_part(&content()[..60_000]);
    let server = Server::new(|_, range| good(range));
    assert_eq!(fetch(&server, &folder).unwrap(), Done::Downloaded);
    assert_complete(&folder);
    assert_eq!(server.asked(), [Some(60_000)]);
    // One that had all but its name needs no server.
    let folder = with_part(&content());
    fetch(&server, &folder).unwrap();
    assert_complete(&folder);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn what_was_left_of_another_file_is_given_up() {
    let server = Server::new(|_, range| good(range));
    for (left, asked) in [(vec![9; 500], &[Some(500), None][..]), (vec![9; 100_000], &[None]), (vec![9; 100_001], &[None])] {
        let folder = with_part(&left);
        server.asked.lock().unwrap().clear();
        fetch(&server, &folder).unwrap();
        assert_complete(&folder);
        assert_eq!(server.asked(), asked);
    }
}

#[test]
fn servers_that_cannot_go_on_start_again() {
    type Answer = fn(usize, Option<usize>) -> Reply;
    let whole: Answer = |_, _| good(None);
    let refuses: Answer = |_, range| range.map_or_else(|| good(None), |_| reply("416 Range Not Satisfiable\r\nContent-Length: 0", b""));
    let elsewhere: Answer = |_, range| good(range.map(|_| 10));
    let unsaid: Answer =
        |_, range| range.map_or_else(|| good(None), |_| reply("206 Partial Content\r\nContent-Length: 50000", &vec![0; 50_000]));
    let of_another: Answer = |_, range| match range {
        Some(_) => reply("206 Partial Content\r\nContent-Range: bytes 50000-69999/70000\r\nContent-Length: 20000", &vec![0; 20_000]),
        None => good(None),
    };
    for (answer, requests) in [(whole, 1), (refuses, 2), (elsewhere, 2), (unsaid, 2), (of_another, 2)] {
        let (server, folder) = (Server::new(answer), with_part(&content()[..50_000]));
        fetch(&server, &folder).unwrap();
        assert_complete(&folder);
        assert_eq!((server.asked()[0], server.asked().len()), (Some(50_000), requests));
    }
}

#[test]
fn a_broken_connection_is_made_again() {
    let server = Server::new(|n, range| match n {
        1 => reply("200 OK\r\nContent-Length: 100000", &content()[..30_000]),
        2 => reply("206 Partial Content\r\nContent-Range: bytes 30000-99999/100000\r\nContent-Length: 70000", &content()[30_000..40_000]),
        _ => good(range),
    });
    let folder = tempfile::tempdir().unwrap();
    fetch(&server, &folder).unwrap();
    assert_complete(&folder);
    assert_eq!(server.asked(), [None, Some(30_000), Some(40_000)]);
}

#[test]
fn what_came_before_a_break_is_kept_for_the_next_time() {
    let server = Server::new(|n, range| match (n, range) {
        (1, _) => reply("200 OK\r\nContent-Length: 100000", &content()[..30_000]),
        (2, _) => reply("206 Partial Content\r\nContent-Range: bytes 30000-99999/100000\r\nContent-Length: 70000", b""),
        (_, range) => good(range),
    });
    let folder = tempfile::tempdir().unwrap();
    let error = fetch(&server, &folder).unwrap_err().to_string();
    assert!(error.contains("the connection broke after 30000 of 100000 bytes"), "{error}");
    assert_eq!(names(&folder), ["file.gz.part"]);
    fetch(&server, &folder).unwrap();
    assert_complete(&folder);
    assert_eq!(server.asked(), [None, Some(30_000), Some(30_000)]);
}

#[test]
fn a_server_that_never_sends_all_is_given_up() {
    // Each time from the start, each time half of it.
    let server = Server::new(|_, _| reply("200 OK\r\nContent-Length: 100000", &content()[..30_000]));
    let error = fetch(&server, &tempfile::tempdir().unwrap()).unwrap_err().to_string();
    assert!(error.contains("the connection broke after 30000 of 100000 bytes") && server.asked().len() == 2, "{error}");
    // Never the same from where it was to go on: a byte more each time.
    let server = Server::new(|n, _| reply("200 OK\r\nContent-Length: 100000", &content()[..n]));
    let error = fetch(&server, &tempfile::tempdir().unwrap()).unwrap_err().to_string();
    assert!(error.contains("the connection broke after 10 of 100000 bytes") && server.asked().len() == 10, "{error}");
}

#[test]
fn another_file_is_thrown_away() {
    let wrong = |_: usize, _: Option<usize>| reply("200 OK\r\nContent-Length: 100000", &vec![7; 100_000]);
    let (server, folder) = (Server::new(wrong), tempfile::tempdir().unwrap());
    let error = fetch(&server, &folder).unwrap_err().to_string();
    let sum = spec::hex(&Sha256::digest(vec![7; 100_000]));
    assert!(error.contains(&format!("has the SHA-256 {sum}, but the file must have {}", server.wanted().sha256)), "{error}");
    assert_eq!(names(&folder), [""; 0]);
    assert_eq!(server.asked(), [None]);
}

#[test]
fn no_more_bytes_are_taken_than_the_file_has() {
    let said = Server::new(|_, _| reply("200 OK\r\nContent-Length: 100001", &vec![7; 100_001]));
    let unsaid = Server::new(|_, _| reply("200 OK", &vec![7; 300_000]));
    let shorter = Server::new(|_, _| reply("200 OK\r\nContent-Length: 9", &[7; 9]));
    for (server, found) in [(said, "100001"), (unsaid, "more than 100000"), (shorter, "9")] {
        let folder = tempfile::tempdir().unwrap();
        let error = fetch(&server, &folder).unwrap_err().to_string();
        assert!(error.contains(&format!("has {found} bytes, but the file must have 100000")), "{error}");
        assert_eq!(names(&folder), [""; 0]);
    }
}

#[test]
fn what_the_server_says_is_passed_on() {
    let message =
        |head: &'static str| fetch(&Server::new(move |_, _| reply(head, b"")), &tempfile::tempdir().unwrap()).unwrap_err().to_string();
    assert!(message("404 Not Found\r\nContent-Length: 0").ends_with("/file.gz: the server answers 404 Not Found"));
    assert!(message("503 Service Unavailable\r\nContent-Length: 0").contains("503"));
    assert!(message("206 Partial Content\r\nContent-Length: 0").contains("206"), "nobody asked for a part");
    assert!(message("302 Found\r\nLocation: /file.gz\r\nContent-Length: 0").contains("redirects more than 5 times"));
    assert!(!message("nonsense").is_empty());
}

#[test]
fn a_silent_server_is_not_waited_for() {
    let start = Instant::now();
    let mute = Server::new(|_, _| Reply(vec![], Duration::from_secs(20)));
    let error = fetch(&mute, &tempfile::tempdir().unwrap()).unwrap_err().to_string();
    assert!(error.contains("the server does not answer"), "{error}");
    let stops = Server::new(|n, range| match n {
        1 => Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nxxxx".to_vec(), Duration::from_secs(20)),
        _ => good(range),
    });
    let error = fetch(&stops, &tempfile::tempdir().unwrap()).unwrap_err().to_string();
    assert!(error.contains("127.0.0.1"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[test]
fn nobody_listens() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server { address, asked: Arc::default() };
    let error = fetch(&server, &tempfile::tempdir().unwrap()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("http://{address}/file.gz: ")) && error.to_lowercase().contains("refused"), "{error}");
}

#[test]
fn official_addresses_need_https() {
    let server = Server::new(|_, range| good(range));
    let client = Client::new(true, Duration::from_millis(400));
    let error = client.fetch(&server.wanted(), tempfile::tempdir().unwrap().path(), &ProgressBar::hidden()).unwrap_err().to_string();
    assert!(error.contains("is not https"), "{error}");
    assert_eq!(server.asked(), []);
}

#[test]
fn two_downloads_of_one_file_do_not_mix() {
    let folder = with_part(b"");
    let held = Part::open(folder.path().join("file.gz.part")).unwrap();
    let error = fetch(&Server::new(|_, range| good(range)), &folder).unwrap_err().to_string();
    assert!(error.contains("another download is writing to it"), "{error}");
    drop(held);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("file.gz.part")).unwrap();
    let error = fetch(&Server::new(|_, range| good(range)), &folder).unwrap_err().to_string();
    assert!(error.contains("file.gz.part"), "{error}");
}
