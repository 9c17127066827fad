//! Runs gst-launch-1.0 with the tracer, and receives what it sends.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with nothing but the plugin in it.
pub fn plugin_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let built = std::env::current_exe().unwrap().with_file_name("libgstbl.so");
        assert!(built.exists(), "cargo was to build {}", built.display());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin");
        std::fs::create_dir_all(&folder).unwrap();
        let fresh = folder.join("fresh");
        let _ = std::fs::remove_file(&fresh);
        std::os::unix::fs::symlink(&built, &fresh).unwrap();
        std::fs::rename(&fresh, folder.join("libgstbl.so")).unwrap();
        folder
    })
}

/// A gst-launch-1.0 with the tracer, not started yet. `extra` follows the socket in the tracer's settings.
pub fn gst_launch(socket: &Path, extra: &str, line: &str) -> Command {
    let mut command = Command::new("gst-launch-1.0");
    command
        .args(line.split_whitespace())
        .env("GST_PLUGIN_PATH", plugin_folder())
        .env("GST_REGISTRY", Path::new(env!("CARGO_TARGET_TMPDIR")).join("registry.bin"))
        .env("GST_TRACERS", format!("bl(socket={}{extra})", socket.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Waits for the end of a process and collects its output; one that hangs is killed.
pub fn wait(child: Child) -> Output {
    let pid = rustix::process::Pid::from_child(&child);
    let (ended, over) = std::sync::mpsc::sync_channel::<()>(1);
    let watch = std::thread::Builder::new().name("watch".into()).spawn(move || {
        if over.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(ended);
    watch.unwrap().join().unwrap();
    output
}

/// A socket in a folder of its own.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("events.sock")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn listen(&self) -> UnixListener {
        let listener = UnixListener::bind(self.socket()).unwrap();
        listener.set_nonblocking(true).unwrap();
        listener
    }
}

/// Accepts one connection.
pub fn accept(listener: &UnixListener) -> UnixStream {
    let until = Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                return stream;
            }
            Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::WouldBlock),
        }
        assert!(Instant::now() < until, "nobody connected");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reads a connection to its end: the hello, then the events.
pub fn read_events(stream: UnixStream) -> Vec<Event> {
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let hello = lines.next().expect("a first line");
    assert!(hello.starts_with(r#"{"hello":"gst","simulated":false,"pid":"#), "{hello}");
    lines.map(|line| Event::parse(&line)).collect()
}

/// Receives one connection on a thread.
pub fn receive(listener: UnixListener) -> JoinHandle<Vec<Event>> {
    let body = move || read_events(accept(&listener));
    std::thread::Builder::new().name("receiver".into()).spawn(body).unwrap()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub stage: String,
    pub pipeline: Option<String>,
    pub ts_ns: i64,
    pub key_ns: Option<i64>,
    pub pts_ns: Option<i64>,
    pub seq: u64,
}

impl Event {
    pub fn parse(line: &str) -> Self {
        let value: Value = serde_json::from_str(line).expect(line);
        let known = ["stage", "pipeline", "ts_ns", "key_ns", "pts_ns", "seq"];
        assert!(value.as_object().unwrap().keys().all(|k| known.contains(&k.as_str())), "{line}");
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        Self {
            stage: text("stage").expect(line),
            pipeline: text("pipeline"),
            ts_ns: value["ts_ns"].as_i64().expect(line),
            key_ns: value["key_ns"].as_i64(),
            pts_ns: value["pts_ns"].as_i64(),
            seq: value["seq"].as_u64().expect(line),
        }
    }
}

/// What a pipeline that ran to its end has sent and printed.
pub struct Run {
    pub events: Vec<Event>,
    pub stdout: String,
    pub stderr: String,
    pub started_ns: i64,
    pub ended_ns: i64,
}

/// Runs a pipeline to its end, with these stages (none: the tracer's own choice).
pub fn run(stages: &str, line: &str) -> Run {
    let place = Place::new();
    let receiver = receive(place.listen());
    let extra = match stages {
        "" => String::new(),
        stages => format!(",stages=\"{stages}\""),
    };
    let started_ns = monotonic_ns();
    let output = wait(gst_launch(&place.socket(), &extra, line).spawn().unwrap());
    let ended_ns = monotonic_ns();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {stderr}", output.status);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    Run { events: receiver.join().unwrap(), stdout, stderr, started_ns, ended_ns }
}

impl Run {
    /// The events of one stage, in order.
    pub fn stage(&self, stage: &str) -> Vec<&Event> {
        self.events.iter().filter(|e| e.stage == stage).collect()
    }

    /// The events of one stage by key: each has one, and no two the same.
    pub fn by_key(&self, stage: &str) -> BTreeMap<i64, &Event> {
        let events = self.stage(stage);
        let count = events.len();
        let keyed: BTreeMap<i64, &Event> =
            events.into_iter().map(|e| (e.key_ns.expect("a key"), e)).collect();
        assert_eq!(keyed.len(), count, "a key occurs twice at {stage}");
        keyed
    }

    /// Pairs two stages by key. Returns (paired, only at the first); at the second is nothing that was not at
    /// the first, nor before.
    pub fn pair(&self, first: &str, second: &str) -> (usize, usize) {
        let (first, second) = (self.by_key(first), self.by_key(second));
        for (key, event) in &second {
            let origin = first.get(key).unwrap_or_else(|| panic!("{event:?} comes from nowhere"));
            assert!(origin.ts_ns <= event.ts_ns, "{origin:?} {event:?}");
        }
        (second.len(), first.len() - second.len())
    }
}

pub fn monotonic_ns() -> i64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    t.tv_sec * 1_000_000_000 + t.tv_nsec
}
