//! Every file that is exported passes a reader with CapFrameX's rules.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod csv;
mod json;
mod recording;

use bl_export::cx::{CxError, Metric, Report, Request, Source, StagePair, write_csv, write_json};
use bl_store::Session;

use recording::{Event, MS, Recording};

fn stages(metric: Metric) -> Request {
    let pair = StagePair {
        stage_a: "ingress".into(),
        stage_b: "encoded".into(),
        pipeline: None,
        window_ns: 2_000_000_000,
        metric,
    };
    Request {
        source: Source::Stages(pair),
        application: Some("Test App".parse().unwrap()),
        board: None,
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn export(
    recording: &Recording,
    session: &Session,
    request: &Request,
) -> Result<(Vec<u8>, Report), CxError> {
    let mut out = Vec::new();
    let report = runtime().block_on(write_csv(&recording.store, session, request, &mut out))?;
    Ok((out, report))
}

/// Exports and loads.
fn loaded(recording: &Recording, session: &Session, request: &Request) -> (csv::Loaded, Report) {
    let (bytes, report) = export(recording, session, request).unwrap();
    let loaded = csv::load(&bytes).unwrap();
    assert_eq!(loaded.time_s.len() as u64, report.frames);
    assert_eq!(loaded.dropped.iter().filter(|dropped| **dropped).count() as u64, report.dropped);
    (loaded, report)
}

#[test]
fn latencies_are_those_of_the_pairs_wherever_frames_were_dropped() {
    for drops in [vec![], vec![0, 1], vec![20, 21, 22], vec![58, 59]] {
        let mut recording = Recording::begin();
        recording.frames(60, &drops);
        let session = recording.end();
        let (csv, report) = loaded(&recording, &session, &stages(Metric::Latency));
        let kept: Vec<i64> = (0..60).filter(|frame| !drops.contains(frame)).collect();
        let expected: Vec<f64> = kept.iter().map(|frame| 5.0 + *frame as f64 / 1e3).collect();
        assert_eq!(csv.frame_ms, expected);
        assert_eq!(csv.display_ms, csv.frame_ms);
        let times: Vec<f64> = kept.iter().map(|f| ((f - kept[0]) * 16) as f64 / 1e3).collect();
        assert_eq!(csv.time_s, times);
        assert_eq!(csv.application.as_deref(), Some("Test App"));
        assert_eq!(report.dropped, 0);
        let told = report.notes.iter().any(|note| note.contains("never reached encoded"));
        assert_eq!(told, !drops.is_empty(), "{:?}", report.notes);
    }
}

#[test]
fn intervals_are_frame_times_and_mark_drops() {
    for drops in [vec![], vec![0, 1], vec![20, 21, 22], vec![58, 59]] {
        let mut recording = Recording::begin();
        recording.frames(60, &drops);
        let session = recording.end();
        let (csv, _) = loaded(&recording, &session, &stages(Metric::Interval));
        assert_eq!(csv.frame_ms, vec![16.0; 59]);
        let expected: Vec<bool> = (1..60).map(|frame| drops.contains(&frame)).collect();
        assert_eq!(csv.dropped, expected);
    }
}

#[test]
fn power_is_on_the_line_between_samples_and_unknown_elsewhere() {
    let mut recording = Recording::begin();
    recording.frames(60, &[]);
    // 10 W more each 20 ms; nothing before 1.2 s, and a gap from 1.4 to 1.7 s.
    let samples = (60..100).filter(|k| !(70..85).contains(k));
    recording.board("AB", samples.map(|k| (k * 20 * MS, Some(k as f64 * 10.0), Some(0.0))));
    let session = recording.end();
    let (csv, _) = loaded(&recording, &session, &stages(Metric::Latency));
    for (frame, power_w) in csv.power_w.iter().enumerate() {
        let at_ms = 1000 + frame as i64 * 16;
        let is_known = (1200..=1380).contains(&at_ms) || (1700..=1980).contains(&at_ms);
        assert_eq!(*power_w, is_known.then_some(at_ms as f64 / 2.0 + 20.0), "at {at_ms} ms");
    }
}

#[test]
fn of_several_boards_one_has_to_be_chosen() {
    let mut recording = Recording::begin();
    recording.frames(30, &[]);
    for (uid, watts) in [("AB", 10.0), ("CD", 50.0)] {
        recording.board(uid, (0..200).map(|k| (k * 20 * MS, Some(watts), Some(0.0))));
    }
    let session = recording.end();
    let mut request = stages(Metric::Latency);
    let (csv, report) = loaded(&recording, &session, &request);
    assert!(csv.power_w.iter().all(Option::is_none));
    assert!(report.notes.iter().any(|note| note.contains("AB, CD")), "{:?}", report.notes);
    request.board = Some("CD".into());
    let (csv, _) = loaded(&recording, &session, &request);
    assert!(csv.power_w.iter().all(|power_w| *power_w == Some(70.0)));
    request.board = Some("EF".into());
    let error = export(&recording, &session, &request).unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("AB, CD"), "{error}");
}

#[test]
fn events_without_a_key_are_paired_by_their_order() {
    let mut recording = Recording::begin();
    let event = |at_ns, stage| Event { at_ns, stage, frame: None, pipeline: None };
    let mut events: Vec<Event<'_>> = Vec::new();
    // An even tick would look the same with any frame's latency.
    for frame in 0..200 {
        let at_ns = frame * 16 * MS + frame * 7_919 % 4_001 * 1_000;
        events.push(event(at_ns, "ingress"));
        events.push(event(at_ns + 4 * MS, "encoded"));
    }
    recording.events(&events);
    let session = recording.end();
    let (csv, report) = loaded(&recording, &session, &stages(Metric::Latency));
    assert_eq!(csv.frame_ms, vec![4.0; 200]);
    assert!(report.notes.iter().any(|note| note.contains("by their order")));
}

#[test]
fn pipelines_are_not_mixed() {
    let mut recording = Recording::begin();
    let mut events = Vec::new();
    for frame in 0..40 {
        for (pipeline, latency_ns) in [("one", 3 * MS), ("two", 6 * MS)] {
            let event =
                |at_ns, stage| Event { at_ns, stage, frame: Some(frame), pipeline: Some(pipeline) };
            events.push(event(frame * 16 * MS, "ingress"));
            events.push(event(frame * 16 * MS + latency_ns, "encoded"));
        }
    }
    recording.events(&events);
    let session = recording.end();
    let mut request = stages(Metric::Latency);
    let error = export(&recording, &session, &request).unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("one, two"), "{error}");
    let Source::Stages(pair) = &mut request.source else { unreachable!() };
    pair.pipeline = Some("two".into());
    assert_eq!(loaded(&recording, &session, &request).0.frame_ms, vec![6.0; 40]);
}

#[test]
fn frame_logs_are_exported_as_they_are() {
    let mut recording = Recording::begin();
    let mut frames = vec![(Some(16.6667), Some(16.5), Some(false)); 30];
    frames[3] = (Some(20.0), None, Some(true));
    frames[4] = (None, None, None);
    recording.log("a.csv", &frames);
    let session = recording.end();
    let request = Request { source: Source::Log(None), application: None, board: None };
    let (csv, report) = loaded(&recording, &session, &request);
    assert_eq!(csv.application.as_deref(), Some("Some Game"));
    assert_eq!(csv.frame_ms.len(), 29);
    assert_eq!((csv.frame_ms[0], csv.display_ms[0]), (16.6667, 16.5));
    assert_eq!((csv.frame_ms[3], csv.display_ms[3], csv.dropped[3]), (20.0, 20.0, true));
    assert!(report.notes.iter().any(|note| note.contains("1 frames without a frame time")));
}

fn record(recording: &Recording, session: &Session, request: &Request) -> (json::Loaded, Report) {
    let mut out = Vec::new();
    let writing = write_json(&recording.store, session, request, &mut out);
    let report = runtime().block_on(writing).unwrap();
    let loaded = json::load(&out).unwrap();
    assert_eq!(loaded.time_s.len() as u64, report.frames);
    assert_eq!(loaded.dropped.iter().filter(|dropped| **dropped).count() as u64, report.dropped);
    (loaded, report)
}

/// Watts that grow by 1 W each 2 ms from the session's start.
fn ramp(at_ns: i64) -> f64 {
    at_ns as f64 / (2 * MS) as f64
}

#[test]
fn a_record_has_frames_power_sensors_and_the_machine() {
    let mut recording = Recording::begin();
    recording.frames(60, &[0, 30, 59]);
    recording.board("AB", (0..120).map(|k| (k * 20 * MS, Some(ramp(k * 20 * MS)), Some(50.0))));
    let session = recording.end();
    let (latency, _) = record(&recording, &session, &stages(Metric::Latency));
    assert_eq!((latency.frame_ms.len(), latency.frame_ms[0]), (57, 5.001));
    let (json, report) = record(&recording, &session, &stages(Metric::Interval));
    assert_eq!(json.frame_ms, vec![16.0; 59]);
    assert_eq!((json.dropped[29], json.dropped[58], report.dropped), (true, true, 2));
    let [gpu, cpu, system] = &json.power_w;
    for (sample, (cpu, system)) in cpu.iter().zip(system).enumerate() {
        // The first frame with a frame time began at 1016 ms.
        let expected = ramp(1016 * MS + sample as i64 * json.sample_ms as i64 * MS);
        assert!((cpu - expected).abs() < 1e-3 && (system - expected - 70.0).abs() < 1e-3);
    }
    assert!(gpu.iter().all(|watts| *watts == 50.0));
    let info = &json.record["Info"];
    assert_eq!(info["ProcessName"], "Test App");
    assert_eq!(info["Processor"], "Test CPU 9000");
    assert_eq!(info["Motherboard"], "Acme X1");
    assert_eq!(info["SystemRam"], "32 GB");
    // When it would have been saved: the last frame began at 1944 ms.
    assert_eq!(info["CreationDate"], "2025-11-11T14:30:01.944Z");
    let sensors = json.record["Runs"][0]["SensorData2"].as_object().unwrap();
    assert_eq!(sensors["/benchlab/AB/ambient_c"]["Name"], "BENCHLAB AMBIENT");
    assert_eq!(
        sensors["/benchlab/AB/ambient_c"]["Values"],
        serde_json::json!([21.5, 21.5, 21.5, 21.5])
    );
    assert_eq!(sensors["/benchlab/AB/eps1_w"]["Values"][1], ramp(1266 * MS));
    let again = record(&recording, &session, &stages(Metric::Interval)).0;
    assert_eq!(again.record, json.record);
    assert_ne!(latency.record["Hash"], json.record["Hash"]);
}

/// A record of 100 frames, from 1 s to 2.584 s, whose system and card have power where `known` says so of milliseconds.
fn record_of_power(known: fn(i64) -> bool) -> (json::Loaded, Report) {
    let mut recording = Recording::begin();
    recording.frames(100, &[]);
    let watts = |k: i64| (k * 20 * MS, Some(ramp(k * 20 * MS)), known(k * 20).then_some(50.0));
    recording.board("AB", (0..200).map(watts));
    let session = recording.end();
    record(&recording, &session, &stages(Metric::Latency))
}

fn is_noted(report: &Report, what: &str) -> bool {
    report.notes.iter().any(|note| note.contains(what))
}

/// Number of a frame, which its latency tells.
fn number_of(frame_ms: f64) -> i64 {
    ((frame_ms - 5.0) * 1e3).round() as i64
}

#[test]
fn unknown_power_costs_the_frames_at_it_or_the_power_but_is_never_made_up() {
    // Known from the third frame on, at 1.032 s, up to 2.54 s. The sample after that, which is not known, would be at
    // 2.557 s: the last two frames are later.
    let (json, report) = record_of_power(|at_ms| (1020..=2540).contains(&at_ms));
    assert_eq!(json.frame_ms.len(), 96);
    assert_eq!(json.frame_ms[0], 5.002);
    assert!(json.power_w.iter().all(|watts| !watts.is_empty()));
    assert!(is_noted(&report, "not known at 4 of 100 frames, before or after"), "{report:?}");
    // Over less than half of the frames.
    let (json, report) = record_of_power(|at_ms| at_ms > 2000);
    assert_eq!(json.frame_ms.len(), 100);
    assert!(json.power_w.iter().all(Vec::is_empty));
    assert!(is_noted(&report, "known at 36 of 100 frames only: there are no PMD"), "{report:?}");
    // What the board does not have at all.
    let (json, _) = record_of_power(|_| false);
    assert!(
        json.power_w[0].is_empty() && json.power_w[2].is_empty() && !json.power_w[1].is_empty()
    );
}

#[test]
fn gaps_in_power_leave_out_the_frames_in_them_and_no_more() {
    // Samples at 1480 and 1800 ms, and at 2100 and 2400 ms, are the last and the first around a gap.
    let (json, report) =
        record_of_power(|at_ms| !(1500..1800).contains(&at_ms) && !(2120..2400).contains(&at_ms));
    let numbers: Vec<i64> = json.frame_ms.iter().copied().map(number_of).collect();
    let at_ms = |frame: i64| 1000 + frame * 16;
    let is_known = |frame: &i64| {
        let at_ms = at_ms(*frame);
        at_ms <= 1480 || (1800..=2100).contains(&at_ms) || at_ms >= 2400
    };
    let expected: Vec<i64> = (0..100).filter(is_known).collect();
    assert_eq!(numbers, expected);
    let lost = 100 - expected.len();
    let note = format!("power has 2 gaps: the time of gaps was left out, and {lost} of 100 frames");
    assert!(is_noted(&report, &note), "{report:?}");
    // The power under each frame is that of its time: samples lie at equal distances from the first frame on, and the
    // first frame after a gap lies at one of them.
    let mut begin = 0;
    for (at, (frame, time_s)) in numbers.iter().zip(&json.time_s).enumerate() {
        if at > 0 && numbers[at - 1] + 1 < *frame {
            begin = at;
            assert!(time_s - json.time_s[at - 1] < 0.026, "the gap's time is left out");
        }
        let into_ms = at_ms(*frame) - at_ms(numbers[begin]);
        assert!((time_s - json.time_s[begin] - into_ms as f64 / 1e3).abs() < 1e-9);
        let sample = json.time_s[begin] * 1e3 / json.sample_ms as f64;
        assert!((sample - sample.round()).abs() < 1e-9, "sample {sample}");
        let sample = sample.round() as usize + into_ms as usize / json.sample_ms as usize;
        let of_ms = at_ms(*frame) - into_ms % json.sample_ms as i64;
        assert!((json.power_w[1][sample] - ramp(of_ms * MS)).abs() < 1e-3, "frame {frame}");
    }
    // So are the sensors.
    let sensors = &json.record["Runs"][0]["SensorData2"];
    let numbers_of = |id: &str| -> Vec<f64> {
        let values = sensors[id]["Values"].as_array().unwrap();
        values.iter().map(|value| value.as_f64().unwrap()).collect()
    };
    let (at_s, watts) = (numbers_of("MeasureTime"), numbers_of("/benchlab/AB/eps1_w"));
    assert!(at_s.len() >= 3, "{at_s:?}");
    for (at_s, watts) in at_s.iter().zip(&watts) {
        let after = json.time_s.partition_point(|time_s| time_s <= at_s) - 1;
        let since_ms = (at_s - json.time_s[after]) * 1e3;
        let expected = ramp(((at_ms(numbers[after]) as f64 + since_ms) * MS as f64) as i64);
        assert!((watts - expected).abs() < 1e-2, "{watts} at {at_s}, not {expected}");
    }
}

#[test]
fn a_gap_between_two_frames_costs_its_time_and_no_frame() {
    let mut recording = Recording::begin();
    let mut events = Vec::new();
    for frame in 0..30 {
        let event = |at_ns, stage| Event { at_ns, stage, frame: Some(frame), pipeline: None };
        events.push(event(frame * 1000 * MS, "ingress"));
        events.push(event(frame * 1000 * MS + 5 * MS, "encoded"));
    }
    recording.events(&events);
    // None from 10.3 to 10.7 s.
    let samples = (0..1500).filter(|k| !(516..535).contains(k));
    recording.board("AB", samples.map(|k| (k * 20 * MS, Some(ramp(k * 20 * MS)), Some(50.0))));
    let session = recording.end();
    let (json, report) = record(&recording, &session, &stages(Metric::Latency));
    assert_eq!(json.frame_ms, vec![5.0; 30]);
    assert!(is_noted(&report, "power has 1 gap: "), "{report:?}");
    // Frame 11 moves up to the next sample after frame 10.
    assert_eq!((json.time_s[10], json.time_s[11], json.time_s[12]), (10.0, 10.025, 11.025));
    assert!((json.power_w[1][401] - ramp(11_000 * MS)).abs() < 1e-3);
}

#[test]
fn a_comment_says_once_that_there_is_no_power() {
    let mut recording = Recording::begin();
    recording.frames(100, &[]);
    // A board that went away after a few frames.
    recording.board("AB", (0..60).map(|k| (k * 20 * MS, Some(100.0), Some(50.0))));
    let session = recording.end();
    let (json, _) = record(&recording, &session, &stages(Metric::Latency));
    assert!(json.power_w.iter().all(Vec::is_empty));
    let comment = json.record["Info"]["Comment"].as_str().unwrap();
    assert_eq!(comment.matches("power is known at 13 of 100 frames only").count(), 1, "{comment}");
    assert_eq!(comment.matches("BENCHLAB").count(), 0, "{comment}");
    assert!(
        comment.ends_with("known too seldom, and left out: 5 readings of the board"),
        "{comment}"
    );
}

#[test]
fn a_frame_on_its_way_at_the_end_is_not_dropped() {
    let mut recording = Recording::begin();
    recording.frames(60, &[20, 58, 59]);
    let session = recording.end_at(2100 * MS);
    let (csv, report) = loaded(&recording, &session, &stages(Metric::Interval));
    assert_eq!(csv.frame_ms, vec![16.0; 57]);
    assert_eq!((report.dropped, csv.dropped[19]), (1, true));
    assert!(is_noted(&report, "2 frames were on their way to encoded"), "{report:?}");
    let (csv, report) = loaded(&recording, &session, &stages(Metric::Latency));
    assert_eq!(csv.frame_ms.len(), 57);
    assert!(is_noted(&report, "1 of 58 frames never reached encoded"), "{report:?}");
    assert!(is_noted(&report, "2 frames were on their way to encoded"), "{report:?}");
}

#[test]
fn intervals_where_no_pair_matches_say_so_and_mark_none() {
    let mut recording = Recording::begin();
    let mut events = Vec::new();
    // Too few to tell that the numbers are none of the frames: those are then paired by their order.
    for frame in 0..12 {
        let event = |at_ns, stage, frame| Event { at_ns, stage, frame, pipeline: None };
        events.push(event(frame * 16 * MS, "ingress", Some(frame)));
        events.push(event(frame * 16 * MS + 5 * MS, "encoded", Some(frame + 1000)));
    }
    recording.events(&events);
    let session = recording.end();
    let (csv, report) = loaded(&recording, &session, &stages(Metric::Interval));
    assert_eq!((csv.frame_ms.len(), report.dropped), (11, 0));
    let why = "no event of encoded belongs to one of ingress within 2000 ms";
    assert!(is_noted(&report, why), "{report:?}");
    let error = export(&recording, &session, &stages(Metric::Latency)).unwrap_err().to_string();
    assert!(error.contains("none of 12 events of ingress has one of encoded"), "{error}");
}

#[test]
fn nothing_to_export_is_said_plainly() {
    let mut recording = Recording::begin();
    let empty = recording.end();
    let text = |recording: &Recording, session: &Session, request: &Request| {
        let error = export(recording, session, request).unwrap_err();
        assert!(!error.is_usage());
        error.to_string()
    };
    for metric in [Metric::Latency, Metric::Interval] {
        let error = text(&recording, &empty, &stages(metric));
        assert!(
            error.contains("no events of stage \"ingress\": it has no stage events"),
            "{error}"
        );
    }
    let log = Request { source: Source::Log(None), application: None, board: None };
    assert!(text(&recording, &empty, &log).contains("no imported frame log"));

    let mut recording = Recording::begin();
    recording.frames(30, &(0..30).collect::<Vec<_>>());
    let session = recording.end();
    let error = text(&recording, &session, &stages(Metric::Latency));
    assert!(error.contains("stage \"encoded\": it has ingress"), "{error}");
    let (csv, report) = loaded(&recording, &session, &stages(Metric::Interval));
    assert!(csv.dropped.iter().all(|dropped| !dropped));
    assert!(report.notes.iter().any(|note| note.contains("nothing tells which frames")));
}

#[test]
fn the_reader_refuses_what_capframex_would_load_wrongly() {
    let refused = |text: &str| csv::load(text.as_bytes()).unwrap_err();
    let five = "TimeInSeconds,MsBetweenPresents,Dropped,Application,Note_Power_W\n0,16,0,app,100";
    assert!(refused(five).contains("taken for data"));
    let header = "Application,TimeInSeconds,MsBetweenPresents,MsBetweenDisplayChange,Dropped";
    assert!(refused(header).contains("no data row"));
    for row in [
        "a,0,16,16,True",
        "a,0,16,16,",
        "a,0,0,16,0",
        "a,0,NaN,16,0",
        "a,0,16,16,0\n",
        "a,b,0,16,16,0",
    ] {
        refused(&format!("{header}\n{row}"));
    }
    assert!(csv::load(format!("{header}\na,0,16,16,0").as_bytes()).is_ok());
}

#[test]
fn a_small_file_looks_like_this() {
    let mut recording = Recording::begin();
    recording.frames(4, &[2]);
    recording.board("AB", (0..80).map(|k| (k * 20 * MS, Some(100.0), Some(k as f64 / 8.0))));
    let session = recording.end();
    let (latency, report) = export(&recording, &session, &stages(Metric::Latency)).unwrap();
    insta::assert_snapshot!("latency", String::from_utf8(latency).unwrap());
    insta::assert_snapshot!("notes", report.notes.join("\n"));
    let (interval, _) = export(&recording, &session, &stages(Metric::Interval)).unwrap();
    insta::assert_snapshot!("interval", String::from_utf8(interval).unwrap());
    let mut record = Vec::new();
    let request = stages(Metric::Latency);
    runtime().block_on(write_json(&recording.store, &session, &request, &mut record)).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    insta::assert_snapshot!("record", serde_json::to_string_pretty(&record).unwrap());
}
