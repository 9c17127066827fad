//! The real binary is killed while it records, and meets bad disks: nothing that readers could see is lost, and
//! nothing is there twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::{Int32Type, Int64Type, TimestampNanosecondType};
use arrow::record_batch::RecordBatch;
use bl_store::{Session, Snapshot, State, Store};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

struct Bl {
    folder: tempfile::TempDir,
}

impl Bl {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Segments are sealed every second, so that deaths meet sealing too.
        std::fs::write(
            folder.path().join("config.toml"),
            "[store]\nseal_seconds = 1\nflush_ms = 20\n",
        )
        .unwrap();
        Self { folder }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bl"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("BENCHLAB_CONFIG", self.folder.path().join("config.toml"))
            .env("BENCHLAB_DATA_ROOT", self.root())
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn ingest(&self, session: &str) -> Child {
        let events = self.folder.path().join("bl.sock");
        self.command(&["ingest", "--simulate", "--session", session, "--benchlab-hz", "200"])
            .args(["--hz", "50", "--events"])
            .arg(events)
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn session(&self, name: &str) -> Option<Session> {
        Store::new(self.root()).session(&name.parse().unwrap()).ok()
    }
}

type Row = (i64, String, Option<i64>);

/// What identifies each row of a snapshot.
fn rows(table: &str, snapshot: &Snapshot) -> Vec<Row> {
    let mut rows = Vec::new();
    snapshot.open.iter().for_each(|b| identities(table, b, &mut rows));
    for file in &snapshot.sealed {
        let file = std::fs::File::open(&file.path).unwrap();
        for batch in ParquetRecordBatchReader::try_new(file, 1 << 16).unwrap() {
            identities(table, &batch.unwrap(), &mut rows);
        }
    }
    rows
}

fn identities(table: &str, batch: &RecordBatch, rows: &mut Vec<Row>) {
    let ts = batch["ts"].as_primitive::<TimestampNanosecondType>();
    for i in 0..batch.num_rows() {
        let (name, number) = match table {
            "pipeline" => {
                let stage = batch["stage"].as_dictionary::<Int32Type>();
                let values = stage.values().as_string::<i32>();
                let frame = batch["frame"].as_primitive::<Int64Type>();
                (values.value(stage.key(i).unwrap()).to_string(), Some(frame.value(i)))
            }
            _ => (String::new(), None),
        };
        rows.push((ts.value(i), name, number));
    }
}

fn snapshot(session: &Session, table: &str) -> Vec<Row> {
    rows(table, &session.snapshot(bl_schemas::table(table).unwrap()).unwrap())
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A sequence that looks random and is the same each time.
fn noise(n: u64) -> u64 {
    let x = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32
}

/// `BL_KILLS=200 cargo test -p bl --test crash` for the long version.
#[test]
fn killed_at_any_instant_it_loses_no_row_and_doubles_none() {
    let kills: u64 = std::env::var("BL_KILLS").ok().map_or(15, |n| n.parse().unwrap());
    let bl = Bl::new();
    let mut seen: [HashSet<Row>; 2] = Default::default();
    for kill in 0..kills {
        // The same session goes on: its recorder dies again and again, also while it recovers.
        let mut child = bl.ingest("run");
        std::thread::sleep(Duration::from_millis(noise(kill) % 1_300));
        if let Some(session) = bl.session("run") {
            for (seen, table) in seen.iter_mut().zip(["pipeline", "benchlab"]) {
                seen.extend(snapshot(&session, table));
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        check(&bl, &seen);
    }
    assert!(seen.iter().all(|s| s.len() as u64 > kills), "hardly anything was recorded");
    // The next recording seals what is left, and the session reads as before.
    let out = bl.run(&[
        "ingest",
        "--no-host",
        "--session",
        "next",
        "--duration",
        "100ms",
        "--events",
        bl.folder.path().join("next.sock").to_str().unwrap(),
    ]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(bl.session("run").unwrap().manifest().state, State::Recovered);
    check(&bl, &seen);
    let left = std::fs::read_dir(bl.root().join("sessions/run/raw/pipeline/open")).unwrap().count();
    assert_eq!(left, 0);
    let count =
        bl.run(&["query", "--session", "run", "--format", "csv", "SELECT count(*) FROM pipeline"]);
    let text = String::from_utf8(count.stdout).unwrap();
    let total = snapshot(&bl.session("run").unwrap(), "pipeline").len();
    assert_eq!(text.lines().nth(1), Some(total.to_string().as_str()));
}

fn check(bl: &Bl, seen: &[HashSet<Row>; 2]) {
    let Some(session) = bl.session("run") else { return };
    for (seen, table) in seen.iter().zip(["pipeline", "benchlab"]) {
        let now = snapshot(&session, table);
        let distinct: HashSet<_> = now.iter().cloned().collect();
        assert_eq!(distinct.len(), now.len(), "{table}: rows are there twice");
        assert_eq!(seen.difference(&distinct).count(), 0, "{table}: rows are gone");
    }
}

#[test]
fn a_second_recorder_is_refused_with_the_pid_of_the_first() {
    let bl = Bl::new();
    let mut first = bl.ingest("run");
    wait_for("the session", || bl.session("run").is_some_and(|s| s.is_live()));
    let other = bl.folder.path().join("other.sock");
    let out = bl.run(&["ingest", "--session", "run", "--events", other.to_str().unwrap()]);
    let text = String::from_utf8(out.stderr).unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&first),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    assert!(first.wait().unwrap().success());
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains(&format!("process {}", first.id())), "{text}");
    assert_eq!(bl.session("run").unwrap().manifest().state, State::Ended);
}

#[test]
fn a_flipped_byte_in_an_open_segment_costs_its_frame_and_is_told() {
    let bl = Bl::new();
    std::fs::write(bl.folder.path().join("config.toml"), "[store]\nflush_ms = 20\n").unwrap();
    let mut child = bl.ingest("run");
    let segment = bl.root().join("sessions/run/raw/pipeline/open/000001.wal");
    wait_for("a segment", || std::fs::metadata(&segment).is_ok_and(|m| m.len() > 20_000));
    child.kill().unwrap();
    child.wait().unwrap();
    let before = snapshot(&bl.session("run").unwrap(), "pipeline").len();
    let mut bytes = std::fs::read(&segment).unwrap();
    let place = bytes.len() / 2;
    bytes[place] ^= 0xff;
    std::fs::write(&segment, bytes).unwrap();
    let after = snapshot(&bl.session("run").unwrap(), "pipeline").len();
    assert!(after < before && after + 60 > before, "{before} rows, then {after}");
    let next = bl.folder.path().join("next.sock");
    let out = bl.run(&[
        "ingest",
        "--no-host",
        "--session",
        "next",
        "--duration",
        "100ms",
        "--events",
        next.to_str().unwrap(),
    ]);
    assert!(out.status.success());
    let out = bl.run(&[
        "query",
        "--format",
        "csv",
        "SELECT count FROM health WHERE session = 'run' AND reason = 'damaged'",
    ]);
    let lost = (before - after).to_string();
    assert_eq!(String::from_utf8(out.stdout).unwrap().lines().nth(1), Some(lost.as_str()));
    assert!(segment.with_extension("wal.damaged").exists());
}

#[test]
fn a_data_root_that_cannot_be_written_is_one_clear_sentence() {
    let bl = Bl::new();
    std::fs::write(bl.root(), "a file in the way").unwrap();
    let socket = bl.folder.path().join("bl.sock");
    let out = bl.run(&["ingest", "--duration", "1s", "--events", socket.to_str().unwrap()]);
    let text = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("bl: ") && last.contains("data"), "{text}");
}

/// A file system of two megabytes: rows wait while it is full and are there once there is room.
#[test]
fn a_full_disk_is_told_and_what_was_written_stays() {
    let bl = Bl::new();
    let disk = bl.folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
        .arg(&disk)
        .output()
        .unwrap();
    if !mounted.status.success() {
        eprintln!(
            "not run: mounting a tmpfs needs root: {}",
            String::from_utf8_lossy(&mounted.stderr)
        );
        return;
    }
    let _unmount = Unmount(&disk);
    let filler = disk.join("filler");
    let socket = bl.folder.path().join("bl.sock");
    let child = bl
        .command(&["ingest", "--simulate", "--no-host", "--session", "run", "--duration", "4s"])
        .env("BENCHLAB_DATA_ROOT", &disk)
        .arg("--events")
        .arg(&socket)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let session = || Store::new(&disk).session(&"run".parse().unwrap()).ok();
    wait_for("rows", || session().is_some_and(|s| !snapshot(&s, "benchlab").is_empty()));
    let before = snapshot(&session().unwrap(), "benchlab");
    // Fill it up, then make room again.
    let _ = std::fs::write(&filler, vec![1; 4 << 20]);
    std::thread::sleep(Duration::from_millis(1_200));
    std::fs::remove_file(&filler).unwrap();
    let out = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{text}");
    assert!(text.contains("No space left"), "{text}");
    let after: HashSet<Row> = snapshot(&session().unwrap(), "benchlab").into_iter().collect();
    assert!(before.iter().all(|r| after.contains(r)));
    // Fifty a second for four seconds: the second without room is there too.
    assert!(after.len() > 150, "{} rows\n{text}", after.len());
}

/// A disk that is full at the end: how many rows are lost is said, and what was written stays.
#[test]
fn a_disk_that_stays_full_costs_what_waited_and_is_told() {
    let bl = Bl::new();
    let disk = bl.folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=2m", "tmpfs"];
    let mounted = Command::new("mount").args(mount).arg(&disk).output().unwrap();
    if !mounted.status.success() {
        eprintln!("not run: mounting needs root: {}", String::from_utf8_lossy(&mounted.stderr));
        return;
    }
    let _unmount = Unmount(&disk);
    let child = bl
        .command(&["ingest", "--simulate", "--no-host", "--session", "run", "--duration", "2s"])
        .env("BENCHLAB_DATA_ROOT", &disk)
        .arg("--events")
        .arg(bl.folder.path().join("bl.sock"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let session = || Store::new(&disk).session(&"run".parse().unwrap()).ok();
    wait_for("rows", || session().is_some_and(|s| !snapshot(&s, "benchlab").is_empty()));
    let before = snapshot(&session().unwrap(), "benchlab");
    let _ = std::fs::write(disk.join("filler"), vec![1; 4 << 20]);
    let out = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.contains("rows that waited in memory are lost"), "{text}");
    let after: HashSet<Row> = snapshot(&session().unwrap(), "benchlab").into_iter().collect();
    assert!(before.iter().all(|r| after.contains(r)));
}

struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}
