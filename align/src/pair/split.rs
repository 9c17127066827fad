//! A chunk of rows, told apart by the end of the pair that each is: without a branch, as the sides
//! follow no pattern that could be predicted.

use arrow_buffer::NullBuffer;

use super::Side;

/// Rows that are paired at a time when they come as columns: small enough for the first cache.
pub(super) const CHUNK: usize = 1024;

/// The rows of a chunk, told apart by their side.
pub(super) struct Split {
    first: usize,
    sides: [Option<Side>; CHUNK],
    a: [u32; CHUNK],
    b: [u32; CHUNK],
    len_a: usize,
    len_b: usize,
}

impl Default for Split {
    fn default() -> Self {
        let rows = [0; CHUNK];
        Self { first: 0, sides: [None; CHUNK], a: rows, b: rows, len_a: 0, len_b: 0 }
    }
}

impl Split {
    /// Takes the rows of `chunk`, at most [`CHUNK`], and returns how many had no key, by side.
    pub fn fill(
        &mut self,
        chunk: std::ops::Range<usize>,
        nulls: Option<&NullBuffer>,
        side: &impl Fn(usize) -> Option<Side>,
    ) -> [u64; 2] {
        (self.first, self.len_a, self.len_b) = (chunk.start, 0, 0);
        let mut unkeyed = [0; 2];
        for row in chunk {
            let mut side = side(row);
            if nulls.is_some_and(|nulls| nulls.is_null(row))
                && let Some(side) = side.take()
            {
                unkeyed[side as usize] += 1;
            }
            let offset = row - self.first;
            self.sides[offset] = side;
            self.a[self.len_a] = offset as u32;
            self.b[self.len_b] = offset as u32;
            self.len_a += usize::from(side == Some(Side::A));
            self.len_b += usize::from(side == Some(Side::B));
        }
        unkeyed
    }

    #[inline]
    pub fn side(&self, row: usize) -> Option<Side> {
        self.sides[row - self.first]
    }

    #[inline]
    pub fn rows(&self, side: Side) -> impl Iterator<Item = usize> + '_ {
        let offsets = match side {
            Side::A => &self.a[..self.len_a],
            Side::B => &self.b[..self.len_b],
        };
        offsets.iter().map(|offset| self.first + *offset as usize)
    }
}
