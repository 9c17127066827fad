//! The sealed files of a scan: what their footers tell, and how they are grouped.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics, exec_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::parquet::basic::{LogicalType, TimeUnit};
use datafusion::parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use datafusion::parquet::file::statistics::Statistics as ParquetStatistics;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;

use crate::error::{QueryError, sentence};

/// Footers are read this many at a time.
const CONCURRENT_FOOTERS: usize = 8;

/// A sealed file with what its footer tells.
pub(super) struct KnownFile {
    pub file: PartitionedFile,
    pub rows: usize,
    /// Nanoseconds; the least and the greatest there are where the file does not tell.
    pub first_ts: i64,
    pub last_ts: i64,
    /// Whether its rows are in order of time.
    pub is_sorted: bool,
}

/// Reads the footers of files (each once for a process), in the order given.
pub(super) async fn read_footers(
    state: &dyn Session,
    paths: Vec<std::path::PathBuf>,
    schema: &SchemaRef,
) -> Result<Vec<KnownFile>> {
    let store = state.runtime_env().object_store(ObjectStoreUrl::local_filesystem())?;
    let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
    stream::iter(paths)
        .map(|path| {
            let (store, cache) = (Arc::clone(&store), Arc::clone(&cache));
            async move {
                let location = location(&path)?;
                let meta = store.head(&location).await?;
                let footer = DFParquetMetadata::new(store.as_ref(), &meta)
                    .with_metadata_size_hint(Some(64 << 10))
                    .with_file_metadata_cache(Some(cache))
                    .fetch_metadata()
                    .await
                    .map_err(|e| damaged(&path, &e))?;
                known(PartitionedFile::new_from_meta(meta), &footer, schema)
            }
        })
        .buffered(CONCURRENT_FOOTERS)
        .try_collect()
        .await
}

fn damaged(path: &Path, error: &DataFusionError) -> DataFusionError {
    DataFusionError::External(Box::new(QueryError::damaged(path, sentence(error))))
}

fn location(path: &Path) -> Result<object_store::path::Path> {
    let absolute = std::path::absolute(path)?;
    object_store::path::Path::from_absolute_path(absolute)
        .map_err(|e| DataFusionError::External(Box::new(e)))
}

/// Reads what is needed of a footer. Columns are found by name, and stamps have the unit that the file says: another tool may
/// have written it.
fn known(file: PartitionedFile, footer: &ParquetMetaData, schema: &SchemaRef) -> Result<KnownFile> {
    let columns = footer.file_metadata().schema_descr().columns();
    let Some(at) = columns.iter().position(|column| column.path().string() == "ts") else {
        let path = &file.object_meta.location;
        return exec_err!(
            "/{path} has no column ts, so it is none of the store's files: move it away"
        );
    };
    let rows = footer.file_metadata().num_rows() as usize;
    let span = span_ns(footer, at);
    let (first_ts, last_ts) = span.unwrap_or((i64::MIN, i64::MAX));
    let statistics = statistics(schema, rows, first_ts, last_ts);
    Ok(KnownFile {
        is_sorted: span.is_some() && is_sorted(footer, at),
        file: file.with_statistics(Arc::new(statistics)),
        rows,
        first_ts,
        last_ts,
    })
}

/// The first and the last stamp of column `at` in nanoseconds; None where a row group does not tell, or has rows without.
fn span_ns(footer: &ParquetMetaData, at: usize) -> Option<(i64, i64)> {
    let unit_ns = match footer.file_metadata().schema_descr().column(at).logical_type_ref() {
        Some(LogicalType::Timestamp(stamp)) => match stamp.unit {
            TimeUnit::MILLIS => 1_000_000,
            TimeUnit::MICROS => 1_000,
            TimeUnit::NANOS => 1,
        },
        _ => return None,
    };
    let mut span = None;
    for group in footer.row_groups() {
        let ParquetStatistics::Int64(stamps) = group.column(at).statistics()? else { return None };
        if stamps.null_count_opt() != Some(0) {
            return None;
        }
        let first = stamps.min_opt()?.checked_mul(unit_ns)?;
        let last = stamps.max_opt()?.checked_mul(unit_ns)?;
        let (earliest, latest) = span.unwrap_or((first, last));
        span = Some((first.min(earliest), last.max(latest)));
    }
    span
}

/// Whether the file says that its rows are in order of column `at`, from one row group to the next too.
fn is_sorted(footer: &ParquetMetaData, at: usize) -> bool {
    let begins_with = |group: &RowGroupMetaData| {
        let first = group.sorting_columns().and_then(|columns| columns.first());
        first.is_some_and(|column| column.column_idx as usize == at && !column.descending)
    };
    let bounds = footer.row_groups().iter().map(|group| match group.column(at).statistics() {
        Some(ParquetStatistics::Int64(stamps)) => (stamps.min_opt(), stamps.max_opt()),
        _ => (None, None),
    });
    let bounds: Vec<_> = bounds.collect();
    footer.row_groups().iter().all(begins_with) && bounds.windows(2).all(|two| two[0].1 <= two[1].0)
}

/// Statistics of rows whose first column is `ts` between two instants.
pub(super) fn statistics(schema: &SchemaRef, rows: usize, first: i64, last: i64) -> Statistics {
    let mut columns = vec![ColumnStatistics::new_unknown(); schema.fields().len()];
    if first != i64::MIN && last != i64::MAX {
        let stamp =
            |ts| Precision::Exact(ScalarValue::TimestampNanosecond(Some(ts), Some("UTC".into())));
        columns[0] = ColumnStatistics::new_unknown()
            .with_min_value(stamp(first))
            .with_max_value(stamp(last))
            .with_null_count(Precision::Exact(0));
    }
    Statistics {
        num_rows: Precision::Exact(rows),
        total_byte_size: Precision::Absent,
        column_statistics: columns,
    }
}

/// Puts files into groups in each of which they follow one another in time, so that a group is sorted as a
/// whole: as few as overlaps allow, and as many as there are `partitions` to read them.
pub(super) fn groups(mut files: Vec<KnownFile>, partitions: usize) -> Vec<FileGroup> {
    files.sort_by_key(|f| (f.first_ts, f.last_ts));
    let mut chains: Vec<Vec<KnownFile>> = Vec::new();
    for file in files {
        let free = chains
            .iter_mut()
            .find(|chain| chain.last().is_some_and(|last| last.last_ts <= file.first_ts));
        match free {
            Some(chain) => chain.push(file),
            None => chains.push(vec![file]),
        }
    }
    // Runs of a chain are sorted too.
    let wanted = partitions.div_ceil(chains.len().max(1));
    let mut groups = Vec::new();
    for chain in chains {
        let mut left = chain.len().div_ceil(wanted).max(1);
        let size = left;
        let mut group = FileGroup::default();
        for known in chain {
            if left == 0 {
                groups.push(std::mem::take(&mut group));
                left = size;
            }
            group.push(known.file);
            left -= 1;
        }
        groups.push(group);
    }
    groups
}
