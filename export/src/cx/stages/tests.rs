//! Frames from a table `latency` as it tells them. Whole files are tested in `tests/cx_reader`.

use super::*;
use bl_query::Settings;

const MS: i64 = 1_000_000;

/// A session of 10 s with these rows of `latency`, each `(ts in ms, latency in ms, dropped, how, reason)`.
async fn frames(
    metric: Metric,
    ended_ms: Option<i64>,
    rows: &str,
) -> (Vec<Frame>, Result<Report, CxError>) {
    let query = Query::new(&Settings::default()).unwrap();
    let table = format!(
        "CREATE TABLE latency AS SELECT to_timestamp_nanos(ms * {MS}) AS ts, 'p' AS pipeline, 'in' AS stage_a, \
         'out' AS stage_b, CAST(latency_ms AS DOUBLE) AS latency_ms, CAST(dropped AS BOOLEAN) AS dropped, \
         CAST(paired_by AS VARCHAR) AS paired_by, CAST(reason AS VARCHAR) AS reason \
         FROM (VALUES {rows}) AS t(ms, latency_ms, dropped, paired_by, reason)"
    );
    let events = "CREATE TABLE pipeline AS SELECT 'p' AS pipeline, stage FROM (VALUES ('in'), ('out')) AS t(stage)";
    for sql in [&table, events] {
        let statement = query.statements(sql).unwrap().pop().unwrap();
        query.answer(statement).await.unwrap().drain().await.unwrap();
    }
    let pair = StagePair {
        stage_a: "in".into(),
        stage_b: "out".into(),
        pipeline: None,
        window_ns: 1000 * MS,
        metric,
    };
    let ended_ns = ended_ms.map(|ms| ms * MS);
    let mut stages = StageFrames::open(&query, "run", ended_ns, &pair).await.unwrap();
    let (mut all, mut block) = (Vec::new(), Vec::new());
    while stages.next(&query, &mut block).await.unwrap() {
        all.append(&mut block);
    }
    let mut report = Report { frames: all.len() as u64, ..Report::default() };
    let finished = stages.finish(&query, &mut report).await;
    (all, finished.map(|()| report))
}

/// Instant and frame time in milliseconds, and whether it is marked.
fn told(frames: &[Frame]) -> Vec<(i64, i64, bool)> {
    frames.iter().map(|f| (f.ts_ns / MS, f.frame_ns / MS, f.dropped)).collect()
}

#[tokio::test]
async fn what_is_not_sure_is_left_out_and_counted_by_its_reason() {
    let rows = "(1000, 5, false, 'order', NULL), (1010, NULL, NULL, 'order', 'two shifts fit'), \
        (1020, NULL, true, 'order', NULL), (1030, NULL, NULL, NULL, NULL), (1040, 7, false, 'order', NULL)";
    let (intervals, report) = frames(Metric::Interval, Some(9000), rows).await;
    // The time since the frame before is known, also where that one is left out.
    assert_eq!(told(&intervals), [(1020, 10, true), (1040, 10, false)]);
    let notes = report.unwrap().notes.join("\n");
    assert!(notes.contains("latency of 2 frames (two shifts fit): they were left out"), "{notes}");
    assert!(notes.contains("paired by their order"), "{notes}");
    let (latencies, report) = frames(Metric::Latency, Some(9000), rows).await;
    assert_eq!(told(&latencies), [(1000, 5, false), (1040, 7, false)]);
    let notes = report.unwrap().notes.join("\n");
    assert!(notes.contains("1 of 3 frames never reached out"), "{notes}");
    assert!(notes.contains("latency of 2 frames"), "{notes}");
}

#[tokio::test]
async fn what_is_paired_by_a_key_is_not_said_to_be_paired_by_order() {
    let rows = "(1000, 5, false, 'frame', NULL), (1010, 5.000001, false, 'key_ns', NULL)";
    let (latencies, report) = frames(Metric::Latency, None, rows).await;
    assert_eq!(latencies[1].latency_ns, Some(5 * MS + 1));
    assert_eq!(report.unwrap().notes, Vec::<String>::new());
}

#[tokio::test]
async fn a_frame_is_on_its_way_if_none_after_it_got_through_and_its_window_was_not_over() {
    let rows = "(1000, 5, false, 'frame', NULL), (8500, NULL, true, NULL, NULL), (8600, 9, false, 'frame', NULL), \
        (8700, NULL, true, NULL, NULL), (9000, NULL, true, NULL, NULL), (9001, NULL, true, NULL, NULL)";
    for (ended_ms, in_flight) in [(Some(9600), 3), (Some(10_000), 1), (Some(10_001), 0), (None, 0)]
    {
        let (intervals, report) = frames(Metric::Interval, ended_ms, rows).await;
        let all = [
            (8500, 7500, true),
            (8600, 100, false),
            (8700, 100, true),
            (9000, 300, true),
            (9001, 1, true),
        ];
        assert_eq!(told(&intervals), all[..5 - in_flight], "{ended_ms:?}");
        let notes = report.unwrap().notes.join("\n");
        let wanted =
            format!("{in_flight} frames were on their way to out when the recording ended");
        assert_eq!(notes.contains(&wanted), in_flight > 0, "{notes}");
        let (_, report) = frames(Metric::Latency, ended_ms, rows).await;
        let wanted = format!("{} of {} frames never reached out", 4 - in_flight, 6 - in_flight);
        let notes = report.unwrap().notes.join("\n");
        assert!(notes.contains(&wanted), "{wanted}: {notes}");
    }
}

#[tokio::test]
async fn a_stage_and_itself_are_refused() {
    let query = Query::new(&Settings::default()).unwrap();
    let pair = StagePair {
        stage_a: "in".into(),
        stage_b: "in".into(),
        pipeline: None,
        window_ns: MS,
        metric: Metric::Latency,
    };
    let error = StageFrames::open(&query, "run", None, &pair).await.err().unwrap();
    assert!(error.is_usage() && error.to_string().contains("\"in\" cannot be paired with itself"));
}

#[tokio::test]
async fn where_no_frame_got_through_none_is_marked_and_no_latency_is_told() {
    let rows = "(1000, NULL, true, NULL, NULL), (1010, NULL, NULL, NULL, 'far'), (1020, NULL, true, NULL, NULL)";
    let (intervals, report) = frames(Metric::Interval, Some(1100), rows).await;
    assert_eq!(told(&intervals), [(1010, 10, false), (1020, 10, false)]);
    let notes = report.unwrap().notes.join("\n");
    assert!(notes.contains("no event of out belongs to one of in within 1000 ms"), "{notes}");
    assert!(notes.contains("none is marked") && !notes.contains("left out"), "{notes}");
    let (latencies, report) = frames(Metric::Latency, Some(1100), rows).await;
    assert!(latencies.is_empty());
    let error = report.unwrap_err().to_string();
    assert!(error.contains("latency of 1 frames (far)"), "{error}");
    let (_, report) = frames(Metric::Latency, Some(1100), "(1000, NULL, true, NULL, NULL)").await;
    let error = report.unwrap_err().to_string();
    assert!(error.contains("none of 1 events of in has one of out within 1000 ms"), "{error}");
}
