//! What a collector is, and what it is given.

mod context;
mod faults;
#[cfg(test)]
pub(crate) mod kept;
mod sampling;
mod stop;
mod ticker;

use std::time::Duration;

use arrow_array::RecordBatch;
use bl_schemas::Table;
use bl_store::SessionWriter;
use bl_store::clock::Anchor;

pub use bl_store::{Full, Reason};
pub use context::{Context, SourceState, SourceStatus};
pub use faults::Faults;
pub(crate) use sampling::rows_of;
pub use sampling::{Tick, sample_at};
pub use stop::Stop;
pub use ticker::Ticker;

/// How often hardware that was not there is looked for.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Something that produces rows, on a thread of its own.
///
/// The supervisor calls [`run`](Source::run) and, when it returns [`SourceError::Retry`] or [`SourceError::Denied`] or
/// panics, calls it again after a back-off, without end: one source that fails never stops another.
pub trait Source: Send {
    /// What its rows carry in `source`, such as `benchlab.usb` or `host.cpu`; simulated ones begin with `sim.`.
    fn name(&self) -> String;

    /// Collects until [`Context::stopping`], or until there is nothing more to do.
    ///
    /// # Errors
    /// [`SourceError`] says whether trying again makes sense.
    fn run(&mut self, context: &Context) -> Result<(), SourceError>;

    /// First and longest wait before [`run`](Source::run) is called again after an error.
    fn back_off(&self) -> (Duration, Duration) {
        (Duration::from_millis(500), Duration::from_secs(10))
    }
}

/// Why a source ended.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It may work later: the device is away, the server does not answer, a read failed.
    #[error("{0}")]
    Retry(String),
    /// Permission is refused; it may be given while the recording runs. Tried again like [`Retry`](Self::Retry).
    #[error("{0}")]
    Denied(String),
    /// It cannot work before a person changes something: not supported, not permitted, misconfigured.
    #[error("{0}")]
    Fatal(String),
}

/// Where rows go: in a recording, the session's writer.
pub trait Sink: Send + Sync {
    /// Takes rows in the table's row schema. It never blocks on the disk.
    ///
    /// # Errors
    /// When the rows cannot be kept (the disk has been too slow or full for too long): they are lost, and the
    /// caller counts them.
    fn append(&self, table: &'static Table, rows: RecordBatch) -> Result<(), Full>;

    /// Counts what a source has lost, until `health` can be told.
    fn count_loss(&self, source: &str, reason: Reason, count: u64, detail: &str);

    /// The session's anchor, which turns monotonic stamps into `ts`.
    fn anchor(&self) -> Anchor;
}

impl Sink for SessionWriter {
    fn append(&self, table: &'static Table, rows: RecordBatch) -> Result<(), Full> {
        SessionWriter::append(self, table, rows)
    }

    fn count_loss(&self, source: &str, reason: Reason, count: u64, detail: &str) {
        SessionWriter::count_loss(self, source, reason, count, detail);
    }

    fn anchor(&self) -> Anchor {
        SessionWriter::anchor(self)
    }
}
