//! How regularly `stage_a` ticks, and by how much each frame is off.

/// Frames that the expected tick is averaged over, at most.
const MEMORY: f64 = 24.0;
/// Frames until an expectation is worth comparing with.
const FIRST: f64 = 6.0;
/// The period where none is known.
const FIRST_PERIOD_NS: f64 = 20e6;
/// No period is thought to be shorter.
const LEAST_PERIOD_NS: f64 = 1e3;
/// A tick this share of a period off, after a gap, tells nothing about how many were skipped.
const NEAR: f64 = 0.25;

/// Ticks that a rate of gaps is averaged over.
const GAP_MEMORY: f64 = 64.0;

/// A frame's tick beside what was expected of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tick {
    /// How much later than expected it came; 0 where nothing was expected yet.
    pub deviation_ns: f64,
    /// Where ticks were left out just before it: how often that happens, of all ticks.
    pub gap: Option<f64>,
}

/// Follows the ticks: a straight line through the last of them by a filter of fading memory
/// (Morrison 1969, "Introduction to Sequential Smoothing and Prediction": expanding-memory
/// polynomial of degree 1).
#[derive(Clone, Debug)]
pub(super) struct Ticks {
    phase_ns: f64,
    period_ns: f64,
    seen: f64,
    gap_rate: f64,
    origin_ns: i64,
}

impl Ticks {
    pub fn new() -> Self {
        Self { phase_ns: 0.0, period_ns: FIRST_PERIOD_NS, seen: 0.0, gap_rate: 0.0, origin_ns: 0 }
    }

    /// Nanoseconds from tick to tick.
    pub fn period_ns(&self) -> f64 {
        self.period_ns
    }

    /// Takes the next frame.
    pub fn see(&mut self, ts_ns: i64) -> Tick {
        if self.seen == 0.0 {
            (self.origin_ns, self.seen) = (ts_ns, 1.0);
            return Tick::default();
        }
        // Relative to the first tick, a float holds every nanosecond of three months.
        let after_ns = ts_ns.saturating_sub(self.origin_ns) as f64 - self.phase_ns;
        let first = self.seen < FIRST;
        if self.seen == 1.0 {
            self.period_ns = after_ns.max(LEAST_PERIOD_NS);
        }
        // Before the period is known, no tick is thought to be left out.
        let steps = if first { 1.0 } else { (after_ns / self.period_ns).round().max(1.0) };
        let residual_ns = after_ns - steps * self.period_ns;
        self.seen = (self.seen + 1.0).min(MEMORY);
        let n = self.seen;
        let phase_gain = 2.0 * (2.0 * n - 1.0) / (n * (n + 1.0));
        let period_gain = 6.0 / (n * (n + 1.0)) / steps;
        self.phase_ns += steps * self.period_ns + phase_gain * residual_ns;
        self.period_ns = (self.period_ns + period_gain * residual_ns).max(LEAST_PERIOD_NS);
        let left_out = f64::from(u8::from(steps > 1.0));
        self.gap_rate += (left_out - self.gap_rate) / GAP_MEMORY;
        if first {
            return Tick::default();
        }
        // Ticks that are left out time and again: the period has changed.
        if self.gap_rate > 0.5 {
            (self.seen, self.gap_rate) = (1.0, 0.0);
            self.phase_ns = ts_ns.saturating_sub(self.origin_ns) as f64;
        }
        let gap = steps > 1.0 && residual_ns.abs() < NEAR * self.period_ns;
        Tick { deviation_ns: residual_ns, gap: gap.then_some(self.gap_rate) }
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
            assert_eq!(tick.gap.is_some(), frame % 50 == 0 && frame > 0, "{frame}");
        }
        assert!((ticks.period_ns() - 16_666_667.0).abs() < 1.0);
    }

    #[test]
    fn a_jittery_start_finds_the_period_and_a_new_period_is_found() {
        let mut ticks = Ticks::new();
        for frame in 0..400_i64 {
            // The golden ratio spreads the jitter over a quarter of a period either way.
            let jitter = (frame as f64 * 0.618_034).fract() - 0.5;
            ticks.see(frame * 4_000_000 + (2e6 * jitter) as i64);
        }
        assert!((ticks.period_ns() / 4e6 - 1.0).abs() < 0.1, "{}", ticks.period_ns());
        let from_ns = 400 * 4_000_000;
        for frame in 0..200 {
            ticks.see(from_ns + frame * 12_000_000);
        }
        assert!((ticks.period_ns() / 12e6 - 1.0).abs() < 0.01, "{}", ticks.period_ns());
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
