//! Messages of a WebSocket.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tungstenite::client::client_with_config;
use tungstenite::handshake::HandshakeError;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message, WebSocket};
use ureq::http::Uri;

use super::link::Link;
use crate::source::{SourceError, Stop};

/// A message that is larger is none of ours.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// An open WebSocket.
#[derive(Debug)]
pub(super) struct Socket {
    socket: WebSocket<Link>,
    address: String,
}

impl Socket {
    /// Opens `path` of the server at `base` (an address that begins with `http://`). `Err` inside is the status of a
    /// server that has no such WebSocket.
    ///
    /// # Errors
    /// When the server cannot be reached, or breaks off.
    pub fn open(
        base: &str,
        path: &str,
        patience: Duration,
        stop: &Stop,
    ) -> Result<Result<Self, u16>, SourceError> {
        let address = format!("{}{path}", base.trim_end_matches('/'));
        let uri: Uri = address
            .parse()
            .map_err(|e| SourceError::Fatal(format!("{address} is no address: {e}")))?;
        let (Some(host), Some("http")) = (uri.host(), uri.scheme_str()) else {
            return Err(SourceError::Fatal(format!("{address} does not begin with http://")));
        };
        let failure = |e: &dyn std::fmt::Display| SourceError::Retry(format!("{address}: {e}"));
        let authority = format!("{host}:{}", uri.port_u16().unwrap_or(80));
        let link = Link::open(&authority, patience, stop).map_err(|e| failure(&e))?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let request = format!("ws{}", address.trim_start_matches("http"));
        match client_with_config(request, link, Some(config)) {
            Ok((socket, _)) => Ok(Ok(Self { socket, address })),
            Err(HandshakeError::Failure(Error::Http(response))) => {
                Ok(Err(response.status().as_u16()))
            }
            Err(HandshakeError::Failure(e)) => Err(failure(&e)),
            Err(HandshakeError::Interrupted(_)) => Err(failure(&"no answer in time")),
        }
    }

    /// The next message of text. `None` when none came for as long as the patience.
    ///
    /// # Errors
    /// When the socket is closed or broken.
    pub fn next(&mut self) -> Result<Option<String>, SourceError> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Ok(Some(text.as_str().to_owned())),
                // A ping is answered by reading on; the rest means nothing to us.
                Ok(_) => {}
                Err(Error::Io(e)) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(e) => return Err(self.broken(&e)),
            }
        }
    }

    /// Sends a message of text.
    ///
    /// # Errors
    /// When the socket is closed or broken.
    pub fn send(&mut self, text: &str) -> Result<(), SourceError> {
        self.socket.send(Message::text(text)).map_err(|e| self.broken(&e))
    }

    /// Tells the server that nobody listens any more.
    ///
    /// # Errors
    /// When it cannot be told, which changes nothing.
    pub fn close(&mut self) -> io::Result<()> {
        match self.socket.close(None).and_then(|()| self.socket.flush()) {
            Err(Error::Io(e)) => Err(e),
            _ => Ok(()),
        }
    }

    fn broken(&self, error: &Error) -> SourceError {
        SourceError::Retry(format!("{}: {error}", self.address))
    }
}
