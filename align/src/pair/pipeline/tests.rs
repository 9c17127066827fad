//! One pipeline, whatever keys its events tell.

use arrow_buffer::NullBuffer;

use super::*;

const NONE: FrameKeys = [None; MAX_KEYS];
const MS: i64 = 1_000_000;

type Given = (i64, Side, FrameKeys);

fn keys(frame: Option<i64>, key_ns: Option<i64>) -> FrameKeys {
    [frame, key_ns, None, None]
}

fn options(window_ns: i64) -> PairOptions {
    PairOptions { window_ns, ..PairOptions::default() }
}

/// The rows and the counts; events one by one, as columns and gathered are the same.
fn paired(events: &[Given], window_ns: i64) -> (Vec<Paired<u64>>, PairCounts) {
    let mut pairer = PipelinePairer::new(0, options(window_ns));
    for (at, (ts_ns, side, keys)) in events.iter().enumerate() {
        pairer.push(*ts_ns, *side, *keys, at as u64);
    }
    pairer.finish();
    let found = (pairer.take(), pairer.counts());
    for (batch, gathers) in [(2, false), (7, true), (usize::MAX, false), (300, true)] {
        let columns = as_columns(events, options(window_ns), batch, gathers);
        assert_eq!(columns, found, "in batches of {batch}");
    }
    found
}

fn as_columns(
    events: &[Given],
    options: PairOptions,
    batch: usize,
    gathers: bool,
) -> (Vec<Paired<u64>>, PairCounts) {
    let mut pairer = PipelinePairer::new(0, options);
    let mut first = 0;
    for batch in events.chunks(batch) {
        let ts_ns: Vec<i64> = batch.iter().map(|event| event.0).collect();
        let column = |at: usize| {
            let ids: Vec<i64> = batch.iter().map(|event| event.2[at].unwrap_or(-1)).collect();
            let nulls: NullBuffer = batch.iter().map(|event| event.2[at].is_some()).collect();
            (ids, nulls)
        };
        let columns = [column(0), column(1)];
        let keys = columns.each_ref().map(|(ids, nulls)| (ids.as_slice(), Some(nulls)));
        let of = StageEvents { ts_ns: &ts_ns, keys: &keys, pipeline: None };
        let (side, carry) = (|row: usize| Some(batch[row].1), |row: usize| first + row as u64);
        match gathers {
            true => pairer.push_rows(&of, &Vec::from_iter(0..batch.len() as u32), side, carry),
            false => pairer.push_columns(&of, side, carry),
        }
        first += batch.len() as u64;
    }
    pairer.finish();
    (pairer.take(), pairer.counts())
}

fn latencies(rows: &[Paired<u64>]) -> Vec<Option<i64>> {
    rows.iter().map(|row| row.pair.latency_ns).collect()
}

/// Frames at 60 a second with these keys at either stage, by their number, in order of time.
fn stream(
    frames: std::ops::Range<i64>,
    latency_ns: i64,
    a: impl Fn(i64) -> FrameKeys,
    b: impl Fn(i64) -> FrameKeys,
) -> Vec<Given> {
    let mut events: Vec<Given> = frames
        .flat_map(|frame| {
            let ts_ns = frame * 1_000 * MS / 60;
            [(ts_ns, Side::A, a(frame)), (ts_ns + latency_ns, Side::B, b(frame))]
        })
        .collect();
    events.sort_by_key(|event| event.0);
    events
}

#[test]
fn the_best_key_that_both_stages_share_decides() {
    // An encoder keeps the running time and loses the number.
    let (rows, _) = paired(
        &[
            (0, Side::A, keys(Some(1), Some(70))),
            (10, Side::A, keys(Some(2), Some(80))),
            (30, Side::B, keys(None, Some(80))),
            (40, Side::B, keys(None, Some(70))),
            (50, Side::B, keys(Some(9), None)),
        ],
        100,
    );
    assert_eq!(latencies(&rows), [Some(40), Some(20)]);
    assert!(rows.iter().all(|row| row.by == Some(PairedBy::Key(1))));
}

#[test]
fn an_event_without_a_key_never_decides_for_others() {
    // Issue: an encoder's codec header comes first, without a key.
    let number = |frame| keys(Some(frame), None);
    let mut events = vec![(1, Side::B, NONE)];
    events.extend(stream(0..3_000, 46_600_000, number, number));
    events.sort_by_key(|event| event.0);
    let (rows, counts) = paired(&events, 2_000 * MS);
    assert_eq!(rows.len(), 3_000);
    assert!(rows.iter().all(|row| row.pair.latency_ns == Some(46_600_000)), "{:?}", rows[0]);
    assert!(rows.iter().all(|row| row.by == Some(PairedBy::Key(0))));
    assert_eq!(counts.unkeyed, 1);
}

#[test]
fn keys_that_never_meet_are_no_keys() {
    // An encoder shifts PTS by a thousand hours: both stages tell one, and none is equal.
    let shifted = |frame: i64| keys(None, Some(3_600_000_000_000_000 + frame * 16_666_667));
    let events = stream(0..600, 5 * MS, |frame| keys(None, Some(frame * 16_666_667)), shifted);
    let (rows, counts) = paired(&events, 2_000 * MS);
    assert!(rows.iter().all(|row| row.by == Some(PairedBy::Order)));
    assert_eq!(counts.paired + counts.ambiguous + counts.dropped, 600);
    assert!(rows.iter().all(|row| row.pair.latency_ns.is_none_or(|ns| ns == 5 * MS)));
}

#[test]
fn a_key_that_is_lost_is_given_up_and_another_found() {
    let both = |frame| keys(Some(frame), Some(frame * 1_000));
    let later = |frame| if frame < 1_000 { both(frame) } else { keys(None, Some(frame * 1_000)) };
    let events = stream(0..2_000, 30 * MS, both, later);
    let (rows, counts) = paired(&events, 2_000 * MS);
    assert_eq!(rows.len(), 2_000);
    assert!(rows[..998].iter().all(|row| row.pair.latency_ns == Some(30 * MS)));
    assert!(rows[..998].iter().all(|row| row.by == Some(PairedBy::Key(0))));
    // The frames of about a second are told as ambiguous, not as dropped.
    assert_eq!(counts.dropped, 0);
    assert!((1..120).contains(&counts.ambiguous), "{counts:?}");
    let found = rows.iter().rev().take_while(|row| row.by == Some(PairedBy::Key(1))).count();
    assert!(found > 850, "{found}");
    assert!(rows[2_000 - found + 2..].iter().all(|row| row.pair.latency_ns == Some(30 * MS)));
}

#[test]
fn keys_that_come_later_are_taken_up() {
    let from_300 = |frame| if frame < 300 { NONE } else { keys(Some(frame), None) };
    let events = stream(0..1_500, 5 * MS, from_300, from_300);
    let (rows, _) = paired(&events, 500 * MS);
    assert_eq!(rows[1_400].by, Some(PairedBy::Key(0)));
    assert!(rows.iter().all(|row| row.pair.latency_ns.is_none_or(|ns| ns == 5 * MS)));
}

#[test]
fn without_a_key_they_are_paired_in_order() {
    let events = stream(0..600, 5 * MS, |_| NONE, |_| NONE);
    let (rows, _) = paired(&events, 2_000 * MS);
    assert!(rows.iter().all(|row| row.by == Some(PairedBy::Order)));
    assert!(rows.iter().all(|row| row.pair.latency_ns.is_none_or(|ns| ns == 5 * MS)));
}

#[test]
fn what_waits_for_a_stage_that_never_comes_is_dropped() {
    let (rows, counts) = paired(&[(0, Side::A, NONE), (500, Side::A, NONE)], 100);
    assert_eq!((latencies(&rows), counts.dropped), (vec![None, None], 2));
    assert!(rows.iter().all(|row| row.by.is_none()));
    let (_, counts) = paired(&[(0, Side::B, NONE), (500, Side::B, NONE)], 100);
    assert_eq!(counts.orphans, 2);
}

#[test]
fn a_restart_leaves_the_dead_frame_dropped() {
    // Issue: in#1 at 0, a restart, in#1 at 500 ms, out#1 at 510 ms.
    let one = keys(Some(1), None);
    let events = [(0, Side::A, one), (500 * MS, Side::A, one), (510 * MS, Side::B, one)];
    let (rows, _) = paired(&events, 2_000 * MS);
    assert_eq!(latencies(&rows), [None, Some(10 * MS)]);
}

#[test]
fn pairs_never_cross_a_restart() {
    // Frames 1 to 9, of which 5 and 7 never end; again from 1, where frame 7 is not seen to begin.
    let number = |frame: i64| keys(Some(frame), None);
    let mut events = Vec::new();
    for frame in 1..10 {
        events.push((frame * 10 * MS, Side::A, number(frame)));
        if frame != 5 && frame != 7 {
            events.push((frame * 10 * MS + MS, Side::B, number(frame)));
        }
    }
    for frame in 1..10 {
        if frame != 7 {
            events.push(((200 + frame * 10) * MS, Side::A, number(frame)));
        }
        events.push(((200 + frame * 10) * MS + 2 * MS, Side::B, number(frame)));
    }
    let (rows, counts) = paired(&events, 2_000 * MS);
    let expected: Vec<Option<i64>> = (1..10)
        .map(|frame| (frame != 5 && frame != 7).then_some(MS))
        .chain((1..10).filter(|frame| *frame != 7).map(|_| Some(2 * MS)))
        .collect();
    assert_eq!(latencies(&rows), expected);
    assert_eq!((counts.dropped, counts.orphans), (2, 1));
}

#[test]
fn an_event_without_the_key_is_counted() {
    let (rows, counts) = paired(
        &[(0, Side::A, keys(Some(1), None)), (5, Side::B, keys(Some(1), None)), (6, Side::B, NONE)],
        100,
    );
    assert_eq!((latencies(&rows), counts.unkeyed), (vec![Some(5)], 1));
}
