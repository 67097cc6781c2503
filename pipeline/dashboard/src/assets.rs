//! Scripts and styles, in the binary.

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::Error;
use crate::pages;

/// Name, kind and content.
const ASSETS: [(&str, &str, &str); 5] = [
    ("uPlot.js", "text/javascript", include_str!("../../../vendor/uPlot.iife.min.js")),
    ("uPlot.css", "text/css", include_str!("../../../vendor/uPlot.min.css")),
    ("dashboard.css", "text/css", include_str!("web/dashboard.css")),
    ("live.js", "text/javascript", include_str!("web/live.js")),
    ("curves.js", "text/javascript", include_str!("web/curves.js")),
];

pub(crate) async fn answer(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some((_, kind, content)) = ASSETS.iter().find(|(known, ..)| *known == name) else {
        return pages::problem(&Error::NotFound("there is no such file".into()));
    };
    // They change with the program alone.
    let tag = format!("\"{}\"", spec::fingerprint(content.as_bytes()));
    if headers.get(header::IF_NONE_MATCH).is_some_and(|before| before == tag.as_str()) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    ([(header::CONTENT_TYPE, format!("{kind}; charset=utf-8")), (header::ETAG, tag)], *content).into_response()
}
