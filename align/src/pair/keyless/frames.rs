//! The frames that a `stage_b` event may still end.

use std::collections::VecDeque;

use super::ticks::{Tick, Ticks};

/// A frame at `stage_a`.
pub(super) struct Frame<P> {
    pub ts_ns: i64,
    pub tick: Tick,
    pub carry: P,
}

/// Frames by number, from 0 on; those that nothing can end any more are forgotten.
pub(super) struct Frames<P> {
    kept: VecDeque<Frame<P>>,
    first: u64,
    ticks: Ticks,
}

impl<P: Copy> Frames<P> {
    pub fn new() -> Self {
        Self { kept: VecDeque::new(), first: 0, ticks: Ticks::new() }
    }

    pub fn push(&mut self, ts_ns: i64, carry: P) {
        let tick = self.ticks.see(ts_ns);
        self.kept.push_back(Frame { ts_ns, tick, carry });
    }

    /// The number of the first that is kept.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number of the next to come.
    pub fn end(&self) -> u64 {
        self.first + self.kept.len() as u64
    }

    pub fn get(&self, number: u64) -> Option<&Frame<P>> {
        self.kept.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    pub fn forget_first(&mut self) {
        self.first += u64::from(self.kept.pop_front().is_some());
    }

    /// The number of the first that is not before an instant.
    pub fn since(&self, ts_ns: i64) -> u64 {
        self.first + self.kept.partition_point(|frame| frame.ts_ns < ts_ns) as u64
    }

    /// How many are kept.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Nanoseconds from frame to frame.
    pub fn period_ns(&self) -> f64 {
        self.ticks.period_ns()
    }
}
