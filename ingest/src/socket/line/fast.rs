//! The plain form of an event: one pass, no allocation.

use std::borrow::Cow;

use super::Event;

/// Reads an event in its plain form: a flat object of known keys, each once, in any order, with integers of up
/// to 18 digits and strings of printable ASCII without escapes. `None` says "not plain", not "wrong".
pub(super) fn event(bytes: &[u8]) -> Option<Event<'_>> {
    let mut cursor = Cursor { bytes, at: 0 };
    let mut event = Event::default();
    let mut seen = 0u8;
    cursor.expect(b'{')?;
    loop {
        let key = cursor.string()?;
        cursor.expect(b':')?;
        let bit = match key {
            "stage" => {
                event.stage = Cow::Borrowed(cursor.string()?);
                1
            }
            "pipeline" => {
                event.pipeline = cursor.string_or_null()?.map(Cow::Borrowed);
                2
            }
            "frame" => {
                event.frame = cursor.integer_or_null()?;
                4
            }
            "ts_ns" => {
                event.ts_ns = cursor.integer_or_null()?;
                8
            }
            "key_ns" => {
                event.key_ns = cursor.integer_or_null()?;
                16
            }
            "pts_ns" => {
                event.pts_ns = cursor.integer_or_null()?;
                32
            }
            "seq" => {
                event.seq = cursor.integer_or_null()?;
                64
            }
            "attrs" => {
                cursor.null()?;
                128
            }
            _ => return None,
        };
        if seen & bit != 0 {
            return None;
        }
        seen |= bit;
        match cursor.next_token()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    cursor.skip_space();
    (cursor.at == bytes.len() && !event.stage.is_empty()).then_some(event)
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    #[inline]
    fn next_token(&mut self) -> Option<u8> {
        self.skip_space();
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next_token()? == byte).then_some(())
    }

    #[inline]
    fn string(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let rest = &self.bytes[self.at..];
        let length =
            rest.iter().position(|&b| b == b'"' || b == b'\\' || !(0x20..0x80).contains(&b))?;
        if rest[length] != b'"' {
            return None;
        }
        self.at += length + 1;
        std::str::from_utf8(&rest[..length]).ok()
    }

    #[inline]
    fn integer(&mut self) -> Option<i64> {
        let negative = self.peek()? == b'-';
        self.at += usize::from(negative);
        let rest = &self.bytes[self.at..];
        let mut value = 0i64;
        let mut digits = 0;
        while let Some(digit @ b'0'..=b'9') = rest.get(digits) {
            // 18 digits fit; the wrapping beyond them is thrown away below.
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            digits += 1;
        }
        // JSON has no leading zeros; -0 is a float to serde_json.
        let zero = rest.first() == Some(&b'0');
        if digits == 0 || digits > 18 || (zero && (digits > 1 || negative)) {
            return None;
        }
        self.at += digits;
        Some(if negative { -value } else { value })
    }

    #[inline]
    fn null(&mut self) -> Option<()> {
        self.skip_space();
        self.bytes[self.at..].starts_with(b"null").then(|| self.at += 4)
    }

    #[inline]
    fn integer_or_null(&mut self) -> Option<Option<i64>> {
        self.skip_space();
        match self.peek()? {
            b'n' => self.null().map(|()| None),
            _ => self.integer().map(Some),
        }
    }

    #[inline]
    fn string_or_null(&mut self) -> Option<Option<&'a str>> {
        self.skip_space();
        match self.peek()? {
            b'n' => self.null().map(|()| None),
            _ => self.string().map(Some),
        }
    }
}
