//! One table of a session that is being written: its rows in memory, and its segment.

use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use bl_schemas::Table;

use super::WriteOptions;
use super::sealer::Job;
use super::stamps;
use crate::clock::Anchor;
use crate::error::{Result, StoreError};
use crate::layout::SessionDir;
use crate::rest::Origin;
use crate::segment::SegmentWriter;
use crate::sequence;

const HOUR_NS: i64 = 3_600_000_000_000;

/// Rows that are appended as one frame have at most so many bytes, or are one batch: they are copied for it.
const FRAME_BYTES: usize = 4 << 20;

/// A table's rows that are not safe yet, and its segment.
///
/// Rows stay in memory until they are synced: the kernel may drop what a sync fails to write, and tells it once.
pub(super) struct OpenTable {
    table: &'static Table,
    waiting: Vec<Held>,
    /// Appended to the segment, and not synced.
    unsynced: Vec<Held>,
    segment: Option<Open>,
    next_seq: u64,
}

/// Where segments are created.
pub(super) struct Place {
    pub dir: SessionDir,
    pub origin: Origin,
    pub anchor: Anchor,
}

/// Rows in memory, and how many bytes they are accounted for.
struct Held {
    rows: RecordBatch,
    bytes: usize,
}

struct Open {
    dir: SessionDir,
    origin: Origin,
    anchor: Anchor,
    writer: SegmentWriter,
    seq: u64,
    since: Instant,
    hour: i64,
    /// A sync failed, and what it was for could not be taken back yet.
    doubtful: bool,
}

impl OpenTable {
    pub fn new(table: &'static Table) -> Self {
        Self { table, waiting: Vec::new(), unsynced: Vec::new(), segment: None, next_seq: 0 }
    }

    pub fn name(&self) -> &'static str {
        &self.table.name
    }

    /// Takes rows, whose stamps are to be moved by `shift_ns`. They count for what they took when they came.
    pub fn add(&mut self, batches: Vec<RecordBatch>, shift_ns: i64) {
        let held = |rows: RecordBatch| Held {
            bytes: rows.get_array_memory_size(),
            rows: stamps::moved(rows, shift_ns),
        };
        self.waiting.extend(batches.into_iter().map(held));
    }

    /// Whether nothing of it waits for the disk.
    pub fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.unsynced.is_empty()
    }

    /// From now on in another session.
    pub fn go_on_elsewhere(&mut self) {
        self.next_seq = 0;
    }

    pub fn waiting_rows(&self) -> u64 {
        count(&self.waiting)
    }

    pub fn unsynced_rows(&self) -> u64 {
        count(&self.unsynced)
    }

    pub fn unsynced_bytes(&self) -> usize {
        self.unsynced.iter().map(|h| h.bytes).sum()
    }

    /// Appends what waits; tells how many rows could be, and why not all.
    pub fn append(&mut self, place: &Place) -> (u64, Result<()>) {
        let mut rows = 0;
        if self.segment.as_ref().is_some_and(|open| open.doubtful) {
            let e = std::io::Error::other("what could not be synced cannot be taken back");
            return (rows, Err(e.into()));
        }
        while !self.waiting.is_empty() {
            match self.append_frame(place) {
                Ok(n) => rows += n,
                Err(e) => return (rows, Err(e)),
            }
        }
        (rows, Ok(()))
    }

    fn append_frame(&mut self, place: &Place) -> Result<u64> {
        let mut bytes = 0;
        let fits = |h: &&Held| {
            bytes += h.bytes;
            bytes <= FRAME_BYTES
        };
        let n = self.waiting.iter().take_while(fits).count().max(1);
        let bytes = self.waiting[..n].iter().map(|h| h.bytes).sum();
        let rows = match &self.waiting[..n] {
            [one] => one.rows.clone(),
            several => concat_batches(&self.table.row_schema(), several.iter().map(|h| &h.rows))
                .map_err(|e| StoreError::arrow(format!("rows of {}", self.table.name), e))?,
        };
        let open = match &mut self.segment {
            Some(open) => open,
            none => none.insert(create(self.table, &mut self.next_seq, place)?),
        };
        open.writer.append(&rows)?;
        self.waiting.drain(..n);
        let count = rows.num_rows() as u64;
        self.unsynced.push(Held { rows, bytes });
        Ok(count)
    }

    /// Makes durable what was appended; returns how many bytes of memory that frees.
    pub fn sync(&mut self) -> Result<usize> {
        let Some(open) = &mut self.segment else { return Ok(0) };
        if open.doubtful {
            return Err(std::io::Error::other("a sync has failed before").into());
        }
        open.writer.sync().inspect_err(|_| open.doubtful = true)?;
        Ok(std::mem::take(&mut self.unsynced).into_iter().map(|h| h.bytes).sum())
    }

    /// After a sync that failed: the segment ends with what was synced and is to be sealed, and its other rows wait
    /// again, so many.
    pub fn retreat(&mut self) -> Result<(Job, u64)> {
        let Some(open) = &mut self.segment else {
            return Err(std::io::Error::other("there is no segment").into());
        };
        open.writer.retreat()?;
        let job = open.job(self.table);
        let rows = self.unsynced_rows();
        self.segment = None;
        self.waiting.splice(0..0, self.unsynced.drain(..));
        Ok((job, rows))
    }

    pub fn is_due(&self, options: &WriteOptions, anchor: Anchor) -> bool {
        self.segment.as_ref().is_some_and(|open| {
            open.since.elapsed() >= options.seal_after
                || open.writer.whole().bytes >= options.seal_bytes
                || (open.hour != hour(anchor) && open.since.elapsed() > Duration::from_secs(1))
        })
    }

    /// Ends the segment, which is synced.
    pub fn close(&mut self) -> Option<Job> {
        Some(self.segment.take()?.job(self.table))
    }

    /// After the session's folder was deleted: what is in memory is for another one. Returns how many of these rows were
    /// in the segment, and how many went with it.
    pub fn move_out(&mut self) -> (u64, u64) {
        let unsynced = self.unsynced_rows();
        let whole = self.segment.take().map_or(0, |open| open.writer.whole().rows);
        self.waiting.splice(0..0, self.unsynced.drain(..));
        self.next_seq = 0;
        (unsynced, whole.saturating_sub(unsynced))
    }
}

impl Open {
    fn job(&self, table: &'static Table) -> Job {
        Job {
            dir: self.dir.clone(),
            origin: self.origin.clone(),
            anchor: self.anchor,
            table,
            seq: self.seq,
            extent: self.writer.whole(),
        }
    }
}

fn count(held: &[Held]) -> u64 {
    held.iter().map(|h| h.rows.num_rows() as u64).sum()
}

fn hour(anchor: Anchor) -> i64 {
    anchor.now().div_euclid(HOUR_NS)
}

/// Creates the next segment of a table; its name is durable then.
fn create(table: &Table, next_seq: &mut u64, place: &Place) -> Result<Open> {
    let Place { dir, origin, anchor } = place;
    let (storage, folder) = (dir.storage(), dir.open(&table.name));
    storage.create_dir_durably(&folder)?;
    if *next_seq == 0 {
        *next_seq = sequence::next(dir, &table.name)?;
    }
    let seq = *next_seq;
    let path = dir.segment(&table.name, seq);
    let created = SegmentWriter::create(storage, &path, &table.row_schema())
        .and_then(|writer| Ok((writer, storage.sync_dir(&folder)?)));
    let (writer, ()) = created.inspect_err(|_| {
        // Nothing is in it; the next attempt creates it again, or the next one if it cannot be removed.
        if storage.remove_file(&path).is_err() && path.exists() {
            *next_seq += 1;
        }
    })?;
    *next_seq += 1;
    Ok(Open {
        dir: dir.clone(),
        origin: origin.clone(),
        anchor: *anchor,
        writer,
        seq,
        since: Instant::now(),
        hour: hour(*anchor),
        doubtful: false,
    })
}
