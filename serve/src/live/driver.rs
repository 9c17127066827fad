//! The thread that follows the store.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bl_query::latency::LatencyError;
use bl_store::give_back_memory;

use super::aligner::StagePair;
use super::catalog::Entry;
use super::kept::KEPT_NS;
use super::now::{Now, clock_of};
use super::shared::Shared;
use super::tail::{NewRows, Tail};
use super::window::Window;

/// The store is looked at this often.
const POLL: Duration = Duration::from_millis(100);

/// Looks between two times that memory is given back: a minute.
const TIDY_POLLS: u64 = 600;

/// What the thread has besides.
pub(super) struct Driver {
    shared: Arc<Shared>,
    tail: Tail,
    polls: u64,
    last_bytes: (Instant, u64),
}

impl Driver {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, tail: Tail::default(), polls: 0, last_bytes: (Instant::now(), 0) }
    }

    /// Looks at the store until it is told to stop.
    pub fn run(mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let next = Instant::now() + POLL;
            self.poll();
            // Unparked at the end; woken early otherwise, it only looks early.
            std::thread::park_timeout(next.saturating_duration_since(Instant::now()));
        }
    }

    /// One look at the store.
    pub fn poll(&mut self) {
        let shared = Arc::clone(&self.shared);
        let is_second = self.polls.is_multiple_of(10);
        if is_second {
            self.look_for_sessions();
        }
        if self.polls % TIDY_POLLS == 1 {
            // The look before may have read a quarter of an hour, and a page may have opened a long session.
            give_back_memory();
        }
        // Files are read before the lock is taken: nobody waits for the disk.
        let (rows, error) = self.tail.read();
        let mut now = shared.now();
        now.store.open_bytes = self.tail.open_bytes();
        let at = now.time_ns();
        let with_channels = self.polls.is_multiple_of(5);
        let mut error = error;
        if let Some(window) = &mut now.window {
            error = push(window, &rows, at).or(error);
            let drafts = window.news(at, with_channels);
            if is_second {
                window.trim(at);
            }
            shared.send(&mut now, drafts);
        }
        if error.is_some() {
            now.store.error = error;
        }
        if is_second {
            self.note_bytes(&mut now);
            let status = shared.status(&now).to_string();
            shared.send(&mut now, [("status", None, status)]);
        }
        self.polls += 1;
    }

    fn note_bytes(&mut self, now: &mut Now) {
        let (at, before) =
            std::mem::replace(&mut self.last_bytes, (Instant::now(), now.store.open_bytes));
        // A seal makes them fewer: then the rate of before holds.
        if let Some(grown) = now.store.open_bytes.checked_sub(before) {
            now.store.bytes_per_s = grown as f64 / at.elapsed().as_secs_f64().max(0.001);
        }
        if self.polls.is_multiple_of(50)
            && let Some(window) = &mut now.window
        {
            window.bytes = window.entry.bytes();
        }
    }

    /// Notices sessions that begin, change and end.
    fn look_for_sessions(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut now = shared.now();
        now.store.error = now.catalog.refresh().err().map(|e| e.to_string());
        now.store.sessions = now.catalog.len();
        let live = now.catalog.live().cloned();
        let shown = now.window.as_ref().map(|w| w.entry.session.id().clone());
        match live {
            Some(entry) if shown.as_ref() != Some(entry.session.id()) => {
                let pairs = now.catalog.pairs_for(&entry.session);
                drop(now);
                self.begin(entry, &pairs);
            }
            _ => self.go_on(&mut now),
        }
    }

    fn begin(&mut self, entry: Entry, pairs: &[StagePair]) {
        let shared = Arc::clone(&self.shared);
        let options = &shared.options;
        let (at, started_ns) = (clock_of(&entry), entry.session.manifest().started_ns);
        self.tail = Tail::new(&entry, (at - KEPT_NS).max(started_ns - KEPT_NS));
        let (rows, mut error) = self.tail.read();
        let first_board = match first_board(&entry, at) {
            Ok(board) => board,
            Err(e) => {
                error = Some(e.to_string());
                None
            }
        };
        let steps = options.steps.clone();
        let made = Window::new(entry, first_board, pairs, options.window_ns, steps);
        let window = made.map(|mut window| {
            error = push(&mut window, &rows, at).or(error.take());
            window.settle(at);
            window
        });
        let mut now = shared.now();
        now.log.cut();
        let session = match window {
            Ok(window) => {
                let session = window.session_json(at).to_string();
                now.window = Some(window);
                session
            }
            Err(e) => {
                self.tail = Tail::default();
                error = Some(e.to_string());
                "null".into()
            }
        };
        if error.is_some() {
            now.store.error = error;
        }
        let reset = ("reset", None, "{}".to_string());
        shared.send(&mut now, [reset, ("session", None, session)]);
    }

    /// The shown session goes on, has ended, or is long over.
    fn go_on(&mut self, now: &mut Now) {
        let at = now.time_ns();
        let Some(window) = &mut now.window else { return };
        let id = window.entry.session.id().as_str().to_string();
        let Some(entry) = now.catalog.get(&id).cloned() else {
            // Deleted.
            return self.forget(now);
        };
        let had_ended = !window.entry.is_live;
        let changed = entry.is_live != window.entry.is_live
            || entry.session.manifest() != window.entry.session.manifest();
        window.entry = entry;
        if had_ended && at - window.ended_ns() > KEPT_NS {
            return self.forget(now);
        }
        if changed {
            self.tail.look_again();
            let session = window.session_json(at).to_string();
            self.shared.send(now, [("session", None, session)]);
        }
    }

    fn forget(&mut self, now: &mut Now) {
        now.window = None;
        self.tail = Tail::default();
        self.shared.send(now, [("session", None, "null".to_string())]);
    }
}

/// The board with the first sample, where that lies before what is read of the session and there is a choice.
fn first_board(entry: &Entry, at_ns: i64) -> Result<Option<String>, LatencyError> {
    let started_ns = entry.session.manifest().started_ns;
    let is_read_whole = at_ns.saturating_sub(started_ns) < KEPT_NS;
    if is_read_whole || entry.devices().len() < 2 {
        return Ok(None);
    }
    bl_query::latency::first_device(&entry.session)
}

/// Hands rows to the window. Returns what went wrong.
fn push(window: &mut Window, rows: &[NewRows], at_ns: i64) -> Option<String> {
    let mut error = None;
    for (table, batch) in rows {
        if let Err(e) = window.push(table, batch, at_ns) {
            error = Some(e.to_string());
        }
    }
    error
}
