//! A sink for tests.

use std::sync::Mutex;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal32Type, Float64Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use bl_schemas::Table;
use bl_store::clock::Anchor;

use crate::source::{Full, Sink};

/// Keeps what it is given, unless it is full.
#[derive(Default)]
pub(crate) struct Kept {
    pub full: bool,
    pub batches: Mutex<Vec<(&'static str, RecordBatch)>>,
}

/// Its anchor.
pub(crate) const ANCHOR: Anchor = Anchor { utc_minus_monotonic_ns: 1_000, err_ns: 0 };

impl Sink for Kept {
    fn append(&self, table: &'static Table, rows: RecordBatch) -> Result<(), Full> {
        if self.full && table.name != "health" {
            return Err(Full);
        }
        self.batches.lock().unwrap().push((&table.name, rows));
        Ok(())
    }

    fn anchor(&self) -> Anchor {
        ANCHOR
    }
}

impl Kept {
    pub fn each<T>(&self, table: &str, mut row: impl FnMut(&RecordBatch, usize) -> T) -> Vec<T> {
        let batches = self.batches.lock().unwrap();
        let of_table = batches.iter().filter(|(name, _)| *name == table);
        of_table
            .flat_map(|(_, b)| (0..b.num_rows()).map(|i| row(b, i)).collect::<Vec<_>>())
            .collect()
    }

    pub fn texts(&self, table: &str, column: &str) -> Vec<String> {
        self.each(table, |batch, i| {
            let column = batch.column_by_name(column).unwrap();
            if column.is_null(i) { "-".into() } else { column.as_string::<i32>().value(i).into() }
        })
    }

    pub fn numbers(&self, table: &str, column: &str) -> Vec<Option<i64>> {
        self.each(table, |batch, i| {
            let column = batch.column_by_name(column).unwrap().as_primitive::<Int64Type>();
            column.is_valid(i).then(|| column.value(i))
        })
    }

    pub fn decimals(&self, table: &str, column: &str) -> Vec<Option<i32>> {
        self.each(table, |batch, i| {
            let column = batch.column_by_name(column).unwrap().as_primitive::<Decimal32Type>();
            column.is_valid(i).then(|| column.value(i))
        })
    }

    pub fn floats(&self, table: &str, column: &str) -> Vec<Option<f64>> {
        self.each(table, |batch, i| {
            let column = batch.column_by_name(column).unwrap().as_primitive::<Float64Type>();
            column.is_valid(i).then(|| column.value(i))
        })
    }

    pub fn stamps(&self, table: &str) -> Vec<i64> {
        self.each(table, |b, i| b.column(0).as_primitive::<TimestampNanosecondType>().value(i))
    }

    /// Rows of `health`: reason, count, detail.
    pub fn health(&self) -> Vec<(String, i64, String)> {
        let counts = self.numbers("health", "count").into_iter().flatten();
        let reasons = self.texts("health", "reason").into_iter();
        let details = self.texts("health", "detail").into_iter();
        reasons.zip(counts).zip(details).map(|((r, c), d)| (r, c, d)).collect()
    }
}
