//! Two nodes whose clocks differ by known amounts.

use crate::testing::{error, rows, session};

/// Readings of a node each ten seconds: `ts` in nanoseconds, the wall clock ahead by `ahead`, and faster by `ppm`.
fn node(name: &str, ahead_ns: i64, ppm: i64) -> String {
    format!(
        "SELECT '{name}' AS node, value * 10000000000 AS ts, \
         value * 10000000000 + {ahead_ns} + value * 10000 * {ppm} AS wall, 50 AS err FROM range(0, 100)"
    )
}

#[tokio::test]
async fn offset_drift_and_bound_of_each_node_are_those_put_in() {
    let both = format!(
        "CREATE TABLE c AS {} UNION ALL {}",
        node("a", 7_000_000, 0),
        node("b", -3_000, 20)
    );
    let query = session(&[&both]).await;
    let sql = "SELECT node, round(fit['drift_ppm'], 6), fit['err_ns'], fit['readings'], fit['steps'], \
        CAST(on_clock(200000000000, fit) AS BIGINT) FROM (SELECT node, clock_fit(ts, wall, err) AS fit FROM c GROUP BY node) \
        ORDER BY node";
    // At 200 s: a is 7 ms ahead; b is 3 us behind and has gained 20 ppm of 200 s, 4 ms.
    assert_eq!(
        rows(&query, sql).await,
        ["a 0.0 50.0 100 0 200007000000", "b 20.0 50.0 100 0 200003997000"]
    );
}

#[tokio::test]
async fn a_step_is_told_and_lies_within_the_bound() {
    let sql = "CREATE TABLE c AS SELECT value * 10000000000 AS ts, \
        value * 10000000000 + CASE WHEN value < 90 THEN 0 ELSE 5000000000 END AS wall, 50 AS err FROM range(0, 100)";
    let query = session(&[sql]).await;
    let sql = "SELECT fit['steps'], fit['err_ns'] >= 4.9e9 FROM (SELECT clock_fit(ts, wall, err) AS fit FROM c)";
    assert_eq!(rows(&query, sql).await, ["1 true"]);
}

#[tokio::test]
async fn what_is_not_known_is_null() {
    let query = session(&["CREATE TABLE c (ts BIGINT, wall BIGINT, err BIGINT)"]).await;
    let sql = "SELECT on_clock(5, fit) IS NULL, fit IS NULL FROM (SELECT clock_fit(ts, wall, err) AS fit FROM c)";
    assert_eq!(rows(&query, sql).await, ["true true"]);
}

#[tokio::test]
async fn arguments_that_are_no_stamps_are_refused() {
    let query = session(&["CREATE TABLE c AS SELECT 1.5 AS s, 'x' AS t, 1 AS n"]).await;
    for (sql, told) in [
        ("SELECT clock_fit(s, n, n) FROM c", "clock_fit: its first argument is Float64"),
        ("SELECT clock_fit(n, t, n) FROM c", "clock_fit: its second argument is Utf8"),
        ("SELECT clock_fit(n, n, t) FROM c", "clock_fit: its third argument is Utf8"),
        ("SELECT on_clock(n, n) FROM c", "on_clock: its second argument is Int64"),
    ] {
        let found = error(&query, sql).await;
        assert!(found.contains(told), "{sql}: {found}");
    }
}
