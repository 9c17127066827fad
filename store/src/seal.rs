//! Sealing: a segment becomes a Parquet file, at once or not at all.

use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_schema::{DataType, Field, Schema};
use bl_schemas::{Kind, Table};
use fs_err as fs;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ArrowWriter, encode_arrow_schema};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};

use crate::error::{Result, StoreError};
use crate::layout::{SessionDir, create_dir_durably, sync_dir};
use crate::rest::{Origin, at_rest, in_order};
use crate::segment::{Damage, SegmentReader};

/// What became of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// The Parquet file; none when the segment held no row.
    pub file: Option<PathBuf>,
    pub rows: u64,
    pub damage: Damage,
}

/// Seals segment `seq` of a table. Whenever the process dies, the segment's rows are there once: the file
/// appears by its rename, and from then on the segment of the same number does not count.
pub(crate) fn seal(dir: &SessionDir, table: &Table, origin: &Origin, seq: u64) -> Result<Sealed> {
    let segment = dir.segment(&table.name, seq);
    let mut reader = SegmentReader::open(&segment, table)?;
    let mut batches = Vec::new();
    while let Some(rows) = reader.read_some()? {
        batches.push(at_rest(table, origin, &[rows])?);
    }
    let batches = in_order(table, batches)?;
    let damage = reader.damage().clone();
    let rows = batches.iter().map(|b| b.num_rows() as u64).sum();
    let mut file = None;
    if let Some(first) = batches.first() {
        let first = first.column(0).as_primitive::<TimestampNanosecondType>().value(0);
        let path = dir.sealed(&table.name, seq, first);
        write_parquet(&path, table, &batches)?;
        file = Some(path);
    }
    put_away(&segment, &damage)?;
    Ok(Sealed { file, rows, damage })
}

/// Removes a segment that has been sealed; one with damage in its middle is kept beside, for a person to see.
pub(crate) fn put_away(segment: &Path, damage: &Damage) -> Result<()> {
    if damage.is_serious() {
        fs::rename(segment, segment.with_extension("wal.damaged"))?;
    } else {
        fs::remove_file(segment)?;
    }
    segment.parent().map_or(Ok(()), sync_dir)
}

/// Writes rows at rest, in order, as a Parquet file of the store: beside, synced, renamed, folder synced.
///
/// # Errors
/// When the file cannot be written; nothing is at `path` then.
pub fn write_parquet(path: &Path, table: &Table, batches: &[RecordBatch]) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().unwrap_or(Path::new("."));
    create_dir_durably(folder)?;
    // Hidden, so that no engine's glob takes it for data.
    let beside = folder.join(format!(".{name}.tmp"));
    let written =
        write_beside(&beside, table, batches).and_then(|()| Ok(fs::rename(&beside, path)?));
    if let Err(e) = written {
        // What is left of it is removed at the next start, if not now.
        let _ = fs::remove_file(&beside);
        return Err(e);
    }
    sync_dir(folder)
}

fn write_beside(path: &Path, table: &Table, batches: &[RecordBatch]) -> Result<()> {
    let failed = |source| StoreError::Parquet { path: path.into(), source };
    let file = fs::File::create(path)?;
    let options = ArrowWriterOptions::new()
        .with_properties(properties(table))
        // It would say 32-bit decimals: see `announced_schema`.
        .with_skip_arrow_metadata(true);
    let mut writer =
        ArrowWriter::try_new_with_options(file.file(), table.schema(), options).map_err(failed)?;
    batches.iter().try_for_each(|batch| writer.write(batch)).map_err(failed)?;
    writer.close().map_err(failed)?;
    Ok(file.sync_all()?)
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
