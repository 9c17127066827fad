//! The embedded page.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::app::App;
use super::problem::Problem;

#[derive(RustEmbed)]
#[folder = "../web/dist"]
struct Dist;

/// Answers with a file of the page.
pub(super) async fn file(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    let name = match uri.path() {
        "/" => "index.html",
        path => path.trim_start_matches('/'),
    };
    let is_api = name.starts_with("api/");
    let Some(file) = Dist::get(name).filter(|_| !is_api) else {
        let what = if is_api { "route" } else { "file" };
        return Problem::missing(format!("no {what} {}", uri.path())).into_response();
    };
    let hash: String =
        file.metadata.sha256_hash()[..12].iter().map(|b| format!("{b:02x}")).collect();
    let tag = format!("\"{hash}\"");
    let cache = match name.starts_with("assets/") {
        // Their names carry a hash of their content.
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    let known =
        headers.get(header::IF_NONE_MATCH).is_some_and(|given| given.as_bytes() == tag.as_bytes());
    let mut answer = vec![
        (header::CACHE_CONTROL, cache.to_string()),
        (header::ETAG, tag),
        (header::VARY, "Accept-Encoding".into()),
    ];
    if known {
        return with_headers(StatusCode::NOT_MODIFIED, answer, Body::empty());
    }
    answer.push((header::CONTENT_TYPE, content_type(name).into()));
    let body = match accepts_gzip(&headers) {
        true => {
            answer.push((header::CONTENT_ENCODING, "gzip".into()));
            Body::from(app.compressed.of(name, &file.data))
        }
        false => Body::from(file.data.into_owned()),
    };
    with_headers(StatusCode::OK, answer, body)
}

fn with_headers(
    status: StatusCode,
    headers: Vec<(header::HeaderName, String)>,
    body: Body,
) -> Response {
    let mut response = (status, body).into_response();
    for (name, value) in headers {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok());
    accepted.unwrap_or_default().split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim() == "gzip" && !["q=0", "q=0.0"].contains(&weight.trim())
    })
}
