//! The lines of a stream that may say anything.

use std::io::{self, BufRead};

/// A longer line is none of ours.
const MAX_LINE_BYTES: usize = 64 << 10;

/// Reads lines; one that is too long is passed over, not kept.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    text: Vec<u8>,
}

/// A line, or that one was too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Text(&'a [u8]),
    TooLong,
}

impl<R: BufRead> Lines<R> {
    pub fn new(reader: R) -> Self {
        Self { reader, text: Vec::new() }
    }

    /// The next line without its end; `None` at the end of the stream. What is left there without a line's end was
    /// cut off, and is no line.
    ///
    /// # Errors
    /// When reading fails.
    pub fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.text.clear();
        let mut too_long = false;
        loop {
            let got = self.reader.fill_buf()?;
            if got.is_empty() {
                return Ok(None);
            }
            let end = memchr::memchr(b'\n', got);
            let part = &got[..end.unwrap_or(got.len())];
            too_long |= self.text.len() + part.len() > MAX_LINE_BYTES;
            if !too_long {
                self.text.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                break;
            }
        }
        Ok(Some(if too_long { Line::TooLong } else { Line::Text(self.text.trim_ascii()) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    #[test]
    fn long_lines_are_passed_over_and_the_next_is_read() {
        let long = "x".repeat(MAX_LINE_BYTES + 1);
        let text = format!("a\r\n{long}\n\nb\ncut off");
        for capacity in [1, 7, 100_000] {
            let mut lines = Lines::new(BufReader::with_capacity(capacity, text.as_bytes()));
            assert_eq!(lines.next().unwrap(), Some(Line::Text(b"a")));
            assert_eq!(lines.next().unwrap(), Some(Line::TooLong));
            assert_eq!(lines.next().unwrap(), Some(Line::Text(b"")));
            assert_eq!(lines.next().unwrap(), Some(Line::Text(b"b")));
            assert_eq!(lines.next().unwrap(), None);
        }
    }
}
