//! A server over a small recording, and raw requests to it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use bl_serve::live::{Feed, FeedOptions};
use bl_serve::prometheus::MetricOptions;
use bl_serve::web::{Limits, ServeOptions, Server};
use bl_store::clock::monotonic_ns;
use bl_store::{Rows, SessionSpec, SessionWriter, Store, WriteOptions};
use serde_json::Value;

/// Tests that measure what the process does take it whole; the others share it.
pub static PROCESS: RwLock<()> = RwLock::new(());

/// Frames of the recording.
pub const FRAMES: i64 = 20;

/// A server over a recording that goes on.
pub struct Rig {
    pub web: SocketAddr,
    pub id: String,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    _writer: SessionWriter,
    _root: tempfile::TempDir,
    /// Held until the server has ended.
    _shared: Option<RwLockReadGuard<'static, ()>>,
}

impl Rig {
    pub fn start() -> Self {
        Self::with(Limits::default(), None)
    }

    pub fn with(limits: Limits, token: Option<&str>) -> Self {
        let shared = PROCESS.read().unwrap_or_else(PoisonError::into_inner);
        let mut rig = Self::alone(limits, token);
        rig._shared = Some(shared);
        rig
    }

    /// For a test that holds [`PROCESS`] itself.
    pub fn alone(limits: Limits, token: Option<&str>) -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path());
        let writer = record(&store);
        let id = store.session_ids().unwrap()[0].to_string();
        let (web, stop, thread) = serve(store, limits, token);
        Self {
            web,
            id,
            stop: Some(stop),
            thread: Some(thread),
            _writer: writer,
            _root: root,
            _shared: None,
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        request(self.web, "GET", path, "", "").unwrap()
    }

    pub fn get_with(&self, path: &str, headers: &str) -> Answer {
        request(self.web, "GET", path, headers, "").unwrap()
    }

    pub fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    pub fn sql(&self, sql: &str) -> Answer {
        self.get(&format!("/api/query?sql={}", escaped(sql)))
    }

    /// Whether it answers, and how long that takes.
    pub fn health(&self) -> Duration {
        let begun = Instant::now();
        assert_eq!(self.get("/healthz").status, 200);
        begun.elapsed()
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
    }
}

type Serving = (SocketAddr, tokio::sync::oneshot::Sender<()>, std::thread::JoinHandle<()>);

pub fn serve(store: Store, limits: Limits, token: Option<&str>) -> Serving {
    let options = ServeOptions {
        web: Some("127.0.0.1:0".parse().unwrap()),
        prometheus: None,
        token: token.map(String::from),
        allows_query: true,
        limits,
        metrics: MetricOptions::default(),
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
            tell.send(server.web_address().unwrap()).unwrap();
            server.run(async { stopped.await.unwrap_or(()) }).await;
        });
    };
    let thread = std::thread::Builder::new().name("server".into()).spawn(serve).unwrap();
    (told.recv_timeout(Duration::from_secs(30)).unwrap(), stop, thread)
}

fn feed_options(store: &Store) -> FeedOptions {
    FeedOptions {
        store: store.clone(),
        pairs: vec![("a".into(), "b".into())],
        window_ns: 2_000_000_000,
        steps: Vec::new(),
        node: "test".into(),
        version: "0".into(),
    }
}

/// [`FRAMES`] frames of 5 ms with 100 W around them, of a board that `session.json` does not name.
pub fn record(store: &Store) -> SessionWriter {
    let options =
        WriteOptions { flush_every: Duration::from_millis(10), ..WriteOptions::default() };
    let writer = SessionWriter::begin(store, SessionSpec::default(), options).unwrap();
    let table = |name| bl_schemas::table(name).unwrap();
    // All of it lies between the session's start and now.
    std::thread::sleep(Duration::from_millis(500));
    let start = writer.anchor().ts(monotonic_ns()) - 400_000_000;
    let mut events = Rows::new(table("pipeline"));
    let (stage, frame) = (events.column("stage"), events.column("frame"));
    let mut samples = Rows::new(table("benchlab"));
    let (uid, sys) = (samples.column("device_uid"), samples.column("sys_w"));
    for k in 0..=FRAMES {
        samples.begin(start - 1_000_000 + k * 10_000_000, "t.board");
        samples.str(uid, "B1");
        samples.decimal(sys, 100_000);
    }
    for k in 0..FRAMES {
        for (name, offset) in [("a", 0), ("b", 5_000_000)] {
            events.begin(start + k * 10_000_000 + offset, "t.events");
            events.str(stage, name);
            events.i64(frame, k);
        }
    }
    writer.append(table("benchlab"), samples.finish()).unwrap();
    writer.append(table("pipeline"), events.finish()).unwrap();
    writer.flush().unwrap();
    writer
}

pub struct Answer {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub body: String,
}

impl Answer {
    /// What a problem document says.
    pub fn detail(&self) -> String {
        let json: Value = serde_json::from_str(&self.body).unwrap_or_default();
        json["detail"].as_str().unwrap_or_default().to_string()
    }
}

pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> std::io::Result<Answer> {
    let mut text = format!("{method} {path} HTTP/1.0\r\n");
    if !headers.to_lowercase().contains("host:") {
        text += &format!("Host: {address}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(60)))?;
    socket.write_all(format!("{text}{headers}\r\n{body}").as_bytes())?;
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    let status = status.ok_or(std::io::ErrorKind::InvalidData)?;
    Ok(Answer { status, head: head.to_lowercase(), body: body.into() })
}

pub fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
