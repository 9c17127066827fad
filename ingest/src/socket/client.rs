//! The senders' side of the protocol.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bl_store::clock::monotonic_ns;
use serde_json::{Map, Value, json};

use super::MarkKind;

/// How long a sender waits for a recording that reads nothing.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why something could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nobody listens.
    #[error("{}: no recording listens on this socket ({error}); start 'bl ingest' or name its socket", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The other side has gone, or reads nothing.
    #[error("{}: the recording does not take what is sent: {error}", path.display())]
    Write {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

/// A connection to a recording's socket.
#[derive(Debug)]
pub struct EventsClient {
    path: PathBuf,
    stream: UnixStream,
}

impl EventsClient {
    /// Connects to the socket.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(path: &Path) -> Result<Self, SendError> {
        let connect = || {
            let stream = UnixStream::connect(path)?;
            stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
            Ok(stream)
        };
        let stream =
            connect().map_err(|error| SendError::Connect { path: path.to_path_buf(), error })?;
        Ok(Self { path: path.to_path_buf(), stream })
    }

    /// Says who sends and whether it simulates; the first line.
    ///
    /// # Errors
    /// As [`write_lines`](Self::write_lines).
    pub fn hello(&mut self, name: &str, simulated: bool) -> Result<(), SendError> {
        self.write_lines(&format!("{}\n", json!({"hello": name, "simulated": simulated})))
    }

    /// Sends whole lines, each with its newline.
    ///
    /// # Errors
    /// When the recording has gone or reads nothing for two seconds.
    pub fn write_lines(&mut self, lines: &str) -> Result<(), SendError> {
        self.stream
            .write_all(lines.as_bytes())
            .map_err(|error| SendError::Write { path: self.path.clone(), error })
    }
}

/// Sends one mark, stamped now, to the recording that listens on `socket`. `attrs` may be empty.
///
/// # Errors
/// When nobody listens there or it does not read.
pub fn send_mark(
    socket: &Path,
    name: &str,
    kind: MarkKind,
    attrs: &Map<String, Value>,
) -> Result<(), SendError> {
    let mut line = json!({"mark": name, "kind": kind.as_str(), "ts_ns": monotonic_ns()});
    if !attrs.is_empty() {
        line["attrs"] = Value::Object(attrs.clone());
    }
    EventsClient::connect(socket)?.write_lines(&format!("{line}\n"))
}
