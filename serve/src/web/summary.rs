//! Exact figures of a session.

use bl_align::quantile::Values;
use serde_json::{Map, Value, json};

use super::past::Past;
use super::problem::Problem;
use super::thin::mean;
use crate::live::{Board, Cost, POWER_COLUMNS, PairRow, PowerRow, json_number, ms, ms_opt};

/// Bins of the histogram, at most.
const BINS: usize = 60;

pub(super) async fn summary(past: &Past, session: Value) -> Result<Value, Problem> {
    let (frames, power) = (past.frames().await?, past.power().await?);
    let board = board_of(past.device.as_deref().unwrap_or_default(), &power);
    let silences = board.silences;
    let (from_ns, to_ns) = (past.from_ns, past.to_ns);
    Ok(json!({
        "session": session, "pair": past.pair_name(), "from": ms(from_ns), "to": ms(to_ns),
        "latency": latency(&frames),
        "power": power_figures(&board, &power),
        "efficiency": efficiency(&frames),
        "histogram": histogram(&frames),
        "gaps": {
            "count": silences.count, "lost": silences.lost,
            "longest_ms": (silences.count > 0).then_some(silences.longest_ns as f64 / 1e6),
        },
    }))
}

fn board_of(uid: &str, power: &[PowerRow]) -> Board {
    let mut board = Board::new(uid, "");
    for sample in power {
        board.take(*sample);
        // Its rows are here already.
        while board.rows.len() > 1 {
            board.rows.pop_front();
        }
    }
    board
}

/// What a step cost, by the rows of the session.
pub(super) fn cost(frames: &[PairRow], power: &[PowerRow], begin_ns: i64, end_ns: i64) -> Cost {
    let inside = frames.iter().filter(|r| (begin_ns..end_ns).contains(&r.ts_ns));
    let latencies: Vec<f64> = inside.map(PairRow::latency_ms).filter(|ms| !ms.is_nan()).collect();
    let samples: Vec<PowerRow> =
        power.iter().filter(|r| (begin_ns..=end_ns).contains(&r.ts_ns)).copied().collect();
    Cost {
        latency_ms: Some(mean(&latencies)).filter(|mean| mean.is_finite()),
        energy_j: (samples.len() > 1).then(|| board_of("", &samples).joules[0]),
        frames: Some(latencies.len() as u64),
    }
}

fn latencies(frames: &[PairRow]) -> Vec<f64> {
    frames.iter().map(PairRow::latency_ms).filter(|ms| !ms.is_nan()).collect()
}

fn latency(frames: &[PairRow]) -> Value {
    let all = latencies(frames);
    let mut values: Values = all.iter().copied().collect();
    let p = values.percentiles(&[0.0, 0.5, 0.95, 0.99, 0.999, 1.0]);
    json!({
        "count": all.len(),
        "dropped": frames.iter().filter(|row| row.is_dropped()).count(),
        "ambiguous": frames.iter().filter(|row| row.ambiguous).count(),
        "min_ms": p[0], "mean_ms": json_number(mean(&all)), "max_ms": p[5],
        "p50_ms": p[1], "p95_ms": p[2], "p99_ms": p[3], "p999_ms": p[4],
    })
}

fn power_figures(board: &Board, power: &[PowerRow]) -> Value {
    let column = |at: usize| -> Vec<f64> { power.iter().map(|row| row.watts(at)).collect() };
    let least = |values: &[f64]| values.iter().copied().filter(|v| !v.is_nan()).reduce(f64::min);
    let most = |values: &[f64]| values.iter().copied().filter(|v| !v.is_nan()).reduce(f64::max);
    // Without two samples in a row there is no energy to tell.
    let joules =
        |at: usize| if power.len() > 1 { json_number(board.joules[at]) } else { Value::Null };
    let mut rails = Map::new();
    for (at, name) in POWER_COLUMNS.iter().enumerate().skip(4) {
        let values = column(at);
        if let Some(max_w) = most(&values) {
            let rail = json!({
                "mean_w": json_number(mean(&values)), "max_w": max_w, "energy_j": joules(at),
            });
            rails.insert(name.trim_end_matches("_w").into(), rail);
        }
    }
    let sys_w = column(0);
    json!({
        "samples": power.len(), "min_w": least(&sys_w), "mean_w": json_number(mean(&sys_w)),
        "max_w": most(&sys_w), "max_t": ms_opt(board.peak.map(|(_, at)| at)),
        "cpu_w": json_number(mean(&column(1))), "gpu_w": json_number(mean(&column(2))),
        "mb_w": json_number(mean(&column(3))),
        "energy_j": joules(0), "cpu_j": joules(1), "gpu_j": joules(2), "mb_j": joules(3),
        "rails": rails,
    })
}

fn efficiency(frames: &[PairRow]) -> Value {
    let energies: Vec<f64> = frames.iter().map(|r| r.energy_j).filter(|j| !j.is_nan()).collect();
    let j_per_frame = mean(&energies);
    let both: Vec<(f64, f64)> = frames
        .iter()
        .map(|row| (row.latency_ms(), row.power_w))
        .filter(|(ms, w)| !ms.is_nan() && !w.is_nan())
        .collect();
    let (lat_ms, power_w): (Vec<f64>, Vec<f64>) = both.into_iter().unzip();
    json!({
        "j_per_frame": json_number(j_per_frame), "frames_per_j": json_number(1.0 / j_per_frame),
        "ms_per_w": json_number(mean(&lat_ms) / mean(&power_w)),
        "corr": json_number(correlation(&lat_ms, &power_w)),
    })
}

/// Pearson's coefficient; NaN where a series does not vary.
fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let (mean_x, mean_y) = (mean(x), mean(y));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        let (dx, dy) = (x - mean_x, y - mean_y);
        (xx, yy, xy) = (xx + dx * dx, yy + dy * dy, xy + dx * dy);
    }
    if xx > 0.0 && yy > 0.0 { xy / (xx * yy).sqrt() } else { f64::NAN }
}

/// Equal bins of half a millisecond, or wider so that there are at most [`BINS`].
fn histogram(frames: &[PairRow]) -> Value {
    let values: Values = latencies(frames).into_iter().collect();
    let Some(max_ms) = latencies(frames).into_iter().reduce(f64::max) else {
        return json!({ "edges_ms": [], "count": [] });
    };
    let mut width = 0.5;
    while max_ms / width >= BINS as f64 {
        width *= 2.0;
    }
    let bins = (max_ms / width) as usize + 1;
    let edges: Vec<f64> = (0..=bins).map(|edge| edge as f64 * width).collect();
    match values.histogram(&edges) {
        Ok(count) => json!({ "edges_ms": edges, "count": count }),
        Err(_) => json!({ "edges_ms": [], "count": [] }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ts_ns: i64, latency_ms: f64, power_w: f64) -> PairRow {
        let latency_ns = (!latency_ms.is_nan()).then_some((latency_ms * 1e6) as i64);
        PairRow { ts_ns, latency_ns, ambiguous: false, power_w, energy_j: f64::NAN, frame: None }
    }

    #[test]
    fn figures_without_rows_are_null() {
        assert_eq!(latency(&[])["p99_ms"], Value::Null);
        assert_eq!(efficiency(&[])["corr"], Value::Null);
        assert_eq!(histogram(&[])["count"], json!([]));
        assert_eq!(power_figures(&Board::new("", ""), &[])["energy_j"], Value::Null);
    }

    #[test]
    fn figures_are_those_of_the_rows() {
        let frames =
            [row(0, 2.0, 100.0), row(1, f64::NAN, 0.0), row(2, 4.0, 200.0), row(3, 6.0, 300.0)];
        let figures = latency(&frames);
        assert_eq!((&figures["count"], &figures["dropped"]), (&json!(3), &json!(1)));
        assert_eq!((&figures["p50_ms"], &figures["mean_ms"]), (&json!(4.0), &json!(4.0)));
        let efficiency = efficiency(&frames);
        assert!((efficiency["corr"].as_f64().unwrap() - 1.0).abs() < 1e-12);
        assert!((efficiency["ms_per_w"].as_f64().unwrap() - 0.02).abs() < 1e-12);
        let counts: u64 = histogram(&frames)["count"]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_u64().unwrap())
            .sum();
        assert_eq!(counts, 3);
    }
}
