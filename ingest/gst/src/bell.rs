//! How the thread that writes is woken.
//!
//! A channel's own blocking receive spins before it sleeps, which at one event every few milliseconds costs far more
//! than the event itself; this sleeps at once, and costs whoever rings nothing while the other is awake.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::thread::Thread;
use std::time::Duration;

/// Wakes one thread, and tells it when to end.
#[derive(Debug, Default)]
pub struct Bell {
    sleeper: OnceLock<Thread>,
    asleep: AtomicBool,
    ending: AtomicBool,
}

impl Bell {
    /// Makes the calling thread the one to be woken. Only the first call counts.
    pub fn answer(&self) {
        let _ = self.sleeper.set(std::thread::current());
    }

    /// Wakes the sleeper if it sleeps for want of work. To be called after the work is there.
    pub fn ring(&self) {
        // With the fence in `sleep_unless`: either this sees that it sleeps, or it sees the work.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            self.wake();
        }
    }

    /// From now on [`ending`](Self::ending); wakes the sleeper from any sleep.
    pub fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Whether the end has come.
    pub fn ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// Sleeps until woken, unless there is work. May wake for nothing.
    pub fn sleep_unless(&self, work: impl Fn() -> bool) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !self.ending() && !work() {
            std::thread::park();
        }
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// Sleeps for that long, or until the end comes. May wake early.
    pub fn rest(&self, time: Duration) {
        if !self.ending() {
            std::thread::park_timeout(time);
        }
    }

    fn wake(&self) {
        if let Some(sleeper) = self.sleeper.get() {
            sleeper.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn no_ring_is_missed() {
        let (bell, work) = (Arc::new(Bell::default()), Arc::new(AtomicU32::new(0)));
        let (its_bell, its_work) = (bell.clone(), work.clone());
        let worker = std::thread::Builder::new().spawn(move || {
            its_bell.answer();
            let mut done = 0;
            while !its_bell.ending() || its_work.load(Ordering::Relaxed) > 0 {
                its_bell.sleep_unless(|| its_work.load(Ordering::Relaxed) > 0);
                done += its_work.swap(0, Ordering::Relaxed);
            }
            done
        });
        // Each waits for the last one to be taken: a missed ring would hang here.
        for _ in 0..20_000 {
            work.fetch_add(1, Ordering::Relaxed);
            bell.ring();
            while work.load(Ordering::Relaxed) > 0 {
                std::thread::yield_now();
            }
        }
        bell.end();
        assert_eq!(worker.unwrap().join().unwrap(), 20_000);
    }
}
