//! Reading a segment.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::{ArrowError, SchemaRef};
use arrow_select::concat::concat_batches;
use bl_schemas::Table;
use fs_err as fs;

use super::{Damage, Extent, new_encoder};
use crate::error::{Result, StoreError};
use crate::frame;

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
    /// What lies behind is not looked at.
    end: u64,
    damage: Damage,
    /// Rows that whole headers behind the last good frame speak of.
    tail_rows: u64,
    /// Where the frames ended that were read, and their rows.
    read: Vec<(u64, u64)>,
}

/// Some frames of a segment, and the bytes that they lie in.
pub(crate) struct Window {
    bytes: Buffer,
    /// Where in the segment the bytes begin.
    at: u64,
    frames: Vec<frame::Frame>,
}

/// Where the payload of a frame lies in its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub at: u64,
    pub bytes: usize,
}

impl SegmentReader {
    /// Opens a segment of `table` at its beginning.
    ///
    /// # Errors
    /// When the file cannot be opened; `NotFound` when it has been sealed in between. When the segment is of a format
    /// that this program does not know ([`StoreError::Newer`]).
    pub fn open(path: &Path, table: &Table) -> Result<Self> {
        let this = Self {
            path: path.into(),
            file: fs::File::open(path)?,
            decoder: StreamDecoder::new(),
            schema: table.row_schema(),
            at: 0,
            end: u64::MAX,
            damage: Damage::default(),
            tail_rows: 0,
            read: Vec::new(),
        };
        let header = this.read(0, frame::FILE_HEADER.len())?;
        match frame::version(&header) {
            Some(version) if version > frame::VERSION => Err(StoreError::Newer {
                path: path.into(),
                what: format!("segment format {version}, this program knows {}", frame::VERSION),
            }),
            _ => Ok(this),
        }
    }

    /// Looks at no more than was appended, as its writer knows it.
    pub(crate) fn up_to(mut self, end: u64) -> Self {
        self.end = end;
        self
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
        while let Some(window) = self.next_window()? {
            let batches = self
                .decode_window(&window)?
                .into_iter()
                .map(|(_, batch)| batch)
                .collect::<Vec<_>>();
            match &batches[..] {
                [] => {}
                [one] => return Ok(Some(one.clone())),
                [first, ..] => {
                    let joined = concat_batches(first.schema_ref(), &batches);
                    return joined.map(Some).map_err(|e| self.broken(e));
                }
            }
        }
        Ok(None)
    }

    /// The next frames, those of about a megabyte. `None` where no whole frame is left.
    pub(crate) fn next_window(&mut self) -> Result<Option<Window>> {
        let mut window = WINDOW;
        loop {
            let bytes = self.read(self.at, window)?;
            let is_all = bytes.len() < window;
            let start = if self.at == 0 { frame::FILE_HEADER.len() } else { 0 };
            let scan = bytes.get(start..).map(frame::scan).unwrap_or_default();
            if scan.end == 0 && !is_all {
                // A large frame, or a long stretch of damage.
                window *= 2;
                continue;
            }
            if is_all {
                self.damage.torn_bytes = bytes.len().saturating_sub(start + scan.end) as u64;
                self.tail_rows = scan.tail_rows.into();
            }
            return Ok((scan.end > 0).then(|| self.accept(bytes, start, scan)));
        }
    }

    /// Takes the frames that were found in bytes from where the last ones ended.
    fn accept(&mut self, bytes: Buffer, start: usize, scan: frame::Scan) -> Window {
        // A flipped byte in the header costs nothing: frames are found by their own checksums.
        if bytes[..start] != frame::FILE_HEADER[..start] {
            self.damage.bytes += start as u64;
        }
        self.damage.bytes += scan.damaged.iter().map(|(r, _)| r.len() as u64).sum::<u64>();
        self.damage.rows += scan.damaged.iter().map(|(_, rows)| u64::from(*rows)).sum::<u64>();
        let frames = scan.frames.into_iter().map(|f| frame::Frame {
            rows: f.rows,
            payload: start + f.payload.start..start + f.payload.end,
        });
        let window = Window { bytes, at: self.at, frames: frames.collect() };
        self.at += (start + scan.end) as u64;
        window
    }

    /// The rows of the frames, and where they lie.
    pub(crate) fn decode_window(&mut self, window: &Window) -> Result<Vec<(Place, RecordBatch)>> {
        let mut rows = Vec::with_capacity(window.frames.len());
        if self.decoder.schema().is_none() && window.frames.first().is_some_and(|f| f.rows > 0) {
            self.decode(schema_message(&self.schema)?)?;
        }
        for f in &window.frames {
            self.read.push((window.at + f.payload.end as u64, f.rows.into()));
            let place = Place { at: window.at + f.payload.start as u64, bytes: f.payload.len() };
            let payload = window.bytes.slice_with_length(f.payload.start, f.payload.len());
            rows.extend(self.decode(payload)?.map(|batch| (place, batch)));
        }
        Ok(rows)
    }

    /// How many of the rows that were read its writer has taken back since, after a sync that failed: it appends them to
    /// its next segment, first and in the same order. Each is counted once.
    pub(crate) fn taken_back(&mut self) -> Result<u64> {
        let length = self.file.metadata()?.len();
        if length >= self.at {
            return Ok(0);
        }
        self.at = length;
        let kept = self.read.partition_point(|(end, _)| *end <= length);
        Ok(self.read.drain(kept..).map(|(_, rows)| rows).sum())
    }

    /// The rows of one frame that was found before.
    pub(crate) fn read_frame(&mut self, place: Place) -> Result<RecordBatch> {
        let payload = self.read(place.at, place.bytes)?;
        let rows = if payload.len() == place.bytes { self.decode(payload)? } else { None };
        rows.ok_or_else(|| StoreError::Segment {
            path: self.path.clone(),
            what: format!("a frame at byte {} was there a moment ago", place.at),
        })
    }

    /// Bytes of the segment read so far.
    pub fn bytes_read(&self) -> u64 {
        self.at
    }

    /// What was found damaged so far. `torn_bytes` of a segment that is being written is a frame on its way.
    pub fn damage(&self) -> &Damage {
        &self.damage
    }

    /// What is damaged in a segment that nobody writes any more and that was read to its end: `rows` were found in it,
    /// and `appended` is what its writer knows.
    pub(crate) fn final_damage(&self, rows: u64, appended: Option<Extent>) -> Result<Damage> {
        let mut damage = self.damage.clone();
        match appended {
            Some(appended) => {
                damage.torn_bytes = 0;
                if self.at < appended.bytes {
                    damage.bytes += appended.bytes - self.at;
                }
                damage.rows = damage.rows.max(appended.rows.saturating_sub(rows));
            }
            None if damage.torn_bytes > 0 && !self.ends_torn()? => {
                damage.bytes += std::mem::take(&mut damage.torn_bytes);
                damage.rows += self.tail_rows;
            }
            None => {}
        }
        Ok(damage)
    }

    /// Whether what follows the last good frame is what a death or a power cut leaves: the beginning of a frame, or
    /// zeros. Anything else was written whole and is broken now.
    fn ends_torn(&self) -> Result<bool> {
        let tail =
            self.read(self.at, usize::try_from(self.damage.torn_bytes).unwrap_or(usize::MAX))?;
        Ok(tail.iter().all(|b| *b == 0) || frame::begins_frame(&tail))
    }

    fn decode(&mut self, mut payload: Buffer) -> Result<Option<RecordBatch>> {
        let mut rows = None;
        while payload.len() >= 8 {
            // Arrow takes the places of buffers in a message for granted, and panics where they lie outside of it.
            let decoded = catch_unwind(AssertUnwindSafe(|| self.decoder.decode(&mut payload)));
            let decoded = decoded.map_err(|_| StoreError::Segment {
                path: self.path.clone(),
                what: "the checksums of a frame hold, and there are no rows in it".into(),
            })?;
            if let Some(batch) = decoded.map_err(|e| self.broken(e))? {
                rows = Some(batch);
            }
        }
        Ok(rows.filter(|b| b.num_rows() > 0))
    }

    fn broken(&self, e: ArrowError) -> StoreError {
        StoreError::arrow(format!("{}", self.path.display()), e)
    }

    /// At most so many bytes, from there on.
    fn read(&self, at: u64, bytes: usize) -> Result<Buffer> {
        let rest = self.file.metadata()?.len().min(self.end).saturating_sub(at);
        let length = usize::try_from(rest).unwrap_or(usize::MAX).min(bytes);
        let mut bytes = MutableBuffer::from_len_zeroed(length);
        let mut filled = 0;
        while filled < length {
            let n = rustix::io::pread(
                self.file.file(),
                &mut bytes.as_slice_mut()[filled..],
                at + filled as u64,
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
