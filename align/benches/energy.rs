//! Energy of a million frames over 720,000 power samples: 1 kHz with 60 us of jitter and a few
//! stalls, frames in order of time, latencies from 0 to 25 ms.

use std::hint::black_box;

use arrow_array::{Float32Array, Int64Array};
use bl_align::energy::{EnergyIndex, EnergyOptions, Gaps, Method};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const SAMPLES: u64 = 720_000;
const FRAMES: u64 = 1_000_000;

/// SplitMix64 (Steele, Lea, Flood 2014): the `n`-th draw of a stream, below `limit`.
fn draw(n: u64, limit: u64) -> i64 {
    let mut z = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) % limit) as i64
}

fn power() -> (Vec<i64>, Float32Array) {
    let kept = |n: &u64| n % 90_000 > 400;
    let ts_ns: Vec<i64> =
        (0..SAMPLES).filter(kept).map(|n| n as i64 * 1_000_000 + draw(n, 120_000)).collect();
    let watts: Vec<f32> = ts_ns.iter().map(|ts| 200.0 + draw(*ts as u64, 50) as f32).collect();
    (ts_ns, Float32Array::from(watts))
}

fn frames() -> (Int64Array, Int64Array) {
    let span_ns = SAMPLES * 1_000_000;
    let from: Vec<i64> = (0..FRAMES).map(|n| (n * span_ns / FRAMES) as i64).collect();
    let to: Vec<i64> = from.iter().map(|from| from + draw(*from as u64, 25_000_000)).collect();
    (from.into(), to.into())
}

fn build(power: &(Vec<i64>, Float32Array), options: EnergyOptions) -> EnergyIndex {
    let mut index = EnergyIndex::new(options);
    let appended = index.extend(&power.0, &power.1);
    assert_eq!(appended, Ok(()));
    index
}

fn energy(criterion: &mut Criterion) {
    let (power, (from, to)) = (power(), frames());
    let hold =
        EnergyOptions { method: Method::Hold, gaps: Gaps::Bridge, tolerance_ns: 200_000_000 };
    let trapezoid = EnergyOptions { method: Method::Trapezoid, gaps: Gaps::Null, ..hold };

    let mut group = criterion.benchmark_group("energy index");
    group.throughput(Throughput::Elements(power.0.len() as u64)).sample_size(10);
    group.bench_function("build", |b| b.iter(|| build(&power, hold)));
    group.finish();

    let mut group = criterion.benchmark_group("energy of a frame");
    group.throughput(Throughput::Elements(FRAMES)).sample_size(10);
    for (name, options) in [("hold", hold), ("trapezoid", trapezoid)] {
        let index = build(&power, options);
        group.bench_function(name, |b| b.iter(|| black_box(index.energies_j(&from, &to))));
    }
    group.finish();
}

criterion_group!(benches, energy);
criterion_main!(benches);
