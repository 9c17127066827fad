//! Following a table of a session while it is recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{RecordBatch, new_null_array};
use bl_schemas::Table;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::count::Footer;
use crate::error::{Result, StoreError};
use crate::segment::SegmentReader;
use crate::session::Session;

/// Follows one table of one session across the sealing of its segments: every row comes out once, in the table's
/// row schema, soon after it has been flushed.
///
/// Rows come segment by segment, not sorted by `ts`. Segments that were opened and sealed between two polls are
/// read from their sealed files.
#[derive(Debug)]
pub struct Follower {
    session: Session,
    table: &'static Table,
    from_ns: i64,
    open: BTreeMap<u64, SegmentReader>,
    /// Numbers of the segments that are read, or are being read.
    seen: BTreeSet<u64>,
    /// Numbers of segments of which sealed files were found at the last look, but not the first one.
    partial: BTreeSet<u64>,
    /// A segment of which rows were taken back after they were read here, and how many its successor repeats.
    repeats: Option<(u64, u64)>,
    must_list: bool,
    skipped_rows: u64,
    unreadable: Vec<StoreError>,
}

impl Follower {
    /// Follows `table` from its beginning, leaving out sealed rows before `from_ns` (nanoseconds UTC).
    pub fn new(session: &Session, table: &'static Table, from_ns: i64) -> Self {
        Self {
            session: session.clone(),
            table,
            from_ns,
            open: BTreeMap::new(),
            seen: BTreeSet::new(),
            partial: BTreeSet::new(),
            repeats: None,
            must_list: true,
            skipped_rows: 0,
            unreadable: Vec::new(),
        }
    }

    /// The table.
    pub fn table(&self) -> &'static Table {
        self.table
    }

    /// Sealed rows that were left out because they lie before `from_ns`.
    pub fn skipped_rows(&self) -> u64 {
        self.skipped_rows
    }

    /// Files that could not be read since the last call, each named: all else was.
    pub fn take_unreadable(&mut self) -> Vec<StoreError> {
        std::mem::take(&mut self.unreadable)
    }

    /// Bytes of the segments that are open now, as far as they have been read.
    pub fn open_bytes(&self) -> u64 {
        self.open.values().map(SegmentReader::bytes_read).sum()
    }

    /// Looks at the sealed files, too, at the next poll. For the end of a session: a segment may come and go between
    /// two polls.
    pub fn look_again(&mut self) {
        self.must_list = true;
    }

    /// The rows flushed since the last call.
    ///
    /// # Errors
    /// When files cannot be listed or read; what was read before the error comes with the next call at the
    /// earliest, and nothing comes twice.
    pub fn poll(&mut self) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        let segments = self.session.dir().open_segments(&self.table.name)?;
        let listed: BTreeSet<u64> = segments.iter().map(|(seq, _)| *seq).collect();
        if self.must_list || !listed.iter().eq(self.open.keys()) {
            self.must_list = false;
            self.close_sealed(&listed, &mut batches)?;
            self.read_sealed(&listed, &mut batches)?;
            for (seq, path) in segments {
                self.open_segment(seq, &path)?;
            }
        }
        for (seq, reader) in &mut self.open {
            note_repeats(&mut self.repeats, *seq, reader)?;
            let mut rows = reader.read_new()?;
            leave_out_repeats(&mut self.repeats, *seq, &mut rows);
            batches.extend(rows);
        }
        Ok(batches)
    }

    /// Reads the rest of segments that have been sealed: their files live on while they are open here.
    fn close_sealed(
        &mut self,
        listed: &BTreeSet<u64>,
        batches: &mut Vec<RecordBatch>,
    ) -> Result<()> {
        let gone: Vec<u64> =
            self.open.keys().filter(|seq| !listed.contains(seq)).copied().collect();
        for seq in gone {
            if let Some(mut reader) = self.open.remove(&seq) {
                note_repeats(&mut self.repeats, seq, &mut reader)?;
                batches.extend(reader.read_new()?);
            }
        }
        Ok(())
    }

    /// Reads the sealed files of segments that were never seen open.
    fn read_sealed(
        &mut self,
        listed: &BTreeSet<u64>,
        batches: &mut Vec<RecordBatch>,
    ) -> Result<()> {
        let mut files = self.session.dir().sealed_files(&self.table.name)?;
        files.retain(|f| !listed.contains(&f.seq) && !self.seen.contains(&f.seq));
        let before = std::mem::take(&mut self.partial);
        for segment in files.chunk_by(|a, b| a.seq == b.seq) {
            let seq = segment[0].seq;
            // The file of its first hour appears last; it may also have gone elsewhere long ago.
            if segment[0].part > 0 && !before.contains(&seq) {
                self.partial.insert(seq);
                self.must_list = true;
                continue;
            }
            self.seen.insert(seq);
            for file in segment {
                if let Err(e) = self.read_file(&file.path, batches) {
                    self.unreadable.push(e);
                }
            }
        }
        Ok(())
    }

    fn read_file(&mut self, path: &Path, batches: &mut Vec<RecordBatch>) -> Result<()> {
        let footer = Footer::read(path)?;
        if footer.last_ts.is_some_and(|last| last < self.from_ns) {
            self.skipped_rows += footer.rows;
            return Ok(());
        }
        for batch in read_rows(path, self.table)? {
            let ts = batch.column(0).as_primitive::<TimestampNanosecondType>().values();
            let first = ts.partition_point(|ts| *ts < self.from_ns);
            self.skipped_rows += first as u64;
            if first < batch.num_rows() {
                batches.push(batch.slice(first, batch.num_rows() - first));
            }
        }
        Ok(())
    }

    fn open_segment(&mut self, seq: u64, path: &Path) -> Result<()> {
        if self.seen.contains(&seq) {
            return Ok(());
        }
        match SegmentReader::open(path, self.table) {
            Ok(reader) => {
                self.open.insert(seq, reader);
                self.seen.insert(seq);
            }
            // Sealed a moment ago: it is found among the sealed files.
            Err(StoreError::Io(e)) if e.kind() == std::io::ErrorKind::NotFound => {
                self.must_list = true;
            }
            Err(e @ StoreError::Newer { .. }) => {
                self.seen.insert(seq);
                self.unreadable.push(e);
            }
            Err(e) => return Err(e),
        }
        Ok(())
    }
}

/// Notes what the segment's successor is going to repeat.
fn note_repeats(
    repeats: &mut Option<(u64, u64)>,
    seq: u64,
    reader: &mut SegmentReader,
) -> Result<()> {
    match reader.taken_back()? {
        0 => {}
        rows => *repeats = Some((seq, rows)),
    }
    Ok(())
}

/// Leaves out of a segment's first rows what was read from the one before already.
fn leave_out_repeats(repeats: &mut Option<(u64, u64)>, seq: u64, batches: &mut Vec<RecordBatch>) {
    let Some((_, left)) = repeats.as_mut().filter(|(cut, _)| *cut < seq) else { return };
    for batch in batches.iter_mut() {
        let n = (*left).min(batch.num_rows() as u64);
        *batch = batch.slice(n as usize, batch.num_rows() - n as usize);
        *left -= n;
    }
    batches.retain(|b| b.num_rows() > 0);
    if *left == 0 {
        *repeats = None;
    }
}

/// The rows of a sealed file in the table's row schema, sorted by `ts`.
fn read_rows(path: &Path, table: &Table) -> Result<Vec<RecordBatch>> {
    let broken = |source| StoreError::Parquet { path: path.into(), source };
    let file = fs_err::File::open(path)?.into_parts().0;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(broken)?
        .with_batch_size(8192)
        .build()
        .map_err(broken)?;
    let arrow = |e| StoreError::arrow(path.display().to_string(), e);
    let schema = table.row_schema();
    reader
        .map(|batch| {
            let batch = batch.map_err(arrow)?;
            let columns =
                schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
                    Some(column) => arrow_cast::cast(column, field.data_type()).map_err(arrow),
                    None => Ok(new_null_array(field.data_type(), batch.num_rows())),
                });
            RecordBatch::try_new(schema.clone(), columns.collect::<Result<_>>()?).map_err(arrow)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Anchor;
    use crate::{Rows, SessionSpec, SessionWriter, Store, WriteOptions};

    /// One to which rows of any stamps can be appended.
    fn imported() -> SessionSpec {
        let anchor = Anchor { utc_minus_monotonic_ns: 0, err_ns: 0 };
        SessionSpec { estimated_anchor: Some(anchor), ..SessionSpec::default() }
    }

    fn events(from: i64, n: i64) -> RecordBatch {
        let mut rows = Rows::new(bl_schemas::table("pipeline").unwrap());
        let frame = rows.column("frame");
        for i in from..from + n {
            rows.begin(i, "t");
            rows.i64(frame, i);
        }
        rows.finish()
    }

    fn stamps(batches: &[RecordBatch]) -> Vec<i64> {
        let ts = |b: &RecordBatch| {
            b.column(0).as_primitive::<TimestampNanosecondType>().values().to_vec()
        };
        batches.iter().flat_map(ts).collect()
    }

    #[test]
    fn every_row_comes_once_across_seals_and_the_end() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path());
        let options = WriteOptions {
            flush_every: Duration::from_millis(1),
            // Every flush makes a segment, which is sealed at once.
            seal_bytes: 1,
            ..WriteOptions::default()
        };
        let writer = SessionWriter::begin(&store, imported(), options).unwrap();
        let session = store.session(&writer.manifest().id).unwrap();
        let table = bl_schemas::table("pipeline").unwrap();
        let mut follower = Follower::new(&session, table, i64::MIN);
        let mut found = Vec::new();
        for k in 0..40 {
            writer.append(table, events(k * 10, 10)).unwrap();
            if k % 3 == 0 {
                writer.flush().unwrap();
            }
            found.extend(stamps(&follower.poll().unwrap()));
        }
        writer.finish().unwrap();
        follower.look_again();
        found.extend(stamps(&follower.poll().unwrap()));
        found.sort_unstable();
        assert_eq!(found, (0..400).collect::<Vec<_>>());
        assert!(follower.poll().unwrap().is_empty());
        // A late reader finds them sealed, from where it asks.
        let mut late = Follower::new(&session, table, 250);
        let mut found = stamps(&late.poll().unwrap());
        found.sort_unstable();
        assert_eq!(found, (250..400).collect::<Vec<_>>());
        assert_eq!(late.skipped_rows(), 250);
    }

    #[test]
    fn a_table_that_is_not_there_yet_has_no_rows() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path());
        let writer = SessionWriter::begin(&store, imported(), WriteOptions::default()).unwrap();
        let session = store.session(&writer.manifest().id).unwrap();
        let table = bl_schemas::table("pipeline").unwrap();
        let mut follower = Follower::new(&session, table, 0);
        assert!(follower.poll().unwrap().is_empty());
        writer.append(table, events(5, 1)).unwrap();
        writer.flush().unwrap();
        assert_eq!(stamps(&follower.poll().unwrap()), [5]);
    }
}
