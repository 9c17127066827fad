//! Every request passes here first, and every answer last: what is refused, and the headers that answers carry.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::access::Access;
use super::problem::Problem;
use super::sign_in;

const CONTENT_POLICY: &str = "default-src 'self'; style-src 'self'; img-src 'self' data:; \
     object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Checks a request, and dresses its answer.
pub(super) async fn guard(State(access): State<Access>, request: Request, next: Next) -> Response {
    let mut response = match admit(&access, request).await {
        Ok(request) => next.run(request).await,
        Err(response) => *response,
    };
    for (name, value) in HEADERS {
        let headers = response.headers_mut();
        // The form has a policy of its own.
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

/// The request, or the answer to one that does not get through.
async fn admit(access: &Access, request: Request) -> Result<Request, Box<Response>> {
    let refuse = |status, detail: &str| Box::new(Problem::new(status, detail).into_response());
    let (method, path) = (request.method().clone(), request.uri().path().to_string());
    if !access.knows_host(request.headers()) {
        let detail = "ask for localhost, not for another name";
        return Err(refuse(StatusCode::MISDIRECTED_REQUEST, detail));
    }
    let signs_in = method == Method::POST && path == sign_in::PATH && access.has_token();
    let is_foreign = (signs_in || path.starts_with("/api/")) && is_of_other_site(request.headers());
    if is_foreign {
        let detail =
            "only this server's own page may ask: the request comes from a page of another site";
        return Err(refuse(StatusCode::FORBIDDEN, detail));
    }
    if signs_in {
        return Err(Box::new(sign_in::post(access, request).await));
    }
    if ![Method::GET, Method::HEAD].contains(&method) {
        return Err(refuse(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered"));
    }
    if let Some(response) = sign_in::link(access, &request) {
        return Err(Box::new(response));
    }
    if access.admits(request.headers()) {
        return Ok(request);
    }
    if sign_in::is_for_people(&request) {
        return Err(Box::new(sign_in::form(request.uri().query().is_some_and(sign_in::has_token))));
    }
    let detail = "a token is needed: open / in a browser, or send Authorization: Bearer ...";
    Err(refuse(StatusCode::UNAUTHORIZED, detail))
}

/// Whether a page of another site asks: a browser says so. One program that asks another says nothing.
fn is_of_other_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text("sec-fetch-site").map(str::to_ascii_lowercase);
    if site.is_some_and(|site| !["same-origin", "none"].contains(&site.as_str())) {
        return true;
    }
    let Some(origin) = text("origin") else { return false };
    let origin = origin.to_ascii_lowercase();
    let host = text("host").unwrap_or_default().to_ascii_lowercase();
    let named = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    named != Some(host.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_sites_are_told_by_their_browser() {
        let foreign = |lines: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "127.0.0.1:3010".parse().unwrap());
            for (name, value) in lines {
                headers.insert(*name, value.parse().unwrap());
            }
            is_of_other_site(&headers)
        };
        assert!(!foreign(&[]), "a program");
        assert!(!foreign(&[
            ("sec-fetch-site", "same-origin"),
            ("origin", "http://127.0.0.1:3010")
        ]));
        assert!(!foreign(&[("sec-fetch-site", "none")]), "typed by hand");
        assert!(!foreign(&[("origin", "https://127.0.0.1:3010")]), "behind a proxy");
        for site in ["cross-site", "same-site", "CROSS-SITE", "anything"] {
            assert!(foreign(&[("sec-fetch-site", site)]), "{site}");
        }
        for origin in ["http://evil.example", "null", "http://127.0.0.1:3011", "http://127.0.0.1"] {
            assert!(foreign(&[("origin", origin)]), "{origin}");
        }
    }
}
