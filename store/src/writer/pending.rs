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
    /// Bytes of each table's rows that are not safe on the disk yet: here, with the writer, and in segments until they
    /// are synced.
    held: BTreeMap<&'static str, usize>,
    /// Bytes that came since the writer looked.
    fresh_bytes: usize,
    /// Rows taken from collectors so far,
    taken_rows: u64,
    /// and those of them that are in segments.
    written_rows: u64,
    hurry: bool,
    closed: bool,
}

/// The rows that wait, of all tables.
///
/// Each table has a share of the memory for itself, so that a flood of one keeps no other one out, and `health` least of
/// all; the rest is for whoever comes.
pub(super) struct Pending {
    limit_bytes: usize,
    share_bytes: usize,
    common_bytes: usize,
    state: Mutex<State>,
    changed: Condvar,
}

impl Pending {
    pub fn new(limit_bytes: usize) -> Self {
        let tables = bl_schemas::tables().iter().filter(|t| !t.aligned).count();
        // A quarter of the memory is shared out.
        let share_bytes = limit_bytes / 4 / tables.max(1);
        let common_bytes = limit_bytes - share_bytes * tables;
        let state = Mutex::default();
        Self { limit_bytes, share_bytes, common_bytes, state, changed: Condvar::new() }
    }

    fn has_room(&self, state: &State, table: &str, bytes: usize) -> bool {
        let held = state.held.get(table).copied().unwrap_or(0);
        let beyond = |bytes: usize| bytes.saturating_sub(self.share_bytes);
        let common: usize = state.held.values().map(|b| beyond(*b)).sum();
        held + bytes <= self.share_bytes
            || common - beyond(held) + beyond(held + bytes) <= self.common_bytes
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, table: &'static Table, rows: RecordBatch) -> Result<(), Full> {
        let bytes = rows.get_array_memory_size();
        let mut state = self.state();
        if state.closed || !self.has_room(&state, &table.name, bytes) {
            return Err(Full);
        }
        *state.held.entry(table.name.as_str()).or_default() += bytes;
        state.fresh_bytes += bytes;
        state.taken_rows += rows.num_rows() as u64;
        let entry = state
            .tables
            .entry(table.name.as_str())
            .or_insert_with(|| Batches { table, batches: Vec::new() });
        entry.batches.push(rows);
        if state.fresh_bytes > WAKE_BYTES && !state.hurry {
            state.hurry = true;
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Accounts for rows that the writer adds itself, whatever waits already.
    pub fn own(&self, table: &'static Table, rows: &RecordBatch) {
        let mut state = self.state();
        *state.held.entry(table.name.as_str()).or_default() += rows.get_array_memory_size();
        state.taken_rows += rows.num_rows() as u64;
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
        state.fresh_bytes = 0;
        (std::mem::take(&mut state.tables).into_values().collect(), state.closed)
    }

    /// So many of the rows handed out are in segments.
    pub fn written(&self, rows: u64) {
        self.state().written_rows += rows;
        self.changed.notify_all();
    }

    /// So many of the rows that were in segments wait again.
    pub fn taken_back(&self, rows: u64) {
        let mut state = self.state();
        state.written_rows = state.written_rows.saturating_sub(rows);
    }

    /// Rows of so many bytes of a table are safe on the disk, and not in memory any more.
    pub fn settled(&self, table: &'static str, bytes: usize) {
        if let Some(held) = self.state().held.get_mut(table) {
            *held = held.saturating_sub(bytes);
        }
    }

    /// Whether so many bytes are a large part of what may be in memory.
    pub fn is_much(&self, bytes: usize) -> bool {
        bytes > self.limit_bytes / 4
    }

    /// Asks the writer to hurry and waits until everything taken so far is in segments, or for `timeout`; tells which.
    pub fn wait_flushed(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.state();
        let wanted = state.taken_rows;
        loop {
            if state.written_rows >= wanted {
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
