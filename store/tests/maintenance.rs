//! One process at a time changes what is sealed of a session.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod recording;

use std::process::{Command, Stdio};

use bl_store::{Maintenance, SessionWriter, StoreError, Task, WriteOptions, repair};

use recording::{events, killed, spec};

#[test]
fn who_holds_it_is_told() {
    let (_root, store) = killed(300);
    let dir = store.dir(&"run".parse().unwrap());
    let held = Maintenance::take(&dir, Task::Compaction).unwrap();
    assert_eq!(held.dir().path(), dir.path());
    let refused = Maintenance::take(&dir, Task::Shipping).unwrap_err();
    let told = format!(
        "session 'run' is being compacted by process {}: wait until it is done, or stop it",
        std::process::id()
    );
    assert_eq!(refused.to_string(), told);
    // Neither a recovery, nor a repair, nor a recorder that finds orphans seals meanwhile, and nothing is changed.
    let recovered = store.recover().unwrap().remove(0).1;
    assert!(matches!(recovered, Err(StoreError::Busy { .. })), "{recovered:?}");
    assert!(matches!(repair(&dir), Err(StoreError::Busy { .. })));
    let begun = SessionWriter::begin(&store, spec("run"), WriteOptions::default());
    assert!(matches!(begun.map(drop), Err(StoreError::Busy { .. })));
    assert!(dir.path().join("raw/pipeline/open/000001.wal").exists());
    drop(held);
    assert_eq!(store.recover().unwrap().remove(0).1.unwrap().rows, 300);
}

/// A writer adds files while another process holds it.
#[test]
fn it_keeps_no_recorder_from_sealing() {
    let root = tempfile::tempdir().unwrap();
    let store = bl_store::Store::new(root.path());
    let table = bl_schemas::table("pipeline").unwrap();
    let writer = SessionWriter::begin(&store, spec("run"), WriteOptions::default()).unwrap();
    let held = Maintenance::take(&writer.dir(), Task::Compaction).unwrap();
    writer.append(table, events(&writer, 0..10)).unwrap();
    assert_eq!(writer.finish().unwrap().rows["pipeline"], 10);
    drop(held);
    assert!(matches!(
        repair(&writer.dir()).map(|r| r.failed.len()),
        Err(StoreError::Locked { .. })
    ));
    drop(writer);
    repair(&store.dir(&"run".parse().unwrap())).unwrap();
}

/// It ends with its process, however that ends.
#[test]
fn a_killed_holder_holds_nothing() {
    let (root, store) = killed(10);
    let dir = store.dir(&"run".parse().unwrap());
    let path = root.path().join("sessions/run/maintenance");
    std::fs::write(&path, "4711 compacted").unwrap();
    let mut other = Command::new("flock")
        .args(["--exclusive", "--no-fork"])
        .arg(&path)
        .args(["sh", "-c", "echo held; exec sleep 600"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = other.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    let refused = Maintenance::take(&dir, Task::Repair).unwrap_err().to_string();
    assert!(refused.contains("compacted by process 4711"), "{refused}");
    other.kill().unwrap();
    other.wait().unwrap();
    Maintenance::take(&dir, Task::Repair).unwrap();
}
