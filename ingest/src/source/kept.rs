//! A sink that keeps what it is given, and what tests ask of it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal32Type, Float32Type, Float64Type, Int64Type, TimestampNanosecondType,
};
use arrow_array::{Array, RecordBatch};
use bl_schemas::Table;
use bl_store::clock::Anchor;
use bl_store::{Reason, health_row};

use super::{Context, Full, Sink, Source, SourceStatus, Stop};

/// A folder of `tests/fixtures`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Its anchor.
pub(crate) const ANCHOR: Anchor = Anchor { utc_minus_monotonic_ns: 1_000, err_ns: 0 };

/// Keeps what it is given, unless it is full.
#[derive(Default)]
pub(crate) struct Kept {
    pub full: bool,
    pub batches: Mutex<Vec<(&'static str, RecordBatch)>>,
}

impl Sink for Kept {
    fn append(&self, table: &'static Table, rows: RecordBatch) -> Result<(), Full> {
        if self.full && table.name != "health" {
            return Err(Full);
        }
        self.batches.lock().unwrap().push((&table.name, rows));
        Ok(())
    }

    fn count_loss(&self, source: &str, reason: Reason, count: u64, detail: &str) {
        let table = bl_schemas::table("health").unwrap();
        let row = health_row(table, 0, source, reason, count, detail);
        self.batches.lock().unwrap().push((&table.name, row));
    }

    fn anchor(&self) -> Anchor {
        ANCHOR
    }
}

pub(crate) fn kept() -> (Arc<Kept>, Context) {
    let kept = Arc::new(Kept::default());
    let status = Arc::new(SourceStatus::new("test".to_owned()));
    let context = Context::new(kept.clone(), Stop::new().unwrap(), status);
    (kept, context)
}

impl Kept {
    pub(crate) fn of(&self, table: &str) -> Vec<RecordBatch> {
        let batches = self.batches.lock().unwrap();
        batches.iter().filter(|(name, _)| *name == table).map(|(_, b)| b.clone()).collect()
    }

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

pub(crate) fn strings(batch: &RecordBatch, column: &str) -> Vec<String> {
    let column = batch[column].as_string::<i32>();
    (0..column.len()).map(|i| column.value(i).to_owned()).collect()
}

/// The row whose `key` column says `value`, of that one batch.
pub(crate) fn row(batch: &RecordBatch, key: &str, value: &str) -> RecordBatch {
    let at = strings(batch, key).iter().position(|v| v == value);
    batch.slice(at.unwrap_or_else(|| panic!("no {key} {value}")), 1)
}

pub(crate) fn float(row: &RecordBatch, column: &str) -> Option<f64> {
    let column = &row[column];
    match column.as_primitive_opt::<Float64Type>() {
        Some(c) => c.is_valid(0).then(|| c.value(0)),
        None => {
            let c = column.as_primitive::<Float32Type>();
            c.is_valid(0).then(|| c.value(0).into())
        }
    }
}

pub(crate) fn int(row: &RecordBatch, column: &str) -> Option<i64> {
    let column = row[column].as_primitive::<Int64Type>();
    column.is_valid(0).then(|| column.value(0))
}

/// A copy of a fixture whose files can be rewritten under the feet of a reader that has them open.
pub(crate) fn changeable(name: &str) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap().path();
            let to = to.join(entry.file_name().unwrap());
            if entry.is_symlink() {
                std::os::unix::fs::symlink(std::fs::read_link(&entry).unwrap(), to).unwrap();
            } else if entry.is_dir() {
                copy(&entry, &to);
            } else {
                std::fs::write(to, std::fs::read(&entry).unwrap()).unwrap();
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(name), dir.path());
    dir
}

pub(crate) fn replace(root: &Path, file: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(root.join(file)).unwrap();
    assert!(text.contains(from), "{file} has no {from:?}");
    std::fs::write(root.join(file), text.replace(from, to)).unwrap();
}

/// Runs a source until `enough`, at most ten seconds.
pub(crate) fn run_until(
    source: &mut dyn Source,
    kept: &Kept,
    context: &Context,
    enough: impl Fn(&Kept) -> bool + Sync,
) {
    std::thread::scope(|scope| {
        let stopper = scope.spawn(|| {
            let begin = Instant::now();
            while !enough(kept) && begin.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(5));
            }
            context.stop().stop();
        });
        source.run(context).unwrap();
        stopper.join().unwrap();
    });
}
