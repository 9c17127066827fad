//! A short recording, once for every operation on the disk and every way in which it can fail; and its recovery in the
//! same way. The promise is checked by a reader that is written from `docs/format.md` alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod faulty;
mod own_reader;
mod recording;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bl_store::{SessionWriter, Store, WriteOptions};

use faulty::{Fault, FaultyDisk};
use recording::{copy, events, spec};

const FRAMES: i64 = 60;

/// In memory where that is possible: syncs of a real disk are what takes long here, and tell nothing.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// What a recording knew when it ended, however it ended.
#[derive(Debug)]
struct Outcome {
    /// Frames up to here were handed over,
    accepted: i64,
    /// up to here they were told to be in segments,
    flushed: i64,
    /// and up to here the disk had all of them.
    settled: i64,
    finished: Result<(), String>,
}

/// Six batches, some sealed on the way.
fn record(root: &Path, disk: &FaultyDisk) -> Option<Outcome> {
    let store = Store::on(root, Arc::new(disk.clone()));
    let options = WriteOptions {
        flush_every: Duration::from_millis(1),
        sync_every: Duration::from_millis(3),
        seal_bytes: 6_000,
        ..WriteOptions::default()
    };
    let table = bl_schemas::table("pipeline").unwrap();
    let writer = SessionWriter::begin(&store, spec("run"), options).ok()?;
    let (mut accepted, mut flushed, mut settled) = (0, 0, 0);
    for from in (0..FRAMES).step_by(10) {
        writer.append(table, events(&writer, from..from + 10)).unwrap();
        accepted = from + 10;
        if writer.flush().is_ok() {
            flushed = accepted;
        }
        let begin = Instant::now();
        while flushed == accepted && begin.elapsed() < Duration::from_millis(8) {
            std::thread::sleep(Duration::from_millis(1));
            if disk.is_settled() {
                settled = flushed;
            }
        }
    }
    let finished = writer.finish().map(|_| ()).map_err(|e| e.to_string());
    Some(Outcome { accepted, flushed, settled, finished })
}

/// Everything up to `must` is there, nothing twice, and nothing that was not handed over.
fn check(session: &Path, must: i64, accepted: i64, point: &str) {
    let found = own_reader::frames(session);
    let twice = found.windows(2).filter(|w| w[0] == w[1]).count();
    assert_eq!(twice, 0, "{point}: rows are there twice");
    assert!(found.iter().all(|f| (0..accepted).contains(f)), "{point}: rows of nobody");
    let missing = (0..must).filter(|f| found.binary_search(f).is_err()).count();
    assert_eq!(missing, 0, "{point}: of {must} rows some are missing");
}

fn recording_meets(operation: u64, fault: Fault) -> bool {
    let folder = folder();
    let (root, graveyard) = (folder.path().join("data"), folder.path().join("graveyard"));
    std::fs::create_dir(&graveyard).unwrap();
    let disk = FaultyDisk::failing_at(operation, fault);
    disk.keep_removed(&graveyard);
    let outcome = record(&root, &disk);
    let met = disk.operations() > operation || outcome.is_none();
    let log = disk.log();
    let at = log.get(operation as usize).cloned().unwrap_or_default();
    let point = format!("{fault:?} at {at}, {outcome:?}");
    let session = root.join("sessions/run");
    let Some(outcome) = outcome else {
        // It never began, and a process that lives on leaves nothing behind.
        let lives = !matches!(fault, Fault::Dead | Fault::PowerCut);
        assert!(!lives || !session.exists(), "{point}: litter");
        // With a disk that works it begins.
        let disk = FaultyDisk::default();
        let outcome = record(&root, &disk).unwrap_or_else(|| panic!("{point}: cannot begin again"));
        assert_eq!(outcome.finished, Ok(()), "{point}");
        check(&session, FRAMES, FRAMES, &point);
        return met;
    };
    let must = match fault {
        Fault::Dead => outcome.flushed,
        Fault::PowerCut => outcome.settled,
        // One failure, or a disk that is full for a while, costs no row.
        _ => FRAMES,
    };
    check(&session, must, outcome.accepted, &point);
    if outcome.finished.is_ok() {
        assert!(!matches!(fault, Fault::Dead | Fault::PowerCut) || !met, "{point}");
        let left = std::fs::read_dir(session.join("raw/pipeline/open")).unwrap().count();
        assert_eq!(left, 0, "{point}: segments are left");
        let text = std::fs::read_to_string(session.join("session.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(manifest["rows"]["pipeline"], FRAMES, "{point}");
    }
    // The next start, with a disk that works.
    let store = Store::new(&root);
    for (_, recovered) in store.recover().unwrap() {
        let recovered = recovered.unwrap_or_else(|e| panic!("{point}: {e}"));
        assert!(recovered.left.is_empty() && recovered.unreadable.is_empty(), "{point}");
        assert!(
            !recovered.damage.is_serious() || fault == Fault::PowerCut,
            "{point}: {recovered:?}"
        );
    }
    check(&session, must, outcome.accepted, &format!("{point}, recovered"));
    assert!(store.recover().unwrap().is_empty(), "{point}: recovery does not end");
    met
}

/// A dead recorder's session is recovered by a process that fails, and then by one that does not.
fn recovery_meets(image: &Path, operation: u64, fault: Fault) -> bool {
    let folder = folder();
    let (root, graveyard) = (folder.path().join("data"), folder.path().join("graveyard"));
    std::fs::create_dir(&root).unwrap();
    std::fs::create_dir(&graveyard).unwrap();
    copy(image, &root);
    let disk = FaultyDisk::failing_at(operation, fault);
    disk.keep_removed(&graveyard);
    let _ = Store::on(&root, Arc::new(disk.clone())).recover();
    let met = disk.operations() > operation;
    let log = disk.log();
    let point =
        format!("recovery, {fault:?} at {}", log.get(operation as usize).map_or("-", |l| l));
    let session = root.join("sessions/run");
    check(&session, FRAMES, FRAMES, &point);
    let store = Store::new(&root);
    for (_, recovered) in store.recover().unwrap() {
        recovered.unwrap_or_else(|e| panic!("{point}: {e}"));
    }
    check(&session, FRAMES, FRAMES, &point);
    assert!(store.recover().unwrap().is_empty(), "{point}: recovery does not end");
    met
}

const FAULTS: [Fault; 6] =
    [Fault::Error, Fault::Short, Fault::SyncLost, Fault::Full(40), Fault::Dead, Fault::PowerCut];

/// Runs `meets` for every operation until one is not met any more, several at a time; returns the points.
fn sweep(fault: Fault, meets: impl Fn(u64, Fault) -> bool + Sync) -> u64 {
    let (next, points) = (AtomicU64::new(0), AtomicU64::new(0));
    let over = AtomicU64::new(u64::MAX);
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                loop {
                    let operation = next.fetch_add(1, Ordering::Relaxed);
                    if operation >= over.load(Ordering::Relaxed) {
                        break;
                    }
                    match meets(operation, fault) {
                        true => points.fetch_add(1, Ordering::Relaxed),
                        // Recordings differ by a few operations.
                        false => over.fetch_min(operation + 5, Ordering::Relaxed),
                    };
                }
            });
        }
    });
    points.into_inner()
}

#[test]
fn whatever_fails_while_it_records_no_row_is_lost_or_doubled() {
    let points: Vec<_> = FAULTS.iter().map(|f| (*f, sweep(*f, recording_meets))).collect();
    eprintln!("points: {points:?}");
    assert!(points.iter().all(|(_, n)| *n > 50), "{points:?}");
}

#[test]
fn whatever_fails_while_it_recovers_no_row_is_lost_or_doubled() {
    let image = tempfile::tempdir().unwrap();
    let folder = folder();
    {
        let store = Store::new(folder.path());
        let table = bl_schemas::table("pipeline").unwrap();
        let options =
            WriteOptions { flush_every: Duration::from_millis(1), ..WriteOptions::default() };
        let writer = SessionWriter::begin(&store, spec("run"), options).unwrap();
        writer.append(table, events(&writer, 0..FRAMES)).unwrap();
        writer.flush().unwrap();
        copy(folder.path(), image.path());
    }
    let points: Vec<_> = FAULTS
        .iter()
        .map(|f| (*f, sweep(*f, |n, fault| recovery_meets(image.path(), n, fault))))
        .collect();
    eprintln!("points: {points:?}");
    assert!(points.iter().all(|(_, n)| *n > 10), "{points:?}");
}
