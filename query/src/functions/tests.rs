use crate::testing::{error, plan, rows, session};

/// Frame 2 never leaves, frame 9 never enters, frame 3 overtakes nothing but is too late.
const EVENTS: &str = "CREATE TABLE events AS SELECT * FROM (VALUES \
    (1000, 'in', 1), (2000, 'in', 2), (2500, 'seen', 1), (3000, 'in', 3), (3500, 'out', 1), \
    (4000, 'in', 4), (4200, 'out', 9), (4400, 'out', 4), (9000, 'out', 3), (9500, 'in', NULL)) \
    AS t(ts_ns, stage, frame)";
const POWER: &str = "CREATE TABLE watts AS SELECT * FROM (VALUES \
    (0, 10.0), (1000000000, 20.0), (2000000000, 20.0), (9000000000, 5.0)) AS t(ts_ns, sys_w)";
const SPANS: &str = "CREATE TABLE spans AS SELECT * FROM (VALUES \
    (1, 0, 1000000000), (2, 500000000, 1500000000), (3, 1500000000, 9000000000), (4, 100, 50)) \
    AS t(id, a, b)";

#[tokio::test]
async fn pairs_with_their_drops_in_order() {
    let query = session(&[EVENTS]).await;
    let sql = "SELECT ts_ns, frame, latency_ns, dropped \
        FROM pair('in', 'out', relation => events, window_ms => 0.005) ORDER BY ts_ns";
    let expected = ["1000 1 2500 false", "2000 2  true", "3000 3  true", "4000 4 400 false"];
    assert_eq!(rows(&query, sql).await, expected);
    let kept = "SELECT p.frame, p.stage FROM pair('in', 'out', relation => 'events', drops => false, \
        key => 'frame') p ORDER BY frame";
    assert_eq!(rows(&query, kept).await, ["1 in", "3 in", "4 in"]);
}

#[tokio::test]
async fn pairs_of_a_query_or_a_cte_by_group() {
    let query = session(&["CREATE TABLE e AS SELECT * FROM (VALUES \
        (1, 'a', 'in', 7), (2, 'b', 'in', 7), (3, 'b', 'out', 7), (5, 'a', 'out', 7)) \
        AS t(ts, pipeline, stage, frame)"])
    .await;
    let grouped = "WITH mine AS (SELECT * FROM e) \
        SELECT pipeline, latency_ns FROM pair('in', 'out', relation => mine) ORDER BY ts";
    assert_eq!(rows(&query, grouped).await, ["a 4", "b 1"]);
    let given = "SELECT latency_ns FROM pair('in', 'out', \
        relation => (SELECT ts, stage, frame FROM e WHERE pipeline = 'a'))";
    assert_eq!(rows(&query, given).await, ["4"]);
}

#[tokio::test]
async fn without_a_key_pairs_are_found_in_order() {
    let query = session(&["CREATE TABLE e AS \
        SELECT value * 16000000 AS ts, 'in' AS stage, CAST(NULL AS BIGINT) AS frame FROM range(0, 200) \
        UNION ALL SELECT value * 16000000 + 5000000 + (value % 7) * 100000, 'out', NULL FROM range(0, 200) \
            WHERE value % 20 != 10"])
    .await;
    let sql = "SELECT count(*), count(latency_ns), min(latency_ns), max(latency_ns) \
        FROM pair('in', 'out', relation => {e})";
    for relation in ["e", "(SELECT ts, stage FROM e)"] {
        let found = rows(&query, &sql.replace("{e}", relation)).await;
        assert_eq!(found, ["200 190 5000000 5600000"], "{relation}");
    }
}

#[tokio::test]
async fn the_first_key_that_both_stages_tell_pairs_them() {
    let query = session(&["CREATE TABLE e AS SELECT * FROM (VALUES \
        (1, 's', 'a', 'in', 1, 70), (2, 's', 'a', 'in', 2, 80), (3, 's', 'a', 'out', NULL, 80), \
        (4, 's', NULL, 'in', 70, 1), (5, 't', NULL, 'out', 70, 1), (6, 's', 'a', 'out', NULL, 70), \
        (9, 's', NULL, 'out', 70, 2)) AS t(ts, session, pipeline, stage, frame, key_ns)"])
    .await;
    let sql = "SELECT ts, frame, latency_ns FROM pair('in', 'out', relation => e) ORDER BY ts";
    assert_eq!(rows(&query, sql).await, ["1 1 5", "2 2 1", "4 70 5"]);
    let given =
        "SELECT ts, latency_ns FROM pair('in', 'out', relation => e, key => frame) ORDER BY ts";
    assert_eq!(rows(&query, given).await, ["1", "2", "4 5"]);
}

#[tokio::test]
async fn energy_by_trapezoid_and_by_hold() {
    let query = session(&[SPANS, POWER]).await;
    let energy = |more: &str| {
        format!(
            "SELECT id, energy_j FROM energy(relation => spans, \"from\" => a, \"to\" => b, \
             power => watts, tolerance_ms => 1000{more}) ORDER BY id"
        )
    };
    assert_eq!(rows(&query, &energy("")).await, ["1 15.0", "2 18.75", "3", "4"]);
    let held = energy(", method => 'hold', gaps => 'bridge'");
    assert_eq!(rows(&query, &held).await, ["1 10.0", "2 15.0", "3 150.0", "4"]);
}

#[tokio::test]
async fn latency_has_the_columns_of_its_table() {
    let query = session(&[EVENTS, POWER]).await;
    let sql = "SELECT frame, stage_a, stage_b, latency_ms, dropped, power_w, cpu_w, power_age_ms, energy_j \
        FROM latency('in', 'out', relation => events, power => watts, window_ms => 0.003, \
        tolerance_ms => 1000) WHERE frame < 3 ORDER BY frame";
    let found = rows(&query, sql).await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("1 in out 0.0025 false 10.0  0.001 0.0000250000"), "{found:?}");
    assert_eq!(found[1], "2 in out  true 10.0  0.002");
}

#[tokio::test]
async fn exact_percentiles_and_histograms() {
    let query = session(&["CREATE TABLE v AS SELECT value % 101 AS x FROM range(0, 1010)"]).await;
    let sql = "SELECT percentiles(x, 0.5, 0.95, 0.0), histogram(x, 0, 50, 100) FROM v";
    assert_eq!(rows(&query, sql).await, ["[50.0, 95.0, 0.0] [500, 510]"]);
    let empty = "SELECT percentiles(x, 0.5), percentiles(CASE WHEN x < 2 THEN x END, 0.5) FROM v WHERE x < 0";
    assert_eq!(rows(&query, empty).await, ["[] []"]);
}

#[tokio::test]
async fn lows_and_frames_per_second_of_frame_times() {
    // 99 frames of 10 ms and one of 50 ms, in two batches: see bl_align::frametime.
    let query =
        session(&["CREATE TABLE v AS SELECT CASE WHEN value = 40 THEN 50 ELSE 10 END AS ms \
        FROM range(0, 60) UNION ALL SELECT 10 FROM range(60, 100)"])
        .await;
    let sql = "SELECT low_averages(ms, 0.01, 0.02), low_integrals(ms, 0.01), fps_percentiles(ms, 0.002, 0.5) FROM v";
    assert_eq!(rows(&query, sql).await, ["[50.0, 10.4] [50.0] [20.0, 100.0]"]);
    let none = "SELECT low_averages(ms, 0.01), low_integrals(ms, 0.5), fps_percentiles(ms, 0.01) FROM v WHERE ms < 0";
    assert_eq!(rows(&query, none).await, ["[] [] []"]);
    for name in ["low_averages", "low_integrals", "fps_percentiles"] {
        let found = error(&query, &format!("SELECT {name}(ms, 1.0, 99) FROM v")).await;
        assert!(found.contains(&format!("{name}: a share lies between 0 and 1")), "{found}");
    }
}

#[tokio::test]
async fn wrong_arguments_are_named() {
    let query = session(&[EVENTS]).await;
    for (call, text) in [
        ("pair('in')", "stage_b is missing"),
        ("pair('in', 'out', relation => events, wndow => 3)", "has no argument wndow"),
        ("pair('in', 'out', relation => events, stage_a => 'in')", "given twice"),
        ("pair('in', 'out', relation => events, window_ms => 'x')", "number of milliseconds"),
        ("pair('in', 'out', relation => nothing)", "nothing"),
        ("pair('in', 'out')", "pipeline"),
        ("latency('in', 'out', window_ms => 5)", "those of the configuration"),
        ("latency('in', 'out')", "latency"),
        (
            "pair('in', 'out', relation => events, key => (frame, frame, frame, frame, frame))",
            "at most 4 keys",
        ),
        ("pair('in', 'out', relation => events, ts => nope)", "nope"),
        ("energy(relation => events, \"to\" => ts_ns, power => events)", "from is missing"),
    ] {
        let found = error(&query, &format!("SELECT * FROM {call}")).await;
        assert!(found.contains(text), "{call}: {found}");
    }
}

#[tokio::test]
async fn plans_say_what_they_do() {
    let query = session(&[EVENTS, POWER]).await;
    let plan =
        plan(&query, "SELECT * FROM latency('in', 'out', relation => events, power => watts)")
            .await;
    for operator in ["PairExec: in -> out", "AsOfJoinExec", "EnergyExec"] {
        assert!(plan.contains(operator), "{plan}");
    }
}
