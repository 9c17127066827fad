//! Generations of a counter: what tells that a sender began to count anew.
//!
//! The keys of `stage_a` ascend, but for frames that are a few places out of order. Where they go
//! back further, the sender was started again, a file was played again or a counter ran over. What
//! it numbered before is another generation: once a frame of the new one has reached `stage_b`,
//! those of the old ones never will.

/// Keys that are remembered. A frame is out of order by fewer places.
const RECENT: usize = 32;
/// Keys that it takes to tell a counter from keys without an order.
const ENOUGH: usize = 8;

/// The generations of one group, and how its `stage_b` events fared.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    recent: [i64; RECENT],
    seen: usize,
    greatest: i64,
    /// Numbers of the frames that generations begin with of which none has paired yet, ascending.
    starts: Vec<u64>,
    /// The first frame that may still pair.
    floor: u64,
    /// Since [`Self::take_tally`].
    tally: Tally,
}

/// How `stage_b` events fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Those that came.
    pub ends: u32,
    /// Those that ended a frame.
    pub hits: u32,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            recent: [0; RECENT],
            seen: 0,
            greatest: i64::MIN,
            starts: Vec::new(),
            floor: 0,
            tally: Tally::default(),
        }
    }
}

impl Lane {
    /// Takes the key of the `stage_a` event that is frame number `frame` of all groups.
    #[inline]
    pub fn begin(&mut self, key: i64, frame: u64) {
        if key > self.greatest || self.seen == 0 {
            self.greatest = key;
        } else if self.repeats_the_last(key) {
            return;
        } else if self.is_anew(key) {
            (self.seen, self.greatest) = (0, key);
            self.starts.push(frame);
        }
        self.recent[self.seen % RECENT] = key;
        self.seen += 1;
    }

    /// The first frame that a `stage_b` event may still end.
    #[inline]
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Tells that a `stage_b` event came.
    #[inline]
    pub fn end(&mut self) {
        self.tally.ends += 1;
    }

    /// Tells that it, or one from before, ended that frame: generations before its own are over.
    #[inline]
    pub fn hit(&mut self, frame: u64) {
        self.tally.hits += 1;
        if !self.starts.is_empty() {
            let begun = self.starts.partition_point(|start| *start <= frame);
            if let Some(start) = self.starts.drain(..begun).next_back() {
                self.floor = start;
            }
        }
    }

    /// How `stage_b` events fared since the last call.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// How they fared so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// One event told twice is no new generation.
    fn repeats_the_last(&self, key: i64) -> bool {
        self.recent[(self.seen - 1) % RECENT] == key
    }

    /// Whether a key that is not the greatest is further back than frames are out of order.
    fn is_anew(&self, key: i64) -> bool {
        let recent = &self.recent[..self.seen.min(RECENT)];
        recent.contains(&key)
            || recent.len() >= ENOUGH && recent.iter().all(|known| *known > key) && self.ascends()
    }

    /// Whether the keys are those of a counter, so that one far below tells anything.
    fn ascends(&self) -> bool {
        let in_order = (1..self.seen.min(RECENT)).filter(|back| {
            let at = |back: usize| self.recent[(self.seen - 1 - back) % RECENT];
            at(back - 1) > at(*back)
        });
        in_order.count() * 4 >= (self.seen.min(RECENT) - 1) * 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frames that generations begin with.
    fn starts(keys: &[i64]) -> Vec<u64> {
        let mut lane = Lane::default();
        keys.iter().enumerate().for_each(|(frame, key)| lane.begin(*key, frame as u64));
        lane.starts
    }

    #[test]
    fn a_counter_that_goes_back_begins_a_generation() {
        assert_eq!(starts(&[1, 2, 3, 1, 2, 3]), [3]);
        let far: Vec<i64> = (1000..1050).chain(3..40).collect();
        assert_eq!(starts(&far), [50]);
        // A counter of 8 bits.
        let over: Vec<i64> = (0..600).map(|frame| frame % 256).collect();
        assert_eq!(starts(&over), [256, 512]);
    }

    #[test]
    fn reordering_and_repetition_do_not() {
        assert!(starts(&[0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11]).is_empty());
        assert!(starts(&[5, 5, 5, 6, 6, 7]).is_empty());
        let late: Vec<i64> = (100..140).chain([112]).collect();
        assert_eq!(starts(&late), [40], "told again: it is among the last");
    }

    #[test]
    fn keys_without_an_order_begin_none() {
        // SplitMix64 (Steele, Lea, Flood 2014): keys that are names, not numbers.
        let mixed = |at: u64| {
            let z = at.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (z ^ (z >> 31)) as i64
        };
        let keys: Vec<i64> = (1..20_000).map(mixed).collect();
        assert!(starts(&keys).is_empty());
    }
}
