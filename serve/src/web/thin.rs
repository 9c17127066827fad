//! Thinning that keeps extremes: of each bucket, the rows in which a column has its minimum or its maximum.

use serde_json::{Map, Value, json};

use crate::live::{json_number, ms};

/// `count` equal buckets over `from_ns..=to_ns`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buckets {
    pub from_ns: i64,
    pub to_ns: i64,
    pub count: usize,
}

impl Buckets {
    fn of(&self, ts_ns: i64) -> usize {
        let span = (i128::from(self.to_ns) - i128::from(self.from_ns)).max(1);
        let offset = i128::from(ts_ns) - i128::from(self.from_ns);
        (offset * self.count as i128 / span).clamp(0, self.count as i128 - 1) as usize
    }

    fn middle_ns(&self, bucket: usize) -> i64 {
        let span = i128::from(self.to_ns) - i128::from(self.from_ns);
        let offset = span * (2 * bucket as i128 + 1) / (2 * self.count as i128);
        self.from_ns + offset as i64
    }

    /// Ranges of rows (sorted by time) that share a bucket, with its number.
    fn ranges(&self, ts_ns: &[i64]) -> Vec<(usize, std::ops::Range<usize>)> {
        let mut ranges = Vec::new();
        let mut first = 0;
        while first < ts_ns.len() {
            let bucket = self.of(ts_ns[first]);
            let length = ts_ns[first..].partition_point(|ts| self.of(*ts) == bucket);
            ranges.push((bucket, first..first + length));
            first += length;
        }
        ranges
    }
}

/// The rows to keep, ascending. NaN is no value.
pub(super) fn extremes(ts_ns: &[i64], columns: &[Vec<f64>], buckets: Buckets) -> Vec<usize> {
    let mut kept = Vec::new();
    for (_, range) in buckets.ranges(ts_ns) {
        for column in columns {
            let there = || range.clone().filter(|row| !column[*row].is_nan());
            let by = |a: &usize, b: &usize| column[*a].total_cmp(&column[*b]);
            kept.extend(there().min_by(by).into_iter().chain(there().max_by(by)));
        }
    }
    kept.sort_unstable();
    kept.dedup();
    kept
}

/// The mean of each column in each bucket that has rows.
pub(super) fn means(ts_ns: &[i64], columns: &[(&str, &Vec<f64>)], buckets: Buckets) -> Value {
    let ranges = buckets.ranges(ts_ns);
    let t: Vec<f64> = ranges.iter().map(|(bucket, _)| ms(buckets.middle_ns(*bucket))).collect();
    let mut cols = Map::new();
    for (name, column) in columns {
        let means = ranges.iter().map(|(_, range)| json_number(mean(&column[range.clone()])));
        cols.insert((*name).into(), means.collect());
    }
    json!({ "t": t, "cols": cols })
}

/// The mean of the values that are there; NaN of none.
pub(super) fn mean(values: &[f64]) -> f64 {
    let there = values.iter().filter(|v| !v.is_nan());
    let (sum, count) = there.fold((0.0, 0_u64), |(sum, count), v| (sum + v, count + 1));
    sum / count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_bucket_keeps_its_extremes(
            steps in proptest::collection::vec((0_i64..50, -5.0_f64..5.0, any::<bool>()), 1..200),
            count in 1_usize..20,
        ) {
            let mut at = 1_000;
            let ts: Vec<i64> = steps.iter().map(|(step, ..)| { at += step; at }).collect();
            let values: Vec<f64> =
                steps.iter().map(|(_, v, null)| if *null { f64::NAN } else { *v }).collect();
            let buckets = Buckets { from_ns: 1_000, to_ns: at + 1, count };
            let kept = extremes(&ts, std::slice::from_ref(&values), buckets);
            prop_assert!(kept.len() <= 2 * count && kept.is_sorted());
            for bucket in 0..count {
                let inside = |rows: &[usize]| -> Vec<f64> {
                    let rows = rows.iter().filter(|r| buckets.of(ts[**r]) == bucket);
                    rows.map(|r| values[*r]).filter(|v| !v.is_nan()).collect()
                };
                let all: Vec<usize> = (0..ts.len()).collect();
                let (all, kept) = (inside(&all), inside(&kept));
                let least = |v: &[f64]| v.iter().copied().fold(f64::INFINITY, f64::min);
                let most = |v: &[f64]| v.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                prop_assert_eq!((least(&all), most(&all)), (least(&kept), most(&kept)));
            }
        }
    }

    #[test]
    fn means_are_of_what_is_there() {
        assert_eq!(mean(&[1.0, f64::NAN, 3.0]), 2.0);
        assert!(mean(&[f64::NAN]).is_nan());
        let column = vec![1.0, 3.0, 10.0];
        let buckets = Buckets { from_ns: 0, to_ns: 4_000_000, count: 2 };
        let out = means(&[0, 1_000_000, 3_000_000], &[("lat_ms", &column)], buckets);
        assert_eq!(out, json!({"t": [1.0, 3.0], "cols": {"lat_ms": [2.0, 10.0]}}));
    }
}
