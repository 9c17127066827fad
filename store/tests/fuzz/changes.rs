//! How inputs are changed, and how their checksums are put right.

/// Numbers at random, the same for the same seed (xorshift64*).
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Numbers at which programs stumble.
const EDGES: [u64; 10] = [
    0,
    1,
    7,
    0x7f,
    0xff,
    0x7fff_ffff,
    0xffff_ffff,
    0x8000_0000_0000_0000,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];

/// Makes one change.
pub fn change(bytes: &mut Vec<u8>, other: &[u8], noise: &mut Noise) {
    let at = noise.below(bytes.len());
    let length = 1 + noise.below(64);
    let end = (at + length).min(bytes.len());
    match noise.below(9) {
        _ if bytes.is_empty() => bytes.extend_from_slice(&other[..noise.below(other.len())]),
        0 => bytes[at] ^= 1 << noise.below(8),
        1 => bytes[at] = noise.next() as u8,
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..end)),
        4 => {
            let copy = bytes[at..end].to_vec();
            let to = noise.below(bytes.len());
            bytes.splice(to..to, copy);
        }
        5 => bytes[at..end].fill(0),
        6 => {
            let number = EDGES[noise.below(EDGES.len())].to_le_bytes();
            let width = [1, 2, 4, 8][noise.below(4)].min(bytes.len() - at);
            bytes[at..at + width].copy_from_slice(&number[..width]);
        }
        7 => {
            let number = EDGES[noise.below(EDGES.len())].to_string();
            bytes.splice(at..at, number.into_bytes());
        }
        _ => {
            let from = noise.below(other.len());
            let to = (from + length * 8).min(other.len());
            bytes.splice(at..end, other[from..to].iter().copied());
        }
    }
}

/// Puts the checksums of frames right, as far as their lengths lead.
pub fn mend_frames(bytes: &mut [u8]) {
    let mut at = 16;
    while at + 16 <= bytes.len() {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let end = (at + 16).saturating_add(length);
        if end > bytes.len() {
            return;
        }
        let payload = crc32fast::hash(&bytes[at + 16..end]);
        bytes[at + 8..at + 12].copy_from_slice(&payload.to_le_bytes());
        let header = crc32fast::hash(&bytes[at..at + 12]);
        bytes[at + 12..at + 16].copy_from_slice(&header.to_le_bytes());
        at = end;
    }
}

/// Puts the checksum of an index right, if it still has a first line.
pub fn mend_index(bytes: &mut Vec<u8>) {
    let Some(end) = bytes.iter().position(|b| *b == b'\n') else { return };
    let first = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let version = first.split(' ').nth(1).unwrap_or("1").to_owned();
    let mut crc = crc32fast::Hasher::new();
    crc.update(version.as_bytes());
    crc.update(&bytes[end + 1..]);
    let line = format!("bl-index {version} {:08x}", crc.finalize());
    bytes.splice(..end, line.into_bytes());
}
