//! The power series that frames are looked up in.

use std::collections::VecDeque;

use bl_align::energy::{EnergyIndex, EnergyOptions, Gaps, Method};

use bl_align::DEFAULT_TOLERANCE_NS;

/// System power of one board, in order of time.
pub(super) struct PowerTrace {
    /// Every sample; NaN is one without a reading.
    samples: VecDeque<(i64, f64)>,
    line: EnergyIndex,
}

impl PowerTrace {
    pub fn new() -> Self {
        let options = EnergyOptions {
            method: Method::Trapezoid,
            gaps: Gaps::Null,
            tolerance_ns: DEFAULT_TOLERANCE_NS,
        };
        Self { samples: VecDeque::new(), line: EnergyIndex::new(options) }
    }

    /// Takes a sample; NaN is one without a reading. One that is older than the last is left out.
    pub fn push(&mut self, ts_ns: i64, watts: f64) {
        if self.samples.back().is_some_and(|(last, _)| ts_ns < *last) {
            return;
        }
        self.samples.push_back((ts_ns, watts));
        // In order by the line above.
        let _ = self.line.push(ts_ns, watts);
    }

    /// Whether no sample is in.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Whether no sample to come changes the power at an instant.
    pub fn settles_power(&self, ts_ns: i64) -> bool {
        self.samples.back().is_some_and(|(last, _)| *last >= ts_ns)
    }

    /// Whether no sample to come changes the power at an instant nor the energy up to one after it.
    pub fn settles(&self, from_ns: i64, to_ns: i64) -> bool {
        self.settles_power(from_ns) && self.line.last_ts_ns().is_some_and(|last| last >= to_ns)
    }

    /// The last sample at or before an instant: NaN where it is older than the tolerance, has no reading, or where
    /// there is none.
    pub fn power_w(&self, ts_ns: i64) -> f64 {
        let after = self.samples.partition_point(|(ts, _)| *ts <= ts_ns);
        let last = after.checked_sub(1).and_then(|at| self.samples.get(at));
        last.filter(|(ts, _)| ts_ns - ts <= DEFAULT_TOLERANCE_NS)
            .map_or(f64::NAN, |(_, watts)| *watts)
    }

    /// Joules between two instants; NaN where they are unknown.
    pub fn energy_j(&self, from_ns: i64, to_ns: i64) -> f64 {
        self.line.energy_j(from_ns, to_ns).unwrap_or(f64::NAN)
    }

    /// Forgets what no instant from `ts_ns` on needs.
    pub fn trim_before(&mut self, ts_ns: i64) {
        while self.samples.get(1).is_some_and(|(ts, _)| *ts <= ts_ns) {
            self.samples.pop_front();
        }
        self.line.trim_before(ts_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn power_is_the_last_sample_and_a_missing_reading_is_none() {
        let mut trace = PowerTrace::new();
        assert!(trace.is_empty() && trace.power_w(0).is_nan());
        trace.push(0, 100.0);
        trace.push(20 * MS, f64::NAN);
        trace.push(10 * MS, 7.0);
        trace.push(40 * MS, 140.0);
        assert_eq!(trace.power_w(19 * MS), 100.0);
        assert!(trace.power_w(-1).is_nan(), "before the first");
        assert!(trace.power_w(39 * MS).is_nan(), "not the reading before the one that is missing");
        assert_eq!(trace.power_w(40 * MS + DEFAULT_TOLERANCE_NS), 140.0);
        assert!(trace.power_w(40 * MS + DEFAULT_TOLERANCE_NS + 1).is_nan(), "too old");
        // The line goes from the reading before to the one after.
        assert!((trace.energy_j(0, 40 * MS) - 4.8).abs() < 1e-12);
    }

    #[test]
    fn what_a_sample_to_come_can_change_is_not_settled() {
        let mut trace = PowerTrace::new();
        assert!(!trace.settles_power(0));
        trace.push(20 * MS, 100.0);
        assert!(trace.settles_power(20 * MS) && !trace.settles_power(21 * MS));
        trace.push(40 * MS, f64::NAN);
        assert!(trace.settles_power(30 * MS) && !trace.settles(25 * MS, 30 * MS), "no reading yet");
        trace.push(60 * MS, 100.0);
        assert!(trace.settles(25 * MS, 60 * MS) && !trace.settles(25 * MS, 61 * MS));
        trace.trim_before(50 * MS);
        assert!(trace.power_w(45 * MS).is_nan());
    }
}
