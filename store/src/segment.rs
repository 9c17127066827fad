//! Write-ahead segments: rows on disk within a tenth of a second of their collection.

use std::io::IoSlice;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::MetadataVersion;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::{IpcWriteOptions, StreamEncoder};
use arrow_schema::{ArrowError, SchemaRef};
use arrow_select::concat::concat_batches;
use bl_schemas::Table;
use fs_err as fs;

use crate::error::{Result, StoreError};
use crate::frame;
use crate::storage::{Storage, StorageFile};

/// A segment that is being written.
pub(crate) struct SegmentWriter {
    file: Box<dyn StorageFile>,
    encoder: StreamEncoder,
    /// What was appended whole.
    whole: Extent,
    /// What of it was synced.
    synced: Extent,
    /// Whether a torn frame may lie behind what is whole.
    torn: bool,
}

/// How far a segment reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    pub bytes: u64,
    pub rows: u64,
}

impl SegmentWriter {
    /// Creates the segment with its header and a frame that holds the schema.
    pub fn create(storage: &dyn Storage, path: &Path, schema: &SchemaRef) -> Result<Self> {
        let encoder = new_encoder(schema)?;
        let file = storage.create_new(path)?;
        let none = Extent::default();
        let mut writer = Self { file, encoder, whole: none, synced: none, torn: false };
        writer.file.write_all(&frame::FILE_HEADER)?;
        writer.whole.bytes = frame::FILE_HEADER.len() as u64;
        // The encoder puts the schema before the first batch: an empty one brings it out alone.
        writer.append(&RecordBatch::new_empty(schema.clone()))?;
        Ok(writer)
    }

    /// Appends rows as one frame. After an error nothing of it is in the segment.
    pub fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.torn {
            self.cut(self.whole)?;
        }
        let mut parts =
            self.encoder.encode(batch).map_err(|e| StoreError::arrow("encoding rows", e))?;
        let length: usize = parts.iter().map(Buffer::len).sum();
        let padding = length.next_multiple_of(8) - length;
        parts.push(Buffer::from(&[0u8; 8][..padding]));
        let mut crc = crc32fast::Hasher::new();
        parts.iter().for_each(|p| crc.update(p));
        let rows = batch.num_rows();
        let header = frame::header(rows as u32, (length + padding) as u32, crc.finalize());
        if let Err(e) = self.write_frame(&header, &parts) {
            self.torn = true;
            // Should this fail too, it is tried again before the next frame.
            let _ = self.cut(self.whole);
            return Err(e.into());
        }
        self.whole.bytes += (frame::HEADER_BYTES + length + padding) as u64;
        self.whole.rows += rows as u64;
        Ok(())
    }

    fn write_frame(&mut self, header: &[u8], parts: &[Buffer]) -> std::io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(parts.len() + 1);
        slices.push(IoSlice::new(header));
        slices.extend(parts.iter().filter(|p| !p.is_empty()).map(|p| IoSlice::new(p)));
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            match self.file.write_vectored(rest) {
                Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
                Ok(n) => IoSlice::advance_slices(&mut rest, n),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn cut(&mut self, to: Extent) -> Result<()> {
        self.torn = true;
        self.file.cut(to.bytes)?;
        self.torn = false;
        self.whole = to;
        Ok(())
    }

    /// Makes durable what was appended. After an error nothing may be appended any more: see
    /// [`retreat`](Self::retreat).
    pub fn sync(&mut self) -> Result<()> {
        if self.whole.bytes > self.synced.bytes {
            self.file.sync()?;
            self.synced = self.whole;
        }
        Ok(())
    }

    /// After a sync that failed: takes back what is not known to be on the disk, so that it can be written elsewhere
    /// without being there twice. May be tried again.
    pub fn retreat(&mut self) -> Result<()> {
        self.cut(self.synced)?;
        Ok(self.file.sync()?)
    }

    /// What was appended whole.
    pub fn whole(&self) -> Extent {
        self.whole
    }
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

/// Bytes of a segment that are read at a time.
const WINDOW: usize = 1 << 20;

/// Reads a segment, and again what has been appended since.
#[derive(Debug)]
pub struct SegmentReader {
    path: PathBuf,
    file: fs::File,
    decoder: StreamDecoder,
    /// The schema to go by where the segment's own is damaged.
    schema: SchemaRef,
    /// Where the next frame begins.
    at: u64,
    damage: Damage,
}

impl SegmentReader {
    /// Opens a segment of `table` at its beginning.
    ///
    /// # Errors
    /// When the file cannot be opened; `NotFound` when it has been sealed in between.
    pub fn open(path: &Path, table: &Table) -> Result<Self> {
        Ok(Self {
            path: path.into(),
            file: fs::File::open(path)?,
            decoder: StreamDecoder::new(),
            schema: table.row_schema(),
            at: 0,
            damage: Damage::default(),
        })
    }

    /// The rows appended since the last call, in the row schema that they were written in.
    ///
    /// # Errors
    /// When the file cannot be read or is no segment. Damage is no error: see [`damage`](Self::damage).
    pub fn read_new(&mut self) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        while let Some(batch) = self.read_some()? {
            batches.push(batch);
        }
        Ok(batches)
    }

    /// The next rows as one batch: those of about a megabyte, so that a whole segment need not be in memory,
    /// and so that its many small frames do not stay small (an array costs some hundred bytes, whatever it holds).
    /// `None` where no whole frame is left.
    ///
    /// # Errors
    /// As [`read_new`](Self::read_new).
    pub fn read_some(&mut self) -> Result<Option<RecordBatch>> {
        let mut window = WINDOW;
        loop {
            let bytes = self.read_window(window)?;
            let is_all = bytes.len() < window;
            let start = if self.at == 0 { frame::FILE_HEADER.len() } else { 0 };
            let scan = bytes.get(start..).map(frame::scan).unwrap_or_default();
            if scan.end == 0 {
                if is_all {
                    self.damage.torn_bytes = bytes.len().saturating_sub(start) as u64;
                    return Ok(None);
                }
                // A large frame, or a long stretch of damage.
                window *= 2;
                continue;
            }
            let batches = self.accept(&bytes, start, scan, is_all)?;
            window = WINDOW;
            match &batches[..] {
                [] => {}
                [one] => return Ok(Some(one.clone())),
                [first, ..] => {
                    let joined = concat_batches(first.schema_ref(), &batches);
                    return joined.map(Some).map_err(|e| self.broken(e));
                }
            }
        }
    }

    /// Takes the frames that were found in bytes from where the last ones ended.
    fn accept(
        &mut self,
        bytes: &Buffer,
        start: usize,
        scan: frame::Scan,
        is_all: bool,
    ) -> Result<Vec<RecordBatch>> {
        // A flipped byte in the header costs nothing: frames are found by their own checksums.
        if bytes[..start] != frame::FILE_HEADER[..start] {
            self.damage.bytes += start as u64;
        }
        self.damage.bytes += scan.damaged.iter().map(|(r, _)| r.len() as u64).sum::<u64>();
        self.damage.rows += scan.damaged.iter().map(|(_, rows)| u64::from(*rows)).sum::<u64>();
        let whole = start + scan.end;
        self.damage.torn_bytes = if is_all { (bytes.len() - whole) as u64 } else { 0 };
        self.at += whole as u64;
        let mut batches = Vec::with_capacity(scan.frames.len());
        if self.decoder.schema().is_none() && scan.frames.first().is_some_and(|f| f.rows > 0) {
            self.decode(schema_message(&self.schema)?)?;
        }
        for f in scan.frames {
            let payload = bytes.slice_with_length(start + f.payload.start, f.payload.len());
            batches.extend(self.decode(payload)?);
        }
        Ok(batches)
    }

    /// Bytes of the segment read so far.
    pub fn bytes_read(&self) -> u64 {
        self.at
    }

    /// What was found damaged so far. `torn_bytes` of a segment that is being written is a frame on its way.
    pub fn damage(&self) -> &Damage {
        &self.damage
    }

    fn decode(&mut self, mut payload: Buffer) -> Result<Option<RecordBatch>> {
        let mut rows = None;
        while payload.len() >= 8 {
            let decoded = self.decoder.decode(&mut payload);
            if let Some(batch) = decoded.map_err(|e| self.broken(e))? {
                rows = Some(batch);
            }
        }
        Ok(rows.filter(|b| b.num_rows() > 0))
    }

    fn broken(&self, e: ArrowError) -> StoreError {
        StoreError::arrow(format!("{}", self.path.display()), e)
    }

    /// At most so many bytes, from where the last frame ended.
    fn read_window(&self, window: usize) -> Result<Buffer> {
        let rest = self.file.metadata()?.len().saturating_sub(self.at) as usize;
        let length = rest.min(window);
        let mut bytes = MutableBuffer::from_len_zeroed(length);
        let mut filled = 0;
        while filled < length {
            let n = rustix::io::pread(
                self.file.file(),
                &mut bytes.as_slice_mut()[filled..],
                self.at + filled as u64,
            )
            .map_err(|e| std::io::Error::other(format!("{}: {e}", self.path.display())))?;
            if n == 0 {
                break;
            }
            filled += n;
        }
        bytes.truncate(filled);
        Ok(bytes.into())
    }
}

/// The IPC message that tells a schema.
fn schema_message(schema: &SchemaRef) -> Result<Buffer> {
    let parts = new_encoder(schema)?
        .encode(&RecordBatch::new_empty(schema.clone()))
        .map_err(|e| StoreError::arrow("encoding a schema", e))?;
    Ok(parts.iter().flat_map(|p| p.iter().copied()).collect::<MutableBuffer>().into())
}

fn new_encoder(schema: &SchemaRef) -> Result<StreamEncoder> {
    IpcWriteOptions::try_new(8, false, MetadataVersion::V5)
        .and_then(|options| StreamEncoder::try_new_with_options(schema, options))
        .map_err(|e| StoreError::arrow("encoding a schema", e))
}

#[cfg(test)]
mod tests {
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
