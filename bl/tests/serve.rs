//! What serves, in real processes: many clients beside a recording, both in one process, and a snapshot of metrics.
//!
//! `BL_LOAD=full` takes the load for a minute instead of a quarter of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const CLIENTS: usize = 200;
const HZ: f64 = 100.0;
const BINDS: [&str; 4] = ["--web-bind", "127.0.0.1:0", "--prom-bind", "127.0.0.1:0"];

fn bl(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bl"));
    command
        .env_clear()
        .env("BENCHLAB_DATA_ROOT", folder.join("data"))
        .env("BENCHLAB_CONFIG", folder.join("config.toml"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    std::fs::write(
        folder.join("config.toml"),
        format!(
            "[general]\nruntime_dir = {folder:?}\n[web]\nbind = \"127.0.0.1:0\"\n\
             [prometheus]\nbind = \"127.0.0.1:0\"\n[pipeline]\nevents = {:?}\n",
            folder.join("bl.sock")
        ),
    )
    .unwrap();
    command
}

/// Standard output of a call that has to succeed.
fn ok(folder: &Path, arguments: &[&str]) -> String {
    let out = bl(folder, arguments).output().unwrap();
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// The answer of one row and one column.
fn number(folder: &Path, sql: &str) -> f64 {
    let csv = ok(folder, &["query", "--session", "latest", "--format", "csv", sql]);
    csv.lines().nth(1).unwrap().parse().unwrap_or_else(|_| panic!("{sql}: {csv}"))
}

/// A process that talks on standard error. It is killed when the test fails.
struct Running {
    child: Child,
    said: Vec<String>,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = std::sync::mpsc::sync_channel(1_000);
        let read = move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        };
        std::thread::Builder::new().name("stderr".into()).spawn(read).unwrap();
        Self { child, said: Vec::new(), lines }
    }

    /// What follows `before` in a line to come, up to a blank.
    fn await_word(&mut self, before: &str) -> String {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(at) = self.said.iter().find_map(|l| l.split_once(before)) {
                return at.1.split_whitespace().next().unwrap_or_default().to_string();
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said.push(line),
                Err(e) => panic!("{before:?} is not said ({e}): {:?}", self.said),
            }
        }
    }

    /// Ends it as Ctrl-C does; returns how long that took, and all that it said.
    fn interrupt(mut self) -> (Duration, Vec<String>) {
        let began = Instant::now();
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let status = self.child.wait().unwrap();
        let took = began.elapsed();
        self.said.extend(self.lines.iter());
        assert!(status.success(), "{status}: {:?}", self.said);
        (took, std::mem::take(&mut self.said))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Where it has ended, there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request to `http://address/path`; the connection is closed after the answer.
fn request(url: &str) -> TcpStream {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut connection = TcpStream::connect(host).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(connection, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        .unwrap();
    connection
}

/// The whole answer, which has to be a 200.
fn get(url: &str) -> String {
    let mut answer = String::new();
    request(url).read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{url}: {answer}");
    answer
}

/// Asks until `enough` likes the answer.
fn await_answer(url: &str, enough: impl Fn(&str) -> bool) -> String {
    let began = Instant::now();
    loop {
        let answer = get(url);
        if enough(&answer) {
            return answer;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{url} goes on to answer {answer}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The samples of the classic text format or of OpenMetrics, each after its TYPE.
fn samples(text: &str) -> BTreeMap<&str, f64> {
    let mut typed = Vec::new();
    let mut all = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            typed.extend(rest.strip_prefix("TYPE ").and_then(|t| t.split(' ').next()));
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        assert!(typed.last().is_some_and(|family| name.starts_with(family)), "no TYPE: {line}");
        let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(all.insert(name, value).is_none(), "twice: {line}");
    }
    all
}

/// Reads the stream until it is told to stop; returns how many messages had pairs, and how many told of a lag.
fn follow(url: String, stop: Arc<AtomicBool>) -> JoinHandle<(usize, usize)> {
    let read = move || {
        let mut stream = BufReader::new(request(&url));
        let (mut pairs, mut lagged, mut line) = (0, 0, String::new());
        while !stop.load(Ordering::Relaxed) {
            line.clear();
            if stream.read_line(&mut line).unwrap() == 0 {
                break;
            }
            pairs += usize::from(line.starts_with("event: pairs"));
            lagged += usize::from(line.starts_with("event: lagged"));
        }
        (pairs, lagged)
    };
    std::thread::Builder::new().stack_size(128 * 1024).spawn(read).unwrap()
}

#[test]
fn two_hundred_clients_and_many_scrapes_cost_no_sample() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let full = std::env::var_os("BL_LOAD").is_some_and(|load| load == "full");
    let (scrapes, pace) = if full { (1_000, 60) } else { (300, 50) };

    let record = ["ingest", "--simulate", "--benchlab-hz", "100", "--hz", "100"];
    let mut ingest = Running::start(bl(folder, &record));
    ingest.await_word("recording session ");
    let mut serve = Running::start(bl(folder, &[&["serve"], &BINDS[..]].concat()));
    let page = serve.await_word("the page is at ");
    let metrics = serve.await_word("metrics for Prometheus are at ");
    let rows = "bl_source_rows_total{source=\"sim.benchlab\"}";
    await_answer(&metrics, |text| text.contains(rows));

    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| follow(format!("{page}api/stream"), Arc::clone(&stop))).collect();
    let began = Instant::now();
    let mut seen = 0.0;
    for scrape in 1..=scrapes {
        let answer = get(&metrics);
        let now = samples(answer.split_once("\r\n\r\n").unwrap().1)[rows];
        assert!(now >= seen, "the counter falls from {seen} to {now}");
        seen = now;
        let next = began + Duration::from_millis(pace * scrape);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let took = began.elapsed();
    let planned = Duration::from_millis(pace * scrapes);
    assert!(took < planned * 3 / 2, "{scrapes} scrapes took {took:?} instead of {planned:?}");
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        let (pairs, lagged) = client.join().unwrap();
        assert!(pairs as f64 > planned.as_secs_f64(), "a client got {pairs} messages with pairs");
        assert_eq!(lagged, 0, "a client that reads has lagged");
    }
    let (_, said) = ingest.interrupt();
    serve.interrupt();
    check_nothing_lost(folder, &said, seen);
}

/// What was asked of the board and of the stages is there, or in table `health` as a deadline that was missed.
fn check_nothing_lost(folder: &Path, said: &[String], served: f64) {
    let summary = said.iter().find(|line| line.starts_with("recorded ")).unwrap();
    let told = |table: &str| {
        let word = summary.split(", ").find_map(|part| part.strip_suffix(&format!(" {table}")));
        let count = word.unwrap().rsplit(' ').next().unwrap();
        count.replace(',', "").parse::<f64>().unwrap()
    };
    let samples = number(folder, "SELECT count(*) FROM benchlab");
    assert_eq!(samples, told("benchlab"));
    assert_eq!(number(folder, "SELECT count(*) FROM pipeline"), told("pipeline rows"));
    assert!(samples >= served, "{samples} in the store, {served} were served");

    let lost = "SELECT coalesce(sum(count), 0) FROM health \
                WHERE reason IN ('store_full', 'sender_dropped', 'disk', 'damaged')";
    assert_eq!(number(folder, lost), 0.0, "{said:?}");
    let gaps =
        "SELECT max(frame) - min(frame) + 1 - count(*) FROM pipeline WHERE stage = 'ingress'";
    assert_eq!(number(folder, gaps), 0.0, "stage events are missing");
    let late = "SELECT coalesce(sum(count), 0) FROM health \
                WHERE reason = 'late' AND source = 'sim.benchlab'";
    let late = number(folder, late);
    let span_ns = "SELECT CAST(max(ts) AS BIGINT) - CAST(min(ts) AS BIGINT) FROM benchlab";
    let due = 1.0 + number(folder, span_ns) * 1e-9 * HZ;
    assert!(
        (samples + late - due).abs() <= 0.01 * due,
        "{samples} samples, {late} late, {due:.1} due"
    );
    assert!(late <= 0.2 * due, "{late} of {due:.0} samples were late");
    eprintln!("{samples} samples, {late} late, {due:.1} due");
}

#[test]
fn recording_and_serving_in_one_process_end_together_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut both = Running::start(bl(dir.path(), &["ingest", "--simulate", "--serve"]));
    let page = both.await_word("the page is at ");
    let metrics = both.await_word("metrics for Prometheus are at ");
    assert!(get(&page).contains("<!doctype html>"));
    await_answer(&metrics, |text| text.contains("bl_power_sum_watts{"));
    await_answer(&format!("{page}api/live"), |text| text.contains("\"lat_ms\""));
    let stop = Arc::new(AtomicBool::new(false));
    let client = follow(format!("{page}api/stream"), Arc::clone(&stop));
    std::thread::sleep(Duration::from_secs(1));
    let (took, said) = both.interrupt();
    assert!(took < Duration::from_secs(2), "it took {took:?}: {said:?}");
    // The stream is closed by the server.
    assert!(client.join().unwrap().0 > 0);
    let recorded = number(dir.path(), "SELECT count(*) FROM benchlab");
    assert!(said.iter().any(|line| line.contains(&format!("{recorded} benchlab"))), "{said:?}");
}

/// `promtool check metrics`, where there is one.
fn promtool(text: &str) -> Option<Output> {
    let path = std::env::var_os("PATH")?;
    let found: Option<PathBuf> =
        std::env::split_paths(&path).map(|dir| dir.join("promtool")).find(|p| p.is_file());
    let mut child = Command::new(found?)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap())
}

#[test]
fn a_snapshot_of_the_metrics_is_written_whole() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let empty = ok(folder, &["export", "prom"]);
    assert_eq!(samples(&empty)["bl_recording"], 0.0);

    let mut ingest = Running::start(bl(folder, &["ingest", "--simulate"]));
    ingest.await_word("recording session ");
    let file = folder.join("textfiles/bl.prom");
    let began = Instant::now();
    let text = loop {
        ok(folder, &["export", "prom", "-o", file.to_str().unwrap()]);
        let text = std::fs::read_to_string(&file).unwrap();
        if text.contains("bl_stage_latency_seconds_count") && text.contains("bl_power_watts{") {
            break text;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{text}");
    };
    let beside: Vec<_> = std::fs::read_dir(folder.join("textfiles")).unwrap().collect();
    assert_eq!(beside.len(), 1, "{beside:?}");
    let open = ok(folder, &["export", "prom", "--format", "openmetrics"]);
    ingest.interrupt();

    let now = samples(&text);
    assert_eq!(now["bl_recording"], 1.0);
    let (most, least) = ("SELECT max(sys_w) FROM benchlab", "SELECT min(sys_w) FROM benchlab");
    let sys = now.iter().find(|(n, _)| n.starts_with("bl_power_sum_watts{") && n.contains("sys"));
    let sys = *sys.unwrap_or_else(|| panic!("{text}")).1;
    assert!((number(folder, least)..=number(folder, most)).contains(&sys), "{sys} W");
    assert!(samples(open.strip_suffix("# EOF\n").unwrap()).len() > 50);
    if let Some(out) = promtool(&text) {
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success() && said.is_empty(), "{said}");
    }
}
