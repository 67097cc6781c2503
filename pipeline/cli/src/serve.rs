//! `pipeline serve`: the dashboard, until it is stopped.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use dashboard::Access;
use tracker::Reader;
use tracker::read::{RunRecord, StudyRecord};

use crate::args::Serve;
use crate::error::Expected;

/// The port, unless another is asked for, and how many behind it are tried.
const PORT: u16 = 7878;
const TRIED: u16 = 20;
/// Shorter ones can be guessed.
const SHORTEST_TOKEN: usize = 16;

pub fn serve(db: &Path, args: &Serve) -> Result<ExitCode> {
    let ip = args.listen.ip;
    let token = token(args)?;
    let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned(), literal(ip)];
    hosts.extend(args.host_name.iter().cloned());
    if ip.is_unspecified() {
        // It is reached by whatever name this machine has.
        hosts.extend(std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned()));
    }
    let router = dashboard::router(db, Access { hosts, token: token.clone() }, Box::new(diagnosis));
    let ports: Vec<u16> = args.listen.port.map_or_else(|| (PORT..PORT + TRIED).collect(), |port| vec![port]);
    for (i, port) in ports.iter().enumerate() {
        let said = |address: SocketAddr| {
            let behind = token.as_ref().map_or(String::new(), |token| format!("?token={token}"));
            let _ = writeln!(std::io::stdout(), "http://{}:{}/{behind}", literal(ip), address.port());
        };
        match dashboard::serve(router.clone(), SocketAddr::new(ip, *port), said) {
            Err(e) if e.kind() == std::io::ErrorKind::AddrInUse && i + 1 < ports.len() => {}
            Err(e) => return Err(anyhow::Error::new(e).context(format!("listening at {}:{port}", literal(ip)))),
            Ok(()) => return Ok(ExitCode::SUCCESS),
        }
    }
    unreachable!("the last port returns")
}

/// As it stands in an address.
fn literal(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// What a browser must know: whatever listens to more than this machine is not for everybody.
fn token(args: &Serve) -> Result<Option<String>> {
    let Some(file) = &args.token_file else {
        let token = || dashboard::new_token().map_err(|e| anyhow::anyhow!("making a token: {e}"));
        return (!args.listen.ip.is_loopback()).then(token).transpose();
    };
    let text = std::fs::read_to_string(file).with_context(|| format!("reading the token in {}", file.display()))?;
    let token = text.trim();
    let plain = token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if token.len() < SHORTEST_TOKEN || !plain {
        let what = format!("{}: a token is at least {SHORTEST_TOKEN} letters, digits, `-` or `_`", file.display());
        return Err(Expected::Usage(what).into());
    }
    Ok(Some(token.to_owned()))
}

/// What the curves of a run say. A page without it is better than none.
fn diagnosis(reader: &Reader, study: &StudyRecord, run: &RunRecord) -> Option<(String, String)> {
    let diagnosis = analysis::judgement::of_run(reader, study, run).ok()??;
    Some((diagnosis.condition.name().to_owned(), diagnosis.evidence))
}
