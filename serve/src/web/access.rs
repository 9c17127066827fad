//! Who may ask: those with the token, and those on this machine where there is none.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, header};

use super::escapes::{decoded, encoded};

/// Shorter tokens are refused.
pub const MIN_TOKEN: usize = 16;

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
    /// Name of the cookie: servers of one host, which share its cookies, each have their own.
    cookie: Arc<str>,
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
            token => Ok(Self {
                token: token.map(Into::into),
                is_loopback,
                cookie: cookie_name(address.port()).into(),
            }),
        }
    }

    /// The same for the port that the system chose.
    pub(super) fn on_port(self, port: u16) -> Self {
        Self { cookie: cookie_name(port).into(), ..self }
    }

    /// Whether there is a token.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether the text is the token.
    pub(super) fn is_token(&self, given: &str) -> bool {
        self.token.as_ref().is_some_and(|token| is_equal(given, token))
    }

    /// The cookie that admits a browser from now on; a link from another site brings it, too.
    pub(super) fn cookie(&self) -> Option<String> {
        let token = encoded(self.token.as_ref()?);
        Some(format!("{}={token}; Path=/; HttpOnly; SameSite=Lax", self.cookie))
    }

    /// Whether a request with these headers presents the token, where there is one.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        if self.token.is_none() {
            return true;
        }
        let bearer = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, given)| given.trim().to_string());
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
        let cookie = cookies
            .flat_map(|line| line.split(';'))
            .find_map(|pair| pair.trim().strip_prefix(&*self.cookie)?.strip_prefix('='))
            .map(decoded);
        [bearer, cookie].into_iter().flatten().any(|given| self.is_token(&given))
    }

    /// Whether the request names this host as a page of another site cannot: a name that a foreign server resolved to
    /// 127.0.0.1 (DNS rebinding) is refused. With a token any name will do.
    pub(super) fn knows_host(&self, headers: &HeaderMap) -> bool {
        if self.token.is_some() || !self.is_loopback {
            return true;
        }
        let Some(host) = headers.get(header::HOST).and_then(|h| h.to_str().ok()) else {
            return true;
        };
        let host = host.to_ascii_lowercase();
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let is_address = name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        name == "localhost" || name.ends_with(".localhost") || is_address
    }
}

/// The name of the cookie of a server at `port`: cookies do not tell ports apart.
fn cookie_name(port: u16) -> String {
    format!("bl_token_{port}")
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

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

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
        assert!(with(header::AUTHORIZATION, "bearer  0123456789abcdef"));
        assert!(with(header::COOKIE, "a=b; bl_token_1=0123456789abcdef"));
        assert!(!with(header::COOKIE, "a=b; bl_token_2=0123456789abcdef"), "of another server");
        assert!(!with(header::AUTHORIZATION, "Bearer 0123456789abcdeg"));
        assert!(!with(header::AUTHORIZATION, "Bearer 0123456789abcdef0"));
        assert!(!with(header::AUTHORIZATION, "Bearer "));
        assert!(!with(header::AUTHORIZATION, "Basic 0123456789abcdef"));
        assert!(!with(header::COOKIE, "bl_token_1="));
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
        assert!(host("LOCALHOST:3010") && host("localhost.") && host("Bl.Localhost"));
        assert!(!host("evil.example:3010") && !host("notlocalhost") && !host("10.0.0.1"));
    }

    #[test]
    fn the_cookie_carries_any_token() {
        let token = "ab+/=; \u{e4}%20\"0123456789";
        let access = Access::new("127.0.0.1:3010".parse().unwrap(), Some(token)).unwrap();
        let cookie = access.cookie().unwrap();
        let (pair, attributes) = cookie.split_once(';').unwrap();
        assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Lax");
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, format!("x=y; {pair}").parse().unwrap());
        assert!(access.admits(&headers), "{cookie}");
    }
}
