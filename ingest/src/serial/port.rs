//! The serial port of one board.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bl_store::clock::monotonic_ns;
use rustix::io::Errno;
use serialport::{ClearBuffer, SerialPort, TTYPort};

use crate::source::Stop;

/// The line's speed means nothing on USB; 115200 is what every client sets.
const BAUD: u32 = 115_200;

/// A line on which nothing comes for that long is quiet.
const QUIET_NS: i64 = 60_000_000;

/// Longest wait for a line to become quiet.
const DRAIN_NS: i64 = 300_000_000;

/// What failed on a port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// There is no such device.
    #[error("{path}: no such device: is the board plugged in?", path = .0.display())]
    Absent(PathBuf),
    /// The user may not open it.
    #[error(
        "{path}: permission denied: add yourself to the group dialout (sudo usermod -aG dialout $USER, then log in \
         again) or install the udev rule deploy/udev/60-benchlab.rules", path = .0.display()
    )]
    Denied(PathBuf),
    /// Another program has it open.
    #[error("{path}: in use by another program: close that first", path = .0.display())]
    Busy(PathBuf),
    /// It was there and is gone.
    #[error("{path}: the board was unplugged", path = .0.display())]
    Gone(PathBuf),
    /// No reply, or too short a one, in time.
    #[error("{path}: {got} of {want} bytes came within {timeout_ms} ms", path = .path.display())]
    Timeout {
        /// Of the port.
        path: PathBuf,
        /// Bytes that came.
        got: usize,
        /// Bytes that should have come.
        want: usize,
        /// The time that they had.
        timeout_ms: u128,
    },
    /// More bytes came than the reply has.
    #[error("{path}: {bytes} bytes came after the reply", path = .path.display())]
    Excess {
        /// Of the port.
        path: PathBuf,
        /// How many.
        bytes: usize,
    },
    /// Something else.
    #[error("{path}: {reason}", path = .path.display())]
    Failed {
        /// Of the port.
        path: PathBuf,
        /// In the words of the system.
        reason: String,
    },
    /// The recording ends.
    #[error("stopping")]
    Stopping,
}

/// Bytes behind a reply that are told apart from it.
const EXCESS_BYTES: usize = 64;

/// When a request went out and when its reply was complete, `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundTrip {
    /// Just before the request's write.
    pub sent_ns: i64,
    /// Just after the read of the reply's first bytes: the board had its readings by then.
    pub first_ns: i64,
    /// Just after the read of the reply's last byte.
    pub received_ns: i64,
    /// Bytes that nobody had asked for and that were thrown away before the request.
    pub stray_bytes: usize,
}

/// An open port, locked against other programs.
#[derive(Debug)]
pub struct Port {
    tty: TTYPort,
    path: PathBuf,
    timeout: Duration,
    /// What a reply is read into.
    bytes: Vec<u8>,
}

impl Port {
    /// Opens and locks the port and puts it into raw mode. cdc_acm raises DTR and RTS by itself, and a PTY has no
    /// modem lines, so they are not touched.
    ///
    /// # Errors
    /// [`PortError`] says which way it cannot be opened.
    pub fn open(path: &Path, timeout: Duration) -> Result<Self, PortError> {
        let tty = serialport::new(path.to_string_lossy(), BAUD)
            .timeout(timeout)
            .open_native()
            .map_err(|e| open_error(path, e))?;
        Ok(Self { tty, path: path.to_owned(), timeout, bytes: Vec::new() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Throws away what comes until the line is quiet: newer firmware greets whoever opens the port, and a late
    /// reply may still be on its way.
    ///
    /// # Errors
    /// When the board is gone, or the recording ends.
    pub fn drain(&mut self, stop: &Stop) -> Result<usize, PortError> {
        let end_ns = monotonic_ns() + DRAIN_NS;
        let mut buffer = [0; 1024];
        let mut thrown = 0;
        while monotonic_ns() < end_ns {
            match self.read(&mut buffer, QUIET_NS, stop)? {
                0 => break,
                count => thrown += count,
            }
        }
        self.clear()?;
        Ok(thrown)
    }

    /// Sends a request in one write and reads the reply into the whole of `reply`.
    ///
    /// # Errors
    /// [`PortError::Timeout`] and [`PortError::Excess`] leave the line out of step: [`drain`](Self::drain) it.
    pub fn exchange(
        &mut self,
        request: &[u8],
        reply: &mut [u8],
        stop: &Stop,
    ) -> Result<RoundTrip, PortError> {
        let stray_bytes = self.pending()?;
        if stray_bytes > 0 {
            self.clear()?;
        }
        let sent_ns = monotonic_ns();
        self.send(request)?;
        let timeout_ns = i64::try_from(self.timeout.as_nanos()).unwrap_or(i64::MAX);
        // Room for what is too much, so that nobody need ask whether there is more.
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.resize(reply.len() + EXCESS_BYTES, 0);
        let mut got = 0;
        let mut first_ns = None;
        while got < reply.len() {
            let left_ns = sent_ns.saturating_add(timeout_ns) - monotonic_ns();
            match self.read(&mut bytes[got..], left_ns, stop)? {
                0 if left_ns <= 0 => {
                    return Err(PortError::Timeout {
                        path: self.path.clone(),
                        got,
                        want: reply.len(),
                        timeout_ms: self.timeout.as_millis(),
                    });
                }
                count => got += count,
            }
            if got > 0 && first_ns.is_none() {
                first_ns = Some(monotonic_ns());
            }
        }
        let received_ns = monotonic_ns();
        let first_ns = first_ns.unwrap_or(received_ns);
        reply.copy_from_slice(&bytes[..reply.len()]);
        self.bytes = bytes;
        match got - reply.len() {
            0 => Ok(RoundTrip { sent_ns, first_ns, received_ns, stray_bytes }),
            bytes => Err(PortError::Excess { path: self.path.clone(), bytes }),
        }
    }

    /// Sends a request in one write: the firmware tests the length of what arrives together.
    ///
    /// # Errors
    /// When the board is gone or takes nothing.
    pub fn send(&mut self, request: &[u8]) -> Result<(), PortError> {
        // Without asking first whether there is room, as `Write` of the port does: a request is a few bytes.
        match rustix::io::write(self.fd(), request) {
            Ok(count) if count == request.len() => Ok(()),
            Ok(count) => Err(self.failed(format!("{count} of {} bytes sent", request.len()))),
            Err(e) => Err(self.io_error(&e.into())),
        }
    }

    /// Reads what comes until the line is quiet, at most `limit` bytes, for replies of unknown size.
    ///
    /// # Errors
    /// When the board is gone, or the recording ends.
    pub fn read_until_quiet(&mut self, limit: usize, stop: &Stop) -> Result<Vec<u8>, PortError> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 1024];
        let mut wait_ns = i64::try_from(self.timeout.as_nanos()).unwrap_or(i64::MAX);
        while bytes.len() < limit {
            match self.read(&mut buffer, wait_ns, stop)? {
                0 => break,
                count => bytes.extend_from_slice(&buffer[..count]),
            }
            wait_ns = QUIET_NS;
        }
        Ok(bytes)
    }

    /// Reads what is there or comes first; 0 when nothing comes in time.
    fn read(&mut self, buffer: &mut [u8], wait_ns: i64, stop: &Stop) -> Result<usize, PortError> {
        let fd = self.fd();
        let readable =
            stop.wait_readable(fd, Some(wait_ns.max(0))).map_err(|e| self.io_error(&e))?;
        if stop.stopping() {
            return Err(PortError::Stopping);
        }
        if !readable {
            return Ok(0);
        }
        match rustix::io::read(fd, buffer) {
            Ok(0) => Err(PortError::Gone(self.path.clone())),
            Ok(count) => Ok(count),
            Err(Errno::INTR | Errno::AGAIN) => Ok(0),
            Err(e) => Err(self.io_error(&e.into())),
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is the port's own and stays open as long as `self` is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.tty.as_raw_fd()) }
    }

    fn pending(&self) -> Result<usize, PortError> {
        let pending = self.tty.bytes_to_read().map_err(|e| self.io_error(&e.into()))?;
        Ok(pending as usize)
    }

    fn clear(&self) -> Result<(), PortError> {
        self.tty.clear(ClearBuffer::Input).map_err(|e| self.io_error(&e.into()))
    }

    fn failed(&self, reason: impl ToString) -> PortError {
        PortError::Failed { path: self.path.clone(), reason: reason.to_string() }
    }

    /// A port whose device has left fails in many words; a node that is no longer there, or hung up, tells.
    fn io_error(&self, error: &std::io::Error) -> PortError {
        let gone = [Errno::IO, Errno::NODEV, Errno::NXIO, Errno::PIPE, Errno::BADF]
            .iter()
            .any(|e| error.raw_os_error() == Some(e.raw_os_error()));
        if gone || error.kind() == std::io::ErrorKind::BrokenPipe || !self.path.exists() {
            PortError::Gone(self.path.clone())
        } else {
            self.failed(error)
        }
    }
}

fn open_error(path: &Path, error: serialport::Error) -> PortError {
    use std::io::ErrorKind as Io;
    let path = path.to_owned();
    match error.kind {
        serialport::ErrorKind::Io(Io::NotFound) => PortError::Absent(path),
        serialport::ErrorKind::Io(Io::PermissionDenied) => PortError::Denied(path),
        serialport::ErrorKind::NoDevice => PortError::Busy(path),
        _ if !path.exists() => PortError::Absent(path),
        _ => PortError::Failed { path, reason: error.description },
    }
}
