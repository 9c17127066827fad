//! One Parquet file: zstd level 1 but for whole numbers, which are delta-packed, and dictionaries for text only.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::{Out, RowWriter, TableError, TableFormat};

/// Rows in a row group: what the writer holds of each column until it is written.
const ROW_GROUP_ROWS: usize = 256 * 1024;

/// Rows in a page, at most: a megabyte of 8-byte values. The writer's default of 20,000 rows makes six times
/// as many pages, each with its header, its statistics and its buffers.
const PAGE_ROWS: usize = 128 * 1024;

/// Rows that are encoded at a time.
const ENCODE_ROWS: usize = 8 * 1024;

pub(super) const PARQUET: TableFormat = TableFormat {
    name: "parquet",
    endings: &["parquet"],
    is_stream: false,
    begin: |out, schema| {
        let properties = properties(schema)?;
        Ok(Box::new(Parquet(ArrowWriter::try_new(out, schema.clone(), Some(properties))?)))
    },
};

struct Parquet<'w>(ArrowWriter<Out<'w>>);

impl RowWriter for Parquet<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        Ok(self.0.write(batch)?)
    }

    fn finish(mut self: Box<Self>) -> Result<(), TableError> {
        self.0.finish()?;
        Ok(())
    }
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
