//! From an import to the store.

use std::time::{Duration, Instant};

use bl_store::Rows;

use super::{ImportError, ImportReport};
use crate::source::Sink;

/// Rows of one batch.
const BATCH_ROWS: usize = 8192;

/// How long an import waits for a store that takes nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Hands the rows over once there are enough.
pub(super) fn deliver_batch(
    rows: &mut Rows,
    sink: &dyn Sink,
    report: &mut ImportReport,
) -> Result<(), ImportError> {
    if rows.len() < BATCH_ROWS { Ok(()) } else { deliver(rows, sink, report) }
}

/// Hands all rows over. Unlike a recording, an import can wait: a store that is busy is tried again.
pub(super) fn deliver(
    rows: &mut Rows,
    sink: &dyn Sink,
    report: &mut ImportReport,
) -> Result<(), ImportError> {
    if rows.is_empty() {
        return Ok(());
    }
    let table = rows.table();
    let batch = rows.finish();
    let began = Instant::now();
    while sink.append(table, batch.clone()).is_err() {
        if began.elapsed() > PATIENCE {
            return Err(ImportError::Full { table: &table.name, seconds: PATIENCE.as_secs() });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    *report.rows.entry(&table.name).or_default() += batch.num_rows() as u64;
    Ok(())
}
