//! The driver against the definition, and against itself fed in other pieces.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StringArray};
use arrow_buffer::NullBuffer;
use proptest::prelude::*;

use super::*;

const MS: i64 = 1_000_000;
const STAGES: [&str; 3] = ["in", "out", "other"];

/// Time, stage by number, frame number, pipeline.
type Event = (i64, usize, Option<i64>, Option<&'static str>);
/// Time and watts; NaN is no reading.
type Sample = (i64, f64);

fn push_events(driver: &mut Driver, events: &[Event]) {
    let ts_ns: Vec<i64> = events.iter().map(|event| event.0).collect();
    let stage: ArrayRef =
        Arc::new(events.iter().map(|event| Some(STAGES[event.1])).collect::<StringArray>());
    let pipeline: ArrayRef = Arc::new(events.iter().map(|event| event.3).collect::<StringArray>());
    let ids: Vec<i64> = events.iter().map(|event| event.2.unwrap_or(0)).collect();
    let nulls: NullBuffer = events.iter().map(|event| event.2.is_some()).collect();
    let keys = [Some((ids.as_slice(), Some(&nulls))), None, None];
    let columns = EventColumns { ts_ns: &ts_ns, pipeline: Some(&pipeline), stage: &stage, keys };
    driver.push_events(&columns).unwrap();
}

fn push_power(driver: &mut Driver, samples: &[Sample]) {
    let ts_ns: Vec<i64> = samples.iter().map(|sample| sample.0).collect();
    let sys_w: Float64Array =
        samples.iter().map(|sample| Some(sample.1).filter(|watts| !watts.is_nan())).collect();
    let columns =
        PowerColumns { ts_ns: &ts_ns, sys_w: &sys_w, cpu_w: None, gpu_w: None, err_ns: None };
    driver.push_power(&columns);
}

fn driver(options: DriverOptions) -> Driver {
    Driver::new([("in", "out")], options).unwrap()
}

/// Pipeline, beginning, frame, latency, power, energy: what all must agree on, to the bit.
type Row = (Option<String>, i64, Option<i64>, Option<i64>, Option<u64>, Option<u64>);

fn row(driver: &Driver, frame: &Frame) -> Row {
    let pipeline = driver.pipeline(frame.pair.key.group).map(str::to_string);
    let bits = |value: Option<f64>| value.map(f64::to_bits);
    let Frame { pair, energy_j, .. } = frame;
    (pipeline, pair.ts_ns, pair.carry[0], pair.latency_ns, bits(frame.power_w()), bits(*energy_j))
}

fn rows(driver: &Driver, frames: &[Frame]) -> Vec<Row> {
    frames.iter().map(|frame| row(driver, frame)).collect()
}

fn at_once(options: DriverOptions, events: &[Event], samples: &[Sample]) -> Vec<Row> {
    let mut driver = driver(options);
    push_power(&mut driver, samples);
    push_events(&mut driver, events);
    driver.finish_events();
    driver.finish_power();
    let frames = driver.take(0, i64::MIN).frames;
    assert!(frames.iter().all(|frame| frame.is_settled));
    rows(&driver, &frames)
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (
        0..8_i64,
        0..3_usize,
        proptest::option::weighted(0.9, 0..8_i64),
        prop_oneof![Just(None), Just(Some("b")), Just(Some("a"))],
    );
    proptest::collection::vec(event, 0..100).prop_map(|steps| {
        let mut at_ns = 0;
        let event = |(step, stage, frame, pipeline)| {
            at_ns += step;
            (at_ns, stage, frame, pipeline)
        };
        let mut events: Vec<Event> = steps.into_iter().map(event).collect();
        // One instant has one order, as rows of the store do.
        events.sort_by_key(|event| (event.0, event.3, event.1, event.2));
        events
    })
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let sample = (1..20_i64, prop_oneof![4 => 0.0..400.0, 1 => Just(f64::NAN)]);
    proptest::collection::vec(sample, 0..60).prop_map(|steps| {
        let mut at_ns = -20;
        let sample = |(step, watts)| {
            at_ns += step;
            (at_ns, watts)
        };
        steps.into_iter().map(sample).collect()
    })
}

const OPTIONS: DriverOptions = DriverOptions {
    lag_ns: 0,
    window_ns: 40,
    tolerance_ns: 12,
    lateness_ns: 0,
    from_ns: i64::MIN,
    telling: Telling::InOrder,
};

proptest! {
    #[test]
    fn costs_are_those_of_the_definition(events in events(), samples in samples()) {
        for (_, ts_ns, _, latency_ns, power_w, energy_j) in at_once(OPTIONS, &events, &samples) {
            let last = samples.iter().rfind(|sample| sample.0 <= ts_ns);
            let expected = last.filter(|sample| ts_ns - sample.0 <= 12 && !sample.1.is_nan());
            prop_assert_eq!(power_w, expected.map(|sample| sample.1.to_bits()));
            let expected = latency_ns.and_then(|latency_ns| joules(&samples, ts_ns, ts_ns + latency_ns));
            match (energy_j.map(f64::from_bits), expected) {
                (Some(found), Some(expected)) => prop_assert!((found - expected).abs() < 1e-15),
                (found, expected) => prop_assert_eq!(found, expected),
            }
        }
    }

    #[test]
    fn in_pieces_is_as_at_once(
        events in events(),
        samples in samples(),
        piece in 1..40_usize,
        from_ns in -10..200_i64,
    ) {
        let whole = at_once(OPTIONS, &events, &samples);
        let expected: Vec<Row> = whole.into_iter().filter(|row| row.1 >= from_ns).collect();
        let mut driver = driver(DriverOptions { from_ns, ..OPTIONS });
        let mut samples = samples.chunks(piece);
        let mut found = Vec::new();
        let mut chunks = events.chunks(piece);
        loop {
            let chunk = chunks.next();
            match chunk {
                Some(events) => push_events(&mut driver, events),
                None => driver.finish_events(),
            }
            // As much power as is asked for, and no more.
            while driver.wants_power(0).is_some() {
                match samples.next() {
                    Some(samples) => push_power(&mut driver, samples),
                    None => driver.finish_power(),
                }
            }
            let frames = driver.take(0, i64::MIN).frames;
            prop_assert!(frames.iter().all(|frame| frame.is_settled));
            found.extend(rows(&driver, &frames));
            if chunk.is_none() {
                break;
            }
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn as_they_end_is_as_in_order(events in events(), samples in samples(), piece in 1..40_usize) {
        // A key that comes twice at once may end either frame: then the two need not agree.
        let mut seen = std::collections::HashSet::new();
        let events: Vec<Event> =
            events.into_iter().filter(|e| e.2.is_some() && seen.insert((e.1, e.2, e.3))).collect();
        let mut expected = at_once(OPTIONS, &events, &samples);
        let mut driver = driver(DriverOptions { telling: Telling::AsTheyEnd, ..OPTIONS });
        let (mut found, mut samples) = (Vec::new(), samples.chunks(piece));
        let mut amend = |driver: &Driver, taken: Taken| {
            found.extend(rows(driver, &taken.frames));
            for frame in &taken.costs {
                let cost = row(driver, frame);
                let of = |row: &Row| (&row.0, row.1, row.2) == (&cost.0, cost.1, cost.2);
                let at = found.iter().position(of).unwrap();
                found[at] = cost;
            }
        };
        for events in events.chunks(piece) {
            push_events(&mut driver, events);
            let now_ns = events[events.len() - 1].0;
            let taken = driver.take(0, now_ns);
            amend(&driver, taken);
            samples.next().into_iter().for_each(|samples| push_power(&mut driver, samples));
        }
        samples.for_each(|samples| push_power(&mut driver, samples));
        driver.finish_events();
        driver.finish_power();
        let taken = driver.take(0, i64::MAX);
        amend(&driver, taken);
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected);
    }
}

/// Joules by walking from reading to reading; `None` where any two on the way are too far apart.
fn joules(samples: &[Sample], from_ns: i64, to_ns: i64) -> Option<f64> {
    let known: Vec<Sample> = samples.iter().copied().filter(|sample| !sample.1.is_nan()).collect();
    let watts = |at_ns: i64| {
        let after = known.iter().position(|sample| sample.0 >= at_ns)?;
        if known[after].0 == at_ns {
            return Some(known[after].1);
        }
        let (before, after) = (known[after.checked_sub(1)?], known[after]);
        let share = (at_ns - before.0) as f64 / (after.0 - before.0) as f64;
        (after.0 - before.0 <= 12).then_some(before.1 + share * (after.1 - before.1))
    };
    let mut line = vec![(from_ns, watts(from_ns)?)];
    line.extend(known.iter().filter(|sample| sample.0 > from_ns && sample.0 < to_ns));
    line.push((to_ns, watts(to_ns)?));
    line.windows(2)
        .map(|two| {
            let step_ns = two[1].0 - two[0].0;
            (step_ns <= 12).then_some((two[0].1 + two[1].1) / 2.0 * step_ns as f64 * 1e-9)
        })
        .sum()
}

#[test]
fn watchers_see_a_frame_at_once_and_its_cost_when_it_is_certain() {
    let options = DriverOptions { telling: Telling::AsTheyEnd, ..DriverOptions::default() };
    let mut driver = driver(options);
    push_events(&mut driver, &[(0, 0, Some(1), None), (20 * MS, 1, Some(1), None)]);
    let taken = driver.take(0, 20 * MS);
    assert_eq!(taken.frames.len(), 1, "without a board nothing is waited for");
    assert_eq!((taken.frames[0].power_w(), taken.frames[0].is_settled), (None, false));
    push_power(&mut driver, &[(-5 * MS, 100.0)]);
    assert_eq!(driver.take(0, 25 * MS), Taken::default(), "another sample may precede it");
    push_power(&mut driver, &[(15 * MS, 100.0), (35 * MS, 100.0)]);
    let taken = driver.take(0, 40 * MS);
    assert_eq!((taken.frames.len(), taken.costs.len()), (0, 1));
    assert_eq!(taken.costs[0].power_w(), Some(100.0));
    assert_eq!(taken.costs[0].energy_j, Some(2.0));
    assert_eq!(taken.costs[0].power_age_ns(), Some(5 * MS));
    // With a board, a frame waits for its samples, but not for ever.
    push_events(&mut driver, &[(50 * MS, 0, Some(2), None), (60 * MS, 1, Some(2), None)]);
    assert_eq!(driver.take(0, 60 * MS + PATIENCE_NS - 1), Taken::default());
    let taken = driver.take(0, 60 * MS + PATIENCE_NS);
    assert_eq!(taken.frames[0].power_w(), None, "what may change is not told");
    let taken = driver.take(0, 60 * MS + SETTLING_NS);
    assert_eq!(taken.costs[0].power_w(), Some(100.0), "none is awaited any more");
    assert_eq!(taken.costs[0].energy_j, None);
}

#[test]
fn leaving_tells_what_ended_and_no_power_that_may_change() {
    let mut driver = driver(DriverOptions::default());
    push_events(&mut driver, &[(0, 0, Some(1), None), (5 * MS, 1, Some(1), None)]);
    push_events(&mut driver, &[(20 * MS, 0, Some(2), None), (40 * MS, 0, Some(3), None)]);
    push_events(&mut driver, &[(45 * MS, 1, Some(3), None)]);
    push_power(&mut driver, &[(-MS, 100.0), (10 * MS, 100.0), (39 * MS, 100.0)]);
    assert_eq!(driver.take(0, i64::MIN).frames.len(), 1, "the second is on its way");
    driver.leave();
    assert_eq!(driver.wants_power(0), Some(40 * MS - DEFAULT_TOLERANCE_NS));
    let frames = driver.take(0, i64::MIN).frames;
    let found: Vec<_> = frames.iter().map(|f| (f.pair.carry[0], f.power_w(), f.energy_j)).collect();
    assert_eq!(found, [(Some(3), None, None)]);
}

#[test]
fn a_gap_is_certain_once_readings_are_too_far_apart() {
    let mut driver = driver(DriverOptions::default());
    push_events(&mut driver, &[(0, 0, Some(1), None), (5 * MS, 1, Some(1), None)]);
    push_power(&mut driver, &[(-MS, 100.0), (10 * MS, f64::NAN)]);
    assert!(driver.take(0, i64::MIN).frames.is_empty(), "a reading may still follow");
    push_power(&mut driver, &[(200 * MS, f64::NAN)]);
    let frames = driver.take(0, i64::MIN).frames;
    assert_eq!((frames[0].power_w(), frames[0].energy_j), (Some(100.0), None));
}

#[test]
fn memory_is_that_of_what_is_open() {
    let mut driver = driver(DriverOptions::default());
    let mut frames = 0;
    for second in 0..3_600 {
        let start_ns = second * 1_000 * MS;
        let events: Vec<Event> = (0..60)
            .flat_map(|k| {
                let (at_ns, frame) = (start_ns + k * 16 * MS, Some(second * 60 + k));
                [(at_ns, 0, frame, None), (at_ns + 5 * MS, 1, frame, None)]
            })
            .collect();
        push_events(&mut driver, &events);
        let samples: Vec<Sample> = (0..50).map(|k| (start_ns + k * 20 * MS, 100.0)).collect();
        push_power(&mut driver, &samples);
        frames += driver.take(0, i64::MIN).frames.len();
        // Half a minute for late events, twice as trimming is lazy.
        assert!(driver.power.len() <= 2 * (50 * 30 + 100), "{}", driver.power.len());
    }
    assert!(frames > 3_598 * 60);
}

#[test]
fn the_first_board_is_that_of_the_first_sample() {
    let mut board = FirstBoard::default();
    assert_eq!((board.uid(), board.decided(i64::MAX)), (None, None));
    board.see(20, "B2");
    board.see(10, "B3");
    board.see(10, "B1");
    board.see(30, "B0");
    assert_eq!(board.uid(), Some("B1"));
    assert_eq!(board.decided(10 + 999 * MS), None, "another may have been before");
    assert_eq!(board.decided(10 + 1_000 * MS), Some("B1"));
}

#[test]
fn a_stage_is_not_paired_with_itself() {
    let same = Driver::new([("a", "b"), ("a", "a")], DriverOptions::default()).err();
    assert_eq!(same, Some(StageError::Same { stage: "a".into() }));
}
