//! The numbers of a pipeline's events.

use std::sync::atomic::{AtomicU64, Ordering};

/// A pipeline, and the numbers that its events get: one more with each, sent or lost, so that the receiver sees
/// gaps. The numbers are given by the thread that writes, and so are in order on the socket.
#[derive(Debug)]
pub struct Pipeline {
    /// Its name. None: the element is in no pipeline.
    pub name: Option<String>,
    next_seq: AtomicU64,
    lost: AtomicU64,
}

impl Pipeline {
    /// A pipeline without events yet.
    pub fn new(name: Option<String>) -> Self {
        Self { name, next_seq: AtomicU64::new(0), lost: AtomicU64::new(0) }
    }

    /// An event will not be sent: the next number leaves a gap.
    pub fn lose_one(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of the next event. For one thread only.
    pub fn number(&self) -> u64 {
        let gap = self.lost.swap(0, Ordering::Relaxed);
        self.next_seq.fetch_add(gap + 1, Ordering::Relaxed) + gap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_a_gap() {
        let pipeline = Pipeline::new(None);
        assert_eq!([pipeline.number(), pipeline.number()], [0, 1]);
        pipeline.lose_one();
        pipeline.lose_one();
        assert_eq!([pipeline.number(), pipeline.number()], [4, 5]);
    }
}
