//! Writing a segment.

use std::io::IoSlice;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::writer::StreamEncoder;
use arrow_schema::SchemaRef;

use super::{Extent, new_encoder};
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
