//! Events of one stage that wait for their partner: a ring in order of arrival, with a hash index
//! over it whose chains run through the ring's slots. Both grow with what is open at once, so with
//! the window, and never with the length of the stream.

use super::Key;

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
    /// Nanoseconds to the partner; negative while the event is open.
    pub latency_ns: i64,
    /// What the caller wants back with the row.
    pub carry: P,
    next: u32,
}

impl<P> Slot<P> {
    /// Whether the partner has not come.
    pub fn is_open(&self) -> bool {
        self.latency_ns < 0
    }
}

/// The open events of one hash bucket, first in, first out.
#[derive(Clone, Copy)]
struct Chain {
    first: u32,
    last: u32,
}

const EMPTY: Chain = Chain { first: NONE, last: NONE };

/// The ring and its index.
pub(super) struct Queue<P> {
    slots: Vec<Slot<P>>,
    chains: Vec<Chain>,
    head: usize,
    len: usize,
}

impl<P: Copy + Default> Queue<P> {
    /// An empty queue; it allocates with the first event.
    pub fn new() -> Self {
        Self { slots: Vec::new(), chains: Vec::new(), head: 0, len: 0 }
    }

    /// Whether nothing is in the ring, open or settled.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
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
        self.slots[at] = Slot { ts_ns, key, latency_ns: -1, carry, next: NONE };
        self.link(at);
    }

    /// Settles the first open event of `key` that `latency_of` finds a latency for, given its time,
    /// and returns it.
    #[inline]
    pub fn settle(
        &mut self,
        key: Key,
        latency_of: impl Fn(i64) -> Option<i64>,
    ) -> Option<&Slot<P>> {
        if self.chains.is_empty() {
            return None;
        }
        let bucket = self.bucket(key);
        let (mut before, mut at) = (NONE, self.chains[bucket].first);
        while at != NONE {
            let slot = &self.slots[at as usize];
            let next = slot.next;
            if slot.key == key
                && let Some(latency_ns) = latency_of(slot.ts_ns)
            {
                self.unlink(bucket, before, at);
                let slot = &mut self.slots[at as usize];
                slot.latency_ns = latency_ns;
                return Some(slot);
            }
            (before, at) = (at, next);
        }
        None
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
    }

    /// Takes an open event out of its chain. It is the chain's first unless events came out of
    /// order, so the walk is short.
    #[inline]
    fn forget(&mut self, slot: u32, key: Key) {
        let bucket = self.bucket(key);
        let (mut before, mut at) = (NONE, self.chains[bucket].first);
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
        let chain = &mut self.chains[bucket];
        let last = std::mem::replace(&mut chain.last, at as u32);
        match last {
            NONE => chain.first = at as u32,
            last => self.slots[last as usize].next = at as u32,
        }
    }

    #[inline]
    fn unlink(&mut self, bucket: usize, before: u32, at: u32) {
        let next = self.slots[at as usize].next;
        let chain = &mut self.chains[bucket];
        match before {
            NONE => chain.first = next,
            before => self.slots[before as usize].next = next,
        }
        if next == NONE {
            chain.last = before;
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
        self.chains.resize(capacity, EMPTY);
        for at in 0..self.len {
            self.slots[at].next = NONE;
            if self.slots[at].is_open() {
                self.link(at);
            }
        }
    }
}
