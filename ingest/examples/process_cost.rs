//! What a sample of table `process` costs: processor time of the thread that takes it, on this machine.
//!
//! `cargo run --release -p bl-ingest --example process_cost`
#![allow(clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow_array::RecordBatch;
use bl_ingest::process::ProcessSource;
use bl_ingest::source::{Full, Reason, Sink, SourceStatus, Stop};
use bl_ingest::{Context, Source};
use bl_schemas::Table;
use bl_store::clock::Anchor;

const HZ: f64 = 20.0;
const SECONDS: u64 = 20;

/// Counts rows and drops them.
#[derive(Default)]
struct Nowhere(AtomicU64);

impl Sink for Nowhere {
    fn append(&self, _: &'static Table, rows: RecordBatch) -> Result<(), Full> {
        self.0.fetch_add(rows.num_rows() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn count_loss(&self, _: &str, _: Reason, _: u64, _: &str) {}

    fn anchor(&self) -> Anchor {
        Anchor { utc_minus_monotonic_ns: 0, err_ns: 0 }
    }
}

/// Processor time of this thread.
fn used() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn main() {
    let sink = Arc::new(Nowhere::default());
    let stop = Stop::new().expect("an eventfd");
    let status = Arc::new(SourceStatus::new("host.process".to_owned()));
    let context = Context::new(sink.clone(), stop.clone(), status);
    let wait = move || {
        std::thread::sleep(Duration::from_secs(SECONDS));
        stop.stop();
    };
    let stopper = std::thread::Builder::new().name("stopper".into()).spawn(wait).expect("a thread");
    let before = used();
    ProcessSource::new("/", HZ, 20).run(&context).expect("/proc");
    let samples = HZ * SECONDS as f64;
    let each_us = (used() - before).as_secs_f64() * 1e6 / samples;
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_number = |name: std::ffi::OsString| name.to_string_lossy().parse::<u32>().is_ok();
    let processes = processes.filter(|entry| is_number(entry.file_name())).count();
    let rows = sink.0.load(Ordering::Relaxed);
    println!("{processes} processes: {each_us:.0} us a sample, {rows} rows in {samples} samples");
    stopper.join().expect("it only sleeps");
}
