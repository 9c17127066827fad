//! The pairer against pairing by definition, and its drivers against each other.

use arrow_array::Array;
use arrow_buffer::NullBuffer;
use proptest::prelude::*;

use super::*;

/// Pairing as the module's head defines it, in quadratic time: every `stage_a` event, in order of
/// time, takes the first unmatched `stage_b` event that it can have.
fn by_definition(events: &[Event<u32>], window_ns: i64) -> (Vec<Pair<u32>>, PairCounts) {
    let mut events = events.to_vec();
    events.sort_by_key(|event| event.ts_ns);
    let (a, b): (Vec<_>, Vec<_>) = events.into_iter().partition(|event| event.side == Side::A);
    let mut taken = vec![false; b.len()];
    let mut counts = PairCounts::default();
    let mut rows = Vec::new();
    for event in a {
        let partner = (0..b.len()).find(|&at| {
            let latency_ns = b[at].ts_ns - event.ts_ns;
            !taken[at] && b[at].key == event.key && (0..=window_ns).contains(&latency_ns)
        });
        match partner {
            Some(at) => (taken[at], counts.paired) = (true, counts.paired + 1),
            None => counts.dropped += 1,
        }
        let latency_ns = partner.map(|at| b[at].ts_ns - event.ts_ns);
        let Event { ts_ns, key, carry, .. } = event;
        rows.push(Pair { ts_ns, key, latency_ns, ambiguous: false, confidence: 1.0, carry });
    }
    counts.orphans = taken.iter().filter(|taken| !**taken).count() as u64;
    (rows, counts)
}

fn one_by_one(events: &[Event<u32>], options: PairOptions) -> (Vec<Pair<u32>>, PairCounts) {
    let mut pairer = Pairer::new(options);
    let mut rows = Vec::new();
    for event in events {
        pairer.push(*event);
        rows.extend(pairer.take().iter());
    }
    pairer.finish();
    rows.extend(pairer.take().iter());
    (rows, pairer.counts())
}

fn as_columns(
    events: &[Event<u32>],
    options: PairOptions,
    batch: usize,
) -> (Vec<Pair<u32>>, PairCounts) {
    let mut pairer = Pairer::new(options);
    let mut rows = Vec::new();
    for batch in events.chunks(batch) {
        let ts_ns: Vec<i64> = batch.iter().map(|event| event.ts_ns).collect();
        let id: Vec<i64> = batch.iter().map(|event| event.key.id).collect();
        let group: Vec<u32> = batch.iter().map(|event| event.key.group).collect();
        let columns = Events { ts_ns: &ts_ns, id: &id, id_nulls: None, group: Some(&group) };
        pairer.push_columns(&columns, |row| Some(batch[row].side), |row| batch[row].carry);
        rows.extend(pairer.take().iter());
    }
    pairer.finish();
    rows.extend(pairer.take().iter());
    (rows, pairer.counts())
}

/// Events with few keys, so that duplicates abound, and steps of 0, so that stamps are equal.
fn events(steps: std::ops::Range<i64>) -> impl Strategy<Value = Vec<Event<u32>>> {
    let event = (steps, 0..6_i64, 0..2_u32, any::<bool>());
    proptest::collection::vec(event, 0..200).prop_map(|events| {
        let mut ts_ns = 0;
        let event = |(at, (step, id, group, a)): (usize, (i64, i64, u32, bool))| {
            ts_ns += step;
            let side = if a { Side::A } else { Side::B };
            Event { ts_ns, key: Key { group, id: id * 1000 }, side, carry: at as u32 }
        };
        events.into_iter().enumerate().map(event).collect()
    })
}

fn window(window_ns: i64) -> PairOptions {
    PairOptions { window_ns, ..PairOptions::default() }
}

/// Rows without the order: at equal times it is free.
fn sorted(mut rows: Vec<Pair<u32>>) -> Vec<Pair<u32>> {
    rows.sort_by_key(|row| (row.ts_ns, row.carry));
    rows
}

proptest! {
    #[test]
    fn every_driver_pairs_as_defined(
        events in events(0..4),
        window_ns in 0..40_i64,
        batch in 1..90_usize,
    ) {
        let expected = by_definition(&events, window_ns);
        prop_assert_eq!(&one_by_one(&events, window(window_ns)), &expected);
        prop_assert_eq!(&as_columns(&events, window(window_ns), batch), &expected);

        let options = PairOptions { order: Order::Completed, ..window(window_ns) };
        let (rows, counts) = one_by_one(&events, options);
        prop_assert_eq!((sorted(rows), counts), (sorted(expected.0.clone()), expected.1));
        let (rows, counts) = as_columns(&events, options, batch);
        prop_assert_eq!((sorted(rows), counts), (sorted(expected.0.clone()), expected.1));

        let options = PairOptions { wanted: Wanted::Pairs, ..window(window_ns) };
        let pairs: Vec<_> = expected.0.into_iter().filter(|row| row.latency_ns.is_some()).collect();
        prop_assert_eq!(as_columns(&events, options, batch), (pairs, expected.1));
    }

    #[test]
    fn events_within_the_lateness_are_put_in_order(
        events in events(-9..12),
        window_ns in 0..60_i64,
        batch in 1..90_usize,
    ) {
        let mut newest = i64::MIN;
        let lateness = |event: &Event<u32>| {
            newest = newest.max(event.ts_ns);
            newest - event.ts_ns
        };
        let lateness_ns = events.iter().map(lateness).max().unwrap_or(0);
        let options = PairOptions { lateness_ns, ..window(window_ns) };
        let expected = by_definition(&events, window_ns);
        prop_assert_eq!(&one_by_one(&events, options), &expected);
        prop_assert_eq!(&as_columns(&events, options, batch), &expected);
    }

    #[test]
    fn order_of_arrival_is_no_matter_where_keys_are_unique(
        latencies in proptest::collection::vec((0..50_i64, 0..3_u8), 0..150),
        late in proptest::collection::vec(0..40_i64, 300),
        window_ns in 0..60_i64,
    ) {
        let mut events = Vec::new();
        for (frame, (latency_ns, lost)) in latencies.into_iter().enumerate() {
            let key = Key { group: 0, id: frame as i64 };
            let ts_ns = frame as i64 * 5;
            let event = |ts_ns, side| Event { ts_ns, key, side, carry: frame as u32 };
            events.extend((lost != 1).then(|| event(ts_ns, Side::A)));
            events.extend((lost != 2).then(|| event(ts_ns + latency_ns, Side::B)));
        }
        let expected = by_definition(&events, window_ns);
        let mut arrivals: Vec<_> = events.into_iter().zip(late).collect();
        arrivals.sort_by_key(|(event, late)| event.ts_ns + late);
        let events: Vec<_> = arrivals.into_iter().map(|(event, _)| event).collect();
        let options =
            PairOptions { order: Order::Completed, lateness_ns: 40, ..window(window_ns) };
        let (rows, counts) = one_by_one(&events, options);
        prop_assert_eq!((sorted(rows), counts), (sorted(expected.0), expected.1));
    }
}

fn event(ts_ns: i64, id: i64, side: Side) -> Event<u32> {
    Event { ts_ns, key: Key { group: 0, id }, side, carry: 0 }
}

#[test]
fn nothing_comes_of_nothing() {
    let (rows, counts) = one_by_one(&[], PairOptions::default());
    assert_eq!((rows, counts), (vec![], PairCounts::default()));
    let pairer = Pairer::<()>::new(PairOptions::default());
    assert_eq!(pairer.ready(), 0);
}

#[test]
fn a_completed_pair_is_out_with_its_second_event() {
    let options = PairOptions { order: Order::Completed, ..PairOptions::default() };
    let mut pairer = Pairer::new(options);
    pairer.push(event(0, 1, Side::A));
    pairer.push(event(5, 2, Side::A));
    assert_eq!(pairer.ready(), 0);
    pairer.push(event(9, 2, Side::B));
    assert_eq!(pairer.take().iter().map(|row| row.latency_ns).collect::<Vec<_>>(), [Some(4)]);
}

#[test]
fn an_ordered_pair_waits_for_earlier_frames_and_no_longer_than_the_window() {
    let mut pairer = Pairer::new(window(100));
    pairer.push(event(0, 1, Side::A));
    pairer.push(event(5, 2, Side::A));
    pairer.push(event(9, 2, Side::B));
    assert_eq!((pairer.ready(), pairer.settled_until_ns()), (0, 0));
    pairer.advance(100);
    assert_eq!(pairer.ready(), 0, "the partner at 100 may still come");
    pairer.advance(101);
    let latencies: Vec<_> = pairer.take().iter().map(|row| row.latency_ns).collect();
    assert_eq!(latencies, [None, Some(4)]);
    assert_eq!(pairer.settled_until_ns(), 101);
}

#[test]
fn events_without_a_key_and_of_other_stages_are_left_out() {
    let mut pairer = Pairer::new(PairOptions::default());
    let nulls = NullBuffer::from(vec![true, false, false, true]);
    let columns =
        Events { ts_ns: &[0, 1, 2, 3], id: &[7, 0, 0, 7], id_nulls: Some(&nulls), group: None };
    let sides = [Some(Side::A), Some(Side::A), None, Some(Side::B)];
    pairer.push_columns(&columns, |row| sides[row], |_| ());
    pairer.finish();
    let expected = PairCounts { paired: 1, unkeyed: 1, ..PairCounts::default() };
    assert_eq!(pairer.counts(), expected);
}

#[test]
fn a_late_frame_is_counted_and_does_not_break_the_order() {
    let mut pairer = Pairer::new(window(100));
    pairer.push(event(50, 1, Side::A));
    pairer.push(event(40, 2, Side::A));
    pairer.push(event(45, 1, Side::B));
    pairer.push(event(60, 1, Side::B));
    pairer.finish();
    let expected = PairCounts { paired: 1, orphans: 1, late: 1, ..PairCounts::default() };
    assert_eq!(pairer.counts(), expected);
}

#[test]
fn extreme_stamps_do_not_overflow() {
    let events = [
        event(i64::MIN, 1, Side::A),
        event(i64::MIN + 1, 2, Side::A),
        event(i64::MAX, 1, Side::B),
        event(i64::MAX, 3, Side::A),
    ];
    let (rows, counts) = one_by_one(&events, window(i64::MAX));
    assert_eq!(rows.len(), 3);
    assert_eq!((counts.dropped, counts.orphans), (3, 1));
}

#[test]
fn memory_follows_the_window() {
    let mut pairer = Pairer::new(PairOptions { wanted: Wanted::Pairs, ..window(1_000) });
    for frame in 0..200_000 {
        pairer.push(event(frame, frame, Side::A));
        if frame % 10 != 0 {
            pairer.push(event(frame, frame, Side::B));
        }
        pairer.take();
    }
    assert!(pairer.frames.capacity() <= 2_048, "{} slots", pairer.frames.capacity());
    assert!(pairer.early.is_empty());
}

#[test]
fn arrays_hold_drops_as_nulls() {
    let mut pairer = Pairer::new(window(10));
    pairer.push(event(0, 1, Side::A));
    pairer.push(event(1, 2, Side::A));
    pairer.push(event(4, 2, Side::B));
    pairer.finish();
    let arrays = pairer.take().into_arrays();
    assert_eq!(arrays.ts_ns.values(), &[0, 1]);
    assert_eq!(arrays.id.values(), &[1, 2]);
    assert!(arrays.latency_ns.is_null(0));
    assert_eq!(arrays.latency_ns.value(1), 3);
    assert_eq!((arrays.ambiguous.true_count(), arrays.ambiguous.null_count()), (0, 0));
    assert!(arrays.confidence.is_none(), "keys are certain");
}
