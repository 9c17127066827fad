//! Who may ask, and the headers that every answer carries.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// Shorter tokens are refused.
pub const MIN_TOKEN: usize = 16;

const COOKIE: &str = "bl_token";

const CONTENT_POLICY: &str = "default-src 'self'; style-src 'self'; img-src 'self' data:; \
     object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Why the server must not listen.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AccessError {
    /// Others could reach it, and nothing keeps them out.
    #[error(
        "listening on {0} lets other machines in, which takes a token: set [web] token_file (or bind to 127.0.0.1)"
    )]
    TokenNeeded(SocketAddr),
    /// The token is too short to keep anybody out.
    #[error(
        "the token has {0} characters: give at least {MIN_TOKEN}, such as `openssl rand -hex 16` makes"
    )]
    TokenShort(usize),
}

/// What a request must present.
#[derive(Clone)]
pub struct Access {
    token: Option<Arc<str>>,
    is_loopback: bool,
}

impl Access {
    /// Access to a server that listens on `address`.
    ///
    /// # Errors
    /// When the address is no loopback address and there is no token, or the token is short.
    pub fn new(address: SocketAddr, token: Option<&str>) -> Result<Self, AccessError> {
        let is_loopback = address.ip().is_loopback();
        match token {
            None if !is_loopback => Err(AccessError::TokenNeeded(address)),
            Some(token) if token.len() < MIN_TOKEN => Err(AccessError::TokenShort(token.len())),
            token => Ok(Self { token: token.map(Into::into), is_loopback }),
        }
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let bearer = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
        let cookie = cookies
            .flat_map(|line| line.split(';'))
            .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='));
        [bearer, cookie].into_iter().flatten().any(|given| is_equal(given, token))
    }

    /// Whether the request names this host as a page of another site cannot: a name that a foreign server resolved to
    /// 127.0.0.1 (DNS rebinding) is refused. With a token any name will do.
    fn knows_host(&self, headers: &HeaderMap) -> bool {
        if self.token.is_some() || !self.is_loopback {
            return true;
        }
        let Some(host) = headers.get(header::HOST).and_then(|h| h.to_str().ok()) else {
            return true;
        };
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let is_address = name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        name == "localhost" || name.ends_with(".localhost") || is_address
    }
}

/// Compares without telling by its time where two texts differ.
fn is_equal(given: &str, token: &str) -> bool {
    let (given, token) = (given.as_bytes(), token.as_bytes());
    let mut difference = given.len() ^ token.len();
    for (at, expected) in token.iter().enumerate() {
        let byte = given.get(at).copied().unwrap_or(0);
        difference |= usize::from(byte ^ expected);
    }
    std::hint::black_box(difference) == 0
}

/// Checks a request, and dresses its answer.
pub(super) async fn guard(State(access): State<Access>, request: Request, next: Next) -> Response {
    let mut response = match check(&access, &request) {
        Some(response) => response,
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The answer to a request that does not get through.
fn check(access: &Access, request: &Request) -> Option<Response> {
    let refuse = |status, detail: &str| Some(Problem::new(status, detail).into_response());
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered");
    }
    if !access.knows_host(request.headers()) {
        return refuse(StatusCode::MISDIRECTED_REQUEST, "ask for localhost, not for another name");
    }
    if let Some(response) = sign_in(access, request) {
        return Some(response);
    }
    if !access.admits(request.headers()) {
        let detail = "a token is needed: open /?token=... once, or send Authorization: Bearer ...";
        return refuse(StatusCode::UNAUTHORIZED, detail);
    }
    None
}

/// `/?token=...` sets a cookie, since a browser's EventSource sends no headers of its own.
fn sign_in(access: &Access, request: &Request) -> Option<Response> {
    let token = access.token.as_ref().filter(|_| request.uri().path() == "/")?;
    let query = request.uri().query()?;
    let given = query.split('&').find_map(|pair| pair.strip_prefix("token="))?;
    if !is_equal(given, token) {
        return None;
    }
    let cookie = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict");
    let headers = [(header::LOCATION, "/".to_string()), (header::SET_COOKIE, cookie)];
    Some((StatusCode::SEE_OTHER, headers).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_addresses_take_a_token() {
        let address: SocketAddr = "0.0.0.0:3010".parse().unwrap();
        assert_eq!(Access::new(address, None).err(), Some(AccessError::TokenNeeded(address)));
        assert_eq!(Access::new(address, Some("short")).err(), Some(AccessError::TokenShort(5)));
        assert!(Access::new("127.0.0.1:3010".parse().unwrap(), None).is_ok());
    }

    #[test]
    fn tokens_come_by_header_or_cookie() {
        let access = Access::new("0.0.0.0:1".parse().unwrap(), Some("0123456789abcdef")).unwrap();
        let with = |name: HeaderName, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            access.admits(&headers)
        };
        assert!(with(header::AUTHORIZATION, "Bearer 0123456789abcdef"));
        assert!(with(header::COOKIE, "a=b; bl_token=0123456789abcdef"));
        assert!(!with(header::AUTHORIZATION, "Bearer 0123456789abcdeg"));
        assert!(!with(header::AUTHORIZATION, "Bearer 0123456789abcdef0"));
        assert!(!with(header::AUTHORIZATION, "Bearer "));
        assert!(!with(header::COOKIE, "bl_token="));
        assert!(!access.admits(&HeaderMap::new()));
    }

    #[test]
    fn names_of_other_sites_are_refused() {
        let access = Access::new("127.0.0.1:1".parse().unwrap(), None).unwrap();
        let host = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, value.parse().unwrap());
            access.knows_host(&headers)
        };
        assert!(host("127.0.0.1:3010") && host("localhost:3010") && host("[::1]:3010"));
        assert!(!host("evil.example:3010") && !host("10.0.0.1"));
    }
}
