//! One description of a structure for both directions.
//!
//! A [`Layout`] walks its fields in the order of the wire. Whether that reads, writes or counts depends on the
//! [`Wire`] it is given, so a structure's layout is written once.

/// Structures with a place in a reply or a request.
pub trait Layout {
    /// Walks the fields in the order of the wire, pad bytes included.
    fn wire(&mut self, wire: &mut impl Wire);
}

/// What a [`Layout`] walks on: a reader fills the fields, a writer takes them.
pub trait Wire {
    /// The next `N` bytes.
    fn bytes<const N: usize>(&mut self, value: &mut [u8; N]);

    /// `N` bytes without a meaning, 0 when written.
    fn pad<const N: usize>(&mut self) {
        self.bytes(&mut [0; N]);
    }

    /// A byte.
    fn u8(&mut self, value: &mut u8) {
        let mut bytes = [*value];
        self.bytes(&mut bytes);
        *value = bytes[0];
    }

    /// Two bytes, unsigned.
    fn u16(&mut self, value: &mut u16) {
        let mut bytes = value.to_le_bytes();
        self.bytes(&mut bytes);
        *value = u16::from_le_bytes(bytes);
    }

    /// Two bytes, signed.
    fn i16(&mut self, value: &mut i16) {
        let mut bytes = value.to_le_bytes();
        self.bytes(&mut bytes);
        *value = i16::from_le_bytes(bytes);
    }

    /// Four bytes, signed.
    fn i32(&mut self, value: &mut i32) {
        let mut bytes = value.to_le_bytes();
        self.bytes(&mut bytes);
        *value = i32::from_le_bytes(bytes);
    }

    /// Eight bytes, unsigned.
    fn u64(&mut self, value: &mut u64) {
        let mut bytes = value.to_le_bytes();
        self.bytes(&mut bytes);
        *value = u64::from_le_bytes(bytes);
    }
}

struct Reader<'a>(&'a [u8]);

impl Wire for Reader<'_> {
    fn bytes<const N: usize>(&mut self, value: &mut [u8; N]) {
        // `decode` has compared the sizes: there are always enough.
        if let Some((head, tail)) = self.0.split_first_chunk() {
            *value = *head;
            self.0 = tail;
        }
    }
}

struct Writer(Vec<u8>);

impl Wire for Writer {
    fn bytes<const N: usize>(&mut self, value: &mut [u8; N]) {
        self.0.extend_from_slice(value);
    }
}

struct Counter(usize);

impl Wire for Counter {
    fn bytes<const N: usize>(&mut self, _: &mut [u8; N]) {
        self.0 += N;
    }
}

/// Bytes of the wrong number for what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {what} has {want} bytes, not {got}")]
pub struct WrongSize {
    /// What they should be.
    pub what: &'static str,
    /// Its size.
    pub want: usize,
    /// What came.
    pub got: usize,
}

/// Reads a structure; `blank` is one of the same shape, whose fields do not matter.
///
/// # Errors
/// When the number of bytes is not its size.
pub fn decode<T: Layout>(what: &'static str, mut blank: T, bytes: &[u8]) -> Result<T, WrongSize> {
    let want = size(&mut blank);
    if bytes.len() != want {
        return Err(WrongSize { what, want, got: bytes.len() });
    }
    blank.wire(&mut Reader(bytes));
    Ok(blank)
}

/// Writes a structure.
pub fn encode<T: Layout + Clone>(value: &T) -> Vec<u8> {
    let mut writer = Writer(Vec::new());
    value.clone().wire(&mut writer);
    writer.0
}

/// Bytes that a structure has on the wire.
pub fn size<T: Layout>(value: &mut T) -> usize {
    let mut counter = Counter(0);
    value.wire(&mut counter);
    counter.0
}
