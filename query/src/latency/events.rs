//! Raw rows of one table of a session in order of time, whatever files they lie in.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bl_schemas::Table;
use bl_store::{Footer, Session, StoreError};
use datafusion::arrow::array::{AsArray, RecordBatch, UInt64Array, new_null_array};
use datafusion::arrow::compute::{concat_batches, take_record_batch};
use datafusion::arrow::datatypes::{Schema, SchemaRef, TimestampNanosecondType};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::{
    ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use datafusion::parquet::file::metadata::RowGroupMetaData;
use datafusion::parquet::file::statistics::Statistics;

use super::{LatencyError, arrow};

type Builder = ParquetRecordBatchReaderBuilder<File>;

/// Rows of a file that are read at a time.
const READ_ROWS: usize = 65_536;

/// Rows with their first and last `ts`.
struct Part {
    first_ns: i64,
    last_ns: i64,
    rows: Place,
}

/// Where they lie.
enum Place {
    File(PathBuf),
    Rows(RecordBatch),
}

/// The rows of a table between two instants, in order of `ts`; the first column is `ts`. Memory: the rows of
/// the files that overlap in time; of one that overlaps with no other, a piece at a time.
pub(super) struct InOrder<'a> {
    session: &'a Session,
    schema: SchemaRef,
    parts: VecDeque<Part>,
    reading: Option<ParquetRecordBatchReader>,
    /// Rows of the last instant that was read of it: others of that instant may follow.
    tail: Option<RecordBatch>,
    waiting: Option<RecordBatch>,
    from_ns: i64,
    to_ns: i64,
}

impl<'a> InOrder<'a> {
    /// Rows of `table` with `from_ns <= ts <= to_ns`; `columns` begin with `ts`.
    pub fn open(
        session: &'a Session,
        table: &'static Table,
        columns: &[&str],
        (from_ns, to_ns): (i64, i64),
    ) -> Result<Self, LatencyError> {
        let at_rest = table.schema();
        let fields = columns.iter().filter_map(|name| at_rest.field_with_name(name).ok().cloned());
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let snapshot = session.snapshot(table)?;
        let mut parts = Vec::new();
        for file in snapshot.sealed {
            let footer = Footer::read(&file.path)?;
            let first_ns = footer.first_ts.unwrap_or(i64::MIN);
            let last_ns = footer.last_ts.unwrap_or(i64::MAX);
            if first_ns <= to_ns && last_ns >= from_ns {
                parts.push(Part { first_ns, last_ns, rows: Place::File(file.path) });
            }
        }
        for batch in snapshot.open {
            let batch = project(&batch, &schema).map_err(arrow(session))?;
            let stamps = stamps(&batch);
            if let (Some(&first_ns), Some(&last_ns)) = (stamps.first(), stamps.last())
                && first_ns <= to_ns
                && last_ns >= from_ns
            {
                parts.push(Part { first_ns, last_ns, rows: Place::Rows(batch) });
            }
        }
        parts.sort_by_key(|part| part.first_ns);
        let (parts, reading, tail, waiting) = (parts.into(), None, None, None);
        Ok(Self { session, schema, parts, reading, tail, waiting, from_ns, to_ns })
    }

    /// The next rows: all that are before those of the files to come.
    pub fn next(&mut self) -> Result<Option<RecordBatch>, LatencyError> {
        let fails = arrow(self.session);
        loop {
            if let Some(rows) = self.read_on()? {
                return Ok(Some(rows));
            }
            let Some(part) = self.parts.pop_front() else { return Ok(None) };
            let rows = match part.rows {
                Place::Rows(rows) => rows,
                Place::File(path) => {
                    let reader = self.reader(&path)?;
                    let is_alone = self.waiting.is_none()
                        && self.parts.front().is_none_or(|next| next.first_ns > part.last_ns);
                    if is_alone && is_sorted(&reader) {
                        self.reading = Some(open(&path, reader)?);
                        continue;
                    }
                    self.all_of(open(&path, reader)?)?
                }
            };
            let rows = self.within(&rows);
            let rows = match self.waiting.take() {
                Some(waiting) => concat_batches(&self.schema, [&waiting, &rows]).map_err(&fails)?,
                None => rows,
            };
            let rows = sorted(rows).map_err(&fails)?;
            let due = match self.parts.front() {
                Some(next) => stamps(&rows).partition_point(|ts| *ts < next.first_ns),
                None => rows.num_rows(),
            };
            if due < rows.num_rows() {
                self.waiting = Some(rows.slice(due, rows.num_rows() - due));
            }
            if due > 0 {
                return Ok(Some(rows.slice(0, due)));
            }
        }
    }

    /// The next rows of the file that is being read.
    fn read_on(&mut self) -> Result<Option<RecordBatch>, LatencyError> {
        let fails = arrow(self.session);
        while let Some(reader) = &mut self.reading {
            let batch = match reader.next().transpose().map_err(&fails)? {
                Some(batch) => project(&batch, &self.schema).map_err(&fails)?,
                None => RecordBatch::new_empty(Arc::clone(&self.schema)),
            };
            if stamps(&batch).first().is_none_or(|first_ns| *first_ns > self.to_ns) {
                self.reading = None;
                return self.tail.take().map(|tail| sorted(tail).map_err(&fails)).transpose();
            }
            let rows = self.within(&batch);
            let rows = match self.tail.take() {
                Some(tail) => concat_batches(&self.schema, [&tail, &rows]).map_err(&fails)?,
                None => rows,
            };
            let last_ns = stamps(&rows).last().copied();
            let due = stamps(&rows).partition_point(|ts_ns| Some(*ts_ns) < last_ns);
            self.tail = Some(rows.slice(due, rows.num_rows() - due));
            if due > 0 {
                return Ok(Some(sorted(rows.slice(0, due)).map_err(&fails)?));
            }
        }
        Ok(None)
    }

    /// The file at `path`, with the columns that are wanted.
    fn reader(&self, path: &Path) -> Result<Builder, LatencyError> {
        let file = File::open(path).map_err(|e| {
            StoreError::Io(std::io::Error::new(e.kind(), format!("{}: {e}", path.display())))
        })?;
        let fails = |source| StoreError::Parquet { path: path.to_path_buf(), source };
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(fails)?;
        let names: Vec<&str> = self.schema.fields().iter().map(|f| f.name().as_str()).collect();
        let mask = ProjectionMask::columns(builder.parquet_schema(), names);
        Ok(builder.with_projection(mask).with_batch_size(READ_ROWS))
    }

    fn all_of(&self, reader: ParquetRecordBatchReader) -> Result<RecordBatch, LatencyError> {
        let batches = reader
            .map(|batch| project(&batch?, &self.schema))
            .collect::<Result<Vec<_>, _>>()
            .map_err(arrow(self.session))?;
        concat_batches(&self.schema, &batches).map_err(arrow(self.session))
    }

    fn within(&self, rows: &RecordBatch) -> RecordBatch {
        let stamps = stamps(rows);
        let from = stamps.partition_point(|ts| *ts < self.from_ns);
        let to = stamps.partition_point(|ts| *ts <= self.to_ns).max(from);
        rows.slice(from, to - from)
    }
}

/// Rows of a table with a stamp before an instant. Of files it reads those that were written around it.
pub(super) fn count_before(
    session: &Session,
    table: &'static Table,
    until_ns: i64,
) -> Result<u64, LatencyError> {
    let Some(last_ns) = until_ns.checked_sub(1) else { return Ok(0) };
    let mut rows = InOrder::open(session, table, &["ts"], (i64::MIN, last_ns))?;
    let mut count = 0;
    let mut across = VecDeque::new();
    for part in std::mem::take(&mut rows.parts) {
        match &part.rows {
            Place::File(path) if part.last_ns < until_ns => count += Footer::read(path)?.rows,
            _ => across.push_back(part),
        }
    }
    rows.parts = across;
    while let Some(batch) = rows.next()? {
        count += batch.num_rows() as u64;
    }
    Ok(count)
}

fn open(path: &Path, reader: Builder) -> Result<ParquetRecordBatchReader, LatencyError> {
    let fails = |source| StoreError::Parquet { path: path.to_path_buf(), source };
    Ok(reader.build().map_err(fails)?)
}

/// Whether the file says that it is in order of `ts`, its first column, as those of the store do.
fn is_sorted(reader: &Builder) -> bool {
    let metadata = reader.metadata();
    let groups = metadata.row_groups();
    let is_by_ts = |group: &RowGroupMetaData| {
        let by = group.sorting_columns().and_then(|columns| columns.first());
        by.is_some_and(|by| by.column_idx == 0 && !by.descending)
    };
    let span = |group: &RowGroupMetaData| match group.column(0).statistics() {
        Some(Statistics::Int64(stamps)) => Some((*stamps.min_opt()?, *stamps.max_opt()?)),
        _ => None,
    };
    let follow = |pair: &[RowGroupMetaData]| match (span(&pair[0]), span(&pair[1])) {
        (Some((_, last)), Some((first, _))) => last <= first,
        _ => false,
    };
    metadata.file_metadata().schema_descr().columns().first().is_some_and(|c| c.name() == "ts")
        && groups.iter().all(is_by_ts)
        && groups.windows(2).all(follow)
}

/// The stamps of rows whose first column is `ts`.
pub(super) fn stamps(batch: &RecordBatch) -> &[i64] {
    batch.column(0).as_primitive::<TimestampNanosecondType>().values()
}

/// The columns of `schema`; null where an older writer did not know one.
fn project(
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> Result<RecordBatch, datafusion::arrow::error::ArrowError> {
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(array) => datafusion::arrow::compute::cast(array, field.data_type()),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<Vec<_>, _>>()?)
}

/// Sorted by time, and rows of one instant by all their columns: in which files they lie is no order.
fn sorted(batch: RecordBatch) -> Result<RecordBatch, datafusion::arrow::error::ArrowError> {
    let ts = stamps(&batch);
    let mut order: Vec<u64> = (0..ts.len() as u64).collect();
    let is_sorted = ts.is_sorted();
    if !is_sorted {
        order.sort_by_key(|row| ts[*row as usize]);
    }
    let same = |left: &u64, right: &u64| ts[*left as usize] == ts[*right as usize];
    let mut ties: Vec<&mut [u64]> =
        order.chunk_by_mut(same).filter(|rows| rows.len() > 1).collect();
    if is_sorted && ties.is_empty() {
        return Ok(batch);
    }
    let fields = batch.schema();
    let fields = fields.fields().iter().map(|field| SortField::new(field.data_type().clone()));
    for rows in &mut ties {
        let of_instant = UInt64Array::from(rows.to_vec());
        let columns = take_record_batch(&batch, &of_instant)?;
        let keys =
            RowConverter::new(fields.clone().collect())?.convert_columns(columns.columns())?;
        let mut places: Vec<usize> = (0..rows.len()).collect();
        places.sort_by_key(|place| keys.row(*place));
        let sorted: Vec<u64> = places.into_iter().map(|place| rows[place]).collect();
        rows.copy_from_slice(&sorted);
    }
    drop(ties);
    take_record_batch(&batch, &UInt64Array::from(order))
}
