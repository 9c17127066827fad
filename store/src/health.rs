//! Rows of table `health`: what was lost, late or broken, and why.

use std::fmt;

use arrow_array::RecordBatch;
use bl_schemas::Table;

use crate::rows::Rows;

/// Why a row of `health` was written. The list is short on purpose, and `docs/health.md` explains each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A source began to deliver.
    Up,
    /// A source failed and will be tried again.
    Down,
    /// A source failed and is not tried again in this recording.
    Ended,
    /// A device that was there is gone.
    Unplugged,
    /// A source hangs in one call: the kernel or a device does not answer.
    Stalled,
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
    /// Rows whose stamps cannot be: before the boot, or in the future.
    BadStamp,
    /// The same sample was delivered again.
    Repeated,
    /// A reading that one device does not support.
    Unsupported,
    /// A reading that cannot be: null in its row, the rest of which is kept.
    OddReading,
    /// A reading met the condition of an alert.
    Alert,
    /// It does not any more.
    AlertCleared,
    /// The kernel or the device refused permission.
    Denied,
    /// A counter went backwards or wrapped in a way that cannot be undone.
    CounterReset,
    /// Somebody set the wall clock; stamps go on as before.
    ClockStep,
    /// The machine slept while it was recorded.
    Suspended,
    /// A session goes on in a new part, with a new anchor.
    Rolled,
    /// The folder of the session before was deleted while it was recorded.
    Deleted,
    /// A process died while it recorded; its segments were sealed afterwards.
    Recovered,
    /// Bytes of a segment that were damaged.
    Damaged,
    /// The disk refused a write or a sync.
    Disk,
    /// Rows that a failed sync may have lost were written again.
    Rewritten,
    /// Readings that a server spoils in a known way were put right.
    Repaired,
    /// Frames of which nobody can tell what became of them.
    Ambiguous,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Up => "up",
            Reason::Down => "down",
            Reason::Ended => "ended",
            Reason::Unplugged => "unplugged",
            Reason::Stalled => "stalled",
            Reason::Late => "late",
            Reason::Timeout => "timeout",
            Reason::Malformed => "malformed",
            Reason::SenderDropped => "sender_dropped",
            Reason::StoreFull => "store_full",
            Reason::BadStamp => "bad_stamp",
            Reason::Repeated => "repeated",
            Reason::Unsupported => "unsupported",
            Reason::OddReading => "odd_reading",
            Reason::Alert => "alert",
            Reason::AlertCleared => "alert_cleared",
            Reason::Denied => "denied",
            Reason::CounterReset => "counter_reset",
            Reason::ClockStep => "clock_step",
            Reason::Suspended => "suspended",
            Reason::Rolled => "rolled",
            Reason::Deleted => "deleted",
            Reason::Recovered => "recovered",
            Reason::Damaged => "damaged",
            Reason::Disk => "disk",
            Reason::Rewritten => "rewritten",
            Reason::Repaired => "repaired",
            Reason::Ambiguous => "ambiguous",
        })
    }
}

/// A row of `health`.
///
/// `ts` is nanoseconds UTC on the session's timeline; `count` is how many samples or events it concerns.
pub fn health_row(
    table: &'static Table,
    ts: i64,
    source: &str,
    reason: Reason,
    count: u64,
    detail: &str,
) -> RecordBatch {
    let mut rows = Rows::new(table);
    let columns = (rows.column("reason"), rows.column("count"), rows.column("detail"));
    rows.begin(ts, source);
    rows.str(columns.0, reason.to_string().as_str());
    rows.i64(columns.1, count as i64);
    rows.str(columns.2, detail);
    rows.finish()
}
