//! Sealing: a segment becomes a Parquet file for each hour that it has rows of, at once or not at all.

use std::path::{Path, PathBuf};

use bl_schemas::Table;

use crate::error::Result;
use crate::index::{self, Entry};
use crate::layout::SessionDir;
use crate::manifest::FORMAT;
use crate::merge::Survey;
use crate::parquet_file::Beside;
use crate::rest::Origin;
use crate::segment::{Damage, Extent};
use crate::sequence;
use crate::storage::Storage;

/// What became of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// The Parquet files, one for each hour; none when the segment held no row.
    pub files: Vec<PathBuf>,
    pub rows: u64,
    pub damage: Damage,
}

/// Seals segment `seq` of a table; `appended` is what its writer knows of it.
///
/// Whenever the process dies, the segment's rows are there once: the file of its first hour appears last, and from then on
/// the segment of the same number does not count. Until then its other files do not.
///
/// # Errors
/// When it cannot be read or the files cannot be written: the segment stays then, and so it does when it holds what this
/// program does not know.
pub(crate) fn seal(
    dir: &SessionDir,
    table: &Table,
    origin: &Origin,
    seq: u64,
    appended: Option<Extent>,
) -> Result<Sealed> {
    let segment = dir.segment(&table.name, seq);
    let mut survey = Survey::take(&segment, table, origin, appended)?;
    let (rows, damage) = (survey.rows() as u64, survey.damage.clone());
    let mut written = Vec::new();
    for (part, hour) in survey.hours().iter().enumerate() {
        let path = dir.sealed(&table.name, seq, part, hour.first_ts);
        written.push(Beside::write(dir.storage(), &path, table, survey.parts(hour))?);
    }
    sequence::note(dir, &table.name, seq)?;
    let entries: Vec<_> = written.iter().filter_map(entry).collect();
    let files = written.into_iter().rev().map(Beside::appear).collect::<Result<Vec<_>>>()?;
    for day in entries.chunk_by(|a, b| a.0 == b.0) {
        index::add(dir.storage(), &day[0].0, day.iter().map(|(_, e)| e.clone()).collect())?;
    }
    put_away(dir.storage(), &segment, &damage)?;
    Ok(Sealed { files, rows, damage })
}

/// What the index tells of a file, and the folder of its day.
fn entry(file: &Beside<'_>) -> Option<(PathBuf, Entry)> {
    let (path, written) = (file.path(), file.written());
    let day = path.parent()?.parent()?;
    let entry = Entry {
        file: path.strip_prefix(day).ok()?.to_str()?.to_owned(),
        rows: written.rows,
        bytes: written.bytes,
        min_ts: written.min_ts,
        max_ts: written.max_ts,
        crc32: Some(written.crc32),
        format: FORMAT,
        other: Default::default(),
    };
    Some((day.into(), entry))
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

#[cfg(test)]
mod tests {
    use arrow_array::RecordBatch;

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
            let sealed = seal(&dir, table, &origin, seq, None).unwrap();
            assert_eq!((sealed.rows, sealed.damage), (100_000, Damage::default()));
            let file = sealed.files[0].clone();
            let footer = Footer::read(&file).unwrap();
            assert_eq!((footer.rows, footer.first_ts), (100_000, Some(0)));
            assert_eq!(footer.last_ts, Some(99_999_000));
            let left = std::fs::read_dir(file.parent().unwrap()).unwrap().count();
            assert_eq!((left, segment.exists()), (1, false));
        }
    }
}
