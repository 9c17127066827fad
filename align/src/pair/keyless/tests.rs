//! Keyless pairing against generators that know the truth.

use proptest::prelude::*;

use super::*;
use crate::pair::Pair;

const MS: f64 = 1e6;
const PERIOD_NS: f64 = 1e9 / 60.0;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.share()).ln()).sqrt() * (std::f64::consts::TAU * self.share()).cos()
    }
}

/// Nanoseconds, by the frame's number.
type Latency = fn(u64) -> f64;

/// Whether something happens to a frame, by its number.
type Happens = fn(u64) -> bool;

/// A pipeline at 60 frames/s whose frames keep their order.
struct Pipeline {
    frames: u64,
    /// How much the capture's period jitters.
    tick_jitter_ns: f64,
    /// Latency of a frame before its jitter of 10 %.
    latency_ns: Latency,
    /// Whether a frame never reaches `stage_b`, beside 2 % at random.
    drops: Happens,
    /// Whether a frame's `stage_a` event is lost.
    lost: Happens,
}

impl Pipeline {
    fn new(latency_ns: Latency) -> Self {
        let never = |_| false;
        Self { frames: 3_000, tick_jitter_ns: 0.5 * MS, latency_ns, drops: never, lost: never }
    }

    /// The events, `carry` being the frame's number, and the end of each frame that has one.
    fn run(&self, seed: u64) -> (Vec<Event<u64>>, Vec<Option<i64>>) {
        let mut random = Random(seed);
        let mut events = Vec::new();
        let mut truth = Vec::new();
        let mut last_ns = 0;
        for frame in 0..self.frames {
            let ts_ns = (frame as f64 * PERIOD_NS + random.normal() * self.tick_jitter_ns) as i64;
            let ts_ns = ts_ns.max(0);
            let latency_ns = (self.latency_ns)(frame) * (1.0 + 0.1 * random.normal());
            // No stamp tells of a first frame that is lost while the tick is even: it is not.
            let random_drop = random.share() < 0.02 && frame > 0;
            let end_ns = (ts_ns + latency_ns.max(0.1 * MS) as i64).max(last_ns + 100_000);
            let key = Key { group: 0, id: frame as i64 };
            if !(self.lost)(frame) {
                events.push(Event { ts_ns, key, side: Side::A, carry: frame });
            }
            let reached = !random_drop && !(self.drops)(frame);
            if reached {
                last_ns = end_ns;
                events.push(Event { ts_ns: end_ns, key, side: Side::B, carry: frame });
            }
            truth.push((reached && !(self.lost)(frame)).then_some(end_ns));
        }
        events.sort_by_key(|event| event.ts_ns);
        (events, truth)
    }

    /// The share of pairs that are true, of those found or of those there are, whichever is less.
    fn accuracy(&self, seed: u64) -> f64 {
        let (events, truth) = self.run(seed);
        let (rows, _) = pair(&events);
        let mut pairs = rows.iter().filter(|row| row.latency_ns.is_some());
        let is_true = |row: &&Pair<u64>| {
            truth[row.carry as usize] == row.latency_ns.map(|latency_ns| row.ts_ns + latency_ns)
        };
        let found = pairs.clone().count();
        let right = pairs.by_ref().filter(is_true).count();
        right as f64 / found.max(truth.iter().flatten().count()) as f64
    }

    /// The least accuracy of three runs.
    fn worst_accuracy(&self) -> f64 {
        (0..3).map(|seed| self.accuracy(seed)).fold(1.0, f64::min)
    }
}

fn pair(events: &[Event<u64>]) -> (Vec<Pair<u64>>, PairCounts) {
    let mut pairer = KeylessPairer::new(0, PairOptions::default());
    events.iter().for_each(|event| pairer.push(*event));
    pairer.finish();
    (pairer.take().iter().collect(), pairer.counts())
}

#[test]
fn random_drops_leave_995_of_1000_pairs_true() {
    for latency_ns in [|_| 4.0 * MS, |_| 8.0 * MS, |_| 12.0 * MS, |_| 30.0 * MS, |_| 50.0 * MS] {
        let accuracy = Pipeline::new(latency_ns).worst_accuracy();
        assert!(accuracy >= 0.995, "{} ms: {accuracy}", latency_ns(0) / MS);
    }
}

#[test]
fn an_even_tick_is_as_good_where_the_first_frame_is_paired() {
    for latency_ns in [|_| 8.0 * MS, |_| 12.0 * MS, |_| 30.0 * MS, |_| 50.0 * MS] {
        let even = Pipeline { tick_jitter_ns: 0.0, ..Pipeline::new(latency_ns) };
        let accuracy = even.worst_accuracy();
        assert!(accuracy >= 0.995, "{} ms: {accuracy}", latency_ns(0) / MS);
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
        let pipeline = Pipeline { drops, ..Pipeline::new(|_| 12.0 * MS) };
        let accuracy = pipeline.worst_accuracy();
        assert!(accuracy >= 0.995, "{name}: {accuracy}");
    }
}

#[test]
fn a_latency_that_steps_is_followed() {
    // A step by most of a period, with a drop or an orphan, looks like a small step: until the
    // ticks' jitter tells them apart, about a window, its pairs are shifted.
    let latencies: [(&str, Latency, f64); 4] = [
        ("up", |frame| if frame < 1_500 { 8.0 * MS } else { 15.0 * MS }, 0.995),
        ("down", |frame| if frame < 1_500 { 15.0 * MS } else { 8.0 * MS }, 0.995),
        ("ramp", |frame| (8.0 + frame as f64 / 100.0) * MS, 0.995),
        ("by most of a period", |frame| if frame < 1_500 { 20.0 * MS } else { 8.0 * MS }, 0.94),
    ];
    for (name, latency_ns, least) in latencies {
        let accuracy = Pipeline::new(latency_ns).worst_accuracy();
        assert!(accuracy >= least, "{name}: {accuracy}");
    }
}

#[test]
fn lost_events_of_stage_a_shift_nothing() {
    let lost = |frame| frame % 400 == 399;
    let pipeline = Pipeline { lost, ..Pipeline::new(|_| 30.0 * MS) };
    let accuracy = pipeline.worst_accuracy();
    assert!(accuracy >= 0.995, "{accuracy}");
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
    let (events, _) = Pipeline::new(|_| 12.0 * MS).run(1);
    let mut pairer = KeylessPairer::new(0, PairOptions::default());
    for event in events {
        pairer.push(event);
        assert!(pairer.frames.len() < 400 && pairer.undecided.len() <= UNDECIDED);
    }
}

proptest! {
    #[test]
    fn rows_are_monotone_pairs_of_what_came_and_each_event_counts_once(
        steps in proptest::collection::vec((0..30_000_000_i64, any::<bool>()), 0..300),
        window_ns in 0..200_000_000_i64,
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
        let options = PairOptions { window_ns, ..PairOptions::default() };
        let mut batch = KeylessPairer::new(0, options);
        events.iter().for_each(|event| batch.push(*event));
        batch.finish();
        let rows: Vec<Pair<u64>> = batch.take().iter().collect();
        let counts = batch.counts();

        // Each frame has its row, in order; each end is in one row or an orphan.
        let frames: Vec<u64> =
            events.iter().filter(|e| e.side == Side::A).map(|e| e.carry).collect();
        prop_assert_eq!(rows.iter().map(|row| row.carry).collect::<Vec<_>>(), frames);
        prop_assert_eq!(counts.paired + counts.dropped, rows.len() as u64);
        let ends = events.iter().filter(|e| e.side == Side::B);
        prop_assert_eq!(counts.paired + counts.orphans, ends.clone().count() as u64);
        let mut ends = ends.map(|event| event.ts_ns);
        for row in &rows {
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
