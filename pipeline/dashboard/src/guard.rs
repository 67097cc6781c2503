//! Who may ask, and what every answer says to the browser.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use crate::pages;
use crate::query::Query;

const COOKIE: &str = "pipeline_token";

/// Scripts and styles from here alone, no other site, no frame around it, nothing that leaves.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
         form-action 'self'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Under which names the server is reached, and what a caller must know.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Names and addresses that may stand in `Host`, without ports: others are of pages that have tricked the browser (DNS rebinding).
    pub hosts: Vec<String>,
    /// `None`: whoever can reach it may look.
    pub token: Option<String>,
}

/// 128 random bits, in hexadecimal.
///
/// # Errors
/// When the system has none.
pub fn new_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(spec::hex(&bytes))
}

pub(crate) async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let mut response = match check(&access, &request) {
        Verdict::Pass => next.run(request).await,
        Verdict::Stop(response) => *response,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    response
}

enum Verdict {
    Pass,
    Stop(Box<Response>),
}

fn check(access: &Access, request: &Request) -> Verdict {
    let stop = |status: StatusCode, why: &str| Verdict::Stop(Box::new(pages::plain(status, why)));
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return stop(StatusCode::METHOD_NOT_ALLOWED, "this server only shows; it changes nothing");
    }
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).map(without_port).unwrap_or_default();
    if !access.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
        return stop(StatusCode::MISDIRECTED_REQUEST, "this server goes by another name; --host-name NAME allows this one");
    }
    let Some(token) = &access.token else { return Verdict::Pass };
    let is_right = |given: &str| bool::from(given.as_bytes().ct_eq(token.as_bytes()));
    let query = Query::parse(request.uri().query().unwrap_or_default());
    if let Some(given) = query.get("token") {
        if !is_right(given) {
            return stop(StatusCode::FORBIDDEN, "the token is not right; the server printed the address with it when it started");
        }
        // It goes into a cookie, and out of the address that is seen, kept and shared.
        let to = format!("{}{}", request.uri().path(), query.without("token").link());
        let cookie = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict");
        return Verdict::Stop(Box::new((StatusCode::SEE_OTHER, [(header::LOCATION, to), (header::SET_COOKIE, cookie)]).into_response()));
    }
    let cookies = request.headers().get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut given = cookies.flat_map(|all| all.split(';')).filter_map(|one| one.trim().split_once('=')).filter(|(name, _)| *name == COOKIE);
    if given.any(|(_, value)| is_right(value)) {
        return Verdict::Pass;
    }
    stop(StatusCode::FORBIDDEN, "a token is needed; the server printed the address with it when it started")
}

/// `localhost:1234` without the port, `[::1]:1234` too.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on panics")]

    use super::*;

    #[test]
    fn ports_are_left_out() {
        for (host, name) in
            [("a", "a"), ("a:1", "a"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("127.0.0.1:8080", "127.0.0.1"), ("::1", "::1")]
        {
            assert_eq!(without_port(host), name);
        }
    }

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let (a, b) = (new_token().unwrap(), new_token().unwrap());
        assert!(a.len() == 32 && a != b);
    }
}
