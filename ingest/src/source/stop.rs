//! One signal to stop, for every thread of a recording.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// Tells threads to stop, and wakes those that wait, be it for a time or for a descriptor.
#[derive(Debug, Clone)]
pub struct Stop(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stopping: AtomicBool,
    event: OwnedFd,
}

impl Stop {
    /// Not stopping yet.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new() -> std::io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(Inner { stopping: AtomicBool::new(false), event })))
    }

    /// From now on everything stops.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::SeqCst);
        // The counter cannot overflow by a handful of ones, and a full one is readable all the same.
        let _ = rustix::io::write(&self.0.event, &1u64.to_ne_bytes());
    }

    /// Whether to stop.
    pub fn stopping(&self) -> bool {
        self.0.stopping.load(Ordering::SeqCst)
    }

    /// Waits until `fd` is readable. Returns false on a time-out (`timeout_ns`, none if `None`) and when
    /// stopping.
    ///
    /// # Errors
    /// What poll(2) says, but for interruptions, after which it returns false.
    pub fn wait_readable(
        &self,
        fd: BorrowedFd<'_>,
        timeout_ns: Option<i64>,
    ) -> std::io::Result<bool> {
        let mut fds = [
            PollFd::from_borrowed_fd(fd, PollFlags::IN),
            PollFd::new(&self.0.event, PollFlags::IN),
        ];
        let timeout = timeout_ns.map(timespec);
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => Ok(!self.stopping() && !fds[0].revents().is_empty()),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// Sleeps for that long; returns whether to go on, false when stopping.
    pub fn sleep_ns(&self, ns: i64) -> bool {
        let mut fds = [PollFd::new(&self.0.event, PollFlags::IN)];
        if ns > 0 && !self.stopping() {
            // A failing poll only makes the sleep shorter.
            let _ = poll(&mut fds, Some(&timespec(ns)));
        }
        !self.stopping()
    }
}

impl AsFd for Stop {
    /// Readable once stopping.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }
}

fn timespec(ns: i64) -> Timespec {
    let ns = ns.max(0);
    Timespec { tv_sec: ns / 1_000_000_000, tv_nsec: ns % 1_000_000_000 }
}
