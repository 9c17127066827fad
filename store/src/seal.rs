//! Sealing: a segment becomes a Parquet file, at once or not at all.

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
use crate::layout::SessionDir;
use crate::rest::{Origin, at_rest};
use crate::segment::{Damage, SegmentReader};
use crate::storage::{FileSystem, Storage, beside};

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
    let mut parts = Parts::open(&segment, table, origin)?;
    let Some(first) = parts.next().transpose()? else {
        let damage = parts.reader.damage().clone();
        put_away(dir.storage(), &segment, &damage)?;
        return Ok(Sealed { file: None, rows: 0, damage });
    };
    let path = dir.sealed(&table.name, seq, first_ts(&first));
    let file =
        Beside::write(dir.storage(), &path, table, std::iter::once(Ok(first)).chain(&mut parts))?;
    if !parts.in_order {
        drop(file);
        return seal_sorted(dir, table, origin, seq);
    }
    file.appear()?;
    let damage = parts.reader.damage().clone();
    put_away(dir.storage(), &segment, &damage)?;
    Ok(Sealed { file: Some(path), rows: parts.rows, damage })
}

/// The same where rows came out of order, with all of them in memory.
fn seal_sorted(dir: &SessionDir, table: &Table, origin: &Origin, seq: u64) -> Result<Sealed> {
    let segment = dir.segment(&table.name, seq);
    let mut reader = SegmentReader::open(&segment, table)?;
    let all = at_rest(table, origin, &reader.read_new()?)?;
    let path = dir.sealed(&table.name, seq, first_ts(&all));
    Beside::write(dir.storage(), &path, table, std::iter::once(Ok(all.clone())))?.appear()?;
    let damage = reader.damage().clone();
    put_away(dir.storage(), &segment, &damage)?;
    Ok(Sealed { file: Some(path), rows: all.num_rows() as u64, damage })
}

fn first_ts(batch: &RecordBatch) -> i64 {
    batch.column(0).as_primitive::<TimestampNanosecondType>().value(0)
}

/// The rows of a segment at rest, a part at a time, so that they need not all be in memory. Ends early where a
/// part begins before the one before it ended.
struct Parts<'a> {
    reader: SegmentReader,
    table: &'a Table,
    origin: &'a Origin,
    last_ts: i64,
    in_order: bool,
    rows: u64,
}

impl<'a> Parts<'a> {
    fn open(segment: &Path, table: &'a Table, origin: &'a Origin) -> Result<Self> {
        let reader = SegmentReader::open(segment, table)?;
        Ok(Self { reader, table, origin, last_ts: i64::MIN, in_order: true, rows: 0 })
    }

    fn part(&mut self) -> Result<Option<RecordBatch>> {
        let Some(rows) = self.reader.read_some()? else { return Ok(None) };
        let part = at_rest(self.table, self.origin, &[rows])?;
        self.rows += part.num_rows() as u64;
        self.in_order &= first_ts(&part) >= self.last_ts;
        let ts = part.column(0).as_primitive::<TimestampNanosecondType>();
        self.last_ts = ts.values().last().copied().unwrap_or(self.last_ts);
        Ok(Some(part).filter(|_| self.in_order))
    }
}

impl Iterator for Parts<'_> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.part().transpose()
    }
}

/// Removes a segment that has been sealed; one with damage in its middle is kept beside, for a person to see.
pub(crate) fn put_away(storage: &dyn Storage, segment: &Path, damage: &Damage) -> Result<()> {
    if damage.is_serious() {
        storage.rename(segment, &segment.with_extension("wal.damaged"))?;
    } else {
        storage.remove_file(segment)?;
    }
    // Should it come back after a power cut, it does not count beside its sealed file, and the next start removes it.
    let _ = storage.sync_parent(segment);
    Ok(())
}

/// Writes rows at rest, in order, as a Parquet file of the store: beside, synced, renamed, folder synced.
///
/// # Errors
/// When the file cannot be written; nothing is at `path` then.
pub fn write_parquet(path: &Path, table: &Table, batch: &RecordBatch) -> Result<()> {
    Beside::write(&FileSystem, path, table, std::iter::once(Ok(batch.clone())))?.appear()
}

/// A Parquet file beside the place where it is to be; removed if it does not appear there.
struct Beside<'a> {
    storage: &'a dyn Storage,
    path: &'a Path,
    beside: PathBuf,
}

impl<'a> Beside<'a> {
    fn write(
        storage: &'a dyn Storage,
        path: &'a Path,
        table: &Table,
        batches: impl Iterator<Item = Result<RecordBatch>>,
    ) -> Result<Self> {
        storage.create_dir_durably(path.parent().unwrap_or(Path::new(".")))?;
        let this = Self { storage, path, beside: beside(path) };
        this.fill(table, batches)?;
        Ok(this)
    }

    fn fill(
        &self,
        table: &Table,
        batches: impl Iterator<Item = Result<RecordBatch>>,
    ) -> Result<()> {
        let failed = |source| StoreError::Parquet { path: self.beside.clone(), source };
        let mut file = self.storage.create_anew(&self.beside)?;
        let options = ArrowWriterOptions::new()
            .with_properties(properties(table))
            // It would say 32-bit decimals: see `announced_schema`.
            .with_skip_arrow_metadata(true);
        let mut writer = ArrowWriter::try_new_with_options(&mut file, table.schema(), options)
            .map_err(failed)?;
        for batch in batches {
            writer.write(&batch?).map_err(failed)?;
        }
        writer.close().map_err(failed)?;
        Ok(file.sync()?)
    }

    fn appear(self) -> Result<()> {
        self.storage.rename(&self.beside, self.path)?;
        self.storage.sync_parent(self.path)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rows;
    use crate::rest::Origin;
    use crate::segment::SegmentWriter;
    use crate::{Footer, Store};

    fn rows(table: &'static Table, stamps: std::ops::Range<i64>) -> RecordBatch {
        let mut rows = Rows::new(table);
        let stage = rows.column("stage");
        for ts in stamps {
            rows.begin(ts * 1000, "t");
            rows.str(stage, "ingress");
        }
        rows.finish()
    }

    /// Parts are read a megabyte at a time: each of these is larger.
    #[test]
    fn a_segment_of_many_parts_is_sealed_in_order_however_they_came() {
        let table = bl_schemas::table("pipeline").unwrap();
        let origin = Origin { session: "s".into(), node: "n".into() };
        for (seq, parts) in
            [[0..50_000, 50_000..100_000], [50_000..100_000, 0..50_000]].into_iter().enumerate()
        {
            let root = tempfile::tempdir().unwrap();
            let dir = Store::new(root.path()).dir(&"s".parse().unwrap());
            let seq = seq as u64;
            let segment = dir.segment(&table.name, seq);
            dir.storage().create_dir_durably(segment.parent().unwrap()).unwrap();
            let mut writer =
                SegmentWriter::create(dir.storage(), &segment, &table.row_schema()).unwrap();
            parts.into_iter().for_each(|part| writer.append(&rows(table, part)).unwrap());
            let sealed = seal(&dir, table, &origin, seq).unwrap();
            assert_eq!((sealed.rows, sealed.damage), (100_000, Damage::default()));
            let file = sealed.file.unwrap();
            let footer = Footer::read(&file).unwrap();
            assert_eq!((footer.rows, footer.first_ts), (100_000, Some(0)));
            assert_eq!(footer.last_ts, Some(99_999_000));
            let left = std::fs::read_dir(file.parent().unwrap()).unwrap().count();
            assert_eq!((left, segment.exists()), (1, false));
        }
    }
}
