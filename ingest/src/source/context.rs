//! What a source is given to work with.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use bl_schemas::Table;
use bl_store::Rows;
use bl_store::clock::{Anchor, monotonic_ns};

use super::{Sink, Stop};

/// Why a row of `health` was written. The list is short on purpose, and `docs/health.md` explains each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A source began to deliver.
    Up,
    /// A source failed and will be tried again.
    Down,
    /// A device that was there is gone.
    Unplugged,
    /// A deadline was missed: samples that were not taken.
    Late,
    /// A request got no reply in time.
    Timeout,
    /// A reply or a line made no sense and was not recorded.
    Malformed,
    /// The sender itself counted events that it could not send.
    SenderDropped,
    /// Rows that the store could not take.
    StoreFull,
    /// The same sample was delivered again.
    Repeated,
    /// A reading that one device does not support.
    Unsupported,
    /// The kernel or the device refused permission.
    Denied,
    /// A counter went backwards or wrapped in a way that cannot be undone.
    CounterReset,
    /// A process died while it recorded; its segments were sealed afterwards.
    Recovered,
    /// Bytes of a segment that were damaged.
    Damaged,
    /// The disk refused a write or a sync.
    Disk,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Up => "up",
            Reason::Down => "down",
            Reason::Unplugged => "unplugged",
            Reason::Late => "late",
            Reason::Timeout => "timeout",
            Reason::Malformed => "malformed",
            Reason::SenderDropped => "sender_dropped",
            Reason::StoreFull => "store_full",
            Reason::Repeated => "repeated",
            Reason::Unsupported => "unsupported",
            Reason::Denied => "denied",
            Reason::CounterReset => "counter_reset",
            Reason::Recovered => "recovered",
            Reason::Damaged => "damaged",
            Reason::Disk => "disk",
        })
    }
}

/// How a source is doing, as the status line and the summary show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceState {
    /// Not delivering yet.
    Starting,
    /// Delivering.
    Up,
    /// Waiting to be tried again.
    Waiting,
    /// Ended for good.
    Ended,
}

/// The figures of one source, shared with whoever shows them.
#[derive(Debug)]
pub struct SourceStatus {
    /// Name of the source.
    pub name: String,
    rows: AtomicU64,
    lost: AtomicU64,
    last_ns: AtomicI64,
    text: Mutex<(SourceState, String)>,
}

impl SourceStatus {
    /// A source that has done nothing yet.
    pub fn new(name: String) -> Self {
        Self {
            name,
            rows: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            last_ns: AtomicI64::new(0),
            text: Mutex::new((SourceState::Starting, String::new())),
        }
    }

    /// Rows handed to the store.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Samples or events known to be lost.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Monotonic time of the last rows, 0 before the first.
    pub fn last_ns(&self) -> i64 {
        self.last_ns.load(Ordering::Relaxed)
    }

    /// State, and a few words on it.
    pub fn state(&self) -> (SourceState, String) {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the state.
    pub fn set_state(&self, state: SourceState, text: impl Into<String>) {
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = (state, text.into());
    }
}

/// What a source is given to work with: where rows go, the clock, the signal to stop.
#[derive(Clone)]
pub struct Context {
    sink: Arc<dyn Sink>,
    stop: Stop,
    status: Arc<SourceStatus>,
    devices: Arc<Mutex<Vec<serde_json::Value>>>,
}

impl Context {
    /// A context for one source.
    pub fn new(sink: Arc<dyn Sink>, stop: Stop, status: Arc<SourceStatus>) -> Self {
        Self { sink, stop, status, devices: Arc::default() }
    }

    /// The same context, with a list of devices that it shares with the other sources.
    pub fn with_devices(mut self, devices: Arc<Mutex<Vec<serde_json::Value>>>) -> Self {
        self.devices = devices;
        self
    }

    /// Whether to stop.
    pub fn stopping(&self) -> bool {
        self.stop.stopping()
    }

    /// The signal to stop.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Turns monotonic stamps into `ts`.
    pub fn anchor(&self) -> Anchor {
        self.sink.anchor()
    }

    /// The figures of this source.
    pub fn status(&self) -> &SourceStatus {
        &self.status
    }

    /// Notes a device that was found, by its `id`, for `session.json`; one that is known is replaced.
    pub fn device(&self, device: serde_json::Value) {
        let mut devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        match devices.iter_mut().find(|d| d["id"] == device["id"]) {
            Some(known) => *known = device,
            None => devices.push(device),
        }
    }

    /// Hands rows to the store; what it cannot take is counted in `health`. Empty batches are nothing.
    pub fn append(&self, table: &'static Table, rows: RecordBatch) {
        let count = rows.num_rows() as u64;
        if count == 0 {
            return;
        }
        match self.sink.append(table, rows) {
            Ok(()) => {
                self.status.rows.fetch_add(count, Ordering::Relaxed);
                self.status.last_ns.store(monotonic_ns(), Ordering::Relaxed);
            }
            Err(full) => {
                self.lost(Reason::StoreFull, count, format!("table {}: {full}", table.name))
            }
        }
    }

    /// Hands over the rows built so far.
    pub fn flush(&self, rows: &mut Rows) {
        if !rows.is_empty() {
            let batch = rows.finish();
            self.append(rows.table(), batch);
        }
    }

    /// Notes in `health` that `count` samples or events were lost.
    pub fn lost(&self, reason: Reason, count: u64, detail: impl AsRef<str>) {
        self.status.lost.fetch_add(count, Ordering::Relaxed);
        self.health(reason, count, detail);
    }

    /// Writes a row of `health`, stamped now.
    pub fn health(&self, reason: Reason, count: u64, detail: impl AsRef<str>) {
        let Some(table) = bl_schemas::table("health") else { return };
        let mut rows = Rows::new(table);
        let (r, c, d) = (rows.column("reason"), rows.column("count"), rows.column("detail"));
        rows.begin(self.anchor().now(), &self.status.name);
        rows.str(r, reason.to_string().as_str());
        rows.i64(c, count as i64);
        rows.str(d, detail.as_ref());
        if self.sink.append(table, rows.finish()).is_err() {
            // The store is full: the loss stays visible in the status line and in the summary.
            self.status.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}
