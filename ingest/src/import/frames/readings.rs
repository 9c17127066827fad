//! What a frame log holds beside its frames, such as power, and its way into the tables.

use std::path::Path;

use serde_json::Value;

use super::FrameLog;
use crate::draft::{Draft, Tables};
use crate::import::delivery::{deliver, deliver_batch};
use crate::import::{ImportError, ImportReport};
use crate::source::Sink;

/// Values of one instant, for one row of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// When, since the log's first frame.
    pub at_ns: i64,
    /// What the row carries in `source`.
    pub source: &'static str,
    /// The table.
    pub table: &'static str,
    /// Names of columns and their values; a null is no reading.
    pub cells: Vec<(String, Value)>,
}

/// Appends a log's readings to their tables. A row of which a value does not fit its column is bad.
pub(super) fn import(
    log: &FrameLog,
    first_ts: i64,
    sink: &dyn Sink,
    report: &mut ImportReport,
) -> Result<(), ImportError> {
    let mut names: Vec<&str> = log.readings.iter().map(|reading| reading.table).collect();
    names.sort_unstable();
    names.dedup();
    let mut tables = Tables::new(&names);
    for Reading { at_ns, source, table, cells } in &log.readings {
        let mut draft = Draft::new(&tables);
        let set = cells.iter().try_for_each(|(name, value)| draft.set(table, name, name, value));
        for key in &draft.unknown {
            report.unknown_key(source, key, Path::new(&log.log), 1);
        }
        if let Err(why) = set {
            let why = format!("{table} at {} s: {why}", *at_ns as f64 / 1e9);
            report.bad_line(Path::new(&log.log), 1, why);
            continue;
        }
        report.rounded += draft.rounded;
        let cells = draft.into_cells();
        tables.write(first_ts.saturating_add(*at_ns), source, cells);
        for table in tables.each() {
            deliver_batch(&mut table.rows, sink, report)?;
        }
    }
    for table in tables.each() {
        deliver(&mut table.rows, sink, report)?;
    }
    Ok(())
}
