//! A result as one Parquet file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, Encoding, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
use datafusion::parquet::schema::types::ColumnPath;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::DataFrame;
use futures::StreamExt;

use crate::error::QueryError;

/// Rows in a row group: what the writer holds of each column until it is written.
const ROW_GROUP_ROWS: usize = 256 * 1024;

/// Rows in a page, at most: a megabyte of 8-byte values. The writer's default of 20,000 rows makes six times
/// as many pages, each with its header, its statistics and its buffers.
const PAGE_ROWS: usize = 128 * 1024;

/// Rows that are encoded at a time.
const ENCODE_ROWS: usize = 8 * 1024;

/// Batches that wait for the writer.
const QUEUE_BATCHES: usize = 1;

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// Rows in the file.
    pub rows: u64,
    /// The plan that ran, with the metrics of its operators.
    pub plan: Arc<dyn ExecutionPlan>,
}

/// Runs a query and writes its rows, in the order in which they come, into a Parquet file: zstd level 1 but for
/// whole numbers, which are delta-packed, and dictionaries for text only. The file appears complete or not at all.
///
/// # Errors
/// [`QueryError::Plan`], [`QueryError::Run`], and [`QueryError::Write`] where the file cannot be written.
pub async fn write_parquet(query: DataFrame, path: &Path) -> Result<Written, QueryError> {
    let context = Arc::new(query.task_ctx());
    let plan = query.create_physical_plan().await.map_err(QueryError::plan)?;
    let failed = |reason: String| QueryError::Write { path: path.display().to_string(), reason };
    let mut batches = execute_stream(Arc::clone(&plan), context).map_err(QueryError::run)?;
    let (queue, mut waiting) = tokio::sync::mpsc::channel::<RecordBatch>(QUEUE_BATCHES);
    let unfinished = unfinished(path);
    let schema = batches.schema();
    let target = unfinished.clone();
    // A thread of its own, so that compression runs beside the operators.
    let writer = tokio::task::spawn_blocking(move || -> Result<u64, ParquetError> {
        let mut writer = open(&target, schema)?;
        let mut rows = 0;
        while let Some(batch) = waiting.blocking_recv() {
            rows += batch.num_rows() as u64;
            writer.write(&batch)?;
        }
        writer.close()?;
        Ok(rows)
    });
    let mut outcome = Ok(());
    while let Some(batch) = batches.next().await {
        match batch {
            // A closed queue is a failed writer, which tells below what happened.
            Ok(batch) => {
                if queue.send(batch).await.is_err() {
                    break;
                }
            }
            Err(error) => {
                outcome = Err(QueryError::run(error));
                break;
            }
        }
    }
    drop(queue);
    let written = writer.await.map_err(|error| failed(error.to_string()));
    let rows = outcome.and(written?.map_err(|error| failed(error.to_string()))).and_then(|rows| {
        std::fs::rename(&unfinished, path).map_err(|error| failed(error.to_string()))?;
        Ok(rows)
    });
    if rows.is_err() {
        // The first error is the one to report; a left-over is only untidy.
        let _ = std::fs::remove_file(&unfinished);
    }
    Ok(Written { rows: rows?, plan })
}

/// Name of the file while it is being written, beside the final one.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

fn open(path: &Path, schema: SchemaRef) -> Result<ArrowWriter<File>, ParquetError> {
    let properties = properties(&schema)?;
    ArrowWriter::try_new(File::create(path)?, schema, Some(properties))
}

fn properties(schema: &Schema) -> Result<WriterProperties, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(ENCODE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for field in schema.fields() {
        let column = ColumnPath::from(field.name().as_str());
        properties = match field.data_type() {
            DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Dictionary(..) => properties,
            // Sorted stamps and counters shrink to a few bits, and zstd finds nothing in those; a dictionary of them
            // is as large as they.
            DataType::Int64 | DataType::UInt64 | DataType::Timestamp(..) => properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_compression(column.clone(), Compression::UNCOMPRESSED)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED),
            _ => properties.set_column_dictionary_enabled(column, false),
        };
    }
    Ok(properties.build())
}
