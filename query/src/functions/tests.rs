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
        SELECT value * 16000000 + value * 7919 % 4001 * 1000 AS ts, 'in' AS stage, \
            CAST(NULL AS BIGINT) AS frame FROM range(0, 200) \
        UNION ALL SELECT value * 16000000 + value * 7919 % 4001 * 1000 + 5000000 + (value % 7) * 100000, \
            'out', NULL FROM range(0, 200) WHERE value % 20 != 10"])
    .await;
    let sql = "SELECT count(*), count(latency_ns), min(latency_ns), max(latency_ns) \
        FROM pair('in', 'out', relation => {e})";
    for relation in ["e", "(SELECT ts, stage FROM e)"] {
        let found = rows(&query, &sql.replace("{e}", relation)).await;
        assert_eq!(found, ["200 190 5000000 5600000"], "{relation}");
    }
}

#[tokio::test]
async fn what_timing_cannot_tell_is_neither_paired_nor_dropped() {
    // An even tick: a latency of a frame more looks the same.
    let query = session(&["CREATE TABLE e AS \
        SELECT value * 16000000 AS ts, 'in' AS stage FROM range(0, 200) \
        UNION ALL SELECT value * 16000000 + 5000000, 'out' FROM range(0, 200)"])
    .await;
    let sql =
        "SELECT count(*), count(latency_ns), count(dropped) FROM pair('in', 'out', relation => e)";
    assert_eq!(rows(&query, sql).await, ["200 0 0"]);
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

/// 60 frames that end in the reverse order of blocks of three, 25 ms later: by order alone they are wrong.
const UIDS: &str = "CREATE TABLE uids AS SELECT value * 1000000 AS ts, 'in' AS stage, value AS n FROM range(0, 60) \
    UNION ALL SELECT value * 1000000 + 25000000 + (1 - value % 3) * 2000000, 'out', value FROM range(0, 60)";

#[tokio::test]
async fn keys_of_any_type_that_is_told_apart_pair_by_their_value() {
    let query = session(&[UIDS]).await;
    let by_number =
        "SELECT n, latency_ns FROM pair('in', 'out', relation => uids, key => n) ORDER BY n";
    let expected = rows(&query, by_number).await;
    assert_eq!(&expected[..3], ["0 27000000", "1 25000000", "2 23000000"]);
    assert_eq!(expected.len(), 60);
    for key in [
        "'frame ' || n",
        "arrow_cast('frame ' || n, 'LargeUtf8')",
        "arrow_cast('frame ' || n, 'Utf8View')",
        "arrow_cast('frame ' || n, 'Dictionary(Int32, Utf8)')",
        "arrow_cast('frame ' || n, 'Binary')",
        "arrow_cast(arrow_cast(lpad(CAST(n AS VARCHAR), 4, '0'), 'Binary'), 'FixedSizeBinary(4)')",
        "CAST(n AS DECIMAL(20, 3)) + CAST('0.125' AS DECIMAL(4, 3))",
        "CAST(n AS DECIMAL(20, 0)) + CAST('1000000000000000000000000' AS DECIMAL(30, 0))",
        "arrow_cast(n, 'UInt64') + arrow_cast('18446744073709551000', 'UInt64')",
        "CAST(n AS TINYINT)",
        "arrow_cast(n, 'Timestamp(ms)')",
        "arrow_cast(CAST(n AS INT), 'Date32')",
        "arrow_cast(CAST(n AS INT), 'Time32(s)')",
        "struct(n % 7, 'camera ' || n)",
        "make_array(n, n + 1)",
    ] {
        let sql = format!(
            "SELECT n, latency_ns FROM pair('in', 'out', key => uid, \
             relation => (SELECT ts, stage, n, {key} AS uid FROM uids)) ORDER BY n"
        );
        assert_eq!(rows(&query, &sql).await, expected, "{key}");
        // The key comes out as it went in.
        let kept = format!(
            "SELECT count(*) FROM pair('in', 'out', key => uid, \
             relation => (SELECT ts, stage, n, {key} AS uid FROM uids)) \
             WHERE uid = {key} AND latency_ns IS NOT NULL"
        );
        assert_eq!(rows(&query, &kept).await, ["60"], "{key}");
    }
    // Two values and no more: each waits for the next of its own.
    let parity = "SELECT count(latency_ns), min(latency_ns) FROM pair('in', 'out', key => odd, \
        relation => (SELECT ts, stage, n % 2 = 1 AS odd FROM uids))";
    let as_number = parity.replace("n % 2 = 1", "n % 2");
    assert_eq!(rows(&query, parity).await, rows(&query, &as_number).await);
}

#[tokio::test]
async fn an_event_without_a_key_of_text_is_left_out() {
    let query = session(&["CREATE TABLE e AS SELECT * FROM (VALUES \
        (1, 'in', 'a', 1), (2, 'in', NULL, 2), (3, 'out', NULL, 2), (4, 'in', '', NULL), (5, 'out', '', NULL), \
        (6, 'out', 'a', 1)) AS t(ts, stage, uid, part)"])
    .await;
    let sql =
        "SELECT ts, uid, latency_ns FROM pair('in', 'out', relation => e, key => uid) ORDER BY ts";
    assert_eq!(rows(&query, sql).await, ["1 a 5", "4  1"]);
    let together = "SELECT ts, latency_ns FROM pair('in', 'out', relation => e, key => struct(uid, part)) ORDER BY ts";
    assert_eq!(rows(&query, together).await, ["1 5"]);
}

#[tokio::test]
async fn keys_that_cannot_be_compared_are_refused_by_name_and_type() {
    let query = session(&[UIDS]).await;
    let sql = "SELECT * FROM pair('in', 'out', key => uid, relation => (SELECT ts, stage, n * 1.5e0 AS uid FROM uids))";
    let found = error(&query, sql).await;
    assert!(found.contains("uid is Float64: floats are not compared for equality"), "{found}");
}

#[tokio::test]
async fn stamps_of_every_exact_type_pair_and_come_out_as_they_went_in() {
    let query = session(&[]).await;
    for (stamp, unit_ns) in [
        ("arrow_cast({n}, 'Timestamp(s)')", 1_000_000_000_i64),
        ("arrow_cast({n}, 'Timestamp(ms, \"UTC\")')", 1_000_000),
        ("arrow_cast({n}, 'Timestamp(us)')", 1_000),
        ("arrow_cast({n}, 'Timestamp(ns)')", 1),
        ("arrow_cast(CAST({n} AS INT), 'Date32')", 86_400_000_000_000),
        ("arrow_cast({n}, 'Date64')", 1_000_000),
        ("arrow_cast({n}, 'Duration(ms)')", 1_000_000),
        ("arrow_cast(CAST({n} AS INT), 'Time32(s)')", 1_000_000_000),
        ("arrow_cast({n}, 'Time64(us)')", 1_000),
        ("CAST({n} AS INT)", 1),
        ("CAST({n} AS BIGINT UNSIGNED)", 1),
    ] {
        let at = |n: i64| stamp.replace("{n}", &n.to_string());
        let events = format!(
            "(SELECT {} AS ts, 'in' AS stage, 1 AS frame UNION ALL SELECT {}, 'out', 1)",
            at(4),
            at(9)
        );
        let sql = format!(
            "SELECT ts = {}, latency_ns FROM pair('in', 'out', relation => {events}, window_ms => 1000000000)",
            at(4)
        );
        assert_eq!(rows(&query, &sql).await, [format!("true {}", 5 * unit_ns)], "{stamp}");
        let energy = format!(
            "SELECT energy_j FROM energy(relation => (SELECT {} AS a, {} AS b), \"from\" => a, \"to\" => b, \
             power => (SELECT {} AS ts, 3.0 AS sys_w UNION ALL SELECT {}, 3.0), tolerance_ms => 1000000000)",
            at(4),
            at(9),
            at(4),
            at(9)
        );
        let joules = 15.0 * unit_ns as f64 / 1e9;
        let found: f64 = rows(&query, &energy).await[0].parse().unwrap();
        assert!((found - joules).abs() <= 1e-12 * joules, "{stamp}: {found} for {joules}");
        let latency = format!(
            "SELECT latency_ms, power_w, energy_j FROM latency('in', 'out', relation => {events}, \
             power => (SELECT {} AS ts, 3.0 AS sys_w UNION ALL SELECT {}, 3.0), \
             window_ms => 1000000000, tolerance_ms => 1000000000)",
            at(4),
            at(9)
        );
        let found: Vec<f64> =
            rows(&query, &latency).await[0].split(' ').map(|cell| cell.parse().unwrap()).collect();
        let expected = [5.0 * unit_ns as f64 / 1e6, 3.0, joules];
        let is_near =
            |(found, expected): (&f64, &f64)| (found - expected).abs() <= 1e-12 * expected;
        assert!(found.iter().zip(&expected).all(is_near), "{stamp}: {found:?} for {expected:?}");
    }
}

#[tokio::test]
async fn what_is_no_stamp_is_refused_by_name_and_type() {
    let query = session(&[EVENTS, POWER]).await;
    for (stamp, text) in [
        ("CAST(ts_ns AS DOUBLE)", "moment is Float64: a stamp is a TIMESTAMP"),
        ("CAST(ts_ns AS DECIMAL(20, 3))", "moment is Decimal128(20, 3): a stamp is"),
        ("CAST(ts_ns AS VARCHAR)", "to_timestamp_nanos(moment)"),
        ("ts_ns > 0", "moment is Boolean: a stamp is"),
        ("INTERVAL '1 second'", "moment is Interval"),
    ] {
        let events = format!("(SELECT {stamp} AS moment, ts_ns AS sure, stage, frame FROM events)");
        let watts = format!("(SELECT {} AS moment, sys_w FROM watts)", stamp);
        for call in [
            format!("pair('in', 'out', relation => {events}, ts => moment)"),
            format!("latency('in', 'out', relation => {events}, ts => moment, power => watts)"),
            format!(
                "latency('in', 'out', relation => events, power => {watts}, power_ts => moment)"
            ),
            format!(
                "energy(relation => {events}, \"from\" => moment, \"to\" => sure, power => watts)"
            ),
            format!(
                "energy(relation => {events}, \"from\" => sure, \"to\" => moment, power => watts)"
            ),
            format!(
                "energy(relation => events, \"from\" => ts_ns, \"to\" => ts_ns, power => {watts}, power_ts => moment)"
            ),
            format!("events ASOF JOIN {watts} w MATCH_CONDITION (events.ts_ns >= w.moment)"),
        ] {
            let sql = format!("EXPLAIN SELECT * FROM {call}");
            let found = error(&query, &sql).await;
            assert!(found.contains(text), "{call}: {found}");
        }
        let lag = format!("EXPLAIN SELECT power_lag({stamp}, 1.0, 2.0) FROM events");
        let found = error(&query, &lag).await;
        assert!(found.contains("power_lag: its first argument is"), "{lag}: {found}");
    }
    let far = "SELECT * FROM pair('in', 'out', relation => (SELECT arrow_cast(ts_ns + 9223372036854, 'Timestamp(ms)') AS ts, \
        stage, frame FROM events))";
    let found = error(&query, far).await;
    assert!(found.contains("ts@") && found.contains("which nanoseconds do not reach"), "{found}");
}

#[tokio::test]
async fn text_is_refused_where_a_number_is_meant() {
    let query = session(&[EVENTS, POWER]).await;
    let text = "(SELECT ts_ns, 'much' AS sys_w, 'more' AS cpu_w, 3.0 AS w FROM watts)";
    for (sql, expected) in [
        (
            format!(
                "SELECT * FROM energy(relation => events, \"from\" => ts_ns, \"to\" => ts_ns, power => {text})"
            ),
            "sys_w is Utf8: power in watts must be a number",
        ),
        (
            format!("SELECT * FROM latency('in', 'out', relation => events, power => {text})"),
            "sys_w is Utf8: power in watts must be a number",
        ),
        (
            format!(
                "SELECT * FROM latency('in', 'out', relation => events, power => {text}, power_w => w)"
            ),
            "cpu_w is Utf8: cpu_w must be a number",
        ),
        (
            "SELECT percentiles(stage, 0.5) FROM events".to_owned(),
            "percentiles: its first argument is Utf8",
        ),
        (
            "SELECT histogram(stage, 0, 1) FROM events".to_owned(),
            "histogram: its first argument is Utf8",
        ),
        (
            "SELECT power_lag(ts_ns, stage, 1.0) FROM events".to_owned(),
            "power_lag: its second argument is Utf8",
        ),
        (
            "SELECT power_lag(ts_ns, 1.0, stage) FROM events".to_owned(),
            "power_lag: its third argument is Utf8",
        ),
        ("SELECT avg(stage) FROM events".to_owned(), "avg"),
    ] {
        let found = error(&query, &sql).await;
        assert!(found.contains(expected), "{sql}: {found}");
    }
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

/// Two sessions at one time, each with a board of its own: 100 W and 400 W.
const SESSIONS: &[&str] = &[
    "CREATE TABLE power AS SELECT session, device_uid, value * 10000000 AS ts, sys_w \
        FROM range(0, 200), (VALUES ('s', 'a', 100.0), ('t', 'b', 400.0)) AS b(session, device_uid, sys_w)",
    "CREATE TABLE spans AS SELECT * FROM (VALUES ('s', 100000000, 1100000000), ('t', 100000000, 1100000000)) \
        AS t(session, begins, ends)",
    "CREATE TABLE e AS SELECT session, 100000000 AS ts, 'in' AS stage, 1 AS frame \
        FROM (VALUES ('s'), ('t')) AS s(session) \
        UNION ALL SELECT session, 600000000, 'out', 1 FROM (VALUES ('s'), ('t')) AS s(session)",
];

#[tokio::test]
async fn sessions_and_boards_are_never_mixed() {
    let query = session(SESSIONS).await;
    let of = |power: &str| {
        format!(
            "SELECT session, round(energy_j, 9) FROM energy(relation => spans, \"from\" => begins, \"to\" => ends, \
             power => {power}) ORDER BY session"
        )
    };
    assert_eq!(rows(&query, &of("power")).await, ["s 100.0", "t 400.0"], "each its own session");
    let latency = "SELECT session, power_w, round(energy_j, 9) FROM latency('in', 'out', relation => e, \
        power => power) ORDER BY session";
    assert_eq!(rows(&query, latency).await, ["s 100.0 50.0", "t 400.0 200.0"]);
    // Boards of one session: which one is for the person to say.
    let boards = "(SELECT 's' AS session, device_uid, ts, sys_w FROM power)";
    let error = query.sql(&of(boards)).await.unwrap().collect().await.unwrap_err().to_string();
    assert!(error.contains("several meters") && error.contains("device_uid"), "{error}");
    let error = query.sql(&latency.replace("power => power", &format!("power => {boards}"))).await;
    let error = error.unwrap().collect().await.unwrap_err().to_string();
    assert!(error.contains("several meters"), "{error}");
    let one = "(SELECT 's' AS session, device_uid, ts, sys_w FROM power WHERE device_uid = 'b')";
    assert_eq!(rows(&query, &of(one)).await, ["s 400.0", "t"]);
}
