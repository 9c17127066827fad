//! One session, told every way that there is: SQL on the spot, `pair()`, after `bl align`, live, the past page's route
//! and CapFrameX files. All give the same frames, to the bit.
//!
//! Two boards, a restart, events that come out of order, a pipeline without keys, a gap in power and a missing reading.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows it in tests, but not in what they call"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use bl_export::cx;
use bl_query::latency::{LatencyOptions, align};
use bl_query::tables::SessionFilter;
use bl_query::{Query, Settings};
use bl_serve::live::{Feed, FeedOptions, PairRow};
use bl_serve::prometheus::MetricOptions;
use bl_serve::web::{Limits, ServeOptions, Server};
use bl_store::clock::monotonic_ns;
use bl_store::{Rows, Session, SessionSpec, SessionWriter, Store, WriteOptions};
use serde_json::{Value, json};

const MS: i64 = 1_000_000;
const NS_PER_CHUNK: i64 = 100 * MS;
const CHUNKS: i64 = 36;
/// Stamps are ahead of the clock, so that a slow machine makes no event late.
const AHEAD_NS: i64 = 1_500 * MS;

/// A stage event: when, pipeline, stage, frame number.
type Event = (i64, &'static str, &'static str, Option<i64>);

/// SplitMix64 (Steele, Lea, Flood 2014): -1 to 1.
fn wobble(seed: i64) -> f64 {
    let mut z = (seed as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(7);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// Nanoseconds from the start. Frames of `camera` are numbered, and anew after a restart at 1.5 s, when two were on
/// their way; those of `bare` have no keys, and a tick that jitters.
fn events() -> Vec<Event> {
    let mut all = Vec::new();
    let mut number = 0;
    for tick in 0..180 {
        let at_ns = 100 * MS + tick * 16_666_667;
        number = if tick == 84 { 1 } else { number + 1 };
        all.push((at_ns, "camera", "in", Some(number)));
        if tick % 17 != 5 && !(82..84).contains(&tick) {
            all.push((at_ns + 8 * MS + tick % 7 * 917_003, "camera", "out", Some(number)));
        }
        let at_ns = at_ns + 5 * MS + (wobble(tick) * 2e6) as i64;
        all.push((at_ns, "bare", "in", None));
        if tick % 23 != 11 {
            let took_ns = 3_000_000.0 + wobble(tick + 1_000) * 5e4;
            all.push((at_ns + took_ns as i64, "bare", "out", None));
        }
    }
    all.sort_by_key(|event| event.0);
    all
}

/// In which chunk an event is written: ends of some frames, and beginnings of others, come two chunks late.
fn chunk(event: &Event) -> i64 {
    let chunk = event.0 / NS_PER_CHUNK;
    let is_late = event.1 == "camera" && matches!((chunk, event.2), (8 | 9, "out") | (22, "in"));
    chunk + if is_late { 2 } else { 0 }
}

/// Samples of a board within a chunk: nanoseconds from the start, and milliwatts. `B1` has the first one, a missing
/// reading at 0.6 s, and none from 1.2 to 1.7 s.
fn samples(board: &str, chunk: i64) -> Vec<(i64, Option<i32>)> {
    let (phase_ns, base_mw) = if board == "B1" { (3 * MS, 100_000) } else { (11 * MS, 9_000) };
    let of_chunk = (0..5).map(|k| chunk * NS_PER_CHUNK + k * 20 * MS + phase_ns);
    let is_there = |at_ns: &i64| board != "B1" || !(1_200 * MS..1_700 * MS).contains(at_ns);
    let milliwatts = |at_ns: i64| {
        let is_missing = board == "B1" && (600 * MS..620 * MS).contains(&at_ns);
        (!is_missing).then(|| base_mw + (wobble(at_ns) * 5_000.0) as i32)
    };
    of_chunk.filter(is_there).map(|at_ns| (at_ns, milliwatts(at_ns))).collect()
}

/// Records it in the time that it takes. Samples of `B1` come a chunk after those of `B2`, and after their events.
fn record(writer: &SessionWriter, start_ns: i64) {
    let (pipeline, benchlab) =
        (bl_schemas::table("pipeline").unwrap(), bl_schemas::table("benchlab").unwrap());
    let events = events();
    for now in 0..=CHUNKS {
        while writer.anchor().ts(monotonic_ns()) < start_ns - AHEAD_NS + now * NS_PER_CHUNK {
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut rows = Rows::new(pipeline);
        let [name, stage, frame] = ["pipeline", "stage", "frame"].map(|name| rows.column(name));
        for event in events.iter().filter(|event| chunk(event) == now) {
            rows.begin(start_ns + event.0, "t.events");
            rows.str(name, event.1);
            rows.str(stage, event.2);
            if let Some(number) = event.3 {
                rows.i64(frame, number);
            }
        }
        writer.append(pipeline, rows.finish()).unwrap();
        for (board, chunk) in [("B2", now), ("B1", now - 1)] {
            let mut rows = Rows::new(benchlab);
            let [uid, sys] = ["device_uid", "sys_w"].map(|name| rows.column(name));
            for (at_ns, milliwatts) in samples(board, chunk).into_iter().filter(|_| chunk >= 0) {
                rows.begin(start_ns + at_ns, "t.board");
                rows.str(uid, board);
                if let Some(milliwatts) = milliwatts {
                    rows.decimal(sys, milliwatts);
                }
            }
            writer.append(benchlab, rows.finish()).unwrap();
        }
        writer.flush().unwrap();
    }
}

/// A frame: when it began, its number, nanoseconds that it took, whether it was dropped (none: nobody can tell), watts
/// and joules by their bits.
type Frame = (i64, Option<i64>, Option<i64>, Option<bool>, Option<u64>, Option<u64>);

fn ask(store: &Store, sql: &str) -> Vec<RecordBatch> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let query = Query::new(&Settings::default()).unwrap();
        query.register_store_with(store.clone(), SessionFilter::All, options()).unwrap();
        query.sql(sql).await.unwrap().collect().await.unwrap()
    })
}

fn options() -> LatencyOptions {
    LatencyOptions { pairs: vec![("in".into(), "out".into())], ..LatencyOptions::default() }
}

fn int(batch: &RecordBatch, column: usize, row: usize) -> Option<i64> {
    let column = batch.column(column).as_primitive::<Int64Type>();
    column.is_valid(row).then(|| column.value(row))
}

fn float(batch: &RecordBatch, column: usize, row: usize) -> Option<f64> {
    let column = batch.column(column).as_primitive::<Float64Type>();
    column.is_valid(row).then(|| column.value(row))
}

/// Table `latency`. All frames begin at different instants, so that these are an order.
fn latency(store: &Store) -> Vec<Frame> {
    let sql = "SELECT CAST(ts AS BIGINT) AS at, frame, latency_ms, dropped, power_w, energy_j FROM latency ORDER BY at";
    let mut frames = Vec::new();
    for batch in ask(store, sql) {
        let dropped = batch.column(3).as_boolean();
        for row in 0..batch.num_rows() {
            let latency_ns = float(&batch, 2, row).map(|ms| (ms * 1e6).round() as i64);
            let dropped = dropped.is_valid(row).then(|| dropped.value(row));
            let bits = |column| float(&batch, column, row).map(f64::to_bits);
            let ts_ns = int(&batch, 0, row).unwrap();
            frames.push((ts_ns, int(&batch, 1, row), latency_ns, dropped, bits(4), bits(5)));
        }
    }
    frames
}

/// What `pair()` tells of them: all but power and energy.
fn paired(store: &Store) -> Vec<Frame> {
    let sql = "SELECT CAST(ts AS BIGINT) AS at, frame, latency_ns, dropped FROM pair('in', 'out') ORDER BY at";
    let mut frames = Vec::new();
    for batch in ask(store, sql) {
        let dropped = batch.column(3).as_boolean();
        for row in 0..batch.num_rows() {
            let dropped = dropped.is_valid(row).then(|| dropped.value(row));
            let ts_ns = int(&batch, 0, row).unwrap();
            frames.push((ts_ns, int(&batch, 1, row), int(&batch, 2, row), dropped, None, None));
        }
    }
    frames
}

/// What the live page holds.
fn live(feed: &Feed) -> Vec<Frame> {
    let frame = |row: &PairRow| {
        let bits = |value: f64| Some(value).filter(|value| !value.is_nan()).map(f64::to_bits);
        let dropped = (!row.ambiguous).then(|| row.is_dropped());
        let (power_w, energy_j) = (bits(row.power_w), bits(row.energy_j));
        (row.ts_ns, row.frame, row.latency_ns, dropped, power_w, energy_j)
    };
    let now = feed.now();
    let rows = now.window.iter().flat_map(|window| &window.pairs[0].rows);
    let mut frames: Vec<Frame> = rows.map(frame).collect();
    frames.sort_by_key(|frame| frame.0);
    frames
}

/// Waits until the live page holds these frames, for at most 90 s: the last one without a key waits half a minute for
/// evidence.
fn await_live(feed: &Feed, expected: &[Frame], what: &str) {
    let end = Instant::now() + Duration::from_secs(90);
    while live(feed) != expected && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
    let found = live(feed);
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected, "{what}");
    }
}

/// The body of the past page's route.
fn page(feed: &Feed, session: &Session) -> Value {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let options = ServeOptions {
        web: Some("127.0.0.1:0".parse().unwrap()),
        prometheus: None,
        token: None,
        allows_query: false,
        limits: Limits::default(),
        metrics: MetricOptions { compat_names: false },
    };
    let server = runtime.block_on(Server::bind(feed.clone(), options)).unwrap();
    let address = server.web_address().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let served = runtime.spawn(server.run(async { stopped.await.unwrap_or(()) }));
    let body = get(address, &format!("/api/sessions/{}/latency?points=20000", session.id()));
    stop.send(()).unwrap();
    runtime.block_on(served).unwrap();
    serde_json::from_str(&body).unwrap()
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(socket, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{text}");
    body.to_string()
}

/// Milliseconds of a stamp, down to a microsecond, as the page has them.
fn ms(ns: i64) -> f64 {
    ns.div_euclid(1_000) as f64 / 1e3
}

/// The same frames as that route writes them.
fn as_json(frames: &[Frame]) -> [(&'static str, Value); 8] {
    let those = |fate: Option<bool>| frames.iter().filter(move |frame| frame.3 == fate);
    let column = |fate, of: fn(&Frame) -> Value| -> Value { those(fate).map(of).collect() };
    let t = |frame: &Frame| json!(ms(frame.0));
    let number = |frame: &Frame| json!(frame.1);
    let (reached, dropped) = (Some(false), Some(true));
    [
        ("t", column(reached, t)),
        ("frame", column(reached, number)),
        ("lat_ms", column(reached, |frame| json!(frame.2.map(|ns| ns as f64 / 1e6)))),
        ("power_w", column(reached, |frame| json!(frame.4.map(f64::from_bits)))),
        ("energy_j", column(reached, |frame| json!(frame.5.map(f64::from_bits)))),
        ("dropped_t", column(dropped, t)),
        ("dropped_frame", column(dropped, number)),
        ("ambiguous_t", column(None, t)),
    ]
}

/// Time since the first frame and frame time of each line of a CapFrameX file, nanoseconds.
fn capframex(store: &Store, session: &Session, pipeline: &str) -> Vec<(i64, i64)> {
    let pair = cx::StagePair {
        stage_a: "in".into(),
        stage_b: "out".into(),
        pipeline: Some(pipeline.into()),
        window_ns: 2_000 * MS,
        metric: cx::Metric::Latency,
    };
    let request = cx::Request {
        source: cx::Source::Stages(pair),
        application: Some("x".parse().unwrap()),
        board: Some("B1".into()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut file = Vec::new();
    runtime.block_on(cx::write_csv(store, session, &request, &mut file)).unwrap();
    let text = String::from_utf8(file).unwrap();
    let line = |line: &str| {
        let field = |at: usize, scale: f64| {
            (line.split(',').nth(at).unwrap().parse::<f64>().unwrap() * scale).round() as i64
        };
        (field(1, 1e9), field(2, 1e6))
    };
    text.lines().skip(1).map(line).collect()
}

#[test]
fn frames_are_the_same_whichever_way_they_are_told() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let quick = WriteOptions { flush_every: Duration::from_millis(10), ..WriteOptions::default() };
    let writer = SessionWriter::begin(&store, SessionSpec::default(), quick).unwrap();
    let feed = Feed::start(FeedOptions {
        store: store.clone(),
        pairs: vec![("in".into(), "out".into())],
        window_ns: 2_000 * MS,
        steps: Vec::new(),
        node: "test".into(),
        version: "0".into(),
    })
    .unwrap();
    let start_ns = writer.anchor().ts(monotonic_ns()) + AHEAD_NS;
    record(&writer, start_ns);
    // The page tells what began before the session's end.
    while writer.anchor().ts(monotonic_ns()) < start_ns + CHUNKS * NS_PER_CHUNK {
        std::thread::sleep(Duration::from_millis(20));
    }
    let id = writer.finish().unwrap().id;
    let session = store.session(&id).unwrap();

    let frames = latency(&store);
    is_no_easy_session(start_ns, &frames);
    let without_cost = |frame: &Frame| (frame.0, frame.1, frame.2, frame.3, None, None);
    assert_eq!(paired(&store), frames.iter().map(without_cost).collect::<Vec<_>>(), "pair()");
    align(&session, &options()).unwrap();
    assert_eq!(latency(&store), frames, "aligned");

    await_live(&feed, &frames, "live");
    let late = Feed::start(feed.options().clone()).unwrap();
    assert!(late.now().window.is_none(), "the session is over");

    let page = page(&feed, &session);
    for (name, column) in as_json(&frames) {
        // Read back as the page's is: numbers of equal text are equal, whatever the parser rounds.
        let column: Value = serde_json::from_str(&column.to_string()).unwrap();
        assert_eq!(page[name], column, "{name} of the past page");
    }
    for (pipeline, is_of) in [("camera", true), ("bare", false)] {
        let of = frames.iter().filter(|frame| frame.1.is_some() == is_of);
        let reached: Vec<_> = of.filter_map(|frame| Some((frame.0, frame.2?))).collect();
        let since_first: Vec<_> =
            reached.iter().map(|(ts_ns, took_ns)| (ts_ns - reached[0].0, *took_ns)).collect();
        assert_eq!(capframex(&store, &session, pipeline), since_first, "{pipeline}.csv");
    }
}

/// What makes the session hard did happen.
fn is_no_easy_session(start_ns: i64, frames: &[Frame]) {
    let expected: Vec<(i64, Option<i64>)> = events()
        .iter()
        .filter(|event| event.2 == "in")
        .map(|event| (start_ns + event.0, event.3))
        .collect();
    let found: Vec<_> = frames.iter().map(|frame| (frame.0, frame.1)).collect();
    assert_eq!(found, expected, "each frame once");
    let count = |is_it: &dyn Fn(&Frame) -> bool| frames.iter().filter(|frame| is_it(frame)).count();
    let camera = |fate| count(&|frame| frame.1.is_some() && frame.3 == fate);
    // Of 180, each seventeenth from the sixth on, and the two that the restart cut off.
    assert_eq!((camera(Some(true)), camera(None)), (11 + 2, 0));
    assert!(count(&|frame| frame.1.is_none() && frame.2.is_some()) > 100, "told without a key");
    let at = |frame: &Frame, from_ms: i64, to_ms: i64| {
        (from_ms * MS..to_ms * MS).contains(&(frame.0 - start_ns))
    };
    assert_eq!(count(&|frame| at(frame, 1_450, 1_690) && frame.4.is_some()), 0, "in the gap");
    assert!(count(&|frame| at(frame, 603, 623) && frame.4.is_none()) > 0, "no reading");
    assert!(count(&|frame| frame.5.is_some()) > 200);
    let watts = frames.iter().filter_map(|frame| frame.4.map(f64::from_bits));
    assert!(watts.into_iter().all(|watts| watts > 90.0), "of the first board");
}
