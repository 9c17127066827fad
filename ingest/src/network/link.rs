//! A TCP connection whose waits are bounded and end when the recording stops.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::source::Stop;

/// How long looking up a name and connecting may take each, and a write: less than a recording waits for its
/// sources to end.
pub(super) const CONNECT: Duration = Duration::from_millis(900);

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    stop: Stop,
    /// How long a read waits.
    patience: Duration,
}

impl Link {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// When there is no such name, or nobody answers in time.
    pub fn open(authority: &str, patience: Duration, stop: &Stop) -> io::Result<Self> {
        Self::connect(&resolve(authority)?, patience, stop)
    }

    /// Connects to the first of the addresses that answers.
    ///
    /// # Errors
    /// What the last of them said.
    pub fn connect(addresses: &[SocketAddr], patience: Duration, stop: &Stop) -> io::Result<Self> {
        let mut failure = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match TcpStream::connect_timeout(address, CONNECT / addresses.len() as u32) {
                Ok(stream) => {
                    stream.set_write_timeout(Some(CONNECT))?;
                    stream.set_nodelay(true)?;
                    return Ok(Self { stream, stop: stop.clone(), patience });
                }
                Err(e) => failure = e,
            }
        }
        Err(failure)
    }

    /// Reads what is there, waiting at most `patience` for it; 0 at the end.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] when nothing came (it can be read on after that), what the system says, and an error when stopping.
    pub fn read_within(&mut self, patience: Duration, buffer: &mut [u8]) -> io::Result<usize> {
        let timeout_ns = i64::try_from(patience.as_nanos()).unwrap_or(i64::MAX);
        if self.stop.wait_readable(self.stream.as_fd(), Some(timeout_ns))? {
            return self.stream.read(buffer);
        }
        if self.stop.stopping() {
            return Err(io::Error::other("the recording stops"));
        }
        Err(io::Error::new(ErrorKind::WouldBlock, format!("nothing came for {patience:?}")))
    }

    /// Whether the other side has neither closed nor sent anything.
    pub fn is_quiet(&self) -> bool {
        let peek = |stream: &TcpStream| {
            stream.set_nonblocking(true)?;
            let got = stream.peek(&mut [0]);
            stream.set_nonblocking(false)?;
            got
        };
        peek(&self.stream).is_err_and(|e| e.kind() == ErrorKind::WouldBlock)
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_within(self.patience, buffer)
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Looks a name up, on a thread of its own, because the system's resolver cannot be interrupted.
fn resolve(authority: &str) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = authority.parse() {
        return Ok(vec![address]);
    }
    let (sender, receiver) = crossbeam_channel::bounded(1);
    let name = authority.to_owned();
    std::thread::Builder::new().name("bl-resolve".into()).spawn(move || {
        // Nobody waits any more when this fails.
        let _ = sender.send(name.to_socket_addrs().map(Iterator::collect));
    })?;
    receiver.recv_timeout(CONNECT).unwrap_or_else(|_| {
        Err(io::Error::new(ErrorKind::TimedOut, format!("{authority} cannot be looked up in time")))
    })
}
