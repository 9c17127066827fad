//! The feed over a real session, written while it is followed.

use std::time::{Duration, Instant};

use bl_store::clock::monotonic_ns;
use bl_store::{Rows, SessionSpec, SessionWriter, Store, WriteOptions};

use super::tally::Tallies;
use super::*;

fn options(store: &Store) -> FeedOptions {
    FeedOptions {
        store: store.clone(),
        pairs: vec![("a".into(), "b".into())],
        window_ns: 2_000_000_000,
        steps: Vec::new(),
        node: "test".into(),
        version: "0".into(),
    }
}

fn begin(store: &Store) -> SessionWriter {
    let options =
        WriteOptions { flush_every: Duration::from_millis(10), ..WriteOptions::default() };
    SessionWriter::begin(store, SessionSpec::default(), options).unwrap()
}

/// Writes `n` frames that take 5 ms each, beginning now, with power of 100 W around them.
fn write(writer: &SessionWriter, first: i64, n: i64) {
    let (pipeline, benchlab) =
        (bl_schemas::table("pipeline").unwrap(), bl_schemas::table("benchlab").unwrap());
    let start = writer.anchor().ts(monotonic_ns());
    let mut events = Rows::new(pipeline);
    let (stage, frame) = (events.column("stage"), events.column("frame"));
    for k in 0..n {
        for (name, offset) in [("a", 0), ("b", 5_000_000)] {
            events.begin(start + k * 10_000_000 + offset, "t.events");
            events.str(stage, name);
            events.i64(frame, first + k);
        }
    }
    let mut samples = Rows::new(benchlab);
    let (uid, sys) = (samples.column("device_uid"), samples.column("sys_w"));
    for k in 0..=n {
        samples.begin(start - 1_000_000 + k * 10_000_000, "t.board");
        samples.str(uid, "B1");
        samples.decimal(sys, 100_000);
    }
    writer.append(benchlab, samples.finish()).unwrap();
    writer.append(pipeline, events.finish()).unwrap();
    writer.flush().unwrap();
}

/// Waits for a state, for at most 20 s.
fn wait_for<T>(feed: &Feed, what: &str, look: impl Fn(&Now) -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look(&feed.now()) {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn paired(now: &Now) -> Vec<PairRow> {
    now.window.as_ref().map(|w| w.last_pairs(None, 10_000)).unwrap_or_default()
}

#[test]
fn it_follows_sessions_from_none_to_the_next() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path().join("not-there-yet"));
    let feed = Feed::start(options(&store)).unwrap();
    assert!(feed.now().window.is_none());
    assert!(feed.trouble().is_some(), "a missing store is told");

    let writer = begin(&store);
    write(&writer, 0, 20);
    let rows = wait_for(&feed, "pairs and what they cost", |now| {
        Some(paired(now))
            .filter(|rows| rows.len() == 20 && rows.iter().all(|row| row.energy_j.is_finite()))
    });
    for row in &rows {
        assert_eq!(row.latency_ns, Some(5_000_000));
        assert_eq!(row.power_w, 100.0);
        assert!((row.energy_j - 0.5).abs() < 1e-9, "{row:?}");
    }
    assert!(feed.trouble().is_none());
    let first = writer.finish().unwrap();
    wait_for(&feed, "the end", |now| {
        let window = now.window.as_ref()?;
        (window.entry.state() == "ended" && paired(now).len() == 20).then_some(())
    });

    let writer = begin(&store);
    wait_for(&feed, "the next session", |now| {
        (now.window.as_ref()?.entry.session.id() != &first.id).then_some(())
    });
    assert!(paired(&feed.now()).is_empty(), "nothing of the session before");
    write(&writer, 0, 3);
    wait_for(&feed, "its pairs", |now| Some(()).filter(|()| paired(now).len() == 3));
    drop(feed);
}

#[test]
fn a_late_start_finds_the_slow_series_of_before() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let writer = begin(&store);
    let table = bl_schemas::table("memory").unwrap();
    let start = writer.anchor().ts(monotonic_ns()) / (500 * MS) * (500 * MS) - 5_000 * MS;
    // Ten rows a second for four seconds, in batches that end within a half second.
    for batch in 0..8 {
        let mut rows = Rows::new(table);
        let used = rows.column("total_bytes");
        for k in 0..5 {
            let row = batch * 5 + k;
            rows.begin(start + (row * 100 + 50) * MS, "t.host");
            rows.i64(used, row);
        }
        writer.append(table, rows.finish()).unwrap();
        writer.flush().unwrap();
    }
    let feed = Feed::start(options(&store)).unwrap();
    let now = feed.now();
    let series: Vec<_> = now.window.as_ref().unwrap().series(i64::MIN).collect();
    let column = series[0].columns.iter().position(|name| *name == "total_bytes").unwrap();
    let kept: Vec<f64> = series[0].rows.iter().map(|(_, values)| values[column]).collect();
    assert_eq!(
        kept,
        [4.0, 9.0, 14.0, 19.0, 24.0, 29.0, 34.0, 39.0],
        "the last of each half second"
    );
}

#[test]
fn a_late_start_finds_what_was_before() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let writer = begin(&store);
    write(&writer, 0, 30);
    std::thread::sleep(Duration::from_millis(400));
    let feed = Feed::start(options(&store)).unwrap();
    let now = feed.now();
    assert_eq!(paired(&now).len(), 30);
    let board = now.window.as_ref().unwrap().boards.first().unwrap();
    assert_eq!(board.samples, 31);
    assert!((board.joules[0] - 30.0).abs() < 1e-6, "{:?}", board.joules);
}

#[test]
fn what_comes_is_sent_in_order_and_can_be_resumed() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let writer = begin(&store);
    let feed = Feed::start(options(&store)).unwrap();
    let start = feed.now().log.last();
    for k in 0..5 {
        write(&writer, k * 10, 10);
        std::thread::sleep(Duration::from_millis(120));
    }
    wait_for(&feed, "pairs", |now| Some(()).filter(|()| paired(now).len() == 50));
    let now = feed.now();
    let messages = now.log.since(start).unwrap();
    let numbers: Vec<u64> = messages.iter().map(|m| m.number).collect();
    assert_eq!(numbers, (start + 1..=now.log.last()).collect::<Vec<_>>());
    let count = |event: &str, column: &str| -> usize {
        let bodies = messages.iter().filter(|m| m.event == event);
        let bodies = bodies.map(|m| serde_json::from_str::<serde_json::Value>(&m.data).unwrap());
        bodies.map(|body| body[column].as_array().unwrap().len()).sum()
    };
    assert_eq!(count("pairs", "lat_ms"), 50);
    assert_eq!(count("power", "t"), 55);
    assert_eq!(count("events", "t"), 100);
    assert_eq!(feed.number(&feed.id(7)), Some(7));
    assert_eq!(feed.number("7"), None);
    assert_eq!(feed.number("zz-7"), None);
}

/// Power in milliwatts at nanoseconds after a start.
fn write_power(writer: &SessionWriter, uid: &str, start: i64, samples: &[(i64, Option<i32>)]) {
    let mut rows = Rows::new(bl_schemas::table("benchlab").unwrap());
    let (device, sys) = (rows.column("device_uid"), rows.column("sys_w"));
    for (offset, milliwatts) in samples {
        rows.begin(start + offset, "t.board");
        rows.str(device, uid);
        if let Some(milliwatts) = milliwatts {
            rows.decimal(sys, *milliwatts);
        }
    }
    writer.append(bl_schemas::table("benchlab").unwrap(), rows.finish()).unwrap();
    writer.flush().unwrap();
}

/// Frames of 5 ms from a start, one each 10 ms.
fn write_frames(writer: &SessionWriter, start: i64, n: i64) {
    let mut rows = Rows::new(bl_schemas::table("pipeline").unwrap());
    let (stage, frame) = (rows.column("stage"), rows.column("frame"));
    for k in 0..n {
        for (name, offset) in [("a", 0), ("b", 5 * MS)] {
            rows.begin(start + 10 * MS * k + offset, "t.events");
            rows.str(stage, name);
            rows.i64(frame, k);
        }
    }
    writer.append(bl_schemas::table("pipeline").unwrap(), rows.finish()).unwrap();
    writer.flush().unwrap();
}

const MS: i64 = 1_000_000;

/// Frame, power and energy of each row of the SQL table `latency`; NaN is null.
fn stored(store: &Store, id: &bl_store::SessionId) -> Vec<(i64, f64, f64)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let batches = runtime.block_on(async {
        let query = bl_query::Query::new(&bl_query::Settings::default()).unwrap();
        let filter = bl_query::tables::SessionFilter::Named(vec![id.clone()]);
        let pairs = vec![("a".into(), "b".into())];
        let latency = bl_query::latency::LatencyOptions { pairs, ..Default::default() };
        query.register_store_with(store.clone(), filter, latency).unwrap();
        let sql = "SELECT ts, frame, power_w, energy_j FROM latency ORDER BY frame";
        query.sql(sql).await.unwrap().collect().await.unwrap()
    });
    let rows = batches.iter().flat_map(|batch| {
        let cells = Cells(batch);
        let row = move |at| {
            let frame = cells.int("frame", at).unwrap();
            (frame, cells.number("power_w", at), cells.number("energy_j", at))
        };
        (0..batch.num_rows()).map(row).collect::<Vec<_>>()
    });
    rows.collect()
}

#[test]
fn late_power_is_told_late_and_is_that_of_the_store() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let writer = begin(&store);
    let feed = Feed::start(options(&store)).unwrap();
    let begun = feed.now().log.last();
    let start = writer.anchor().ts(monotonic_ns()) - 400 * MS;
    write_frames(&writer, start, 40);
    // Of the second board first, and then of the first board no more than the first sample: the rest is late.
    write_power(&writer, "B2", start, &[(-MS, Some(9_000)), (500 * MS, Some(9_000))]);
    write_power(&writer, "B1", start, &[(-2 * MS, Some(100_000))]);
    let rows = wait_for(&feed, "pairs", |now| Some(paired(now)).filter(|rows| rows.len() == 40));
    assert!(rows.iter().all(|row| row.energy_j.is_nan()), "nothing is known yet");
    std::thread::sleep(Duration::from_millis(1_500));
    let told = paired(&feed.now());
    assert!(told.iter().all(|row| row.power_w.is_nan()), "samples to come can change it: {told:?}");
    // Now the samples that were taken before the events, one of them without a reading.
    let late = |k: i64| (20 * MS * k - 2 * MS, (k != 7).then_some(100_000 + 100 * k as i32));
    write_power(&writer, "B1", start, &(1..22).map(late).collect::<Vec<_>>());
    let is_whole = |rows: &Vec<PairRow>| rows.iter().all(|row| row.energy_j.is_finite());
    let rows = wait_for(&feed, "power", |now| Some(paired(now)).filter(is_whole));
    let id = writer.finish().unwrap().id;
    let of_store = stored(&store, &id);
    assert_eq!(of_store.len(), 40);
    for (row, (frame, power_w, energy_j)) in rows.iter().zip(&of_store) {
        assert_eq!(row.frame, Some(*frame));
        assert_eq!(row.power_w.to_bits(), power_w.to_bits(), "frame {frame}: {row:?}, {power_w}");
        assert!((row.energy_j - energy_j).abs() < 1e-9, "frame {frame}: {row:?}, {energy_j}");
    }
    assert_eq!(rows.iter().filter(|row| row.power_w.is_nan()).count(), 2, "without a reading");
    // Streams are told, too: no row twice, and each with what it cost.
    let messages = feed.now().log.since(begun).unwrap();
    let count = |event: &str| -> usize {
        let bodies = messages.iter().filter(|m| m.event == event);
        let bodies = bodies.map(|m| serde_json::from_str::<serde_json::Value>(&m.data).unwrap());
        bodies.map(|body| body["t"].as_array().unwrap().len()).sum()
    };
    assert_eq!((count("pairs"), count("costs")), (40, 40));
}

#[test]
fn a_source_of_marks_is_not_stale_between_two_marks() {
    let mut tallies = Tallies::default();
    for name in ["marks", "memory"] {
        let table = bl_schemas::table(name).unwrap();
        let mut rows = Rows::new(table);
        rows.begin(0, name);
        tallies.count(&table.name, &rows.finish(), 0);
    }
    let states = |now_ns: i64| -> Vec<String> {
        let sources = tallies.sources_json(now_ns, false);
        let sources = sources.as_array().unwrap().iter();
        sources.map(|s| s["state"].as_str().unwrap().to_string()).collect()
    };
    assert_eq!(states(1_000 * MS), ["up", "up"]);
    assert_eq!(states(60_000 * MS), ["up", "stale"]);
}
