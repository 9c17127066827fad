//! Write-ahead segments: rows on disk within a tenth of a second of their collection.

mod reader;
mod writer;

use arrow_ipc::MetadataVersion;
use arrow_ipc::writer::{IpcWriteOptions, StreamEncoder};
use arrow_schema::SchemaRef;

use crate::error::{Result, StoreError};

pub(crate) use reader::Place;
pub use reader::SegmentReader;
pub(crate) use writer::SegmentWriter;

/// How far a segment reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    pub bytes: u64,
    pub rows: u64,
}

/// What was damaged in a segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Damage {
    /// Bytes in the middle that made no sense.
    pub bytes: u64,
    /// Rows that these bytes held, as far as their headers told.
    pub rows: u64,
    /// Bytes at the end that were torn: a frame that was never whole on disk.
    pub torn_bytes: u64,
}

impl Damage {
    /// Whether something that had been whole is broken now.
    pub fn is_serious(&self) -> bool {
        self.bytes > 0
    }
}

fn new_encoder(schema: &SchemaRef) -> Result<StreamEncoder> {
    IpcWriteOptions::try_new(8, false, MetadataVersion::V5)
        .and_then(|options| StreamEncoder::try_new_with_options(schema, options))
        .map_err(|e| StoreError::arrow("encoding a schema", e))
}

#[cfg(test)]
mod tests {
    use arrow_array::RecordBatch;
    use arrow_select::concat::concat_batches;

    use super::*;
    use crate::Rows;
    use crate::storage::FileSystem;

    fn rows(from: i64, n: i64) -> RecordBatch {
        let mut rows = Rows::new(bl_schemas::table("pipeline").unwrap());
        let (stage, frame) = (rows.column("stage"), rows.column("frame"));
        for i in from..from + n {
            rows.begin(i * 1000, "t");
            rows.str(stage, "ingress");
            rows.i64(frame, i);
        }
        rows.finish()
    }

    #[test]
    fn what_is_appended_is_read_again_as_it_grows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("000001.wal");
        let table = bl_schemas::table("pipeline").unwrap();
        let mut writer = SegmentWriter::create(&FileSystem, &path, &table.row_schema()).unwrap();
        let mut reader = SegmentReader::open(&path, table).unwrap();
        assert!(reader.read_new().unwrap().is_empty());
        for k in 0..5 {
            writer.append(&rows(k * 10, 10)).unwrap();
            writer.append(&rows(k * 10 + 10, 3)).unwrap();
            assert_eq!(reader.read_new().unwrap(), [rows(k * 10, 13)]);
        }
        writer.sync().unwrap();
        assert_eq!(writer.whole().bytes, std::fs::metadata(&path).unwrap().len());
        assert_eq!(reader.damage(), &Damage::default());
        let mut all = SegmentReader::open(&path, table).unwrap().read_new().unwrap();
        assert_eq!(all.iter().map(RecordBatch::num_rows).sum::<usize>(), 65);
        // Longer than is read at a time.
        writer.append(&rows(0, 40_000)).unwrap();
        writer.append(&rows(40_000, 2)).unwrap();
        all = reader.read_new().unwrap();
        assert_eq!(concat_batches(all[0].schema_ref(), &all).unwrap(), rows(0, 40_002));
        let again = SegmentReader::open(&path, table).unwrap().read_new().unwrap();
        assert_eq!(again.iter().map(RecordBatch::num_rows).sum::<usize>(), 65 + 40_002);
    }

    #[test]
    fn a_flipped_byte_costs_its_frame_and_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("000001.wal");
        let table = bl_schemas::table("pipeline").unwrap();
        let mut writer = SegmentWriter::create(&FileSystem, &path, &table.row_schema()).unwrap();
        let mut ends = vec![writer.whole().bytes];
        for k in 0..4 {
            writer.append(&rows(k * 10, 10)).unwrap();
            ends.push(writer.whole().bytes);
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let place = (ends[1] + 40) as usize;
        bytes[place] ^= 0x10;
        bytes.extend([7; 100]);
        std::fs::write(&path, &bytes).unwrap();
        let mut reader = SegmentReader::open(&path, table).unwrap();
        let wanted = [rows(0, 10), rows(20, 20)];
        let found = reader.read_new().unwrap();
        assert_eq!(found, [concat_batches(found[0].schema_ref(), &wanted).unwrap()]);
        let damage = Damage { bytes: ends[2] - ends[1], rows: 10, torn_bytes: 100 };
        assert_eq!(reader.damage(), &damage);
        // Nor is the frame with the schema missed.
        bytes[30] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(SegmentReader::open(&path, table).unwrap().read_new().unwrap(), found);
    }
}
