//! Parquet files of the store, each there at once or not at all.

use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_schema::{DataType, Field, Schema};
use bl_schemas::{Kind, Table};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ArrowWriter, encode_arrow_schema};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};

use crate::error::{Result, StoreError};
use crate::manifest::FORMAT;
use crate::storage::{FileSystem, Storage, StorageFile, beside};

/// Key of the footer under which the version of the store's format stands.
pub(crate) const FORMAT_KEY: &str = "bl.format";

/// Writes rows at rest, in order, as a Parquet file of the store: beside, synced, renamed, folder synced.
///
/// # Errors
/// When the file cannot be written; nothing is at `path` then.
pub fn write_parquet(path: &Path, table: &Table, batch: &RecordBatch) -> Result<()> {
    Beside::write(&FileSystem, path, table, std::iter::once(Ok(batch.clone())))?.appear()?;
    Ok(())
}

/// A Parquet file beside the place where it is to be; removed if it does not appear there.
pub(crate) struct Beside<'a> {
    storage: &'a dyn Storage,
    path: PathBuf,
    beside: PathBuf,
    written: Written,
}

/// What was written to a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub rows: u64,
    pub bytes: u64,
    pub min_ts: Option<i64>,
    pub max_ts: Option<i64>,
    pub crc32: u32,
}

impl Written {
    /// Adds rows in the order of their time.
    fn count(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows() as u64;
        if let Some(ts) = batch.column(0).as_primitive_opt::<TimestampNanosecondType>() {
            self.min_ts = self.min_ts.or(ts.values().first().copied());
            self.max_ts = ts.values().last().copied().or(self.max_ts);
        }
    }
}

/// Takes the checksum of what passes through.
struct Checksummed {
    file: Box<dyn StorageFile>,
    crc: crc32fast::Hasher,
    bytes: u64,
}

impl std::io::Write for Checksummed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.crc.update(&bytes[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl<'a> Beside<'a> {
    pub fn write(
        storage: &'a dyn Storage,
        path: &Path,
        table: &Table,
        batches: impl Iterator<Item = Result<RecordBatch>>,
    ) -> Result<Self> {
        storage.create_dir_durably(path.parent().unwrap_or(Path::new(".")))?;
        let written = Written::default();
        let mut this = Self { storage, path: path.into(), beside: beside(path), written };
        this.written = this.fill(table, batches)?;
        Ok(this)
    }

    fn fill(
        &self,
        table: &Table,
        batches: impl Iterator<Item = Result<RecordBatch>>,
    ) -> Result<Written> {
        let failed = |source| StoreError::Parquet { path: self.beside.clone(), source };
        let file = self.storage.create_anew(&self.beside)?;
        let mut file = Checksummed { file, crc: crc32fast::Hasher::new(), bytes: 0 };
        let mut written = Written::default();
        let options = ArrowWriterOptions::new()
            .with_properties(properties(table))
            // It would say 32-bit decimals: see `announced_schema`.
            .with_skip_arrow_metadata(true);
        let mut writer = ArrowWriter::try_new_with_options(&mut file, table.schema(), options)
            .map_err(failed)?;
        for batch in batches {
            let batch = batch?;
            written.count(&batch);
            writer.write(&batch).map_err(failed)?;
        }
        writer.close().map_err(failed)?;
        file.file.sync()?;
        Ok(Written { bytes: file.bytes, crc32: file.crc.finalize(), ..written })
    }

    /// What was written.
    pub fn written(&self) -> Written {
        self.written
    }

    /// Where it is to be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name, durably.
    pub fn appear(self) -> Result<PathBuf> {
        self.storage.rename(&self.beside, &self.path)?;
        self.storage.sync_parent(&self.path)?;
        Ok(self.path.clone())
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        // Gone where it has appeared. What is left of another is removed at the next start, if not now.
        let _ = self.storage.remove_file(&self.beside);
    }
}

/// How each kind of column is encoded: chosen by size on recorded data, see `docs/format.md`.
fn properties(table: &Table) -> WriterProperties {
    let zstd = ZstdLevel::try_new(3).unwrap_or_default();
    let mut p = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(zstd))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_created_by(concat!("bl ", env!("CARGO_PKG_VERSION")).into())
        .set_sorting_columns(Some(vec![SortingColumn {
            column_idx: 0,
            descending: false,
            nulls_first: false,
        }]))
        .set_key_value_metadata(Some(vec![
            KeyValue::new("bl.table".into(), table.name.clone()),
            KeyValue::new(FORMAT_KEY.into(), FORMAT.to_string()),
            KeyValue::new(ARROW_SCHEMA_META_KEY.into(), announced_schema(table)),
        ]));
    for column in &table.columns {
        let path = || column.name.as_str().into();
        p = match column.kind {
            Kind::Timestamp => p
                .set_column_dictionary_enabled(path(), false)
                .set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED)
                .set_column_statistics_enabled(path(), EnabledStatistics::Page),
            Kind::I16 | Kind::I32 | Kind::I64 | Kind::U64 | Kind::Decimal { .. } => p
                .set_column_dictionary_enabled(path(), false)
                .set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED),
            Kind::Utf8 | Kind::Dict | Kind::Bool | Kind::F32 | Kind::F64 => p,
        };
    }
    p.build()
}

/// The Arrow schema that the file announces to its readers: as at rest, but with decimals of 128 bits, since
/// pyarrow has no arithmetic for those of 32. The bytes in the file stay 32-bit integers.
fn announced_schema(table: &Table) -> String {
    let at_rest = table.schema();
    let fields = at_rest.fields().iter().map(|field| match field.data_type() {
        DataType::Decimal32(precision, scale) => {
            let wide = DataType::Decimal128(*precision, *scale);
            Field::new(field.name(), wide, field.is_nullable())
        }
        _ => field.as_ref().clone(),
    });
    encode_arrow_schema(&Schema::new(fields.collect::<Vec<_>>()))
}
