//! What serves, in real processes: many clients beside a recording, both in one process, and a snapshot of metrics.
//!
//! `BL_LOAD=full` takes the load for a minute instead of a quarter of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod processes;
mod prometheus;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use processes::{BINDS, Running, await_answer, bl, get, number, ok, request, with_few_descriptors};

const CLIENTS: usize = 200;
const HZ: f64 = 100.0;

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

/// 180 connections that never ask, before a process that may open 160 files and has a session to record.
#[test]
fn strangers_leave_the_recorder_its_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let record = bl(folder, &["ingest", "--simulate", "--serve"]);
    let mut both = Running::start(with_few_descriptors(&record, 160));
    let page = both.await_word("the page is at ");
    let host = page.strip_prefix("http://").unwrap().split('/').next().unwrap().to_string();
    let began = Instant::now();
    let mut held: Vec<TcpStream> = Vec::new();
    while began.elapsed() < Duration::from_secs(6) {
        // Those that were closed come again.
        held.truncate(90);
        while held.len() < 180 {
            let mut socket = TcpStream::connect(&host).unwrap();
            let _ = socket.write_all(b"GET / HTTP/1.1\r\nHost: ");
            held.push(socket);
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    drop(held);
    let (_, said) = both.interrupt();
    assert!(!said.iter().any(|line| line.contains("Too many open files")), "{said:?}");
    let trouble =
        "SELECT coalesce(sum(count), 0) FROM health WHERE reason IN ('disk', 'store_full')";
    assert_eq!(number(folder, trouble), 0.0, "{said:?}");
    for table in ["benchlab", "pipeline", "cpu", "memory"] {
        assert!(
            number(folder, &format!("SELECT count(*) FROM {table}")) > 0.0,
            "{table}: {said:?}"
        );
    }
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
}
