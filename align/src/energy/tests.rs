//! The index against integration segment by segment, and against integrals known in closed form.

use arrow_array::{Float32Array, Float64Array, Int64Array, TimestampNanosecondArray};
use proptest::prelude::*;

use super::*;

/// Milliseconds in nanoseconds, for legible tests.
const MS: i64 = 1_000_000;

fn options(method: Method, gaps: Gaps) -> EnergyOptions {
    EnergyOptions { method, gaps, tolerance_ns: 20 }
}

fn index(samples: &[(i64, Option<f64>)], options: EnergyOptions) -> EnergyIndex {
    let ts_ns: Vec<i64> = samples.iter().map(|sample| sample.0).collect();
    let watts: Float64Array = samples.iter().map(|sample| sample.1).collect();
    let mut index = EnergyIndex::new(options);
    index.extend(&ts_ns, &watts).unwrap();
    index
}

/// Watts at an instant, by looking through all samples.
fn power_by_definition(samples: &[(i64, f64)], options: EnergyOptions, at_ns: i64) -> Option<f64> {
    let (before, after): (Vec<_>, Vec<_>) = samples.iter().partition(|sample| sample.0 <= at_ns);
    let &&(before_ns, before_w) = before.last()?;
    if options.method == Method::Hold {
        return (at_ns - before_ns <= options.tolerance_ns).then_some(before_w);
    }
    if before_ns == at_ns {
        return Some(before_w);
    }
    let &&(after_ns, after_w) = after.first()?;
    let share = (at_ns - before_ns) as f64 / (after_ns - before_ns) as f64;
    (after_ns - before_ns <= options.tolerance_ns)
        .then_some(before_w + share * (after_w - before_w))
}

/// Joules between two instants, by summing over every nanosecond: stamps in these tests are small.
fn energy_by_definition(
    samples: &[(i64, f64)],
    options: EnergyOptions,
    from_ns: i64,
    to_ns: i64,
) -> Option<f64> {
    let from_w = power_by_definition(samples, options, from_ns)?;
    let to_w = power_by_definition(samples, options, to_ns)?;
    if to_ns < from_ns {
        return None;
    }
    let mut points = vec![(from_ns, from_w)];
    points.extend(samples.iter().filter(|sample| (from_ns + 1..to_ns).contains(&sample.0)));
    let inner = samples.iter().rposition(|sample| sample.0 <= to_ns)?;
    let first = samples.iter().rposition(|sample| sample.0 <= from_ns)?;
    let gap =
        samples[first..=inner].windows(2).any(|two| two[1].0 - two[0].0 > options.tolerance_ns);
    if gap && options.gaps == Gaps::Null {
        return None;
    }
    // At `to_ns` the line ends in the first sample of that time, not the last.
    let arrival = samples.iter().find(|sample| sample.0 == to_ns && to_ns > from_ns);
    points.push((to_ns, arrival.map_or(to_w, |sample| sample.1)));
    let joules = |two: &[(i64, f64)]| {
        let mean_w = match options.method {
            Method::Trapezoid => (two[0].1 + two[1].1) / 2.0,
            Method::Hold => two[0].1,
        };
        mean_w * (two[1].0 - two[0].0) as f64 * 1e-9
    };
    Some(points.windows(2).map(joules).sum())
}

fn close(left: Option<f64>, right: Option<f64>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => (left - right).abs() <= 1e-15 + 1e-9 * right.abs(),
        (left, right) => left == right,
    }
}

fn series() -> impl Strategy<Value = Vec<(i64, Option<f64>)>> {
    let sample = (0..30_i64, proptest::option::weighted(0.9, 0.0..400.0));
    proptest::collection::vec(sample, 0..60).prop_map(|samples| {
        let mut ts_ns = 100;
        let sample = |(step, watts)| {
            ts_ns += step;
            (ts_ns, watts)
        };
        samples.into_iter().map(sample).collect()
    })
}

fn any_options() -> impl Strategy<Value = EnergyOptions> {
    let methods = prop_oneof![Just(Method::Trapezoid), Just(Method::Hold)];
    let gaps = prop_oneof![Just(Gaps::Null), Just(Gaps::Bridge)];
    (methods, gaps, 0..30_i64).prop_map(|(method, gaps, tolerance_ns)| EnergyOptions {
        method,
        gaps,
        tolerance_ns,
    })
}

/// Samples of whole milliwatts, so that all is a fraction of whole numbers.
type Exact = Vec<(i64, i32)>;

/// Milliwatts times nanoseconds, twice: the exact integral between two instants within a series without
/// gaps, as a whole number and a fraction. The instants are not beyond the last sample but one.
fn twice_exactly(samples: &Exact, from_ns: i64, to_ns: i64) -> (i128, (i128, i128)) {
    let at = |ns: i64| samples.partition_point(|sample| sample.0 <= ns) - 1;
    let wide = |sample: (i64, i32)| (i128::from(sample.0), i128::from(sample.1));
    // From sample `i` to an instant before the next: (up, down).
    let part = |i: usize, ns: i64| {
        let ((t0, w0), (t1, w1)) = (wide(samples[i]), wide(samples[i + 1]));
        let into = i128::from(ns) - t0;
        ((2 * w0 * (t1 - t0) + (w1 - w0) * into) * into, t1 - t0)
    };
    let whole: i128 = samples[at(from_ns)..=at(to_ns)]
        .windows(2)
        .map(|two| (wide(two[0]).1 + wide(two[1]).1) * (wide(two[1]).0 - wide(two[0]).0))
        .sum();
    let ((up0, down0), (up1, down1)) = (part(at(from_ns), from_ns), part(at(to_ns), to_ns));
    (whole, (up1 * down0 - up0 * down1, down0 * down1))
}

/// The double nearest to [`twice_exactly`], in joules, but for its last bit.
fn joules_of((whole, (up, down)): (i128, (i128, i128))) -> f64 {
    let whole = whole + up.div_euclid(down);
    (whole as f64 + up.rem_euclid(down) as f64 / down as f64) * 0.5e-12
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn draw(n: u64, limit: u64) -> i64 {
    let mut z = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) % limit) as i64
}

#[test]
fn joules_are_those_of_exact_fractions_over_three_billion_joules() {
    // About 300 W for four months at 1 Hz, or at any other rate: 3.5 kW at one sample in three seconds.
    let options =
        EnergyOptions { tolerance_ns: i64::MAX, ..options(Method::Trapezoid, Gaps::Null) };
    let (mut index, mut series) = (EnergyIndex::new(options), Exact::new());
    let mut ts_ns = 1_700_000_000_000_000_000;
    for n in 0..300_000 {
        let milliwatts = 3_000_000 + draw(n, 1_000_000) as i32;
        ts_ns += 2_900_000_000 + draw(n + 1_000_000, 200_000_000);
        index.push(ts_ns, f64::from(milliwatts) / 1e3).unwrap();
        series.push((ts_ns, milliwatts));
    }
    let (first_ns, last_ns) = (series[0].0, series[series.len() - 2].0);
    let span = (last_ns - first_ns) as u64;
    let check = |from_ns: i64, to_ns: i64| {
        let exact = joules_of(twice_exactly(&series, from_ns, to_ns));
        let found = index.energy_j(from_ns, to_ns).unwrap();
        // A few roundings of a double, at whatever length.
        assert!(
            (found - exact).abs() <= 1e-15 * exact,
            "{from_ns}..{to_ns}: {found}, exactly {exact}"
        );
        exact
    };
    assert!(check(first_ns, last_ns) > 3e9);
    for n in 0..2_000 {
        let from_ns = first_ns + draw(n, span);
        // A frame, and any stretch of the series.
        check(from_ns, (from_ns + draw(n + 1, 50_000_000)).min(last_ns));
        check(from_ns, from_ns + draw(n + 2, (last_ns - from_ns) as u64 + 1));
    }
}

proptest! {
    #[test]
    fn a_sum_is_the_same_to_the_bit_wherever_it_began(
        series in series(),
        options in any_options(),
        cut in 0..60_usize,
        from_ns in 50..1000_i64,
        span_ns in 0..300_i64,
    ) {
        let whole = index(&series, options);
        let before = series.partition_point(|sample| sample.0 <= from_ns);
        // From any sample on that has the reading before the instant.
        let needed = series[..before].iter().rposition(|sample| sample.1.is_some()).unwrap_or(0);
        let later = index(&series[cut.min(needed)..], options);
        let bits = |index: &EnergyIndex| index.energy_j(from_ns, from_ns + span_ns).map(f64::to_bits);
        prop_assert_eq!(bits(&later), bits(&whole));
    }

    #[test]
    fn joules_are_those_of_exact_fractions(
        steps in proptest::collection::vec((1..200_000_000_i64, -5_000..500_000_i32), 3..60),
        from in any::<proptest::sample::Index>(),
        span in any::<proptest::sample::Index>(),
    ) {
        let mut ts_ns = 0;
        let sample = |(step, milliwatts)| {
            ts_ns += step;
            (ts_ns, milliwatts)
        };
        let series: Exact = steps.into_iter().map(sample).collect();
        let (first_ns, last_ns) = (series[0].0, series[series.len() - 2].0);
        let from_ns = first_ns + from.index((last_ns - first_ns) as usize) as i64;
        let to_ns = from_ns + span.index((last_ns - from_ns) as usize + 1) as i64;
        let watts: Vec<_> =
            series.iter().map(|&(ts, milliwatts)| (ts, Some(f64::from(milliwatts) / 1e3))).collect();
        let options = EnergyOptions { tolerance_ns: 200_000_000, ..options(Method::Trapezoid, Gaps::Null) };
        let found = index(&watts, options).energy_j(from_ns, to_ns).unwrap();
        let exact = joules_of(twice_exactly(&series, from_ns, to_ns));
        // Here watts may cancel each other: a few roundings of as many joules as there were of either sign.
        let joules = 500.0 * (to_ns - from_ns) as f64 * 1e-9;
        prop_assert!((found - exact).abs() <= 1e-15 * joules, "{} {}", found, exact);
    }

    #[test]
    fn joules_and_watts_are_those_of_the_definition(
        series in series(),
        options in any_options(),
        spans in proptest::collection::vec((50..1000_i64, -20..300_i64), 40),
    ) {
        let known: Vec<_> = series.iter().filter_map(|&(ts, w)| Some((ts, w?))).collect();
        let index = index(&series, options);
        let from: Int64Array = spans.iter().map(|span| span.0).collect();
        let to: TimestampNanosecondArray = spans.iter().map(|span| Some(span.0 + span.1)).collect();
        let joules = index.energies_j(&from, &to).unwrap();
        let watts = index.powers_w(&from);
        for (row, (from_ns, to_ns)) in from.values().iter().zip(to.values()).enumerate() {
            let expected = energy_by_definition(&known, options, *from_ns, *to_ns);
            let found = index.energy_j(*from_ns, *to_ns);
            prop_assert!(close(found, expected), "{from_ns}..{to_ns}: {found:?}, {expected:?}");
            prop_assert!(close(joules.iter().nth(row).flatten(), expected));
            let expected = power_by_definition(&known, options, *from_ns);
            prop_assert!(close(index.power_w_at(*from_ns), expected));
            prop_assert!(close(watts.iter().nth(row).flatten(), expected));
        }
    }

    #[test]
    fn appended_and_trimmed_is_the_same_as_built_at_once(
        series in series(),
        options in any_options(),
        cut in 0..60_usize,
        from_ns in 50..1000_i64,
        span_ns in 0..300_i64,
    ) {
        let (head, tail) = series.split_at(cut.min(series.len()));
        let mut grown = index(head, options);
        for &(ts_ns, watts) in tail {
            if let Some(watts) = watts {
                grown.push(ts_ns, watts).unwrap();
            }
        }
        let whole = index(&series, options);
        prop_assert_eq!(grown.energy_j(from_ns, from_ns + span_ns), whole.energy_j(from_ns, from_ns + span_ns));
        grown.trim_before(from_ns);
        prop_assert!(close(grown.energy_j(from_ns, from_ns + span_ns), whole.energy_j(from_ns, from_ns + span_ns)));
        prop_assert_eq!(grown.power_w_at(from_ns), whole.power_w_at(from_ns));
    }
}

#[test]
fn a_ramp_is_integrated_exactly() {
    // 0 W to 100 W in 1 s: between 250 ms and 750 ms the mean is 50 W.
    let ramp: Vec<_> = (0..=10).map(|step| (step * 100 * MS, Some(step as f64 * 10.0))).collect();
    let tolerance_ns = 200 * MS;
    let index =
        index(&ramp, EnergyOptions { tolerance_ns, ..options(Method::Trapezoid, Gaps::Null) });
    assert!((index.energy_j(250 * MS, 750 * MS).unwrap() - 25.0).abs() < 1e-12);
    assert!((index.power_w_at(730 * MS).unwrap() - 73.0).abs() < 1e-12);
    assert_eq!(index.power_w_at(1_001 * MS), None, "nothing is known after the last sample");
}

#[test]
fn a_null_is_a_gap_and_not_zero_watts() {
    let samples =
        [(0, Some(10.0)), (15, None), (30, Some(10.0)), (40, Some(f64::NAN)), (45, Some(10.0))];
    let index = index(&samples, options(Method::Trapezoid, Gaps::Null));
    assert_eq!(index.len(), 3);
    assert_eq!(index.energy_j(0, 45), None, "30 ns without a sample");
    assert!((index.energy_j(30, 45).unwrap() - 150e-9).abs() < 1e-18);
}

#[test]
fn a_bridged_gap_is_held_or_drawn_through_but_its_inside_stays_unknown() {
    let samples = [(0, Some(10.0)), (100, Some(30.0))];
    let held = index(&samples, options(Method::Hold, Gaps::Bridge));
    assert!((held.energy_j(0, 100).unwrap() - 1000e-9).abs() < 1e-18);
    assert_eq!(held.energy_j(21, 100), None);
    assert!(held.energy_j(20, 120).is_some());
    let drawn = index(&samples, options(Method::Trapezoid, Gaps::Bridge));
    assert!((drawn.energy_j(0, 100).unwrap() - 2000e-9).abs() < 1e-18);
    assert_eq!(drawn.energy_j(1, 100), None);
}

#[test]
fn edges_have_answers() {
    for method in [Method::Trapezoid, Method::Hold] {
        let options = options(method, Gaps::Null);
        assert_eq!(index(&[], options).energy_j(0, 1), None);
        assert_eq!(index(&[(5, None), (6, None)], options).power_w_at(5), None);
        let one = index(&[(5, Some(7.0))], options);
        assert_eq!(one.energy_j(5, 5), Some(0.0));
        assert_eq!(one.energy_j(4, 5), None);
        let equal = index(&[(5, Some(7.0)), (5, Some(8.0)), (5, Some(9.0))], options);
        assert_eq!(equal.power_w_at(5), Some(9.0));
        assert_eq!(equal.energy_j(5, 5), Some(0.0));
    }
}

#[test]
fn disorder_and_unequal_lengths_are_refused() {
    let mut index = EnergyIndex::new(options(Method::Hold, Gaps::Null));
    let watts = Float32Array::from(vec![1.0, 2.0]);
    let out_of_order = EnergyError::OutOfOrder { ts_ns: 1, last_ns: 2 };
    assert_eq!(index.extend(&[2, 1], &watts), Err(out_of_order));
    assert_eq!(index.extend(&[2], &watts), Err(EnergyError::Length { times: 1, samples: 2 }));
    assert_eq!((index.len(), index.last_ts_ns()), (1, Some(2)));
}

#[test]
fn more_than_the_sum_holds_is_not_told() {
    let mut index =
        index(&[(0, Some(1e30)), (10, Some(1e30))], options(Method::Hold, Gaps::Bridge));
    assert_eq!(index.energy_j(0, 10), None, "10^22 J");
    index.push(20, 5.0).unwrap();
    assert_eq!(index.energy_j(10, 20), None);
    assert_eq!(index.power_w_at(20), Some(5.0));
}

#[test]
fn months_of_samples_keep_a_frames_joules_exact() {
    // 300 W at 1 Hz for about four months: the sum is 3e9 J, a frame is 3 J.
    let mut index = EnergyIndex::new(EnergyOptions {
        tolerance_ns: 2_000 * MS,
        ..options(Method::Trapezoid, Gaps::Null)
    });
    for second in 0..10_000_000_i64 {
        index.push(second * 1_000 * MS, 300.0).unwrap();
        if second % 1_000_000 == 0 {
            index.trim_before((second - 5) * 1_000 * MS);
        }
    }
    let from_ns = 9_999_000_005 * MS;
    let joules = index.energy_j(from_ns, from_ns + 10 * MS).unwrap();
    assert!((joules - 3.0).abs() < 1e-9, "{joules}");
}
