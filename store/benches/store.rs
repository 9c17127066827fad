//! What the store takes in time and memory for large things.
//!
//!     cargo bench -p bl-store --bench store -- [verify|list|sessions|stop]
//!
//! Each in a process of its own, so that the peak of its memory is its own.

#![allow(clippy::unwrap_used)]

#[path = "../tests/many_files/mod.rs"]
mod many_files;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bl_store::verify::{Verdict, verify};
use bl_store::{Rows, SessionSpec, SessionWriter, Store, WriteOptions};

use many_files::{HOUR_NS, SPAN_NS, START_NS, many};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["verify"] => verification(),
        ["list", root] => list(Path::new(root)),
        ["sessions"] => sessions(),
        ["stop"] => stop(),
        _ => {
            let root = tempfile::tempdir().unwrap();
            many(root.path(), 20_000, SPAN_NS);
            let me = std::env::current_exe().unwrap();
            let run = |args: &[&str]| Command::new(&me).args(args).status().unwrap();
            run(&["list", root.path().to_str().unwrap()]);
            for what in ["verify", "sessions", "stop"] {
                run(&[what]);
            }
        }
    }
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

fn best(mut what: impl FnMut()) -> Duration {
    let once = |()| {
        let begin = Instant::now();
        what();
        begin.elapsed()
    };
    std::iter::repeat_n((), 7).map(once).min().unwrap()
}

fn list(root: &Path) {
    let session = Store::new(root).session(&"run".parse().unwrap()).unwrap();
    let files = |from: i64, to: i64| session.files("pipeline", from, to).unwrap().files.len();
    let from = START_NS + 35 * 24 * HOUR_NS;
    let hour = best(|| assert_eq!(files(from, from + HOUR_NS), 12));
    println!("20,000 files: those of an hour in {hour:?}, peak {} MiB", peak_mib());
    let all = best(|| assert_eq!(files(i64::MIN, i64::MAX), 20_000));
    println!("20,000 files: all in {all:?}, peak {} MiB", peak_mib());
}

/// 600 MB in files of some megabytes, read from the page cache.
fn verification() {
    let root = tempfile::tempdir().unwrap();
    let session = many(root.path(), 200, SPAN_NS);
    let raw = session.dir().raw("pipeline");
    let day = raw.join("date=2026-10-25");
    let mut bytes = vec![0; 3 << 20];
    let mut noise = 1_u64;
    bytes.iter_mut().for_each(|b| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *b = (noise >> 56) as u8;
    });
    let (crc, mut lines) = (crc32fast::hash(&bytes), String::new());
    for seq in 1..=200 {
        let path = day.join(format!("hour=00/{seq:06}.parquet"));
        std::fs::write(&path, &bytes).unwrap();
        lines += &format!(
            "{{\"file\":\"hour=00/{seq:06}.parquet\",\"rows\":1,\"bytes\":{},\"min_ts\":1,\
             \"max_ts\":2,\"crc32\":\"{crc:08x}\",\"format\":1}}\n",
            bytes.len()
        );
    }
    for hour in 1..24 {
        let _ = std::fs::remove_dir_all(day.join(format!("hour={hour:02}")));
    }
    let index =
        format!("bl-index 1 {:08x}\n{lines}", crc32fast::hash(format!("1{lines}").as_bytes()));
    std::fs::write(day.join("_index"), index).unwrap();
    let report = verify(session.dir()).unwrap();
    assert_eq!((report.files, report.verdict()), (200, Verdict::Whole), "{report:?}");
    let took = best(|| drop(verify(session.dir()).unwrap()));
    let rate = report.bytes as f64 / took.as_secs_f64() / 1e6;
    println!(
        "verification: {} MB in {took:?}, {rate:.0} MB/s on one core",
        report.bytes / 1_000_000
    );
}

fn sessions() {
    let root = tempfile::tempdir().unwrap();
    let session = many(root.path(), 10, SPAN_NS);
    let text = std::fs::read_to_string(session.dir().manifest()).unwrap();
    for n in 0..10_000 {
        let folder = root.path().join(format!("sessions/s-{n}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("session.json"), text.replace("\"run\"", &format!("\"s-{n}\"")))
            .unwrap();
    }
    let store = Store::new(root.path());
    let one = best(|| {
        let session = store.session(&"run".parse().unwrap()).unwrap();
        assert_eq!(session.files("pipeline", i64::MIN, i64::MAX).unwrap().files.len(), 10);
    });
    println!("10,000 sessions: one opened and listed in {one:?}");
    let all = best(|| assert_eq!(store.sessions().unwrap().0.len(), 10_001));
    println!("10,000 sessions: all read in {all:?}");
}

/// Two senders whose batches overlap in time, 900,000 rows in open segments when the recording is stopped.
fn stop() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let table = bl_schemas::table("pipeline").unwrap();
    let spec = SessionSpec { id: Some("run".parse().unwrap()), ..Default::default() };
    let options = WriteOptions { seal_bytes: 1 << 40, ..WriteOptions::default() };
    let writer = SessionWriter::begin(&store, spec, options).unwrap();
    let base = writer.anchor().now();
    for batch in 0..90 {
        for sender in 0..2 {
            let mut rows = Rows::new(table);
            let (stage, frame) = (rows.column("stage"), rows.column("frame"));
            for i in 0..5_000 {
                rows.begin(base + (batch * 5_000 + i) * 1_000 + sender, "events");
                rows.str(stage, if sender == 0 { "ingress" } else { "encoded" });
                rows.i64(frame, (batch * 5_000 + i) * 2 + sender);
            }
            writer.append(table, rows.finish()).unwrap();
        }
        writer.flush().unwrap();
    }
    std::thread::sleep(Duration::from_secs(2));
    let before = peak_mib();
    let begin = Instant::now();
    assert_eq!(writer.finish().unwrap().rows["pipeline"], 900_000);
    println!(
        "stop with 900,000 open rows of two senders: {:?}, peak {} MiB ({before} MiB before)",
        begin.elapsed(),
        peak_mib()
    );
}
