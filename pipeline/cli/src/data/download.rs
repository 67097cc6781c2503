//! A file from the network: gone on with where an earlier download stopped, and checked against its SHA-256 before it gets its name.
//! Called by `pipeline data fetch`; it knows nothing of datasets.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::ProgressBar;
use sha2::{Digest, Sha256};
use ureq::http::header::{CONTENT_RANGE, RANGE};
use ureq::{Agent, Body, http::Response};

/// A server that has said nothing for so long is given up.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// How often a file is asked for, as long as each connection brings more of it.
const REQUESTS: u32 = 10;
const REDIRECTS: u32 = 5;

/// A file as it must be, and where it comes from.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub name: String,
    pub url: String,
    /// In lower-case hexadecimal digits.
    pub sha256: String,
    pub bytes: u64,
}

/// What was done for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It was there and right.
    Kept,
    Downloaded,
}

/// Why a file is not there now.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    #[error("{url}: {why}")]
    Unreachable { url: String, why: String },
    #[error("{url}: the server answers {status}")]
    Status { url: String, status: ureq::http::StatusCode },
    #[error("{url}: the connection broke after {have} of {bytes} bytes ({why}); they are kept, and the same command goes on from there")]
    Cut { url: String, have: u64, bytes: u64, why: String },
    #[error("{url}: has {found} bytes, but the file must have {bytes}; it is another file")]
    Length { url: String, found: String, bytes: u64 },
    #[error("{url}: has the SHA-256 {found}, but the file must have {expected}; it is another file, and was thrown away")]
    Sum { url: String, found: String, expected: String },
    #[error("{}: another download is writing to it", .0.display())]
    Busy(PathBuf),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
}

/// Asks servers for files.
pub struct Client(Agent);

/// The file under its working name, with what is known of its content.
struct Part {
    path: PathBuf,
    file: File,
    hash: Sha256,
    len: u64,
}

impl Client {
    /// Refuses addresses and redirects without TLS if `https_only`; gives a silent server up after `patience`.
    pub fn new(https_only: bool, patience: Duration) -> Self {
        let patience = Some(patience);
        let config = Agent::config_builder()
            .https_only(https_only)
            .http_status_as_error(false)
            .max_redirects(REDIRECTS)
            .timeout_resolve(patience)
            .timeout_connect(patience)
            .timeout_recv_response(patience)
            .timeout_per_read(patience);
        Client(config.build().new_agent())
    }

    /// Sees to it that the folder has the file. `bar` is moved on by as many bytes as the file has.
    ///
    /// # Errors
    /// When it can't be had, or what is had is something else. What came before a connection broke is kept for the next time.
    pub fn fetch(&self, wanted: &Wanted, folder: &Path, bar: &ProgressBar) -> Result<Done, DownloadError> {
        let path = folder.join(&wanted.name);
        let start = bar.position();
        let at_end = |done| {
            bar.set_position(start + wanted.bytes);
            Ok(done)
        };
        if is_right(&path, wanted)? {
            return at_end(Done::Kept);
        }
        let mut part = Part::open(folder.join(format!("{}.part", wanted.name)))?;
        let result = self.fill(wanted, &mut part, &|len| bar.set_position(start + len));
        match result {
            Ok(()) => fs::rename(&part.path, &path).map_err(at(&path))?,
            // Nothing to go on with.
            Err(_) if part.len == 0 => fs::remove_file(&part.path).map_err(at(&part.path))?,
            Err(_) => {}
        }
        result.and_then(|()| at_end(Done::Downloaded))
    }

    /// Makes the part the whole file, with the right sum.
    fn fill(&self, wanted: &Wanted, part: &mut Part, moved: &dyn Fn(u64)) -> Result<(), DownloadError> {
        // What an earlier download left may be of another file; it is given up once.
        let mut is_inherited = part.len > 0;
        loop {
            if part.len > wanted.bytes {
                part.empty()?;
            }
            self.complete(wanted, part, moved)?;
            let found = spec::hex(&part.hash.finalize_reset());
            if found == wanted.sha256 {
                return part.file.sync_all().map_err(at(&part.path));
            }
            part.empty()?;
            if !std::mem::take(&mut is_inherited) {
                return Err(DownloadError::Sum { url: wanted.url.clone(), found, expected: wanted.sha256.clone() });
            }
        }
    }

    /// Downloads what the part lacks.
    fn complete(&self, wanted: &Wanted, part: &mut Part, moved: &dyn Fn(u64)) -> Result<(), DownloadError> {
        let mut requests = 0;
        while part.len < wanted.bytes {
            let before = part.len;
            requests += 1;
            let Some(response) = self.ask(wanted, part)? else { continue };
            let Err(why) = receive(response, wanted, part, moved)? else { continue };
            if part.len <= before || requests >= REQUESTS {
                return Err(DownloadError::Cut { url: wanted.url.clone(), have: part.len, bytes: wanted.bytes, why });
            }
        }
        Ok(())
    }

    /// The answer to a request for what the part lacks. `None` if the server doesn't go on with it; then the part is empty and the whole
    /// file is to be asked for.
    fn ask(&self, wanted: &Wanted, part: &mut Part) -> Result<Option<Response<Body>>, DownloadError> {
        let url = &wanted.url;
        let mut request = self.0.get(url);
        if part.len > 0 {
            request = request.header(RANGE, format!("bytes={}-", part.len));
        }
        let response = request.call().map_err(|e| DownloadError::Unreachable { url: url.clone(), why: reason(&e) })?;
        match response.status().as_u16() {
            200 => part.empty()?,
            206 if part.len > 0 && continues(&response, part.len) => {}
            // It has no such range, or sends another one.
            206 | 416 if part.len > 0 => {
                part.empty()?;
                return Ok(None);
            }
            _ => return Err(DownloadError::Status { url: url.clone(), status: response.status() }),
        }
        let length = response.body().content_length().map(|len| len.saturating_add(part.len));
        match length.filter(|len| *len != wanted.bytes) {
            Some(found) if part.len == 0 => Err(DownloadError::Length { url: url.clone(), found: found.to_string(), bytes: wanted.bytes }),
            Some(_) => {
                part.empty()?;
                Ok(None)
            }
            None => Ok(Some(response)),
        }
    }
}

/// Appends an answer to the part. The inner error is why the answer ended before the file did.
fn receive(response: Response<Body>, wanted: &Wanted, part: &mut Part, moved: &dyn Fn(u64)) -> Result<Result<(), String>, DownloadError> {
    let mut reader = response.into_body().into_reader();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = match reader.read(&mut buffer) {
            Ok(0) if part.len < wanted.bytes => return Ok(Err("no more came".into())),
            Ok(0) => return Ok(Ok(())),
            Ok(n) => n,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Ok(Err(e.to_string())),
        };
        if part.len + n as u64 > wanted.bytes {
            part.empty()?;
            let found = format!("more than {}", wanted.bytes);
            return Err(DownloadError::Length { url: wanted.url.clone(), found, bytes: wanted.bytes });
        }
        part.append(&buffer[..n])?;
        moved(part.len);
    }
}

impl Part {
    /// Opens what an earlier download left, or an empty file, for this process alone.
    fn open(path: PathBuf) -> Result<Self, DownloadError> {
        let mut file = File::options().read(true).append(true).create(true).open(&path).map_err(at(&path))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(DownloadError::Busy(path)),
            // Some network disks have no locks; two downloads at once are unlikely, and what they make is checked.
            Err(TryLockError::Error(_)) | Ok(()) => {}
        }
        let (hash, len) = summed(&mut file).map_err(at(&path))?;
        Ok(Part { path, file, hash, len })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), DownloadError> {
        self.file.write_all(bytes).map_err(at(&self.path))?;
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn empty(&mut self) -> Result<(), DownloadError> {
        self.file.set_len(0).map_err(at(&self.path))?;
        (self.hash, self.len) = (Sha256::new(), 0);
        Ok(())
    }
}

/// Whether the file is there, with the right content.
fn is_right(path: &Path, wanted: &Wanted) -> Result<bool, DownloadError> {
    let mut file = match File::open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
        file => file.map_err(at(path))?,
    };
    if file.metadata().map_err(at(path))?.len() != wanted.bytes {
        return Ok(false);
    }
    let (hash, _) = summed(&mut file).map_err(at(path))?;
    Ok(spec::hex(&hash.finalize()) == wanted.sha256)
}

/// The hash of what is left of a file, and how much that is.
fn summed(file: &mut File) -> io::Result<(Sha256, u64)> {
    let (mut hash, mut len) = (Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((hash, len)),
            Ok(n) => {
                hash.update(&buffer[..n]);
                len += n as u64;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Whether an answer with a part of a file starts where ours ends: `Content-Range: bytes 500-999/1000`.
fn continues(response: &Response<Body>, len: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let start = range.and_then(|range| range.trim().strip_prefix("bytes")?.trim_start().split_once('-')?.0.parse().ok());
    start == Some(len)
}

/// In words of ours where the library's say little.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "there is no server of that name, or no network".into(),
        ureq::Error::Timeout(_) => "the server does not answer".into(),
        ureq::Error::TooManyRedirects => format!("redirects more than {REDIRECTS} times"),
        ureq::Error::RequireHttpsOnly(to) => format!("leads to {to}, which is not https"),
        ureq::Error::Io(e) => e.to_string(),
        other => other.to_string(),
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DownloadError {
    let path = path.to_owned();
    move |source| DownloadError::File { path, source }
}

#[cfg(test)]
#[path = "download_tests.rs"]
mod tests;
