//! Absolute deadlines.

use bl_store::clock::monotonic_ns;

use super::Stop;

/// Deadlines at a fixed rate, at whole multiples of the period on the monotonic clock, so that sources of one
/// rate tick together and a late sample delays none of those after it.
#[derive(Debug)]
pub struct Ticker {
    period_ns: i64,
    next_ns: i64,
}

impl Ticker {
    /// Ticks `hz` times a second.
    pub fn new(hz: f64) -> Self {
        let period_ns = ((1e9 / hz) as i64).max(1);
        Self { period_ns, next_ns: (monotonic_ns() / period_ns + 1) * period_ns }
    }

    /// Waits for the next deadline. Returns how many deadlines have been missed since the last call (0 in the
    /// good case), or `None` when stopping.
    pub fn wait(&mut self, stop: &Stop) -> Option<u64> {
        let now = monotonic_ns();
        let missed = if now > self.next_ns { (now - self.next_ns) / self.period_ns } else { 0 };
        self.next_ns += missed * self.period_ns;
        let go_on = stop.sleep_ns(self.next_ns - now);
        self.next_ns += self.period_ns;
        go_on.then_some(missed as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_do_not_drift_and_missed_ones_are_counted() {
        let stop = Stop::new().unwrap();
        let mut ticker = Ticker::new(200.0);
        ticker.wait(&stop).unwrap();
        // The deadline, not the time of waking up, which a busy machine delays.
        let first = ticker.next_ns - ticker.period_ns;
        let mut missed = 0;
        std::thread::sleep(std::time::Duration::from_millis(22));
        let mut waits = 0;
        while missed + waits < 20 {
            missed += ticker.wait(&stop).unwrap();
            waits += 1;
        }
        assert!(missed >= 3, "{missed}");
        let took = monotonic_ns() - first;
        assert!(took > 90_000_000, "{took}");
        stop.stop();
        assert_eq!(ticker.wait(&stop), None);
    }
}
