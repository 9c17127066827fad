//! Pairing by key: a million frames, exponential gaps at 1,400 frames/s, log-normal latencies around
//! 12 ms that overtake each other, 2 % of the frames without one of their two events.
//!
//! Pairing without a key: 20,000 frames at 60/s whose latencies keep their order and jitter by 10 %,
//! 2 % of them dropped. Where the capture ticks evenly, no shift is ever ruled out.

use std::hint::black_box;

use bl_align::pair::{Event, Events, Key, KeylessPairer, Order, PairOptions, Pairer, Side, Wanted};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const FRAMES: i64 = 1_000_000;

/// SplitMix64 (Steele, Lea, Flood 2014): seeded, so that every run pairs the same events.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.next()).ln()).sqrt() * (std::f64::consts::TAU * self.next()).cos()
    }
}

struct Columns {
    ts_ns: Vec<i64>,
    id: Vec<i64>,
    stage: Vec<i8>,
}

/// `key_step`: 1 for frame numbers, a frame's duration for running times.
fn columns(key_step: i64) -> Columns {
    let mut random = Random(42);
    let mut events = Vec::with_capacity(2 * FRAMES as usize);
    let mut ts_ns = 0;
    for frame in 0..FRAMES {
        ts_ns += (-(1.0 - random.next()).ln() * 714_000.0) as i64;
        let latency_ns = (12e6 * (0.55 * random.normal()).exp()) as i64;
        let lost = random.next();
        if lost >= 0.005 {
            events.push((ts_ns, frame * key_step, 0_i8));
        }
        if !(0.005..0.02).contains(&lost) {
            events.push((ts_ns + latency_ns, frame * key_step, 1_i8));
        }
    }
    events.sort_by_key(|event| event.0);
    Columns {
        ts_ns: events.iter().map(|event| event.0).collect(),
        id: events.iter().map(|event| event.1).collect(),
        stage: events.iter().map(|event| event.2).collect(),
    }
}

const SIDES: [Option<Side>; 2] = [Some(Side::A), Some(Side::B)];

fn batches(columns: &Columns, options: PairOptions) -> u64 {
    let mut pairer = Pairer::new(options);
    for start in (0..columns.ts_ns.len()).step_by(8192) {
        let rows = start..columns.ts_ns.len().min(start + 8192);
        let stage = &columns.stage[rows.clone()];
        let events = Events {
            ts_ns: &columns.ts_ns[rows.clone()],
            id: &columns.id[rows],
            id_nulls: None,
            group: None,
        };
        pairer.push_columns(&events, |row| SIDES[stage[row] as usize], |_| ());
        black_box(pairer.take());
    }
    pairer.finish();
    pairer.counts().paired
}

fn events(columns: &Columns, options: PairOptions) -> u64 {
    let mut pairer = Pairer::new(options);
    for row in 0..columns.ts_ns.len() {
        let key = Key { group: 0, id: columns.id[row] };
        let side = if columns.stage[row] == 0 { Side::A } else { Side::B };
        pairer.push(Event { ts_ns: columns.ts_ns[row], key, side, carry: () });
        if pairer.ready() >= 8192 {
            black_box(pairer.take());
        }
    }
    pairer.finish();
    pairer.counts().paired
}

fn by_key(criterion: &mut Criterion) {
    let counters = columns(1);
    let mut group = criterion.benchmark_group("pair by key");
    group.throughput(Throughput::Elements(counters.ts_ns.len() as u64)).sample_size(10);
    let ordered = PairOptions { wanted: Wanted::Pairs, ..PairOptions::default() };
    let completed = PairOptions { order: Order::Completed, ..ordered };
    group.bench_function("columns, in order", |b| b.iter(|| batches(&counters, ordered)));
    group.bench_function("columns, completed", |b| b.iter(|| batches(&counters, completed)));
    group.bench_function("one by one, in order", |b| b.iter(|| events(&counters, ordered)));
    group.bench_function("one by one, completed", |b| b.iter(|| events(&counters, completed)));
    let stamps = columns(16_666_667);
    group.bench_function("columns, keys are stamps", |b| b.iter(|| batches(&stamps, ordered)));
}

fn keyless_events(latency_ns: f64, tick_jitter_ns: f64) -> Vec<Event> {
    let mut random = Random(7);
    let mut events = Vec::new();
    let mut last_ns = 0;
    for frame in 0..20_000 {
        let ts_ns = (f64::from(frame) * 1e9 / 60.0 + random.normal() * tick_jitter_ns) as i64;
        let end_ns = ts_ns + (latency_ns * (1.0 + 0.1 * random.normal())) as i64;
        events.push(Event { ts_ns, key: Key::default(), side: Side::A, carry: () });
        if random.next() >= 0.02 {
            last_ns = end_ns.max(last_ns + 100_000);
            events.push(Event { ts_ns: last_ns, key: Key::default(), side: Side::B, carry: () });
        }
    }
    events.sort_by_key(|event| event.ts_ns);
    events
}

fn without_a_key(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pair without a key");
    for (name, latency_ns, tick_jitter_ns) in
        [("12 ms", 12e6, 0.5e6), ("50 ms", 50e6, 0.5e6), ("12 ms, even ticks", 12e6, 0.0)]
    {
        let events = keyless_events(latency_ns, tick_jitter_ns);
        group.throughput(Throughput::Elements(events.len() as u64)).sample_size(10);
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut pairer = KeylessPairer::new(0, PairOptions::default());
                for event in &events {
                    pairer.push(*event);
                    black_box(pairer.take());
                }
                pairer.finish();
                pairer.counts()
            });
        });
    }
}

criterion_group!(benches, by_key, without_a_key);
criterion_main!(benches);
