//! Stage events a second from a sender in another process into batches of rows.
//!
//!     cargo bench -p bl-ingest --bench events -- [EVENTS] [plain|keyed|spaced|attrs]
//!
//! The sink counts and drops the batches, so the figure is the socket's and the parser's alone.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use bl_ingest::socket::EventsSocket;
use bl_ingest::source::{Context, Full, Reason, Sink, Source, SourceStatus, Stop};
use bl_schemas::Table;
use bl_store::clock::{Anchor, monotonic_ns};
use rustix::time::{ClockId, clock_gettime};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["send", socket, events, form] => send(Path::new(socket), events.parse()?, form),
        [] => receive("5000000", "plain"),
        [events] => receive(events, "plain"),
        [events, form] => receive(events, form),
        _ => Err("usage: events [EVENTS] [plain|keyed|spaced|attrs]".into()),
    }
}

struct Counting {
    rows: AtomicU64,
    batches: AtomicU64,
    anchor: Anchor,
}

impl Sink for Counting {
    fn append(&self, table: &'static Table, rows: RecordBatch) -> std::result::Result<(), Full> {
        if table.name == "pipeline" {
            self.rows.fetch_add(rows.num_rows() as u64, Ordering::Relaxed);
            self.batches.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    // It takes everything.
    fn count_loss(&self, _: &str, _: Reason, _: u64, _: &str) {}

    fn anchor(&self) -> Anchor {
        self.anchor
    }
}

fn receive(events: &str, form: &str) -> Result<()> {
    let expected: u64 = events.parse()?;
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("bl.sock");
    let mut source = EventsSocket::bind(&socket)?;
    let sink = Arc::new(Counting {
        rows: AtomicU64::new(0),
        batches: AtomicU64::new(0),
        anchor: Anchor::measure(),
    });
    let stop = Stop::new()?;
    let status = Arc::new(SourceStatus::new(source.name()));
    let context = Context::new(sink.clone(), stop.clone(), status.clone());
    let thread = std::thread::Builder::new()
        .name("events".into())
        .spawn(move || source.run(&context).map_err(|e| e.to_string()))?;

    let cpu_before = cpu_seconds();
    let began = Instant::now();
    let mut sender = std::process::Command::new(std::env::current_exe()?)
        .args(["send".as_ref(), socket.as_os_str(), events.as_ref(), form.as_ref()])
        .spawn()?;
    while sink.rows.load(Ordering::Relaxed) + status.lost() < expected {
        if sender.try_wait()?.is_some_and(|s| !s.success()) {
            return Err("the sender failed".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let took = began.elapsed().as_secs_f64();
    let cpu = cpu_seconds() - cpu_before;
    stop.stop();
    thread.join().map_err(|_| "the source panicked")??;
    sender.wait()?;

    let rows = sink.rows.load(Ordering::Relaxed);
    println!(
        "{form}: {rows} events in {took:.3} s = {:.0} events/s, {} lost, {} batches; \
         receiver {cpu:.3} s of CPU = {:.0} ns an event",
        rows as f64 / took,
        status.lost(),
        sink.batches.load(Ordering::Relaxed),
        cpu * 1e9 / rows as f64,
    );
    Ok(())
}

fn send(socket: &Path, events: u64, form: &str) -> Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    let mut lines: Vec<u8> = Vec::with_capacity(160 * 1024);
    let mut ts_ns = 0;
    for i in 0..events {
        // A clock read a line would be most of the sender's work.
        if i % 64 == 0 {
            ts_ns = monotonic_ns();
        }
        let stage = if i % 2 == 0 { "ingress" } else { "encoded" };
        let frame = i / 2;
        match form {
            "plain" => write!(lines, r#"{{"stage":"{stage}","frame":{frame},"ts_ns":{ts_ns}}}"#)?,
            "keyed" => write!(
                lines,
                r#"{{"pipeline":"cam0","stage":"{stage}","frame":{frame},"ts_ns":{ts_ns},"key_ns":{ts_ns},"pts_ns":{ts_ns},"seq":{i}}}"#
            )?,
            "spaced" => {
                write!(lines, r#"{{"stage": "{stage}", "frame": {frame}, "ts_ns": {ts_ns}}}"#)?
            }
            "attrs" => write!(
                lines,
                r#"{{"stage":"{stage}","frame":{frame},"ts_ns":{ts_ns},"attrs":{{"qp":31}}}}"#
            )?,
            other => return Err(format!("no form '{other}'").into()),
        }
        lines.push(b'\n');
        if lines.len() > 128 * 1024 {
            stream.write_all(&lines)?;
            lines.clear();
        }
    }
    stream.write_all(&lines)?;
    let cpu = cpu_seconds();
    println!("{form}: the sender took {:.0} ns of CPU an event", cpu * 1e9 / events as f64);
    Ok(())
}

fn cpu_seconds() -> f64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}
