//! Losses, counted until `health` has them.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use bl_schemas::Table;

use crate::health::{Reason, health_row};

/// What was lost since `health` was told last. It is as small as there are sources and reasons, so that it has room when
/// nothing else has.
#[derive(Debug, Default)]
pub(super) struct Losses(BTreeMap<(String, Reason), Loss>);

#[derive(Debug)]
struct Loss {
    count: u64,
    /// How often it was noted,
    times: u64,
    /// and how it was put for the first time.
    detail: String,
}

impl Losses {
    pub fn note(&mut self, source: &str, reason: Reason, count: u64, detail: &str) {
        let loss = self.0.entry((source.to_owned(), reason)).or_insert_with(|| Loss {
            count: 0,
            times: 0,
            detail: detail.to_owned(),
        });
        loss.count = loss.count.saturating_add(count);
        loss.times += 1;
    }

    /// The rows of `health` that tell of them; none remain here.
    pub fn take(&mut self, table: &'static Table, ts: i64) -> Vec<RecordBatch> {
        let row = |((source, reason), loss): ((String, Reason), Loss)| {
            let detail = match loss.times {
                1 => loss.detail,
                times => format!("{} ({times} times)", loss.detail),
            };
            health_row(table, ts, &source, reason, loss.count, &detail)
        };
        std::mem::take(&mut self.0).into_iter().map(row).collect()
    }
}
