//! Puts events that come out of order back in order of time, as far as the allowed lateness goes.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::{Event, Side};

/// An event that waits for the watermark, ordered so that the heap's greatest is the first due.
struct Waiting<P> {
    event: Event<P>,
    arrival: u64,
}

impl<P> Waiting<P> {
    /// Time; at equal times `stage_a` first; then arrival.
    fn due(&self) -> (i64, Side, u64) {
        (self.event.ts_ns, self.event.side, self.arrival)
    }
}

impl<P> PartialEq for Waiting<P> {
    fn eq(&self, other: &Self) -> bool {
        self.due() == other.due()
    }
}

impl<P> Eq for Waiting<P> {}

impl<P> PartialOrd for Waiting<P> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> Ord for Waiting<P> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.due().cmp(&self.due())
    }
}

/// Events that wait until nothing earlier can come.
pub(super) struct Reorder<P> {
    waiting: BinaryHeap<Waiting<P>>,
    arrivals: u64,
}

impl<P: Copy> Reorder<P> {
    pub fn new() -> Self {
        Self { waiting: BinaryHeap::new(), arrivals: 0 }
    }

    pub fn push(&mut self, event: Event<P>) {
        self.waiting.push(Waiting { event, arrival: self.arrivals });
        self.arrivals += 1;
    }

    /// The first event before `watermark_ns`: others of that instant may still come.
    pub fn pop_before(&mut self, watermark_ns: i64) -> Option<Event<P>> {
        let due = self.waiting.peek()?.event.ts_ns < watermark_ns;
        due.then(|| self.waiting.pop()).flatten().map(|waiting| waiting.event)
    }

    /// The first event at or before `watermark_ns`.
    pub fn pop_until(&mut self, watermark_ns: i64) -> Option<Event<P>> {
        let due = self.waiting.peek()?.event.ts_ns <= watermark_ns;
        due.then(|| self.waiting.pop()).flatten().map(|waiting| waiting.event)
    }
}
