//! Energy and power out of a counter that wraps.

/// More than any processor or graphics card draws. A gain beyond it is no wrap but a reset, and across a gap in which this much
/// could have wrapped the counter more than once the energy is not known.
const MOST_W: f64 = 2_000.0;

/// Adds up what a counter gains.
#[derive(Debug)]
pub(crate) struct Meter {
    joules_per_count: f64,
    /// The counter's greatest value, after which it begins anew; `None` if it never does.
    range: Option<u64>,
    last: Option<(i64, u64)>,
    gained: u64,
}

/// What one reading adds.
#[derive(Debug, PartialEq)]
pub(crate) struct Step {
    /// Mean power since the last reading; `None` in the first and after a reset.
    pub(crate) power_w: Option<f64>,
    /// Whether what happened since the last reading cannot be known.
    pub(crate) reset: bool,
}

impl Meter {
    pub(crate) fn new(joules_per_count: f64, range: Option<u64>) -> Self {
        Self { joules_per_count, range, last: None, gained: 0 }
    }

    /// Takes the counter as it was at `at_ns`.
    pub(crate) fn advance(&mut self, at_ns: i64, count: u64) -> Step {
        let Some((then_ns, before)) = self.last.replace((at_ns, count)) else {
            return Step { power_w: None, reset: false };
        };
        let seconds = (at_ns - then_ns) as f64 / 1e9;
        let most = MOST_W * seconds;
        let knowable = self.range.is_none_or(|r| most < r as f64 * self.joules_per_count);
        let gain = if count >= before { Some(count - before) } else { self.wrapped(before, count) }
            .filter(|gain| knowable && *gain as f64 * self.joules_per_count <= most);
        self.gained += gain.unwrap_or(0);
        let power_w = gain
            .filter(|_| seconds > 0.0)
            .map(|gain| gain as f64 * self.joules_per_count / seconds);
        Step { power_w, reset: gain.is_none() }
    }

    /// Energy since the first reading, without that of gaps told as resets.
    pub(crate) fn joules(&self) -> f64 {
        self.gained as f64 * self.joules_per_count
    }

    /// The gain of a counter that ran past its greatest value, once.
    fn wrapped(&self, before: u64, count: u64) -> Option<u64> {
        self.range?.checked_sub(before)?.checked_add(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_wrap_is_undone() {
        let mut meter = Meter::new(1e-6, Some(262_143_328_850));
        assert_eq!(meter.advance(0, 262_143_000_000), Step { power_w: None, reset: false });
        let step = meter.advance(SECOND, 99_671_150);
        assert_eq!(step, Step { power_w: Some(100.0), reset: false });
        assert_eq!(meter.joules(), 100.0);
    }

    #[test]
    fn a_reset_is_told_and_not_added() {
        let mut meter = Meter::new(1e-6, Some(262_143_328_850));
        meter.advance(0, 100_000_000_000);
        assert_eq!(meter.advance(SECOND, 5), Step { power_w: None, reset: true });
        assert_eq!(meter.advance(2 * SECOND, 50_000_005).power_w, Some(50.0));
        assert_eq!(meter.joules(), 50.0);
        // 200 s at 2 kW would be more than the whole range: it may have wrapped any number of times.
        assert!(meter.advance(202 * SECOND, 60_000_000).reset);
        // A counter without a known range cannot wrap.
        let mut meter = Meter::new(1e-6, None);
        meter.advance(0, 9);
        assert!(meter.advance(SECOND, 8).reset);
    }

    proptest! {
        /// Whatever a load draws, the meter tells it across any number of wraps.
        #[test]
        fn the_sum_is_what_was_drawn(gains in prop::collection::vec(0u64..200_000_000, 1..200), start in 0u64..1_000_000_000) {
            let range = 999_999_999;
            let mut meter = Meter::new(1e-6, Some(range));
            let mut drawn = start;
            meter.advance(0, drawn % range);
            for (i, gain) in gains.iter().enumerate() {
                drawn += gain;
                let step = meter.advance((i as i64 + 1) * SECOND / 10, drawn % range);
                prop_assert_eq!(step.reset, false);
            }
            let error = meter.joules() - (drawn - start) as f64 * 1e-6;
            prop_assert!(error.abs() < 1e-6, "{}", error);
        }
    }
}
