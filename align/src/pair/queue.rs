//! Events of one stage that wait for their partner: a ring in order of arrival, with a hash index
//! over it whose chains run through the ring's slots, from the newest to the oldest. Both grow with what is open at once, so with
//! the window, and never with the length of the stream.

use super::Key;
use super::rows::{AMBIGUOUS, DROPPED};

/// No slot: the end of a chain.
const NONE: u32 = u32::MAX;

/// Slots that the ring starts with, a power of two.
const FIRST_CAPACITY: usize = 256;

/// An event in the ring.
#[derive(Clone, Copy, Default)]
pub(super) struct Slot<P> {
    /// Time of the event.
    pub ts_ns: i64,
    /// What identifies its frame.
    pub key: Key,
    /// Nanoseconds to the partner; [`DROPPED`] while the event is open, or [`AMBIGUOUS`].
    pub latency_ns: i64,
    /// What the caller wants back with the row.
    pub carry: P,
    next: u32,
}

impl<P> Slot<P> {
    /// Whether the partner has not come.
    pub fn is_open(&self) -> bool {
        self.latency_ns == DROPPED
    }

    /// Whether nobody will know the partner.
    pub fn is_unknown(&self) -> bool {
        self.latency_ns == AMBIGUOUS
    }
}

/// The ring and its index.
pub(super) struct Queue<P> {
    slots: Vec<Slot<P>>,
    /// By hash bucket, the newest open event.
    chains: Vec<u32>,
    head: usize,
    len: usize,
    /// Events that have gone.
    popped: u64,
}

impl<P: Copy + Default> Queue<P> {
    /// An empty queue; it allocates with the first event.
    pub fn new() -> Self {
        Self { slots: Vec::new(), chains: Vec::new(), head: 0, len: 0, popped: 0 }
    }

    /// Whether nothing is in the ring, open or settled.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of the next event, counted from 0.
    #[inline]
    pub fn next_number(&self) -> u64 {
        self.popped + self.len as u64
    }

    /// How many slots are allocated.
    #[cfg(test)]
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// The oldest event in the ring.
    #[inline]
    pub fn front(&self) -> Option<&Slot<P>> {
        (self.len > 0).then(|| &self.slots[self.head])
    }

    /// Adds an open event at the end.
    #[inline]
    pub fn push(&mut self, ts_ns: i64, key: Key, carry: P) {
        if self.len == self.slots.len() {
            self.grow();
        }
        let at = (self.head + self.len) & (self.slots.len() - 1);
        self.len += 1;
        self.slots[at] = Slot { ts_ns, key, latency_ns: DROPPED, carry, next: NONE };
        self.link(at);
    }

    /// Settles the oldest open event of `key` that `latency_of` finds a latency for, given its time,
    /// and returns it.
    pub fn settle_oldest(
        &mut self,
        key: Key,
        latency_of: impl Fn(i64) -> Option<i64>,
    ) -> Option<&Slot<P>> {
        if self.chains.is_empty() {
            return None;
        }
        let bucket = self.bucket(key);
        let mut found = None;
        let (mut before, mut at) = (NONE, self.chains[bucket]);
        while at != NONE {
            let slot = &self.slots[at as usize];
            if slot.key == key
                && let Some(latency_ns) = latency_of(slot.ts_ns)
            {
                found = Some((before, at, latency_ns));
            }
            (before, at) = (at, slot.next);
        }
        let (before, at, latency_ns) = found?;
        self.unlink(bucket, before, at);
        let slot = &mut self.slots[at as usize];
        slot.latency_ns = latency_ns;
        Some(slot)
    }

    /// Settles the newest open event of `key` that `latency_of` finds a latency for, given its time
    /// and its number, and returns it with its number.
    #[inline]
    pub fn settle_newest(
        &mut self,
        key: Key,
        latency_of: impl Fn(i64, u64) -> Option<i64>,
    ) -> Option<(u64, &Slot<P>)> {
        if self.chains.is_empty() {
            return None;
        }
        let bucket = self.bucket(key);
        let mask = self.slots.len() - 1;
        let (mut before, mut at) = (NONE, self.chains[bucket]);
        while at != NONE {
            let slot = &self.slots[at as usize];
            if slot.key == key {
                let number = self.popped + ((at as usize).wrapping_sub(self.head) & mask) as u64;
                if let Some(latency_ns) = latency_of(slot.ts_ns, number) {
                    self.unlink(bucket, before, at);
                    let slot = &mut self.slots[at as usize];
                    slot.latency_ns = latency_ns;
                    return Some((number, slot));
                }
            }
            (before, at) = (at, slot.next);
        }
        None
    }

    /// Gives up all open events: nobody will know their partners. Returns how many there were.
    pub fn give_up(&mut self) -> u64 {
        let mask = self.slots.len().saturating_sub(1);
        let mut open = 0;
        for place in 0..self.len {
            let slot = &mut self.slots[(self.head + place) & mask];
            if slot.is_open() {
                slot.latency_ns = AMBIGUOUS;
                open += 1;
            }
        }
        self.chains.fill(NONE);
        open
    }

    /// Removes the oldest event.
    #[inline]
    pub fn pop(&mut self) {
        let Some(slot) = self.front() else { return };
        if slot.is_open() {
            self.forget(self.head as u32, slot.key);
        }
        self.head = (self.head + 1) & (self.slots.len() - 1);
        self.len -= 1;
        self.popped += 1;
    }

    /// Takes an open event out of its chain.
    #[inline]
    fn forget(&mut self, slot: u32, key: Key) {
        let bucket = self.bucket(key);
        let (mut before, mut at) = (NONE, self.chains[bucket]);
        while at != slot && at != NONE {
            (before, at) = (at, self.slots[at as usize].next);
        }
        if at == slot {
            self.unlink(bucket, before, at);
        }
    }

    #[inline]
    fn link(&mut self, at: usize) {
        let bucket = self.bucket(self.slots[at].key);
        self.slots[at].next = std::mem::replace(&mut self.chains[bucket], at as u32);
    }

    #[inline]
    fn unlink(&mut self, bucket: usize, before: u32, at: u32) {
        let next = self.slots[at as usize].next;
        match before {
            NONE => self.chains[bucket] = next,
            before => self.slots[before as usize].next = next,
        }
    }

    /// Fibonacci hashing: the high bits of the product are spread evenly both for counters and for
    /// stamps that are multiples of a frame's duration.
    #[inline]
    fn bucket(&self, key: Key) -> usize {
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        let mixed = (key.id as u64 ^ (u64::from(key.group) << 40)).wrapping_mul(GOLDEN);
        (mixed >> (u64::BITS - self.chains.len().trailing_zeros())) as usize
    }

    /// Doubles the ring and links what is open anew, in order.
    fn grow(&mut self) {
        let capacity = (self.slots.len() * 2).max(FIRST_CAPACITY);
        self.slots.rotate_left(self.head);
        self.slots.resize(capacity, Slot::default());
        self.head = 0;
        self.chains.clear();
        self.chains.resize(capacity, NONE);
        for at in 0..self.len {
            self.slots[at].next = NONE;
            if self.slots[at].is_open() {
                self.link(at);
            }
        }
    }
}
