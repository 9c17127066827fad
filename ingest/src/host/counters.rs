//! Counters, and the rates between two readings of them.

/// What each counter gained between two readings. One that is missing in either is `None`; so is one that went
/// backwards (wrapped, or its device was reset: which one cannot be known), and `resets` counts it.
pub(super) fn gained<const N: usize>(
    before: &[Option<u64>; N],
    now: &[Option<u64>; N],
    resets: &mut u64,
) -> [Option<u64>; N] {
    std::array::from_fn(|i| {
        let (before, now) = (before[i]?, now[i]?);
        *resets += u64::from(now < before);
        now.checked_sub(before)
    })
}

/// A gain as a rate a second over `elapsed_ns`; `None` without time between the readings.
pub(super) fn per_second(gain: Option<u64>, elapsed_ns: i64) -> Option<f64> {
    (elapsed_ns > 0).then_some(gain? as f64 * 1e9 / elapsed_ns as f64)
}

/// A counter as the store keeps it; `None` for one beyond 2^63 - 1.
pub(super) fn stored(counter: Option<u64>) -> Option<i64> {
    i64::try_from(counter?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_goes_backwards_has_no_rate() {
        let mut resets = 0;
        let before = [Some(10), Some(4_294_967_290), None, Some(1)];
        let now = [Some(30), Some(5), Some(1), None];
        assert_eq!(gained(&before, &now, &mut resets), [Some(20), None, None, None]);
        assert_eq!(resets, 1);
        assert_eq!(per_second(Some(20), 100_000_000), Some(200.0));
        assert_eq!(per_second(Some(20), 0), None);
        assert_eq!(stored(Some(u64::MAX)), None);
    }
}
