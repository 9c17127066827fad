//! Frame logs of other tools: real samples, and forms that their sources tell.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod capframex;
mod gold;
mod mangohud;
mod presentmon;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal32Type, Float64Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use bl_ingest::import::{
    FrameLog, FrameLogFormat, ImportReport, ReadOptions, import_frames, read_frame_log,
};
use bl_ingest::source::{Full, Reason, Sink};
use bl_schemas::Table;
use bl_store::clock::Anchor;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A file of that name and text; the folder goes with the test.
fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn read(path: &Path) -> (FrameLog, ImportReport) {
    read_frame_log(path, &ReadOptions::default()).unwrap()
}

fn read_text(name: &str, text: &str) -> (FrameLog, ImportReport) {
    let (_folder, path) = file(name, text);
    read(&path)
}

fn refused(format: FrameLogFormat, name: &str, text: &str) -> String {
    let (_folder, path) = file(name, text);
    let options = ReadOptions { format: Some(format), ..ReadOptions::default() };
    read_frame_log(&path, &options).unwrap_err().to_string()
}

/// Keeps what it is given.
#[derive(Default)]
struct Kept(Mutex<Vec<(&'static str, RecordBatch)>>);

impl Sink for Kept {
    fn append(&self, table: &'static Table, rows: RecordBatch) -> Result<(), Full> {
        self.0.lock().unwrap().push((&table.name, rows));
        Ok(())
    }

    fn count_loss(&self, source: &str, _: Reason, count: u64, detail: &str) {
        panic!("{source} lost {count}: {detail}");
    }

    fn anchor(&self) -> Anchor {
        Anchor { utc_minus_monotonic_ns: 0, err_ns: 0 }
    }
}

impl Kept {
    /// The rows of a log whose first frame is at `first_ts`.
    fn rows_of(log: &FrameLog, first_ts: i64) -> Self {
        let kept = Self::default();
        let mut report = ImportReport::default();
        import_frames(log, first_ts, &kept, &mut report).unwrap();
        assert_eq!((report.bad, report.unknown_keys.len()), (0, 0), "{report}");
        kept
    }

    fn each<T>(&self, table: &str, row: impl Fn(&RecordBatch, usize) -> T) -> Vec<T> {
        let batches = self.0.lock().unwrap();
        let of_table = batches.iter().filter(|(name, _)| *name == table);
        of_table
            .flat_map(|(_, b)| (0..b.num_rows()).map(|i| row(b, i)).collect::<Vec<_>>())
            .collect()
    }

    /// A text column; `-` for null.
    fn texts(&self, table: &str, column: &str) -> Vec<String> {
        self.each(table, |batch, i| {
            let column = batch[column].as_string::<i32>();
            if column.is_null(i) { "-".into() } else { column.value(i).into() }
        })
    }

    /// Watts or volts in thousandths.
    fn milli(&self, table: &str, column: &str) -> Vec<Option<i32>> {
        self.each(table, |batch, i| {
            let column = batch[column].as_primitive::<Decimal32Type>();
            column.is_valid(i).then(|| column.value(i))
        })
    }

    fn floats(&self, table: &str, column: &str) -> Vec<Option<f64>> {
        self.each(table, |batch, i| {
            let column = batch[column].as_primitive::<Float64Type>();
            column.is_valid(i).then(|| column.value(i))
        })
    }

    fn numbers(&self, table: &str, column: &str) -> Vec<Option<i64>> {
        self.each(table, |batch, i| {
            let column = batch[column].as_primitive::<Int64Type>();
            column.is_valid(i).then(|| column.value(i))
        })
    }

    fn stamps(&self, table: &str) -> Vec<i64> {
        self.each(table, |b, i| b.column(0).as_primitive::<TimestampNanosecondType>().value(i))
    }
}
