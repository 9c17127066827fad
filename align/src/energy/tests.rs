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

proptest! {
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
