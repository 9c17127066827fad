//! A session second by second.

use bl_align::DEFAULT_TOLERANCE_NS;
use bl_align::energy::joules_between;
use bl_align::quantile::Values;
use serde_json::{Map, Value, json};

use super::past::Past;
use super::problem::Problem;
use super::thin::mean;
use crate::live::{PairRow, PowerRow, json_number, ms};

const SECOND_NS: i64 = 1_000_000_000;

const COLUMNS: [&str; 12] = [
    "t",
    "frames",
    "dropped",
    "lat_min_ms",
    "lat_mean_ms",
    "lat_max_ms",
    "lat_p95_ms",
    "lat_p99_ms",
    "power_min_w",
    "power_mean_w",
    "power_max_w",
    "energy_j",
];

pub(super) async fn timeline(past: &Past) -> Result<Value, Problem> {
    let (frames, power) = (past.frames().await?, past.power().await?);
    let (from_ns, to_ns) = (past.from_ns, past.to_ns);
    let seconds = (to_ns - from_ns).div_euclid(SECOND_NS) + 1;
    let bin_s = seconds.div_euclid(past.points as i64) + 1;
    let bin_s = if seconds <= past.points as i64 { 1 } else { bin_s };
    let mut columns: Vec<Vec<Value>> = COLUMNS.iter().map(|_| Vec::new()).collect();
    let (mut frames, mut samples) = (&*frames, &*power);
    let mut last: Option<PowerRow> = None;
    let mut begin_ns = from_ns;
    while begin_ns < to_ns {
        let end_ns = begin_ns + bin_s * SECOND_NS;
        let (inside, rest) = frames.split_at(frames.partition_point(|r| r.ts_ns < end_ns));
        let (power, more) = samples.split_at(samples.partition_point(|r| r.ts_ns < end_ns));
        (frames, samples) = (rest, more);
        let cells = bin(begin_ns, inside, power, last);
        columns.iter_mut().zip(cells).for_each(|(column, cell)| column.push(cell));
        last = power.last().copied().or(last);
        begin_ns = end_ns;
    }
    let mut out = Map::from_iter([("bin_s".to_string(), json!(bin_s))]);
    out.extend(COLUMNS.iter().map(|n| n.to_string()).zip(columns.into_iter().map(Value::Array)));
    Ok(Value::Object(out))
}

fn bin(
    begin_ns: i64,
    frames: &[PairRow],
    power: &[PowerRow],
    last: Option<PowerRow>,
) -> [Value; 12] {
    let latencies: Vec<f64> =
        frames.iter().map(PairRow::latency_ms).filter(|ms| !ms.is_nan()).collect();
    let mut values: Values = latencies.iter().copied().collect();
    let p = values.percentiles(&[0.0, 0.95, 0.99, 1.0]);
    let watts: Vec<f64> = power.iter().map(|r| r.watts(0)).filter(|w| !w.is_nan()).collect();
    let least = watts.iter().copied().reduce(f64::min);
    let most = watts.iter().copied().reduce(f64::max);
    [
        json!(ms(begin_ns)),
        json!(latencies.len()),
        json!(frames.iter().filter(|row| row.is_dropped()).count()),
        json!(p[0]),
        json_number(mean(&latencies)),
        json!(p[3]),
        json!(p[1]),
        json!(p[2]),
        json!(least),
        json_number(mean(&watts)),
        json!(most),
        json_number(energy_j(last, power)),
    ]
}

/// Trapezoids between neighbours that are no gap, from the last sample before the bin on: the bins add up to the
/// whole.
fn energy_j(last: Option<PowerRow>, power: &[PowerRow]) -> f64 {
    let samples: Vec<PowerRow> = last.into_iter().chain(power.iter().copied()).collect();
    let at = |row: &PowerRow| (row.ts_ns, row.watts(0));
    let steps = samples
        .windows(2)
        .filter_map(|two| joules_between(at(&two[0]), at(&two[1]), DEFAULT_TOLERANCE_NS));
    let joules: Vec<f64> = steps.collect();
    if joules.is_empty() { f64::NAN } else { joules.iter().sum() }
}
