//! Keyless pairing against generators that know the truth.

use proptest::prelude::*;

use super::generator::{Happens, Latency, MS, Pipeline, pair};
use super::*;
use crate::pair::Pair;

/// Rows may wait this long for evidence.
const LONG: Option<i64> = Some(30_000_000_000);

/// What is told is true, and so much of what there is is told, in each of three runs.
fn tells(name: &str, pipeline: Pipeline, least: f64) {
    for seed in 0..3 {
        let score = pipeline.score(seed);
        assert!(score.is_true(), "{name}, seed {seed}: {score:?}");
        assert!(score.recall() >= least, "{name}, seed {seed}: {} {score:?}", score.recall());
    }
}

#[test]
fn random_drops_leave_995_of_1000_pairs_told() {
    for latency_ns in [|_| 4.0 * MS, |_| 8.0 * MS] {
        let name = format!("{} ms", latency_ns(0) / MS);
        tells(&name, Pipeline::new(latency_ns), 0.995);
    }
    // The longer a latency, the more it jitters, and the longer takes the proof: two seconds of
    // rows, the window, are not always enough.
    let latencies: [(Latency, f64, f64); 3] =
        [(|_| 12.0 * MS, 0.95, 0.995), (|_| 30.0 * MS, 0.4, 0.95), (|_| 50.0 * MS, 0.0, 0.0)];
    for (latency_ns, soon, late) in latencies {
        let pipeline = Pipeline::new(latency_ns);
        let name = format!("{} ms", latency_ns(0) / MS);
        tells(&name, pipeline, soon);
        tells(&name, Pipeline { hold_ns: LONG, ..pipeline }, late);
    }
}

#[test]
fn even_ticks_tell_no_shift_from_another() {
    for latency_ns in [|_| 5.0 * MS, |_| 12.0 * MS, |_| 30.0 * MS, |_| 50.0 * MS] {
        for before in [0, 30] {
            let even = Pipeline { tick_jitter_ns: 0.0, before, ..Pipeline::new(latency_ns) };
            let score = even.scores(0..3);
            assert_eq!(score.told + score.told_drops, 0, "{} ms: {score:?}", latency_ns(0) / MS);
        }
    }
}

#[test]
fn gaps_of_an_even_capture_prove_the_shift() {
    for latency_ns in [|_| 5.0 * MS, |_| 22.0 * MS] {
        let skipped = |frame| frame % 97 == 50;
        let even = Pipeline { tick_jitter_ns: 0.0, skipped, ..Pipeline::new(latency_ns) };
        tells("gaps", Pipeline { hold_ns: LONG, ..even }, 0.98);
    }
}

#[test]
fn drops_at_the_start_at_the_end_and_in_bursts_are_found() {
    let drops: [(&str, Happens); 4] = [
        ("first", |frame| frame < 1),
        ("start", |frame| frame < 20),
        ("end", |frame| frame >= 2_980),
        ("bursts", |frame| frame % 1_000 > 940),
    ];
    for (name, drops) in drops {
        let pipeline = Pipeline { drops, hold_ns: LONG, ..Pipeline::new(|_| 12.0 * MS) };
        tells(name, pipeline, 0.995);
    }
}

#[test]
fn a_latency_that_steps_is_followed() {
    // A step by most of a period, with a drop or an orphan, looks like a small step: until the
    // ticks' jitter tells them apart, its pairs are ambiguous. At its end the ramp jitters by a
    // quarter of a period, where drops are taken for their neighbours: some rows are ambiguous.
    let latencies: [(&str, Latency, f64); 4] = [
        ("up", |frame| if frame < 1_500 { 8.0 * MS } else { 15.0 * MS }, 0.995),
        ("down", |frame| if frame < 1_500 { 15.0 * MS } else { 8.0 * MS }, 0.995),
        ("ramp", |frame| (8.0 + frame as f64 / 100.0) * MS, 0.97),
        ("by most of a period", |frame| if frame < 1_500 { 20.0 * MS } else { 8.0 * MS }, 0.94),
    ];
    for (name, latency_ns, least) in latencies {
        tells(name, Pipeline { hold_ns: LONG, ..Pipeline::new(latency_ns) }, least);
    }
}

#[test]
fn lost_events_of_stage_a_shift_nothing() {
    let lost = |frame| frame % 400 == 399;
    let pipeline = Pipeline { lost, ..Pipeline::new(|_| 8.0 * MS) };
    tells("lost, 8 ms", pipeline, 0.985);
    let pipeline = Pipeline { lost, hold_ns: LONG, ..Pipeline::new(|_| 30.0 * MS) };
    tells("lost, 30 ms", pipeline, 0.85);
}

#[test]
fn a_stage_never_seen_is_all_drops_or_all_orphans() {
    let events = |side| {
        (0..500).map(move |at| Event {
            ts_ns: at * 16_666_667,
            key: Key::default(),
            side,
            carry: 0,
        })
    };
    let (rows, counts) = pair(&events(Side::A).collect::<Vec<_>>());
    assert_eq!((rows.len(), counts.dropped), (500, 500));
    let (rows, counts) = pair(&events(Side::B).collect::<Vec<_>>());
    assert_eq!((rows.len(), counts.orphans), (0, 500));
    assert_eq!(pair(&[]).1, PairCounts::default());
}

#[test]
fn memory_follows_the_window() {
    // Proven, and never proven.
    for tick_jitter_ns in [0.5 * MS, 0.0] {
        let (events, _) = Pipeline { tick_jitter_ns, ..Pipeline::new(|_| 12.0 * MS) }.run(1);
        let options = PairOptions { hold_ns: 0, ..PairOptions::default() };
        let mut pairer = KeylessPairer::new(0, options);
        for event in events {
            pairer.push(event);
            assert!(pairer.frames.len() < 400 && pairer.alignments.len() <= 150);
        }
    }
}

proptest! {
    #[test]
    fn rows_are_monotone_pairs_of_what_came_and_each_event_counts_once(
        steps in proptest::collection::vec((0..30_000_000_i64, any::<bool>()), 0..300),
        window_ns in 0..200_000_000_i64,
        hold_ns in 0..1_000_000_000_i64,
        idle in proptest::collection::vec(any::<bool>(), 300),
    ) {
        let mut ts_ns = 0;
        let events: Vec<Event<u64>> = steps
            .into_iter()
            .enumerate()
            .map(|(at, (step, a))| {
                ts_ns += step;
                let side = if a { Side::A } else { Side::B };
                Event { ts_ns, key: Key::default(), side, carry: at as u64 }
            })
            .collect();
        let options = PairOptions { window_ns, hold_ns, ..PairOptions::default() };
        let mut batch = KeylessPairer::new(0, options);
        events.iter().for_each(|event| batch.push(*event));
        batch.finish();
        let rows: Vec<Pair<u64>> = batch.take().iter().collect();
        let counts = batch.counts();

        // Each frame has its row, in order; each end is in one row or an orphan.
        let frames: Vec<u64> =
            events.iter().filter(|e| e.side == Side::A).map(|e| e.carry).collect();
        prop_assert_eq!(rows.iter().map(|row| row.carry).collect::<Vec<_>>(), frames);
        prop_assert_eq!(counts.paired + counts.dropped + counts.ambiguous, rows.len() as u64);
        let ends = events.iter().filter(|e| e.side == Side::B);
        prop_assert_eq!(counts.paired + counts.orphans + counts.ambiguous_ends, ends.clone().count() as u64);
        let mut ends = ends.map(|event| event.ts_ns);
        for row in &rows {
            prop_assert!((0.0..=1.0).contains(&row.confidence));
            prop_assert_eq!(row.ambiguous, row.confidence < SURE);
            if let Some(latency_ns) = row.latency_ns {
                prop_assert!((0..=window_ns).contains(&latency_ns));
                prop_assert!(ends.any(|end_ns| end_ns == row.ts_ns + latency_ns));
            }
        }

        // A stream that is advanced while it is idle, and read at every event, is the same.
        let mut stream = KeylessPairer::new(0, options);
        let mut streamed = Vec::new();
        for (at, event) in events.iter().enumerate() {
            stream.push(*event);
            if idle[at] && at + 1 < events.len() {
                stream.advance((event.ts_ns + events[at + 1].ts_ns) / 2);
                stream.advance(events[at + 1].ts_ns);
            }
            streamed.extend(stream.take().iter());
        }
        stream.finish();
        streamed.extend(stream.take().iter());
        prop_assert_eq!((streamed, stream.counts()), (rows, counts));
    }
}
