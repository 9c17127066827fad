//! Two clocks: their offset and drift from exchanges of stamps, and steps of the wall clock.
//!
//! An exchange is stamped by the local clock when the request leaves and when the reply is in, and by
//! the remote clock in between. The remote stamp was taken somewhere in that interval, so every
//! exchange bounds the offset by half its round trip, whatever the asymmetry of the way (the method
//! of NTP, RFC 5905 section 8). The exchanges with the shortest round trips of their neighbourhood are
//! kept, and a line is laid through their midpoints by medians (Theil 1950, Sen 1968), which up to
//! 29 % of outliers do not move.

/// One exchange of stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Local time when the request left.
    pub sent_ns: i64,
    /// Remote time when it was answered.
    pub remote_ns: i64,
    /// Local time when the reply was in; not before `sent_ns`.
    pub received_ns: i64,
}

impl Exchange {
    /// Length of the exchange on the local clock.
    pub fn round_trip_ns(&self) -> i64 {
        self.received_ns.saturating_sub(self.sent_ns)
    }

    /// Local time at the middle of the exchange.
    fn midpoint_ns(&self) -> i64 {
        self.sent_ns.saturating_add(self.round_trip_ns() / 2)
    }
}

/// The remote clock as a line over the local one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockFit {
    /// The local instant that the offset is given at.
    pub at_ns: i64,
    /// Remote minus local time at that instant.
    pub offset_ns: f64,
    /// How much faster the remote clock runs, in parts of a million.
    pub drift_ppm: f64,
    /// Bound of the offset's error within the exchanges' span: half of the longest round trip that
    /// was kept, and the largest distance of a kept exchange from the line.
    pub err_ns: f64,
    /// How many exchanges the line was laid through.
    pub kept: usize,
}

impl ClockFit {
    /// The remote time at a local instant.
    pub fn remote_ns(&self, local_ns: i64) -> i64 {
        let elapsed_ns = local_ns.saturating_sub(self.at_ns) as f64;
        let offset_ns = self.offset_ns + elapsed_ns * self.drift_ppm * 1e-6;
        local_ns.saturating_add(offset_ns.round() as i64)
    }
}

/// Stretches of the exchanges' span that the shortest round trips are taken from, so that the kept
/// ones are spread over all of it.
const STRETCHES: usize = 32;

/// Fits the remote clock's line. `None` without an exchange; with the exchanges of one instant only,
/// no drift is seen and it is 0. Exchanges whose reply is before the request are left out.
pub fn fit_clock(exchanges: &[Exchange]) -> Option<ClockFit> {
    let kept = shortest(exchanges);
    let at_ns = kept.get(kept.len() / 2)?.midpoint_ns();
    let first_ns = kept[0].remote_ns.saturating_sub(kept[0].midpoint_ns());
    // From differences of integers, so that stamps since 1970 lose nothing in floating point.
    let points: Vec<(f64, f64)> = kept
        .iter()
        .map(|exchange| {
            let midpoint_ns = exchange.midpoint_ns();
            let offset_ns = exchange.remote_ns.saturating_sub(midpoint_ns);
            (midpoint_ns.saturating_sub(at_ns) as f64, offset_ns.saturating_sub(first_ns) as f64)
        })
        .collect();
    let slopes = points.iter().enumerate().flat_map(|(at, left)| {
        let later = points[at + 1..].iter().filter(|right| right.0 > left.0);
        later.map(|right| (right.1 - left.1) / (right.0 - left.0))
    });
    let slope = median(slopes.collect()).unwrap_or(0.0);
    let offset = median(points.iter().map(|point| point.1 - slope * point.0).collect())?;
    let distance = |point: &(f64, f64)| (point.1 - slope * point.0 - offset).abs();
    let farthest = points.iter().map(distance).fold(0.0, f64::max);
    let longest = kept.iter().map(Exchange::round_trip_ns).max()?;
    Some(ClockFit {
        at_ns,
        offset_ns: first_ns as f64 + offset,
        drift_ppm: slope * 1e6,
        err_ns: (longest as f64 / 2.0).max(farthest),
        kept: kept.len(),
    })
}

/// The exchanges with the shortest round trips of each stretch, in order of time: at most three of
/// each, and none longer than twice the shortest of all.
fn shortest(exchanges: &[Exchange]) -> Vec<Exchange> {
    let mut valid: Vec<Exchange> =
        exchanges.iter().copied().filter(|exchange| exchange.round_trip_ns() >= 0).collect();
    valid.sort_by_key(Exchange::midpoint_ns);
    let Some(least) = valid.iter().map(Exchange::round_trip_ns).min() else { return valid };
    let mut kept = Vec::new();
    for stretch in valid.chunk_by(stretches(&valid)) {
        let mut stretch = stretch.to_vec();
        stretch.sort_by_key(Exchange::round_trip_ns);
        let close = |exchange: &&Exchange| exchange.round_trip_ns() / 2 <= least;
        let count = stretch.iter().take_while(close).count().min(3);
        kept.extend_from_slice(&stretch[..count]);
    }
    kept.sort_by_key(Exchange::midpoint_ns);
    kept
}

/// Whether two exchanges are of the same stretch.
fn stretches(sorted: &[Exchange]) -> impl Fn(&Exchange, &Exchange) -> bool {
    let first_ns = sorted[0].midpoint_ns();
    let span_ns = sorted[sorted.len() - 1].midpoint_ns().abs_diff(first_ns).max(1);
    let stretch = move |exchange: &Exchange| {
        let elapsed_ns = exchange.midpoint_ns().abs_diff(first_ns);
        u128::from(elapsed_ns) * STRETCHES as u128 / (u128::from(span_ns) + 1)
    };
    move |left, right| stretch(left) == stretch(right)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    let middle = values.len() / 2;
    let odd = values.len() % 2 == 1;
    if values.is_empty() {
        return None;
    }
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    let lower = below.iter().copied().max_by(f64::total_cmp).filter(|_| !odd);
    Some(lower.map_or(upper, |lower| 0.5 * (lower + upper)))
}

/// A reading of both clocks of a host, as a row of table `clock` holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// `CLOCK_MONOTONIC`.
    pub monotonic_ns: i64,
    /// `CLOCK_REALTIME`.
    pub realtime_ns: i64,
    /// Half the time that reading both took.
    pub err_ns: i64,
}

/// A step of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockStep {
    /// The last reading before it, monotonic.
    pub after_ns: i64,
    /// The first reading after it, monotonic.
    pub before_ns: i64,
    /// How far the wall clock was set forward (negative: back).
    pub step_ns: i64,
    /// Bound of the error of `step_ns`: the readings' errors and what slewing can do in between.
    pub err_ns: i64,
}

/// Finds the steps of the wall clock between readings in order of time: where realtime minus monotonic
/// changes by more than the readings' errors and `max_slew_ppm` explain. Linux slews by at most 500 ppm
/// (`adjtimex`), so 500 finds no step where there is none.
pub fn wall_clock_steps(readings: &[ClockReading], max_slew_ppm: u32) -> Vec<ClockStep> {
    let offset =
        |reading: &ClockReading| i128::from(reading.realtime_ns) - i128::from(reading.monotonic_ns);
    let step = |two: &[ClockReading]| {
        let (before, after) = (&two[0], &two[1]);
        let elapsed_ns = after.monotonic_ns.abs_diff(before.monotonic_ns);
        let slewed_ns = u128::from(elapsed_ns) * u128::from(max_slew_ppm) / 1_000_000;
        let err_ns = i128::from(before.err_ns) + i128::from(after.err_ns) + slewed_ns as i128;
        let step_ns = offset(after) - offset(before);
        (step_ns.abs() > err_ns).then(|| ClockStep {
            after_ns: before.monotonic_ns,
            before_ns: after.monotonic_ns,
            step_ns: clamped(step_ns),
            err_ns: clamped(err_ns),
        })
    };
    readings.windows(2).filter_map(step).collect()
}

fn clamped(value: i128) -> i64 {
    value.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    proptest! {
        #[test]
        fn offset_and_drift_are_found_within_their_bounds(
            offset_ns in -1_000_000_000_000_000_000..1_000_000_000_000_000_000_i64,
            drift_ppm in -100.0..100.0_f64,
            delays in proptest::collection::vec((20_000..60_000_i64, 20_000..60_000_i64, 0..10_u8), 50..300),
        ) {
            let drifted = |elapsed_ns: i64| (elapsed_ns as f64 * drift_ppm * 1e-6) as i64;
            let mut exchanges = Vec::new();
            for (at, (there, back, slow)) in delays.iter().enumerate() {
                let elapsed_ns = at as i64 * SECOND / 2;
                let sent_ns = SECOND * 1_000_000 + elapsed_ns;
                // One in ten is held up on one way, by up to some milliseconds.
                let held_ns = if *slow == 9 { there * 100 } else { 0 };
                let answered_ns = elapsed_ns + there + held_ns;
                exchanges.push(Exchange {
                    sent_ns,
                    remote_ns: SECOND * 1_000_000 + answered_ns + drifted(answered_ns) + offset_ns,
                    received_ns: sent_ns + there + held_ns + back,
                });
            }
            let fit = fit_clock(&exchanges).unwrap();
            prop_assert!(fit.err_ns <= 130_000.0, "{fit:?}");
            for exchange in &exchanges {
                let local_ns = exchange.sent_ns;
                let truth_ns = local_ns + drifted(local_ns - SECOND * 1_000_000) + offset_ns;
                let error_ns = (fit.remote_ns(local_ns) - truth_ns).abs() as f64;
                prop_assert!(error_ns <= fit.err_ns + 1.0, "{error_ns} ns: {fit:?}");
            }
            // 25 s and more, 20 us of asymmetry at most.
            prop_assert!((fit.drift_ppm - drift_ppm).abs() < 2.0, "{fit:?}, {drift_ppm} ppm");
        }

        #[test]
        fn steps_are_those_put_in(
            slew_ppm in -500.0..500.0_f64,
            steps in proptest::collection::vec((1..100_usize, 20_000_000..9_000_000_000_i64, any::<bool>()), 0..4),
            errors in proptest::collection::vec(0..5_000_i64, 100),
        ) {
            let mut expected = [0_i64; 100];
            for (at, size, back) in steps {
                expected[at] = if back { -size } else { size };
            }
            let mut offset_ns = 1_700_000_000 * SECOND;
            let readings: Vec<_> = errors.iter().enumerate().map(|(at, err_ns)| {
                offset_ns += expected[at] + if at > 0 { (slew_ppm * 1e4) as i64 } else { 0 };
                let monotonic_ns = at as i64 * 10 * SECOND;
                ClockReading { monotonic_ns, realtime_ns: monotonic_ns + offset_ns + err_ns, err_ns: *err_ns }
            }).collect();
            let found = wall_clock_steps(&readings, 500);
            let expected: Vec<_> = expected.iter().enumerate().filter(|(_, step)| **step != 0).collect();
            prop_assert_eq!(found.len(), expected.len());
            for (found, (at, step_ns)) in found.iter().zip(expected) {
                prop_assert_eq!(found.before_ns, at as i64 * 10 * SECOND);
                prop_assert!((found.step_ns - step_ns).abs() <= found.err_ns);
            }
        }
    }

    #[test]
    fn edges_have_answers() {
        assert_eq!(fit_clock(&[]), None);
        let one = Exchange { sent_ns: 100, remote_ns: 1_150, received_ns: 200 };
        let fit = fit_clock(&[one, one]).unwrap();
        assert_eq!((fit.offset_ns, fit.drift_ppm, fit.err_ns), (1_000.0, 0.0, 50.0));
        assert_eq!(fit.remote_ns(150), 1_150);
        let reversed = Exchange { sent_ns: 200, remote_ns: 0, received_ns: 100 };
        assert_eq!(fit_clock(&[reversed]), None);
        assert_eq!(wall_clock_steps(&[], 500), []);
        let reading = ClockReading { monotonic_ns: 0, realtime_ns: 5, err_ns: 0 };
        assert_eq!(wall_clock_steps(&[reading], 500), []);
        assert_eq!(wall_clock_steps(&[reading, reading], 500), []);
    }
}
