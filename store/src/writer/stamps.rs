//! Stamps that can be.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{Array, BooleanArray, PrimitiveArray, RecordBatch};
use arrow_select::filter::filter_record_batch;

use crate::clock::Anchor;

/// How far ahead of now a stamp may lie: clocks of senders are read before ours, but nothing comes from tomorrow.
const AHEAD_NS: i64 = 60_000_000_000;

/// Why a row is refused.
pub(super) const WHY: &str = "rows were left out whose stamps lie before the boot of the machine or more than a minute ahead";

/// Which stamps can be in a session that is recorded now: none before the machine was started, none from the future.
#[derive(Debug, Clone, Copy)]
pub(super) struct Possible {
    anchor: Anchor,
}

impl Possible {
    pub fn on(anchor: Anchor) -> Self {
        Self { anchor }
    }

    /// The rows that can be; with the source and the number of those that cannot.
    pub fn keep(&self, rows: RecordBatch) -> (RecordBatch, Option<(String, u64)>) {
        let Some(ts) = rows.column(0).as_primitive_opt::<TimestampNanosecondType>() else {
            return (rows, None);
        };
        let (boot, latest) = (self.anchor.ts(0), self.anchor.now().saturating_add(AHEAD_NS));
        let can_be = |ts: &i64| (boot..=latest).contains(ts);
        if ts.values().iter().all(can_be) {
            return (rows, None);
        }
        let mask: BooleanArray = ts.values().iter().map(|ts| Some(can_be(ts))).collect();
        // The mask is as long as the batch.
        let kept = filter_record_batch(&rows, &mask).unwrap_or_else(|_| rows.slice(0, 0));
        let count = (rows.num_rows() - kept.num_rows()) as u64;
        let first = mask.iter().position(|can_be| can_be == Some(false)).unwrap_or(0);
        (kept, Some((source(&rows, first), count)))
    }
}

/// What the `source` column says there.
fn source(rows: &RecordBatch, row: usize) -> String {
    rows.column(1)
        .as_string_opt::<i32>()
        .filter(|c| c.is_valid(row))
        .map_or_else(|| "store".into(), |c| c.value(row).into())
}

/// The same rows with later stamps, or earlier ones.
pub(super) fn moved(rows: RecordBatch, by_ns: i64) -> RecordBatch {
    let Some(ts) = rows.column(0).as_primitive_opt::<TimestampNanosecondType>() else {
        return rows;
    };
    if by_ns == 0 {
        return rows;
    }
    let later: PrimitiveArray<TimestampNanosecondType> = ts.unary(|t| t.saturating_add(by_ns));
    let mut columns = rows.columns().to_vec();
    columns[0] = Arc::new(later.with_data_type(ts.data_type().clone()));
    // As many rows of the same types as before.
    RecordBatch::try_new(rows.schema(), columns).unwrap_or(rows)
}
