//! A series on a uniform grid.

use std::num::NonZeroU64;

/// A uniform grid: `count` instants, `step_ns` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The first instant.
    pub start_ns: i64,
    /// Time from one to the next.
    pub step_ns: NonZeroU64,
    /// How many there are.
    pub count: usize,
}

impl Grid {
    /// The grid from `start_ns` that covers a span, both ends included where the step allows:
    /// `floor(span / step) + 1` instants.
    pub fn covering(start_ns: i64, span_ns: u64, step_ns: NonZeroU64) -> Self {
        Self { start_ns, step_ns, count: (span_ns / step_ns) as usize + 1 }
    }

    /// The instant at a position; the last representable one beyond the end of time.
    pub fn instant_ns(&self, at: usize) -> i64 {
        let offset_ns = i128::from(self.step_ns.get()) * at as i128;
        i64::try_from(i128::from(self.start_ns) + offset_ns).unwrap_or(i64::MAX)
    }
}

/// The values on a grid of a series in order of time: on the line between the two neighbours of an
/// instant, or the sample of that very instant (the last one, where there are several).
///
/// `None` before the first sample, after the last one, and between neighbours further apart than
/// `tolerance_ns`: nothing is made up there. Null and not finite samples are passed over, so their
/// neighbours are further apart. One pass, no copy of the series.
pub fn resample(
    samples: impl IntoIterator<Item = (i64, Option<f64>)>,
    grid: Grid,
    tolerance_ns: u64,
) -> Vec<Option<f64>> {
    let known =
        |(ts_ns, value): (i64, Option<f64>)| Some((ts_ns, value.filter(|v| v.is_finite())?));
    let mut samples = samples.into_iter().filter_map(known).peekable();
    let mut before: Option<(i64, f64)> = None;
    let value = |at: usize| {
        let instant_ns = grid.instant_ns(at);
        while let Some(sample) = samples.next_if(|sample| sample.0 <= instant_ns) {
            before = Some(sample);
        }
        let (before_ns, before_value) = before?;
        if before_ns == instant_ns {
            return Some(before_value);
        }
        let &(after_ns, after_value) = samples.peek()?;
        let step_ns = after_ns.abs_diff(before_ns);
        let share = instant_ns.abs_diff(before_ns) as f64 / step_ns as f64;
        (step_ns <= tolerance_ns).then_some(before_value + share * (after_value - before_value))
    };
    (0..grid.count).map(value).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grid(start_ns: i64, step_ns: u64, count: usize) -> Grid {
        Grid { start_ns, step_ns: NonZeroU64::new(step_ns).unwrap(), count }
    }

    proptest! {
        #[test]
        fn every_instant_has_the_value_of_its_neighbours(
            samples in proptest::collection::vec((0..12_i64, proptest::option::of(0.0..9.0)), 0..40),
            start_ns in -20..100_i64,
            step_ns in 1..15_u64,
            tolerance_ns in 0..20_u64,
        ) {
            let mut ts_ns = 0;
            let series: Vec<(i64, Option<f64>)> = samples
                .into_iter()
                .map(|(step, value)| { ts_ns += step; (ts_ns, value) })
                .collect();
            let grid = grid(start_ns, step_ns, 30);
            let found = resample(series.iter().copied(), grid, tolerance_ns);
            for (at, found) in found.into_iter().enumerate() {
                let instant = start_ns + (at as u64 * step_ns) as i64;
                let known = || series.iter().filter_map(|&(ts, value)| Some((ts, value?)));
                let before = known().rfind(|sample| sample.0 <= instant);
                let after = known().find(|sample| sample.0 > instant);
                let expected = match (before, after) {
                    (Some(before), _) if before.0 == instant => Some(before.1),
                    (Some(before), Some(after)) if after.0 - before.0 <= tolerance_ns as i64 => {
                        let share = (instant - before.0) as f64 / (after.0 - before.0) as f64;
                        Some(before.1 * (1.0 - share) + after.1 * share)
                    }
                    _ => None,
                };
                prop_assert_eq!(found.is_some(), expected.is_some());
                prop_assert!((found.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_grid_covers_its_span() {
        let step_ns = NonZeroU64::new(25).unwrap();
        assert_eq!(Grid::covering(0, 99, step_ns).count, 4);
        assert_eq!(Grid::covering(0, 100, step_ns).count, 5);
        assert_eq!(Grid::covering(i64::MAX, 100, step_ns).instant_ns(1), i64::MAX);
    }

    #[test]
    fn nothing_is_known_of_an_empty_or_a_null_series() {
        assert_eq!(resample([], grid(0, 1, 2), 5), [None, None]);
        assert_eq!(resample([(0, None), (1, Some(f64::NAN))], grid(0, 1, 2), 5), [None, None]);
        assert_eq!(resample([(1, Some(4.0))], grid(0, 1, 3), 5), [None, Some(4.0), None]);
    }
}
