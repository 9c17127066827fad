//! How regularly `stage_a` ticks, and by how much each frame is off.

/// Frames that the expected tick is averaged over, at most.
const MEMORY: f64 = 24.0;
/// Frames until an expectation is worth comparing with.
const FIRST: f64 = 6.0;
/// The period where none is known.
const FIRST_PERIOD_NS: f64 = 20e6;
/// A tick this share of a period off, after a gap, tells nothing about how many were skipped.
const NEAR: f64 = 0.25;

/// A frame's tick beside what was expected of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tick {
    /// How much later than expected it came; 0 where nothing was expected yet.
    pub deviation_ns: f64,
    /// Whether ticks were left out just before it.
    pub after_gap: bool,
}

/// Follows the ticks: a straight line through the last of them by a filter of fading memory
/// (Morrison 1969, "Introduction to Sequential Smoothing and Prediction": expanding-memory
/// polynomial of degree 1).
#[derive(Clone, Debug)]
pub(super) struct Ticks {
    phase_ns: f64,
    period_ns: f64,
    seen: f64,
    origin_ns: i64,
}

impl Ticks {
    pub fn new() -> Self {
        Self { phase_ns: 0.0, period_ns: FIRST_PERIOD_NS, seen: 0.0, origin_ns: 0 }
    }

    /// Nanoseconds from tick to tick.
    pub fn period_ns(&self) -> f64 {
        self.period_ns
    }

    /// Takes the next frame.
    pub fn see(&mut self, ts_ns: i64) -> Tick {
        // Relative to the first tick, a float holds every nanosecond of three months.
        let ns = |origin_ns: i64| ts_ns.saturating_sub(origin_ns) as f64;
        if self.seen == 0.0 {
            (self.origin_ns, self.seen) = (ts_ns, 1.0);
            return Tick::default();
        }
        let after_ns = ns(self.origin_ns) - self.phase_ns;
        if self.seen == 1.0 {
            self.period_ns = after_ns.max(1e3);
        }
        let steps = (after_ns / self.period_ns).round().max(1.0);
        let residual_ns = after_ns - steps * self.period_ns;
        self.seen = (self.seen + 1.0).min(MEMORY);
        let n = self.seen;
        let phase_gain = 2.0 * (2.0 * n - 1.0) / (n * (n + 1.0));
        let period_gain = 6.0 / (n * (n + 1.0)) / steps;
        self.phase_ns += steps * self.period_ns + phase_gain * residual_ns;
        self.period_ns = (self.period_ns + period_gain * residual_ns).max(1e3);
        if n < FIRST {
            return Tick::default();
        }
        let after_gap = steps > 1.0 && residual_ns.abs() < NEAR * self.period_ns;
        Tick { deviation_ns: residual_ns, after_gap }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_ticks_are_as_expected_across_gaps() {
        let mut ticks = Ticks::new();
        for frame in (0..200).filter(|frame| frame % 50 != 49) {
            let tick = ticks.see(7_000 + frame * 16_666_667);
            assert!(tick.deviation_ns.abs() < 10.0, "{frame}: {tick:?}");
            assert_eq!(tick.after_gap, frame % 50 == 0 && frame > 0, "{frame}");
        }
        assert!((ticks.period_ns() - 16_666_667.0).abs() < 1.0);
    }

    #[test]
    fn one_that_is_late_is_told_and_hardly_moves_the_line() {
        let mut ticks = Ticks::new();
        for frame in 0..100 {
            ticks.see(frame * 10_000_000);
        }
        assert!((ticks.see(1_000_500_000).deviation_ns - 500_000.0).abs() < 1.0);
        assert!(ticks.see(1_010_000_000).deviation_ns.abs() < 100_000.0);
    }
}
