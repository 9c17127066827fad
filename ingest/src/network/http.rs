//! Requests by HTTP.

use std::io::{self, BufReader, ErrorKind};
use std::time::Duration;

use bl_store::clock::monotonic_ns;
use serde_json::Value;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Agent, BodyReader, Error};

use super::lines::Lines;
use super::link::{CONNECT, Link};
use crate::source::{SourceError, Stop};

/// A document that is larger is none of ours.
const MAX_BODY_BYTES: u64 = 1 << 20;

/// Talks to one server.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    base: String,
    bearer: Option<String>,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    /// The document; null where the body is empty or no JSON.
    pub body: Value,
    /// `CLOCK_MONOTONIC` before the request and after the last byte.
    pub sent_ns: i64,
    pub received_ns: i64,
}

impl Client {
    /// Of the server at `base`, such as `http://localhost:8080`; `patience` is how long it may be silent.
    pub fn new(base: &str, bearer: Option<String>, patience: Duration, stop: &Stop) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_resolve(Some(CONNECT))
            .user_agent(concat!("bl/", env!("CARGO_PKG_VERSION")))
            .build();
        let connector = Links { stop: stop.clone(), patience };
        let agent = Agent::with_parts(config, connector, DefaultResolver::default());
        Self { agent, base: base.trim_end_matches('/').to_owned(), bearer }
    }

    /// Asks for a document.
    ///
    /// # Errors
    /// When the server cannot be reached or breaks off.
    pub fn get(&self, path: &str) -> Result<Answer, SourceError> {
        let sent_ns = monotonic_ns();
        let mut response = self.call(path)?;
        let body = response.body_mut().with_config().limit(MAX_BODY_BYTES).read_to_vec();
        let received_ns = monotonic_ns();
        let body = body.map_err(|e| self.failure(path, &e))?;
        let status = response.status().as_u16();
        Ok(Answer {
            status,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
            sent_ns,
            received_ns,
        })
    }

    /// Asks for lines without end. An answer other than 200 is `Err`.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub fn lines(
        &self,
        path: &str,
    ) -> Result<Result<Lines<BufReader<BodyReader<'static>>>, Answer>, SourceError> {
        let sent_ns = monotonic_ns();
        let mut response = self.call(path)?;
        let status = response.status().as_u16();
        if status == 200 {
            return Ok(Ok(Lines::new(BufReader::new(response.into_body().into_reader()))));
        }
        let body = response.body_mut().with_config().limit(MAX_BODY_BYTES).read_to_vec();
        let body = body.map_err(|e| self.failure(path, &e))?;
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Ok(Err(Answer { status, body, sent_ns, received_ns: monotonic_ns() }))
    }

    /// Where it is.
    pub fn base(&self) -> &str {
        &self.base
    }

    fn call(&self, path: &str) -> Result<ureq::http::Response<ureq::Body>, SourceError> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(key) = &self.bearer {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        request.call().map_err(|e| self.failure(path, &e))
    }

    fn failure(&self, path: &str, error: &Error) -> SourceError {
        SourceError::Retry(format!("{}{path}: {error}", self.base))
    }
}

impl Answer {
    /// What the server says went wrong: `error` or `detail` or `title` of its document, and the status.
    pub fn complaint(&self) -> String {
        let said =
            ["error", "detail", "title", "message"].iter().find_map(|key| self.body[key].as_str());
        match said {
            Some(said) => {
                format!("{} ({})", said.chars().take(200).collect::<String>(), self.status)
            }
            None => format!("status {}", self.status),
        }
    }
}

/// Makes the connections that [`Agent`] asks for.
#[derive(Debug)]
struct Links {
    stop: Stop,
    patience: Duration,
}

impl Connector for Links {
    type Out = HttpLink;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<HttpLink>, Error> {
        if details.needs_tls() {
            let why = "https is not supported: put an address that begins with http://";
            return Err(io::Error::new(ErrorKind::Unsupported, why).into());
        }
        let addresses: Vec<_> = details.addrs.iter().copied().collect();
        let link = Link::connect(&addresses, self.patience, &self.stop)?;
        Ok(Some(HttpLink {
            link,
            patience: self.patience,
            buffers: LazyBuffers::new(16 << 10, 16 << 10),
        }))
    }
}

#[derive(Debug)]
struct HttpLink {
    link: Link,
    patience: Duration,
    buffers: LazyBuffers,
}

impl Transport for HttpLink {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        io::Write::write_all(&mut self.link, &self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let patience = timeout.not_zero().map_or(self.patience, |left| self.patience.min(*left));
        let amount = self.link.read_within(patience, self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.link.is_quiet()
    }
}
