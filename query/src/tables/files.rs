//! The sealed files of a scan: what their footers tell, and how they are grouped.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileGroup;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::parquet::file::statistics::Statistics as ParquetStatistics;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;

/// Footers are read this many at a time.
const CONCURRENT_FOOTERS: usize = 8;

/// A sealed file with what its footer tells.
pub(super) struct KnownFile {
    pub file: PartitionedFile,
    pub rows: usize,
    pub first_ts: i64,
    pub last_ts: i64,
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
                    .await?;
                Ok::<_, DataFusionError>(known(
                    PartitionedFile::new_from_meta(meta),
                    &footer,
                    schema,
                ))
            }
        })
        .buffered(CONCURRENT_FOOTERS)
        .try_collect()
        .await
}

fn location(path: &Path) -> Result<object_store::path::Path> {
    let absolute = std::path::absolute(path)?;
    object_store::path::Path::from_absolute_path(absolute)
        .map_err(|e| DataFusionError::External(Box::new(e)))
}

fn known(file: PartitionedFile, footer: &ParquetMetaData, schema: &SchemaRef) -> KnownFile {
    let rows = footer.file_metadata().num_rows() as usize;
    let stamps = || {
        footer.row_groups().iter().filter_map(|g| match g.column(0).statistics()? {
            ParquetStatistics::Int64(s) => Some((*s.min_opt()?, *s.max_opt()?)),
            _ => None,
        })
    };
    // Without statistics the file may hold any instant.
    let first_ts = stamps().map(|(min, _)| min).min().unwrap_or(i64::MIN);
    let last_ts = stamps().map(|(_, max)| max).max().unwrap_or(i64::MAX);
    let statistics = statistics(schema, rows, first_ts, last_ts);
    KnownFile { file: file.with_statistics(Arc::new(statistics)), rows, first_ts, last_ts }
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
