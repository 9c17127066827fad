//! The server over real sockets, before a recording of the virtual board and the simulated stages.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use bl_ingest::Recording;
use bl_ingest::serial::emulator::{BoardOptions, VirtualBoard};
use bl_ingest::serial::protocol::Model;
use bl_ingest::serial::{BenchlabSource, ConnectOptions, Roots, Roster, Selector};
use bl_ingest::socket::{EventsSocket, SimulatedStages};
use bl_ingest::source::Stop;
use bl_store::{SessionSpec, Store, WriteOptions};
use serde_json::{Value, json};

use super::*;
use crate::live::{Feed, FeedOptions};
use crate::prometheus::MetricOptions;

/// A recording that runs, and a server over it.
struct Rig {
    web: SocketAddr,
    metrics: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    recording: Option<Recording>,
    _board: VirtualBoard,
    _root: tempfile::TempDir,
}

fn feed_options(store: &Store) -> FeedOptions {
    FeedOptions {
        store: store.clone(),
        pairs: vec![("ingress".into(), "encoded".into())],
        window_ns: 2_000_000_000,
        steps: Vec::new(),
        node: "test".into(),
        version: "0".into(),
    }
}

fn record(store: &Store, folder: &Path) -> (Recording, VirtualBoard) {
    let stop = Stop::new().unwrap();
    let recording =
        Recording::begin(store, SessionSpec::default(), WriteOptions::default(), stop).unwrap();
    let socket = folder.join("bl.sock");
    recording.start(Box::new(EventsSocket::bind(&socket).unwrap())).unwrap();
    let board = VirtualBoard::start(BoardOptions::new(Model::Original, 1)).unwrap();
    let roster = Roster::new(Roots::default(), ConnectOptions::default());
    let source = BenchlabSource::new(Selector::Path(board.path().unwrap()), roster, 50.0);
    recording.start(Box::new(source.simulated())).unwrap();
    recording.start(Box::new(SimulatedStages::new(socket, 1))).unwrap();
    (recording, board)
}

impl Rig {
    fn start(token: Option<&str>) -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path().join("data"));
        let (recording, board) = record(&store, root.path());
        let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let options = ServeOptions {
            web: Some(free),
            prometheus: Some(free),
            token: token.map(String::from),
            allows_query: true,
            limits: Limits::default(),
            metrics: MetricOptions { compat_names: true },
        };
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let feed = Feed::start(feed_options(&store)).unwrap();
                let server = Server::bind(feed, options).await.unwrap();
                tell.send((server.web_address(), server.prometheus_address())).unwrap();
                server.run(async { stopped.await.unwrap_or(()) }).await;
            })
        };
        let thread = std::thread::Builder::new().name("test-server".into()).spawn(serve).unwrap();
        let (web, metrics) = told.recv_timeout(Duration::from_secs(30)).unwrap();
        Self {
            web: web.unwrap(),
            metrics: metrics.unwrap(),
            stop: Some(stop),
            thread: Some(thread),
            recording: Some(recording),
            _board: board,
            _root: root,
        }
    }

    fn json(&self, path: &str) -> Value {
        let answer = get(self.web, path, "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Waits until the recording has pairs and power, for at most 30 s.
    fn wait(&self) {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            self.recording.as_ref().unwrap().note_devices().unwrap();
            let rows = self.json("/api/live")["rows"].as_array().unwrap().clone();
            if rows.len() > 60 && rows.iter().any(|row| !row["power_w"].is_null()) {
                return;
            }
            assert!(Instant::now() < end, "no pairs came: {rows:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.take().map(|stop| stop.send(()));
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.unwrap();
            }
        }
        if let Some(recording) = self.recording.take() {
            recording.finish().unwrap();
        }
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn get(address: SocketAddr, path: &str, headers: &str) -> Answer {
    request(address, "GET", path, headers)
}

fn request(address: SocketAddr, method: &str, path: &str, headers: &str) -> Answer {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let text = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\n{headers}\r\n");
    socket.write_all(text.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.into() }
}

#[test]
fn a_recording_is_shown_as_the_store_has_it() {
    let mut rig = Rig::start(None);
    rig.wait();
    let live = rig.json("/api/live?window=30");
    let events = live["events"].as_array().unwrap();
    let names: BTreeSet<&str> = events.iter().map(|e| e["event"].as_str().unwrap()).collect();
    let all = ["session", "marks", "status", "pairs", "power", "channels", "events"];
    assert_eq!(names, BTreeSet::from(all));

    let status = rig.json("/api/status");
    assert_eq!(status["devices"].as_array().unwrap().len(), 1, "{status}");
    assert_eq!(status["devices"][0]["state"], "up");
    assert_eq!(status["store"]["state"], "ok");

    boards(&rig);
    metrics(rig.metrics);

    // After its end, figures are those of SQL.
    let manifest = rig.recording.take().unwrap().finish().unwrap().manifest;
    let at = format!("/api/sessions/{}", manifest.id);
    let end = Instant::now() + Duration::from_secs(20);
    while rig.json(&at)["session"]["state"] != "ended" {
        assert!(Instant::now() < end, "the end was not seen");
        std::thread::sleep(Duration::from_millis(100));
    }
    let summary = rig.json(&format!("{at}/summary"));
    let sql = "SELECT+count(*)+AS+n,min(sys_w)+AS+least,avg(sys_w)+AS+mean+FROM+benchlab";
    let row = rig.json(&format!("/api/query?sql={sql}"))["rows"][0].clone();
    assert_eq!(summary["power"]["samples"], row["n"]);
    assert_eq!(summary["power"]["min_w"], row["least"]);
    let close = |a: &Value, b: &Value| (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-6;
    assert!(close(&summary["power"]["mean_w"], &row["mean"]), "{summary} {row}");
    assert_eq!(summary["session"]["rows"]["benchlab"], row["n"]);

    let latency = rig.json(&format!("{at}/latency?points=2"));
    assert_eq!(latency["total"], summary["latency"]["count"]);
    assert_eq!(latency["exact"], false);
    let of = |name: &str| -> Vec<f64> {
        let values = latency[name].as_array().unwrap().iter();
        values.map(|v| v.as_f64().unwrap()).collect()
    };
    let most = of("lat_ms").into_iter().fold(f64::NEG_INFINITY, f64::max);
    assert_eq!(Some(most), summary["latency"]["max_ms"].as_f64());
    let timeline = rig.json(&format!("{at}/timeline"));
    let frames: i64 =
        timeline["frames"].as_array().unwrap().iter().map(|n| n.as_i64().unwrap()).sum();
    assert_eq!(json!(frames), summary["latency"]["count"]);
    for part in ["rails", "channels", "marks"] {
        rig.json(&format!("{at}/{part}"));
    }
}

/// What a scrape holds. That promtool has nothing to say against it, the tests of the program prove.
fn metrics(address: SocketAddr) {
    let classic = get(address, "/metrics", "");
    assert_eq!(classic.status, 200);
    for name in [
        "bl_stage_latency_seconds_bucket{pair=\"ingress,encoded\",le=\"+Inf\"}",
        "bl_power_watts{",
        "bl_power_sum_watts{",
        "bl_energy_joules_total{",
        "bl_voltage_volts{",
        "bl_source_up{",
        "bl_device_info{",
        "benchlab_total_power_w ",
        "benchlab_power_voltage_v{rail=\"10\"}",
        "benchlab_fan_rpm{fan=\"8\"}",
    ] {
        assert!(classic.body.contains(name), "{name} is missing in {}", classic.body);
    }
    let open = get(address, "/metrics", "Accept: application/openmetrics-text\r\n");
    assert!(open.head.contains("application/openmetrics-text"));
    assert!(open.body.ends_with("# EOF\n"));
}

/// The boards are who they say they are, in the status and in their session, in the shape that the document has.
fn boards(rig: &Rig) {
    let end = Instant::now() + Duration::from_secs(20);
    let status = loop {
        let status = rig.json("/api/status");
        if !status["devices"][0]["model"].is_null() {
            break status;
        }
        assert!(Instant::now() < end, "session.json was not read again: {status}");
        std::thread::sleep(Duration::from_millis(100));
    };
    let id = status["session"]["id"].as_str().unwrap();
    let of_session = rig.json(&format!("/api/sessions/{id}"))["boards"].clone();
    let document: Value = serde_json::from_str(include_str!("openapi.json")).unwrap();
    let told = document["components"]["schemas"]["Board"]["properties"].as_object().unwrap();
    let board = of_session[0].as_object().unwrap();
    assert!(board.keys().eq(told.keys()), "{board:?}");
    for (name, value) in board {
        assert_eq!(*value, status["devices"][0][name], "{name}");
    }
    let known = ["model", "vendor_id", "product_id", "calibration_valid"].map(|name| &board[name]);
    // Whether the calibration is valid cannot be told: what its checksum covers is not documented.
    assert_eq!(known, [&json!("BENCHLAB ORIGINAL"), &json!(0xEE), &json!(0x10), &Value::Null]);
}

#[test]
fn a_stream_tells_what_comes_and_goes_on_after_an_id() {
    let rig = Rig::start(None);
    rig.wait();
    let read = |headers: &str| -> Vec<String> {
        let mut socket = TcpStream::connect(rig.web).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let text = format!("GET /api/stream HTTP/1.0\r\nHost: {}\r\n{headers}\r\n", rig.web);
        socket.write_all(text.as_bytes()).unwrap();
        let (mut bytes, mut chunk) = (Vec::new(), [0; 65_536]);
        while bytes.len() < 60_000 {
            let n = socket.read(&mut chunk).unwrap();
            assert!(n > 0, "the stream ended");
            bytes.extend_from_slice(&chunk[..n]);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("text/event-stream"), "{head}");
        let whole = body.rsplit_once("\n\n").unwrap().0;
        whole.split("\n\n").map(String::from).collect()
    };
    let frames = |messages: &[String]| -> Vec<i64> {
        let pairs = messages.iter().filter_map(|m| m.split_once("event: pairs\ndata: "));
        let bodies = pairs.map(|(_, data)| serde_json::from_str::<Value>(data).unwrap());
        bodies
            .flat_map(|b| b["frame"].as_array().unwrap().clone())
            .map(|f| f.as_i64().unwrap())
            .collect()
    };
    let first = read("");
    assert_eq!(first[0], "retry: 1000");
    assert!(first[1].contains("event: session") && first[3].contains("event: status"));
    let last = first.last().unwrap().lines().next().unwrap().strip_prefix("id: ").unwrap();
    let second = read(&format!("Last-Event-ID: {last}\r\n"));
    assert!(!second.iter().any(|m| m.contains("event: reset")));
    let (before, after) = (frames(&first), frames(&second));
    assert!(!before.is_empty() && !after.is_empty());
    assert!(after.iter().min() > before.iter().max(), "{before:?} {after:?}");
    let unknown = read("Last-Event-ID: what\r\n");
    assert!(unknown.iter().any(|m| m.contains("event: reset")));
}

#[test]
fn only_those_with_the_token_get_in() {
    let rig = Rig::start(Some("0123456789abcdef"));
    let refused = get(rig.web, "/api/status", "");
    assert_eq!(refused.status, 401);
    assert!(refused.head.contains("application/problem+json"));
    assert_eq!(
        get(rig.web, "/api/status", "Authorization: Bearer 0123456789abcdef\r\n").status,
        200
    );
    let signed_in = get(rig.web, "/?token=0123456789abcdef", "");
    assert_eq!(signed_in.status, 303);
    assert!(signed_in.head.contains("httponly; samesite=lax"));
    assert_eq!(get(rig.web, "/?token=no", "").status, 401);
    let cookie = |port: u16| format!("Cookie: bl_token_{port}=0123456789abcdef\r\n");
    assert_eq!(get(rig.web, "/", &cookie(rig.web.port())).status, 200);
    assert_eq!(get(rig.web, "/", &cookie(1)).status, 401, "of another server");
    assert_eq!(get(rig.metrics, "/metrics", "").status, 401);
}

#[test]
fn what_is_wrong_is_refused_in_words() {
    let rig = Rig::start(None);
    let problem = |path: &str, status: u16| -> String {
        let answer = get(rig.web, path, "");
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.head.contains("application/problem+json"), "{path}");
        serde_json::from_str::<Value>(&answer.body).unwrap()["detail"].as_str().unwrap().into()
    };
    problem("/api/live?window=0", 400);
    problem("/api/sessions?limit=0", 400);
    problem("/api/sessions/no-such-session/summary", 404);
    problem("/api/nothing", 404);
    problem("/no-such-file.js", 404);
    problem("/api/query?sql=CREATE+TABLE+a+AS+SELECT+1", 400);
    problem("/api/query?sql=COPY+(SELECT+1)+TO+'/tmp/x.csv'", 400);
    problem("/api/query?sql=SET+datafusion.execution.batch_size=1", 400);
    problem("/api/query?sql=EXPLAIN+ANALYZE+INSERT+INTO+marks+SELECT+1", 400);
    problem("/api/query?sql=SELECT+1;SELECT+2", 400);
    assert_eq!(request(rig.web, "POST", "/api/live", "").status, 405);
    let show = rig.json("/api/query?sql=SELECT+1+AS+one");
    assert_eq!(show["rows"], json!([{"one": 1}]));
    let page = get(rig.web, "/", "");
    assert!(page.head.contains("content-security-policy: default-src 'self'"));
    assert!(page.head.contains("cache-control: no-cache"));
    assert!(get(rig.web, "/theme.js", "").head.contains("cache-control: no-cache"));
}

/// A grid of 10 ms over the year between the two samples has 50 GB.
#[test]
fn a_query_over_a_year_of_nothing_does_not_end_the_server() {
    let rig = Rig::start(None);
    let sql = "SELECT power_lag(to_timestamp_nanos(v),1.0*v,2.0*v) AS lag FROM (VALUES (0),(31536000000000000)) t(v)";
    let answer = rig.json(&format!("/api/query?sql={}", sql.replace(' ', "+")));
    assert_eq!(answer["rows"], json!([{"lag": null}]));
    assert_eq!(get(rig.web, "/healthz", "").status, 200);
}

#[test]
fn an_address_in_use_is_one_clear_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let root = tempfile::tempdir().unwrap();
    let options = ServeOptions {
        web: Some(address),
        prometheus: None,
        token: None,
        allows_query: false,
        limits: Limits::default(),
        metrics: MetricOptions::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let feed = Feed::start(feed_options(&Store::new(root.path()))).unwrap();
    let error = runtime.block_on(Server::bind(feed, options)).err().unwrap().to_string();
    let expected = format!(
        "cannot listen on {address} for the web view: another program listens there; stop it, or choose another address"
    );
    assert_eq!(error, expected);
}

#[test]
fn the_document_names_every_route() {
    let document: Value = serde_json::from_str(include_str!("openapi.json")).unwrap();
    let told: BTreeSet<&str> =
        document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let source = include_str!("routes.rs");
    let (_, routes) = source.split_once("fn web_routes").unwrap();
    let (routes, _) = routes.split_once(".fallback").unwrap();
    let there = routes.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    assert_eq!(told, there.collect());
}
