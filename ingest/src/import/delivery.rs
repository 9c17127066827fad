//! From an import to the store.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bl_schemas::{Kind, Table};
use bl_store::{ColumnIndex, Rows};

use super::{ImportError, ImportReport};
use crate::source::Sink;

/// Rows of one batch.
const BATCH_ROWS: usize = 8192;

/// How long an import waits for a store that takes nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// The rows of one table on their way to the store.
#[derive(Debug)]
pub(super) struct Delivery {
    pub rows: Rows,
    columns: HashMap<&'static str, (ColumnIndex, Kind)>,
}

impl Delivery {
    pub fn new(table: &'static Table) -> Self {
        let rows = Rows::new(table);
        let own = table
            .columns
            .iter()
            .filter(|c| !matches!(c.name.as_str(), "ts" | "session" | "node" | "source"));
        let columns = own.map(|c| (c.name.as_str(), (rows.column(&c.name), c.kind))).collect();
        Self { rows, columns }
    }

    /// The place and type of a column of the table's own.
    pub fn column(&self, name: &str) -> Option<(ColumnIndex, Kind)> {
        self.columns.get(name).copied()
    }

    /// Hands the rows over once there are enough.
    pub fn deliver_batch(
        &mut self,
        sink: &dyn Sink,
        report: &mut ImportReport,
    ) -> Result<(), ImportError> {
        if self.rows.len() < BATCH_ROWS { Ok(()) } else { self.deliver(sink, report) }
    }

    /// Hands all rows over. Unlike a recording, an import can wait: a store that is busy is tried again.
    pub fn deliver(
        &mut self,
        sink: &dyn Sink,
        report: &mut ImportReport,
    ) -> Result<(), ImportError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let table = self.rows.table();
        let batch = self.rows.finish();
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
}
