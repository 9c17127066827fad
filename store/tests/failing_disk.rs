//! Disks that fail once, and what the store does about it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod faulty;
mod recording;

use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use bl_store::{Follower, SessionWriter, Store, WriteOptions};

use faulty::{Fault, FaultyDisk};
use recording::{assert_frames, events, health, spec, wait_for};

/// `fdatasync` fails once, the pages are dropped, and the next one succeeds.
#[test]
fn rows_that_a_failed_sync_lost_are_written_again() {
    let root = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let store = Store::on(root.path(), Arc::new(disk.clone()));
    let options = WriteOptions {
        flush_every: Duration::from_millis(5),
        sync_every: Duration::from_millis(40),
        ..WriteOptions::default()
    };
    let table = bl_schemas::table("pipeline").unwrap();
    let writer = SessionWriter::begin(&store, spec("run"), options).unwrap();
    writer.append(table, events(&writer, 0..1_000)).unwrap();
    wait_for("a sync", || disk.log().iter().any(|l| l.contains(" sync ") && l.contains(".wal")));
    let session = store.session(&"run".parse().unwrap()).unwrap();
    let mut follower = Follower::new(&session, table, i64::MIN);
    let mut followed = Vec::new();
    let mut follow = |follower: &mut Follower| {
        for batch in follower.poll().unwrap() {
            followed.extend(batch["frame"].as_primitive::<Int64Type>().values().to_vec());
        }
    };
    follow(&mut follower);
    disk.fail_next("sync ", Fault::SyncLost);
    let mut sent = 1_000;
    wait_for("the failure", || {
        writer.append(table, events(&writer, sent..sent + 1_000)).unwrap();
        writer.flush().unwrap();
        sent += 1_000;
        follow(&mut follower);
        !health(&store, "run", "rewritten").is_empty() || sent > 100_000
    });
    writer.append(table, events(&writer, sent..sent + 10)).unwrap();
    writer.flush().unwrap();
    assert_frames(&session, sent + 10);
    follow(&mut follower);
    // Whoever followed has seen each once, though some were written twice.
    followed.sort_unstable();
    let twice = followed.windows(2).filter(|w| w[0] == w[1]).count();
    assert_eq!((followed.len() as i64, twice), (sent + 10, 0));
    let manifest = writer.finish().unwrap();
    assert_eq!(manifest.rows["pipeline"] as i64, sent + 10);
    assert_frames(&session, sent + 10);
    let told = health(&store, "run", "rewritten");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].0 > 0 && told[0].0 <= sent && told[0].1.contains("pipeline"), "{told:?}");
    // The segment that failed was sealed at once with what was safe, the rest is in the next one.
    assert!(session.snapshot(table).unwrap().sealed.len() >= 2);
}

/// It fails, and what it was for cannot be taken back for a while: nothing is there twice.
#[test]
fn what_cannot_be_taken_back_yet_is_not_written_twice() {
    let root = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let store = Store::on(root.path(), Arc::new(disk.clone()));
    let options = WriteOptions {
        flush_every: Duration::from_millis(5),
        sync_every: Duration::from_millis(20),
        ..WriteOptions::default()
    };
    let table = bl_schemas::table("pipeline").unwrap();
    let writer = SessionWriter::begin(&store, spec("run"), options).unwrap();
    for what in ["sync ", "cut ", "cut ", "pipeline/open/000002.wal"] {
        disk.fail_next(what, Fault::SyncLost);
    }
    writer.append(table, events(&writer, 0..500)).unwrap();
    wait_for("the failure", || !health(&store, "run", "rewritten").is_empty());
    writer.append(table, events(&writer, 500..600)).unwrap();
    writer.finish().unwrap();
    let session = store.session(&"run".parse().unwrap()).unwrap();
    assert_frames(&session, 600);
    assert_eq!(health(&store, "run", "disk").len(), 1);
}
