//! PresentMon's gold set, imported whole. The oracle reads the same files anew, by the definitions of their columns.

use std::collections::BTreeMap;

use bl_ingest::import::Frame;

use super::{Kept, fixture, read};

/// A row of a file: its values by the names of their columns.
type Row = BTreeMap<String, String>;

/// All rows of a gold file; none of their values has a comma.
fn rows(name: &str) -> Vec<Row> {
    let text = std::fs::read_to_string(fixture("presentmon").join(name)).unwrap();
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let row = |line: &str| {
        names.iter().map(|n| n.to_string()).zip(line.split(',').map(String::from)).collect()
    };
    lines.map(row).collect()
}

fn number(row: &Row, column: &str) -> Option<f64> {
    row[column].parse().ok()
}

/// What a row is a frame of, as newer versions write the address.
fn stream(row: &Row) -> String {
    let address = row["SwapChainAddress"].trim_start_matches("0x").trim_start_matches('0');
    let address = if address.is_empty() { "0" } else { address };
    format!("{} {} 0x{address}", row["Application"], row["ProcessID"])
}

/// Frames and mean of a column, by stream.
fn means<T>(
    of: &[T],
    key: impl Fn(&T) -> String,
    ms: impl Fn(&T) -> f64,
) -> BTreeMap<String, (usize, f64)> {
    let mut sums: BTreeMap<String, (usize, f64)> = BTreeMap::new();
    for one in of {
        let sum = sums.entry(key(one)).or_default();
        *sum = (sum.0 + 1, sum.1 + ms(one));
    }
    sums.into_iter().map(|(key, (count, sum))| (key, (count, sum / count as f64))).collect()
}

/// Files of the set with the column of their frame times.
fn files() -> Vec<(String, &'static str)> {
    let of = |case| {
        [
            (format!("test_case_{case}.csv"), "MsBetweenPresents"),
            (format!("test_case_{case}_v1.csv"), "msBetweenPresents"),
            (format!("test_case_{case}_v2.csv"), "FrameTime"),
        ]
    };
    (0..3).flat_map(of).collect()
}

/// Nanoseconds of a row's present on the counter of 10 MHz, which all three forms tell exactly.
fn present_ns(row: &Row) -> i64 {
    let column = |name: &str| row.get(name).and_then(|ticks| ticks.parse::<i64>().ok());
    match column("QPCTime").or(column("TimeInQPC")) {
        Some(ticks) => ticks * 100,
        None => {
            column("CPUStartQPC").unwrap() * 100
                + (number(row, "CPUBusy").unwrap() * 1e6).round() as i64
        }
    }
}

#[test]
fn frames_mean_and_program_are_as_presentmon_says() {
    for (name, frametime) in files() {
        let rows = rows(&name);
        let (log, report) = read(&fixture("presentmon").join(&name));
        assert_eq!((report.bad, log.frames.len()), (0, rows.len()), "{name}: {report}");
        let expected = means(&rows, stream, |row| number(row, frametime).unwrap());
        let found = means(&log.frames, |f| f.stream.to_string(), |f| f.frametime_ms.unwrap());
        assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{name}");
        for (stream, (count, mean_ms)) in expected {
            assert_eq!(found[&stream].0, count, "{name} {stream}");
            assert!((found[&stream].1 - mean_ms).abs() < 1e-9, "{name} {stream}");
        }
    }
}

#[test]
fn every_present_is_where_the_counter_says() {
    for (name, _) in files() {
        let mut expected: Vec<i64> = rows(&name).iter().map(present_ns).collect();
        expected.sort_unstable();
        let first = expected[0];
        let (log, _) = read(&fixture("presentmon").join(&name));
        let found: Vec<i64> = log.frames.iter().map(|frame| frame.at_ns).collect();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            // TimeInSeconds of 1.x has 14 digits.
            assert!(
                (found - (expected - first)).abs() <= 1,
                "{name}: {found} for {}",
                expected - first
            );
        }
        assert_eq!(log.length_ns, expected[expected.len() - 1] - first, "{name}");
    }
}

#[test]
fn the_dominant_stream_comes_first_and_is_whole() {
    let (log, _) = read(&fixture("presentmon/test_case_0.csv"));
    let streams = log.streams();
    assert_eq!(
        (streams.len(), streams[0].0.to_string()),
        (10, "dwm.exe 1268 0x224B280A1C0".into())
    );
    assert_eq!(streams[0].1, 197);
    // Its 197 frames are all of the time that they span; those of all streams together would be twice that.
    assert!((log.coverage().unwrap() - 1.0).abs() < 0.01, "{:?}", log.coverage());
}

#[test]
fn latencies_of_both_kinds_differ_by_the_processors_work() {
    for case in 0..3 {
        let log = |suffix| {
            read(&fixture("presentmon").join(format!("test_case_{case}{suffix}.csv"))).0.frames
        };
        let (newest, v1, v2) = (log(""), log("_v1"), log("_v2"));
        assert!(
            newest.iter().all(|f| f.display_latency_ms.is_none()),
            "it has MsUntilDisplayed only"
        );
        assert!(v2.iter().all(|f| f.latency_ms.is_none()), "2.x has DisplayLatency only");
        assert!(v1.iter().all(|f| f.display_latency_ms.is_none()));
        let mut compared = 0;
        for (newest, v2) in newest.iter().zip(&v2) {
            assert_eq!((&newest.stream, newest.dropped), (&v2.stream, v2.dropped));
            assert_eq!(newest.latency_ms.is_some(), v2.display_latency_ms.is_some());
            assert_eq!(newest.latency_ms.is_none(), newest.dropped.unwrap());
            if let (Some(until), Some(latency)) = (newest.latency_ms, v2.display_latency_ms) {
                assert!((latency - v2.cpu_busy_ms.unwrap() - until).abs() < 2e-4);
                compared += 1;
            }
            assert_eq!((newest.cpu_busy_ms, newest.gpu_busy_ms), (v2.cpu_busy_ms, v2.gpu_busy_ms));
            assert_eq!(newest.animation_error_ms, v2.animation_error_ms);
        }
        assert!(compared > 40, "{compared}");
        // The frames that both have, of the same trace.
        let same = |frame: &&Frame| {
            v1.iter().any(|one| {
                one.frametime_ms == frame.frametime_ms && one.latency_ms == frame.latency_ms
            })
        };
        assert!(newest.iter().filter(same).count() * 10 > newest.len() * 9);
    }
    let errors =
        rows("test_case_0_v2.csv").iter().filter_map(|r| number(r, "AnimationError")).count();
    let (log, _) = read(&fixture("presentmon/test_case_0_v2.csv"));
    assert!(errors > 0);
    assert_eq!(log.frames.iter().filter_map(|f| f.animation_error_ms).count(), errors);
}

#[test]
fn each_stream_is_a_pipeline_of_its_own() {
    let (log, _) = read(&fixture("presentmon/test_case_1.csv"));
    let kept = Kept::rows_of(&log, 1_000_000_000);
    let pids = kept.numbers("frames", "pid");
    let of_devenv: Vec<usize> = (0..pids.len()).filter(|i| pids[*i] == Some(24944)).collect();
    assert_eq!(of_devenv.len(), 3);
    for i in of_devenv {
        assert_eq!(kept.texts("frames", "application")[i], "devenv.exe");
        assert_eq!(kept.texts("frames", "swapchain")[i], "0x1E25CF20");
    }
    let mut pipelines = kept.texts("pipeline", "pipeline");
    pipelines.sort_unstable();
    pipelines.dedup();
    assert_eq!(
        pipelines,
        [
            "test_case_1.csv (Presenter.exe 24560 0x2019D7777C0)",
            "test_case_1.csv (devenv.exe 24944 0x1E25CF20)",
            "test_case_1.csv (dwm.exe 1564 0x2408E0B7CA0)",
            "test_case_1.csv (dwm.exe 1564 0x240A8D570F0)",
        ]
    );
    assert_eq!(kept.stamps("frames").iter().min(), Some(&1_000_000_000));
}
