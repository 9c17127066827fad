//! The lines of a file, plain or compressed by gzip.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::ImportError;

/// A longer line is none of ours: it would only fill the memory.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// Reads a file line by line. Compression is told by the file's first bytes, not by its name.
pub(super) struct Lines {
    reader: Box<dyn BufRead>,
    text: Vec<u8>,
    number: u64,
}

impl Lines {
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let open = || -> std::io::Result<Box<dyn BufRead>> {
            let mut plain = BufReader::with_capacity(256 * 1024, File::open(path)?);
            Ok(if plain.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
                Box::new(BufReader::with_capacity(256 * 1024, MultiGzDecoder::new(plain)))
            } else {
                Box::new(plain)
            })
        };
        let reader = open().map_err(|e| ImportError::io(path, e))?;
        Ok(Self { reader, text: Vec::new(), number: 0 })
    }

    /// The next line without its end (LF or CRLF), and its number from 1. A byte order mark before the first
    /// line is passed over.
    ///
    /// # Errors
    /// When reading fails, such as in a compressed file that was cut off; nothing more can be read then.
    pub fn next(&mut self) -> std::io::Result<Option<(u64, &[u8])>> {
        self.text.clear();
        let mut limited = (&mut self.reader).take(MAX_LINE_BYTES);
        if limited.read_until(b'\n', &mut self.text)? == 0 {
            return Ok(None);
        }
        if self.text.len() as u64 == MAX_LINE_BYTES && self.text.last() != Some(&b'\n') {
            return Err(std::io::Error::other(format!(
                "a line of more than {MAX_LINE_BYTES} bytes"
            )));
        }
        self.number += 1;
        let line = self.text.strip_suffix(b"\n").unwrap_or(&self.text);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = match self.number {
            1 => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line),
            _ => line,
        };
        Ok(Some((self.number, line)))
    }

    /// The number of the line that [`next`](Self::next) was to read when it failed.
    pub fn failed_at(&self) -> u64 {
        self.number + 1
    }
}
