//! Room in memory and on the disk: who gets it, and what is told when there is none.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod faulty;
mod recording;

use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use bl_store::clock::monotonic_ns;
use bl_store::{Reason, Rows, SessionWriter, Store, WriteOptions, health_row};

use faulty::FaultyDisk;
use recording::{assert_frames, events, health, rows, spec, wait_for};

fn memory(writer: &SessionWriter, n: usize) -> RecordBatch {
    let mut rows = Rows::new(bl_schemas::table("memory").unwrap());
    (0..n).for_each(|_| rows.begin(writer.anchor().ts(monotonic_ns()), "host.memory"));
    rows.finish()
}

fn options() -> WriteOptions {
    WriteOptions {
        flush_every: Duration::from_millis(2),
        sync_every: Duration::from_millis(10),
        pending_bytes: 4 << 20,
        ..WriteOptions::default()
    }
}

/// A full disk and a flood: the slow table and `health` keep their room, and every row is there or counted.
#[test]
fn a_flood_keeps_no_other_table_out_and_what_is_lost_is_counted() {
    let root = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let store = Store::on(root.path(), Arc::new(disk.clone()));
    let writer = SessionWriter::begin(&store, spec("run"), options()).unwrap();
    let [pipeline, slow, told] =
        ["pipeline", "memory", "health"].map(|t| bl_schemas::table(t).unwrap());
    disk.set_full(true);
    let (mut taken, mut lost, mut slow_rows) = (0, 0, 0);
    while lost < 50_000 {
        match writer.append(pipeline, events(&writer, taken..taken + 1_000)) {
            Ok(()) => taken += 1_000,
            Err(full) => {
                lost += 1_000;
                writer.count_loss("flood", Reason::StoreFull, 1_000, &full.to_string());
            }
        }
        if (taken + lost) % 10_000 == 0 {
            writer.append(slow, memory(&writer, 1)).expect("the slow one has its share");
            slow_rows += 1;
        }
    }
    assert!(taken > 5_000, "{taken}");
    let row = health_row(told, writer.anchor().now(), "flood", Reason::Late, 7, "late");
    writer.append(told, row).expect("health has its share");
    wait_for("the trouble", || writer.trouble().is_some());
    assert_eq!(writer.refused_rows(), lost as u64);
    disk.set_full(false);
    let manifest = writer.finish().unwrap();
    let session = store.session(&"run".parse().unwrap()).unwrap();
    assert_frames(&session, taken);
    assert!(slow_rows >= 5);
    assert_eq!(manifest.rows["memory"], slow_rows);
    let counted: i64 = health(&store, "run", "store_full").iter().map(|(n, _)| n).sum();
    assert_eq!(counted, lost);
    assert_eq!(health(&store, "run", "late"), [(7, "late".into())]);
    assert_eq!(health(&store, "run", "disk").len(), 1);
}

/// To the end: then the error says how many.
#[test]
fn what_finds_no_room_to_the_end_is_in_the_error() {
    let root = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let store = Store::on(root.path(), Arc::new(disk.clone()));
    let writer = SessionWriter::begin(&store, spec("run"), options()).unwrap();
    let table = bl_schemas::table("pipeline").unwrap();
    disk.set_full(true);
    writer.append(table, events(&writer, 0..500)).unwrap();
    writer.count_loss("flood", Reason::StoreFull, 1_234, "full");
    let told = writer.finish().unwrap_err().to_string();
    assert!(told.contains("1234 rows found no room in memory and are lost"), "{told}");
    assert!(told.contains("501 rows that waited in memory are lost"), "{told}");
}

/// Full before anything is there: told with the path, nothing is left behind, and it begins once there is room.
#[test]
fn a_full_disk_at_the_start_is_waited_for_without_litter() {
    let root = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let store = Store::on(root.path(), Arc::new(disk.clone()));
    let nameless = || bl_store::SessionSpec { id: None, ..spec("run") };
    // As many operations work as it takes to make the folder.
    let folders = disk.operations();
    for working in 0..12 {
        disk.set_full_after(folders + working);
        for spec in [spec("run"), nameless()] {
            let Err(e) = SessionWriter::begin(&store, spec, options()) else { continue };
            assert!(e.is_full_disk(), "{e}");
            assert!(e.to_string().contains(root.path().to_str().unwrap()), "{e}");
            let left = std::fs::read_dir(root.path().join("sessions")).map_or(0, |d| d.count());
            assert_eq!(left, 0, "{working}: {e}");
        }
        disk.set_full(false);
        let _ = std::fs::remove_dir_all(root.path().join("sessions"));
    }
    disk.set_full(true);
    let mut told = Vec::new();
    let writer = SessionWriter::begin_when_there_is_room(&store, spec("run"), options(), |e| {
        told.push(e.to_string());
        disk.set_full(told.len() < 3);
        true
    });
    assert_eq!(told.len(), 3, "{told:?}");
    writer.unwrap().finish().unwrap();
    disk.set_full(true);
    let gave_up = SessionWriter::begin_when_there_is_room(&store, nameless(), options(), |_| false);
    assert!(gave_up.err().unwrap().is_full_disk());
}

#[test]
fn rows_of_other_times_are_refused_and_counted() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let table = bl_schemas::table("pipeline").unwrap();
    let writer = SessionWriter::begin(&store, spec("run"), options()).unwrap();
    let anchor = writer.anchor();
    let mut rows = Rows::new(table);
    let frame = rows.column("frame");
    let now = anchor.now();
    let minute = 60_000_000_000;
    let stamps =
        [now, 0, now + minute / 2, now + 2 * minute, anchor.ts(0) - 1, anchor.ts(1), i64::MAX];
    for (i, ts) in stamps.into_iter().enumerate() {
        rows.begin(ts, "events");
        rows.i64(frame, i as i64);
    }
    writer.append(table, rows.finish()).unwrap();
    writer.finish().unwrap();
    let session = store.session(&"run".parse().unwrap()).unwrap();
    assert_eq!(recording::frames(&session), [0, 2, 5]);
    let told = health(&store, "run", "bad_stamp");
    assert_eq!((told.len(), told[0].0), (1, 4), "{told:?}");
    // What can be lies in the folders of its hours.
    for batch in self::rows(&session, "pipeline") {
        assert!(batch.num_rows() > 0);
    }
}

/// Rows of three hours, mixed: each hour has its file, and all are there once.
#[test]
fn a_segment_of_several_hours_becomes_a_file_an_hour() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let table = bl_schemas::table("pipeline").unwrap();
    let anchor = bl_store::clock::Anchor { utc_minus_monotonic_ns: 0, err_ns: 0 };
    let spec = bl_store::SessionSpec { estimated_anchor: Some(anchor), ..spec("run") };
    let writer = SessionWriter::begin(&store, spec, options()).unwrap();
    let hour = 3_600_000_000_000;
    let mut rows = Rows::new(table);
    let frame = rows.column("frame");
    for i in 0..30 {
        rows.begin((500_000 + (i * 7) % 3) * hour + i, "t");
        rows.i64(frame, i);
    }
    writer.append(table, rows.finish()).unwrap();
    writer.finish().unwrap();
    let session = store.session(&"run".parse().unwrap()).unwrap();
    assert_frames(&session, 30);
    let sealed = session.snapshot(table).unwrap().sealed;
    assert_eq!(
        sealed.iter().map(|f| (f.seq, f.part)).collect::<Vec<_>>(),
        [(1, 0), (1, 1), (1, 2)]
    );
    for file in &sealed {
        let footer = bl_store::Footer::read(&file.path).unwrap();
        assert_eq!(footer.rows, 10);
        let hours = [footer.first_ts, footer.last_ts].map(|ts| ts.unwrap().div_euclid(hour));
        assert_eq!(hours, [500_000 + file.part as i64; 2]);
    }
    // Before the first one is there, the others do not count beside the segment.
    let open = root.path().join("sessions/run/raw/pipeline/open/000001.wal");
    std::fs::write(&open, []).unwrap();
    let first = root.path().join("first");
    std::fs::rename(&sealed[0].path, &first).unwrap();
    assert!(session.snapshot(table).unwrap().sealed.is_empty());
    std::fs::rename(&first, &sealed[0].path).unwrap();
    assert_eq!(session.snapshot(table).unwrap().sealed, sealed);
}
