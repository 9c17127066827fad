//! Rows on their way from collectors to the disk.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use bl_schemas::Table;

use super::Full;

/// From this size on the writer is woken before its time.
const WAKE_BYTES: usize = 4 << 20;

/// Rows of one table that wait.
pub(super) struct Batches {
    pub table: &'static Table,
    pub batches: Vec<RecordBatch>,
}

#[derive(Default)]
struct State {
    tables: BTreeMap<&'static str, Batches>,
    bytes: usize,
    /// Taken by the writer and not yet in a segment.
    in_hand: bool,
    hurry: bool,
    closed: bool,
}

/// The rows that wait, of all tables.
pub(super) struct Pending {
    limit_bytes: usize,
    state: Mutex<State>,
    changed: Condvar,
}

impl Pending {
    pub fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, state: Mutex::default(), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, table: &'static Table, rows: RecordBatch) -> Result<(), Full> {
        let bytes = rows.get_array_memory_size();
        let mut state = self.state();
        if state.closed || state.bytes + bytes > self.limit_bytes {
            return Err(Full);
        }
        state.bytes += bytes;
        let entry = state
            .tables
            .entry(table.name.as_str())
            .or_insert_with(|| Batches { table, batches: Vec::new() });
        entry.batches.push(rows);
        if state.bytes > WAKE_BYTES && !state.hurry {
            state.hurry = true;
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Waits until `deadline` or until there is reason to hurry, then hands out what waits. The flag tells
    /// whether this is the last time.
    pub fn take(&self, deadline: Instant) -> (Vec<Batches>, bool) {
        let mut state = self.state();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.hurry || state.closed {
                break;
            }
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.hurry = false;
        state.in_hand = true;
        (std::mem::take(&mut state.tables).into_values().collect(), state.closed)
    }

    /// The rows handed out are in segments.
    pub fn written(&self, bytes: usize) {
        let mut state = self.state();
        state.bytes = state.bytes.saturating_sub(bytes);
        state.in_hand = false;
        self.changed.notify_all();
    }

    /// Asks the writer to hurry and waits until nothing is on its way, or for `timeout`; tells which.
    pub fn wait_flushed(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.state();
        loop {
            if state.tables.is_empty() && !state.in_hand && state.bytes == 0 {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state.hurry = true;
            self.changed.notify_all();
            state = self
                .changed
                .wait_timeout(state, left.min(Duration::from_millis(20)))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    pub fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }
}
