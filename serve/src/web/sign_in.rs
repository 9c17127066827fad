//! Signing in with a browser: a form, a link with the token, and the cookie that both leave. A browser's EventSource
//! sends no headers of its own.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::access::Access;
use super::escapes::decoded;

/// Where the form is sent to.
pub(super) const PATH: &str = "/sign-in";

/// Bytes of a form that are read.
const FORM_BYTES: usize = 4096;

/// Nothing but the form.
const POLICY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Whether a person looks at the answer: a browser that opens a page.
pub(super) fn is_for_people(request: &Request) -> bool {
    let accepted = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|kinds| kinds.contains("text/html"))
        && !request.uri().path().starts_with("/api/")
}

/// The form; `was_wrong` where a token was given already.
pub(super) fn form(was_wrong: bool) -> Response {
    let wrong = if was_wrong { "<p role=\"alert\">That is not the token.</p>" } else { "" };
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Sign in - bl</title></head>\
         <body><main><h1>Sign in</h1>{wrong}<form method=\"post\" action=\"{PATH}\">\
         <p><label>Token <input type=\"password\" name=\"token\" autocomplete=\"current-password\" \
         required autofocus></label> <button>Sign in</button></p></form>\
         <p>It is in the file that <code>web.token_file</code> names on the machine that serves this page.</p>\
         </main></body></html>"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // Without a referrer, a browser would send the form from the origin `null`.
        (header::REFERRER_POLICY, "same-origin"),
    ];
    (StatusCode::UNAUTHORIZED, headers, page).into_response()
}

/// The answer to the form.
pub(super) async fn post(access: &Access, request: Request) -> Response {
    let Ok(body) = to_bytes(request.into_body(), FORM_BYTES).await else { return form(true) };
    let text = String::from_utf8_lossy(&body);
    admit(access, &text).unwrap_or_else(|| form(true))
}

/// The answer to `/?token=...`, where the token is right.
pub(super) fn link(access: &Access, request: &Request) -> Option<Response> {
    let query = request.uri().query().filter(|_| request.uri().path() == "/")?;
    admit(access, query)
}

/// Whether a query holds a token.
pub(super) fn has_token(query: &str) -> bool {
    tokens(query).next().is_some()
}

/// Leaves the cookie where `pairs` (`a=b&c=d`) hold the token.
fn admit(access: &Access, pairs: &str) -> Option<Response> {
    // A plus is a blank in forms, and a plus where somebody typed it.
    let is_right = |given: &str| {
        access.is_token(&decoded(given)) || access.is_token(&decoded(&given.replace('+', " ")))
    };
    tokens(pairs).find(|given| is_right(given))?;
    let headers = [(header::LOCATION, "/".to_string()), (header::SET_COOKIE, access.cookie()?)];
    Some((StatusCode::SEE_OTHER, headers).into_response())
}

fn tokens(pairs: &str) -> impl Iterator<Item = &str> {
    pairs.split('&').filter_map(|pair| pair.strip_prefix("token="))
}
