use std::sync::Arc;

use bl_align::as_of::{LeftRows, Side, as_of};
use datafusion::arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::datasource::MemTable;
use datafusion::prelude::col;
use proptest::prelude::*;

use crate::testing::{error, plan, rows, session};
use crate::{Query, Settings};

const A: &str = "CREATE TABLE a AS SELECT * FROM (VALUES \
    (1, 'x', 10), (5, 'y', 11), (5, 'x', 12), (9, NULL, 13), (NULL, 'x', 14)) AS t(ts, k, id)";
const B: &str = "CREATE TABLE b AS SELECT * FROM (VALUES \
    (1, 'x', 100), (4, 'y', 101), (5, 'x', 102), (7, 'x', 103), (NULL, 'x', 104)) AS t(ts, k, v)";

#[tokio::test]
async fn the_four_comparisons() {
    let query = session(&[A, B]).await;
    for (operator, expected) in [
        (">=", ["10 100", "11 102", "12 102", "13 103", "14"]),
        (">", ["10", "11 101", "12 101", "13 103", "14"]),
        ("<=", ["10 100", "11 102", "12 102", "13", "14"]),
        ("<", ["10 101", "11 103", "12 103", "13", "14"]),
    ] {
        let sql = format!(
            "SELECT id, v FROM a ASOF JOIN b MATCH_CONDITION (a.ts {operator} b.ts) ORDER BY id"
        );
        assert_eq!(rows(&query, &sql).await, expected, "{operator}");
    }
    let turned = "SELECT id, v FROM a ASOF JOIN b MATCH_CONDITION (b.ts <= a.ts) ORDER BY id";
    assert_eq!(rows(&query, turned).await, ["10 100", "11 102", "12 102", "13 103", "14"]);
}

#[tokio::test]
async fn by_key_with_on_and_with_using() {
    let query = session(&[A, B]).await;
    let on = "SELECT id, b.k, v FROM a ASOF JOIN b MATCH_CONDITION (a.ts >= b.ts) ON a.k = b.k ORDER BY id";
    assert_eq!(rows(&query, on).await, ["10 x 100", "11 y 101", "12 x 102", "13", "14"]);
    let using =
        "SELECT k, id, v FROM a ASOF JOIN b MATCH_CONDITION (a.ts >= b.ts) USING (k) ORDER BY id";
    assert_eq!(rows(&query, using).await, ["x 10 100", "y 11 101", "x 12 102", " 13", "x 14"]);
    let all =
        "SELECT * FROM a ASOF JOIN b MATCH_CONDITION (a.ts >= b.ts) USING (k) ORDER BY id LIMIT 1";
    assert_eq!(rows(&query, all).await, ["1 x 10 1 100"]);
}

#[tokio::test]
async fn a_tolerance_in_the_condition() {
    let query = session(&[A, B]).await;
    for bound in ["a.ts - b.ts <= 1", "a.ts - b.ts < 2", "b.ts >= a.ts - 1", "a.ts <= b.ts + 1"] {
        let sql = format!(
            "SELECT id, v FROM a ASOF JOIN b MATCH_CONDITION (a.ts >= b.ts AND {bound}) ORDER BY id"
        );
        assert_eq!(rows(&query, &sql).await, ["10 100", "11 102", "12 102", "13", "14"], "{bound}");
    }
    let times = session(&[
        "CREATE TABLE a AS SELECT TIMESTAMP '2026-01-01T00:00:01' AS ts",
        "CREATE TABLE b AS SELECT TIMESTAMP '2026-01-01T00:00:00.800' AS ts, 7 AS v",
    ])
    .await;
    for (bound, expected) in [("200 milliseconds", "7"), ("199 milliseconds", "")] {
        let sql = format!(
            "SELECT v FROM a ASOF JOIN b MATCH_CONDITION (a.ts >= b.ts AND a.ts - b.ts <= INTERVAL '{bound}')"
        );
        assert_eq!(rows(&times, &sql).await, [expected], "{bound}");
    }
}

/// A distance of 1 ms or 2 ms, in stamps of any units, against tolerances that are no whole number of those units.
#[tokio::test]
async fn a_tolerance_is_not_rounded_to_the_unit_of_the_stamps() {
    const UNITS: [u32; 4] = [0, 3, 6, 9];
    for (left, right) in UNITS.into_iter().flat_map(|l| UNITS.map(|r| (l, r))) {
        for (distance_ms, bound, is_near) in [
            (1, "< INTERVAL '1500 microseconds'", true),
            (1, "<= INTERVAL '1500 microseconds'", true),
            (1, "< INTERVAL '1 millisecond'", false),
            (1, "<= INTERVAL '1 millisecond'", true),
            (1, "<= INTERVAL '999 microseconds'", false),
            (2, "<= INTERVAL '1999999 nanoseconds'", false),
            (2, "< INTERVAL '2000001 nanoseconds'", true),
            (2, "< INTERVAL '2 milliseconds'", false),
        ] {
            // Seconds hold no milliseconds: there the same numbers are seconds.
            let is_coarse = left == 0 || right == 0;
            let scale = if is_coarse { "second" } else { "millisecond" };
            let bound = match is_coarse {
                true => {
                    bound.replace("microsecond", "millisecond").replace("nanosecond", "microsecond")
                }
                false => bound.to_owned(),
            };
            let bound = match is_coarse {
                true => bound
                    .replace("1 millisecond'", "1 second'")
                    .replace("2 milliseconds'", "2 seconds'"),
                false => bound,
            };
            let stamp = |count: i64, digits: u32| {
                format!(
                    "CAST(TIMESTAMP '2026-01-01' + INTERVAL '{count} {scale}s' AS TIMESTAMP({digits}))"
                )
            };
            let query = session(&[
                &format!("CREATE TABLE a AS SELECT {} AS ts", stamp(5, left)),
                &format!(
                    "CREATE TABLE b AS SELECT {} AS ts, 7 AS v",
                    stamp(5 - distance_ms, right)
                ),
            ])
            .await;
            let sql = format!(
                "SELECT v FROM a ASOF JOIN b MATCH_CONDITION (a.ts >= b.ts AND a.ts - b.ts {bound})"
            );
            let expected = if is_near { "7" } else { "" };
            assert_eq!(
                rows(&query, &sql).await,
                [expected],
                "{left} {right} {distance_ms} {bound}"
            );
        }
    }
    let query = session(&[A, B]).await;
    for (bound, expected) in [("< 1.5", "101"), ("<= 1.5", "101"), ("< 1.0", ""), ("<= 0.9", "")] {
        let sql = format!(
            "SELECT v FROM a ASOF JOIN b MATCH_CONDITION (a.ts > b.ts AND a.ts - b.ts {bound}) WHERE id = 11"
        );
        assert_eq!(rows(&query, &sql).await, [expected], "{bound}");
    }
}

#[tokio::test]
async fn stamps_of_one_kind_are_compared_exactly_whatever_their_unit() {
    for (left, right) in [
        ("TIMESTAMP '2026-01-02'", "DATE '2026-01-02'"),
        ("DATE '2026-01-02'", "arrow_cast(TIMESTAMP '2026-01-02', 'Timestamp(s)')"),
        (
            "arrow_cast(TIMESTAMP '2026-01-02T00:00:00', 'Timestamp(ns, \"UTC\")')",
            "arrow_cast(TIMESTAMP '2026-01-02T00:00:00', 'Timestamp(ms)')",
        ),
        ("TIME '10:00:00'", "arrow_cast(TIME '10:00:00', 'Time32(s)')"),
        ("arrow_cast(1500, 'Duration(ms)')", "arrow_cast(1500000, 'Duration(us)')"),
        ("CAST(7 AS INT)", "CAST(7 AS BIGINT UNSIGNED)"),
    ] {
        for (operator, expected) in [(">=", "1"), (">", "")] {
            let sql = format!(
                "SELECT v FROM (SELECT {left} AS ts) a ASOF JOIN (SELECT {right} AS ts, 1 AS v) b \
                 MATCH_CONDITION (a.ts {operator} b.ts)"
            );
            assert_eq!(rows(&session(&[]).await, &sql).await, [expected], "{sql}");
        }
    }
}

#[tokio::test]
async fn a_stamp_that_nanoseconds_do_not_reach_is_told() {
    let query = session(&[]).await;
    let sql = "SELECT v FROM (SELECT arrow_cast(253402300799, 'Timestamp(s)') AS ts) a \
        ASOF JOIN (SELECT TIMESTAMP '2026-01-01' AS ts, 1 AS v) b MATCH_CONDITION (a.ts >= b.ts)";
    let found = error(&query, sql).await;
    assert!(found.contains("holds 9999-12-31T23:59:59, which nanoseconds do not reach"), "{found}");
}

#[tokio::test]
async fn chains_subqueries_and_other_joins() {
    let query = session(&[A, B]).await;
    let chain = "SELECT a.id, b.v, c.v FROM a ASOF JOIN b MATCH_CONDITION (a.ts >= b.ts) \
        ASOF JOIN b AS c MATCH_CONDITION (a.ts <= c.ts) \
        JOIN (VALUES (10), (13)) AS w(id) ON a.id = w.id ORDER BY a.id";
    assert_eq!(rows(&query, chain).await, ["10 100 100", "13 103"]);
    let nested = "WITH j AS (SELECT id, v FROM a ASOF JOIN b MATCH_CONDITION (a.ts >= b.ts)) \
        SELECT count(v) FROM j WHERE id IN (SELECT id FROM (a ASOF JOIN b MATCH_CONDITION (a.ts >= b.ts)))";
    assert_eq!(rows(&query, nested).await, ["4"]);
    let counted = "SELECT count(*) FROM a ASOF JOIN b MATCH_CONDITION (a.ts >= b.ts)";
    assert_eq!(rows(&query, counted).await, ["5"]);
    let explained = "EXPLAIN SELECT id FROM a ASOF JOIN b MATCH_CONDITION (a.ts >= b.ts)";
    assert!(rows(&query, explained).await.join("\n").contains("AsOfJoin"));
}

#[tokio::test]
async fn what_is_refused_says_why() {
    let query = session(&[A, B]).await;
    for (condition, text) in [
        ("MATCH_CONDITION (a.ts = b.ts)", "compares with >=, >, <= or <, not with ="),
        ("MATCH_CONDITION (a.ts >= a.id)", "one of the right"),
        ("MATCH_CONDITION (a.ts)", "must begin with a comparison"),
        ("MATCH_CONDITION (a.k >= b.k)", "k is Utf8"),
        ("MATCH_CONDITION (a.ts >= CAST(b.ts AS DOUBLE))", "a stamp is a TIMESTAMP"),
        ("MATCH_CONDITION (a.ts >= to_timestamp(b.ts))", "cast both to TIMESTAMP or to BIGINT"),
        ("MATCH_CONDITION (a.ts >= b.ts AND a.id > 3)", "belong into WHERE"),
        ("MATCH_CONDITION (a.ts >= b.ts AND a.ts - b.ts < 0)", "below zero"),
        ("MATCH_CONDITION (a.ts >= b.ts) ON a.k > b.k", "holds equalities"),
        ("MATCH_CONDITION (a.ts >= b.ts) ON a.k = a.k", "one of the right"),
        ("MATCH_CONDITION (a.ts >= b.ts) ON a.id = CAST(b.v AS DOUBLE)", "floats are not compared"),
        ("MATCH_CONDITION (a.ts >= b.ts) USING (id)", "id"),
    ] {
        let found = error(&query, &format!("SELECT * FROM a ASOF JOIN b {condition}")).await;
        assert!(found.contains(text), "{condition}: {found}");
    }
}

/// Rows (ts, key, id) as a table in pieces.
fn register(query: &Query, name: &str, rows: &[(i64, i64)], piece: usize, is_sorted: bool) {
    let batch = |rows: &[(i64, i64)], from: usize| {
        let ts = Int64Array::from_iter_values(rows.iter().map(|row| row.0));
        let key = Int64Array::from_iter_values(rows.iter().map(|row| row.1));
        let id = Int64Array::from_iter_values((from..from + rows.len()).map(|id| id as i64));
        RecordBatch::try_from_iter([
            ("ts", Arc::new(ts) as _),
            ("k", Arc::new(key) as _),
            ("id", Arc::new(id) as _),
        ])
        .unwrap()
    };
    let schema = batch(&[], 0).schema();
    let batches = rows.chunks(piece).enumerate().map(|(i, rows)| batch(rows, i * piece)).collect();
    let mut table = MemTable::try_new(schema, vec![batches]).unwrap();
    if is_sorted {
        table = table.with_sort_order(vec![vec![col("ts").sort(true, false)]]);
    }
    query.context().register_table(name, Arc::new(table)).unwrap();
}

fn sorted_rows() -> impl Strategy<Value = Vec<(i64, i64)>> {
    prop::collection::vec((0i64..60, 0i64..3), 0..80).prop_map(|mut rows| {
        rows.sort_by_key(|row| row.0);
        rows
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_operator_equals_the_kernel(
        left in sorted_rows(),
        right in sorted_rows(),
        pieces in (1usize..20, 1usize..20),
        side in prop::sample::select(vec![
            (Side::AtOrBefore, ">="), (Side::Before, ">"), (Side::AtOrAfter, "<="), (Side::After, "<"),
        ]),
        by_key in any::<bool>(),
        is_sorted in any::<bool>(),
    ) {
        let (side, operator) = side;
        let key = |rows: &[(i64, i64)]| -> Vec<u32> { rows.iter().map(|row| row.1 as u32).collect() };
        let ts = |rows: &[(i64, i64)]| -> Vec<i64> { rows.iter().map(|row| row.0).collect() };
        let (lt, rt, lk, rk) = (ts(&left), ts(&right), key(&left), key(&right));
        let keys = by_key.then_some(lk.as_slice());
        let expected = as_of(side, None, LeftRows { ts: &lt, valid: None, keys }, &rt,
            by_key.then_some(rk.as_slice())).unwrap();
        let found = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let settings = Settings { batch_rows: std::num::NonZero::new(7), ..Settings::default() };
            let query = Query::new(&settings).unwrap();
            register(&query, "a", &left, pieces.0, is_sorted);
            register(&query, "b", &right, pieces.1, is_sorted);
            let on = if by_key { "ON a.k = b.k" } else { "" };
            let sql = format!("SELECT a.id, b.id FROM a ASOF JOIN b \
                MATCH_CONDITION (a.ts {operator} b.ts) {on}");
            query.sql(&sql).await.unwrap().collect().await.unwrap()
        });
        let pairs = found.iter().flat_map(|batch| {
            let left = batch.column(0).as_primitive::<Int64Type>().iter();
            left.zip(batch.column(1).as_primitive::<Int64Type>().iter()).collect::<Vec<_>>()
        });
        let mut pairs: Vec<_> = pairs.map(|(left, right)| (left.unwrap(), right)).collect();
        if is_sorted {
            // Rows of one stamp may change places where the optimizer reads a table in parts.
            let stamps = pairs.iter().map(|pair| left[pair.0 as usize].0);
            prop_assert!(stamps.is_sorted(), "the left order is kept");
        }
        pairs.sort();
        // Which of several rows of one stamp (and key) is taken is open: sorts and merges need not be stable.
        let told = |row: (i64, i64)| if by_key { row } else { (row.0, 0) };
        for (id, found) in pairs {
            let found = found.map(|id| told(right[id as usize]));
            prop_assert_eq!(found, expected[id as usize].map(|row| told(right[row])));
        }
    }
}

#[tokio::test]
async fn sorted_inputs_are_not_sorted_again_and_only_what_is_asked_is_carried() {
    let query = session(&[]).await;
    register(&query, "a", &[(1, 0), (2, 0)], 1, true);
    register(&query, "b", &[(1, 0), (2, 0)], 1, true);
    let sql = "SELECT a.id, b.id FROM a ASOF JOIN b MATCH_CONDITION (a.ts >= b.ts) ORDER BY a.ts";
    let plan = plan(&query, sql).await;
    assert!(plan.contains("AsOfJoinExec") && !plan.contains("SortExec"), "{plan}");
}

/// Keys that come one after the other take the memory of those within the tolerance.
#[tokio::test]
async fn keys_one_after_the_other_are_held_for_the_tolerance() {
    let settings = Settings {
        memory_bytes: Some(4 << 20),
        partitions: std::num::NonZero::new(1),
        ..Settings::default()
    };
    let query = Query::new(&settings).unwrap();
    // Two hundred keys of 500 rows, each with 200 bytes beside its stamp: 20 MB.
    let text = StringArray::from(vec!["x".repeat(200); 500]);
    let batches = (0..200).map(|key| {
        RecordBatch::try_from_iter([
            ("ts", Arc::new(Int64Array::from_iter_values(key * 500..(key + 1) * 500)) as _),
            ("k", Arc::new(Int64Array::from(vec![key; 500])) as _),
            ("text", Arc::new(text.clone()) as _),
        ])
        .unwrap()
    });
    let batches: Vec<RecordBatch> = batches.collect();
    for name in ["a", "b"] {
        let table = MemTable::try_new(batches[0].schema(), vec![batches.clone()]).unwrap();
        let table = table.with_sort_order(vec![vec![col("ts").sort(true, false)]]);
        query.context().register_table(name, Arc::new(table)).unwrap();
    }
    let ask = |within: &str| {
        format!(
            "SELECT count(b.text), max(a.ts - b.ts) FROM a ASOF JOIN b MATCH_CONDITION (a.ts > b.ts {within}) ON a.k = b.k"
        )
    };
    assert_eq!(rows(&query, &ask("AND a.ts - b.ts <= 100")).await, ["99800 1"]);
    // Any row of a key may be matched however late: each holds the batch of its last one.
    let unbounded = error(&query, &ask("")).await;
    assert!(unbounded.contains("AsOfJoinExec"), "{unbounded}");
}
