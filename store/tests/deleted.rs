//! The session's folder is deleted while it is recorded: told at once, and recording goes on in a new one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod recording;

use std::time::{Duration, Instant};

use bl_store::{SessionSpec, SessionWriter, State, Store, WriteOptions};

use recording::{events, frames, health, spec, wait_for};

fn options() -> WriteOptions {
    WriteOptions {
        flush_every: Duration::from_millis(20),
        // What is in memory when the folder goes is kept.
        sync_every: Duration::from_secs(3_600),
        ..WriteOptions::default()
    }
}

#[test]
fn recording_goes_on_in_a_new_session_with_what_was_in_memory() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let table = bl_schemas::table("pipeline").unwrap();
    for whole_store in [false, true] {
        let writer = SessionWriter::begin(&store, spec("run"), options()).unwrap();
        writer.update(|m| m.sources = vec!["test".into()]).unwrap();
        writer.append(table, events(&writer, 0..100)).unwrap();
        writer.flush().unwrap();
        let deleted =
            if whole_store { root.path().to_owned() } else { writer.dir().path().to_owned() };
        std::fs::remove_dir_all(&deleted).unwrap();
        let began = Instant::now();
        wait_for("a new session", || writer.id().as_str() == "run-2");
        assert!(began.elapsed() < Duration::from_secs(1));
        writer.append(table, events(&writer, 100..150)).unwrap();
        let manifest = writer.finish().unwrap();
        assert_eq!((manifest.id.as_str(), manifest.state), ("run-2", State::Ended));
        assert_eq!((manifest.rows["pipeline"], manifest.sources), (150, vec!["test".to_owned()]));
        let session = store.session(&"run-2".parse().unwrap()).unwrap();
        assert_eq!(frames(&session), (0..150).collect::<Vec<_>>());
        let told = health(&store, "run-2", "deleted");
        assert_eq!((told.len(), told[0].0), (1, 0), "{told:?}");
        assert!(told[0].1.contains("session run was deleted"), "{told:?}");
        assert!(!root.path().join("sessions/run").exists(), "nothing is rebuilt");
        drop(writer);
        std::fs::remove_dir_all(session.dir().path()).unwrap();
    }
}

/// Rows that were synced went with the folder: they are counted.
#[test]
fn rows_that_went_with_the_folder_are_counted() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path());
    let table = bl_schemas::table("pipeline").unwrap();
    let options = WriteOptions { sync_every: Duration::from_millis(40), ..options() };
    let nameless = SessionSpec { id: None, ..spec("run") };
    let writer = SessionWriter::begin(&store, nameless, options).unwrap();
    let first = writer.id();
    writer.append(table, events(&writer, 0..100)).unwrap();
    writer.flush().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    std::fs::remove_dir_all(writer.dir().path()).unwrap();
    wait_for("a new session", || writer.id() != first);
    let id = writer.finish().unwrap().id;
    assert!(id.time_ns() >= first.time_ns());
    assert_eq!(health(&store, id.as_str(), "deleted")[0].0, 100);
}
