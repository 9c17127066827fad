use std::num::NonZero;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{Float64Type, Int64Type};
use datafusion::datasource::MemTable;
use proptest::prelude::*;

use crate::testing::{error, rows, session};
use crate::{Query, Settings};

const FRAMES: &str = "CREATE TABLE frames AS SELECT * FROM (VALUES \
    (0, 'a', 1), (10, 'a', 2), (14, 'b', 3), (26, 'a', 4), (99, 'a', 5)) AS t(ms, card, frame)";
const WATTS: &str = "CREATE TABLE watts AS SELECT * FROM (VALUES \
    (0, 'a', 10.0, 1), (10, 'b', 20.0, 2), (20, 'a', 30.0, 3), (30, 'b', 40.0, NULL)) AS t(ms, card, w, n)";

fn call(more: &str) -> String {
    format!(
        "as_of(relation => (SELECT arrow_cast(ms, 'Timestamp(ms)') AS ts, card, frame FROM frames), \
         series => (SELECT ms * 1000000 AS ts_ns, card, w, n FROM watts), tolerance_ms => 25{more})"
    )
}

#[tokio::test]
async fn the_nearest_row_on_either_side() {
    let query = session(&[FRAMES, WATTS]).await;
    let sql = format!("SELECT frame, ts_ns, series_card, w FROM {} ORDER BY frame", call(""));
    let expected =
        ["1 0 a 10.0", "2 10000000 b 20.0", "3 10000000 b 20.0", "4 30000000 b 40.0", "5"];
    assert_eq!(rows(&query, &sql).await, expected);
    let by_key = format!("SELECT frame, p.card, w FROM {} p ORDER BY frame", call(", key => card"));
    let expected = ["1 a 10.0", "2 a 10.0", "3 b 20.0", "4 a 30.0", "5 a"];
    assert_eq!(rows(&query, &by_key).await, expected);
}

#[tokio::test]
async fn values_on_the_line_between_two_rows() {
    let query = session(&[FRAMES, WATTS]).await;
    let between = call(", method => 'interpolate'");
    let sql = format!("SELECT frame, w, n FROM {between} ORDER BY frame");
    assert_eq!(rows(&query, &sql).await, ["1 10.0 1.0", "2 20.0 2.0", "3 24.0 2.4", "4 36.0", "5"]);
    let by_key = call(", method => 'interpolate', key => card");
    let sql = format!("SELECT frame, w FROM {by_key} ORDER BY frame");
    assert_eq!(rows(&query, &sql).await, ["1 10.0", "2 20.0", "3 24.0", "4", "5"]);
    let all = format!("SELECT * FROM {between} ORDER BY frame LIMIT 1");
    assert_eq!(rows(&query, &all).await, ["1970-01-01T00:00:00 a 1 10.0 1.0"]);
}

#[tokio::test]
async fn wrong_calls_are_told() {
    let query = session(&[FRAMES, WATTS]).await;
    for (call, text) in [
        ("as_of(series => watts)", "relation is missing"),
        ("as_of(relation => frames, series => watts)", "no column ts or ts_ns"),
        (
            "as_of(relation => frames, series => watts, ts => ms, series_ts => card)",
            "card is Utf8: a stamp is",
        ),
        (
            "as_of(relation => frames, series => watts, ts => ms, series_ts => ms, method => 'before')",
            "method is one of",
        ),
        (
            "as_of(relation => frames, series => watts, ts => ms, series_ts => ms, key => frame)",
            "has no column frame",
        ),
        (
            "as_of(relation => frames, series => watts, ts => ms, series_ts => ms, key => frame + 1)",
            "a key is a column",
        ),
        (
            "as_of(relation => frames, series => (SELECT ms, card FROM watts), ts => ms, series_ts => ms, \
          method => 'interpolate')",
            "no column of numbers",
        ),
    ] {
        let found = error(&query, &format!("SELECT * FROM {call}")).await;
        assert!(found.contains(text), "{call}: {found}");
    }
}

/// A row: its stamp in half milliseconds, its key, its value.
type Row = (Option<i64>, Option<u8>, Option<i64>);

const HALF_MS_NS: i64 = 500_000;

fn some_rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        prop::option::weighted(0.9, 0i64..40),
        prop::option::weighted(0.9, 0u8..3),
        prop::option::weighted(0.8, -9i64..9),
    );
    prop::collection::vec(row, 0..40)
}

/// Rows as a table in pieces: `ts` in microseconds or nanoseconds, `k`, `id`, `v`.
fn register(query: &Query, name: &str, rows: &[Row], piece: usize, in_us: bool) {
    let batch = |rows: &[Row], from: usize| {
        let ts = rows.iter().map(|row| row.0);
        let ts: ArrayRef = match in_us {
            true => Arc::new(ts.map(|ts| Some(ts? * 500)).collect::<TimestampMicrosecondArray>()),
            false => Arc::new(ts.map(|ts| Some(ts? * HALF_MS_NS)).collect::<Int64Array>()),
        };
        let k = rows.iter().map(|row| row.1.map(|k| format!("card {k}")));
        let v = rows.iter().map(|row| row.2.map(|v| v as f64));
        RecordBatch::try_from_iter_with_nullable([
            ("ts", ts, true),
            ("k", Arc::new(k.collect::<StringArray>()) as _, true),
            (
                "id",
                Arc::new(Int64Array::from_iter_values(
                    (from..from + rows.len()).map(|id| id as i64),
                )) as _,
                true,
            ),
            ("v", Arc::new(v.collect::<Float64Array>()) as _, true),
        ])
        .unwrap()
    };
    let schema = batch(&[], 0).schema();
    let batches = rows.chunks(piece).enumerate().map(|(i, rows)| batch(rows, i * piece)).collect();
    let table = MemTable::try_new(schema, vec![batches]).unwrap();
    query.context().register_table(name, Arc::new(table)).unwrap();
}

/// Numbers of the rows that have this stamp and may be matched with `key`.
fn at_stamp(series: &[Row], ts: i64, key: Option<Option<u8>>) -> Vec<usize> {
    let fits = |row: &Row| row.0 == Some(ts) && key.is_none_or(|key| key.is_some() && row.1 == key);
    (0..series.len()).filter(|at| fits(&series[*at])).collect()
}

/// The stamps of rows that may be matched with `key`, ascending.
fn stamps(series: &[Row], key: Option<Option<u8>>) -> Vec<i64> {
    let mut stamps: Vec<i64> =
        (0..40).filter(|ts| !at_stamp(series, *ts, key).is_empty()).collect();
    stamps.dedup();
    stamps
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// Against the definition, which looks at every row. Which of several rows of one stamp and key is taken is open: a
    /// sort before the join need not be stable.
    #[test]
    fn both_methods_are_what_their_definition_says(
        left in some_rows(),
        series in some_rows(),
        pieces in (1usize..20, 1usize..20),
        tolerance in 0i64..30,
        by_key in any::<bool>(),
    ) {
        let settings = Settings { batch_rows: NonZero::new(7), ..Settings::default() };
        let query = Query::new(&settings).unwrap();
        register(&query, "a", &left, pieces.0, true);
        register(&query, "b", &series, pieces.1, false);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ask = |method: &str, column: &str| -> Vec<RecordBatch> {
            let key = if by_key { ", key => k" } else { "" };
            let sql = format!("SELECT id, {column} FROM as_of(relation => a, series => b, \
                method => '{method}', tolerance_ms => {}{key})", tolerance as f64 / 2.0);
            runtime.block_on(async { query.sql(&sql).await.unwrap().collect().await.unwrap() })
        };
        let key_of = |row: &Row| by_key.then_some(row.1);
        let mut seen = 0;
        for batch in ask("nearest", "series_id") {
            let (ids, found) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_primitive::<Int64Type>());
            for (id, found) in ids.iter().zip(found) {
                let row = &left[id.unwrap() as usize];
                let near = row.0.and_then(|t| {
                    let stamps = stamps(&series, key_of(row));
                    let nearest = stamps.into_iter().min_by_key(|ts| ((t - ts).abs(), *ts))?;
                    ((t - nearest).abs() <= tolerance).then_some(nearest)
                });
                let expected = near.map_or(Vec::new(), |ts| at_stamp(&series, ts, key_of(row)));
                match found {
                    None => prop_assert!(expected.is_empty(), "{row:?}: none for {expected:?}"),
                    Some(found) => prop_assert!(expected.contains(&(found as usize)), "{row:?}: {found} for {expected:?}"),
                }
                seen += 1;
            }
        }
        prop_assert_eq!(seen, left.len());
        seen = 0;
        for batch in ask("interpolate", "series_v") {
            let (ids, found) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_primitive::<Float64Type>());
            for (id, found) in ids.iter().zip(found) {
                let row = &left[id.unwrap() as usize];
                let around = row.0.and_then(|t| {
                    let stamps = stamps(&series, key_of(row));
                    let before = stamps.iter().copied().rfind(|ts| *ts <= t)?;
                    let after = stamps.iter().copied().find(|ts| *ts >= t)?;
                    (before == t || after - before <= tolerance).then_some((t, before, after))
                });
                let mut expected = Vec::new();
                if let Some((t, before, after)) = around {
                    for low in at_stamp(&series, before, key_of(row)) {
                        for high in at_stamp(&series, after, key_of(row)) {
                            let (low, high) = (series[low].2.map(|v| v as f64), series[high].2.map(|v| v as f64));
                            expected.push(match (before == t, low, high) {
                                (true, low, _) => low,
                                (_, Some(low), Some(high)) => {
                                    let share = (t - before) as f64 / (after - before) as f64;
                                    Some(low * (1.0 - share) + high * share)
                                }
                                _ => None,
                            });
                        }
                    }
                }
                let is_as = |expected: &Option<f64>| match (expected, found) {
                    (Some(expected), Some(found)) => (expected - found).abs() < 1e-12,
                    (expected, found) => expected.is_none() && found.is_none(),
                };
                let is_right = if expected.is_empty() { found.is_none() } else { expected.iter().any(is_as) };
                prop_assert!(is_right, "{row:?}: {found:?} for {expected:?}");
                seen += 1;
            }
        }
        prop_assert_eq!(seen, left.len());
    }
}
