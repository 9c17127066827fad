//! What a source is given to work with.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow_array::RecordBatch;
use bl_schemas::Table;
use bl_store::clock::{Anchor, monotonic_ns};
use bl_store::{Reason, Rows, health_row};

use super::{Sink, Stop};

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
    up: AtomicBool,
    last_ns: AtomicI64,
    /// When the call is due that the source is in; negated once that it stalls is told; 0 between calls.
    call_ns: AtomicI64,
    text: Mutex<(SourceState, String)>,
}

impl SourceStatus {
    /// A source that has done nothing yet.
    pub fn new(name: String) -> Self {
        Self {
            name,
            rows: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            up: AtomicBool::new(false),
            last_ns: AtomicI64::new(0),
            call_ns: AtomicI64::new(0),
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

    /// Notes that the source begins a call that may hang, and when it is due to return (the monotonic time).
    pub(crate) fn call_begins(&self, due_ns: i64) {
        self.call_ns.store(due_ns, Ordering::Relaxed);
    }

    /// Notes that the call has returned.
    pub(crate) fn call_ends(&self) {
        self.call_ns.store(0, Ordering::Relaxed);
    }

    /// Whether the source is in a call that was due before `before_ns`. True once for each call.
    pub(crate) fn stalls_since(&self, before_ns: i64) -> bool {
        let due_ns = self.call_ns.load(Ordering::Relaxed);
        let swap = |told| {
            self.call_ns.compare_exchange(due_ns, told, Ordering::Relaxed, Ordering::Relaxed)
        };
        // It may have ended in between, and the next one begun.
        due_ns > 0 && due_ns < before_ns && swap(-due_ns).is_ok()
    }

    /// State, and a few words on it.
    pub fn state(&self) -> (SourceState, String) {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the state.
    pub fn set_state(&self, state: SourceState, text: impl Into<String>) {
        self.up.store(state == SourceState::Up, Ordering::Relaxed);
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

    /// Does what may hang in the kernel or in a device; a source that does is told by the watchdog if it takes two
    /// seconds longer than `bound`, the time that it may take in good order.
    pub fn watched<T>(&self, bound: Duration, call: impl FnOnce() -> T) -> T {
        self.status.call_begins(monotonic_ns() + bound.as_nanos() as i64);
        let returned = call();
        self.status.call_ends();
        returned
    }

    /// Turns monotonic stamps into `ts`.
    pub fn anchor(&self) -> Anchor {
        self.sink.anchor()
    }

    /// The figures of this source.
    pub fn status(&self) -> &Arc<SourceStatus> {
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
                if !self.status.up.swap(true, Ordering::Relaxed) {
                    self.status.set_state(SourceState::Up, "");
                    self.health(Reason::Up, 1, format!("{} delivers", self.status.name));
                }
            }
            Err(full) => {
                self.status.lost.fetch_add(count, Ordering::Relaxed);
                let detail = format!("table {}: {full}", table.name);
                self.sink.count_loss(&self.status.name, Reason::StoreFull, count, &detail);
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

    /// Tells that the source delivers from now on, and what.
    pub fn up(&self, text: impl Into<String>) {
        let text = text.into();
        self.health(Reason::Up, 1, &text);
        self.status.set_state(SourceState::Up, text);
    }

    /// Notes in `health` that `count` samples or events were lost.
    pub fn lost(&self, reason: Reason, count: u64, detail: impl AsRef<str>) {
        self.status.lost.fetch_add(count, Ordering::Relaxed);
        self.health(reason, count, detail);
    }

    /// Writes a row of `health`, stamped now.
    pub fn health(&self, reason: Reason, count: u64, detail: impl AsRef<str>) {
        let Some(table) = bl_schemas::table("health") else { return };
        let now = self.anchor().now();
        let row = health_row(table, now, &self.status.name, reason, count, detail.as_ref());
        if self.sink.append(table, row).is_err() {
            self.sink.count_loss(&self.status.name, reason, count, detail.as_ref());
        }
    }
}
