//! Frames: what a segment is made of.
//!
//! ```text
//! segment := "BLSEG" 0 0 1  (8 bytes)   zeros (8 bytes)   frame*
//! frame   := length u32  rows u32  crc32(payload) u32  crc32(the 12 bytes before) u32   payload
//! ```
//!
//! All numbers are little-endian. A payload is one or more Arrow IPC messages, padded to a multiple of eight
//! bytes, so that everything stays aligned. The header has a checksum of its own: a reader that meets damage
//! can look for the next header that holds, and loses no more than what is damaged.

use std::ops::Range;

pub(crate) const FILE_HEADER: [u8; 16] = *b"BLSEG\0\0\x01\0\0\0\0\0\0\0\0";
pub(crate) const HEADER_BYTES: usize = 16;

/// Version of the format of segments.
pub(crate) const VERSION: u8 = FILE_HEADER[7];

/// The version that a segment's first bytes tell, if they are those of a segment.
pub(crate) fn version(bytes: &[u8]) -> Option<u8> {
    let (magic, rest) = bytes.split_at_checked(7)?;
    (magic == &FILE_HEADER[..7]).then(|| rest.first().copied()).flatten()
}

/// Whether bytes that end early are the beginning of a frame.
pub(crate) fn begins_frame(bytes: &[u8]) -> bool {
    match bytes.first_chunk() {
        None => true,
        Some(header) => holds(header) && bytes.len() < HEADER_BYTES + word(header, 0) as usize,
    }
}

/// Whether a header's own checksum is right.
fn holds(header: &[u8; HEADER_BYTES]) -> bool {
    crc32fast::hash(&header[..12]) == word(header, 12)
}

fn word(header: &[u8; HEADER_BYTES], i: usize) -> u32 {
    u32::from_le_bytes([header[i], header[i + 1], header[i + 2], header[i + 3]])
}

/// The header of a frame with this payload, given in parts.
pub(crate) fn header(rows: u32, length: u32, payload_crc: u32) -> [u8; HEADER_BYTES] {
    let mut h = [0; HEADER_BYTES];
    h[..4].copy_from_slice(&length.to_le_bytes());
    h[4..8].copy_from_slice(&rows.to_le_bytes());
    h[8..12].copy_from_slice(&payload_crc.to_le_bytes());
    let crc = crc32fast::hash(&h[..12]);
    h[12..].copy_from_slice(&crc.to_le_bytes());
    h
}

/// A frame that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub rows: u32,
    pub payload: Range<usize>,
}

/// What a run of bytes holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    pub frames: Vec<Frame>,
    /// Bytes between good frames that belong to none, and how many rows their headers spoke of, where those
    /// could be read.
    pub damaged: Vec<(Range<usize>, u32)>,
    /// Where the last good frame ends. What follows is torn, or being written.
    pub end: usize,
    /// Rows that whole headers behind it speak of.
    pub tail_rows: u32,
}

/// Finds the frames in `bytes`, which begin at a frame.
pub(crate) fn scan(bytes: &[u8]) -> Scan {
    let mut scan = Scan::default();
    let mut at = 0;
    let mut bad: Option<(usize, u32)> = None;
    while at + HEADER_BYTES <= bytes.len() {
        match frame_at(bytes, at) {
            Found::Good(frame) => {
                if let Some((from, rows)) = bad.take() {
                    scan.damaged.push((from..at, rows));
                }
                at = frame.payload.end;
                scan.end = at;
                scan.frames.push(frame);
            }
            Found::BadPayload { end, rows } => {
                let (_, lost) = bad.get_or_insert((at, 0));
                *lost = lost.saturating_add(rows);
                at = end;
            }
            Found::BadHeader => {
                bad.get_or_insert((at, 0));
                // Frames are whole multiples of eight bytes.
                at += 8;
            }
        }
    }
    scan.tail_rows = bad.map_or(0, |(_, rows)| rows);
    scan
}

enum Found {
    Good(Frame),
    BadPayload { end: usize, rows: u32 },
    BadHeader,
}

fn frame_at(bytes: &[u8], at: usize) -> Found {
    let Some(header) = bytes[at..].first_chunk().filter(|h| holds(h)) else {
        return Found::BadHeader;
    };
    let (start, length, rows) = (at + HEADER_BYTES, word(header, 0) as usize, word(header, 4));
    match bytes.get(start..start + length) {
        // The frame's end is not there (yet).
        None => Found::BadHeader,
        Some(payload) if crc32fast::hash(payload) == word(header, 8) => {
            Found::Good(Frame { rows, payload: start..start + length })
        }
        Some(_) => Found::BadPayload { end: start + length, rows },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        for (i, p) in payloads.iter().enumerate() {
            let mut p = p.clone();
            p.resize(p.len().next_multiple_of(8), 0);
            out.extend(header(i as u32 + 1, p.len() as u32, crc32fast::hash(&p)));
            out.extend(p);
        }
        out
    }

    proptest! {
        #[test]
        fn a_torn_tail_costs_only_the_torn_frame(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8),
            cut in any::<prop::sample::Index>(),
            zeros in 0usize..300,
        ) {
            let whole = frames(&payloads);
            let good = scan(&whole).frames;
            prop_assert_eq!(good.len(), payloads.len());
            let cut = cut.index(whole.len());
            let mut torn = whole[..cut].to_vec();
            torn.resize(cut + zeros, 0);
            let kept = scan(&torn);
            // A frame whose torn part was zeros is whole again once zeros follow.
            let whole_ones = good.iter().take_while(|f| {
                torn.len() >= f.payload.end && torn[..f.payload.end] == whole[..f.payload.end]
            });
            prop_assert_eq!(&kept.frames, &whole_ones.cloned().collect::<Vec<_>>());
            prop_assert!(kept.damaged.is_empty());
        }

        #[test]
        fn a_flipped_byte_costs_only_its_frame(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 2..8),
            place in any::<prop::sample::Index>(),
            flip in 1u8..,
        ) {
            let whole = frames(&payloads);
            let good = scan(&whole).frames;
            let place = place.index(whole.len());
            let mut bad = whole.clone();
            bad[place] ^= flip;
            let found = scan(&bad).frames;
            let expected: Vec<_> = good
                .into_iter()
                .filter(|f| !(f.payload.start - HEADER_BYTES..f.payload.end).contains(&place))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
