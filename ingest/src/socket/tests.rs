//! The socket from outside: real connections, a sink that keeps what it is given.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bl_store::clock::monotonic_ns;
use serde_json::json;

use super::*;
use crate::source::kept::{ANCHOR, Kept};
use crate::source::{Context, Source, SourceStatus, Stop};

/// A running events socket.
struct Recording {
    socket: PathBuf,
    kept: Arc<Kept>,
    status: Arc<SourceStatus>,
    stop: Stop,
    thread: std::thread::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Recording {
    fn start(kept: Kept) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("bl.sock");
        let mut source = EventsSocket::bind(&socket).unwrap();
        let (kept, stop) = (Arc::new(kept), Stop::new().unwrap());
        let status = Arc::new(SourceStatus::new(source.name()));
        let context = Context::new(kept.clone(), stop.clone(), status.clone());
        let run = move || source.run(&context).unwrap();
        let thread = std::thread::Builder::new().name("events".into()).spawn(run).unwrap();
        Self { socket, kept, status, stop, thread, _folder: folder }
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.socket).unwrap()
    }

    /// Sends text over a connection of its own.
    fn send(&self, text: impl AsRef<[u8]>) {
        self.connect().write_all(text.as_ref()).unwrap();
    }

    /// Stops it and returns what it kept.
    fn finish(self) -> Arc<Kept> {
        self.stop.stop();
        self.thread.join().unwrap();
        self.kept
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_event_becomes_a_row() {
    let recording = Recording::start(Kept::default());
    let before = monotonic_ns();
    recording.send(
        "{\"pipeline\":\"cam0\",\"stage\":\"ingress\",\"frame\":7,\"ts_ns\":5,\"key_ns\":-3,\"pts_ns\":9,\"attrs\":{\"a\": 1}}\n\
         {\"stage\":\"encoded\"}",
    );
    let kept = recording.finish();
    assert_eq!(kept.texts("pipeline", "source"), [SOURCE, SOURCE]);
    assert_eq!(kept.texts("pipeline", "pipeline"), ["cam0", "-"]);
    assert_eq!(kept.texts("pipeline", "stage"), ["ingress", "encoded"]);
    assert_eq!(kept.numbers("pipeline", "frame"), [Some(7), None]);
    assert_eq!(kept.numbers("pipeline", "key_ns"), [Some(-3), None]);
    assert_eq!(kept.numbers("pipeline", "pts_ns"), [Some(9), None]);
    assert_eq!(kept.texts("pipeline", "attrs"), ["{\"a\": 1}", "-"]);
    let stamps = kept.stamps("pipeline");
    assert_eq!(stamps[0], ANCHOR.ts(5));
    assert!((ANCHOR.ts(before)..=ANCHOR.now()).contains(&stamps[1]), "the time of receipt");
    assert_eq!(kept.health(), []);
}

#[test]
fn pipelines_of_one_name_are_told_apart_by_their_process() {
    let recording = Recording::start(Kept::default());
    // Two processes whose GStreamer pipelines are both called pipeline0, in turns.
    let mut senders = [(71, 900), (72, 905)].map(|(pid, start)| {
        let mut sender = recording.connect();
        let hello = format!("{{\"hello\":\"gst\",\"pid\":{pid},\"start\":{start}}}\n");
        sender.write_all(hello.as_bytes()).unwrap();
        sender
    });
    let mut sent = 0;
    for key in 0..3 {
        for stage in ["ingress", "encoded"] {
            for sender in &mut senders {
                let line = format!(
                    "{{\"stage\":\"{stage}\",\"pipeline\":\"pipeline0\",\"key_ns\":{key},\"ts_ns\":{sent}}}\n"
                );
                sender.write_all(line.as_bytes()).unwrap();
                sent += 1;
                wait_until("the row", || recording.status.rows() == sent);
            }
        }
    }
    drop(senders);
    let kept = recording.finish();
    let told = ["pipeline0", "pipeline0@2"].repeat(6);
    assert_eq!(kept.texts("pipeline", "pipeline"), told);
    assert_eq!(kept.texts("pipeline", "sender"), ["71.900", "72.905"].repeat(6));
    assert_eq!(kept.health(), []);
}

#[test]
fn a_sender_that_does_not_tell_itself_is_known_by_its_process() {
    let recording = Recording::start(Kept::default());
    recording.send("{\"stage\":\"ingress\"}");
    let kept = recording.finish();
    let sender = kept.texts("pipeline", "sender").remove(0);
    assert!(sender.starts_with(&format!("{}.", std::process::id())), "{sender}");
}

#[test]
fn a_hello_tells_its_process_whole_or_not_at_all() {
    let recording = Recording::start(Kept::default());
    recording.send("{\"hello\":\"a\",\"pid\":5}\n{\"hello\":\"a\",\"pid\":5,\"start\":\"x\"}\n");
    let kept = recording.finish();
    let [(reason, count, detail)] = &kept.health()[..] else { panic!("{:?}", kept.health()) };
    assert_eq!((reason.as_str(), *count), ("malformed", 2));
    assert!(detail.contains("pid and start go together"), "{detail}");
}

#[test]
fn lines_come_in_pieces_from_many_senders() {
    let recording = Recording::start(Kept::default());
    let mut senders: Vec<_> = (0..40).map(|_| recording.connect()).collect();
    for frame in 0..25 {
        for (i, sender) in senders.iter_mut().enumerate() {
            let line = format!("{{\"stage\":\"s{i}\",\"frame\":{frame}}}\r\n\n");
            let (head, tail) = line.split_at((frame * 7 + i) % line.len());
            sender.write_all(head.as_bytes()).unwrap();
            sender.write_all(tail.as_bytes()).unwrap();
        }
    }
    wait_until("rows come within the flush interval", || recording.status.rows() == 1000);
    drop(senders);
    let kept = recording.finish();
    let frames = kept.numbers("pipeline", "frame");
    let stages = kept.texts("pipeline", "stage");
    for i in 0..40 {
        let stage = format!("s{i}");
        let of_stage = stages.iter().zip(&frames).filter(|(s, _)| **s == stage);
        let expected: Vec<_> = (0..25).map(Some).collect();
        assert_eq!(of_stage.map(|(_, f)| *f).collect::<Vec<_>>(), expected, "{stage}");
    }
    assert_eq!(kept.health(), []);
}

#[test]
fn bad_lines_are_counted_and_the_good_ones_kept() {
    let recording = Recording::start(Kept::default());
    let long = format!("{{\"stage\":\"{}\"}}", "x".repeat(3 * MAX_LINE_BYTES));
    let fits = format!("{{\"stage\":\"{}\"}}", "y".repeat(MAX_LINE_BYTES - 12));
    let wrong_clock = format!("{{\"stage\":\"a\",\"ts_ns\":{}}}", i64::MAX);
    recording.send(format!(
        "what?\n{{\"stage\":\"a\"}}\n{long}\n{wrong_clock}\n{{\"stage\":\"b\",\"ts_ns\":-1}}\n{fits}\n{{\"stage\":\"c\"}}\n"
    ));
    let kept = recording.finish();
    let stages = kept.texts("pipeline", "stage");
    assert_eq!(stages.iter().map(|s| &s[..1]).collect::<String>(), "ayc");
    let health = kept.health();
    assert_eq!(health.len(), 1, "{health:?}");
    let (reason, count, detail) = &health[0];
    assert_eq!((reason.as_str(), *count), ("malformed", 4));
    assert!(detail.contains("sender 1") && detail.ends_with(": what?"), "{detail}");
}

#[test]
fn a_bad_line_shows_no_more_than_its_beginning() {
    let recording = Recording::start(Kept::default());
    recording.send([b'\xff'; 5000]);
    let kept = recording.finish();
    assert_eq!(kept.health()[0].1, 1);
    assert!(kept.health()[0].2.len() < 800, "200 bytes, each shown as U+FFFD");
}

#[test]
fn what_a_sender_dropped_is_in_health() {
    let recording = Recording::start(Kept::default());
    let mut lines = json!({"hello": "probe"}).to_string() + "\n";
    for (pipeline, seq) in [("a", 3), ("b", 0), ("a", 4), ("a", 9), ("b", 1)] {
        lines += &format!("{{\"stage\":\"x\",\"pipeline\":\"{pipeline}\",\"seq\":{seq}}}\n");
    }
    recording.send(lines);
    let kept = recording.finish();
    assert_eq!(kept.texts("pipeline", "source"), [SOURCE; 5]);
    let expected = "sender 1 'probe', pipeline 'a': numbers are missing in seq";
    assert_eq!(kept.health(), [("sender_dropped".into(), 4, expected.into())]);
}

#[test]
fn marks_arrive() {
    let recording = Recording::start(Kept::default());
    let attrs = json!({"size": "7b"}).as_object().unwrap().clone();
    let before = monotonic_ns();
    send_mark(&recording.socket, "load-model", MarkKind::Begin, &attrs).unwrap();
    send_mark(&recording.socket, "load-model", MarkKind::End, &Default::default()).unwrap();
    wait_until("both marks are rows", || recording.status.rows() == 2);
    let kept = recording.finish();
    assert_eq!(kept.texts("marks", "name"), ["load-model"; 2]);
    assert_eq!(kept.texts("marks", "kind"), ["begin", "end"]);
    assert_eq!(kept.texts("marks", "attrs"), ["{\"size\":\"7b\"}", "-"]);
    assert!(kept.stamps("marks")[0] >= ANCHOR.ts(before));
    let text = send_mark(Path::new("nowhere.sock"), "x", MarkKind::Point, &Default::default());
    assert!(text.unwrap_err().to_string().contains("nowhere.sock: no recording listens"));
}

#[test]
fn what_the_store_cannot_take_is_counted_as_lost() {
    let recording = Recording::start(Kept { full: true, ..Kept::default() });
    let lines = "{\"stage\":\"x\"}\n".repeat(20_000);
    recording.send(&lines);
    wait_until("all are lost", || recording.status.lost() == 20_000);
    let kept = recording.finish();
    let health = kept.health();
    assert!(health.iter().all(|(reason, _, _)| reason == "store_full"), "{health:?}");
    assert_eq!(health.iter().map(|(_, count, _)| count).sum::<i64>(), 20_000);
}

#[test]
fn simulated_stages_go_the_real_way() {
    let recording = Recording::start(Kept::default());
    let mut source = SimulatedStages::new(&recording.socket, 1);
    let stop = Stop::new().unwrap();
    let status = Arc::new(SourceStatus::new(source.name()));
    let context = Context::new(recording.kept.clone(), stop.clone(), status);
    let run = move || source.run(&context).unwrap();
    let thread = std::thread::Builder::new().name("simulated".into()).spawn(run).unwrap();
    wait_until("a dozen events", || recording.status.rows() >= 12);
    stop.stop();
    thread.join().unwrap();
    let kept = recording.finish();
    assert!(kept.texts("pipeline", "source").iter().all(|s| s == SIMULATED_SOURCE));
    assert_eq!(kept.texts("pipeline", "stage")[0], "ingress");
    assert!(kept.texts("pipeline", "stage").contains(&"inference_done".to_string()));
    assert_eq!(kept.health(), []);

    let mut alone = SimulatedStages::new("nowhere.sock", 1);
    let context =
        Context::new(kept, Stop::new().unwrap(), Arc::new(SourceStatus::new(alone.name())));
    let text = alone.run(&context).unwrap_err().to_string();
    assert!(text.contains("no recording listens"), "{text}");
}
