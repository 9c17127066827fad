//! A session that lasts goes on in new parts, each with an anchor of its own. The clocks of this process can be set: it
//! brings its own `clock_gettime`, as no test may set those of the machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod faulty;
mod own_reader;
mod recording;

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use bl_store::clock::realtime_ns;
use bl_store::{Reason, SessionId, SessionWriter, State, Store, WriteOptions};

use faulty::{Fault, FaultyDisk};
use recording::{events, frames, health, rows, spec, wait_for};

/// How long the machine is said to have slept, and by how much the wall clock was set, in nanoseconds.
static SLEPT: AtomicI64 = AtomicI64::new(0);
static SET: AtomicI64 = AtomicI64::new(0);

/// There is one machine.
static ALONE: Mutex<()> = Mutex::new(());

#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, t: *mut libc::timespec) -> libc::c_int {
    // SAFETY: as the caller promises.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, t) } as libc::c_int;
    let shift = match clock {
        libc::CLOCK_REALTIME => SLEPT.load(Ordering::Relaxed) + SET.load(Ordering::Relaxed),
        libc::CLOCK_BOOTTIME => SLEPT.load(Ordering::Relaxed),
        _ => 0,
    };
    if result == 0 && shift != 0 {
        // SAFETY: as the caller promises.
        let t = unsafe { &mut *t };
        let ns = t.tv_sec * 1_000_000_000 + t.tv_nsec + shift;
        (t.tv_sec, t.tv_nsec) = (ns.div_euclid(1_000_000_000), ns.rem_euclid(1_000_000_000));
    }
    result
}

fn alone() -> std::sync::MutexGuard<'static, ()> {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    SLEPT.store(0, Ordering::Relaxed);
    SET.store(0, Ordering::Relaxed);
    alone
}

fn options() -> WriteOptions {
    WriteOptions {
        flush_every: Duration::from_millis(5),
        sync_every: Duration::from_millis(20),
        ..WriteOptions::default()
    }
}

fn parts(store: &Store) -> Vec<SessionId> {
    store.parts(&"run".parse().unwrap()).unwrap()
}

fn names(store: &Store) -> Vec<String> {
    parts(store).iter().map(SessionId::to_string).collect()
}

/// Each frame up to there once, over all parts.
fn assert_frames(store: &Store, count: i64) {
    let of = |id: &SessionId| frames(&store.session(id).unwrap());
    let mut all: Vec<i64> = parts(store).iter().flat_map(of).collect();
    all.sort();
    assert_eq!(all, (0..count).collect::<Vec<_>>());
}

fn append(writer: &SessionWriter, frames: std::ops::Range<i64>) {
    writer.append(bl_schemas::table("pipeline").unwrap(), events(writer, frames)).unwrap();
}

#[test]
fn a_session_that_lasts_goes_on_in_parts() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let options = WriteOptions { roll_after: Some(Duration::from_millis(300)), ..options() };
    let writer = SessionWriter::begin(&store, spec("run"), options).unwrap();
    writer.update(|m| m.sources = vec!["test".into()]).unwrap();
    let (begin, mut count) = (Instant::now(), 0);
    while writer.manifest().part < Some(4) && begin.elapsed() < Duration::from_secs(20) {
        append(&writer, count..count + 10);
        count += 10;
        std::thread::sleep(Duration::from_millis(3));
    }
    let last = writer.finish().unwrap();
    assert!(begin.elapsed() > Duration::from_millis(900), "no part is shorter");
    assert_eq!(names(&store)[..3], ["run", "run.part2", "run.part3"]);
    assert_frames(&store, count);
    let mut before: Option<bl_store::Manifest> = None;
    for (number, id) in (1..).zip(parts(&store)) {
        let session = store.session(&id).unwrap();
        let manifest = session.manifest().clone();
        assert_eq!(manifest.state, State::Ended);
        assert_eq!(manifest.rows["pipeline"] as usize, frames(&session).len());
        assert_eq!(manifest.sources, ["test"]);
        assert_eq!(manifest.part, Some(number).filter(|n| *n > 1));
        assert_eq!(manifest.part_of.is_some(), number > 1);
        if let Some(before) = before {
            assert!(manifest.started_ns >= before.ended_ns.unwrap() - 1_000_000);
            let told = health(&store, id.as_str(), "rolled");
            let wanted = format!("session {} goes on as {id}: it had lasted", before.id);
            assert!(told[0].1.starts_with(&wanted), "{told:?}");
        }
        before = Some(manifest);
    }
    assert_eq!(before.unwrap(), last);
    assert!(store.recover().unwrap().is_empty());
    drop(writer);
    let all: Vec<String> = std::fs::read_dir(root.path().join("sessions"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(all.len(), parts(&store).len(), "{all:?}");
}

/// An hour of sleep: what is recorded afterwards has the time of the wall clock again, and what a source stamps by the
/// anchor that it was given lies on the part's timeline.
#[test]
fn a_wake_from_suspend_begins_a_part_with_a_new_anchor() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let writer = SessionWriter::begin(&store, spec("run"), options()).unwrap();
    let before = writer.manifest().anchor;
    append(&writer, 0..100);
    writer.flush().unwrap();
    SLEPT.store(3_600_000_000_000, Ordering::Relaxed);
    wait_for("the part", || writer.id().as_str() == "run.part2");
    append(&writer, 100..200);
    writer.count_loss("test", Reason::Late, 7, "seven");
    let after = writer.finish().unwrap().anchor;
    let moved = after.utc_minus_monotonic_ns - before.utc_minus_monotonic_ns;
    assert!((moved - 3_600_000_000_000).abs() < 5_000_000, "{moved}");
    assert_eq!(writer.anchor(), before);
    assert_frames(&store, 200);
    for table in ["pipeline", "health"] {
        let part = store.session(&"run.part2".parse().unwrap()).unwrap();
        for batch in rows(&part, table) {
            let ts = batch["ts"].as_primitive::<TimestampNanosecondType>();
            let off = ts.values().iter().map(|ts| (realtime_ns() - ts).abs()).max().unwrap();
            assert!(off < 20_000_000_000, "{table} is {off} ns off");
        }
    }
    let told = health(&store, "run.part2", "rolled");
    assert!(told[0].1.contains("the machine slept for 3600.0"), "{told:?}");
    assert_eq!(health(&store, "run.part2", "late")[0].0, 7);
}

#[test]
fn a_large_step_of_the_wall_clock_begins_a_part_and_a_small_one_none() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let writer = SessionWriter::begin(&store, spec("run"), options()).unwrap();
    append(&writer, 0..10);
    SET.store(-3_000_000_000, Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(names(&store), ["run"]);
    SET.store(-60_000_000_000, Ordering::Relaxed);
    wait_for("the part", || writer.id().as_str() == "run.part2");
    append(&writer, 10..20);
    writer.finish().unwrap();
    assert_frames(&store, 20);
    let told = health(&store, "run.part2", "rolled");
    assert!(told[0].1.contains("the wall clock was set back by 60.0"), "{told:?}");
}

/// Under its name it goes on in the last part, and in a new one where the clocks have parted meanwhile.
#[test]
fn whoever_goes_on_with_a_session_goes_on_with_its_last_part() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let record = |frames: std::ops::Range<i64>, slept_s: i64| {
        SLEPT.store(slept_s * 1_000_000_000, Ordering::Relaxed);
        let writer = SessionWriter::begin(&store, spec("run"), options()).unwrap();
        append(&writer, frames);
        writer.finish().unwrap().id.to_string()
    };
    assert_eq!(record(0..10, 0), "run");
    assert_eq!(record(10..20, 0), "run");
    assert_eq!(record(20..30, 100), "run.part2");
    assert_eq!(record(30..40, 100), "run.part2");
    assert_eq!(record(40..50, 300), "run.part3");
    assert_frames(&store, 50);
}

/// A disk that fails at any operation around a roll costs no row and doubles none.
#[test]
fn whatever_fails_while_it_rolls_no_row_is_lost_or_doubled() {
    let _alone = alone();
    let points = AtomicI64::new(0);
    for fault in [Fault::Error, Fault::SyncLost, Fault::Full(30), Fault::Dead] {
        let (next, over) = (AtomicI64::new(5), AtomicI64::new(i64::MAX));
        std::thread::scope(|scope| {
            for _ in 0..12 {
                let run = || {
                    loop {
                        let operation = next.fetch_add(1, Ordering::Relaxed);
                        if operation >= over.load(Ordering::Relaxed) {
                            break;
                        }
                        match roll_meets(operation as u64, fault) {
                            true => points.fetch_add(1, Ordering::Relaxed),
                            false => over.fetch_min(operation, Ordering::Relaxed),
                        };
                    }
                };
                std::thread::Builder::new().spawn_scoped(scope, run).unwrap();
            }
        });
    }
    let points = points.into_inner();
    eprintln!("{points} points");
    assert!(points > 100, "{points}");
}

fn roll_meets(operation: u64, fault: Fault) -> bool {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let disk = FaultyDisk::failing_at(operation, fault);
    let store = Store::on(folder.path(), Arc::new(disk.clone()));
    let options = WriteOptions {
        flush_every: Duration::from_millis(1),
        sync_every: Duration::from_millis(2),
        roll_after: Some(Duration::from_millis(20)),
        ..options()
    };
    let Ok(writer) = SessionWriter::begin(&store, spec("run"), options) else { return true };
    let mut flushed = 0;
    for from in (0..60).step_by(10) {
        append(&writer, from..from + 10);
        if writer.flush().is_ok() {
            flushed = from + 10;
        }
        std::thread::sleep(Duration::from_millis(6));
    }
    let finished = writer.finish();
    drop(writer);
    let met = disk.operations() > operation;
    let log = disk.log();
    let at = log.get(operation as usize).cloned().unwrap_or_default();
    // What found no room until the end is told, and only then it may be lost.
    let must = if finished.is_err() { flushed } else { 60 };
    let point = format!("{fault:?} at {at}, {:?}", finished.map(|m| m.id));
    let check = |when: &str| {
        let mut all: Vec<i64> = Vec::new();
        for session in std::fs::read_dir(folder.path().join("sessions")).unwrap() {
            let session = session.unwrap().path();
            if Path::new(&session).join("raw").exists() {
                all.extend(own_reader::frames(&session));
            }
        }
        all.sort();
        let twice = all.windows(2).filter(|w| w[0] == w[1]).count();
        assert_eq!(twice, 0, "{when}, {point}: twice");
        let missing = (0..must).filter(|f| all.binary_search(f).is_err()).count();
        assert_eq!(missing, 0, "{when}, {point}: missing");
    };
    check("at the end");
    for (_, recovered) in Store::new(folder.path()).recover().unwrap() {
        recovered.unwrap_or_else(|e| panic!("{point}: {e}"));
    }
    check("recovered");
    met
}
