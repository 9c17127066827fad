//! The recordings of BENCHLAB.LinuxTelemetry: JSON lines of `ts_ns`, `source` and `kv`.

mod benchlab;
mod record;
mod time;

use std::path::{Path, PathBuf};

use record::Record;
pub use time::{EstimatedTime, TimeBasis, estimate_time};

use super::delivery::{deliver, deliver_batch};
use super::lines::Lines;
use super::{ImportError, ImportReport};
use crate::draft::{Draft, Tables};
use crate::source::Sink;

/// Where the readings go.
const TABLES: [&str; 5] = ["benchlab", "gpu", "cpu", "memory", "pipeline"];

/// Imports recordings of BENCHLAB.LinuxTelemetry, plain or compressed by gzip, into the tables `benchlab`,
/// `gpu`, `cpu`, `memory` and `pipeline`.
///
/// `ts` is `ts_ns` plus the anchor of the sink's session, which [`estimate_time`] finds for a new one. `progress` is
/// called with the count of lines now and then.
///
/// # Errors
/// When a file cannot be opened or the store takes nothing. Bad lines are no error: the report names them.
pub fn import_jsonl(
    files: &[PathBuf],
    sink: &dyn Sink,
    progress: &mut dyn FnMut(u64),
) -> Result<ImportReport, ImportError> {
    let mut import = Import { sink, report: ImportReport::default(), tables: Tables::new(&TABLES) };
    for file in files {
        import.file(file, progress)?;
        import.report.files += 1;
    }
    for table in import.tables.each() {
        deliver(&mut table.rows, sink, &mut import.report)?;
    }
    Ok(import.report)
}

struct Import<'a> {
    sink: &'a dyn Sink,
    report: ImportReport,
    tables: Tables,
}

impl Import<'_> {
    fn file(&mut self, file: &Path, progress: &mut dyn FnMut(u64)) -> Result<(), ImportError> {
        let mut lines = Lines::open(file)?;
        loop {
            let (number, text) = match lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(()),
                Err(e) => {
                    let why = format!("cannot read on, the rest of the file is missing: {e}");
                    self.report.bad_line(file, lines.failed_at(), why);
                    return Ok(());
                }
            };
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            self.report.lines += 1;
            if self.report.lines.is_multiple_of(10_000) {
                progress(self.report.lines);
            }
            match Record::parse(text) {
                Ok(record) => self.record(&record, file, number)?,
                Err(why) => self.report.bad_line(file, number, why),
            }
        }
    }

    fn record(&mut self, record: &Record, file: &Path, line: u64) -> Result<(), ImportError> {
        let Some(ts) = record.ts_ns.checked_add(self.sink.anchor().utc_minus_monotonic_ns) else {
            self.report.bad_line(file, line, "ts_ns is out of range");
            return Ok(());
        };
        let mut draft = Draft::new(&self.tables);
        if let Err(why) = record.fill(&mut draft) {
            self.report.bad_line(file, line, why);
            return Ok(());
        }
        for key in &draft.unknown {
            self.report.unknown_key(&record.source, key, file, line);
        }
        self.report.rounded += draft.rounded;
        self.report.empty += u64::from(draft.is_empty());
        let cells = draft.into_cells();
        self.tables.write(ts, &record.row_source(), cells);
        for table in self.tables.each() {
            deliver_batch(&mut table.rows, self.sink, &mut self.report)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
