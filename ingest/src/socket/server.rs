//! The socket's side of the protocol: one thread over all connections.

use std::path::Path;
use std::time::Duration;

use bl_store::clock::monotonic_ns;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::batches::Batches;
use super::connection::{Connection, Progress};
use super::listener::{BindError, Listener};
use super::{MAX_LINE_BYTES, SOURCE};
use crate::source::{Context, Reason, Source, SourceError, SourceState};

/// How much is read at once. The kernel holds no more than the sender's buffer (`net.core.wmem_default`, 208 KiB).
const READ_BYTES: usize = 256 * 1024;

/// Rows that are worth handing over.
const BATCH_ROWS: usize = 8192;

/// How long a row may wait to be handed over. Quiet senders are read on the same ticks, so that there is one wake-up
/// for all.
const TICK_NS: i64 = 50_000_000;

/// Pause after the process had no descriptor left for another connection.
const ACCEPT_PAUSE_NS: i64 = 1_000_000_000;

/// How long what senders have written is still read when the recording stops.
const DRAIN_NS: i64 = 200_000_000;

/// Takes stage events and marks from any number of programs (see `docs/events.md`), into the tables `pipeline`
/// and `marks`.
///
/// What a sender's numbers (`seq`) say is missing, and lines that make no sense, are rows in `health`, at most
/// one a second of each kind, sender and pipeline.
#[derive(Debug)]
pub struct EventsSocket {
    listener: Listener,
}

impl EventsSocket {
    /// Makes the socket (mode 0660) and its folder. From now on programs can connect; what they write is read
    /// once the source runs.
    ///
    /// # Errors
    /// When another process listens there, and for what the system refuses.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        Ok(Self { listener: Listener::bind(path)? })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.listener.path()
    }
}

impl Source for EventsSocket {
    fn name(&self) -> String {
        SOURCE.into()
    }

    fn run(&mut self, context: &Context) -> Result<(), SourceError> {
        let mut server = Server {
            listener: &self.listener,
            context,
            connections: Vec::new(),
            accepted: 0,
            batches: Batches::new(context.anchor())?,
            buffer: vec![0; MAX_LINE_BYTES + READ_BYTES],
            flush_at_ns: None,
            accept_again_at_ns: None,
        };
        server.show();
        while !context.stopping() {
            server.turn()?;
        }
        server.drain();
        Ok(())
    }
}

/// The next instant at which rows are handed over.
pub(super) fn next_tick_ns(now_ns: i64) -> i64 {
    (now_ns / TICK_NS + 1) * TICK_NS
}

struct Server<'a> {
    listener: &'a Listener,
    context: &'a Context,
    connections: Vec<Connection>,
    accepted: u64,
    batches: Batches,
    buffer: Vec<u8>,
    flush_at_ns: Option<i64>,
    accept_again_at_ns: Option<i64>,
}

impl Server<'_> {
    /// Waits for something to do and does it.
    fn turn(&mut self) -> Result<(), SourceError> {
        // What falls due during the wait is done in the next turn, after what can be read by then.
        let now_ns = monotonic_ns();
        let (listener_ready, ready) = self.wait(now_ns).map_err(|e| {
            SourceError::Retry(format!("{}: cannot poll: {e}", self.listener.path().display()))
        })?;
        self.context.watched(Duration::ZERO, || self.work(listener_ready, ready, now_ns));
        Ok(())
    }

    /// Does what a wait has brought. Nothing here waits; that the watchdog looks on would show a slip.
    fn work(&mut self, listener_ready: bool, ready: Vec<usize>, now_ns: i64) {
        let closed: Vec<usize> =
            ready.into_iter().filter(|at| self.read(*at) == Progress::Closed).collect();
        // From the back, so that one that goes moves none that has still to go.
        for at in closed.into_iter().rev() {
            let mut connection = self.connections.remove(at);
            connection.leave(&mut self.batches);
            connection.report(self.context);
            self.show();
        }
        if listener_ready {
            self.accept();
        }
        self.keep_dates(now_ns);
    }

    /// Whether the listener is readable, and which connections are.
    fn wait(&self, now_ns: i64) -> Result<(bool, Vec<usize>), Errno> {
        let mut fds = Vec::with_capacity(self.connections.len() + 2);
        fds.push(PollFd::new(self.context.stop(), PollFlags::IN));
        let listening = match self.accept_again_at_ns {
            None => PollFlags::IN,
            Some(_) => PollFlags::empty(),
        };
        fds.push(PollFd::new(self.listener.fd(), listening));
        fds.extend(self.connections.iter().map(|c| match c.rest_until_ns() {
            Some(until) if until > now_ns => PollFd::new(c.fd(), PollFlags::empty()),
            _ => PollFd::new(c.fd(), PollFlags::IN),
        }));
        let timeout = self.next_date_ns(now_ns).map(|at| {
            let ns = (at - now_ns).max(0);
            Timespec { tv_sec: ns / 1_000_000_000, tv_nsec: ns % 1_000_000_000 }
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok((false, Vec::new())),
            Err(e) => return Err(e),
        }
        let is_ready = |fd: &PollFd| !fd.revents().is_empty();
        let ready = (0..self.connections.len()).filter(|at| is_ready(&fds[at + 2])).collect();
        Ok((is_ready(&fds[1]), ready))
    }

    /// When something is due, if anything is.
    fn next_date_ns(&self, now_ns: i64) -> Option<i64> {
        let reports = self.connections.iter().filter_map(Connection::report_at_ns);
        let rests = self.connections.iter().filter_map(Connection::rest_until_ns);
        let rests = rests.filter(|until| *until > now_ns);
        reports.chain(rests).chain(self.flush_at_ns).chain(self.accept_again_at_ns).min()
    }

    fn keep_dates(&mut self, now_ns: i64) {
        let due = |at: Option<i64>| at.is_some_and(|at| at <= now_ns);
        if due(self.flush_at_ns) {
            self.flush();
            // Whoever rests is read on the next tick, and his rows need not wait for the one after it.
            let rests = self.connections.iter().filter_map(Connection::rest_until_ns);
            self.flush_at_ns = rests.filter(|until| *until > now_ns).min();
        }
        if due(self.accept_again_at_ns) {
            self.accept_again_at_ns = None;
        }
        for connection in &mut self.connections {
            if due(connection.report_at_ns()) {
                connection.report(self.context);
            }
        }
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok(Some(fd)) => {
                    self.accepted += 1;
                    self.connections.push(Connection::new(fd, self.accepted));
                }
                Ok(None) => break self.show(),
                Err(e) => {
                    let detail = format!("cannot accept another sender, trying again: {e}");
                    self.context.health(Reason::Denied, 1, detail);
                    self.accept_again_at_ns = Some(monotonic_ns() + ACCEPT_PAUSE_NS);
                    break;
                }
            }
        }
    }

    /// Reads once from the connection at that place.
    fn read(&mut self, at: usize) -> Progress {
        let progress = self.connections[at].read(&mut self.buffer, &mut self.batches);
        if self.batches.len() >= BATCH_ROWS {
            self.flush();
        } else if self.batches.len() > 0 {
            self.flush_at_ns.get_or_insert_with(|| next_tick_ns(monotonic_ns()));
        }
        progress
    }

    fn flush(&mut self) {
        self.flush_at_ns = None;
        self.batches.flush(self.context);
    }

    /// Reads what has been written before the stop, for a while.
    fn drain(&mut self) {
        self.accept();
        let until_ns = monotonic_ns() + DRAIN_NS;
        for at in 0..self.connections.len() {
            while self.read(at) == Progress::Read && monotonic_ns() < until_ns {}
        }
        for connection in &mut self.connections {
            connection.report(self.context);
        }
        self.flush();
    }

    fn show(&self) {
        let text = match self.connections.len() {
            1 => format!("1 sender on {}", self.listener.path().display()),
            n => format!("{n} senders on {}", self.listener.path().display()),
        };
        self.context.status().set_state(SourceState::Up, text);
    }
}
